//! One recurrence rule (RFC 5545 §3.3.10), read from its text.
//!
//! Calcard reads rules too, but drops what a scanner must see: INTERVAL=0, counts beyond
//! 32 bits, list members that do not fit. So the text is read here.
//!
//! Not an error: an unknown part is ignored; a rule without a known FREQ is `None`.

use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use calcard::common::PartialDateTime;

/// FREQ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Frequency {
    Secondly,
    Minutely,
    Hourly,
    Daily,
    Weekly,
    Monthly,
    Yearly,
}

impl Frequency {
    fn read(text: &str) -> Option<Self> {
        [
            ("SECONDLY", Self::Secondly),
            ("MINUTELY", Self::Minutely),
            ("HOURLY", Self::Hourly),
            ("DAILY", Self::Daily),
            ("WEEKLY", Self::Weekly),
            ("MONTHLY", Self::Monthly),
            ("YEARLY", Self::Yearly),
        ]
        .into_iter()
        .find_map(|(name, frequency)| name.eq_ignore_ascii_case(text).then_some(frequency))
    }

    /// Seconds of one period at least.
    pub(super) const fn seconds(self) -> u64 {
        match self {
            Self::Secondly => 1,
            Self::Minutely => 60,
            Self::Hourly => 3_600,
            Self::Daily => 86_400,
            Self::Weekly => 7 * 86_400,
            Self::Monthly => 28 * 86_400,
            Self::Yearly => 365 * 86_400,
        }
    }
}

/// Numbers 1 to 366 and their negatives, as BYMONTHDAY, BYYEARDAY and BYWEEKNO hold them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Days {
    forward: [u64; 6],
    backward: [u64; 6],
    any: bool,
}

impl Days {
    fn read(list: &str) -> Self {
        let mut days = Self { any: true, ..Self::default() };
        for number in numbers(list) {
            let bits = if number > 0 { &mut days.forward } else { &mut days.backward };
            let number = number.unsigned_abs();
            if let Some(word) = usize::try_from(number / 64).ok().and_then(|at| bits.get_mut(at)) {
                *word |= 1 << (number % 64);
            }
        }
        days
    }

    /// True when the day is in the list; `length` is that of the month or year.
    fn hold(&self, day: u32, length: u32) -> bool {
        let holds = |bits: &[u64; 6], number: u32| {
            bits.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
        };
        !self.any
            || holds(&self.forward, day)
            || holds(&self.backward, (length + 1).saturating_sub(day))
    }
}

fn numbers(list: &str) -> impl Iterator<Item = i64> {
    list.split(',').filter_map(|number| number.trim().parse().ok())
}

/// A list of small numbers as bits.
fn bits(list: &str, below: u32) -> u64 {
    numbers(list)
        .filter_map(|number| u32::try_from(number).ok())
        .filter(|number| *number < below.min(64))
        .fold(0, |bits, number| bits | 1 << number)
}

/// Where a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Until {
    pub(super) clock: NaiveDateTime,
    /// True when it was written in UTC rather than local time.
    pub(super) utc: bool,
}

/// More of 53 weeks and 7 days, forward and backward, cannot differ.
const MOST_ORDINALS: usize = 2 * 53 * 7;

/// A rule, its lists turned into sets.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) frequency: Frequency,
    /// As written; 0 is one of the forms made to hurt.
    pub(super) interval: u64,
    pub(super) count: Option<u64>,
    pub(super) until: Option<Until>,
    /// Product of the lengths of all BY lists.
    pub(super) product: u64,
    /// True when some part could not be read.
    pub(super) broken: bool,
    pub(super) positions: Vec<i64>,
    months: u64,
    month_days: Days,
    year_days: Days,
    weeks: Days,
    weekdays: u64,
    /// BYDAY with ordinals: 2MO, -1FR.
    nth: Vec<(i64, u32)>,
    hours: u64,
    minutes: u64,
    seconds: u64,
    week_start: u32,
}

impl Rule {
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut rule = Self {
            frequency: Frequency::Daily,
            interval: 1,
            count: None,
            until: None,
            product: 1,
            broken: false,
            positions: Vec::new(),
            months: 0,
            month_days: Days::default(),
            year_days: Days::default(),
            weeks: Days::default(),
            weekdays: 0,
            nth: Vec::new(),
            hours: 0,
            minutes: 0,
            seconds: 0,
            week_start: 0,
        };
        let mut frequency = None;
        for part in text.split(';') {
            let Some((name, value)) = part.split_once('=') else {
                continue;
            };
            let name = name.trim().to_ascii_uppercase();
            let value = value.trim();
            if name.starts_with("BY") {
                let length = value.bytes().filter(|byte| *byte == b',').count() as u64 + 1;
                rule.product = rule.product.saturating_mul(length);
            }
            match name.as_str() {
                "FREQ" => frequency = Frequency::read(value),
                "INTERVAL" => match value.parse() {
                    Ok(interval) => rule.interval = interval,
                    Err(_) => rule.broken = true,
                },
                "COUNT" => match value.parse() {
                    Ok(count) => rule.count = Some(count),
                    Err(_) if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                        rule.count = Some(u64::MAX);
                    }
                    Err(_) => rule.broken = true,
                },
                "UNTIL" => match until(value) {
                    Some(until) => rule.until = Some(until),
                    None => rule.broken = true,
                },
                "BYMONTH" => rule.months = bits(value, 13),
                "BYMONTHDAY" => rule.month_days = Days::read(value),
                "BYYEARDAY" => rule.year_days = Days::read(value),
                "BYWEEKNO" => rule.weeks = Days::read(value),
                "BYDAY" => rule.read_days(value),
                "BYHOUR" => rule.hours = bits(value, 24),
                "BYMINUTE" => rule.minutes = bits(value, 60),
                "BYSECOND" => rule.seconds = bits(value, 60),
                "BYSETPOS" => {
                    rule.positions =
                        numbers(value).filter(|n| n.abs() <= 366).take(1_000).collect();
                    rule.positions.sort_unstable();
                    rule.positions.dedup();
                }
                "WKST" => rule.week_start = weekday(value).unwrap_or(0),
                _ => {}
            }
        }
        rule.frequency = frequency?;
        Some(rule)
    }

    fn read_days(&mut self, list: &str) {
        for day in list.split(',').map(str::trim) {
            let split = day.len().saturating_sub(2);
            let name = day.get(split..).unwrap_or_default();
            let Some(weekday) = weekday(name) else {
                self.broken = true;
                continue;
            };
            let ordinal = day.get(..split).unwrap_or_default();
            match ordinal.trim_start_matches('+').parse::<i64>() {
                // FREQ may stand later, so whether ordinals count is asked in `on_weekday`.
                Ok(number) if number != 0 && self.nth.len() < MOST_ORDINALS => {
                    self.nth.push((number, weekday));
                }
                _ => self.weekdays |= 1 << weekday,
            }
        }
        self.nth.sort_unstable();
        self.nth.dedup();
    }

    /// True when no BY list chooses days.
    pub(super) fn is_plain(&self) -> bool {
        self.weekdays == 0 && self.only_weekdays()
    }

    /// True when no BY list chooses times.
    pub(super) const fn has_plain_times(&self) -> bool {
        self.hours == 0 && self.minutes == 0 && self.seconds == 0
    }

    /// The times of day it happens, sorted, in seconds; `None` when they are too many.
    pub(super) fn times(&self, start: NaiveTime, most: usize) -> Option<Vec<u32>> {
        let all = |count: u32| (1_u64 << count) - 1;
        let pick = |set: u64, every: bool, count: u32, own: u32| match (set, every) {
            (0, true) => all(count),
            (0, false) => 1 << own,
            (set, _) => set,
        };
        let hours = pick(self.hours, self.frequency <= Frequency::Hourly, 24, start.hour());
        let minutes = pick(self.minutes, self.frequency <= Frequency::Minutely, 60, start.minute());
        let seconds = pick(self.seconds, self.frequency <= Frequency::Secondly, 60, start.second());
        let total = [hours, minutes, seconds].iter().map(|set| set.count_ones() as usize).product();
        if total > most {
            return None;
        }
        let mut times = Vec::with_capacity(total);
        for hour in members(hours) {
            for minute in members(minutes) {
                times.extend(members(seconds).map(|second| hour * 3_600 + minute * 60 + second));
            }
        }
        Some(times)
    }

    /// Fills in what the start decides where the rule does not say (RFC 5545 §3.3.10).
    pub(super) fn complete(&mut self, start: NaiveDate) {
        let chosen = self.weeks.any
            || self.year_days.any
            || self.month_days.any
            || self.weekdays != 0
            || !self.nth.is_empty();
        if chosen {
            return;
        }
        match self.frequency {
            Frequency::Yearly => {
                if self.months == 0 {
                    self.months = 1 << start.month();
                }
                self.month_days = Days::read(&start.day().to_string());
            }
            Frequency::Monthly => self.month_days = Days::read(&start.day().to_string()),
            Frequency::Weekly => self.weekdays = 1 << start.weekday().num_days_from_monday(),
            Frequency::Secondly | Frequency::Minutely | Frequency::Hourly | Frequency::Daily => {}
        }
    }

    /// Number of the period (day, week, month, year) a date lies in.
    pub(super) fn period(&self, date: NaiveDate) -> i64 {
        let days = i64::from(date.num_days_from_ce());
        match self.frequency {
            Frequency::Yearly => i64::from(date.year()),
            Frequency::Monthly => i64::from(date.year()) * 12 + i64::from(date.month0()),
            // Day 1 of the common era is a Monday.
            Frequency::Weekly => (days - 1 - i64::from(self.week_start)).div_euclid(7),
            Frequency::Secondly | Frequency::Minutely | Frequency::Hourly | Frequency::Daily => {
                days
            }
        }
    }

    /// True when nothing but BYDAY without ordinals chooses days.
    pub(super) fn only_weekdays(&self) -> bool {
        self.months == 0
            && !self.month_days.any
            && !self.year_days.any
            && !self.weeks.any
            && self.nth.is_empty()
            && self.positions.is_empty()
    }

    /// The chosen weekdays as bits, the day the week starts with first.
    pub(super) fn week_days(&self) -> u64 {
        (0..7)
            .filter(|past| self.weekdays >> ((self.week_start + past) % 7) & 1 == 1)
            .fold(0, |bits, past| bits | 1 << past)
    }

    /// The first day after a month that BYMONTH does not choose.
    pub(super) fn past_months(&self, date: NaiveDate) -> Option<NaiveDate> {
        if self.months == 0 || self.months >> date.month() & 1 == 1 {
            return None;
        }
        date.with_day(1)?.checked_add_months(Months::new(1))
    }

    /// Days from the start of the week to a date.
    pub(super) fn past_week_start(&self, date: NaiveDate) -> u32 {
        (date.weekday().num_days_from_monday() + 7 - self.week_start) % 7
    }

    /// True when all BY lists that choose days choose this one.
    pub(super) fn chooses(&self, date: NaiveDate) -> bool {
        if self.months != 0 && self.months >> date.month() & 1 == 0 {
            return false;
        }
        if (self.weekdays != 0 || !self.nth.is_empty()) && !self.on_weekday(date) {
            return false;
        }
        (!self.month_days.any || self.month_days.hold(date.day(), days_in_month(date)))
            && (!self.year_days.any || self.year_days.hold(date.ordinal(), days_in_year(date)))
            && (!self.weeks.any || self.in_week(date))
    }

    fn on_weekday(&self, date: NaiveDate) -> bool {
        let weekday = date.weekday().num_days_from_monday();
        if self.weekdays >> weekday & 1 == 1 {
            return true;
        }
        let (day, length) = match self.frequency {
            Frequency::Yearly if self.months == 0 => (date.ordinal(), days_in_year(date)),
            Frequency::Yearly | Frequency::Monthly => (date.day(), days_in_month(date)),
            Frequency::Secondly
            | Frequency::Minutely
            | Frequency::Hourly
            | Frequency::Daily
            | Frequency::Weekly => return self.nth.iter().any(|(_, day)| *day == weekday),
        };
        let forward = i64::from((day - 1) / 7 + 1);
        let backward = -i64::from((length - day) / 7 + 1);
        self.nth.iter().any(|(nth, day)| *day == weekday && (*nth == forward || *nth == backward))
    }

    fn in_week(&self, date: NaiveDate) -> bool {
        // A week belongs to the year its fourth day lies in.
        let middle = |date: NaiveDate| {
            date + chrono::TimeDelta::days(3 - i64::from(self.past_week_start(date)))
        };
        let fourth = middle(date);
        let week = fourth.ordinal0() / 7 + 1;
        let last = NaiveDate::from_ymd_opt(fourth.year(), 12, 28)
            .map_or(52, |date| middle(date).ordinal0() / 7 + 1);
        self.weeks.hold(week, last)
    }
}

/// Numbers of the bits that are set.
pub(super) fn members(set: u64) -> impl Iterator<Item = u32> {
    let mut rest = set;
    std::iter::from_fn(move || {
        let lowest = rest.trailing_zeros();
        rest &= rest.wrapping_sub(1);
        (lowest < u64::BITS).then_some(lowest)
    })
}

fn weekday(name: &str) -> Option<u32> {
    ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
        .iter()
        .position(|day| day.eq_ignore_ascii_case(name))
        .and_then(|at| u32::try_from(at).ok())
}

fn days_in_year(date: NaiveDate) -> u32 {
    if date.leap_year() { 366 } else { 365 }
}

fn days_in_month(date: NaiveDate) -> u32 {
    match date.month() {
        2 if date.leap_year() => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn until(value: &str) -> Option<Until> {
    let mut date = PartialDateTime::default();
    if !date.parse_timestamp(&mut value.as_bytes().iter().peekable(), false) {
        return None;
    }
    let clock = date.to_date_time()?.date_time;
    if date.has_time() {
        return Some(Until { clock, utc: date.tz_hour.is_some() });
    }
    // The whole last day counts.
    clock.date().and_hms_opt(23, 59, 59).map(|clock| Until { clock, utc: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, dates: &[(i32, u32, u32, bool)]) {
        let rule = Rule::read(text).unwrap();
        for (year, month, day, expected) in dates {
            let date = NaiveDate::from_ymd_opt(*year, *month, *day).unwrap();
            assert_eq!(rule.chooses(date), *expected, "{text} {date}");
        }
    }

    #[test]
    fn lists_choose_days() {
        check("FREQ=MONTHLY;BYDAY=2MO", &[(2025, 9, 8, true), (2025, 9, 1, false)]);
        check("FREQ=MONTHLY;BYDAY=-1FR", &[(2025, 10, 31, true), (2025, 10, 24, false)]);
        check("FREQ=YEARLY;BYDAY=20MO", &[(1997, 5, 19, true), (1997, 5, 12, false)]);
        check("BYDAY=1SU;FREQ=YEARLY;BYMONTH=11", &[(2025, 11, 2, true), (2025, 10, 5, false)]);
        check("FREQ=MONTHLY;BYMONTHDAY=-1", &[(2024, 2, 29, true), (2024, 2, 28, false)]);
        check("FREQ=YEARLY;BYYEARDAY=-1,100", &[(2025, 12, 31, true), (2025, 4, 10, true)]);
        check("FREQ=YEARLY;BYWEEKNO=20", &[(1997, 5, 12, true), (1997, 5, 11, false)]);
        check("FREQ=YEARLY;BYWEEKNO=-1", &[(2020, 12, 28, true), (2021, 1, 3, true)]);
        check("FREQ=WEEKLY;BYDAY=MO,we", &[(2025, 9, 3, true), (2025, 9, 4, false)]);
    }

    #[test]
    fn what_calcard_drops_is_kept() {
        let rule = Rule::read("FREQ=DAILY;INTERVAL=0;COUNT=99999999999").unwrap();
        assert_eq!((rule.interval, rule.count), (0, Some(99_999_999_999)));
        let huge = Rule::read("FREQ=DAILY;COUNT=99999999999999999999999").unwrap();
        assert_eq!(huge.count, Some(u64::MAX));
        let lists = Rule::read("FREQ=YEARLY;BYHOUR=1,2,3;BYMINUTE=1,2;BYDAY=MO").unwrap();
        assert_eq!(lists.product, 6);
        assert!(Rule::read("INTERVAL=2").is_none());
        assert!(Rule::read("FREQ=FORTNIGHTLY").is_none());
        assert!(Rule::read("FREQ=DAILY;UNTIL=soon").unwrap().broken);
    }
}
