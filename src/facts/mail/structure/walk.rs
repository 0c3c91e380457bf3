//! Reads header lines and boundary lines.
//!
//! Comes in: the octets of a message or of a multipart. Goes out: where parts start and end,
//! their fields, and what was odd.

use super::{Fields, Oddities, lines, source};

/// Parts of one multipart.
const PARTS: usize = 1_000;
/// Octets of a field's name.
const KEY: usize = 256;
/// Octets of a field's value.
const VALUE: usize = 8_192;
/// Lines in a header that may be no fields.
const BAD_LINES: u32 = 3;

/// The header of a message.
#[derive(Debug, Default)]
pub(super) struct Head<'b> {
    pub fields: Fields<'b>,
    /// Where the body starts.
    pub body: usize,
    pub odd: Oddities,
    /// True when lines end with CRLF.
    pub squash: bool,
}

/// Reads the header of a message.
pub(super) fn head(data: &[u8]) -> Head<'_> {
    let mut head = Head::default();
    let mut at = 0;
    let separator = |line: &[u8]| {
        line.strip_prefix(b"From").is_some_and(|rest| {
            let word = rest.trim_ascii_start();
            word.len() < rest.len() && !word.starts_with(b":")
        })
    };
    if let Some(first) = lines(data).next().filter(|line| separator(line)) {
        at = first.len();
    }
    let first = lines(data.get(at..).unwrap_or_default()).next().unwrap_or_default();
    let before_end = data.strip_suffix(b"\n").unwrap_or(data);
    let last = memchr::memrchr(b'\n', before_end).map_or(0, |end| end + 1);
    let last = data.get(last..).unwrap_or_default();
    head.squash = first.ends_with(b"\r\n") || last.ends_with(b"\r\n");
    let mut field: Option<(usize, usize)> = None;
    let mut bad = 0;
    loop {
        let Some(line) = lines(data.get(at..).unwrap_or_default()).next() else {
            // Nothing at all is taken for a blank line.
            head.odd.missing_head_body_separator = !data.is_empty();
            break;
        };
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            let start = field.map_or(at, |(start, _)| start);
            at += line.len();
            field = Some((start, at));
            continue;
        }
        if let Some(field) = field.take() {
            finish(data, field, &mut head);
        }
        if line == b"\n" || line == b"\r\n" && head.squash {
            at += line.len();
            break;
        }
        let mut stop = line.starts_with(b"--");
        if !stop && !is_field(line, true) {
            bad += 1;
            stop = bad > BAD_LINES;
        }
        if stop {
            head.odd.missing_head_body_separator = true;
            break;
        }
        field = Some((at, at + line.len()));
        at += line.len();
    }
    if let Some(field) = field.take() {
        finish(data, field, &mut head);
    }
    head.body = at;
    head
}

/// Files a field of the header of a message.
fn finish<'b>(data: &'b [u8], (start, end): (usize, usize), head: &mut Head<'b>) {
    let field = data.get(start..end).unwrap_or_default();
    let Some(colon) = memchr::memchr(b':', field) else { return };
    let (key, value) = field.split_at(colon);
    let value = value.get(1..).unwrap_or_default();
    let mut key = key;
    while let Some((b' ' | b'\t', rest)) = key.split_last() {
        key = rest;
    }
    let returns = if head.squash { memchr::memmem::find_iter(value, b"\r\n").count() } else { 0 };
    head.odd.truncated_header |= key.len() > KEY || value.len() - returns > VALUE;
    head.fields.keep(key, value.get(..VALUE + returns).unwrap_or(value));
}

/// True for a line that starts with a name and a colon; `blanks` may stand between them.
fn is_field(line: &[u8], blanks: bool) -> bool {
    let name = |byte: &u8| byte.is_ascii_graphic() && *byte != b':';
    let length = line.iter().take_while(|byte| name(byte)).count();
    let mut rest = line.get(length..).unwrap_or_default();
    while blanks && let Some((b' ' | b'\t', after)) = rest.split_first() {
        rest = after;
    }
    length > 0 && rest.starts_with(b":")
}

/// The body with LF line ends, and no more than twenty blank lines in a row; `None` when it
/// is so already.
pub(super) fn one_line_end(body: &[u8], squash: bool) -> Option<Vec<u8>> {
    let has_returns = squash && memchr::memmem::find(body, b"\r\n").is_some();
    if !has_returns && !has_gap(body) {
        return None;
    }
    let mut out = Vec::with_capacity(body.len());
    // Above the first line there is none that would be one of the twenty.
    let (mut blank, mut most) = (0, source::BLANK_LINES + 1);
    for line in lines(body) {
        if source::is_blank(line) {
            blank += 1;
            if blank > most {
                continue;
            }
        } else {
            (blank, most) = (0, source::BLANK_LINES);
        }
        match line.strip_suffix(b"\r\n") {
            Some(text) if squash => {
                out.extend_from_slice(text);
                out.push(b'\n');
            }
            Some(_) | None => out.extend_from_slice(line),
        }
    }
    Some(out)
}

fn has_gap(body: &[u8]) -> bool {
    let mut blank = 0;
    lines(body).any(|line| {
        blank = if source::is_blank(line) { blank + 1 } else { 0 };
        blank > source::BLANK_LINES
    })
}

/// A part of a multipart.
#[derive(Debug)]
pub(super) struct Child<'b> {
    pub fields: Fields<'b>,
    pub start: usize,
    pub end: usize,
}

/// What a multipart turned out to be.
#[derive(Debug, Default)]
pub(super) struct Found<'b> {
    pub children: Vec<Child<'b>>,
    pub notes: Notes,
}

/// What was noticed about it.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "these are separate observations")]
pub(super) struct Notes {
    pub opened: bool,
    pub closed: bool,
    pub missing_headers: bool,
    pub missing_separator: bool,
    pub epilogue: bool,
    pub limit: bool,
}

/// A part whose end is not known yet.
#[derive(Default)]
struct Open<'b> {
    fields: Fields<'b>,
    field: Option<(usize, usize)>,
    /// Where the content starts, once the header is over and the content has a line.
    body: Option<usize>,
    in_body: bool,
}

/// Takes a multipart apart. `blank_first`: as if a blank line stood in front.
pub(super) fn multipart<'b>(data: &'b [u8], boundary: &[u8], blank_first: bool) -> Found<'b> {
    let mut found = Found::default();
    let mut at = 0;
    let mut position = 0;
    for line in lines(data) {
        position += line.len();
        if is_boundary(line, boundary) == Some(false) {
            found.notes.opened = true;
            at = position;
            let next = data.get(at..).and_then(|rest| lines(rest).next());
            found.notes.missing_headers = next.is_some_and(|line| !is_field(line, false));
            break;
        }
    }
    // Boundaries of a part that has the same boundary once more.
    let mut nested = false;
    let mut part = Open { in_body: blank_first && !found.notes.opened, ..Open::default() };
    let rest = data.get(at..).unwrap_or_default();
    for line in lines(rest) {
        let start = at;
        at += line.len();
        let closing = is_boundary(line, boundary);
        let is_last_end = closing == Some(true);
        let is_end = closing.is_some() && !nested;
        if closing.is_some() && nested && is_last_end {
            nested = false;
        }
        if is_end || at == data.len() {
            let (from, to) = if is_end {
                part.body.map_or((start, start), |body| (body, (start - 1).max(body)))
            } else {
                (part.body.unwrap_or(start), at)
            };
            let fields = std::mem::take(&mut part).fields;
            found.children.push(Child { fields, start: from, end: to });
            if is_last_end {
                found.notes.closed = true;
                break;
            }
            let next = data.get(at..).and_then(|rest| lines(rest).next());
            found.notes.missing_headers |= next.is_some_and(|line| !is_field(line, false));
            if found.children.len() >= PARTS {
                found.notes.limit = true;
                return found;
            }
            continue;
        }
        if !part.in_body {
            if is_field(line, true) {
                if let Some(field) = part.field.replace((start, at)) {
                    keep(data, field, &mut part.fields);
                }
                continue;
            }
            if let Some((from, _)) = part.field
                && (line.starts_with(b" ") || line.starts_with(b"\t"))
            {
                part.field = Some((from, at));
                continue;
            }
            if let Some(field) = part.field.take()
                && keep(data, field, &mut part.fields)
            {
                let own = super::boundary(&super::text(part.fields.content_type));
                nested |= own.as_deref() == Some(boundary);
            }
            part.in_body = true;
            if line == b"\n" || line == b"\r\n" {
                continue;
            }
            found.notes.missing_separator = true;
        }
        part.body.get_or_insert(start);
    }
    let epilogue = data.get(at..).unwrap_or_default();
    found.notes.epilogue =
        epilogue.iter().any(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b && *byte != b'.');
    found
}

/// Files a field of a part; true for a Content-Type.
fn keep<'b>(data: &'b [u8], (start, end): (usize, usize), fields: &mut Fields<'b>) -> bool {
    let field = data.get(start..end).unwrap_or_default();
    let Some(colon) = memchr::memchr(b':', field) else { return false };
    let (key, value) = field.split_at(colon);
    fields.keep(key, value.get(1..).unwrap_or_default())
}

/// `Some(true)` for a closing boundary line, `Some(false)` for another one.
fn is_boundary(line: &[u8], boundary: &[u8]) -> Option<bool> {
    let rest = line.strip_prefix(b"--")?.strip_prefix(boundary)?;
    let closing = rest.strip_prefix(b"--");
    if source::is_blank(rest) {
        Some(false)
    } else {
        closing.filter(|rest| source::is_blank(rest)).map(|_| true)
    }
}
