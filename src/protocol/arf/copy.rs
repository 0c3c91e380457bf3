//! The message in a report: as it came, or a copy without names.
//!
//! A copy has the fields of the mail and its texts and calendars, decoded and written anew:
//! behind base64 nobody could replace a name. Files are left out; who knows what is in them.

use std::borrow::Cow;

use mail_builder::headers::HeaderType;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};

use super::redact::Redactor;
use crate::facts::Facts;
use crate::message::{Body, Message};

/// Fields and parts of a copy, octets of a field, octets of a part.
const FIELDS: usize = 200;
const PARTS: usize = 20;
const FIELD: usize = 8 * 1024;
const PART: usize = 256 * 1024;

/// The message as it came, with line ends as mail has them.
pub(super) fn exact(message: &Message<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.raw.len() + 1024);
    if message.bare {
        out.extend(b"MIME-Version: 1.0\r\nContent-Type: text/calendar; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
    }
    let mut previous = 0;
    for octet in message.raw.iter().copied().filter(|octet| *octet != 0) {
        if octet == b'\n' && previous != b'\r' {
            out.push(b'\r');
        }
        out.push(octet);
        previous = octet;
    }
    out
}

/// The header of a message, not longer than this.
pub(super) fn header_of(mut message: Vec<u8>, most: usize) -> Vec<u8> {
    let end = memchr::memmem::find(&message, b"\r\n\r\n").map_or(message.len(), |end| end + 2);
    message.truncate(end.min(most));
    message
}

/// A copy without names.
pub(super) fn redacted(facts: &Facts<'_>, redactor: &Redactor) -> Vec<u8> {
    let message = facts.message;
    let mut headers: Vec<(Cow<'_, str>, HeaderType<'_>)> = Vec::new();
    for header in message.headers.iter().take(FIELDS) {
        let name = header.name.to_ascii_lowercase();
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':');
        if !is_name || name.starts_with("content-") || matches!(&*name, "mime-version" | "bcc") {
            continue;
        }
        let decoded = header.decoded();
        let shown =
            redactor.text(decoded.get(..decoded.floor_char_boundary(FIELD)).unwrap_or_default());
        let shown: String = shown.chars().filter(|c| !c.is_control()).collect();
        let shown = with_short_words(&shown);
        let value = if shown.is_ascii() {
            HeaderType::Raw(Raw::new(shown))
        } else {
            HeaderType::Text(Text::new(shown))
        };
        headers.push((Cow::Owned(header.name.to_string()), value));
    }
    headers.push(("MIME-Version".into(), HeaderType::Raw(Raw::new("1.0"))));
    let kind = ContentType::new("multipart/mixed");
    headers.push(("Content-Type".into(), HeaderType::ContentType(kind)));
    let contents = BodyPart::Multipart(parts(message, redactor));
    let mut out = Vec::new();
    MimePart { headers, contents }.write_part(&mut out);
    out
}

fn parts<'x>(message: &Message<'_>, redactor: &Redactor) -> Vec<MimePart<'x>> {
    let shown = |text: &str| {
        let text = text.get(..text.floor_char_boundary(PART)).unwrap_or_default();
        // A carriage return alone is half a line end.
        redactor.text(text).replace("\r\n", "\n").replace('\r', "\n")
    };
    let texts = message.parts.iter().filter_map(|part| match &part.body {
        Body::Text(text) => Some(MimePart::new("text/plain", shown(text))),
        Body::Html(text) => Some(MimePart::new("text/html", shown(text))),
        Body::Container | Body::Calendar | Body::Binary(_) => None,
    });
    let calendars = message.calendar_parts.iter().map(|calendar| {
        let method = message.parts.get(calendar.part).and_then(|part| part.method.clone());
        let mut kind = ContentType::new("text/calendar").attribute("charset", "utf-8");
        if let Some(method) =
            method.filter(|m| m.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
        {
            kind = kind.attribute("method", method);
        }
        MimePart::new(kind, shown(&unfolded(&calendar.text)))
    });
    let mut parts: Vec<MimePart<'x>> = texts.chain(calendars).take(PARTS).collect();
    if parts.is_empty() {
        parts.push(MimePart::new("text/plain", String::new()));
    }
    parts
}

/// Longest word of a field: where there is no space nobody can fold.
const WORD: usize = 700;

fn with_short_words(value: &str) -> String {
    if value.split(' ').all(|word| word.len() <= WORD) {
        return value.to_owned();
    }
    let cut =
        |word: &str| word.get(..word.floor_char_boundary(WORD)).unwrap_or_default().to_owned();
    value.split(' ').map(cut).collect::<Vec<_>>().join(" ")
}

/// A calendar without folds: a name may stand on two lines.
fn unfolded(text: &str) -> String {
    text.replace("\r\n ", "").replace("\r\n\t", "").replace("\n ", "").replace("\n\t", "")
}
