//! Takes one content line apart as far as the survey needs: name, parameters, value.

use memchr::memchr2_iter;

use super::lines::{Line, Lines};

/// A content line as the survey sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content<'x> {
    /// Nothing but white space.
    Blank,
    /// No content line.
    Garbage,
    /// BEGIN or END, however it is dressed up.
    Boundary {
        /// BEGIN rather than END.
        begin: bool,
        /// The component's name as written.
        name: &'x str,
    },
    /// `name *(";" parameter) ":" value`.
    Named {
        /// Name as written.
        name: &'x str,
        /// Value as written, folds inside.
        value: &'x str,
        /// What the parameters come to.
        parameters: Parameters,
    },
}

/// What the parameters of a line come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// A name stands twice.
    pub(super) repeated: bool,
    /// A quote is not closed, so the value could not be found.
    pub(super) unbalanced: bool,
    /// `ENCODING=QUOTED-PRINTABLE` (vCalendar 1.0).
    pub(super) quoted_printable: bool,
    /// Parameters and list members past the first dozen, which calcard would keep.
    pub(super) pieces: usize,
}

/// Octets of a component's name.
const MOST_NAME: usize = 64;
/// Parameters on a line that are nothing special.
const USUAL_PARAMETERS: usize = 12;

/// Takes the line apart; a line with quoted-printable soft breaks takes in the next ones.
pub(super) fn parse<'x>(line: &mut Line<'x>, lines: &mut Lines<'x>) -> Content<'x> {
    let head = line.head();
    let length = name_length(head);
    if let Some(begin) = boundary(head) {
        let value = line.raw.split_once(':').map_or("", |(_, value)| value);
        return Content::Boundary { begin, name: value };
    }
    match head.get(length) {
        Some(b':') if length > 0 => split(line.raw, length, length + 1, Parameters::default()),
        Some(b';') if length > 0 => {
            let (value, parameters) = parameters(line.raw.as_bytes(), length);
            if parameters.quoted_printable {
                lines.join_soft_breaks(line);
            }
            match value {
                Some(value) => split(line.raw, length, value, parameters),
                None if parameters.unbalanced => {
                    split(line.raw, length, line.raw.len(), parameters)
                }
                None => Content::Garbage,
            }
        }
        _ if line.raw.trim().is_empty() => Content::Blank,
        _ => Content::Garbage,
    }
}

/// True when the line is folded before its name ends.
pub(super) fn name_is_folded(line: &Line<'_>) -> bool {
    line.folded && line.head().iter().all(|byte| is_name(*byte))
}

/// Says whether a line is BEGIN (true) or END (false).
///
/// Calcard takes `BEGIN :X`, `"BEGIN":X` and `BEGIN;A=B:X` for BEGIN lines, so whatever
/// stands between the letters is looked through.
fn boundary(head: &[u8]) -> Option<bool> {
    let first = head.iter().find(|byte| byte.is_ascii_alphanumeric())?;
    let word: &[u8] = match first {
        b'B' | b'b' => b"BEGIN",
        b'E' | b'e' => b"END",
        _ => return None,
    };
    let end = head.iter().position(|byte| matches!(byte, b':' | b';' | b',' | b'='))?;
    let name = head.get(..end).unwrap_or_default();
    let mut letters = name.iter().filter(|byte| is_name(**byte) || !byte.is_ascii());
    let same = word.iter().all(|byte| letters.next().is_some_and(|l| l.eq_ignore_ascii_case(byte)));
    (same && letters.next().is_none()).then_some(word.len() == 5)
}

/// A component's name in upper case, without anything that is no name.
pub(super) fn component_name(written: &str) -> String {
    if written.len() <= MOST_NAME && name_length(written.as_bytes()) == written.len() {
        return written.to_ascii_uppercase();
    }
    let mut name: String =
        written.chars().filter(|c| u8::try_from(*c).is_ok_and(is_name)).take(MOST_NAME).collect();
    name.make_ascii_uppercase();
    name
}

fn split(raw: &str, name: usize, value: usize, parameters: Parameters) -> Content<'_> {
    Content::Named {
        name: raw.get(..name).unwrap_or_default(),
        value: raw.get(value..).unwrap_or_default(),
        parameters,
    }
}

/// RFC 5545 names, plus what vCalendar 1.0 and sloppy generators put into them.
const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// A table of octets: every octet of every name and parameter is looked up.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which would refuse it")]
const fn table(stops: bool) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] =
            if stops { matches!(byte, b'"' | b'=' | b',' | b';' | b':') } else { is_name(byte) };
        byte += 1;
    }
    table
}

/// Octets that may stand in names.
static NAMES: [bool; 256] = table(false);
/// Octets that mean something among parameters.
static STOPS: [bool; 256] = table(true);

fn is_in(table: &[bool; 256], byte: u8) -> bool {
    table.get(usize::from(byte)).copied().unwrap_or(false)
}

fn name_length(head: &[u8]) -> usize {
    head.iter().position(|byte| !is_in(&NAMES, *byte)).unwrap_or(head.len())
}

/// Scans parameters from the semicolon after the name to the colon before the value.
fn parameters(raw: &[u8], from: usize) -> (Option<usize>, Parameters) {
    let mut found = Parameters::default();
    let mut names = [&[] as &[u8]; USUAL_PARAMETERS];
    let mut known = 0;
    let mut quoted = false;
    let mut start = from + 1;
    let mut equals = None;
    let mut pieces = 0_usize;
    let mut value = None;
    let mut offset = from + 1;
    while let Some(skipped) =
        raw.get(offset..).and_then(|rest| rest.iter().position(|byte| is_in(&STOPS, *byte)))
    {
        offset += skipped;
        let byte = raw.get(offset).copied().unwrap_or_default();
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'=' if equals.is_none() => {
                equals = Some(offset);
                let name = raw.get(start..offset).unwrap_or_default();
                found.repeated |=
                    names.iter().take(known).any(|earlier| earlier.eq_ignore_ascii_case(name));
                if let Some(slot) = names.get_mut(known) {
                    *slot = name;
                    known += 1;
                }
            }
            b',' => pieces += 1,
            b';' | b':' => {
                pieces += 1;
                if let Some(equals) = equals.take() {
                    let name = raw.get(start..equals).unwrap_or_default();
                    found.quoted_printable |= name.eq_ignore_ascii_case(b"ENCODING")
                        && raw
                            .get(equals + 1..offset)
                            .is_some_and(|text| text.eq_ignore_ascii_case(b"QUOTED-PRINTABLE"));
                }
                start = offset + 1;
                if byte == b':' {
                    value = Some(offset + 1);
                    break;
                }
            }
            _ => {}
        }
        offset += 1;
    }
    found.unbalanced = value.is_none() && quoted;
    found.pieces = pieces.saturating_sub(USUAL_PARAMETERS);
    (value, found)
}

/// Separators calcard splits the value at, where the property may have several values.
pub(super) fn separators(name: &str, value: &str) -> usize {
    if value.len() < 32 || is_single(name) {
        return 0;
    }
    memchr2_iter(b',', b';', value.as_bytes()).count()
}

/// Common properties whose value is never split.
fn is_single(name: &str) -> bool {
    matches!(
        name,
        "SUMMARY"
            | "DESCRIPTION"
            | "LOCATION"
            | "COMMENT"
            | "CONTACT"
            | "ATTENDEE"
            | "ORGANIZER"
            | "ATTACH"
            | "URL"
            | "UID"
            | "DTSTART"
            | "DTEND"
            | "RRULE"
            | "PRODID"
            | "IMAGE"
            | "CONFERENCE"
            | "STRUCTURED-DATA"
            | "STYLED-DESCRIPTION"
    )
}

/// The first values of a list.
pub(super) fn values<'v>(name: &str, value: &'v str, most: usize) -> &'v str {
    if is_single(name) {
        return value;
    }
    let end = memchr2_iter(b',', b';', value.as_bytes()).nth(most).unwrap_or(value.len());
    value.get(..end).unwrap_or_default()
}

/// The text cut to a length in octets, at a character boundary.
pub(super) fn cut(text: &str, length: usize) -> &str {
    text.get(..text.floor_char_boundary(length)).unwrap_or_default()
}

/// True when there are control characters other than tab and line ends.
pub(super) fn has_control_characters(bytes: &[u8]) -> bool {
    // Chunks without an early exit inside become vector code; the exit between chunks keeps
    // binary rubbish cheap.
    bytes.chunks(4096).any(|chunk| {
        chunk.iter().fold(0_u8, |found, byte| {
            let allowed = u8::from(matches!(*byte, b'\t' | b'\n' | b'\r'));
            let control = u8::from(*byte < 0x20) | u8::from(*byte == 0x7f);
            found | (control & !allowed)
        }) != 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Content<'_> {
        let mut lines = Lines::new(text);
        let mut line = lines.next().unwrap();
        parse(&mut line, &mut lines)
    }

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let found = match parsed(text) {
            Content::Named { name, value, .. } => Some((name, value)),
            Content::Blank | Content::Garbage | Content::Boundary { .. } => None,
        };
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn names_and_values() {
        check("SUMMARY:a:b", Some(("SUMMARY", "a:b")));
        check("ATTENDEE;CN=\"a:b;c\";ROLE=x:mailto:d", Some(("ATTENDEE", "mailto:d")));
        check("ATTENDEE;CN=a;ROLE", None);
        check("item1.URL:http://example.com", Some(("item1.URL", "http://example.com")));
        check("a line of text", None);
        check("style=\"color: red\"", None);
        check(":", None);
        assert_eq!(parsed("  "), Content::Blank);
    }

    #[test]
    fn what_parameters_come_to() {
        let found = |text: &'static str| match parsed(text) {
            Content::Named { parameters, .. } => parameters,
            Content::Blank | Content::Garbage | Content::Boundary { .. } => panic!("{text}"),
        };
        assert!(found("A;CN=x;cn=y:z").repeated);
        assert!(!found("A;CN=\"x;CN=y\":z").repeated);
        assert!(!found("A;MEMBER=\"x\",\"y\":z").repeated);
        assert!(found("A;CN=\"x:mailto:y").unbalanced);
        assert!(found("A;ENCODING=quoted-printable:x").quoted_printable);
        assert_eq!(found("A;B=1;C=2:x").pieces, 0);
        assert_eq!(found("A;;;;;;;;;;;;;;;;;;;;:x").pieces, 8);
    }

    #[test]
    fn lists_are_counted_and_cut() {
        let list = "20250101T000000,20250102T000000,20250103T000000";
        assert_eq!(separators("RDATE", list), 2);
        assert_eq!(separators("DESCRIPTION", list), 0);
        assert_eq!(values("RDATE", list, 1), "20250101T000000,20250102T000000");
        assert_eq!(cut("gr\u{fc}n", 3), "gr");
    }

    #[test]
    fn control_characters() {
        assert!(has_control_characters(b"a\0b"));
        assert!(has_control_characters(b"\x7f"));
        assert!(!has_control_characters("tab\t\r\n\u{e4}".as_bytes()));
    }
}
