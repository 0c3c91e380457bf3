//! The text parts of a mail as SpamAssassin reads them: which they are, and their octets.
//!
//! Comes in: a [`Message`] and its [`Structure`]. Goes out: its leaf parts in order, those
//! that hold text with the transfer encoding undone; and how fields of parts are read, because
//! what counts here is what SpamAssassin makes of them: any text type that is not known is
//! plain text, the last field of a name counts, and a part whose name ends in `.html` is HTML.
//! Not an error: anything. Calendar parts are no text.

use std::borrow::Cow;

use memchr::memmem;

use super::structure::{Node, Structure};
use crate::message::{Body, Message, Part};

/// Longer lines are cut in two inside multiparts, before the transfer encoding is undone.
pub(super) const LONGEST_LINE: usize = 2048;

/// Blank lines in a row that count.
pub(super) const BLANK_LINES: usize = 20;

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
    /// Index in [`Structure`].
    node: usize,
    /// The content where it is not as it stands in the part. It has no lifetime of the
    /// message, so that who keeps it needs none.
    changed: Option<Vec<u8>>,
}

impl Leaf {
    /// The content, transfer encoding undone; empty for what is not text.
    pub(super) fn octets<'l>(
        &'l self,
        message: &'l Message<'_>,
        structure: &'l Structure,
    ) -> &'l [u8] {
        match &self.changed {
            Some(octets) => octets,
            None => structure.as_it_stands(message, self.node),
        }
    }
}

/// The leaf parts in order.
pub(super) fn leaves(message: &Message<'_>, structure: &Structure) -> Vec<Leaf> {
    // Both trees have the leaves in order; with broken boundaries not quite the same ones.
    let parts: Vec<(usize, &Part<'_>)> = message
        .parts
        .iter()
        .enumerate()
        .filter(|(_, part)| !matches!(part.body, Body::Container))
        .collect();
    let found: Vec<(usize, &Node)> = structure.leaves().collect();
    let same = parts.len() == found.len();
    found
        .into_iter()
        .enumerate()
        .map(|(place, (index, node))| {
            let part = parts.get(place);
            let mut kind = kind(node);
            if same && part.is_some_and(|(_, part)| matches!(part.body, Body::Calendar)) {
                kind = Kind::Other;
            }
            let mut changed = match kind {
                Kind::Other => Some(Vec::new()),
                Kind::Html | Kind::Plain | Kind::Raw => {
                    let octets = structure.content(message, node);
                    let stands = structure.as_it_stands(message, index).len();
                    let same = matches!(octets, Cow::Borrowed(_)) && octets.len() == stands;
                    (!same).then(|| octets.into_owned())
                }
            };
            if !same && is_calendar(changed.as_deref(), structure.as_it_stands(message, index)) {
                kind = Kind::Other;
                changed = Some(Vec::new());
            }
            Leaf {
                // Where the trees differ, any number will do that no other leaf has.
                part: part.filter(|_| same).map_or(place, |(index, _)| *index),
                kind,
                charset: node
                    .charset
                    .clone()
                    .filter(|charset| !charset.is_empty())
                    .unwrap_or_else(|| "us-ascii".to_owned()),
                node: index,
                changed,
            }
        })
        .collect()
}

/// True for text that is a calendar, whatever it is declared to be.
fn is_calendar(changed: Option<&[u8]>, stands: &[u8]) -> bool {
    const BEGIN: &[u8] = b"BEGIN:VCALENDAR";
    let text = changed.unwrap_or(stands).trim_ascii_start();
    text.get(..BEGIN.len()).is_some_and(|start| start.eq_ignore_ascii_case(BEGIN))
}

/// Text with every CRLF made one LF.
pub(super) fn without_returns(octets: Vec<u8>) -> Vec<u8> {
    if memmem::find(&octets, b"\r\n").is_none() {
        return octets;
    }
    let mut kept = Vec::with_capacity(octets.len());
    let mut rest = octets.as_slice();
    while let Some(at) = memmem::find(rest, b"\r\n") {
        let (line, tail) = rest.split_at(at);
        kept.extend_from_slice(line);
        kept.push(b'\n');
        rest = tail.get(2..).unwrap_or_default();
    }
    kept.extend_from_slice(rest);
    kept
}

/// True for a line of nothing but white space.
pub(super) fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_whitespace() || *byte == 0x0b)
}

/// What a part is to rules.
fn kind(node: &Node) -> Kind {
    let name = node.name.to_ascii_lowercase();
    let by_name = [".htm", ".html", ".shtm", ".shtml"].iter().any(|end| name.ends_with(end));
    match node.kind.as_str() {
        "text/calendar" => Kind::Other,
        _ if by_name => Kind::Html,
        "text/html" => Kind::Html,
        "text/plain" => Kind::Plain,
        other if starts_with_word(other, "text") || starts_with_word(other, "message") => Kind::Raw,
        _ => Kind::Other,
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
        let structure = Structure::read(&message);
        let found: Vec<(Kind, String, String)> = leaves(&message, &structure)
            .into_iter()
            .map(|leaf| {
                let text = String::from_utf8_lossy(leaf.octets(&message, &structure)).into_owned();
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
