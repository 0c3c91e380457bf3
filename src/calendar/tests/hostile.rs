//! Hostile input in small: it is answered, and what it costs is bounded by design.

use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: &[DefectKind]) -> Reading {
    let reading = read_text(text);
    for kind in expected {
        assert!(reading.defects.iter().any(|defect| defect.kind == *kind), "{kind} missing");
    }
    assert!(reading.defects.len() <= 100);
    reading
}

#[test]
fn deep_nesting() {
    for name in ["VEVENT", "VALARM", "X-ANY", "VCALENDAR"] {
        let text = format!("BEGIN:VCALENDAR\n{}", format!("BEGIN:{name}\n").repeat(10_000));
        check(&text, &[DefectKind::LimitComponents]);
    }
    let closed = format!("{}{}", "BEGIN:X\n".repeat(900), "END:X\n".repeat(900));
    let text = calendar("UID:1").replace("BEGIN:VEVENT", &format!("{closed}BEGIN:VEVENT"));
    let reading = check(&text, &[DefectKind::LimitNesting]);
    assert_eq!((reading.calendars[0].depth, reading.events.len()), (901, 1));
}

#[test]
fn what_hides_an_event_does_not() {
    let junk = "junk\n".repeat(150_000);
    assert_eq!(read_text(&format!("{junk}{}", calendar("UID:1"))).events.len(), 1);
    let text = calendar("UID:1").replace("BEGIN:VEVENT", &format!("{junk}BEGIN:VEVENT"));
    assert_eq!(read_text(&text).events.len(), 1);
    let ends = "END:NOTHING\n".repeat(150_000);
    let text = calendar("UID:1").replace("BEGIN:VEVENT", &format!("{ends}BEGIN:VEVENT"));
    assert_eq!(read_text(&text).events.len(), 1);
    let observance = "BEGIN:STANDARD\nTZOFFSETTO:+0100\nEND:STANDARD\n".repeat(6_000);
    let zone = format!("BEGIN:VTIMEZONE\nTZID:x\n{observance}END:VTIMEZONE\nBEGIN:VEVENT");
    let reading = read_text(&calendar("UID:1").replace("BEGIN:VEVENT", &zone));
    assert_eq!((reading.events.len(), reading.calendars[0].observances), (1, 6_000));
    assert!(reading.defects.is_empty(), "{:?}", reading.defects);
}

#[test]
fn many_of_everything() {
    let attendees = "ATTENDEE:mailto:a@example.com\n".repeat(20_000);
    let reading = check(&calendar(&attendees), &[DefectKind::LimitAttendees]);
    assert_eq!(reading.events[0].attendee_count, 20_000);
    assert_eq!(reading.events[0].attendees.len(), 10_000);

    check(&calendar(&"A:1\n".repeat(110_000)), &[DefectKind::LimitComponents]);

    let dates = format!("RDATE:{}", "1,".repeat(1_100_000));
    let reading = check(&calendar(&dates), &[DefectKind::LimitLine, DefectKind::BadValue]);
    assert_eq!(reading.events[0].recurrence.dates, 1_100_001);

    let parameters = format!("ATTENDEE{}:mailto:a@example.com\n", ";A".repeat(150_000));
    check(&calendar(&parameters.repeat(2)), &[DefectKind::LimitLine]);

    check(&calendar(&format!("DESCRIPTION:{}", "x".repeat(3_000_000))), &[DefectKind::LimitLine]);

    let events = "BEGIN:VEVENT\nEND:VEVENT\n".repeat(5_100);
    let text = format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n");
    assert_eq!(check(&text, &[DefectKind::LimitComponents]).events.len(), 4_999);
}

#[test]
fn broken_octets() {
    check(&calendar("DESCRIPTION:a\0b\n\0\0:\0\nX-\0:\0"), &[DefectKind::ControlCharacters]);
    check("BEGIN:VCALENDAR\nBEGIN:VEVENT\nATTENDEE;CN=\"\n", &[DefectKind::Unclosed]);
    for text in ["BEGIN:", "BEGIN:VCALENDAR", "END:", ":", "BEGIN:VCALENDAR\n;\n:\n=\n", "\u{feff}"]
    {
        read_text(text);
    }
}

#[test]
fn a_zone_that_names_itself() {
    let zone = "BEGIN:VTIMEZONE\nTZID:X\nBEGIN:STANDARD\nTZID:X\nDTSTART;TZID=X:19700101T000000\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT";
    let text = calendar("DTSTART;TZID=X:20250101T100000").replace("BEGIN:VEVENT", zone);
    assert_eq!(read_text(&text).events[0].start.unwrap().timestamp, 1_735_722_000);
}

#[test]
fn the_work_of_all_rules_together_is_bounded() {
    let rules = "RRULE:FREQ=YEARLY;BYYEARDAY=1;BYMONTHDAY=30;COUNT=5\n".repeat(19);
    let event = format!("BEGIN:VEVENT\nDTSTART:20250101T100000Z\n{rules}END:VEVENT\n");
    let text = format!("BEGIN:VCALENDAR\n{}END:VCALENDAR\n", event.repeat(1_000));
    assert_eq!(check(&text, &[DefectKind::LimitRecurrence]).events.len(), 1_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn anything_is_answered(text in "(BEGIN|END|:VEVENT|:VCALENDAR|:VALARM|RRULE|DTSTART|ATTENDEE|;|=|:|,|\"|\\\\|\n |\n|\r|[a-z0-9]|\u{e4}|\0){0,200}") {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\n{text}");
        let reading = read_text(&text);
        prop_assert!(!reading.calendars.is_empty());
    }

    #[test]
    fn any_rule_is_answered(rule in "FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY|HOURLY|MINUTELY)(;(COUNT|INTERVAL|BYMONTH|BYMONTHDAY|BYYEARDAY|BYWEEKNO|BYSETPOS|BYHOUR|BYDAY)=(-?[0-9]{1,4}|MO|-1SU)(,[0-9]{1,2}){0,3}){0,4}") {
        let found = event(&format!("DTSTART:20250101T100000Z\nRRULE:{rule}"));
        prop_assert!(found.recurrence.instances >= 1);
    }
}
