//! Says how often an event happens, without ever expanding a rule without bound.
//!
//! Comes in: the rules as written, the start, RDATEs and EXDATEs.
//! Goes out: a [`Recurrence`]: instances of the first 366 days, first and last.
//! Not an error: forms made to hurt. They are named in [`Recurrence::abusive`] and answered
//! with an upper bound; the work of all rules of a message together is bounded as well.
//!
//! Calcard's own iterator is not used: it may try 100,000 periods before it yields or gives
//! up, and it cannot be stopped in between. Here a rule is asked day by day whether it
//! chooses that day, so 366 questions answer any rule.

use chrono::{NaiveDate, NaiveDateTime, TimeDelta};

use super::Recurrence;
use super::rule::{Frequency, Rule};
use super::survey::{MOST_RULES, Notes};
use super::time::{self, Local};

/// Days of the horizon.
const DAYS: i64 = 366;
/// Days looked at beyond the horizon for the last instance: some 50 years.
const FAR: i64 = 20_000;
/// A larger COUNT is no calendar's.
const MOST_COUNT: u64 = 100_000;
/// A larger product of BY lists is no calendar's.
const MOST_PRODUCT: u64 = 10_000;
/// More RDATEs are no calendar's.
const MOST_DATES: usize = 1_000;
/// More instances in a year than minutes of a day make a MINUTELY rule abuse.
const MOST_MINUTELY: u64 = 1_440;

/// Questions to rules that one message may still ask.
#[derive(Debug)]
pub(super) struct Work(u64);

impl Default for Work {
    fn default() -> Self {
        Self(4_000_000)
    }
}

impl Work {
    /// Leaves nothing: from now on rules are estimated.
    pub(super) fn exhaust(&mut self) {
        self.0 = 0;
    }

    fn spend(&mut self, amount: usize) -> bool {
        let amount = amount as u64;
        let enough = self.0 >= amount;
        self.0 = self.0.saturating_sub(amount);
        enough
    }
}

/// Dates beside the rules, seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Dates {
    pub(super) added: Vec<i64>,
    pub(super) removed: Vec<i64>,
    /// All RDATE values, also those not in `added`.
    pub(super) added_count: usize,
    /// All EXDATE values.
    pub(super) removed_count: usize,
}

/// What was found wrong on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// A rule could not be read.
    pub(super) bad_rule: bool,
    /// The instances were not counted.
    pub(super) given_up: bool,
}

/// Instances of one rule.
#[derive(Debug, Default)]
struct Instances {
    /// Clock times, up to the limit.
    clocks: Vec<NaiveDateTime>,
    /// Instances in the horizon.
    total: u64,
    /// `total` is an upper bound.
    estimated: bool,
    last: Option<NaiveDateTime>,
}

/// Counts the instances of an event.
pub(super) fn expand(
    notes: Option<Notes>,
    start: Option<Local>,
    mut dates: Dates,
    limit: usize,
    work: &mut Work,
) -> (Recurrence, Trouble) {
    let mut trouble = Trouble::default();
    let mut found = Recurrence {
        instances: 1,
        dates: dates.added_count,
        exceptions: dates.removed_count,
        first: start.map(|start| start.moment.timestamp),
        ..Recurrence::default()
    };
    let (texts, rule_count) =
        notes.map_or((Vec::new(), 0), |notes| (notes.rules, notes.rule_count));
    let rules: Vec<Rule> = texts.iter().filter_map(|text| Rule::read(text)).collect();
    trouble.bad_rule = rules.len() < texts.len() || rules.iter().any(|rule| rule.broken);
    describe(&mut found, &rules, texts);
    if rule_count > MOST_RULES {
        found.abuse("many-rules");
    }
    if dates.added_count > MOST_DATES {
        found.abuse("many-dates");
    }
    let Some(start) = start else {
        return (found, trouble);
    };
    let mut each = Vec::with_capacity(rules.len());
    for rule in rules {
        let instances = instances(rule, start, limit, &mut found, work);
        found.estimated |= instances.estimated;
        each.push(instances);
    }
    found.estimated |= dates.added_count > MOST_DATES || rule_count > MOST_RULES;
    trouble.given_up = found.estimated;
    let last = each.iter().filter_map(|rule| rule.last).max();
    let ends = !found.endless && (last.is_some() || each.is_empty());
    found.last = last
        .filter(|_| ends)
        .map(|clock| time::timestamp(clock, start.zone));
    if each.is_empty() {
        found.last = Some(start.moment.timestamp);
    }
    let single = each.len() <= 1 && dates.added.is_empty() && dates.removed.is_empty();
    if single {
        found.instances = each.first().map_or(1, |rule| rule.total);
        return (found, trouble);
    }
    dates.removed.sort_unstable();
    merge(&mut found, &each, start, &dates, work);
    trouble.given_up = found.estimated;
    (found, trouble)
}

/// Fills in what the rules say without being expanded.
fn describe(found: &mut Recurrence, rules: &[Rule], texts: Vec<String>) {
    found.frequency = texts.first().and_then(|text| {
        let mut parts = text.split(';').filter_map(|part| part.split_once('='));
        let (_, value) = parts.find(|(name, _)| name.trim().eq_ignore_ascii_case("FREQ"))?;
        Some(value.trim().to_ascii_uppercase())
    });
    found.rules = texts;
    found.count = rules.first().and_then(|rule| rule.count);
    for rule in rules {
        found.endless |= rule.count.is_none() && rule.until.is_none();
        found.by_product = found.by_product.max(rule.product);
        if rule.interval == 0 {
            found.abuse("interval-0");
        }
        if rule.frequency == Frequency::Secondly {
            found.abuse("secondly");
        }
        if rule.count.is_some_and(|count| count > MOST_COUNT) {
            found.abuse("count");
        }
        if rule.product > MOST_PRODUCT {
            found.abuse("by-product");
        }
    }
}

impl Recurrence {
    fn abuse(&mut self, name: &'static str) {
        if !self.abusive.contains(&name) {
            self.abusive.push(name);
        }
    }
}

/// Counts the instances of one rule, or estimates them.
fn instances(
    mut rule: Rule,
    start: Local,
    limit: usize,
    found: &mut Recurrence,
    work: &mut Work,
) -> Instances {
    let hurts = rule.interval == 0
        || rule.frequency == Frequency::Secondly
        || rule.product > MOST_PRODUCT
        || rule.count.is_some_and(|count| count > MOST_COUNT);
    if hurts {
        return estimate(&rule, start);
    }
    let until = rule.until.and_then(|until| {
        if until.utc {
            time::clock(until.clock.and_utc().timestamp(), start.zone)
        } else {
            Some(until.clock)
        }
    });
    let by_the_clock = rule.frequency < Frequency::Daily;
    let counted = if by_the_clock && rule.is_plain() && rule.has_plain_times() {
        steps(&rule, start, until, limit)
    } else if by_the_clock && rule.interval > 1 {
        estimate(&rule, start)
    } else {
        let plain = rule.is_plain() && rule.has_plain_times();
        rule.complete(start.clock.date());
        walk(&rule, plain, start, until, limit, work).unwrap_or_else(|| estimate(&rule, start))
    };
    if rule.frequency == Frequency::Minutely && counted.total > MOST_MINUTELY {
        found.abuse("minutely");
    }
    counted
}

/// HOURLY and MINUTELY without lists: plain arithmetic.
fn steps(rule: &Rule, start: Local, until: Option<NaiveDateTime>, limit: usize) -> Instances {
    let step = rule.frequency.seconds().saturating_mul(rule.interval);
    let within = |seconds: u64| seconds / step + 1;
    let horizon = within(DAYS.unsigned_abs() * 86_400 - 1);
    let mut all = rule.count.map(|count| count.max(1));
    if let Some(until) = until {
        let span = u64::try_from((until - start.clock).num_seconds()).unwrap_or(0);
        all = Some(all.unwrap_or(u64::MAX).min(within(span)));
    }
    let total = all.unwrap_or(u64::MAX).min(horizon);
    let at = |number: u64| {
        let seconds = i64::try_from(number.saturating_mul(step)).ok()?;
        start
            .clock
            .checked_add_signed(TimeDelta::try_seconds(seconds)?)
    };
    Instances {
        clocks: (0..total.min(limit as u64)).filter_map(at).collect(),
        total,
        estimated: false,
        last: all.and_then(|all| at(all - 1)),
    }
}

/// An upper bound, and nothing but arithmetic.
fn estimate(rule: &Rule, start: Local) -> Instances {
    let interval = rule.interval.max(1);
    let day = 86_400;
    let periods = DAYS.unsigned_abs() * day / rule.frequency.seconds().saturating_mul(interval) + 1;
    let lists = rule.product.min(rule.frequency.seconds());
    let total = periods
        .saturating_mul(lists)
        .min(DAYS.unsigned_abs() * day)
        .min(rule.count.unwrap_or(u64::MAX).max(1));
    Instances {
        clocks: vec![start.clock],
        total,
        estimated: true,
        last: None,
    }
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
fn walk(
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
    if !work.spend(DAYS.unsigned_abs().try_into().unwrap_or(usize::MAX)) {
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
    for day in 0..FAR {
        let past_horizon = (date - first).num_days() > DAYS;
        if past_horizon && (!ends || plain) {
            break;
        }
        if day > DAYS && !work.spend(1) {
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

/// Puts several rules and dates together.
fn merge(found: &mut Recurrence, each: &[Instances], start: Local, dates: &Dates, work: &mut Work) {
    let listed = each
        .iter()
        .all(|rule| rule.clocks.len() as u64 == rule.total);
    let size = each.iter().map(|rule| rule.clocks.len()).sum::<usize>() + dates.added.len() + 1;
    if !listed || found.estimated || !work.spend(size) {
        let rules = each
            .iter()
            .map(|rule| rule.total)
            .fold(0, u64::saturating_add)
            .max(1);
        found.instances = rules.saturating_add(dates.added_count as u64);
        found.estimated = true;
        return;
    }
    let mut all: Vec<i64> = Vec::with_capacity(size);
    all.push(start.moment.timestamp);
    for rule in each {
        all.extend(
            rule.clocks
                .iter()
                .map(|clock| time::timestamp(*clock, start.zone)),
        );
    }
    all.extend_from_slice(&dates.added);
    all.retain(|at| dates.removed.binary_search(at).is_err());
    all.sort_unstable();
    all.dedup();
    let Some(first) = all.first().copied() else {
        // Every instance was taken out: nothing is left to show.
        found.instances = 0;
        found.first = None;
        found.last = None;
        return;
    };
    found.first = Some(first);
    let end = first.saturating_add(DAYS * 86_400);
    found.instances = all.iter().filter(|at| **at < end).count() as u64;
    let complete = each.iter().all(|rule| {
        rule.last
            .is_some_and(|last| rule.clocks.last().is_some_and(|listed| *listed == last))
    });
    if !found.endless && complete {
        found.last = all.last().copied();
    } else if let Some(last) = found.last {
        found.last = dates.added.iter().copied().max().max(Some(last));
    }
}
