//! Asks a rule day by day which days it chooses.
//!
//! Calcard's own iterator is not used: it may try 100,000 periods before it yields or gives
//! up, and it cannot be stopped in between. Here 366 questions answer any rule, and the
//! questions of all rules of a message are counted.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use super::rule::{Frequency, Rule};
use super::time::Local;

/// Days of the horizon.
pub(super) const DAYS: i64 = 366;
/// Days looked at beyond the horizon for the last instance: some 50 years.
const FAR: i64 = 20_000;
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
        Self {
            near: 4_000_000,
            far: 1_000_000,
        }
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

/// Instances of one rule.
#[derive(Debug, Default)]
pub(super) struct Instances {
    /// Clock times, up to the limit.
    pub(super) clocks: Vec<NaiveDateTime>,
    /// Instances in the horizon.
    pub(super) total: u64,
    /// `total` is an upper bound.
    pub(super) estimated: bool,
    pub(super) last: Option<NaiveDateTime>,
}

/// A walk over the days of a rule.
struct Walker<'a> {
    start: NaiveDateTime,
    horizon: NaiveDateTime,
    until: Option<NaiveDateTime>,
    times: &'a [u32],
    /// Instances the rule may still have.
    left: u64,
    limit: usize,
    instances: Instances,
}

impl Walker<'_> {
    /// Adds an instance; false when the rule has come to its end.
    fn add(&mut self, at: NaiveDateTime) -> bool {
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

    fn add_day(&mut self, date: NaiveDate) -> bool {
        let times = self.times;
        times
            .iter()
            .all(|seconds| clock_at(date, *seconds).is_none_or(|at| self.add(at)))
    }

    /// Adds the days of one period that BYSETPOS picks.
    fn add_positions(&mut self, days: &[NaiveDate], positions: &[i64]) -> bool {
        let per_day = self.times.len();
        let total = days.len() * per_day;
        let mut picked: Vec<usize> = positions
            .iter()
            .filter_map(|position| {
                let back = usize::try_from(position.unsigned_abs()).ok()?;
                if *position > 0 {
                    Some(back - 1)
                } else {
                    total.checked_sub(back)
                }
            })
            .filter(|index| *index < total)
            .collect();
        picked.sort_unstable();
        picked.dedup();
        picked.into_iter().all(|index| {
            let day = days.get(index / per_day.max(1));
            let time = self.times.get(index % per_day.max(1));
            let at = day.zip(time).and_then(|(day, time)| clock_at(*day, *time));
            at.is_none_or(|at| self.add(at))
        })
    }
}

fn clock_at(date: NaiveDate, seconds: u32) -> Option<NaiveDateTime> {
    date.and_hms_opt(seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Asks the rule day by day; `None` when the message has asked too much already.
pub(super) fn walk(
    rule: &Rule,
    plain: bool,
    start: Local,
    until: Option<NaiveDateTime>,
    limit: usize,
    work: &mut Work,
) -> Option<Instances> {
    let times = rule.times(start.clock.time(), usize::try_from(MOST_PRODUCT).ok()?)?;
    let first = start.clock.date();
    let mut walker = Walker {
        start: start.clock,
        horizon: start.clock.checked_add_signed(TimeDelta::days(DAYS))?,
        until,
        times: &times,
        left: rule.count.map_or(u64::MAX, |count| count.saturating_sub(1)),
        limit,
        // DTSTART is the first instance, whether the rule chooses it or not.
        instances: Instances {
            clocks: vec![start.clock],
            total: 1,
            estimated: false,
            last: Some(start.clock),
        },
    };
    if !work.spend(usize::try_from(DAYS).unwrap_or(usize::MAX)) {
        return None;
    }
    let ends = rule.count.is_some() || until.is_some();
    let first_period = rule.period(first);
    let interval = i64::try_from(rule.interval).unwrap_or(i64::MAX);
    let mut date = first;
    if !rule.positions.is_empty() {
        // The set a position counts in begins with the period, not with the event.
        while let Some(earlier) = date
            .pred_opt()
            .filter(|day| rule.period(*day) == first_period)
        {
            date = earlier;
        }
    }
    let mut set: Vec<NaiveDate> = Vec::new();
    let mut complete = false;
    for _ in 0..FAR {
        let past_horizon = (date - first).num_days() > DAYS;
        if past_horizon && (!ends || plain) {
            break;
        }
        if past_horizon && !work.spend_far() {
            break;
        }
        let period = rule.period(date);
        if (period - first_period) % interval == 0 && rule.chooses(date) {
            if rule.positions.is_empty() {
                if !work.spend(times.len() / 64) {
                    return None;
                }
                if !walker.add_day(date) {
                    complete = true;
                    break;
                }
            } else {
                set.push(date);
            }
        } else if until.is_some_and(|until| date > until.date()) && set.is_empty() {
            complete = true;
            break;
        }
        let Some(next) = date.succ_opt() else { break };
        if !set.is_empty() && rule.period(next) != period {
            let more = walker.add_positions(&set, &rule.positions);
            set.clear();
            if !more {
                complete = true;
                break;
            }
        }
        if walker.left == 0 {
            complete = true;
            break;
        }
        date = next;
    }
    let mut instances = walker.instances;
    if ends && !complete {
        instances.last = far_last(rule, plain, start.clock, until);
    }
    Some(instances)
}

/// The last instance of a rule that goes on far beyond the horizon, as far as arithmetic
/// can tell.
fn far_last(
    rule: &Rule,
    plain: bool,
    start: NaiveDateTime,
    until: Option<NaiveDateTime>,
) -> Option<NaiveDateTime> {
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
    let step = i64::try_from(rule.interval).ok()?.checked_mul(step)?;
    let by_count = rule
        .count
        .and_then(|count| i64::try_from(count.saturating_sub(1)).ok());
    let by_until = until.map(|until| (until - start).num_days() / step);
    let steps = [by_count, by_until].into_iter().flatten().min()?;
    start.checked_add_signed(TimeDelta::try_days(steps.checked_mul(step)?)?)
}

/// MONTHLY and YEARLY without lists, on a day that every month has.
fn months(rule: &Rule, plain: bool, start: NaiveDateTime) -> Option<NaiveDateTime> {
    use chrono::Datelike as _;
    if !plain || start.day() > 28 {
        return None;
    }
    let step = if rule.frequency == Frequency::Yearly {
        12
    } else {
        1
    };
    let steps = rule
        .count?
        .saturating_sub(1)
        .checked_mul(rule.interval)?
        .checked_mul(step)?;
    start.checked_add_months(chrono::Months::new(u32::try_from(steps).ok()?))
}
