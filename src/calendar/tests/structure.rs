//! Components and lines: nesting, garbage, limits.

use super::*;

fn check(text: &str, events: usize, expected: &[(DefectKind, &str)]) {
    let reading = read_text(text);
    assert_eq!(defects(&reading), expected, "{text:?}");
    assert_eq!(reading.events.len(), events, "{text:?}");
}

const EVENT: &str = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\nEND:VEVENT\nEND:VCALENDAR\n";

#[test]
fn good_calendars_have_no_defects() {
    check(EVENT, 1, &[]);
    check(EVENT.trim_end(), 1, &[]);
    check(&EVENT.replace('\n', "\r\n"), 1, &[]);
    check(&EVENT.replace('\n', "\r"), 1, &[]);
    check(&EVENT.replace('\n', "\r\r\n"), 1, &[]);
    check(&EVENT.replace('\n', "\n\n"), 1, &[]);
    check(&format!("\n \n{EVENT}\n\n"), 1, &[]);
    check(&EVENT.to_lowercase(), 1, &[]);
    check(&EVENT.repeat(3), 3, &[]);
    check(&EVENT.replace("UID:1", "RRULE:\nX-A;B=1;C=2:d"), 1, &[]);
}

#[test]
fn text_around_the_calendar() {
    let outside = [(DefectKind::TrailingData, "part[0]")];
    check(&format!("Hello\n{EVENT}"), 1, &outside);
    check(&format!("{EVENT}-- \nSent from my phone\n"), 1, &outside);
    check(
        &format!("BEGIN:VCARD\nFN:Ann\nEND:VCARD\n{EVENT}"),
        1,
        &[(DefectKind::TrailingData, "part[0]"), (DefectKind::EndMismatch, "part[0]")],
    );
    check("BEGIN:VEVENT\nUID:1\nEND:VEVENT\n", 1, &outside);
    check(
        "nothing\n",
        0,
        &[(DefectKind::TrailingData, "part[0]"), (DefectKind::NotCalendar, "part[0]")],
    );
}

#[test]
fn components_closed_in_the_wrong_order() {
    check(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:1\n",
        1,
        &[(DefectKind::Unclosed, "VEVENT[0]"), (DefectKind::Unclosed, "VCALENDAR[0]")],
    );
    check(
        &EVENT.replace("END:VEVENT\n", ""),
        1,
        &[(DefectKind::EndMismatch, "VEVENT[0]"), (DefectKind::Unclosed, "VEVENT[0]")],
    );
    check(&EVENT.replace("UID", "END:VALARM\nUID"), 1, &[(DefectKind::EndMismatch, "VEVENT[0]")]);
    check(
        &EVENT.replace("UID", "BEGIN:VALARM\nUID"),
        1,
        &[
            (DefectKind::EndMismatch, "VEVENT[0].VALARM[0]"),
            (DefectKind::Unclosed, "VEVENT[0].VALARM[0]"),
        ],
    );
    check(&format!("BEGIN:VCALENDAR\n{EVENT}"), 1, &[(DefectKind::Unclosed, "VCALENDAR[0]")]);
    // What is put right keeps its properties.
    let reading = read_text(&EVENT.replace("UID", "END:FOO\nSUMMARY:x\nUID"));
    assert_eq!(reading.events[0].property("SUMMARY").unwrap().text(), Some("x"));
}

#[test]
fn begin_lines_in_disguise() {
    for begin in [
        "begin:vevent",
        "BEGIN :VEVENT",
        "\"BEGIN\":VEVENT",
        "BEGIN;A=B:VEVENT",
        "BEG\n IN:VE\n VENT",
        "BEGIN:VEVENT ",
    ] {
        check(&EVENT.replace("BEGIN:VEVENT", begin), 1, &[]);
    }
}

#[test]
fn lines_that_are_none() {
    let garbage = [(DefectKind::GarbageLine, "VEVENT[0]")];
    for line in ["no content line", "http//example.com", "=", "<a href=\"x\">", "two words:x"] {
        check(&EVENT.replace("UID:1", line), 1, &garbage);
    }
    check(&EVENT.replace("UID:1", "ATTENDEE;CN=\"Ann:mailto:ann@example.com"), 1, &garbage);
    let reading = read_text(&EVENT.replace("UID:1", "ATTENDEE;CN=\"Ann:mailto:ann@example.com"));
    assert_eq!(reading.events[0].attendees[0].address.as_deref(), Some("ann@example.com"));
}

#[test]
fn parameters_and_control_characters() {
    let event = |line: &str| EVENT.replace("UID:1", line);
    check(&event("UID;A=1;a=2:1"), 1, &[(DefectKind::RepeatedParameter, "VEVENT[0]")]);
    check(&event("UID:1\0"), 1, &[(DefectKind::ControlCharacters, "VEVENT[0]")]);
    check(&event("SUMMARY:a\rURL:b"), 1, &[(DefectKind::ControlCharacters, "part[0]")]);
}

#[test]
fn limits_cut_and_say_so() {
    let limited = |text: &str, change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        read_with(text, &settings)
    };
    let reading = limited(&EVENT.repeat(3), |settings| settings.components = 4);
    assert_eq!(defects(&reading), [(DefectKind::LimitComponents, "part[0]")]);
    assert_eq!(reading.events.len(), 2);

    let alarm = EVENT.replace("UID:1", "BEGIN:VALARM\nACTION:AUDIO\nEND:VALARM\nUID:1");
    let reading = limited(&alarm, |settings| settings.depth = 2);
    assert_eq!(defects(&reading), [(DefectKind::LimitNesting, "VEVENT[0]")]);
    assert_eq!((reading.calendars[0].depth, reading.events[0].alarms.len()), (3, 0));
    assert_eq!(reading.events[0].uid.as_deref(), Some("1"));

    let long = EVENT.replace("UID:1", "UID:1\nDESCRIPTION:gr\u{fc}n gr\u{fc}n gr\u{fc}n");
    let reading = limited(&long, |settings| settings.line = 20);
    assert_eq!(defects(&reading), [(DefectKind::LimitLine, "VEVENT[0]")]);
    assert_eq!(reading.events[0].property("DESCRIPTION").unwrap().text(), Some("gr\u{fc}n gr"));

    let lines = "ATTENDEE:mailto:a@example.com\n".repeat(5);
    let reading = limited(&EVENT.replace("UID:1\n", &lines), |settings| {
        settings.attendees = 2;
    });
    assert_eq!(defects(&reading), [(DefectKind::LimitAttendees, "VEVENT[0]")]);
    let event = &reading.events[0];
    assert_eq!((event.attendees.len(), event.attendee_count), (2, 5));
}

#[test]
fn time_may_run_out() {
    let message = Message { calendar_parts: vec![part(EVENT)], ..Message::default() };
    let reading = read(&message, &Settings::default(), &|| true);
    assert_eq!(defects(&reading), [(DefectKind::LimitTime, "")]);
}

#[test]
fn calendars_are_counted() {
    let zone = "BEGIN:VTIMEZONE\nTZID:x\nTZURL:http://example.com/tz\nBEGIN:STANDARD\nEND:STANDARD\nBEGIN:DAYLIGHT\nEND:DAYLIGHT\nEND:VTIMEZONE\n";
    let text = format!(
        "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//x//EN\nMETHOD:request\nCALSCALE:gregorian\nX-WR-CALNAME:Team\n{zone}BEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR\n"
    );
    let reading = read_text(&text);
    let calendar = &reading.calendars[0];
    assert_eq!(calendar.method.as_deref(), Some("REQUEST"));
    assert_eq!(calendar.prodid.as_deref(), Some("-//x//EN"));
    assert_eq!(calendar.version.as_deref(), Some("2.0"));
    assert_eq!(calendar.calscale.as_deref(), Some("GREGORIAN"));
    assert_eq!((calendar.components, calendar.timezones, calendar.observances), (4, 1, 2));
    assert_eq!(calendar.depth, 3);
    let names: Vec<_> = calendar.properties.iter().map(|property| property.name.as_ref()).collect();
    assert_eq!(names, ["VERSION", "PRODID", "METHOD", "CALSCALE", "X-WR-CALNAME", "TZURL"]);
}

#[test]
fn method_and_its_parameter() {
    for (parameter, expected) in [("REQUEST", 0), ("request", 0), ("REPLY", 1)] {
        let text = EVENT.replace("BEGIN:VEVENT", "METHOD:Request\nBEGIN:VEVENT");
        let mut holder = mime("text/calendar", None);
        holder.method = Some(parameter.to_owned());
        let message = Message {
            parts: vec![holder],
            calendar_parts: vec![part(&text)],
            ..Message::default()
        };
        let reading = read(&message, &Settings::default(), &|| false);
        assert_eq!(reading.defects.len(), expected, "{parameter}");
        assert!(reading.defects.iter().all(|defect| defect.kind == DefectKind::MethodMismatch));
    }
}

#[test]
fn json_and_what_is_none() {
    let read_as = |text: &'static str, format: Format| {
        let part = CalendarPart { format, ..part(text) };
        let message = Message { calendar_parts: vec![part], ..Message::default() };
        read(&message, &Settings::default(), &|| false)
    };
    let reading =
        read_as(r#"[["vevent",[["url",{},"uri","http://x.example/"]],[]]]"#, Format::JCal);
    assert_eq!(reading.events[0].property("URL").unwrap().text(), Some("http://x.example/"));
    let reading = read_as(
        r#"{"@type":"Event","uid":"1","start":"2025-01-01T10:00:00","title":"x"}"#,
        Format::JsCalendar,
    );
    assert_eq!(reading.events[0].start.unwrap().timestamp, 1_735_725_600);
    assert!(reading.defects.is_empty());
    for format in [Format::JCal, Format::JsCalendar] {
        let reading = read_as("{[", format);
        assert_eq!(defects(&reading), [(DefectKind::BadValue, "part[0]")]);
    }
    for format in [Format::Empty, Format::XCal, Format::Other] {
        let reading = read_as("BEGIN:VCALENDAR", format);
        assert!(reading.calendars.is_empty() && reading.defects.is_empty());
    }
}
