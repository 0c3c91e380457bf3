//! Several calendar parts in one message: copies, and copies that differ.

use super::*;

const REQUEST: &str = "BEGIN:VCALENDAR\r\nPRODID:-//a//EN\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20250101T000000Z\r\nDTSTART;TZID=Europe/Berlin:20250101T100000\r\nSUMMARY:Team  meeting\r\nORGANIZER:mailto:org@example.com\r\nATTENDEE:mailto:a@example.com\r\nDESCRIPTION:see https://example.com/a?b&c.\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// Reads two parts: one in a multipart/alternative, one beside it.
fn two(one: &str, other: &str) -> Reading {
    read_parts(&[one, other], [2, 0])
}

fn read_parts(texts: &[&str], parents: [usize; 2]) -> Reading {
    let mut parts = vec![mime("multipart/mixed", None), mime("text/plain", Some(0))];
    parts.push(mime("multipart/alternative", Some(0)));
    let mut calendar_parts = Vec::new();
    for (text, parent) in texts.iter().zip(parents) {
        calendar_parts.push(CalendarPart { part: parts.len(), ..part(text) });
        parts.push(mime("text/calendar", Some(parent)));
    }
    let message = Message { parts, calendar_parts, ..Message::default() };
    read(&message, &Settings::default(), &|| false)
}

/// Events left, copies of the first, differences of all.
fn check(other: &str, copies: &[usize], differs: &[&[&str]]) {
    let reading = two(REQUEST, other);
    assert_eq!(reading.events.len(), differs.len(), "{other}");
    assert_eq!(reading.events[0].copies, copies, "{other}");
    for (event, names) in reading.events.iter().zip(differs) {
        assert_eq!(event.differs, *names, "{other}");
    }
}

#[test]
fn equal_texts_are_read_once() {
    for other in [
        REQUEST.to_owned(),
        REQUEST.replace("\r\n", "\n"),
        REQUEST.replace("METHOD:REQUEST\r\n", ""),
        REQUEST.replace("Team  meeting", "Team  mee\r\n ting"),
        REQUEST.replace("DTSTAMP:20250101T000000Z", "DTSTAMP:20250102T000000Z"),
        REQUEST.replace("-//a//EN", "-//b//EN"),
    ] {
        let reading = two(REQUEST, &other);
        assert_eq!(reading.calendars.len(), 2, "{other}");
        assert_eq!(reading.calendars[1].copy_of, Some(0), "{other}");
        assert_eq!((reading.events.len(), &reading.events[0].copies), (1, &vec![1]), "{other}");
        assert!(reading.events[0].differs.is_empty());
    }
    let published = two(REQUEST, &REQUEST.replace("REQUEST", "publish"));
    assert_eq!(published.calendars[1].method.as_deref(), Some("PUBLISH"));
    let thrice = two(&REQUEST.repeat(2), &REQUEST.repeat(2));
    assert_eq!(thrice.calendars[3].copy_of, Some(1));
}

#[test]
fn what_a_calendar_would_not_show_is_no_difference() {
    for (from, to) in [
        ("Team  meeting", "Team meeting \\n"),
        ("mailto:org@example.com", "MAILTO:Org@example.com"),
        ("ATTENDEE:mailto:a@example.com", "ATTENDEE:mailto:b@example.com"),
        ("DTSTART;TZID=Europe/Berlin:20250101T100000", "DTSTART:20250101T090000Z"),
        ("see https://example.com/a?b&c.", "https://example.com/a?b&amp;c"),
    ] {
        check(&REQUEST.replace(from, to), &[1], &[&[]]);
    }
}

#[test]
fn differences_are_named() {
    for (from, to, name) in [
        ("Team  meeting", "Another", "SUMMARY"),
        ("org@example.com", "evil@example.com", "ORGANIZER"),
        ("T100000", "T110000", "DTSTART"),
        ("example.com/a", "example.net/a", "URL"),
    ] {
        check(&REQUEST.replace(from, to), &[], &[&[name], &[name]]);
    }
    check(&REQUEST.replace("UID:1", "UID:2"), &[], &[&["UID"], &["UID"]]);
    let other = REQUEST.replace("UID:1", "UID:2").replace("Team", "My");
    check(&other, &[], &[&["UID", "SUMMARY"], &["UID", "SUMMARY"]]);
}

#[test]
fn several_events_are_no_copies() {
    // Both attached: an organizer may well send two invitations.
    let other = REQUEST.replace("UID:1", "UID:2");
    let reading = read_parts(&[REQUEST, &other], [0, 0]);
    assert!(reading.events.iter().all(|event| event.differs.is_empty()));
    // One part may hold an event and its changed instances.
    let twice = format!("{REQUEST}{}", REQUEST.replace("Team", "My"));
    let reading = read_text(&twice);
    assert_eq!(reading.events.len(), 2);
    assert!(reading.events.iter().all(|event| event.differs.is_empty()));
    // Another instance of the same event is another event.
    let other = REQUEST.replace("SUMMARY:Team", "RECURRENCE-ID:20250108T090000Z\r\nSUMMARY:My");
    let reading = two(REQUEST, &other);
    assert_eq!(reading.events.len(), 2);
}

#[test]
fn indexes_stay_right_when_events_are_merged() {
    let other = REQUEST
        .replace("SUMMARY:Team  meeting", "SUMMARY:Team meeting")
        .replace("DESCRIPTION:see", "X-UNC:\\\\\\\\host\r\nDESCRIPTION:see");
    let reading = two(REQUEST, &other);
    assert_eq!(reading.events.len(), 1);
    assert_eq!(reading.calendars[1].backslash_lines[0].event, Some(0));
    assert_eq!(reading.calendars[1].copy_of, None);
}
