//! Whole messages: every label and encoding a calendar comes under.

use std::fmt::Write as _;

use super::*;

mod hostile;

/// One line per message: `type/format` per calendar part, then the defects.
fn summary(message: &Message<'_>) -> String {
    let mut summary = String::new();
    for calendar in &message.calendar_parts {
        let part = &message.parts[calendar.part];
        assert!(matches!(part.body, Body::Calendar));
        let _ = write!(summary, "{} {:?}", part.content_type, calendar.format);
        let _ = write!(summary, "{}", if calendar.typed { " typed" } else { "" });
        let _ = write!(summary, "{}; ", if calendar.named { " named" } else { "" });
    }
    for defect in &message.defects {
        let _ = write!(summary, "{} {}", defect.kind, defect.place);
        summary.truncate(summary.trim_end().len());
        summary.push_str("; ");
    }
    summary.trim_end_matches("; ").to_owned()
}

fn read(bytes: &[u8]) -> Message<'_> {
    parse(bytes, false, &Envelope::default(), &Settings::default())
}

fn check(input: impl AsRef<[u8]>, expected: &str) {
    let input = input.as_ref();
    let message = read(input);
    let shown = String::from_utf8_lossy(input.get(..400).unwrap_or(input));
    assert_eq!(summary(&message), expected, "{shown}");
}

/// Checks a mail that is one part with this header, and the text that comes out.
fn check_part(header: &str, body: &[u8], expected: &str, text: &str) {
    let mut input = format!("From: a@example.com\r\n{header}\r\n\r\n").into_bytes();
    input.extend_from_slice(body);
    check(&input, expected);
    let found = read(&input);
    let found = found.calendar_parts.first().map(|calendar| &*calendar.text);
    assert_eq!(found, Some(text), "{header}");
}

const CALENDAR: &str = "BEGIN:VCALENDAR\r\nSUMMARY:x\r\nEND:VCALENDAR\r\n";

#[test]
fn labels() {
    for (label, expected) in [
        ("Content-Type: text/calendar", "text/calendar ICalendar typed"),
        ("Content-Type: TEXT/Calendar; method=REQUEST", "text/calendar ICalendar typed"),
        ("Content-Type: application/ics", "application/ics ICalendar typed"),
        ("Content-Type: application/calendar", "application/calendar ICalendar typed"),
        ("Content-Type: text/x-vcalendar", "text/x-vcalendar ICalendar typed"),
        (
            "Content-Type: application/octet-stream; name=a.ics",
            "application/octet-stream ICalendar named",
        ),
        (
            "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=A.VCS",
            "application/octet-stream ICalendar named",
        ),
        (
            "Content-Type: text/plain; name=a.ifb\nContent-Disposition: inline; filename=b.txt",
            "text/plain ICalendar named",
        ),
        (
            "Content-Type: image/png; name=a.ical",
            "image/png ICalendar named; type-mismatch part[0]",
        ),
        ("Content-Type: text/html; name=a.ics", "text/html ICalendar named; type-mismatch part[0]"),
        ("Content-Type: text/plain", "text/plain ICalendar"),
        ("X-No-Type: here", "text/plain ICalendar"),
        ("Content-Type: image/png", "image/png ICalendar"),
        ("Content-Type: message/rfc822", "message/rfc822 ICalendar"),
        (
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit",
            "message/rfc822 ICalendar",
        ),
    ] {
        check_part(label, CALENDAR.as_bytes(), expected, CALENDAR);
    }
    check("From: a@b\nContent-Type: text/html\n\nBEGIN:VCALENDAR\n", "");
}

#[test]
fn formats() {
    let header = "Content-Type: text/calendar";
    check_part(header, b"", "text/calendar Empty typed; empty-calendar part[0]", "");
    check_part(header, b" \r\n", "text/calendar Empty typed; empty-calendar part[0]", " \r\n");
    check_part(header, b"hello", "text/calendar Other typed; not-calendar part[0]", "hello");
    let json = "[\"vcalendar\",[],[]]";
    let header = "Content-Type: application/calendar+json";
    check_part(header, json.as_bytes(), "application/calendar+json JCal typed", json);
    let json = "{\"@type\":\"Event\"}";
    let header = "Content-Type: application/jscalendar+json";
    check_part(header, json.as_bytes(), "application/jscalendar+json JsCalendar typed", json);
    let xml = "<icalendar/>";
    let header = "Content-Type: application/calendar+xml";
    check_part(header, xml.as_bytes(), "application/calendar+xml XCal typed; xcal part[0]", xml);
}

#[test]
fn encodings() {
    let base64 = "QkVHSU46VkNBTEVOREFSDQpTVU1NQVJZOngNCkVORDpWQ0FMRU5EQVINCg==";
    let typed = "text/calendar ICalendar typed";
    let bad = "text/calendar ICalendar typed; bad-encoding part[0]";
    let header =
        |encoding| format!("Content-Type: text/calendar\r\nContent-Transfer-Encoding: {encoding}");
    check_part(&header("base64"), base64.as_bytes(), typed, CALENDAR);
    check_part(&header("BASE64"), format!("{base64}\r\n").as_bytes(), typed, CALENDAR);
    check_part(&header("base64"), base64.replace("VkN", "Vk!!\nN").as_bytes(), bad, CALENDAR);
    check_part(&header("base64"), CALENDAR.as_bytes(), bad, CALENDAR);
    check_part(&header("x-what"), CALENDAR.as_bytes(), bad, CALENDAR);
    check_part(&header("8bit"), CALENDAR.as_bytes(), typed, CALENDAR);
    let quoted = "BEGIN:VCALENDAR\r\nSUMM=\r\nARY:=78\r\nEND=3AVCALENDAR\r\n";
    check_part(&header("Quoted-Printable"), quoted.as_bytes(), typed, CALENDAR);
    let damaged = "BEGIN:VCALENDAR\r\nX;Y=ZZ=3D\r\n";
    let text = "BEGIN:VCALENDAR\r\nX;Y=ZZ=\r\n";
    check_part(&header("quoted-printable"), damaged.as_bytes(), bad, text);
    let untyped = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64";
    check_part(untyped, base64.as_bytes(), "text/plain ICalendar", CALENDAR);
}

#[test]
fn charsets() {
    let wide: Vec<u8> = CALENDAR.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let typed = "text/calendar ICalendar typed";
    check_part("Content-Type: text/calendar; charset=utf-16", &wide, typed, CALENDAR);
    check_part("Content-Type: text/calendar", &wide, typed, CALENDAR);
    check_part("Content-Type: text/plain", &wide, "text/plain ICalendar", CALENDAR);
    check_part(
        "Content-Type: text/calendar; charset=utf-8",
        &wide,
        "text/calendar ICalendar typed; bad-charset part[0]",
        CALENDAR,
    );
    check_part(
        "Content-Type: text/calendar; charset=windows-1252",
        b"BEGIN:VCALENDAR\nX:\x80",
        typed,
        "BEGIN:VCALENDAR\nX:€",
    );
    check_part(
        "Content-Type: text/calendar; charset=utf-8",
        b"\xEF\xBB\xBFBEGIN:VCALENDAR\r\nX:\xC3\r\n \xBC\r\n",
        typed,
        "BEGIN:VCALENDAR\r\nX:ü\r\n",
    );
    check_part(
        "Content-Type: text/calendar",
        b"BEGIN:VCALENDAR\nX:\xFC\n",
        "text/calendar ICalendar typed; invalid-utf8 part[0]",
        "BEGIN:VCALENDAR\nX:ü\n",
    );
    check_part(
        "Content-Type: text/calendar",
        b"begin:vcalendar\rX:1\r",
        typed,
        "begin:vcalendar\nX:1\n",
    );
}

#[test]
fn bare() {
    for input in ["BEGIN:VCALENDAR\nX:1", "\u{FEFF}\r\n\r\nbegin:vcalendar\r\nX:1"] {
        check(input, "text/calendar ICalendar typed");
        let message = read(input.as_bytes());
        assert!(message.bare && message.headers.is_empty());
        assert_eq!((message.parts.len(), message.part_count), (1, 1));
        assert!(!message.calendar_parts[0].text.starts_with('\u{FEFF}'));
    }
    let declared = |bytes| parse(bytes, true, &Envelope::default(), &Settings::default());
    assert_eq!(summary(&declared(b"[\"vcalendar\"]")), "text/calendar JCal typed");
    assert_eq!(
        summary(&declared(b"")),
        "text/calendar Empty typed; empty-message; empty-calendar part[0]"
    );
}

/// Checks the tree: `type parent depth body` per part.
fn check_tree(input: &str, expected: &[&str]) {
    for input in [input.to_owned(), input.replace('\n', "\r\n"), input.replace('\n', "\r")] {
        let message = read(input.as_bytes());
        let tree: Vec<String> = message
            .parts
            .iter()
            .map(|part| {
                let parent = part.parent.map_or("-".to_owned(), |index| index.to_string());
                let body = match &part.body {
                    Body::Container => "container".to_owned(),
                    Body::Calendar => "calendar".to_owned(),
                    Body::Html(text) => format!("html {}", text.trim_end()),
                    Body::Text(text) => format!("text {}", text.trim_end()),
                    Body::Binary(octets) => format!("binary {}", octets.len()),
                };
                format!("{} {parent} {} {body}", part.content_type, part.message_depth)
            })
            .collect();
        assert_eq!(tree, expected, "{input}");
        assert_eq!(message.part_count, expected.len());
    }
}

#[test]
fn trees() {
    check_tree("Subject: x\n\nhi", &["text/plain - 0 text hi"]);
    check_tree(
        "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=p1\n\npreamble\n--p1\n\
         Content-Type: multipart/alternative; boundary=\"p12\"\n\n--p12\n\nplain\n--p12\n\
         Content-Type: text/html\n\n<p>\n--p12 \nContent-Type: text/calendar\n\n\
         BEGIN:VCALENDAR\n--p12--\nbetween\n--p1\nContent-Type: image/png\n\nabcd\n--p1--\nafter",
        &[
            "multipart/mixed - 0 container",
            "multipart/alternative 0 0 container",
            "text/plain 1 0 text plain",
            "text/html 1 0 html <p>",
            "text/calendar 1 0 calendar",
            "image/png 0 0 binary 4",
        ],
    );
    check_tree(
        "Content-Type: multipart/digest; boundary=d\n\n--d\n\nSubject: in\n\nbody\n--d\n\
         Content-Type: message/rfc822\n\nContent-Type: multipart/mixed; boundary=e\n\n--e\n\n\
         deep\n--e--\n--d--\n",
        &[
            "multipart/digest - 0 container",
            "message/rfc822 0 0 container",
            "text/plain 1 1 text body",
            "message/rfc822 0 0 container",
            "multipart/mixed 3 1 container",
            "text/plain 4 1 text deep",
        ],
    );
    check_tree(
        "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: message/rfc822\n\
         Content-Transfer-Encoding: base64\n\nU3ViamVjdDogaW4KQ29udGVudC1UeXBlOiB0ZXh0L2NhbGVuZGFyCgpCRUdJTjpWQ0FMRU5EQVIK\n\
         --b\n\nlast\n--b--\n",
        &[
            "multipart/mixed - 0 container",
            "message/rfc822 0 0 container",
            "text/calendar 1 1 calendar",
            "text/plain 0 0 text last",
        ],
    );
    check_tree(
        "Content-Type: multipart/mixed; boundary=b\n\nno boundary line here",
        &["multipart/mixed - 0 text no boundary line here"],
    );
}

#[test]
fn headers() {
    let input = "\r\nFrom: =?utf-8?q?=C3=84nn?= <ANN@Example.com>\r\nFROM: b@example.com\r\n\
                 Sender: Desk <desk@example.com>\r\nReply-To: r@example.com\r\n\
                 To: Us: u1@example.org, u2@example.org;\r\nCc: c@example.org\r\n\
                 Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n  there\r\n\
                 Date: Thu, 1 Jan 1970 00:00:10 +0000\r\nMessage-ID: <id@example.com>\r\n\r\nhi";
    let message = read(input.as_bytes());
    let addresses = |list: &[Mailbox]| {
        list.iter().map(|mailbox| mailbox.address.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(addresses(&message.from), "ann@example.com b@example.com");
    assert_eq!(message.from[0].name, "Änn");
    assert_eq!(message.sender.as_ref().map(Mailbox::host), Some("example.com"));
    assert_eq!(addresses(&message.reply_to), "r@example.com");
    assert_eq!(addresses(&message.to), "u1@example.org u2@example.org c@example.org");
    assert_eq!(message.subject.as_deref(), Some("Grüße there"));
    assert_eq!(message.date, Some(10));
    assert_eq!(message.message_id.as_deref(), Some("id@example.com"));
    assert_eq!(message.headers[1].name, "FROM");
    assert_eq!(&*message.headers[6].raw, b" =?utf-8?b?R3LDvMOfZQ==?=\r\n  there\r\n");
    assert_eq!(message.headers[6].decoded(), "Grüße there");
    assert!(message.headers.iter().all(|header| matches!(header.raw, Cow::Borrowed(_))));
    assert_eq!(message.part_headers(0).len(), 9);
}

#[test]
fn method_and_names() {
    let input = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\
                 Content-Type: text/calendar; method=\" request\"; charset=utf-8\n\
                 Content-Disposition: ATTACHMENT; filename=\"=?utf-8?q?=C3=BC?=.ics\"\n\n\
                 BEGIN:VCALENDAR\n--b--";
    let message = read(input.as_bytes());
    let part = &message.parts[1];
    assert_eq!(part.method.as_deref(), Some("REQUEST"));
    assert_eq!(part.name.as_deref(), Some("ü.ics"));
    assert_eq!(part.disposition.as_deref(), Some("attachment"));
    assert_eq!(message.part_headers(1).len(), 2);
    assert_eq!(&*message.calendar_parts[0].text, "BEGIN:VCALENDAR");
    assert!(matches!(message.calendar_parts[0].text, Cow::Borrowed(_)));
}
