//! Says how often an event happens, without ever expanding a rule without bound.
//!
//! Comes in: the rules as written, the start, RDATEs and EXDATEs.
//! Goes out: a [`Recurrence`]: instances of the first 366 days, first and last.
//! Not an error: forms made to hurt. They are named in [`Recurrence::abusive`] and answered
//! with an upper bound; the work of all rules of a message together is bounded as well.

use chrono::DateTime;

use super::Recurrence;
use super::object::Notes;
use super::rule::{Frequency, Rule};
use super::survey::MOST_RULES;
use super::time::{self, Local};
use super::walk::{DAY, DAYS, Instances, MOST_PRODUCT, Work, walk};

/// A larger COUNT is no calendar's.
const MOST_COUNT: u64 = 100_000;
/// More RDATEs are no calendar's.
const MOST_DATES: usize = 1_000;
/// More instances in a year than minutes of a day make a MINUTELY rule abuse.
const MOST_MINUTELY: u64 = 1_440;

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
    // The instances themselves matter only where they are put together.
    let single = rules.len() <= 1 && dates.added.is_empty() && dates.removed.is_empty();
    let limit = if single { 0 } else { limit };
    let mut each = Vec::with_capacity(rules.len());
    for rule in &rules {
        let instances = instances(rule, start, limit, &mut found, work);
        found.estimated |= instances.estimated;
        each.push(instances);
    }
    found.estimated |= dates.added_count > MOST_DATES || rule_count > MOST_RULES;
    trouble.given_up = found.estimated;
    let last = each.iter().filter_map(|rule| rule.last).max();
    let ends = !found.endless && (last.is_some() || each.is_empty());
    found.last = last.filter(|_| ends).map(|clock| zoned(clock, start));
    if each.is_empty() {
        found.last = Some(start.moment.timestamp);
    }
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
    rule: &Rule,
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
        return estimate(rule, start);
    }
    let until = rule.until.and_then(|until| {
        let clock = until.clock.and_utc().timestamp();
        if !until.utc {
            return Some(clock);
        }
        time::clock(clock, start.zone).map(|clock| clock.and_utc().timestamp())
    });
    let by_the_clock = rule.frequency < Frequency::Daily;
    let counted = if by_the_clock && rule.is_plain() && rule.has_plain_times() {
        steps(rule, start, until, limit)
    } else if by_the_clock && rule.interval > 1 {
        estimate(rule, start)
    } else {
        walk(rule, start, until, limit, work).unwrap_or_else(|| estimate(rule, start))
    };
    if rule.frequency == Frequency::Minutely && counted.total > MOST_MINUTELY {
        found.abuse("minutely");
    }
    counted
}

/// A clock of the event as seconds since 1970.
fn zoned(clock: i64, start: Local) -> i64 {
    DateTime::from_timestamp(clock, 0)
        .map_or(clock, |clock| time::timestamp(clock.naive_utc(), start.zone))
}

/// HOURLY and MINUTELY without lists: plain arithmetic.
fn steps(rule: &Rule, start: Local, until: Option<i64>, limit: usize) -> Instances {
    let clock = start.clock.and_utc().timestamp();
    let step = rule.frequency.seconds().saturating_mul(rule.interval);
    let within = |seconds: u64| seconds / step + 1;
    let horizon = within((DAYS * DAY).unsigned_abs() - 1);
    let mut all = rule.count.map(|count| count.max(1));
    if let Some(until) = until {
        let span = u64::try_from(until - clock).unwrap_or(0);
        all = Some(all.unwrap_or(u64::MAX).min(within(span)));
    }
    let total = all.unwrap_or(u64::MAX).min(horizon);
    let at = |number: u64| clock.checked_add(i64::try_from(number.checked_mul(step)?).ok()?);
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
    let periods =
        (DAYS * DAY).unsigned_abs() / rule.frequency.seconds().saturating_mul(interval) + 1;
    let lists = rule.product.min(rule.frequency.seconds());
    let total = periods
        .saturating_mul(lists)
        .min((DAYS * DAY).unsigned_abs())
        .min(rule.count.unwrap_or(u64::MAX).max(1));
    Instances {
        clocks: vec![start.clock.and_utc().timestamp()],
        total,
        estimated: true,
        last: None,
    }
}

/// Puts several rules and dates together.
fn merge(found: &mut Recurrence, each: &[Instances], start: Local, dates: &Dates, work: &mut Work) {
    let listed = each.iter().all(|rule| rule.clocks.len() as u64 == rule.total);
    let size = each.iter().map(|rule| rule.clocks.len()).sum::<usize>() + dates.added.len() + 1;
    if !listed || found.estimated || !work.spend(size) {
        let rules = each.iter().map(|rule| rule.total).fold(0, u64::saturating_add).max(1);
        found.instances = rules.saturating_add(dates.added_count as u64);
        found.estimated = true;
        return;
    }
    let mut all: Vec<i64> = Vec::with_capacity(size);
    all.push(start.moment.timestamp);
    for rule in each {
        all.extend(rule.clocks.iter().map(|clock| zoned(*clock, start)));
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
    let end = first.saturating_add(DAYS * DAY);
    found.instances = all.iter().filter(|at| **at < end).count() as u64;
    let complete = each.iter().all(|rule| {
        rule.last.is_some_and(|last| rule.clocks.last().is_some_and(|listed| *listed == last))
    });
    if !found.endless && complete {
        found.last = all.last().copied();
    } else if let Some(last) = found.last {
        found.last = dates.added.iter().copied().max().max(Some(last));
    }
}
