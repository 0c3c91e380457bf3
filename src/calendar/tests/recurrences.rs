//! Recurrence: counts are right, and rules made to hurt are named and cheap.

use super::*;
use crate::calendar::Recurrence;
use calcard::common::timezone::Tz;
use calcard::icalendar::ICalendar;

fn recurrence(lines: &str) -> Recurrence {
    event(&format!("DTSTART:20250101T100000Z\r\n{lines}")).recurrence
}

/// Instances in 366 days, and the last one if there is one.
fn check(lines: &str, instances: u64, last: Option<i64>) {
    let found = recurrence(lines);
    let seen = (found.instances, found.estimated, found.last, found.abusive.is_empty());
    assert_eq!(seen, (instances, false, last, true), "{lines}");
}

const START: i64 = 1_735_725_600;
const DAY: i64 = 86_400;

#[test]
fn plain_rules() {
    check("", 1, Some(START));
    check("RRULE:", 1, Some(START));
    check("RRULE:FREQ=DAILY", 366, None);
    check("RRULE:FREQ=DAILY;COUNT=5", 5, Some(START + 4 * DAY));
    check("RRULE:FREQ=DAILY;INTERVAL=2;COUNT=1000", 183, Some(START + 1_998 * DAY));
    check("RRULE:FREQ=DAILY;UNTIL=20250105T100000Z", 5, Some(START + 4 * DAY));
    check("RRULE:FREQ=DAILY;UNTIL=20250105", 5, Some(START + 4 * DAY));
    check("RRULE:FREQ=DAILY;UNTIL=20300101T100000Z", 366, Some(START + 1_826 * DAY));
    check("RRULE:FREQ=DAILY;UNTIL=20200101", 1, Some(START));
    check("RRULE:FREQ=WEEKLY", 53, None);
    check("RRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR", 157, None);
    check("RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=WE,TH;COUNT=4", 4, Some(START + 15 * DAY));
    check("RRULE:FREQ=MONTHLY", 13, None);
    check("RRULE:FREQ=MONTHLY;BYDAY=1WE;COUNT=3", 3, Some(START + 63 * DAY));
    check("RRULE:FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", 13, None);
    check("RRULE:FREQ=YEARLY", 2, None);
    check("RRULE:FREQ=YEARLY;COUNT=3", 2, Some(START + 730 * DAY));
    check("RRULE:FREQ=HOURLY;COUNT=3", 3, Some(START + 7_200));
    check("RRULE:FREQ=HOURLY;INTERVAL=6", 1_464, None);
    check("RRULE:FREQ=HOURLY;BYHOUR=10,11;BYDAY=WE", 106, None);
    check("RRULE:FREQ=DAILY;BYHOUR=10,12;BYMINUTE=0,30", 1_464, None);
}

#[test]
fn dates_beside_the_rule() {
    check("RDATE:20250201T100000Z,20250301T100000Z", 3, Some(START + 59 * DAY));
    check("RDATE;VALUE=PERIOD:20250201T100000Z/PT1H", 2, Some(START + 31 * DAY));
    check("RRULE:FREQ=DAILY;COUNT=5\r\nEXDATE:20250105T100000Z", 4, Some(START + 3 * DAY));
    check("RRULE:FREQ=DAILY;COUNT=5\r\nRDATE:20250101T100000Z", 5, Some(START + 4 * DAY));
    check("RRULE:FREQ=DAILY;COUNT=2\r\nRRULE:FREQ=WEEKLY;COUNT=2", 3, Some(START + 7 * DAY));
    check("RDATE:20290101T100000Z", 1, Some(START + 1_461 * DAY));
    let found = recurrence("RRULE:FREQ=DAILY;COUNT=2\r\nEXDATE:20250101T100000Z,20250102T100000Z");
    assert_eq!((found.instances, found.first, found.exceptions), (0, None, 2));
    // Clock time stays the same across daylight saving.
    let text = "DTSTART;TZID=Europe/Berlin:20250329T100000\r\nRRULE:FREQ=DAILY;COUNT=3\r\nEXDATE;TZID=Europe/Berlin:20250330T100000";
    assert_eq!(event(text).recurrence.instances, 2);
}

#[test]
fn facts_of_a_rule() {
    let found = recurrence("RRULE:freq=weekly;BYDAY=MO,TU;BYHOUR=1,2,3;COUNT=9");
    assert_eq!(found.rules, ["freq=weekly;BYDAY=MO,TU;BYHOUR=1,2,3;COUNT=9"]);
    assert_eq!(found.frequency.as_deref(), Some("WEEKLY"));
    assert_eq!((found.count, found.by_product, found.endless), (Some(9), 6, false));
    assert!(recurrence("RRULE:FREQ=DAILY").endless);
    let reading = read_text(&calendar("DTSTART:20250101T100000Z\r\nRRULE:FREQ=SOMETIMES"));
    assert_eq!(defects(&reading), [(DefectKind::BadValue, "VEVENT[0].RRULE")]);
}

#[test]
fn rules_made_to_hurt() {
    let numbers = |from: u32, to: u32| {
        (from..=to).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
    };
    let lists = format!(
        "RRULE:FREQ=YEARLY;BYYEARDAY={};BYHOUR={};BYMINUTE={};BYSECOND={}",
        numbers(1, 366),
        numbers(0, 23),
        numbers(0, 59),
        numbers(0, 59)
    );
    let rules = "RRULE:FREQ=DAILY\r\n".repeat(21);
    let dates = format!("RDATE:{}", "20250101T000000Z,".repeat(1_001).trim_end_matches(','));
    for (lines, names, bound) in [
        ("RRULE:FREQ=DAILY;INTERVAL=0", vec!["interval-0"], 367),
        ("RRULE:FREQ=SECONDLY;COUNT=1000000000", vec!["secondly", "count"], 31_622_400),
        ("RRULE:FREQ=DAILY;COUNT=100001", vec!["count"], 367),
        ("RRULE:FREQ=SECONDLY;COUNT=5", vec!["secondly"], 5),
        (lists.as_str(), vec!["by-product"], 31_622_400),
        (rules.as_str(), vec!["many-rules"], 21 * 366),
        (dates.as_str(), vec!["many-dates"], 1_002),
    ] {
        let text = calendar(&format!("DTSTART:20250101T100000Z\r\n{lines}"));
        let reading = read_text(&text);
        let found = &reading.events[0].recurrence;
        assert_eq!(found.abusive, names, "{lines:.60}");
        assert!(found.estimated && found.instances <= bound, "{lines:.60} {}", found.instances);
        let limit = (DefectKind::LimitRecurrence, "VEVENT[0].RRULE");
        assert_eq!(defects(&reading), [limit], "{lines:.60}");
    }
    let minutely = recurrence("RRULE:FREQ=MINUTELY");
    assert_eq!((minutely.instances, minutely.estimated), (366 * 1_440, false));
    assert_eq!(minutely.abusive, ["minutely"]);
    // Asked for ever, never chosen: cheap and exact.
    check("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 1, None);
}

#[test]
fn the_same_as_calcard() {
    for rule in [
        "FREQ=DAILY;BYMONTH=1,6",
        "FREQ=DAILY;INTERVAL=3;BYDAY=WE,SA",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=WE,SU;WKST=SU",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=WE,SU;WKST=MO",
        "FREQ=MONTHLY;BYMONTHDAY=1,-1",
        "FREQ=MONTHLY;BYDAY=1WE,-2TU",
        "FREQ=MONTHLY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
        "FREQ=YEARLY;BYDAY=1WE,20MO,-1SU",
        "FREQ=YEARLY;BYMONTH=1,11;BYDAY=1WE",
        "FREQ=YEARLY;BYYEARDAY=1,100,-1",
        "FREQ=YEARLY;BYWEEKNO=1,20,53;BYDAY=WE",
        "FREQ=YEARLY;BYMONTHDAY=1,13;BYDAY=WE,FR",
        "FREQ=WEEKLY;BYDAY=WE,TH;BYHOUR=10,12;BYSETPOS=1,-1",
        "FREQ=HOURLY;BYHOUR=10,20;BYMONTH=1",
    ] {
        let text = calendar(&format!(
            "UID:1\r\nDTSTART:20250101T100000Z\r\nRRULE:{rule};UNTIL=20251231T235959Z"
        ));
        let mut expected: Vec<i64> = ICalendar::parse(&text)
            .unwrap()
            .expand_dates(Tz::UTC, 10_000)
            .events
            .iter()
            .map(|instance| instance.start.timestamp())
            .collect();
        expected.push(START);
        expected.sort_unstable();
        expected.dedup();
        let found = read_text(&text).events.remove(0).recurrence;
        let seen = (found.instances, found.last);
        assert_eq!(seen, (expected.len() as u64, expected.last().copied()), "{rule}");
    }
}
