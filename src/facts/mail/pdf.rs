//! What the text of PDF attachments tells: authors, programs, sizes of images, links.
//!
//! Comes in: the [`Structure`]. Goes out: a [`PdfReport`] of all PDF files together. Files
//! are not parsed but read line by line, as SpamAssassin's `PDFInfo` does; what is compressed
//! stays unseen.
//! Not an error: a file that is no PDF; it counts, and nothing is known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use md5::{Digest, Md5};
use memchr::{memchr, memmem};

use super::structure::Structure;
use crate::message::Message;

/// Files that are read; more are only counted.
const FILES: usize = 100;
/// Octets in front of the file's mark.
const START: usize = 1024;
/// Lines that the fuzzy sum is made of, and one more.
const FUZZY_LINES: u32 = 70;
/// Places in one line where a key stands and is looked at.
const KEYS: usize = 50;
/// Links of one file.
const LINKS: usize = 20;
/// Octets of one detail that are kept.
const DETAIL: usize = 256;
/// Details and sizes that are kept.
const KEPT: usize = 1_000;

/// What the PDF files of a mail tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PdfReport {
    /// Files.
    pub count: usize,
    /// Images in them.
    pub images: usize,
    /// Square pixels of the images, in the last file that has some.
    pub area: Option<f64>,
    /// One of the files is encrypted.
    pub encrypted: bool,
    /// File names.
    pub names: BTreeSet<String>,
    /// Heights and widths of images, and of all images of a file together.
    pub sizes: BTreeSet<(u64, u64)>,
    /// `author`, `creator`, `created`, `modified`, `producer` and `title`.
    pub details: BTreeMap<&'static str, BTreeSet<Vec<u8>>>,
    /// MD5 of whole files, hexadecimal capitals.
    pub sums: BTreeSet<String>,
    /// MD5 of the first lines, and of the names in front of lines.
    pub fuzzy_sums: BTreeSet<String>,
    /// Links, and which leaf of the mail has them.
    pub links: Vec<(usize, Vec<u8>)>,
}

/// Reads the files.
pub(super) fn read(structure: &Structure, message: &Message<'_>) -> PdfReport {
    let mut report = PdfReport::default();
    for (place, (_, node)) in structure.leaves().enumerate() {
        let declared = matches!(node.kind.as_str(), "application/pdf" | "image/pdf");
        let octets = ["application/octet-stream", "image/octet-stream"];
        let name = node.name.to_ascii_lowercase();
        let named = [".pdf", ".fdf"].iter().any(|ending| name.ends_with(ending));
        if !(declared || named && octets.contains(&node.kind.as_str())) {
            continue;
        }
        report.count += 1;
        if report.count <= FILES {
            report.file(place, &node.name, &structure.content(message, node));
        }
    }
    report
}

/// What is gathered while reading one file.
#[derive(Default)]
struct Reading {
    /// Which leaf of the mail it is.
    place: usize,
    fuzzy: Vec<u8>,
    fuzzy_done: bool,
    lines: u32,
    tags: Vec<u8>,
    expects_size: bool,
    height: u64,
    width: u64,
    area: f64,
    links: BTreeSet<Vec<u8>>,
}

impl PdfReport {
    fn file(&mut self, place: usize, name: &str, data: &[u8]) {
        let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        if !has_mark(data) {
            return;
        }
        if !name.is_empty() {
            self.names.insert(name.to_owned());
        }
        let mut reading = Reading { place, ..Reading::default() };
        for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            self.line(line, &mut reading);
        }
        if reading.height > 0 && reading.width > 0 {
            self.sizes.insert((reading.height, reading.width));
        }
        if reading.area > 0.0 {
            self.area = Some(reading.area);
        }
        self.sums.insert(sum(data));
        for text in [&reading.fuzzy, &reading.tags] {
            if !text.is_empty() {
                self.fuzzy_sums.insert(sum(text));
            }
        }
    }

    fn line(&mut self, line: &[u8], reading: &mut Reading) {
        let line = reading.fuzzy_line(line);
        reading.expects_size |= memmem::find(line, b"/Image").is_some();
        self.encrypted |= line.starts_with(b"/Encrypt");
        if reading.expects_size
            && let Some((height, width)) = image_size(line)
            && height > 0
            && width > 0
        {
            reading.fuzzy_done = true;
            reading.expects_size = false;
            reading.height = reading.height.saturating_add(height);
            reading.width = reading.width.saturating_add(width);
            reading.area += area(height, width);
            self.images += 1;
            if self.sizes.len() < KEPT {
                self.sizes.insert((height, width));
            }
        }
        if memchr(b'/', line).is_none() {
            return;
        }
        if let Some(rest) = line.strip_prefix(b"/") {
            let length = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            reading.tags.extend_from_slice(rest.get(..length).unwrap_or_default());
        }
        if reading.links.len() < LINKS
            && let Some(link) = link(line)
            && reading.links.insert(link.clone())
        {
            self.links.push((reading.place, link));
        }
        for (key, detail) in [
            (&b"/Author"[..], "author"),
            (b"/Creator", "creator"),
            (b"/Producer", "producer"),
            (b"/Title", "title"),
        ] {
            if let Some(text) = keys(line, key).find_map(|at| string(line, at + key.len())) {
                self.detail(detail, plain(text));
            }
        }
        for (key, detail) in [(&b"/CreationDate"[..], "created"), (b"/ModDate", "modified")] {
            if let Some(date) = keys(line, key).find_map(|at| date(line, at + key.len())) {
                self.detail(detail, date.to_vec());
            }
        }
    }

    fn detail(&mut self, name: &'static str, mut text: Vec<u8>) {
        text.truncate(DETAIL);
        let all = self.details.entry(name).or_default();
        if all.len() < KEPT {
            all.insert(text);
        }
    }
}

impl Reading {
    /// Adds a line to the fuzzy sum while it is made; trailing blanks are cut off meanwhile.
    fn fuzzy_line<'l>(&mut self, line: &'l [u8]) -> &'l [u8] {
        if self.fuzzy_done {
            return line;
        }
        self.lines += 1;
        if self.lines >= FUZZY_LINES {
            return line;
        }
        self.fuzzy_done = memmem::find(line, b"stream").is_some();
        let skipped = [&b"%"[..], b"/Height", b"/Width", b"/MediaBox", b"/CropBox"];
        if skipped.iter().any(|start| line.starts_with(start)) || matrix(line).is_some() {
            return line;
        }
        let line = line.trim_ascii_end();
        self.fuzzy.extend_from_slice(line);
        line
    }
}

#[expect(clippy::cast_precision_loss, reason = "sizes that large are not true anyway")]
fn area(height: u64, width: u64) -> f64 {
    height as f64 * width as f64
}

/// True when `%PDF-1.4` or the like stands near the start.
fn has_mark(data: &[u8]) -> bool {
    let near = data.get(..START + 8).unwrap_or(data);
    memmem::find_iter(near, b"%PDF-").any(|at| {
        matches!(near.get(at + 5..at + 8), Some([a, b'.', b]) if a.is_ascii_digit() && b.is_ascii_digit())
    })
}

/// `630 0 0 149 0 0 cm`: how large something is drawn; width and height.
fn matrix(line: &[u8]) -> Option<(u64, u64)> {
    let text = line.strip_suffix(b"cm")?;
    if !text.ends_with(b" ") && !text.ends_with(b"\t") || !line.first()?.is_ascii_digit() {
        return None;
    }
    let mut numbers = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut next = || {
        let word = numbers.next()?;
        word.iter().all(u8::is_ascii_digit).then(|| number(word))
    };
    let width = next()?;
    let (_, _) = (next()?, next()?);
    let height = next()?;
    let (_, _) = (next()?, next()?);
    numbers.next().is_none().then_some((width, height))
}

/// Digits at the start of a text.
fn number(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
}

/// Digits behind a key and one blank.
fn sized<'l>(line: &'l [u8], key: &[u8]) -> Option<(u64, &'l [u8])> {
    let rest = line.strip_prefix(key)?;
    let (blank, rest) = rest.split_first()?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (blank.is_ascii_whitespace() && digits > 0)
        .then(|| (number(rest), rest.get(digits..).unwrap_or_default()))
}

/// Height and width of an image, where one line tells both.
fn image_size(line: &[u8]) -> Option<(u64, u64)> {
    if let Some((width, height)) = matrix(line) {
        return Some((height, width));
    }
    if sized(line, b"/Width").is_some() || sized(line, b"/Height").is_some() {
        return None;
    }
    memmem::find_iter(line, b"/Width").find_map(|at| {
        let (width, rest) = sized(line.get(at..)?, b"/Width")?;
        let (height, _) = sized(rest, b"/Height")?;
        Some((height, width))
    })
}

/// Where a key stands. What follows may be searched to the end of the line.
fn keys<'l>(line: &'l [u8], key: &'l [u8]) -> impl Iterator<Item = usize> + 'l {
    memmem::find_iter(line, key).take(KEYS)
}

fn skip_blanks(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    at + rest.iter().take(2).take_while(|byte| byte.is_ascii_whitespace()).count()
}

/// `(text)` or `<hex>` behind a key, brackets included.
fn string(line: &[u8], at: usize) -> Option<&[u8]> {
    let rest = line.get(skip_blanks(line, at)..)?;
    let end = match rest.first()? {
        b'(' => memchr::memchr_iter(b')', rest)
            .find(|end| rest.get(end.wrapping_sub(1)) != Some(&b'\\'))?,
        b'<' => memchr(b'>', rest)?,
        _ => return None,
    };
    rest.get(..=end)
}

/// `(D:` and digits behind a key.
fn date(line: &[u8], at: usize) -> Option<&[u8]> {
    let rest = line.get(skip_blanks(line, at)..)?.strip_prefix(b"(D:")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    rest.get(..digits).filter(|digits| !digits.is_empty())
}

/// A string without its brackets and escapes.
fn plain(text: &[u8]) -> Vec<u8> {
    if text.starts_with(b"<") {
        return narrow(hexadecimal(text));
    }
    let inner = text.strip_prefix(b"(").unwrap_or(text);
    let inner = inner.strip_suffix(b")").unwrap_or(inner);
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    let mut escaped = false;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte == b'\\'
            && !escaped
            && let [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = tail
        {
            out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
            continue;
        }
        escaped = *byte == b'\\';
        out.push(*byte);
    }
    let out = narrow(out);
    let mut plain = Vec::with_capacity(out.len());
    let mut rest = out.as_slice();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'\\', [next @ (b'(' | b')' | b'\\'), after @ ..]) => {
                plain.push(*next);
                rest = after;
            }
            _ => plain.push(*byte),
        }
    }
    plain
}

/// Pairs of hexadecimal digits, wherever they stand.
fn hexadecimal(text: &[u8]) -> Vec<u8> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if let Some(high) = digit(first)
            && let Some((second, after)) = tail.split_first()
            && let Some(low) = digit(second)
        {
            out.push(high << 4 | low);
            rest = after;
        }
    }
    out
}

/// Text in UTF-16, with its mark in front, as if it were ASCII.
fn narrow(text: Vec<u8>) -> Vec<u8> {
    match text.strip_prefix(b"\xfe\xff").or_else(|| text.strip_prefix(b"\xff\xfe")) {
        Some(wide) => wide.iter().copied().filter(|byte| *byte != 0).collect(),
        None => text,
    }
}

/// The link of a line, if it has one.
fn link(line: &[u8]) -> Option<Vec<u8>> {
    let dotted = |text: &[u8]| memchr(b'.', text).is_some_and(|at| at > 0);
    let named = keys(line, b"/URI").find_map(|at| {
        let before = line.get(..at)?;
        let text = string(line, at + 4)?;
        (before.iter().all(u8::is_ascii_whitespace) || is_link_action(before)).then_some((at, text))
    });
    let bare = bare_link(line);
    let mut first = match (&named, &bare) {
        (Some((at, _)), Some((other, bare))) if other < at => plain(bare),
        (Some((_, text)), _) if dotted(text) => plain(text),
        (None, Some((_, bare))) => plain(bare),
        (Some(_), _) | (None, None) => return None,
    };
    first.truncate(DETAIL);
    (dotted(&first) && memchr(0, &first).is_none()).then_some(first)
}

/// True when `/S /URI` stands at the end.
fn is_link_action(before: &[u8]) -> bool {
    let blanks = |text: &[u8]| text.len() - text.trim_ascii_end().len();
    let trimmed = before.trim_ascii_end();
    blanks(before) <= 2
        && trimmed
            .strip_suffix(b"/URI")
            .is_some_and(|rest| blanks(rest) <= 2 && rest.trim_ascii_end().ends_with(b"/S"))
}

/// `(http://…)>>`
fn bare_link(line: &[u8]) -> Option<(usize, &[u8])> {
    keys(line, b"(http").find_map(|at| {
        let rest = line.get(at + 1..)?;
        let scheme = if rest.starts_with(b"https://") {
            8
        } else if rest.starts_with(b"http://") {
            7
        } else {
            return None;
        };
        let near = rest.get(..scheme + DETAIL + 3).unwrap_or(rest);
        let end = memmem::rfind(near, b")>>")?;
        (end >= scheme + 8).then(|| rest.get(..end)).flatten().map(|link| (at, link))
    })
}

/// MD5 in hexadecimal capitals, because lists of known files name them by it. It protects
/// nothing.
fn sum(text: &[u8]) -> String {
    Md5::digest(text).iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02X}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(text: &str) -> PdfReport {
        let mut report = PdfReport::default();
        report.file(0, "a.pdf", format!("%PDF-1.4\n{text}\n").as_bytes());
        report
    }

    #[track_caller]
    fn check(text: &str, name: &str, expected: &[&str]) {
        let report = report(text);
        let found: Vec<&[u8]> =
            report.details.get(name).into_iter().flatten().map(Vec::as_slice).collect();
        let expected: Vec<&[u8]> = expected.iter().map(|text| text.as_bytes()).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn details() {
        check("<</Author(Jo \\(x\\))/Title<FEFF00410042>>>", "author", &["Jo (x)"]);
        check("<</Author(Jo \\(x\\))/Title<FEFF00410042>>>", "title", &["AB"]);
        check("/Creator  (\\101\\102)", "creator", &["AB"]);
        check("/Creator   (three blanks)", "creator", &[]);
        check("/CreationDate(D:20070703144220+02)", "created", &["20070703144220"]);
        check("/ModDate (D:2007)", "modified", &["2007"]);
        check("/Producer()\n/Producer (b)", "producer", &["", "b"]);
        check("Author(x)", "author", &[]);
    }

    #[test]
    fn images() {
        let found = report("/Subtype /Image\n630 0 0 149 0 0 cm\n/Image /Width 10/Height 20 x");
        assert_eq!(found.images, 2);
        assert_eq!(found.sizes, BTreeSet::from([(149, 630), (20, 10), (169, 640)]));
        assert_eq!(found.area, Some(630.0 * 149.0 + 200.0));
        assert_eq!(report("/Image\n/Width 10\n/Height 20").images, 0);
        assert_eq!(report("630 0 0 149 0 0 cm").images, 0);
    }

    #[test]
    fn marks() {
        assert!(report("/Encrypt 5 0 R").encrypted);
        assert!(!report(" /Encrypt 5 0 R").encrypted);
        assert!(has_mark(&[vec![b' '; START], b"%PDF-1.7".to_vec()].concat()));
        assert!(!has_mark(&[vec![b' '; START + 1], b"%PDF-1.7".to_vec()].concat()));
        assert!(!has_mark(b"%PDF-x.y"));
    }

    #[test]
    fn links() {
        #[track_caller]
        fn check(line: &str, expected: &[&str]) {
            let found = report(line).links;
            let expected: Vec<(usize, Vec<u8>)> =
                expected.iter().map(|link| (0, link.as_bytes().to_vec())).collect();
            assert_eq!(found, expected, "{line}");
        }
        check("/S /URI /URI (http://a.example/x)", &["http://a.example/x"]);
        check("  /URI(http://a.example/x)", &["http://a.example/x"]);
        check("<< /URI(http://a.example/x)", &[]);
        check("x (https://a.example/yy)>>", &["https://a.example/yy"]);
        check("/URI(nothing)", &[]);
    }

    #[test]
    fn time_is_linear() {
        for unit in ["/Author(", "/URI(", "(http://a.b/", "/Author<", "/Width 1", "\\", "1 "] {
            report(&unit.repeat(300_000));
        }
    }
}
