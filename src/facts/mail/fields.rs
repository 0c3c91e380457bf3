//! Header fields as SpamAssassin's rules see them.
//!
//! Comes in: [`Header`]s. Goes out: values, as sent or decoded (RFC 2047), in UTF-8.
//! Not an error: wrong labels, broken words and raw eight-bit text: what is not UTF-8 is
//! taken for Windows-1252.

use std::borrow::Cow;

use memchr::memmem;

use crate::message::{self, Header, Message};

use super::relays::address::is_space;

/// Octets of a value that are looked at.
const LONGEST_VALUE: usize = 8_192;

/// Fields whose values are never decoded, however they look.
const PLAIN: [&str; 9] = [
    "received",
    "message-id",
    "date",
    "resent-message-id",
    "resent-date",
    "mime-version",
    "references",
    "in-reply-to",
    "list-",
];

/// All fields, in order. What earlier filters wrote in `X-Spam-…` is theirs, not the mail's:
/// no rule sees it.
pub fn all<'m, 'x>(message: &'m Message<'x>) -> impl DoubleEndedIterator<Item = &'m Header<'x>> {
    let verdict = "X-Spam-";
    message.headers.iter().filter(move |header| {
        !header.name.get(..verdict.len()).is_some_and(|start| start.eq_ignore_ascii_case(verdict))
    })
}

/// Fields of one name, in order.
pub fn named<'m, 'x>(
    message: &'m Message<'x>,
    name: &'m str,
) -> impl DoubleEndedIterator<Item = &'m Header<'x>> {
    all(message).filter(move |header| header.name.eq_ignore_ascii_case(name))
}

/// The value as sent, from behind the colon to the line end; line ends are line feeds.
pub fn raw(header: &Header<'_>) -> Vec<u8> {
    let mut value = Vec::with_capacity(header.raw.len().min(LONGEST_VALUE));
    let mut rest: &[u8] = &header.raw;
    while let Some((byte, tail)) = rest.split_first() {
        if value.len() >= LONGEST_VALUE {
            break;
        }
        if !(*byte == b'\r' && tail.first() == Some(&b'\n')) {
            value.push(*byte);
        }
        rest = tail;
    }
    value
}

/// The value on one line, without white space at its ends, decoded where the field is one
/// that may be encoded.
pub fn decoded(header: &Header<'_>) -> Vec<u8> {
    let value = unfold(&raw(header));
    let name: &str = &header.name;
    let plain = PLAIN.iter().any(|plain| {
        if plain.ends_with('-') {
            name.get(..plain.len()).is_some_and(|start| start.eq_ignore_ascii_case(plain))
        } else {
            name.eq_ignore_ascii_case(plain)
        }
    });
    decode(value.trim_ascii(), !plain)
}

/// A line feed and the white space behind it made one space.
fn unfold(value: &[u8]) -> Vec<u8> {
    let mut unfolded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((byte, tail)) = rest.split_first() {
        let blanks = tail.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if *byte == b'\n' && blanks > 0 {
            unfolded.push(b' ');
            rest = tail.get(blanks..).unwrap_or_default();
        } else {
            unfolded.push(*byte);
            rest = tail;
        }
    }
    unfolded
}

/// Text of a field in UTF-8; `words` says that encoded words are decoded.
pub fn decode(text: &[u8], words: bool) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        match (byte, tail.first()) {
            (b'\n', Some(b' ' | b'\t')) => {
                line.push(b' ');
                rest = tail.get(1..).unwrap_or_default();
                continue;
            }
            (b'\r', Some(b'\n')) | (b'\n', _) => {}
            _ => line.push(*byte),
        }
        rest = tail;
    }
    let line = match String::from_utf8(line) {
        Ok(line) => line,
        Err(error) => message::western(error.as_bytes()),
    };
    if words && line.contains("=?") { decode_words(line.as_bytes()) } else { line.into_bytes() }
}

/// An encoded word: its charset, and where it ends.
struct Word<'t> {
    charset: &'t [u8],
    base64: bool,
    data: &'t [u8],
    length: usize,
}

/// Reads the encoded word at the start of a text.
fn word_at(text: &[u8]) -> Option<Word<'_>> {
    let inner = text.strip_prefix(b"=?")?;
    let label = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'_' | b'-');
    let end = inner.iter().take_while(|b| label(b)).count();
    let (charset, after) =
        inner.split_at_checked(end).filter(|(charset, _)| !charset.is_empty())?;
    let [b'?', encoding, b'?', after @ ..] = after else {
        return None;
    };
    let base64 = match encoding {
        b'b' | b'B' => true,
        b'q' | b'Q' => false,
        _ => return None,
    };
    let end = memchr::memchr(b'?', after)?;
    let (data, tail) = after.split_at_checked(end)?;
    tail.starts_with(b"?=").then_some(())?;
    Some(Word { charset, base64, data, length: 2 + charset.len() + 3 + end + 2 })
}

/// Decodes encoded words. Neighbours in one charset are decoded as one, because senders cut
/// inside characters.
fn decode_words(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut charset: Vec<u8> = Vec::new();
    let mut octets: Vec<u8> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(word) = word_at(rest) {
            if !word.charset.eq_ignore_ascii_case(&charset) {
                flush(&mut decoded, &charset, &mut octets);
                charset = word.charset.to_vec();
            }
            octets.extend(message::decode_word(word.data, word.base64));
            rest = rest.get(word.length..).unwrap_or_default();
            // White space between two words belongs to the encoding.
            let blanks = rest.iter().take_while(|byte| is_space(**byte)).count();
            let after = rest.get(blanks..).unwrap_or_default();
            if blanks > 0 && word_at(after).is_some() {
                rest = after;
            }
        } else {
            flush(&mut decoded, &charset, &mut octets);
            charset.clear();
            let next = rest.get(1..).and_then(|tail| memmem::find(tail, b"=?"));
            let (plain, tail) =
                rest.split_at_checked(next.map_or(rest.len(), |at| at + 1)).unwrap_or((rest, &[]));
            decoded.extend_from_slice(plain);
            rest = tail;
        }
    }
    flush(&mut decoded, &charset, &mut octets);
    decoded
}

fn flush(decoded: &mut Vec<u8>, charset: &[u8], octets: &mut Vec<u8>) {
    let octets = std::mem::take(octets);
    if octets.is_empty() {
        return;
    }
    // RFC 2231 §5: a language may follow.
    let label = charset.split(|byte| *byte == b'*').next().unwrap_or_default();
    let text: Cow<'_, [u8]> = labelled(octets, &String::from_utf8_lossy(label));
    decoded.extend_from_slice(&text);
}

/// Octets in UTF-8, by the label alone: what it says is believed even where it damages.
fn labelled(octets: Vec<u8>, label: &str) -> Cow<'static, [u8]> {
    let label = label.to_ascii_lowercase();
    let utf16 = ["utf-16", "utf16", "utf 16"].iter().any(|start| label.starts_with(start));
    if octets.is_ascii() && (utf16 || !message::shifts(&label)) {
        return Cow::Owned(octets);
    }
    if matches!(label.as_str(), "utf-8" | "utf8") {
        return Cow::Owned(String::from_utf8_lossy(&octets).into_owned().into_bytes());
    }
    if utf16 {
        return Cow::Owned(message::western(&octets).into_bytes());
    }
    let text =
        message::by_label_alone(&octets, &label).unwrap_or_else(|| message::western(&octets));
    Cow::Owned(text.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &[u8], expected: &str) {
        let header = Header { name: name.into(), raw: value.into() };
        assert_eq!(String::from_utf8(decoded(&header)).unwrap(), expected, "{value:?}");
    }

    #[test]
    fn values() {
        check("Subject", b" Hi\r\n \tyou \r\n", "Hi you");
        check("Subject", b"a  b\n", "a  b");
        check(
            "Subject",
            b" =?utf-8?q?Gr=C3=BC=C3=9Fe_an?= alle",
            "Grüße an alle".to_owned().as_str(),
        );
        check("Subject", b"=?utf-8?b?R3LD?= =?UTF-8?b?vA==?= x", "Grü x");
        check("Subject", b"=?utf-8?q?a?=\n =?iso-8859-1?q?=FC?= b", "aü b");
        check("Subject", b"x=?utf-8?q?a?=y", "xay");
        check("Subject", b"=?utf-8?x?a?= =?", "=?utf-8?x?a?= =?");
        check("Subject", b"=?us-ascii*en?Q?a?= =?nonsense?q?=E4?=", "aä");
        check("Subject", b"caf\xE9", "café");
        check("Subject", "café".as_bytes(), "café");
        check("Received", b"=?utf-8?q?a?=", "=?utf-8?q?a?=");
        check("List-Id", b"=?utf-8?q?a?=", "=?utf-8?q?a?=");
        check("Listing", b"=?utf-8?q?a?=", "a");
        check("Subject", b"", "");
    }

    #[test]
    fn raw_values_keep_their_folds() {
        let header = Header { name: "X".into(), raw: b" a\r\n b\r\n"[..].into() };
        assert_eq!(raw(&header), b" a\n b\n");
        let long = vec![b'x'; 20_000];
        assert_eq!(raw(&Header { name: "X".into(), raw: long.into() }).len(), 8_192);
    }

    #[test]
    fn many_words() {
        let started = std::time::Instant::now();
        decode("=?u?b?!".repeat(100_000).as_bytes(), true);
        decode("=?utf-8?q?x?= ".repeat(100_000).as_bytes(), true);
        assert!(started.elapsed().as_secs() < 5);
    }
}
