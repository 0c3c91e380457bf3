//! Reads an mbox message by message, as it comes.
//!
//! Comes in: octets. Goes out: each message without its `From ` line and without quoting, and
//! the offset of that line. A message over the limit is told and skipped, never held.
//! Not an error: anything but a reader that fails.
//!
//! A message begins where a line looks like `From WHO WEEKDAY MONTH DAY TIME …` and stands
//! first or below an empty line: writers that do not quote leave other `From ` lines in texts.
//! Writers that quote put `>` before `From `; mboxrd also before `>From `. Of either one `>`
//! is taken away. Content-Length (mboxcl) is not believed.

use std::io::{self, BufRead, Read};

use super::ReadError;

/// Octets in which a `From ` line has its date.
pub(super) const SEPARATOR: usize = 1024;

/// Octets of a line that are read at a time.
const LINE: u64 = 64 * 1024;

/// One message of an mbox.
#[derive(Debug)]
pub struct Piece {
    /// Where its `From ` line starts, in bytes.
    pub at: u64,
    /// The message, or why there is none.
    pub message: Result<Vec<u8>, ReadError>,
}

/// The messages of an mbox, in order.
pub struct Mbox<R> {
    reader: R,
    limit: usize,
    /// Octets read.
    offset: u64,
    line: Vec<u8>,
    state: State,
    /// Offset of the message going on.
    at: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Inside,
    End,
}

impl<R: BufRead> Mbox<R> {
    /// From a reader that stands before the first `From ` line; `limit` is that of a message.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, limit, offset: 0, line: Vec::new(), state: State::Start, at: 0 }
    }

    /// Octets read so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads a line, or a part of a long one. False at the end.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let read = self.reader.by_ref().take(LINE).read_until(b'\n', &mut self.line)?;
        self.offset = self.offset.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read > 0)
    }

    /// Skips what is left of a long line.
    fn skip_line(&mut self) -> io::Result<()> {
        while !self.line.ends_with(b"\n") && self.read_line()? {}
        Ok(())
    }

    /// Reads up to the next message or the end.
    fn read_message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Some(Vec::new());
        let mut is_start = true;
        let mut below_empty = false;
        let mut begins = self.offset;
        while self.read_line()? {
            if is_start && below_empty && is_separator(&self.line) {
                self.at = begins;
                self.skip_line()?;
                return Ok(without_last_line(message));
            }
            let quoted = is_start && is_quoted(&self.line);
            let text = self.line.get(usize::from(quoted)..).unwrap_or_default();
            message = message.filter(|kept| kept.len() + text.len() <= self.limit + 2);
            if let Some(kept) = &mut message {
                kept.extend_from_slice(text);
            }
            below_empty = is_start && matches!(text, b"\n" | b"\r\n");
            is_start = text.ends_with(b"\n");
            begins = self.offset;
        }
        self.state = State::End;
        Ok(if below_empty { without_last_line(message) } else { message })
    }
}

/// The empty line before the next `From ` belongs to the format.
fn without_last_line(message: Option<Vec<u8>>) -> Option<Vec<u8>> {
    let mut message = message?;
    let end = if message.ends_with(b"\r\n") { 2 } else { 1 };
    message.truncate(message.len().saturating_sub(end));
    Some(message)
}

impl<R: BufRead> Iterator for Mbox<R> {
    type Item = Piece;

    /// A reader that fails ends the mbox, and its last piece says so.
    fn next(&mut self) -> Option<Piece> {
        if self.state == State::Start {
            self.state = State::Inside;
            if let Err(error) = self.read_line().and_then(|_| self.skip_line()) {
                self.state = State::End;
                return Some(Piece { at: 0, message: Err(error.into()) });
            }
        } else if self.state == State::End {
            return None;
        }
        let at = self.at;
        let message = match self.read_message() {
            Ok(message) => message
                .filter(|message| message.len() <= self.limit)
                .ok_or(ReadError::TooLarge(self.limit)),
            Err(error) => {
                self.state = State::End;
                Err(error.into())
            }
        };
        Some(Piece { at, message })
    }
}

/// `>From `, `>>From ` and so on.
fn is_quoted(line: &[u8]) -> bool {
    let marks = line.iter().take_while(|byte| **byte == b'>').count();
    marks > 0 && line.get(marks..).is_some_and(|rest| rest.starts_with(b"From "))
}

/// True for `From WHO WEEKDAY MONTH DAY TIME …`; WHO may be several words, or missing.
pub(super) fn is_separator(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"From ") else { return false };
    let rest = rest.get(..SEPARATOR).unwrap_or(rest);
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let rest = rest.get(..end).unwrap_or_default();
    let words: Vec<&[u8]> =
        rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let is_name = |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_alphabetic);
    let is_day = |word: &[u8]| word.len() <= 2 && word.iter().all(u8::is_ascii_digit);
    let is_time = |word: &[u8]| {
        word.contains(&b':') && word.iter().all(|byte| byte.is_ascii_digit() || *byte == b':')
    };
    words.windows(4).any(|window| match window {
        [weekday, month, day, time] => {
            is_name(weekday) && is_name(month) && is_day(day) && is_time(time)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: &str = "From a@b.example Fri Nov 20 10:00:00 2026\n";

    /// Messages with their offsets; one that is too large is `None`.
    fn read(text: &[u8], limit: usize) -> Vec<(u64, Option<String>)> {
        let shown = |piece: Piece| {
            let message = piece.message.ok().map(|bytes| String::from_utf8(bytes).unwrap());
            (piece.at, message)
        };
        Mbox::new(text, limit).map(shown).collect()
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found = read(text.as_bytes(), 1000);
        let found: Vec<&str> = found.iter().filter_map(|(_, text)| text.as_deref()).collect();
        assert_eq!(found, expected, "{text}");
        let crlf = text.replace('\n', "\r\n");
        let found = read(crlf.as_bytes(), 1000);
        let found: Vec<String> =
            found.iter().flat_map(|(_, text)| text).map(|t| t.replace('\r', "")).collect();
        assert_eq!(found, expected, "{crlf}");
    }

    #[test]
    fn messages_are_told_apart() {
        check(&format!("{FROM}A: 1\n\na\n\n{FROM}B: 2\n\nb\n"), &["A: 1\n\na\n", "B: 2\n\nb\n"]);
        check(&format!("{FROM}A: 1\n\na\n\n"), &["A: 1\n\na\n"]);
        check(&format!("{FROM}A: 1\n\nno end"), &["A: 1\n\nno end"]);
        check(FROM, &[""]);
        check(&format!("{FROM}\n{FROM}\n"), &["", ""]);
        check("", &[""]);
    }

    #[test]
    fn quoting_of_both_kinds_is_undone_once() {
        check(
            &format!("{FROM}A: 1\n\n>From x\n>>From y\n>Fromage\n> From z\n>\n"),
            &["A: 1\n\nFrom x\n>From y\n>Fromage\n> From z\n>\n"],
        );
    }

    #[test]
    fn texts_that_begin_with_from_do_not_split_a_message() {
        for text in [
            // Not below an empty line.
            "a\nFrom x@y.example Fri Nov 20 10:00:00 2026\n",
            // No date.
            "\nFrom here to there\n",
            "\nFrom Monday at 10:00 on\n",
            "\nfrom x@y.example Fri Nov 20 10:00:00 2026\n",
            "\nFrom\n",
        ] {
            check(&format!("{FROM}A: 1\n\n{text}"), &[&format!("A: 1\n\n{text}")]);
        }
    }

    #[test]
    fn separators_are_known_by_their_date() {
        for line in [
            "From MAILER-DAEMON Fri Nov 20 23:58:08 2026",
            "From nobody Mon Sep 17 00:00:00 2001\n",
            "From Ann Example Mon Sep 1 0:00 +0200 2001\r\n",
            "From  Mon Sep  1 00:00:00 2001",
        ] {
            assert!(is_separator(line.as_bytes()), "{line}");
        }
        for line in ["From ", "", "From a\nMon Sep 17 00:00:00 2001", "From a b c d e"] {
            assert!(!is_separator(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn a_message_over_the_limit_is_skipped_and_the_next_is_read() {
        let large = "x".repeat(200_000);
        let text = format!("{FROM}A: 1\n\n{large}\n\n{FROM}B: 2\n\n{}\n", "y".repeat(90));
        let expected = format!("B: 2\n\n{}\n", "y".repeat(90));
        let second = u64::try_from(FROM.len() + 6 + large.len() + 2).unwrap();
        assert_eq!(read(text.as_bytes(), 97), [(0, None), (second, Some(expected))]);
        // The empty line before the next message is not the message's.
        let text = format!("{FROM}A: 1\n\nab\n\n{FROM}A: 1\n\nabc\n\n");
        let found = read(text.as_bytes(), 9);
        assert!(found[0].1.is_some() && found[1].1.is_none(), "{found:?}");
    }

    #[test]
    fn a_long_line_is_no_place_to_hide_a_separator() {
        let line = "x".repeat(usize::try_from(LINE).unwrap());
        let text = format!("{FROM}A: 1\n\n{line}{FROM}\nend\n");
        assert_eq!(read(text.as_bytes(), 1_000_000).len(), 1);
    }

    #[test]
    fn a_reader_that_fails_ends_the_mbox() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let text = format!("{FROM}A: 1\n\na\n\n{FROM}B: 2\n");
        let reader = io::BufReader::new(text.as_bytes().chain(Broken));
        let pieces: Vec<Piece> = Mbox::new(reader, 1000).collect();
        assert_eq!(pieces.len(), 2);
        assert!(pieces[0].message.is_ok() && pieces[1].message.is_err());
    }
}
