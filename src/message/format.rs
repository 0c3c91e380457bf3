//! Says which parts are calendars and what is in them.
//!
//! Comes in: declared types, file names and content.
//! Goes out: a [`Format`] and the answers of a few small questions.
//! Not an error: a part whose label and content disagree; the caller makes it a defect.

use memchr::memmem;

use super::Format;

/// Declared types that mean a calendar.
const CALENDAR_TYPES: [&str; 7] = [
    "text/calendar",
    "application/ics",
    "application/calendar",
    "text/x-vcalendar",
    "application/calendar+json",
    "application/jscalendar+json",
    "application/calendar+xml",
];

/// File name endings that mean a calendar.
const CALENDAR_ENDINGS: [&str; 4] = [".ics", ".ical", ".ifb", ".vcs"];

/// Content looked at to tell the format.
const WINDOW: usize = 4 * 1024;

const BEGIN: &[u8] = b"BEGIN:VCALENDAR";

/// True when a declared type (lower case) means a calendar.
pub(super) fn is_calendar_type(content_type: &str) -> bool {
    CALENDAR_TYPES.contains(&content_type)
}

/// True when a file name means a calendar. Dots, spaces and quotes at the end do not count:
/// Windows drops them when it saves the file.
pub(super) fn is_calendar_name(name: &str) -> bool {
    let name = name.trim_end_matches(|c: char| c.is_whitespace() || ".\"'\0".contains(c));
    CALENDAR_ENDINGS.iter().any(|ending| {
        name.len()
            .checked_sub(ending.len())
            .and_then(|start| name.get(start..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
    })
}

/// True when the octets begin with `BEGIN:VCALENDAR` in any case, after a byte order mark
/// and blank lines, in UTF-8 or UTF-16.
pub(super) fn starts_calendar(bytes: &[u8]) -> bool {
    let window = bytes.get(..WINDOW).unwrap_or(bytes);
    // Leaving out zeros reads ASCII in any wide encoding and byte order.
    let mut rest = window.iter().filter(|byte| **byte != 0).skip_while(|byte| {
        byte.is_ascii_whitespace() || matches!(byte, 0xEF | 0xBB | 0xBF | 0xFE | 0xFF)
    });
    BEGIN.iter().all(|wanted| rest.next().is_some_and(|byte| byte.eq_ignore_ascii_case(wanted)))
}

/// True when a line begins with `BEGIN:VCALENDAR` in any case.
pub(super) fn is_begin_line(line: &[u8]) -> bool {
    line.get(..BEGIN.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEGIN))
}

/// Tells what a calendar part holds.
pub(super) fn detect(text: &str, content_type: &str) -> Format {
    let start = text.trim_start_matches(|c: char| c.is_whitespace() || "\0\u{FEFF}".contains(c));
    if start.is_empty() {
        return Format::Empty;
    }
    let all = text.as_bytes();
    if contains_begin(all.get(..WINDOW).unwrap_or(all)) {
        return Format::ICalendar;
    }
    let bytes = start.as_bytes();
    match bytes.first() {
        Some(b'[') if is_jcal(start) => Format::JCal,
        Some(b'[' | b'{')
            if content_type == "application/jscalendar+json" || is_jscalendar(bytes) =>
        {
            Format::JsCalendar
        }
        Some(b'<') if is_xcal(bytes.get(..WINDOW).unwrap_or(bytes)) => Format::XCal,
        _ => Format::Other,
    }
}

fn contains_begin(window: &[u8]) -> bool {
    memchr::memchr2_iter(b'b', b'B', window)
        .any(|position| window.get(position..).is_some_and(is_begin_line))
}

/// `["vcalendar"`, also as the first element of a list.
fn is_jcal(text: &str) -> bool {
    let inside = text.trim_start_matches(|c: char| c == '[' || c.is_ascii_whitespace());
    inside.get(..11).is_some_and(|start| start.eq_ignore_ascii_case("\"vcalendar\""))
}

/// Any `"@type"` of Event, Task or Group. Members of JSON objects have no order, so that
/// the whole text is searched.
fn is_jscalendar(bytes: &[u8]) -> bool {
    let key = b"\"@type\"";
    memmem::find_iter(bytes, key).any(|position| {
        let after = bytes.get(position + key.len()..).unwrap_or_default();
        let value = after.trim_ascii_start();
        value.strip_prefix(b":").is_some_and(|value| {
            let value = value.trim_ascii_start();
            [&b"\"Event\""[..], b"\"Task\"", b"\"Group\""]
                .iter()
                .any(|kind| value.starts_with(kind))
        })
    })
}

fn is_xcal(window: &[u8]) -> bool {
    let window = window.to_ascii_lowercase();
    memmem::find(&window, b"<icalendar").is_some()
        || memmem::find(&window, b"urn:ietf:params:xml:ns:icalendar-2.0").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, content_type: &str, expected: Format) {
        assert_eq!(detect(text, content_type), expected, "{text:?}");
    }

    #[test]
    fn formats() {
        check("", "text/calendar", Format::Empty);
        check("\u{FEFF}\r\n \0", "text/calendar", Format::Empty);
        check("BEGIN:VCALENDAR", "text/plain", Format::ICalendar);
        check("\n\njunk\nbegin:VCalendar\n", "text/calendar", Format::ICalendar);
        check(&format!("{}BEGIN:VCALENDAR", "x".repeat(5_000)), "text/calendar", Format::Other);
        check(" [ \"vcalendar\",[]]", "application/calendar+json", Format::JCal);
        check("[[\"vcalendar\",[]]]", "application/calendar+json", Format::JCal);
        check("{\"uid\":1,\"@type\" : \"Event\"}", "text/calendar", Format::JsCalendar);
        check("{\"uid\":1}", "application/jscalendar+json", Format::JsCalendar);
        check("{\"@type\":\"Card\"}", "application/calendar+json", Format::Other);
        check("<?xml?><icalendar xmlns=\"x\">", "application/calendar+xml", Format::XCal);
        check("<a xmlns='urn:ietf:params:xml:ns:icalendar-2.0'>", "text/xml", Format::XCal);
        check("<html>", "text/calendar", Format::Other);
        check("Hello", "application/jscalendar+json", Format::Other);
    }

    fn check_name(name: &str, expected: bool) {
        assert_eq!(is_calendar_name(name), expected, "{name:?}");
    }

    #[test]
    fn names() {
        check_name("invite.ics", true);
        check_name("Invite.ICS. ", true);
        check_name("a.ical", true);
        check_name("a.ifb", true);
        check_name("a.vcs\"", true);
        check_name("é.ics", true);
        check_name(".ics", true);
        check_name("ics", false);
        check_name("a.ics.exe", false);
        check_name("éics", false);
        check_name("", false);
    }

    fn check_start(bytes: &[u8], expected: bool) {
        assert_eq!(starts_calendar(bytes), expected, "{bytes:?}");
    }

    #[test]
    fn starts() {
        check_start(b"BEGIN:VCALENDAR", true);
        check_start(b"\xEF\xBB\xBF\r\n\r\nbegin:vcalendar\r\n", true);
        check_start(b"\xFF\xFEB\0E\0G\0I\0N\0:\0V\0C\0A\0L\0E\0N\0D\0A\0R\0", true);
        check_start(b"\0B\0E\0G\0I\0N\0:\0V\0C\0A\0L\0E\0N\0D\0A\0R", true);
        check_start(b"BEGIN:VCARD", false);
        check_start(b"x BEGIN:VCALENDAR", false);
        check_start(b"BEGIN:VCAL", false);
        check_start(b"", false);
    }
}
