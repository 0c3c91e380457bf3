//! Dates and time zones: calcard's partial dates become points in time.
//!
//! Not an error: an unknown TZID (read as UTC, or with the offset its VTIMEZONE gives), a
//! local time that daylight saving skips, a date that does not exist (`None`).

use std::collections::HashMap;
use std::str::FromStr;

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendarComponent, ICalendarComponentType, ICalendarParameterName, ICalendarPeriod,
    ICalendarProperty, ICalendarValue,
};
use chrono::{FixedOffset, NaiveDateTime, TimeZone};

use super::Moment;

/// TZIDs other than those of the calendar's VTIMEZONEs that are remembered.
const MOST_REMEMBERED: usize = 256;

/// The time zones of one calendar.
#[derive(Debug, Default)]
pub(super) struct Zones {
    known: HashMap<String, Tz>,
}

impl Zones {
    /// Reads the VTIMEZONE components.
    ///
    /// A zone is found by its TZID or the names other programs leave in it. Made-up zones
    /// get the offset of their standard time, which is closer than UTC.
    pub(super) fn read(components: &[ICalendarComponent]) -> Self {
        let mut zones = Self::default();
        for component in components {
            if component.component_type != ICalendarComponentType::VTimezone {
                continue;
            }
            if let Some((name, zone)) = component.timezone() {
                zones.known.insert(name.to_owned(), zone);
            } else if let Some(ICalendarValue::Text(name)) =
                component.property(&ICalendarProperty::Tzid).and_then(|entry| entry.values.first())
                && let Some(zone) = offset(component, components)
            {
                zones.known.insert(name.clone(), zone);
            }
        }
        zones
    }

    /// The zone of a TZID.
    pub(super) fn find(&mut self, name: &str) -> Tz {
        if let Some(zone) = self.known.get(name) {
            return *zone;
        }
        let zone = Tz::from_str(name).ok().or_else(|| within_path(name)).unwrap_or(Tz::UTC);
        if self.known.len() < MOST_REMEMBERED {
            self.known.insert(name.to_owned(), zone);
        }
        zone
    }
}

/// The zone at the end of `/freeassociation.sourceforge.net/Europe/Berlin`.
fn within_path(name: &str) -> Option<Tz> {
    let mut rest = name.strip_prefix('/')?;
    for _ in 0..4 {
        rest = rest.split_once('/')?.1;
        if let Ok(zone) = Tz::from_str(rest) {
            return Some(zone);
        }
    }
    None
}

/// TZOFFSETTO of the zone's standard time, else of its first observance.
fn offset(zone: &ICalendarComponent, components: &[ICalendarComponent]) -> Option<Tz> {
    let observances =
        || zone.component_ids.iter().filter_map(|at| components.get(usize::try_from(*at).ok()?));
    let observance = observances()
        .find(|inner| inner.component_type == ICalendarComponentType::Standard)
        .or_else(|| observances().next())?;
    let value = observance.property(&ICalendarProperty::Tzoffsetto)?.values.first()?;
    let ICalendarValue::PartialDateTime(offset) = value else {
        return None;
    };
    let seconds = i32::from(offset.tz_hour?) * 3600 + i32::from(offset.tz_minute.unwrap_or(0)) * 60;
    FixedOffset::east_opt(if offset.tz_minus { -seconds } else { seconds }).map(Tz::Fixed)
}

/// A point in time with the zone it was written in, so that recurrences keep local time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local {
    /// Clock time where the event takes place.
    pub(super) clock: NaiveDateTime,
    /// Its zone; UTC for floating times.
    pub(super) zone: Tz,
    /// As the calendar shows it.
    pub(super) moment: Moment,
}

/// Reads a date or date-time.
pub(super) fn local(date: &PartialDateTime, zone: Option<Tz>) -> Option<Local> {
    // A leap second is written 60; no clock shows it.
    let second = date.second.unwrap_or(0);
    let leap = PartialDateTime { second: date.second.map(|_| second.min(59)), ..date.clone() };
    let read = leap.to_date_time()?;
    if second > 60 {
        return None;
    }
    let zone = match read.offset {
        Some(offset) if offset.local_minus_utc() == 0 => Tz::UTC,
        Some(offset) => Tz::Fixed(offset),
        None => zone.unwrap_or(Tz::UTC),
    };
    let date_only = !date.has_time();
    // A date is the same day everywhere.
    let zone = if date_only { Tz::UTC } else { zone };
    Some(Local {
        clock: read.date_time,
        zone,
        moment: Moment { timestamp: timestamp(read.date_time, zone), date_only, second },
    })
}

/// Seconds since 1970 of a clock time; in the hour daylight saving repeats the first one,
/// in the hour it skips the clock is read as UTC.
pub(super) fn timestamp(clock: NaiveDateTime, zone: Tz) -> i64 {
    let utc = clock.and_utc().timestamp();
    if zone.is_utc() || zone.is_floating() {
        return utc;
    }
    zone.from_local_datetime(&clock).earliest().map_or(utc, |found| found.timestamp())
}

/// The clock in a zone at a point in time.
pub(super) fn clock(timestamp: i64, zone: Tz) -> Option<NaiveDateTime> {
    let utc = chrono::DateTime::from_timestamp(timestamp, 0)?.naive_utc();
    if zone.is_utc() || zone.is_floating() {
        return Some(utc);
    }
    Some(zone.from_utc_datetime(&utc).naive_local())
}

/// The start of a period.
pub(super) fn period_start(period: &ICalendarPeriod) -> &PartialDateTime {
    match period {
        ICalendarPeriod::Range { start, .. } | ICalendarPeriod::Duration { start, .. } => start,
    }
}

/// The zone of an entry's TZID parameter.
pub(super) fn zone_of(
    parameters: &[calcard::icalendar::ICalendarParameter],
    zones: &mut Zones,
) -> Option<Tz> {
    parameters
        .iter()
        .find(|parameter| parameter.name == ICalendarParameterName::Tzid)
        .and_then(|parameter| parameter.value.as_text())
        .map(|name| zones.find(name))
}

/// The text of a date as RFC 5545 writes it.
pub(super) fn written(date: &PartialDateTime) -> String {
    let mut text = String::with_capacity(16);
    if let (Some(year), Some(month), Some(day)) = (date.year, date.month, date.day) {
        digits(&mut text, u32::from(year), 1000);
        digits(&mut text, u32::from(month), 10);
        digits(&mut text, u32::from(day), 10);
        if date.hour.is_some() {
            text.push('T');
        }
    }
    for part in [date.hour, date.minute, date.second].into_iter().flatten() {
        digits(&mut text, u32::from(part), 10);
    }
    match (date.tz_hour, date.tz_minute.unwrap_or(0)) {
        (None, _) => {}
        (Some(0), 0) if date.has_date() => text.push('Z'),
        (Some(hours), minutes) => {
            text.push(if date.tz_minus { '-' } else { '+' });
            digits(&mut text, u32::from(hours), 10);
            digits(&mut text, u32::from(minutes), 10);
        }
    }
    text
}

/// Writes a number with leading zeros; `unit` is the first digit's weight.
fn digits(text: &mut String, number: u32, unit: u32) {
    const DIGITS: &[u8; 10] = b"0123456789";
    let mut unit = unit;
    while unit > 0 {
        let digit = DIGITS.get((number / unit % 10) as usize).copied().unwrap_or(b'0');
        text.push(char::from(digit));
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written_date: &str, zone: Option<&str>, expected: Option<(i64, bool)>) {
        let mut date = PartialDateTime::default();
        date.parse_timestamp(&mut written_date.as_bytes().iter().peekable(), false);
        let zone = zone.map(|name| Zones::default().find(name));
        let found =
            local(&date, zone).map(|found| (found.moment.timestamp, found.moment.date_only));
        assert_eq!(found, expected, "{written_date} {zone:?}");
    }

    #[test]
    fn points_in_time() {
        check("20250101T120000Z", None, Some((1_735_732_800, false)));
        check("20250101T120000", None, Some((1_735_732_800, false)));
        check("20250101T120000", Some("Europe/Berlin"), Some((1_735_729_200, false)));
        check("20250101T120000", Some("W. Europe Standard Time"), Some((1_735_729_200, false)));
        check("20250101T120000", Some("No/Such Zone"), Some((1_735_732_800, false)));
        check("20250101T120000Z", Some("Europe/Berlin"), Some((1_735_732_800, false)));
        check("20250101", Some("Europe/Berlin"), Some((1_735_689_600, true)));
        check("20250230T120000Z", None, None);
        check("20251301", None, None);
        check("20250101T250000Z", None, None);
        check("20161231T235960Z", None, Some((1_483_228_799, false)));
        // Skipped and repeated by daylight saving.
        check("20250330T023000", Some("Europe/Berlin"), Some((1_743_301_800, false)));
        check("20251026T023000", Some("Europe/Berlin"), Some((1_761_438_600, false)));
    }

    #[test]
    fn dates_as_written() {
        for text in ["20250101T120000Z", "20250101T120000", "20250101", "00010101T000000"] {
            let mut date = PartialDateTime::default();
            date.parse_timestamp(&mut text.as_bytes().iter().peekable(), false);
            assert_eq!(written(&date), text);
        }
    }

    #[test]
    fn clocks() {
        let zone = Zones::default().find("Europe/Berlin");
        let noon = clock(1_735_729_200, zone).unwrap();
        assert_eq!(timestamp(noon, zone), 1_735_729_200);
    }
}
