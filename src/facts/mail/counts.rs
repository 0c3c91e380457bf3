//! What MIME parts of a mail add up to, for functions of rules.
//!
//! Comes in: the [`Structure`]. Goes out: [`Counts`], by the names that rules use.
//! Not an error: anything.

use super::structure::{Node, Structure, lines};
use crate::message::Message;

/// Octets of a quoted-printable line that mail programs write, with its line end.
const LONG_LINE: usize = 79;

/// Words in charsets that all mean US-ASCII.
const ASCII: [&str; 8] = [
    "us",
    "ascii",
    "ansi_x3.4-1968",
    "ansi_x3.4-1986",
    "iso-ir-6",
    "iso_646.irv:1991",
    "ibm367",
    "cp367",
];

/// Counts of all parts.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a separate property")]
pub struct Counts {
    /// HTML parts.
    pub html: usize,
    /// Other text parts.
    pub text: usize,
    /// Parts in base64.
    pub base64: usize,
    /// Octets escaped without need in quoted-printable parts; where there are no such
    /// leaves, parts that say they are quoted-printable.
    pub quoted_printable: usize,
    /// The same as a share of the octets of these parts.
    pub quoted_printable_ratio: f64,
    /// A quoted-printable line is too long.
    pub long_line: bool,
    /// Parts that are attachments.
    pub attachments: usize,
    /// ASCII text in base64 that is no attachment.
    pub encoded_text: bool,
    /// A charset that looks like one of ISO and is none.
    pub bad_charset: bool,
    /// Charsets of all parts, lower case.
    pub charsets: Vec<String>,
    /// There is a `multipart/alternative`.
    pub alternative: bool,
    /// Octets of plain text for each of HTML, in the last parts of each.
    pub multipart_ratio: f64,
    /// Lines of ASCII text that are not ASCII.
    pub illegal_lines: usize,
    /// Written-out Unicode references for each other octet of plain text.
    pub unicode_ratio: f64,
    /// Longest line in base64.
    pub base64_length: usize,
    /// An alternative holds something that is no text.
    pub other_alternative: bool,
}

/// Sums that only matter while counting.
#[derive(Default)]
struct Sums {
    quoted: usize,
    escapes: usize,
    plain: usize,
    references: usize,
    /// Types and octets of parts that are no attachments.
    sizes: Vec<(String, usize)>,
}

impl Counts {
    /// Counts.
    pub(super) fn of(structure: &Structure, message: &Message<'_>) -> Self {
        let mut counts = Self { multipart_ratio: 1.0, ..Self::default() };
        let mut sums = Sums::default();
        for index in structure.parts() {
            let Some(node) = structure.node(index) else { continue };
            counts.header(node);
            if node.leaf {
                let content = structure.lines(message, node);
                counts.leaf(node, &content, &mut sums);
            }
            if node.is_alternative() {
                counts.other_alternative |= structure
                    .within(index, 1)
                    .into_iter()
                    .filter_map(|child| structure.node(child))
                    .any(|child| child.leaf && !is_usual_alternative(&child.kind));
            }
        }
        if sums.quoted > 0 {
            counts.quoted_printable = sums.escapes;
            counts.quoted_printable_ratio = share(sums.escapes, sums.quoted);
        }
        if sums.plain > 0 {
            counts.unicode_ratio = share(sums.references, sums.plain);
        }
        let last = |kind: &str| {
            sums.sizes.iter().rev().find(|(own, _)| own == kind).map(|(_, size)| *size)
        };
        if counts.alternative
            && let (Some(text), Some(html)) = (last("text/plain"), last("text/html"))
            && html > 0
        {
            counts.multipart_ratio = share(text, html);
        }
        counts
    }

    fn header(&mut self, node: &Node) {
        let kind = node.declared.as_str();
        let charset = node.charset.as_deref().unwrap_or_default();
        let base64 = node.encoding.contains("base64");
        self.alternative |= kind == "multipart/alternative";
        if kind == "text/html" {
            self.html += 1;
        } else if kind.starts_with("text") {
            self.text += 1;
        }
        if base64 {
            self.base64 += 1;
        } else if node.encoding.contains("quoted-printable") {
            self.quoted_printable += 1;
        }
        self.attachments += usize::from(node.is_attachment());
        self.encoded_text |= base64
            && kind.starts_with("text")
            && (charset.is_empty() || ASCII.iter().any(|word| charset.contains(word)))
            && !["attachment", "inline"].iter().any(|word| node.disposition.starts_with(word));
        self.bad_charset |= is_bad(charset);
        if charset.contains(|c: char| c.is_ascii_alphabetic()) {
            self.charsets.push(charset.to_owned());
        }
    }

    fn leaf(&mut self, node: &Node, content: &[u8], sums: &mut Sums) {
        let kind = node.declared.as_str();
        let (plain, encoding) = (kind == "text/plain", node.encoding.as_str());
        if !node.is_attachment() {
            let counted = self.alternative && (plain || kind == "text/html");
            sums.sizes.push((kind.to_owned(), if counted { content.len() } else { 0 }));
        }
        if encoding == "base64" && node.kind != "application/ics" {
            let longest = lines(content).map(<[u8]>::len).max().unwrap_or(0);
            self.base64_length = self.base64_length.max(longest);
        }
        if encoding == "quoted-printable" {
            for line in lines(content).filter(|line| !line.starts_with(b"SPAM: ")) {
                self.long_line |= line.len() > LONG_LINE;
                sums.quoted += line.len();
                sums.escapes += needless_escapes(line);
            }
        }
        if plain && matches!(node.charset.as_deref(), None | Some("us-ascii")) {
            let illegal = |byte: &u8| matches!(byte, 0 | b'\r' | 0x80..);
            self.illegal_lines += lines(content).filter(|line| line.iter().any(illegal)).count();
        }
        if plain && matches!(encoding, "" | "7bit" | "8bit") {
            let references = references(content);
            sums.references += references;
            sums.plain += content.len() - references * REFERENCE;
        }
    }

    /// A count by the name that `check_for_mime` knows; `None` for other names.
    pub fn by_name(&self, name: &str, unclosed: bool) -> Option<f64> {
        let flag = |set: bool| if set { 1.0 } else { 0.0 };
        Some(match name {
            "mime_base64_count" => number(self.base64),
            "mime_base64_encoded_text" => flag(self.encoded_text),
            "mime_body_html_count" => number(self.html),
            "mime_body_text_count" => number(self.text),
            "mime_attachment" => number(self.attachments),
            "mime_bad_iso_charset" => flag(self.bad_charset),
            "mime_missing_boundary" => flag(unclosed),
            "mime_multipart_alternative" => flag(self.alternative),
            "mime_multipart_ratio" => self.multipart_ratio,
            "mime_qp_count" => number(self.quoted_printable),
            "mime_qp_long_line" => flag(self.long_line),
            "mime_qp_ratio" => self.quoted_printable_ratio,
            "mime_ascii_text_illegal" => number(self.illegal_lines),
            "mime_text_unicode_ratio" => self.unicode_ratio,
            _ => return None,
        })
    }
}

fn number(count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a mail is smaller than that")]
    let count = count as f64;
    count
}

fn share(some: usize, of: usize) -> f64 {
    number(some) / number(of)
}

/// What stands in alternatives of honest mail.
fn is_usual_alternative(kind: &str) -> bool {
    kind.starts_with("text/") || matches!(kind, "multipart/related" | "application/rtf")
}

/// `iso-…-…` that is neither one of ISO 8859 nor the Japanese or Korean one.
fn is_bad(charset: &str) -> bool {
    let looks = charset.match_indices("iso-").any(|(at, found)| {
        let rest = charset.get(at + found.len()..).unwrap_or_default();
        let word = rest.split(char::is_whitespace).next().unwrap_or_default();
        let mut pieces = word.match_indices('-');
        pieces.any(|(dash, _)| {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            dash > 0 && rest.get(dash + 1..word_end(rest)).is_some_and(|rest| rest.contains(word))
        })
    });
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let known = charset.match_indices("iso-").any(|(at, found)| {
        let rest = charset.get(at + found.len()..).unwrap_or_default();
        let after = if let Some(rest) = rest.strip_prefix("8859-") {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            if (1..=2).contains(&digits) { rest.get(digits..) } else { None }
        } else {
            rest.strip_prefix("2022-jp").or_else(|| rest.strip_prefix("2022-kr"))
        };
        after.is_some_and(|after| !after.starts_with(word))
    });
    looks && !known
}

fn word_end(text: &str) -> usize {
    text.find(char::is_whitespace).unwrap_or(text.len())
}

/// Octets of one reference.
const REFERENCE: usize = 8;

/// References such as `&#x20AC;`, with four digits in capitals.
fn references(text: &[u8]) -> usize {
    let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(byte);
    memchr::memmem::find_iter(text, b"&#x")
        .filter(|at| {
            let rest = text.get(at + 3..).unwrap_or_default();
            rest.get(..4).is_some_and(|digits| digits.iter().all(is_digit))
                && rest.get(4) == Some(&b';')
        })
        .count()
}

/// Escapes of what could stand as it is; blanks at the end of a line have to be escaped.
fn needless_escapes(line: &[u8]) -> usize {
    let needless = |high: u8, low: u8| {
        let digit = low.is_ascii_digit() || (b'A'..=b'F').contains(&low);
        match high {
            b'0' => low == b'9',
            b'3' => digit && low != b'D',
            b'2' | b'4' | b'5' | b'6' => digit,
            b'7' => digit && low != b'F',
            _ => false,
        }
    };
    let mut count = 0;
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'=', rest) {
        rest = rest.get(at + 1..).unwrap_or_default();
        if let [high, low, after @ ..] = rest
            && needless(*high, *low)
        {
            count += 1;
            rest = after;
        }
    }
    let mut end = line.trim_ascii_end();
    let mut blanks = 0;
    while let Some(shorter) = end.strip_suffix(b"=20").or_else(|| end.strip_suffix(b"=09")) {
        end = shorter;
        blanks += 1;
    }
    count - blanks.min(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Envelope, Settings, parse};

    fn counts(mail: &str) -> Counts {
        let message = parse(mail.as_bytes(), false, &Envelope::default(), &Settings::default());
        Counts::of(&Structure::read(&message), &message)
    }

    #[track_caller]
    fn check(mail: &str, name: &str, expected: f64) {
        let found = counts(mail).by_name(name, false);
        assert_eq!(found, Some(expected), "{name} of {mail:?}");
    }

    #[test]
    fn headers() {
        let text = "Content-Transfer-Encoding: base64\n\nQUJD\n";
        check(text, "mime_base64_count", 1.0);
        check(text, "mime_base64_encoded_text", 1.0);
        check("Content-Type: text/html\n\n<p>\n", "mime_body_html_count", 1.0);
        check("Content-Type: text/enriched\n\n<p>\n", "mime_body_text_count", 1.0);
        let utf = "Content-Type: text/plain; charset=utf-8\n";
        check(&format!("{utf}{text}"), "mime_base64_encoded_text", 0.0);
        let attached = "Content-Disposition: attachment\n";
        check(&format!("{attached}{text}"), "mime_base64_encoded_text", 0.0);
        check(&format!("{attached}{text}"), "mime_attachment", 1.0);
    }

    #[test]
    fn charsets() {
        for (charset, expected) in [
            ("iso-8859-1", false),
            ("iso-8859-15", false),
            ("iso-8859-155", true),
            ("iso-2022-jp", false),
            ("iso-1234-x", true),
            ("iso-8859", false),
            ("utf-8", false),
        ] {
            assert_eq!(is_bad(charset), expected, "{charset}");
        }
    }

    #[test]
    fn escapes() {
        for (line, expected) in [
            ("a=3D=E4b\n", 0),
            ("=41=42c\n", 2),
            ("=20=20\n", 0),
            ("=41=20\n", 1),
            ("=20x\n", 1),
            ("=7F=3d=\n", 0),
        ] {
            assert_eq!(needless_escapes(line.as_bytes()), expected, "{line:?}");
        }
        let head = "Content-Transfer-Encoding: quoted-printable\n\n";
        check(&format!("{head}=41=41xx\n"), "mime_qp_count", 2.0);
        check(&format!("{head}{}\n", "x".repeat(78)), "mime_qp_long_line", 0.0);
        check(&format!("{head}{}\n", "x".repeat(79)), "mime_qp_long_line", 1.0);
    }

    #[test]
    fn plain_text() {
        check("A: b\n\nna\u{ef}ve\nplain\n", "mime_ascii_text_illegal", 1.0);
        check("A: b\n\nplain\n", "mime_ascii_text_illegal", 0.0);
        check("A: b\n\n&#x20AC;abc\n", "mime_text_unicode_ratio", 0.25);
        check("A: b\n\n&#x20ac;abc\n", "mime_text_unicode_ratio", 0.0);
    }

    #[test]
    fn alternatives() {
        let mail = |second: &str| {
            format!(
                "Content-Type: multipart/alternative; boundary=b\n\n--b\n\n12345\n--b\n\
                 Content-Type: {second}\n\n1234567890\n--b--\n"
            )
        };
        assert!((counts(&mail("text/html")).multipart_ratio - 0.5).abs() < 1e-9);
        assert!((counts(&mail("text/calendar")).multipart_ratio - 1.0).abs() < 1e-9);
        assert!(counts(&mail("application/pdf")).other_alternative);
        assert!(!counts(&mail("text/calendar")).other_alternative);
        assert!(!counts(&mail("application/rtf")).other_alternative);
    }
}
