//! Finds the days a rule chooses: by stepping where it is simple, else by asking day by
//! day.
//!
//! Calcard's own iterator is not used: it may try 100,000 periods before it yields or gives
//! up, and it cannot be stopped in between. Here 366 questions answer any rule, and the
//! steps and questions of all rules of a message are counted.

use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime};

use super::rule::{Frequency, Rule, members};
use super::time::Local;

/// Days of the horizon.
pub(super) const DAYS: i64 = 366;
/// Days looked at beyond the horizon for the last instance: some 50 years.
const FAR: i64 = 20_000;
/// Seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// 1970-01-01, counted from the first day of the common era.
const EPOCH: i64 = 719_163;
/// A larger product of BY lists is no calendar's.
pub(super) const MOST_PRODUCT: u64 = 10_000;

/// Questions to rules that one message may still ask.
#[derive(Debug)]
pub(super) struct Work {
    /// About the first 366 days.
    near: usize,
    /// About the years after, for the last instance only.
    far: usize,
}

impl Default for Work {
    fn default() -> Self {
        Self { near: 4_000_000, far: 1_000_000 }
    }
}

impl Work {
    /// Leaves nothing: from now on rules are estimated.
    pub(super) fn exhaust(&mut self) {
        *self = Self { near: 0, far: 0 };
    }

    pub(super) fn spend(&mut self, amount: usize) -> bool {
        let enough = self.near >= amount;
        self.near = self.near.saturating_sub(amount);
        enough
    }

    fn spend_far(&mut self) -> bool {
        let enough = self.far > 0;
        self.far = self.far.saturating_sub(1);
        enough
    }
}

/// Instances of one rule. Clocks are seconds since 1970 as the event's own clock shows them:
/// whole numbers, because most rules have hundreds of instances to compare.
#[derive(Debug, Default)]
pub(super) struct Instances {
    /// Clock times, up to the limit.
    pub(super) clocks: Vec<i64>,
    /// Instances in the horizon.
    pub(super) total: u64,
    /// `total` is an upper bound.
    pub(super) estimated: bool,
    pub(super) last: Option<i64>,
}

/// A walk over the days of a rule.
struct Walker<'a> {
    start: i64,
    horizon: i64,
    until: Option<i64>,
    times: &'a [u32],
    /// Instances the rule may still have.
    left: u64,
    limit: usize,
    instances: Instances,
}

impl Walker<'_> {
    /// Adds an instance; false when the rule has come to its end.
    fn add(&mut self, at: i64) -> bool {
        if at <= self.start {
            return true;
        }
        if self.left == 0 || self.until.is_some_and(|until| at > until) {
            return false;
        }
        self.left -= 1;
        self.instances.last = Some(at);
        if at < self.horizon {
            self.instances.total += 1;
            if self.instances.clocks.len() < self.limit {
                self.instances.clocks.push(at);
            }
        }
        true
    }

    /// Adds the chosen days one after the other; true when the rule has come to its end.
    fn steps(
        &mut self,
        days: impl Iterator<Item = i64>,
        far: bool,
        work: &mut Work,
    ) -> Option<bool> {
        let horizon = self.horizon.div_euclid(DAY);
        for day in days {
            if day > horizon && (!far || day > horizon + FAR || !work.spend_far()) {
                return Some(false);
            }
            if !work.spend(1 + self.times.len() / 16) {
                return None;
            }
            if !self.add_day(day) || self.left == 0 {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Asks the rule for each day; true when it has come to its end.
    fn days(&mut self, rule: &Rule, interval: i64, far: bool, work: &mut Work) -> Option<bool> {
        let horizon = self.horizon.div_euclid(DAY);
        let mut date = DateTime::from_timestamp(self.start, 0)?.date_naive();
        let first_period = rule.period(date);
        let by_position = !rule.positions.is_empty();
        if by_position {
            // The set a position counts in begins with the period, not with the event.
            while let Some(day) = date.pred_opt().filter(|day| rule.period(*day) == first_period) {
                date = day;
            }
        }
        let mut set: Vec<i64> = Vec::new();
        let mut day = number(date);
        let mut set_period = first_period;
        loop {
            if day > horizon && (!far || day > horizon + FAR || !work.spend_far()) {
                return Some(false);
            }
            let chosen = (interval == 1 || (rule.period(date) - first_period) % interval == 0)
                && rule.chooses(date);
            if !work.spend(1 + if chosen { self.times.len() / 16 } else { 0 }) {
                return None;
            }
            if by_position {
                let period = rule.period(date);
                if period != set_period {
                    set_period = period;
                    if !self.add_positions(&set, &rule.positions) || self.left == 0 {
                        return Some(true);
                    }
                    set.clear();
                }
                if chosen {
                    set.push(day);
                }
            } else if chosen && (!self.add_day(day) || self.left == 0) {
                return Some(true);
            }
            if set.is_empty() && self.until.is_some_and(|until| day * DAY > until) {
                return Some(true);
            }
            // Months that are not chosen need no asking.
            let next = if by_position { None } else { rule.past_months(date) };
            let Some(next) = next.or_else(|| date.succ_opt()) else {
                return Some(false);
            };
            date = next;
            day = number(date);
        }
    }

    fn add_day(&mut self, day: i64) -> bool {
        let times = self.times;
        times.iter().all(|seconds| self.add(day * DAY + i64::from(*seconds)))
    }

    /// Adds the days of one period that BYSETPOS picks.
    fn add_positions(&mut self, days: &[i64], positions: &[i64]) -> bool {
        let per_day = self.times.len();
        let total = days.len() * per_day;
        let mut picked: Vec<usize> = positions
            .iter()
            .filter_map(|position| {
                let back = usize::try_from(position.unsigned_abs()).ok()?;
                if *position > 0 { Some(back - 1) } else { total.checked_sub(back) }
            })
            .filter(|index| *index < total)
            .collect();
        picked.sort_unstable();
        picked.dedup();
        picked.into_iter().all(|index| {
            let day = days.get(index / per_day.max(1));
            let time = self.times.get(index % per_day.max(1));
            day.zip(time).is_none_or(|(day, time)| self.add(day * DAY + i64::from(*time)))
        })
    }
}

/// Days since 1970.
fn number(date: NaiveDate) -> i64 {
    i64::from(date.num_days_from_ce()) - EPOCH
}

/// Expands a rule; `None` when the message has asked too much already.
pub(super) fn walk(
    rule: &Rule,
    start: Local,
    until: Option<i64>,
    limit: usize,
    work: &mut Work,
) -> Option<Instances> {
    let plain_days = rule.is_plain();
    let plain = plain_days && rule.has_plain_times();
    let first = start.clock.date();
    let clock = start.clock.and_utc().timestamp();
    let mut rule = rule.clone();
    rule.complete(first);
    let times = rule.times(start.clock.time(), usize::try_from(MOST_PRODUCT).ok()?)?;
    let mut walker = Walker {
        start: clock,
        horizon: clock + DAYS * DAY,
        until,
        times: &times,
        left: rule.count.map_or(u64::MAX, |count| count.saturating_sub(1)),
        limit,
        // DTSTART is the first instance, whether the rule chooses it or not.
        instances: Instances { clocks: vec![clock], total: 1, estimated: false, last: Some(clock) },
    };
    // Days beyond the horizon are looked at only for a last instance that arithmetic does
    // not give.
    let far = (rule.count.is_some() || until.is_some()) && !plain;
    let interval = i64::try_from(rule.interval).ok()?;
    let complete = match rule.frequency {
        Frequency::Daily if plain_days => {
            walker.steps(every(number(first), interval), far, work)?
        }
        Frequency::Weekly if rule.only_weekdays() => {
            let week = number(first) - i64::from(rule.past_week_start(first));
            let chosen = rule.week_days();
            let days = every(week, interval.checked_mul(7)?)
                .flat_map(|week| members(chosen).map(move |past| week + i64::from(past)));
            walker.steps(days, far, work)?
        }
        Frequency::Monthly | Frequency::Yearly if plain_days => {
            let months = if rule.frequency == Frequency::Yearly { 12 } else { 1 };
            let step = u32::try_from(rule.interval.checked_mul(months)?).ok()?;
            let days = (0..)
                .map_while(|number: u32| {
                    first.checked_add_months(Months::new(number.checked_mul(step)?))
                })
                // A month without that day is left out, not shortened.
                .filter(|date| date.day() == first.day())
                .map(number);
            walker.steps(days, far, work)?
        }
        Frequency::Secondly
        | Frequency::Minutely
        | Frequency::Hourly
        | Frequency::Daily
        | Frequency::Weekly
        | Frequency::Monthly
        | Frequency::Yearly => walker.days(&rule, interval, far, work)?,
    };
    let mut instances = walker.instances;
    if (rule.count.is_some() || until.is_some()) && !complete {
        instances.last = far_last(&rule, plain, start.clock, until);
    }
    Some(instances)
}

/// A day and every so many days after it.
fn every(first: i64, days: i64) -> impl Iterator<Item = i64> {
    std::iter::successors(Some(first), move |day| day.checked_add(days))
}

/// The last instance of a rule that goes on far beyond the horizon, as far as arithmetic
/// can tell.
fn far_last(rule: &Rule, plain: bool, start: NaiveDateTime, until: Option<i64>) -> Option<i64> {
    let step = match rule.frequency {
        Frequency::Daily => 1,
        Frequency::Weekly => 7,
        Frequency::Secondly
        | Frequency::Minutely
        | Frequency::Hourly
        | Frequency::Monthly
        | Frequency::Yearly => return until.or_else(|| months(rule, plain, start)),
    };
    if !plain {
        return until;
    }
    let start = start.and_utc().timestamp();
    let step = i64::try_from(rule.interval).ok()?.checked_mul(step)?;
    let by_count = rule.count.and_then(|count| i64::try_from(count.saturating_sub(1)).ok());
    let by_until = until.map(|until| (until - start).max(0) / DAY / step);
    let steps = [by_count, by_until].into_iter().flatten().min()?;
    start.checked_add(steps.checked_mul(step)?.checked_mul(DAY)?)
}

/// MONTHLY and YEARLY without lists, on a day that every month has.
fn months(rule: &Rule, plain: bool, start: NaiveDateTime) -> Option<i64> {
    if !plain || start.day() > 28 {
        return None;
    }
    let step = if rule.frequency == Frequency::Yearly { 12 } else { 1 };
    let steps = rule.count?.saturating_sub(1).checked_mul(rule.interval)?.checked_mul(step)?;
    let last = start.checked_add_months(Months::new(u32::try_from(steps).ok()?))?;
    Some(last.and_utc().timestamp())
}
