//! Splits header blocks into fields and reads the fields that this stage understands.
//!
//! Comes in: the octets of a message or of a part, from the first header line.
//! Goes out: the fields in order of appearance, where the body starts, and the values of
//! the MIME fields (RFC 2045, RFC 2183, RFC 6047 §2.4).
//! Not an error: lines that are no fields (they are left out, as mail programs do), missing
//! and repeated fields (the first one counts), absurdly long values (cut).

use std::borrow::Cow;

use mail_parser::parsers::MessageStream;
use mail_parser::{Addr, Address, HeaderValue};
use memchr::{memchr, memrchr};

use super::transfer::Encoding;
use super::{Header, Mailbox, encoded_words, format};

/// Octets of a value that are read; [`Header::raw`] keeps all of them.
pub(super) const LONGEST_VALUE: usize = 64 * 1024;

/// Octets of a Content-Type that are read when it is written to hurt.
const LONGEST_ODD_TYPE: usize = 4 * 1024;

/// Mailboxes read from one kind of field.
const MOST_MAILBOXES: usize = 10_000;

/// The header block of a message or part.
#[derive(Debug, Default)]
pub(super) struct Block<'b> {
    /// Fields in order of appearance.
    pub headers: Vec<Header<'b>>,
    /// Offset of the first octet of the body.
    pub body: usize,
    /// True when at least one line was a field, kept or not.
    pub any: bool,
    /// Fields that were not kept because the message has too many.
    pub dropped: usize,
    content_type: Option<&'b [u8]>,
    disposition: Option<&'b [u8]>,
    encoding: Option<&'b [u8]>,
}

/// Reads the header block that starts at `start`, keeping at most `room` fields.
///
/// A boundary line ends the block, because a part may consist of a header only, and so does
/// the first line of a calendar: a sender who forgets the blank line must not hide it.
pub(super) fn split<'b>(
    data: &'b [u8],
    start: usize,
    room: usize,
    is_delimiter: impl Fn(&[u8]) -> bool,
) -> Block<'b> {
    let mut block = Block::default();
    let mut field: Option<(&'b [u8], usize)> = None;
    let mut position = start;
    let mut body = None;
    while body.is_none() {
        let rest = data.get(position..).unwrap_or_default();
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default();
        let next = position + length;
        match line {
            [] => body = Some(position),
            [b'\n' | b'\r'] | [b'\r', b'\n'] => body = Some(next),
            [b' ' | b'\t', ..] => {}
            _ => {
                if let Some((name, value)) = field.take() {
                    block.push(name, data.get(value..position), room);
                }
                if (line.starts_with(b"--") && is_delimiter(line)) || format::is_begin_line(line) {
                    body = Some(position);
                } else if let Some(name) = field_name(line) {
                    // The name may be followed by white space; the value starts after the colon.
                    let colon = memchr(b':', line).unwrap_or(name.len());
                    field = Some((name, position + colon + 1));
                }
            }
        }
        if body.is_none() {
            position = next;
        }
    }
    if let Some((name, value)) = field {
        block.push(name, data.get(value..position), room);
    }
    // Text without any field is a body without a header, not a header full of rubbish.
    block.body = match body {
        Some(end) if block.any || end.saturating_sub(start) <= 2 => end,
        _ => start,
    };
    block
}

impl<'b> Block<'b> {
    fn push(&mut self, name: &'b [u8], value: Option<&'b [u8]>, room: usize) {
        let value = value.unwrap_or_default();
        self.any = true;
        // The MIME fields are read even where there is no room left to keep them, so that
        // ten thousand fields in front of a Content-Type do not hide it.
        let mime = if name.eq_ignore_ascii_case(b"content-type") {
            Some(&mut self.content_type)
        } else if name.eq_ignore_ascii_case(b"content-disposition") {
            Some(&mut self.disposition)
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            Some(&mut self.encoding)
        } else {
            None
        };
        if let Some(slot) = mime {
            slot.get_or_insert(value);
        }
        if self.headers.len() < room {
            self.headers
                .push(Header { name: String::from_utf8_lossy(name), raw: Cow::Borrowed(value) });
        } else {
            self.dropped += 1;
        }
    }

    /// Reads the MIME fields. `digest` says that the part stands in a `multipart/digest`,
    /// where a part without a type is a message (RFC 2046 §5.1.5).
    pub(super) fn declared(&self, digest: bool) -> Declared {
        let mut declared = Declared {
            content_type: if digest { "message/rfc822" } else { "text/plain" }.to_owned(),
            encoding: self.encoding.map(Encoding::read).unwrap_or_default(),
            ..Declared::default()
        };
        if let Some(raw) = self.content_type {
            read_value(raw, longest_type(raw), |stream| {
                if let HeaderValue::ContentType(value) = stream.parse_content_type() {
                    declared.content_type = full_type(&value.c_type, value.c_subtype.as_deref());
                    let parameter = |name| value.attribute(name).map(str::trim);
                    declared.boundary = parameter("boundary")
                        .filter(|boundary| !boundary.is_empty())
                        .map(|boundary| boundary.as_bytes().to_vec());
                    declared.charset = parameter("charset").map(str::to_owned);
                    declared.type_name = parameter("name").map(str::to_owned);
                    declared.method = parameter("method")
                        .map(str::to_uppercase)
                        .filter(|method| !method.is_empty());
                }
            });
        }
        if let Some(raw) = self.disposition {
            read_value(raw, longest_type(raw), |stream| {
                if let HeaderValue::ContentType(value) = stream.parse_content_type() {
                    declared.disposition = Some(value.c_type.trim().to_ascii_lowercase());
                    declared.file_name =
                        value.attribute("filename").map(|name| name.trim().to_owned());
                }
            });
        }
        declared
    }
}

/// What a part says of itself.
#[derive(Debug, Default, Clone)]
pub(super) struct Declared {
    pub content_type: String,
    pub boundary: Option<Vec<u8>>,
    pub charset: Option<String>,
    pub method: Option<String>,
    pub disposition: Option<String>,
    pub encoding: Encoding,
    pub file_name: Option<String>,
    pub type_name: Option<String>,
}

impl Declared {
    /// True for multiparts.
    pub(super) fn is_multipart(&self) -> bool {
        self.content_type.starts_with("multipart/")
    }

    /// True for messages inside the message.
    pub(super) fn is_message(&self) -> bool {
        ["message/rfc822", "message/global"].contains(&self.content_type.as_str())
    }

    /// True when one of the names ends as calendars do; some senders set only one of them.
    pub(super) fn is_named(&self) -> bool {
        [&self.file_name, &self.type_name]
            .into_iter()
            .flatten()
            .any(|name| format::is_calendar_name(name))
    }

    /// The name that mail programs show.
    pub(super) fn name(&self) -> Option<String> {
        self.file_name.clone().or_else(|| self.type_name.clone())
    }
}

/// The name in front of the colon; `None` when the line is no field (RFC 5322 §2.2, §4.5).
fn field_name(line: &[u8]) -> Option<&[u8]> {
    let name = line.get(..memchr(b':', line)?)?.trim_ascii_end();
    (!name.is_empty() && name.iter().all(u8::is_ascii_graphic)).then_some(name)
}

/// `type/subtype`; a type without a subtype is what RFC 2045 §5.2 makes of it.
fn full_type(kind: &str, subtype: Option<&str>) -> String {
    let kind = kind.trim();
    match subtype.map(str::trim).filter(|subtype| !subtype.is_empty()) {
        Some(subtype) => format!("{kind}/{subtype}").to_ascii_lowercase(),
        None if kind.eq_ignore_ascii_case("multipart") => "multipart/mixed".to_owned(),
        None if kind.eq_ignore_ascii_case("message") => "message/rfc822".to_owned(),
        None => "text/plain".to_owned(),
    }
}

/// mail-parser joins RFC 2231 pieces in quadratic time: a value with an absurd number of
/// them is read in part.
fn longest_type(raw: &[u8]) -> usize {
    let odd = raw.iter().filter(|byte| matches!(byte, b'*' | b'\'')).count();
    if odd > 200 { LONGEST_ODD_TYPE } else { LONGEST_VALUE }
}

/// Gives `read` a stream over the value. mail-parser's field readers know the end of a
/// field only by its line end, which the last field of a cut message has not.
fn read_value(raw: &[u8], longest: usize, read: impl FnOnce(&mut MessageStream<'_>)) {
    if raw.len() <= longest && raw.ends_with(b"\n") {
        read(&mut MessageStream::new(raw));
    } else {
        let mut copy = raw.get(..longest).unwrap_or(raw).to_vec();
        copy.push(b'\n');
        read(&mut MessageStream::new(&copy));
    }
}

/// Raw values of the fields of one name.
pub(super) fn values<'h>(
    headers: &'h [Header<'_>],
    name: &'h str,
) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| &*header.raw)
}

/// Mailboxes of all fields of one name; groups are taken apart, empty ones left out.
pub(super) fn mailboxes(headers: &[Header<'_>], name: &str) -> Vec<Mailbox> {
    let mut found = Vec::new();
    for raw in values(headers, name) {
        read_value(&encoded_words::rejoin(raw), usize::MAX, |stream| {
            let HeaderValue::Address(addresses) = stream.parse_address() else {
                return;
            };
            let members: Vec<Addr<'_>> = match addresses {
                Address::List(list) => list,
                Address::Group(groups) => {
                    groups.into_iter().flat_map(|group| group.addresses).collect()
                }
            };
            let room = MOST_MAILBOXES.saturating_sub(found.len());
            found.extend(members.iter().take(room).map(mailbox));
        });
    }
    found
}

fn mailbox(member: &Addr<'_>) -> Mailbox {
    let trim = |text: &str| {
        text.trim_matches(|c: char| c.is_whitespace() || c.is_control() || "<>".contains(c))
            .to_owned()
    };
    let mut name = member.name.as_deref().map(trim).unwrap_or_default();
    let mut address = member.address.as_deref().map(trim).unwrap_or_default();
    // `Ann Lee ann@example.com`, the angle brackets forgotten, comes as one address.
    if let Some((words, last)) = address.rsplit_once(char::is_whitespace)
        && last.contains('@')
        && !words.contains('@')
    {
        if name.is_empty() {
            words.trim_end().clone_into(&mut name);
        }
        address = last.to_owned();
    }
    Mailbox { name, address: address.to_lowercase() }
}

/// Seconds since 1970 of a date field.
pub(super) fn timestamp(raw: &[u8]) -> Option<i64> {
    let mut timestamp = None;
    read_value(raw, 1_024, |stream| {
        if let HeaderValue::DateTime(date) = stream.parse_date()
            && date.is_valid()
        {
            timestamp = Some(date.to_timestamp());
        }
    });
    timestamp
}

/// Seconds since 1970 of the date behind a Received field's last semicolon.
pub(super) fn received(raw: &[u8]) -> Option<i64> {
    let end = memrchr(b';', raw)?;
    timestamp(raw.get(end + 1..)?)
}

/// The identifier between angle brackets, or the whole value where there are none.
pub(super) fn identifier(raw: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(raw.get(..LONGEST_VALUE).unwrap_or(raw));
    let inside = text.split_once('<').map_or(&*text, |(_, after)| after);
    let inside = inside.split_once('>').map_or(inside, |(before, _)| before);
    let inside = inside.trim();
    (!inside.is_empty()).then(|| inside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &[(&str, &str)], body: &str) {
        let block = split(input.as_bytes(), 0, 100, |line| line.starts_with(b"--b"));
        let found: Vec<(&str, &str)> = block
            .headers
            .iter()
            .map(|header| (&*header.name, std::str::from_utf8(&header.raw).unwrap()))
            .collect();
        assert_eq!(found, expected, "{input:?}");
        assert_eq!(input.get(block.body..), Some(body), "{input:?}");
    }

    #[test]
    fn header_blocks() {
        check("A: 1\r\nb:2\r\n\r\nbody", &[("A", " 1\r\n"), ("b", "2\r\n")], "body");
        check("A: 1\n  2\n\t3\nB : x\n\n", &[("A", " 1\n  2\n\t3\n"), ("B", " x\n")], "");
        check("A: 1\n \nB: 2\n\nx", &[("A", " 1\n \n"), ("B", " 2\n")], "x");
        check("From me Mon Jan 1 00:00:00\nA: 1\n\nx", &[("A", " 1\n")], "x");
        check("A: 1\nrubbish\nB: 2\n\nx", &[("A", " 1\n"), ("B", " 2\n")], "x");
        check("A: 1\n--b\nB: 2\n\nx", &[("A", " 1\n")], "--b\nB: 2\n\nx");
        check("A: 1\nBegin:VCalendar\nX:1\n", &[("A", " 1\n")], "Begin:VCalendar\nX:1\n");
        check("\nbody", &[], "body");
        check("no header here\nat all\n\nx", &[], "no header here\nat all\n\nx");
        check("A: 1", &[("A", " 1")], "");
        check("A:", &[("A", "")], "");
        check(":\n: x\n\n", &[], ":\n: x\n\n");
        check("", &[], "");
    }

    fn check_mailboxes(value: &str, expected: &[(&str, &str)]) {
        let header = Header { name: "From".into(), raw: value.as_bytes().into() };
        let found = mailboxes(&[header], "from");
        let found: Vec<(&str, &str)> =
            found.iter().map(|mailbox| (mailbox.name.as_str(), mailbox.address.as_str())).collect();
        assert_eq!(found, expected, "{value:?}");
    }

    #[test]
    fn addresses() {
        check_mailboxes(" Ann <ANN@Example.COM>\r\n", &[("Ann", "ann@example.com")]);
        check_mailboxes("ann@example.com", &[("", "ann@example.com")]);
        check_mailboxes(" Ann Lee ann@example.com\n", &[("Ann Lee", "ann@example.com")]);
        check_mailboxes("Ann <ann@example.com\n", &[("Ann", "ann@example.com")]);
        check_mailboxes(
            "=?utf-8?q?J=C3=BCrgen?= <j@example.com>, \"B, C\" <b@example.org>\n",
            &[("Jürgen", "j@example.com"), ("B, C", "b@example.org")],
        );
        check_mailboxes(
            "Team: Ann <a@example.com>, b@example.com;\n",
            &[("Ann", "a@example.com"), ("", "b@example.com")],
        );
        check_mailboxes(
            "=?utf-8?q?J=C3?=\r\n =?utf-8?q?=BC_=22=2C?= <j@example.com>\n",
            &[("Jü \",", "j@example.com")],
        );
        check_mailboxes("undisclosed-recipients:;\n", &[]);
        check_mailboxes("<>\n", &[]);
        check_mailboxes("\n", &[]);
        check_mailboxes("(((((<\"\n", &[("((((<\"", "")]);
    }

    fn check_declared(header: &str, expected: &str) {
        let input = format!("{header}\n\n");
        let declared = split(input.as_bytes(), 0, 9, |_| false).declared(false);
        let found = format!(
            "{} {:?} {:?} {:?} {:?}",
            declared.content_type,
            declared.boundary.as_deref().map(String::from_utf8_lossy),
            declared.charset,
            declared.method,
            declared.name(),
        );
        assert_eq!(found, expected, "{header:?}");
    }

    #[test]
    fn mime_fields() {
        check_declared("X: y", "text/plain None None None None");
        check_declared("Content-Type: text", "text/plain None None None None");
        check_declared(
            "CONTENT-TYPE: Text/Calendar; METHOD=request ; charset=\"UTF-8\"; name=a.ics",
            "text/calendar None Some(\"UTF-8\") Some(\"REQUEST\") Some(\"a.ics\")",
        );
        check_declared(
            "Content-Type: multipart/mixed (comment);\n boundary=\"----=_b 1 \"",
            "multipart/mixed Some(\"----=_b 1\") None None None",
        );
        check_declared(
            "Content-Disposition: attachment; filename*0*=utf-8''J%C3%BC;\n filename*1=\"x.ics\"",
            "text/plain None None None Some(\"Jüx.ics\")",
        );
        check_declared(
            "Content-Disposition: attachment; filename=\"=?utf-8?b?w7wuaWNz?=\"",
            "text/plain None None None Some(\"ü.ics\")",
        );
        check_declared("Content-Type: ;;;=", "text/plain None None None None");
    }

    #[test]
    fn other_fields() {
        assert_eq!(timestamp(b" Thu, 1 Jan 1970 01:00:01 +0100\r\n"), Some(1));
        assert_eq!(timestamp(b" yesterday"), None);
        assert_eq!(timestamp(b""), None);
        assert_eq!(identifier(b" <a@b> (c)\r\n").as_deref(), Some("a@b"));
        assert_eq!(identifier(b" a@b\r\n").as_deref(), Some("a@b"));
        assert_eq!(identifier(b" <>\r\n"), None);
    }
}
