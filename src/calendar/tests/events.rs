//! Events: fields, people, alarms, inner components.

use super::*;
use crate::calendar::{Kind, Moment};

#[test]
fn fields_of_an_event() {
    let event = event(
        "UID:a b\r\nSEQUENCE:3\r\nDTSTAMP:20250101T000000Z\r\nDTSTART:20250101T100030Z\r\nDURATION:PT1H\r\nSTATUS:confirmed\r\nTRANSP:transparent\r\nX-MICROSOFT-CDO-BUSYSTATUS:oof\r\nRECURRENCE-ID;TZID=Europe/Berlin:20250101T110030",
    );
    assert_eq!(event.uid.as_deref(), Some("a b"));
    assert_eq!(event.sequence, Some(3));
    assert_eq!(event.dtstamp, Some(1_735_689_600));
    let start = Moment { timestamp: 1_735_725_630, date_only: false, second: 30 };
    assert_eq!(event.start, Some(start));
    assert_eq!(event.end.map(|end| end.timestamp), Some(1_735_729_230));
    assert!(!event.end_missing);
    assert_eq!(event.status.as_deref(), Some("CONFIRMED"));
    assert_eq!(event.transparency.as_deref(), Some("TRANSPARENT"));
    assert_eq!(event.busy_status.as_deref(), Some("OOF"));
    assert_eq!(event.recurrence_id.as_deref(), Some("20250101T110030"));
    assert_eq!(event.place(&event.properties[0]), "VEVENT[0].UID");
}

#[test]
fn missing_and_empty() {
    let bare = event("SUMMARY:x");
    assert_eq!((bare.uid, bare.start, bare.end, bare.end_missing), (None, None, None, true));
    assert_eq!(event("UID:").uid.as_deref(), Some(""));
    assert!(event("DTSTART;VALUE=DATE:20250101").start.unwrap().date_only);
    assert!(event("DTSTART:20250101").start.unwrap().date_only);
}

#[test]
fn dates_that_are_none() {
    for line in ["DTSTART:soon", "DTSTART:20250230T100000", "DTEND:", "DURATION:long", "RDATE:x"] {
        let reading = read_text(&calendar(line));
        let name = line.split(':').next().unwrap();
        let place = format!("VEVENT[0].{name}");
        assert_eq!(defects(&reading), [(DefectKind::BadValue, place.as_str())], "{line}");
    }
}

#[test]
fn times_find_their_zone() {
    let zones = "BEGIN:VTIMEZONE\r\nTZID:Made up\r\nBEGIN:STANDARD\r\nTZOFFSETTO:-0530\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VTIMEZONE\r\nTZID:Mine\r\nX-LIC-LOCATION:Europe/Berlin\r\nEND:VTIMEZONE\r\n";
    for (zone, expected) in [
        ("Europe/Berlin", 1_735_722_000),
        ("W. Europe Standard Time", 1_735_722_000),
        ("\"/freeassociation.sourceforge.net/Europe/Berlin\"", 1_735_722_000),
        ("Mine", 1_735_722_000),
        ("Made up", 1_735_745_400),
        ("Nowhere", 1_735_725_600),
    ] {
        let event = format!("DTSTART;TZID={zone}:20250101T100000");
        let text = calendar(&event).replace("END:VCALENDAR\r\n", zones) + "END:VCALENDAR\r\n";
        assert_eq!(read_text(&text).events[0].start.unwrap().timestamp, expected, "{zone}");
    }
}

#[test]
fn all_kinds_are_read_and_numbered() {
    let text = "BEGIN:VCALENDAR\nBEGIN:VTODO\nDUE:20250101T100000Z\nEND:VTODO\nBEGIN:VEVENT\nBEGIN:VEVENT\nUID:inner\nEND:VEVENT\nEND:VEVENT\nBEGIN:VJOURNAL\nDESCRIPTION:a\nDESCRIPTION:b\nEND:VJOURNAL\nBEGIN:VFREEBUSY\nDTSTART:20250101T100000Z\nEND:VFREEBUSY\nEND:VCALENDAR\n";
    let reading = read_text(text);
    let found: Vec<_> = reading.events.iter().map(|event| (event.kind, event.ordinal)).collect();
    let expected = [
        (Kind::Todo, 0),
        (Kind::Event, 0),
        (Kind::Event, 1),
        (Kind::Journal, 0),
        (Kind::FreeBusy, 0),
    ];
    assert_eq!(found, expected);
    assert!(reading.defects.is_empty(), "{:?}", reading.defects);
    assert_eq!(reading.events[0].start, reading.events[0].end);
    assert!(reading.events[4].start.is_some());
    assert_eq!(reading.events[2].uid.as_deref(), Some("inner"));
}

#[test]
fn single_properties_that_are_repeated() {
    let text = calendar(
        "SUMMARY:a\r\nSUMMARY:a\r\nURL:http://a\r\nURL:http://b\r\nURL:http://c\r\nCOMMENT:a\r\nCOMMENT:b",
    );
    let reading = read_text(&text);
    assert_eq!(reading.events[0].duplicated, ["URL"]);
    assert_eq!(defects(&reading), [(DefectKind::DuplicateProperty, "VEVENT[0].URL")]);
    let twice = "BEGIN:VCALENDAR\nMETHOD:REQUEST\nMETHOD:CANCEL\nEND:VCALENDAR\n";
    let reading = read_text(twice);
    assert_eq!(reading.calendars[0].method.as_deref(), Some("REQUEST"));
    assert_eq!(defects(&reading), [(DefectKind::DuplicateProperty, "VCALENDAR[0].METHOD")]);
}

#[test]
fn organizers_and_attendees() {
    let event = event(
        "ORGANIZER;CN=\"A^nB^'C^' ^^D\";SENT-BY=\"mailto:Sec@Example.com\";EMAIL=Real@Example.com;DIR=\"http://example.com/d\":MAILTO:Org@Example.com\r\nORGANIZER:invalid:nomail\r\nATTENDEE;CUTYPE=individual;ROLE=req-participant;PARTSTAT=needs-action;X-NUM-GUESTS=0;CN=Bob:mailto:bob@example.com\r\nATTENDEE;EMAIL=x@example.com:urn:uuid:1\r\nATTENDEE;DELEGATED-TO=\"mailto:a@b.c\",\"mailto:d@e.f\":mailto:z@example.com",
    );
    let organizer = &event.organizers[0];
    assert_eq!(organizer.value, "MAILTO:Org@Example.com");
    assert_eq!(organizer.address.as_deref(), Some("org@example.com"));
    assert_eq!(organizer.name.as_deref(), Some("A\nB\"C\" ^D"));
    assert_eq!(organizer.sent_by.as_deref(), Some("sec@example.com"));
    assert_eq!(organizer.email.as_deref(), Some("real@example.com"));
    assert_eq!(organizer.directory.as_deref(), Some("http://example.com/d"));
    assert_eq!(event.organizers[1].address, None);
    assert_eq!(event.organizers[1].value, "invalid:nomail");
    assert_eq!(event.duplicated, ["ORGANIZER"]);
    assert_eq!(event.attendee_count, 3);
    let bob = &event.attendees[0];
    let words = (bob.user_type.as_deref(), bob.role.as_deref(), bob.status.as_deref());
    assert_eq!(words, (Some("INDIVIDUAL"), Some("REQ-PARTICIPANT"), Some("NEEDS-ACTION")));
    assert_eq!(event.attendees[1].address.as_deref(), Some("x@example.com"));
    let delegates =
        event.properties[4].parameters.iter().filter(|(name, _)| name == "DELEGATED-TO");
    assert_eq!(delegates.count(), 2);
}

#[test]
fn components_inside() {
    let event = event(
        "UID:1\r\nBEGIN:VALARM\r\nACTION:email\r\nREPEAT:4\r\nATTACH:http://example.com/a.wav\r\nATTENDEE:mailto:a@example.com\r\nDESCRIPTION:ring\r\nEND:VALARM\r\nBEGIN:VALARM\r\nBEGIN:VLOCATION\r\nNAME:near\r\nEND:VLOCATION\r\nEND:VALARM\r\nBEGIN:PARTICIPANT\r\nPARTICIPANT-TYPE:SPEAKER\r\nCALENDAR-ADDRESS:mailto:speaker@example.com\r\nSTRUCTURED-DATA;VALUE=URI;FMTTYPE=text/html:http://example.com/s\r\nEND:PARTICIPANT\r\nSTYLED-DESCRIPTION;FMTTYPE=text/html:<b>x</b>",
    );
    let components = [
        "VEVENT[0]",
        "VEVENT[0].VALARM[0]",
        "VEVENT[0].VALARM[1]",
        "VEVENT[0].VALARM[1].VLOCATION[0]",
        "VEVENT[0].PARTICIPANT[0]",
    ];
    assert_eq!(event.components, components);
    assert_eq!(event.alarms.len(), 2);
    let alarm = &event.alarms[0];
    assert_eq!((alarm.action.as_deref(), alarm.repeat, alarm.within), (Some("EMAIL"), 4, 1));
    assert_eq!(alarm.attachments, ["http://example.com/a.wav"]);
    assert_eq!(alarm.attendees, ["a@example.com"]);
    assert_eq!((event.attendee_count, event.attendees.len()), (1, 1));
    assert_eq!(event.attendees[0].address.as_deref(), Some("speaker@example.com"));
    assert_eq!(event.notifications(), 6);
    let name = event.properties.iter().find(|property| property.name == "NAME").unwrap();
    assert_eq!(event.place(name), "VEVENT[0].VALARM[1].VLOCATION[0].NAME");
    let styled = event.property("STYLED-DESCRIPTION").unwrap();
    assert_eq!(styled.text(), Some("<b>x</b>"));
}

#[test]
fn version_one_calendars() {
    let text = "BEGIN:VCALENDAR\r\nVERSION:1.0\r\nBEGIN:VEVENT\r\nSUMMARY;ENCODING=QUOTED-PRINTABLE;CHARSET=ISO-8859-1:gr=FCn=\r\n und blau\r\nDTSTART:20250101T100000Z\r\nAALARM:20250101T095000Z;;1;ring.wav\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let reading = read_text(text);
    assert!(reading.defects.is_empty(), "{:?}", reading.defects);
    let event = &reading.events[0];
    assert!(event.property("SUMMARY").unwrap().text().unwrap().starts_with("gr\u{fc}n"));
    let alarm = event.property("AALARM").unwrap().text();
    assert_eq!(alarm, Some("20250101T095000Z;;1;ring.wav"));
}
