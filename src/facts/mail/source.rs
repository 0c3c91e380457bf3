//! The text parts of a mail as SpamAssassin reads them: which they are, and their octets.
//!
//! Comes in: a [`Message`]. Goes out: its leaf parts in order, those that hold text with the
//! transfer encoding undone. Types, charsets and names are read from the header fields once
//! more, because what counts here is what SpamAssassin makes of them: any text type that is
//! not known is plain text, the last field of a name counts, and a part whose name ends in
//! `.html` is HTML.
//! Not an error: anything. Calendar parts are no text.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memmem};

use crate::message::{Body, Message, Part, base64_octets, quoted_printable_octets};

/// Longer lines are cut in two inside multiparts, before the transfer encoding is undone.
pub(super) const LONGEST_LINE: usize = 2048;

/// Blank lines in a row that count.
pub(super) const BLANK_LINES: usize = 20;

/// Lines that are no fields at the start of a message and are left out.
const FALSE_FIELDS: usize = 3;

/// Parts that a part may stand in; more ancestors are not looked at.
const DEEPEST: usize = 1_000;

/// What a leaf part is to rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rendered and searched raw.
    Html,
    /// Rendered as it stands and searched raw.
    Plain,
    /// Searched raw only: delivery reports, address cards.
    Raw,
    /// Not text.
    Other,
}

/// A leaf part.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Index in `Message::parts`.
    pub part: usize,
    pub kind: Kind,
    pub charset: String,
    /// The content where it is not as it stands in the part. It has no lifetime of the
    /// message, so that who keeps it needs none.
    changed: Option<Vec<u8>>,
}

impl Leaf {
    /// The content, transfer encoding undone; empty for what is not text.
    pub(super) fn octets<'l>(&'l self, message: &'l Message<'_>) -> &'l [u8] {
        match &self.changed {
            Some(octets) => octets,
            None => message.parts.get(self.part).map_or(&[], |part| &part.encoded),
        }
    }
}

/// The leaf parts in order.
pub(super) fn leaves(message: &Message<'_>) -> Vec<Leaf> {
    if message.bare {
        return Vec::new();
    }
    let line_ends = Lines::of(message);
    message
        .parts
        .iter()
        .enumerate()
        .filter(|(index, part)| {
            // Nothing at all behind the last boundary line is no part, nor is a multipart
            // without anything in it.
            let nothing = part.encoded.is_empty()
                && (message.part_headers(*index).is_empty()
                    || part.content_type.starts_with("multipart/"));
            !matches!(part.body, Body::Container) && !nothing
        })
        .map(|(index, part)| leaf(message, index, part, line_ends))
        .collect()
}

fn leaf(message: &Message<'_>, index: usize, part: &Part<'_>, ends: Lines) -> Leaf {
    let declared = Declared::read(message, index);
    let kind = match &part.body {
        Body::Calendar | Body::Container => Kind::Other,
        Body::Html(_) | Body::Text(_) | Body::Binary(_) => declared.kind(),
    };
    let changed = match kind {
        Kind::Other => Some(Vec::new()),
        Kind::Html | Kind::Plain | Kind::Raw => {
            let place = Surroundings::of(message, index);
            let content = without_false_header(message, index, part);
            let lines = as_read(content, ends.crlf || place.decoded, place.multiparts, index);
            match undo(lines, &last_field(message, index, "content-transfer-encoding"), &declared) {
                Cow::Borrowed(octets) if octets.len() == part.encoded.len() => None,
                octets => Some(octets.into_owned()),
            }
        }
    };
    Leaf { part: index, kind, charset: declared.charset, changed }
}

/// The content without lines that SpamAssassin takes for a damaged header: a message that
/// begins without any field has a header of up to three lines all the same.
fn without_false_header<'m>(message: &Message<'_>, index: usize, part: &'m Part<'_>) -> &'m [u8] {
    let is_message = part.parent.is_none_or(|parent| {
        let parent = message.parts.get(parent);
        parent.is_some_and(|parent| !parent.content_type.starts_with("multipart/"))
    });
    let mut content: &[u8] = &part.encoded;
    if !is_message || !message.part_headers(index).is_empty() {
        return content;
    }
    for _ in 0..FALSE_FIELDS {
        if content.starts_with(b"--") {
            break;
        }
        let length = memchr(b'\n', content).map_or(content.len(), |end| end + 1);
        let (line, rest) = content.split_at(length);
        content = rest;
        if matches!(line, b"\n" | b"\r\n") {
            break;
        }
    }
    content
}

fn undo<'m>(lines: Cow<'m, [u8]>, encoding: &str, declared: &Declared) -> Cow<'m, [u8]> {
    if encoding.eq_ignore_ascii_case("quoted-printable") {
        Cow::Owned(without_returns(quoted_printable_octets(&lines)))
    } else if encoding.eq_ignore_ascii_case("base64") {
        let octets = base64_octets(&lines);
        Cow::Owned(if declared.is_text() { without_returns(octets) } else { octets })
    } else {
        lines
    }
}

pub(super) fn without_returns(mut octets: Vec<u8>) -> Vec<u8> {
    if memmem::find(&octets, b"\r\n").is_some() {
        let mut kept = Vec::with_capacity(octets.len());
        copy_line(&octets, true, &mut kept);
        octets = kept;
    }
    octets
}

/// Copies text, with every CRLF made one LF where asked.
fn copy_line(text: &[u8], squash: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    if squash {
        while let Some(at) = memmem::find(rest, b"\r\n") {
            let (line, tail) = rest.split_at(at);
            out.extend_from_slice(line);
            rest = tail.get(1..).unwrap_or_default();
            // The LF is copied with what follows.
            if let Some((end, tail)) = rest.split_first() {
                out.push(*end);
                rest = tail;
            }
        }
    }
    out.extend_from_slice(rest);
}

/// How the lines of the mail end.
#[derive(Debug, Clone, Copy)]
struct Lines {
    crlf: bool,
}

impl Lines {
    /// The first and the last line decide for all.
    fn of(message: &Message<'_>) -> Self {
        let raw: &[u8] = &message.raw;
        let first_end = |text: &[u8]| memchr(b'\n', text).map_or(text.len(), |end| end + 1);
        let mut first = raw.get(..first_end(raw)).unwrap_or_default();
        if first.starts_with(b"From ") {
            let rest = raw.get(first.len()..).unwrap_or_default();
            first = rest.get(..first_end(rest)).unwrap_or_default();
        }
        let before_end = raw.strip_suffix(b"\n").unwrap_or(raw);
        let last = memchr::memrchr(b'\n', before_end).map_or(0, |end| end + 1);
        let last = raw.get(last..).unwrap_or_default();
        Self { crlf: first.ends_with(b"\r\n") || last.ends_with(b"\r\n") }
    }
}

/// What a part stands in.
struct Surroundings {
    /// Multiparts around it, up to a message that was encoded as a whole.
    multiparts: usize,
    /// Inside a message that was encoded as a whole.
    decoded: bool,
}

impl Surroundings {
    fn of(message: &Message<'_>, index: usize) -> Self {
        let mut found = Self { multiparts: 0, decoded: false };
        let mut next = message.parts.get(index).and_then(|part| part.parent);
        for _ in 0..DEEPEST {
            let Some(index) = next else { break };
            let Some(part) = message.parts.get(index) else { break };
            if part.content_type.starts_with("multipart/") {
                found.multiparts += 1;
            } else {
                let encoding = last_field(message, index, "content-transfer-encoding");
                if ["base64", "quoted-printable"]
                    .iter()
                    .any(|known| encoding.eq_ignore_ascii_case(known))
                {
                    found.decoded = true;
                    break;
                }
            }
            next = part.parent;
        }
        found
    }
}

/// The lines as SpamAssassin has them before it undoes the transfer encoding: one kind of
/// line end, long lines cut once for each multipart around them, and no more than twenty
/// blank lines in a row.
fn as_read(content: &[u8], squash: bool, cuts: usize, part: usize) -> Cow<'_, [u8]> {
    // The blank line between header and body is one of the twenty, and above the first line
    // of a mail's body there is none to count.
    let (seen, most) = if part == 0 { (0, BLANK_LINES + 1) } else { (1, BLANK_LINES) };
    if !needs_copy(content, squash, cuts) {
        return Cow::Borrowed(content);
    }
    let mut out = Vec::with_capacity(content.len());
    let mut blank = seen;
    let mut most = most;
    let mut start = 0;
    while start < content.len() {
        let rest = content.get(start..).unwrap_or_default();
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let line = rest.get(..length).unwrap_or_default();
        start += length;
        if is_blank(line) {
            blank += 1;
            if blank > most {
                continue;
            }
        } else {
            (blank, most) = (0, BLANK_LINES);
        }
        let returned = squash && line.ends_with(b"\r\n");
        let text = if returned { line.get(..length - 2).unwrap_or_default() } else { line };
        let long = text.len() + usize::from(returned);
        let mut text = text;
        if cuts > 0 && long > LONGEST_LINE {
            let mut left = long;
            while left > LONGEST_LINE {
                let (piece, tail) = text.split_at(LONGEST_LINE.min(text.len()));
                out.extend_from_slice(piece);
                out.extend(std::iter::repeat_n(b'\n', cuts));
                text = tail;
                left -= LONGEST_LINE;
            }
        }
        out.extend_from_slice(text);
        if returned {
            out.push(b'\n');
        }
    }
    Cow::Owned(out)
}

pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x0b)
}

fn needs_copy(content: &[u8], squash: bool, cuts: usize) -> bool {
    let (mut start, mut blank) = (0, 1);
    for end in memchr_iter(b'\n', content) {
        let line = content.get(start..end).unwrap_or_default();
        if (squash && line.ends_with(b"\r")) || (cuts > 0 && line.len() >= LONGEST_LINE) {
            return true;
        }
        blank = if is_blank(line) { blank + 1 } else { 0 };
        if blank > BLANK_LINES {
            return true;
        }
        start = end + 1;
    }
    cuts > 0 && content.len() - start > LONGEST_LINE
}

/// The last field of this name, decoded.
fn last_field(message: &Message<'_>, index: usize, name: &str) -> String {
    let fields = message.part_headers(index);
    let last = fields.iter().rev().find(|field| field.name.eq_ignore_ascii_case(name));
    last.map(crate::message::Header::decoded).unwrap_or_default()
}

/// What a part says of itself.
struct Declared {
    content_type: String,
    charset: String,
    name: String,
}

impl Declared {
    fn read(message: &Message<'_>, index: usize) -> Self {
        let field = last_field(message, index, "content-type");
        let disposition = last_field(message, index, "content-disposition");
        let missing = field.is_empty();
        let content_type = content_type(&field);
        let in_digest = missing
            && message
                .parts
                .get(index)
                .and_then(|part| message.parts.get(part.parent?))
                .is_some_and(|parent| parent.content_type == "multipart/digest");
        Self {
            // A multipart that is a leaf has no boundary.
            content_type: match content_type {
                _ if in_digest => "message/rfc822".to_owned(),
                kind if kind.starts_with("multipart/") => "text/plain".to_owned(),
                kind => kind,
            },
            charset: parameter(&field, "charset").map_or("us-ascii", |value| value).to_owned(),
            name: file_name(&disposition)
                .or_else(|| parameter(&field, "name"))
                .or_else(|| parameter(&field, "filename"))
                .unwrap_or_default()
                .to_owned(),
        }
    }

    fn is_text(&self) -> bool {
        starts_with_word(&self.content_type, "text")
            || starts_with_word(&self.content_type, "message")
    }

    fn kind(&self) -> Kind {
        let name = self.name.to_ascii_lowercase();
        let by_name = [".htm", ".html", ".shtm", ".shtml"].iter().any(|end| name.ends_with(end));
        match self.content_type.as_str() {
            "text/calendar" => Kind::Other,
            _ if by_name => Kind::Html,
            "text/html" => Kind::Html,
            "text/plain" => Kind::Plain,
            _ if self.is_text() => Kind::Raw,
            _ => Kind::Other,
        }
    }
}

pub(super) fn starts_with_word(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
}

/// `type/subtype` of a Content-Type.
pub(super) fn content_type(field: &str) -> String {
    let kind = field.split(';').next().unwrap_or_default().trim_start();
    let end = match kind.find('/') {
        Some(slash) => kind
            .get(slash + 1..)
            .and_then(|rest| rest.find(|c: char| c == '/' || c.is_whitespace()))
            .map_or(kind.len(), |length| slash + 1 + length),
        None => kind.len(),
    };
    let kind = kind.get(..end).unwrap_or_default().to_ascii_lowercase();
    let known = ["text/x-vcard", "text/calendar", "text/html"].contains(&kind.as_str());
    if kind.is_empty() || (!known && starts_with_word(&kind, "text")) {
        return "text/plain".to_owned();
    }
    kind.chars().filter(|c| c.is_ascii_graphic() && !"\"(),:;<=>?@[\\]".contains(*c)).collect()
}

/// The first parameter of this name, wherever it stands: SpamAssassin does not take the
/// field apart. No value and an empty one are the same.
pub(super) fn parameter<'f>(field: &'f str, name: &str) -> Option<&'f str> {
    let lower = field.to_ascii_lowercase();
    for (at, _) in lower.match_indices(name) {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        if lower.get(..at).is_some_and(|before| before.ends_with(word)) {
            continue;
        }
        let rest = field.get(at + name.len()..).unwrap_or_default().trim_start();
        let Some(value) = rest.strip_prefix('=') else { continue };
        let value = value.trim_start();
        let value = value.strip_prefix(['"', '\'']).unwrap_or(value);
        let value = value.split(';').next().unwrap_or_default();
        return Some(value.strip_suffix(['"', '\'']).unwrap_or(value))
            .filter(|value| !value.is_empty());
    }
    None
}

/// The name that a Content-Disposition gives: what follows the first `name=`.
pub(super) fn file_name(field: &str) -> Option<&str> {
    let lower = field.to_ascii_lowercase();
    lower.match_indices("name=").find_map(|(at, found)| {
        let rest = field.get(at + found.len()..)?.trim_start();
        let rest = rest.strip_prefix('"').unwrap_or(rest);
        let value = rest.split(['"', ';']).next()?;
        (!value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Settings, parse};

    #[track_caller]
    fn check(mail: &str, expected: &[(Kind, &str, &str)]) {
        let message = parse(mail.as_bytes(), false, &Envelope::default(), &Settings::default());
        let found: Vec<(Kind, String, String)> = leaves(&message)
            .into_iter()
            .map(|leaf| {
                let text = String::from_utf8_lossy(leaf.octets(&message)).into_owned();
                (leaf.kind, leaf.charset, text)
            })
            .collect();
        let found: Vec<(Kind, &str, &str)> =
            found.iter().map(|(kind, charset, text)| (*kind, &**charset, &**text)).collect();
        assert_eq!(found, expected, "{mail:?}");
    }

    #[test]
    fn types_and_encodings() {
        check("Subject: x\n\nHello\n", &[(Kind::Plain, "us-ascii", "Hello\n")]);
        check(
            "Content-Type: text/enriched; charset=\"utf-8\"\n\na\r\nb\n",
            &[(Kind::Plain, "utf-8", "a\r\nb\n")],
        );
        check(
            "Content-Type: text/html\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=3Cp>\r\n",
            &[(Kind::Html, "us-ascii", "<p>\n")],
        );
        check(
            "Content-Type: application/octet-stream; name=\"a.HTM\"\n\n<p>\n",
            &[(Kind::Html, "us-ascii", "<p>\n")],
        );
        check(
            "Content-Type: text/plain\nContent-Disposition: attachment; filename=x.shtml\n\na",
            &[(Kind::Html, "us-ascii", "a")],
        );
        check("Content-Type: image/png\n\nabc", &[(Kind::Other, "us-ascii", "")]);
        check("Content-Type: text/x-vcard\n\nabc", &[(Kind::Raw, "us-ascii", "abc")]);
        check("Content-Type: message/delivery-status\n\nabc", &[(Kind::Raw, "us-ascii", "abc")]);
        check("Content-Type: text/calendar\n\nabc", &[(Kind::Other, "us-ascii", "")]);
        check("Content-Type: multipart/mixed\n\nabc", &[(Kind::Plain, "us-ascii", "abc")]);
    }

    #[test]
    fn lines() {
        let long = "x".repeat(3_000);
        let cut = format!("{}\n{}\n", "x".repeat(2_048), "x".repeat(952));
        check(&format!("A: b\n\n{long}\n"), &[(Kind::Plain, "us-ascii", &format!("{long}\n"))]);
        let head = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\n";
        check(&format!("{head}{long}\n\n--b--\n"), &[(Kind::Plain, "us-ascii", &cut)]);
        let blank = "\n".repeat(100);
        check(
            &format!("A: b\n\na\n{blank}b\n"),
            &[(Kind::Plain, "us-ascii", &format!("a\n{}b\n", "\n".repeat(20)))],
        );
    }
}
