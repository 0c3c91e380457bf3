//! Undoes content transfer encodings (RFC 2045 §6).
//!
//! Comes in: the octets of a leaf part between its header and the next boundary line.
//! Goes out: the decoded octets, borrowed where nothing was encoded, and whether they could
//! be decoded cleanly.
//! Not an error: damage. Characters that are not base64 are left out and escapes that are
//! none stay as written, because that is what mail programs show.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::{
    quoted_printable_decode, quoted_printable_decode_char,
};
use memchr::memchr;

use super::format;

/// The value of Content-Transfer-Encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Encoding {
    /// `7bit`, `8bit`, `binary` or nothing.
    #[default]
    Identity,
    /// `base64`.
    Base64,
    /// `quoted-printable`.
    QuotedPrintable,
    /// A word that is none of the above; the content is taken as it stands.
    Unknown,
}

impl Encoding {
    /// Reads the field's value; a comment or a parameter after the word is ignored.
    pub(super) fn read(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let word = text
            .split(|c: char| c == '(' || c == ';' || c.is_whitespace())
            .map(|word| word.trim_matches('"'))
            .find(|word| !word.is_empty())
            .unwrap_or_default();
        if word.eq_ignore_ascii_case("base64") {
            Self::Base64
        } else if word.eq_ignore_ascii_case("quoted-printable") {
            Self::QuotedPrintable
        } else if ["", "7bit", "8bit", "binary", "7-bit", "8-bit"]
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known))
        {
            Self::Identity
        } else {
            Self::Unknown
        }
    }
}

/// Decodes `content`; the second value is false when the encoding was damaged.
pub(super) fn undo(content: &[u8], encoding: Encoding) -> (Cow<'_, [u8]>, bool) {
    match encoding {
        Encoding::Identity => (Cow::Borrowed(content), true),
        Encoding::Unknown => (Cow::Borrowed(content), false),
        Encoding::Base64 => match base64_decode(content) {
            Some(decoded) => (Cow::Owned(decoded), true),
            // A sender that says base64 and writes plain text fools only scanners that
            // decode what is not encoded.
            None if format::starts_calendar(content) => (Cow::Borrowed(content), false),
            None => (Cow::Owned(damaged_base64(content)), false),
        },
        Encoding::QuotedPrintable => {
            if memchr(b'=', content).is_none() {
                return (Cow::Borrowed(content), true);
            }
            quoted_printable_decode(content).map_or_else(
                || (Cow::Owned(damaged_quoted_printable(content)), false),
                |decoded| (Cow::Owned(decoded), true),
            )
        }
    }
}

/// Decodes the characters that are base64 and leaves out the others (RFC 2045 §6.8: "all
/// line breaks or other characters not found in Table 1 must be ignored").
pub(super) fn damaged_base64(content: &[u8]) -> Vec<u8> {
    let kept: Vec<u8> = content
        .iter()
        .copied()
        .filter(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='))
        .collect();
    base64_decode(&kept).unwrap_or_default()
}

/// Decodes the escapes that are escapes and keeps the others as written (RFC 2045 §6.7).
fn damaged_quoted_printable(content: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(position) = memchr(b'=', rest) {
        let (before, after) = rest.split_at(position);
        decoded.extend_from_slice(before);
        rest = match after {
            [b'=', b'\r', b'\n', tail @ ..] | [b'=', b'\n', tail @ ..] => tail,
            [b'=', high, low, tail @ ..] => {
                if let Some(byte) = quoted_printable_decode_char(*high, *low) {
                    decoded.push(byte);
                    tail
                } else {
                    decoded.push(b'=');
                    after.get(1..).unwrap_or_default()
                }
            }
            _ => {
                decoded.extend_from_slice(after);
                &[]
            }
        };
    }
    decoded.extend_from_slice(rest);
    decoded
}

/// Decodes base64 as mail filters do: whatever is not base64 is left out, and padding in
/// the middle (several encoded pieces in a row) counts as zeros, so that no piece is lost.
pub fn base64_octets(content: &[u8]) -> Vec<u8> {
    let end = content
        .iter()
        .rposition(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        .map_or(0, |last| last + 1);
    let mut decoded = Vec::with_capacity(end / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for byte in content.get(..end).unwrap_or_default() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => 0,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            decoded.extend_from_slice(bits.to_be_bytes().get(1..).unwrap_or_default());
            (bits, count) = (0, 0);
        }
    }
    // Two characters left make one octet, three make two; one makes nothing.
    let tail = (bits << (6 * (4 - count))).to_be_bytes();
    decoded.extend_from_slice(tail.get(1..count.max(1) as usize).unwrap_or_default());
    decoded
}

/// Decodes quoted-printable as mail filters do: white space at the end of a line goes,
/// escapes may be in lower case, and what is no escape stays.
pub fn quoted_printable_octets(content: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(content.len());
    let mut rest = content;
    while !rest.is_empty() {
        let length = memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        let (line, tail) = rest.split_at(length);
        rest = tail;
        let (text, end) = line_and_end(line);
        let soft = if end.is_empty() { None } else { text.strip_suffix(b"=") };
        unescape(soft.unwrap_or(text), &mut decoded);
        if soft.is_none() {
            decoded.extend_from_slice(end);
        }
    }
    decoded
}

/// A line without the white space at its end, and its line end.
fn line_and_end(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(text) = line.strip_suffix(b"\n") else { return (line, &[]) };
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    let end = line.get(text.len()..).unwrap_or_default();
    let kept = text.iter().rposition(|byte| !matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    (text.get(..kept).unwrap_or_default(), end)
}

fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(position) = memchr(b'=', rest) {
        let (before, after) = rest.split_at(position);
        out.extend_from_slice(before);
        let escape = match after {
            [_, high, low, tail @ ..] => {
                quoted_printable_decode_char(*high, *low).map(|byte| (byte, tail))
            }
            _ => None,
        };
        let (byte, tail) = escape.unwrap_or((b'=', after.get(1..).unwrap_or_default()));
        out.push(byte);
        rest = tail;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_octets(decode: fn(&[u8]) -> Vec<u8>, content: &str, expected: &str) {
        assert_eq!(String::from_utf8_lossy(&decode(content.as_bytes())), expected, "{content:?}");
    }

    #[test]
    fn base64_as_filters_read_it() {
        check_octets(base64_octets, "QUJD\r\nREVG", "ABCDEF");
        check_octets(base64_octets, "QUI=\nQUI=", "AB\0AB");
        check_octets(base64_octets, "QUJDR", "ABC");
        check_octets(base64_octets, "QUJDRE", "ABCD");
        check_octets(base64_octets, "Q*UJ-D=", "ABC");
        check_octets(base64_octets, "", "");
        check_octets(base64_octets, "====", "");
    }

    #[test]
    fn quoted_printable_as_filters_read_it() {
        check_octets(quoted_printable_octets, "a=\nb= \r\nc", "abc");
        check_octets(quoted_printable_octets, "a \t\nb ", "a\nb ");
        check_octets(quoted_printable_octets, "=3d=3D=ZZ=4=", "===ZZ=4=");
        check_octets(quoted_printable_octets, "", "");
    }

    fn check(encoding: &str, content: &str, expected: &str, clean: bool) {
        let (decoded, was_clean) = undo(content.as_bytes(), Encoding::read(encoding.as_bytes()));
        assert_eq!(String::from_utf8_lossy(&decoded), expected, "{content:?}");
        assert_eq!(was_clean, clean, "{content:?}");
    }

    #[test]
    fn transfer_encodings() {
        check(" 7bit\r\n", "a=41", "a=41", true);
        check(" BASE64 (yes)\r\n", "QUJD\r\nREVG", "ABCDEF", true);
        check("\"base64\"", "QUJD", "ABC", true);
        check("base64", "QU*JD\r\n!REVG", "ABCDEF", false);
        check("base64", "", "", true);
        check("base64", "****", "", false);
        check("base64", "BEGIN:VCALENDAR\n", "BEGIN:VCALENDAR\n", false);
        check("Quoted-Printable", "a=\r\nb=3D", "ab=", true);
        check("quoted-printable", "plain ", "plain ", true);
        check("quoted-printable", "CN==3Dx=ZZ=\nend=", "CN==x=ZZend=", false);
        check("x-uuencode", "begin 644 a", "begin 644 a", false);
    }
}
