//! Splits calendar text into content lines without copying it.
//!
//! Comes in: text with CRLF, LF or bare CR line ends.
//! Goes out: content lines as slices of the text, folds (RFC 5545 §3.1) still inside.
//! Not an error: anything; a last line needs no line end.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// One content line as it stands in the text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'x> {
    /// Offset of the first octet in the text.
    pub(super) start: usize,
    /// Offset after the line end.
    pub(super) end: usize,
    /// The line with its folds, without the final line end.
    pub(super) raw: &'x str,
    /// True when it is folded.
    pub(super) folded: bool,
    /// True when an escape is cut in a way that calcard does not undo: by the end of the line
    /// or by two folds.
    pub(super) cut_escape: bool,
    /// True when a fold stands between two backslashes.
    pub(super) cut_pair: bool,
    /// CR octets that belong to line ends, to tell them from stray ones.
    pub(super) carriage_returns: usize,
}

impl<'x> Line<'x> {
    /// The first physical line.
    pub(super) fn head(&self) -> &'x [u8] {
        let bytes = self.raw.as_bytes();
        if !self.folded {
            return bytes;
        }
        let end = memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
        bytes.get(..end).unwrap_or_default()
    }

    /// The line with folds undone.
    pub(super) fn unfolded(&self) -> Cow<'x, str> {
        if self.folded { Cow::Owned(unfold(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

/// Undoes folds: a line end and the one white space after it.
pub(super) fn unfold(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    for (index, physical) in raw.split('\n').enumerate() {
        let physical = physical.trim_end_matches('\r');
        let physical = if index == 0 {
            physical
        } else {
            physical.strip_prefix([' ', '\t']).unwrap_or(physical)
        };
        text.push_str(physical);
    }
    text
}

/// The content lines of a text, in order.
#[derive(Debug)]
pub(super) struct Lines<'x> {
    text: &'x str,
    position: usize,
}

impl<'x> Lines<'x> {
    pub(super) fn new(text: &'x str) -> Self {
        Self { text, position: 0 }
    }

    /// Joins the physical lines that a quoted-printable soft break (`=` at the line end,
    /// vCalendar 1.0) continues onto the line just returned.
    pub(super) fn join_soft_breaks(&mut self, line: &mut Line<'x>) {
        while line.raw.ends_with('=') {
            let Some(next) = self.next() else { return };
            line.end = next.end;
            line.carriage_returns += next.carriage_returns;
            line.folded = true;
            let end = next.start + next.raw.len();
            line.raw = self.text.get(line.start..end).unwrap_or(line.raw);
        }
    }
}

impl<'x> Iterator for Lines<'x> {
    type Item = Line<'x>;

    fn next(&mut self) -> Option<Line<'x>> {
        let bytes = self.text.as_bytes();
        let start = self.position;
        if start >= bytes.len() {
            return None;
        }
        let mut line = Line {
            start,
            end: start,
            raw: "",
            folded: false,
            cut_escape: false,
            cut_pair: false,
            carriage_returns: 0,
        };
        loop {
            let rest = bytes.get(self.position..).unwrap_or_default();
            let (length, next) = match memchr(b'\n', rest) {
                Some(found) => (found, self.position + found + 1),
                None => (rest.len(), bytes.len()),
            };
            let mut physical = rest.get(..length).unwrap_or_default();
            while let Some(shorter) = physical.strip_suffix(b"\r") {
                physical = shorter;
                line.carriage_returns += 1;
            }
            let escape = physical.last() == Some(&b'\\');
            let content_end = self.position + physical.len();
            self.position = next;
            if matches!(bytes.get(next), Some(b' ' | b'\t')) {
                line.folded = true;
                if escape {
                    let after = bytes.get(next + 1);
                    line.cut_pair |= after == Some(&b'\\');
                    line.cut_escape |= matches!(after, None | Some(b'\r' | b'\n' | b'\t'));
                }
                continue;
            }
            line.cut_escape |= escape;
            line.end = next;
            line.raw = self.text.get(start..content_end).unwrap_or_default();
            return Some(line);
        }
    }
}

/// Text in which bare CR line ends have become LF; borrowed when there is nothing to do.
///
/// The first line end decides: a text that starts with bare CRs uses them throughout.
pub(super) fn line_feeds(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let bare = memchr2(b'\r', b'\n', bytes)
        .and_then(|at| bytes.get(at..))
        .and_then(|rest| rest.iter().position(|byte| *byte != b'\r').map(|at| (rest, at)))
        .is_some_and(|(rest, at)| at > 0 && rest.get(at) != Some(&b'\n'));
    if bare {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let text = line_feeds(text);
        let lines: Vec<_> = Lines::new(&text).map(|line| line.unfolded().into_owned()).collect();
        assert_eq!(lines, expected, "{text:?}");
    }

    #[test]
    fn every_line_end_and_fold() {
        check("", &[]);
        check("A:1", &["A:1"]);
        check("A:1\r\nB:2\r\n", &["A:1", "B:2"]);
        check("A:1\nB:2", &["A:1", "B:2"]);
        check("A:1\rB:2\rC:3", &["A:1", "B:2", "C:3"]);
        check("A:1\r\r\nB:2\r\r\n", &["A:1", "B:2"]);
        check("A:1\r\n  2\r\n\t3\r\nB:4\r\n", &["A:1 23", "B:4"]);
        check("A:1\n \n 2\n", &["A:12"]);
        check("A:1\n\nB:2\n", &["A:1", "", "B:2"]);
        check("A:gr\u{fc}\r\n \u{df}e\r\n", &["A:gr\u{fc}\u{df}e"]);
    }

    #[test]
    fn soft_breaks_continue_a_line() {
        let mut lines = Lines::new("A;ENCODING=QUOTED-PRINTABLE:one=\r\ntwo=\r\nthree\r\nB:4\r\n");
        let mut line = lines.next().unwrap();
        lines.join_soft_breaks(&mut line);
        assert!(line.raw.ends_with("three"), "{}", line.raw);
        assert_eq!(lines.next().unwrap().raw, "B:4");
    }

    #[test]
    fn cut_escapes_are_noticed() {
        let cut = |text: &'static str| Lines::new(text).next().unwrap().cut_escape;
        assert!(cut("A:x\\\r\n \r\n n"));
        assert!(!cut("A:x\\\r\n n"));
        assert!(Lines::new("A:x\\\r\n \\n").next().unwrap().cut_pair);
        assert!(cut("A:x\\"));
        assert!(!cut("A:x\\n\r\n n"));
    }
}
