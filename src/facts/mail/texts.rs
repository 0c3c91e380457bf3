//! Text parts as `body` and `rawbody` rules see them.
//!
//! Comes in: the leaf parts of a mail. Goes out: rendered paragraphs, links and counts; and
//! the text as sent, in pieces. Where a paragraph ends, where a long text is cut and which
//! white space counts is as in SpamAssassin 4.0.
//! Not an error: anything in the mail.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

use super::html;
use super::html_report::HtmlReport;
use super::source::{Kind, Leaf};
use super::structure::Structure;
use crate::message::{Message, text_as_shown};

/// Octets of one paragraph.
const PARAGRAPH: usize = 2048;

/// Characters of one part's rendered text that are looked at; a little more where that is
/// not the end of a line or word.
const RENDERED: usize = 50_000;

/// Octets of one part's raw text that are looked at, likewise.
const RAW: usize = 500_000;

/// How much more.
const MORE: usize = 1024;

/// Octets of one HTML part that are rendered.
const HTML: usize = 1024 * 1024;

/// Pieces of text made of one mail.
const PIECES: usize = 20_000;

/// A piece of text and the part it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Index in `Message::parts`.
    pub part: usize,
    /// The text: UTF-8 in rendered text (Latin-1 where SpamAssassin has it so: HTML that is
    /// ASCII but for references to characters of Latin-1), octets as sent in decoded text.
    pub text: Vec<u8>,
}

/// A link of an HTML part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlLink {
    /// Index in `Message::parts`.
    pub part: usize,
    /// Element in lower case: `a`, `img`.
    pub element: String,
    /// The link as written, references decoded, resolved against `base`.
    pub url: String,
    /// Text of the anchor, as rendered.
    pub text: String,
}

/// What rendering the text parts gives.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rendered {
    /// Paragraphs, in order of parts.
    pub paragraphs: Vec<Chunk>,
    /// Links of the HTML parts, in order.
    pub links: Vec<HtmlLink>,
    /// What was counted.
    pub html: HtmlReport,
    /// The text of all leaf parts, from which the paragraphs are made.
    pub(super) whole: String,
    /// Where each leaf part starts in it.
    pub(super) starts: Vec<usize>,
}

impl Rendered {
    /// The text of each leaf part with its lines, in order; empty for what is no text.
    pub fn leaf_texts(&self) -> impl Iterator<Item = &str> {
        let ends = self.starts.iter().skip(1).copied().chain([self.whole.len()]);
        self.starts
            .iter()
            .zip(ends)
            .map(|(start, end)| self.whole.get(*start..end).unwrap_or_default())
    }
}

/// Renders the text parts.
pub(super) fn render(message: &Message<'_>, structure: &Structure, leaves: &[Leaf]) -> Rendered {
    let mut out = Rendered::default();
    let mut joined = Joined::default();
    for leaf in leaves {
        // Parts are told apart by a line break, also those that are not text.
        if !joined.text.is_empty() {
            joined.text.push('\n');
        }
        joined.starts.push((joined.text.len(), leaf.part));
        let octets = leaf.octets(message, structure);
        match leaf.kind {
            Kind::Plain => {
                let (text, decoded) = text_as_shown(Cow::Borrowed(octets), &leaf.charset);
                joined.wide |= decoded;
                joined.text.push_str(cut_rendered(&text));
            }
            Kind::Html if !octets.is_empty() => {
                let octets = octets.get(..HTML).unwrap_or(octets);
                let (text, decoded) = text_as_shown(Cow::Borrowed(octets), &leaf.charset);
                let page = html::render(leaf.part, &text, decoded, octets.len());
                joined.wide |= page.wide;
                joined.text.push_str(cut_rendered(&page.text));
                out.links.extend(page.links);
                out.html.parts.push(page.report);
            }
            Kind::Html | Kind::Raw | Kind::Other => {}
        }
    }
    out.paragraphs = joined.paragraphs();
    out.starts = joined.starts.iter().map(|(start, _)| *start).collect();
    out.whole = joined.text;
    out
}

/// Cuts a part's rendered text where it has become too long.
fn cut_rendered(text: &str) -> &str {
    if text.len() <= RENDERED {
        return text;
    }
    let Some((limit, _)) = text.char_indices().nth(RENDERED) else { return text };
    let rest = text.get(limit..).unwrap_or_default();
    let more = rest.char_indices().nth(MORE + 1).map_or(rest.len(), |(end, _)| end);
    let near = rest.as_bytes().get(..more).unwrap_or_default();
    let end = memchr(b'\n', near).or_else(|| memchr(b' ', near)).map_or(0, |at| at + 1);
    text.get(..limit + end).unwrap_or(text)
}

/// The rendered text of all parts.
#[derive(Default)]
struct Joined {
    text: String,
    /// Where each part starts.
    starts: Vec<(usize, usize)>,
    /// Whether the text is taken as characters or as octets of Latin-1.
    wide: bool,
}

impl Joined {
    fn paragraphs(&self) -> Vec<Chunk> {
        let mut out =
            Splitter { chunks: Vec::new(), line: Vec::new(), start: 0, joined: self, next: 0 };
        let wide = self.wide;
        let is_space = |c: char| {
            if wide { c.is_whitespace() } else { c.is_ascii_whitespace() || c == '\u{b}' }
        };
        let mut at = 0;
        while at < self.text.len() && out.chunks.len() < PIECES {
            let rest = self.text.get(at..).unwrap_or_default();
            let length = rest.find(|c| is_space(c) || c == '\0').unwrap_or(rest.len());
            if length > 0 {
                out.push(at, rest.get(..length).unwrap_or_default());
                at += length;
                continue;
            }
            if rest.starts_with('\0') {
                // SpamAssassin marks the ends of paragraphs with zeros.
                out.end_line(at);
                at += 1;
                continue;
            }
            let length = rest.find(|c| !is_space(c)).unwrap_or(rest.len());
            let run = rest.get(..length).unwrap_or_default();
            match (run.find('\n'), run.rfind('\n')) {
                (Some(first), Some(last)) if first < last => {
                    if first > 0 {
                        out.push(at, " ");
                    }
                    out.end_line(at);
                    if last + 1 < length {
                        out.push(at + length, " ");
                    }
                }
                _ => out.push(at, " "),
            }
            at += length;
        }
        out.finish()
    }
}

struct Splitter<'j> {
    chunks: Vec<Chunk>,
    line: Vec<u8>,
    /// Where the line starts in the joined text.
    start: usize,
    joined: &'j Joined,
    /// Parts that have been passed.
    next: usize,
}

impl Splitter<'_> {
    fn push(&mut self, at: usize, text: &str) {
        // Space in front belongs to the text behind it.
        if self.line.is_empty() || self.line == b" " {
            self.start = at;
        }
        if self.joined.wide || text.is_ascii() {
            self.line.extend_from_slice(text.as_bytes());
        } else {
            self.line.extend(text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')));
        }
        while self.line.len() > PARAGRAPH + 1 {
            self.cut();
        }
    }

    fn end_line(&mut self, at: usize) {
        if self.line.is_empty() {
            self.start = at;
        }
        self.line.push(b'\n');
        while self.line.len() > PARAGRAPH {
            self.cut();
        }
        self.flush();
    }

    /// Cuts the line behind the last space that fits, or where it is full.
    fn cut(&mut self) {
        let space = memrchr(b' ', self.line.get(..=PARAGRAPH).unwrap_or_default());
        let rest = self.line.split_off(space.map_or(PARAGRAPH, |at| at + 1));
        let line = std::mem::replace(&mut self.line, rest);
        self.store(line);
    }

    fn flush(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.store(line);
        }
    }

    fn store(&mut self, text: Vec<u8>) {
        let starts = &self.joined.starts;
        while starts.get(self.next + 1).is_some_and(|(start, _)| *start <= self.start) {
            self.next += 1;
        }
        let part = starts.get(self.next).map_or(0, |(_, part)| *part);
        self.chunks.push(Chunk { part, text });
    }

    fn finish(mut self) -> Vec<Chunk> {
        while self.line.len() > PARAGRAPH {
            self.cut();
        }
        self.flush();
        self.chunks
    }
}

/// Undoes the transfer encodings of the text parts.
pub(super) fn raw_body(
    message: &Message<'_>,
    structure: &Structure,
    leaves: &[Leaf],
) -> Vec<Chunk> {
    let mut out = Vec::new();
    for leaf in leaves {
        match leaf.kind {
            Kind::Other => {}
            Kind::Html | Kind::Plain | Kind::Raw => {
                cut_raw(leaf.part, raw_part(leaf.octets(message, structure)), &mut out);
            }
        }
    }
    out
}

/// Cuts a part's raw text where it has become too long.
fn raw_part(octets: &[u8]) -> &[u8] {
    let Some(rest) = octets.get(RAW..).filter(|rest| !rest.is_empty()) else { return octets };
    let near = rest.get(..=MORE).unwrap_or(rest);
    let end = [b'\n', b'>', b' '].iter().find_map(|mark| memchr(*mark, near));
    octets.get(..RAW + end.map_or(0, |at| at + 1)).unwrap_or(octets)
}

/// Cuts raw text into pieces of one to two times 2048 octets, at a line end, a tag's end or
/// a space where there is one.
fn cut_raw(part: usize, text: &[u8], out: &mut Vec<Chunk>) {
    let mut rest = text;
    while rest.len() > 2 * PARAGRAPH && out.len() < PIECES {
        let window = rest.get(PARAGRAPH..2 * PARAGRAPH).unwrap_or_default();
        let at = [b'\n', b'>', b' '].iter().find_map(|mark| memchr(*mark, window)).unwrap_or(0);
        let (piece, tail) = rest.split_at(PARAGRAPH + at + 1);
        out.push(Chunk { part, text: piece.to_vec() });
        rest = tail;
    }
    if (!rest.is_empty() || text.is_empty()) && out.len() < PIECES {
        out.push(Chunk { part, text: rest.to_vec() });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mail;
    use super::*;
    use crate::message::{Envelope, Settings, parse};

    fn with_mail<T>(mail: &str, ask: impl FnOnce(&Mail<'_>) -> T) -> T {
        let envelope = Envelope::default();
        let message = parse(mail.as_bytes(), false, &envelope, &Settings::default());
        ask(&Mail::new(&message, &envelope))
    }

    fn pieces(chunks: &[Chunk]) -> Vec<(usize, String)> {
        chunks.iter().map(|chunk| (chunk.part, latin(&chunk.text))).collect()
    }

    fn latin(octets: &[u8]) -> String {
        octets.iter().copied().map(char::from).collect()
    }

    #[track_caller]
    fn check_rendered(mail: &str, expected: &[(usize, &str)]) {
        let found = with_mail(mail, |mail| pieces(&mail.rendered().paragraphs));
        let found: Vec<(usize, &str)> =
            found.iter().map(|(part, text)| (*part, text.as_str())).collect();
        assert_eq!(found, expected, "{mail:?}");
    }

    #[test]
    fn paragraphs() {
        check_rendered("A: b\n\na\nb \n \n  c\n\n", &[(0, "a b \n"), (0, " c\n")]);
        check_rendered("A: b\n\n\n\na", &[(0, "\n"), (0, "a")]);
        check_rendered("A: b\n\na\0b", &[(0, "a\n"), (0, "b")]);
        check_rendered("A: b\n\n", &[]);
    }

    #[test]
    fn several_parts() {
        let head = "Content-Type: multipart/mixed; boundary=x\n\n--x\n\n";
        // A paragraph may go on in the next part.
        check_rendered(&format!("{head}a\n--x\n\nb\n--x--\n"), &[(1, "a b")]);
        check_rendered(&format!("{head}a\n\n--x\n\nb\n--x--\n"), &[(1, "a\n"), (2, "b")]);
        check_rendered(
            &format!("{head}a\n--x\nContent-Type: image/png\n\nb\n--x\n\nc\n--x--\n"),
            &[(1, "a\n"), (3, "c")],
        );
    }

    #[test]
    fn references_alone_are_latin() {
        let html = "Content-Type: text/html\n\n";
        check_rendered(&format!("{html}&eacute;&#160; x"), &[(0, "\u{e9}\u{a0} x")]);
        // Any other character makes all of it UTF-8.
        check_rendered(
            &format!("{html}&eacute;&#160; x &euro;"),
            &[(0, &latin("\u{e9} x \u{20ac}".as_bytes()))],
        );
    }

    #[test]
    fn long_paragraphs_are_cut_at_spaces() {
        let words = "seven77 ".repeat(1_000);
        let found =
            with_mail(&format!("A: b\n\n{words}"), |mail| pieces(&mail.rendered().paragraphs));
        let lengths: Vec<usize> = found.iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, [2_048, 2_048, 2_048, 1_856]);
        let found = with_mail(&format!("A: b\n\n{}", "x".repeat(3_000)), |mail| {
            pieces(&mail.rendered().paragraphs)
        });
        assert_eq!(found.iter().map(|(_, text)| text.len()).collect::<Vec<_>>(), [2_048, 952]);
    }

    #[test]
    fn long_parts_are_cut() {
        let long = format!("A: b\n\n{}", "word ".repeat(200_000));
        let (rendered, raw) = with_mail(&long, |mail| {
            let all = |chunks: &[Chunk]| chunks.iter().map(|chunk| chunk.text.len()).sum::<usize>();
            (all(&mail.rendered().paragraphs), all(mail.raw_body()))
        });
        assert_eq!((rendered, raw), (50_005, 500_005));
    }

    #[track_caller]
    fn check_raw(body: &str, expected: &[usize]) {
        let found = with_mail(&format!("A: b\n\n{body}"), |mail| pieces(mail.raw_body()));
        let lengths: Vec<usize> = found.iter().map(|(_, text)| text.len()).collect();
        assert_eq!(lengths, expected);
        assert_eq!(found.into_iter().map(|(_, text)| text).collect::<String>(), body);
    }

    #[test]
    fn raw_pieces() {
        check_raw("<p>\n\nx &amp;", &[12]);
        check_raw(&"x".repeat(4_096), &[4_096]);
        check_raw(&"x".repeat(4_097), &[2_049, 2_048]);
        check_raw(&format!("{}\n", "x".repeat(99)).repeat(50), &[2_100, 2_900]);
        check_raw(&"abcdefg>h ".repeat(500), &[2_058, 2_942]);
    }
}
