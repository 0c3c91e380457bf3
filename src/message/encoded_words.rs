//! Decodes header values: folds and encoded words (RFC 2047).
//!
//! Comes in: the raw value of a field.
//! Goes out: readable text.
//! Not an error: words that are broken (left as written), characters split over two words,
//! raw eight-bit text.

use std::borrow::Cow;
use std::fmt::Write as _;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode_char;
use memchr::memmem;

use super::fields::LONGEST_VALUE;
use super::{charset, transfer};

/// Octets of one encoded word; RFC 2047 allows 75, senders do not care.
const LONGEST_WORD: usize = 4 * 1024;

/// Value with encoded words decoded, folds replaced by one space, ends trimmed.
pub(super) fn decode(raw: &[u8]) -> String {
    let raw = raw.get(..LONGEST_VALUE).unwrap_or(raw);
    let (text, _) = charset::decode(Cow::Borrowed(raw), Some("utf-8"), false);
    let text = unfold(&text);
    if text.contains("=?") {
        decode_words(&text, |decoded, text| text.push_str(decoded))
    } else {
        text.into_owned()
    }
}

/// Raw value in which adjacent words are one word of UTF-8 each, and raw eight-bit text is
/// UTF-8. mail-parser, which takes address fields apart, decodes every word by itself and
/// so loses characters that are split over two of them.
pub(super) fn rejoin(raw: &[u8]) -> Cow<'_, [u8]> {
    let raw = raw.get(..LONGEST_VALUE).unwrap_or(raw);
    if memmem::find(raw, b"=?").is_none() && raw.is_ascii() {
        return Cow::Borrowed(raw);
    }
    let (text, _) = charset::decode(Cow::Borrowed(raw), Some("utf-8"), false);
    let rejoined = decode_words(&text, |decoded, text| {
        text.push_str("=?utf-8?q?");
        for octet in decoded.bytes() {
            let _ = write!(text, "={octet:02X}");
        }
        text.push_str("?=");
    });
    Cow::Owned(rejoined.into_bytes())
}

fn unfold(text: &str) -> Cow<'_, str> {
    let trimmed = text.trim();
    if !trimmed.contains(['\r', '\n']) {
        return Cow::Borrowed(trimmed);
    }
    let mut unfolded = String::with_capacity(trimmed.len());
    for line in trimmed.split(['\r', '\n']).map(str::trim) {
        if !unfolded.is_empty() && !line.is_empty() {
            unfolded.push(' ');
        }
        unfolded.push_str(line);
    }
    Cow::Owned(unfolded)
}

/// Octets of adjacent words in one charset. They are joined before they are decoded,
/// because many senders cut in the middle of a character.
#[derive(Default)]
struct Run {
    charset: String,
    octets: Vec<u8>,
}

impl Run {
    fn flush(&mut self, text: &mut String, emit: impl Fn(&str, &mut String)) {
        if !self.octets.is_empty() {
            let octets = Cow::Owned(std::mem::take(&mut self.octets));
            emit(&charset::decode(octets, Some(&self.charset), false).0, text);
        }
    }
}

/// Copies `text` and gives the decoded words to `emit`, which adds them to the copy.
fn decode_words(text: &str, emit: impl Fn(&str, &mut String)) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut run = Run::default();
    let mut after_word = false;
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("=?") {
        let Some((word, tail)) = read_word(after) else {
            run.flush(&mut decoded, &emit);
            decoded.push_str(before);
            decoded.push_str("=?");
            after_word = false;
            rest = after;
            continue;
        };
        // White space between two encoded words is not part of the text (§6.2).
        if !(after_word && before.trim().is_empty()) {
            run.flush(&mut decoded, &emit);
            decoded.push_str(before);
        }
        if !run.charset.eq_ignore_ascii_case(word.charset) {
            run.flush(&mut decoded, &emit);
            word.charset.clone_into(&mut run.charset);
        }
        run.octets.extend_from_slice(&word.octets);
        after_word = true;
        rest = tail;
    }
    run.flush(&mut decoded, &emit);
    decoded.push_str(rest);
    decoded
}

struct Word<'t> {
    charset: &'t str,
    octets: Vec<u8>,
}

/// Reads `charset?encoding?data?=`; the second value is what follows.
fn read_word(text: &str) -> Option<(Word<'_>, &str)> {
    let window = text.get(..text.floor_char_boundary(LONGEST_WORD))?;
    let (label, after) = window.split_once('?')?;
    let (encoding, after) = after.split_once('?')?;
    let (data, _) = after.split_once("?=")?;
    if label.is_empty() || label.contains(char::is_whitespace) {
        return None;
    }
    let octets = match encoding {
        "b" | "B" => octets(data.as_bytes(), true),
        "q" | "Q" => octets(data.as_bytes(), false),
        _ => return None,
    };
    let length = label.len() + encoding.len() + data.len() + 4;
    // RFC 2231 §5: the charset may be followed by a language.
    let charset = label.split_once('*').map_or(label, |(charset, _)| charset);
    Some((Word { charset, octets }, text.get(length..)?))
}

/// Octets of the data of an encoded word.
pub(crate) fn octets(data: &[u8], base64: bool) -> Vec<u8> {
    if base64 {
        base64_decode(data).unwrap_or_else(|| transfer::damaged_base64(data))
    } else {
        quoted(data)
    }
}

/// The Q encoding: quoted-printable with `_` for a space.
fn quoted(data: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(data.len());
    let mut rest = data;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'_', _) => octets.push(b' '),
            (b'=', [high, low, after @ ..]) => {
                if let Some(octet) = quoted_printable_decode_char(*high, *low) {
                    octets.push(octet);
                    rest = after;
                } else {
                    octets.push(b'=');
                }
            }
            _ => octets.push(*first),
        }
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, expected: &str) {
        assert_eq!(decode(raw.as_bytes()), expected, "{raw:?}");
    }

    #[test]
    fn values() {
        check(" Hello\r\n", "Hello");
        check(" a\r\n  b\r\n\tc\r\n", "a b c");
        check("", "");
        check(" =?utf-8?q?Gr=C3=BC=C3=9Fe_an?= alle", "Grüße an alle");
        check("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße");
        check("=?iso-8859-1*de?Q?=FC?=", "ü");
        check("=?utf-8?q?a?= =?utf-8?q?b?=", "ab");
        check("=?utf-8?q?=C3?=\r\n =?utf-8?q?=BC?=", "ü");
        check("=?utf-8?b?R3LD?= =?UTF-8?b?vA==?= x", "Grü x");
        check("=?utf-8?q?a?= x =?latin1?q?=FC?=", "a x ü");
        check("=?utf-8?q?a?= =?latin1?q?=FC?=", "aü");
        check("=?utf-8?x?a?= =?", "=?utf-8?x?a?= =?");
        check("=?utf-8?q?a b?c?=", "a b?c");
        check("=?utf-8?q?open", "=?utf-8?q?open");
        check("=?utf-8?b?R3?=", "G");
        check("=?nonsense?q?=41=4?=", "A=4");
        check("=? ?q?x?=", "=? ?q?x?=");
        assert_eq!(decode(b"caf\xE9"), "caf\u{e9}");
    }

    #[test]
    fn many_words() {
        let started = std::time::Instant::now();
        decode("=?u?b?!".repeat(100_000).as_bytes());
        decode("=?utf-8?q?x?= ".repeat(100_000).as_bytes());
        assert!(started.elapsed().as_secs() < 2);
    }
}
