//! The logs of SpamAssassin's mass-check: written so that its tools can read ours, read so
//! that ours can read its.
//!
//! A line is `Y 12 ID TESTS EXTRA`: a mark (`Y` from the threshold on, `.` below), the score
//! without its fraction, the message's name, the tests with commas between, and more about
//! the message. Comes in: checked messages, or a log. Goes out: lines, or entries.
//! Not an error: a line that cannot be read; it is counted.

use std::io::{self, BufRead, Read, Write};

use super::{Checked, Class};

/// Octets of a line that is read; SpamAssassin's own stay far below.
const LINE: usize = 64 * 1024;

/// Tests of one line that are read.
const TESTS: usize = 2_000;

/// A log that cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The system says so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No line of it is one of a mass-check.
    #[error("this is no log of a mass-check")]
    NoLog,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// It had reached the threshold.
    pub was_spam: bool,
    /// The score without its fraction.
    pub score: i64,
    /// The message.
    pub id: String,
    /// Tests that hit, each once, by name.
    pub tests: Vec<String>,
    /// When the message came, seconds since 1970.
    pub time: Option<i64>,
}

/// A log, read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// Its lines.
    pub entries: Vec<Entry>,
    /// Lines that say nothing.
    pub skipped: usize,
}

/// Writes the messages of a class, as `spam.log` or `ham.log`.
pub fn write(
    class: Class,
    checked: &[Checked],
    threshold: f64,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "# {} by calspamd {}", class.name(), env!("CARGO_PKG_VERSION"))?;
    for message in checked.iter().filter(|message| message.class == class) {
        // `0.0 +`: what rounds to nothing has no sign.
        let score = 0.0 + message.score.trunc();
        writeln!(
            out,
            "{} {score:2.0} {} {} time={},scantime=0,format={},reuse=no,set=0",
            if message.score >= threshold { 'Y' } else { '.' },
            id(&message.name),
            message.symbols.join(","),
            message.time,
            if message.in_mbox { 'm' } else { 'f' },
        )?;
    }
    Ok(())
}

/// A name without the spaces that end it in a log, and without what a terminal would obey.
fn id(name: &str) -> String {
    name.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

impl Log {
    /// Reads a log.
    ///
    /// # Errors
    ///
    /// The reader's, and [`LogError::NoLog`] for a file that is something else.
    pub fn read(mut reader: impl BufRead) -> Result<Self, LogError> {
        let mut log = Self::default();
        let mut line = Vec::new();
        loop {
            line.clear();
            let most = u64::try_from(LINE).unwrap_or(u64::MAX);
            if reader.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
                break;
            }
            if !line.ends_with(b"\n") && line.len() >= LINE {
                log.skipped += 1;
                skip_line(&mut reader)?;
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            match entry(text) {
                Some(entry) => log.entries.push(entry),
                None => log.skipped += 1,
            }
        }
        if log.entries.is_empty() && log.skipped > 0 {
            return Err(LogError::NoLog);
        }
        Ok(log)
    }
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let available = reader.fill_buf()?;
        let (read, ends) = match available.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (available.len(), available.is_empty()),
        };
        reader.consume(read);
        if ends {
            return Ok(());
        }
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split_ascii_whitespace();
    let was_spam = match words.next()? {
        "Y" => true,
        "." => false,
        _ => return None,
    };
    // Newer tools may write the fraction.
    let score = words.next()?;
    let score = score.split_once('.').map_or(score, |(whole, _)| whole).parse().ok()?;
    let id = words.next()?.to_owned();
    let mut entry = Entry { was_spam, score, id, ..Entry::default() };
    for word in words {
        // Names of tests have no `=`; where nothing hit, the rest stands in their place.
        if word.contains('=') {
            let time = word.split(',').find_map(|extra| extra.strip_prefix("time="));
            entry.time = entry.time.or_else(|| time?.parse().ok());
        } else {
            let left = TESTS.saturating_sub(entry.tests.len());
            entry.tests.extend(word.split(',').filter_map(test).take(left));
        }
    }
    entry.tests.sort_unstable();
    entry.tests.dedup();
    Some(entry)
}

/// `RULE` or `RULE(3)`.
fn test(word: &str) -> Option<String> {
    let name = word.split_once('(').map_or(word, |(name, _)| name);
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(name: &str, score: f64, symbols: &[&str]) -> Checked {
        Checked {
            class: Class::Spam,
            name: name.to_owned(),
            in_mbox: false,
            time: 1_795_218_600,
            score,
            symbols: symbols.iter().map(|symbol| (*symbol).into()).collect(),
            has_calendar: true,
            partial: false,
        }
    }

    fn written(messages: &[Checked]) -> String {
        let mut text = Vec::new();
        write(Class::Spam, messages, 6.0, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn lines_are_spamassassins() {
        let messages = [
            message("/spam/a b\n.eml", 12.9, &["A_1", "B"]),
            Checked { in_mbox: true, ..message("/spam/c.10", 5.99, &[]) },
            message("d", -0.9, &["A_1"]),
            message("e", -12.3, &["A_1"]),
            Checked { class: Class::Ham, ..message("f", 1.0, &[]) },
        ];
        let text = written(&messages);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("# "));
        assert_eq!(
            lines[1..],
            [
                "Y 12 /spam/a_b_.eml A_1,B time=1795218600,scantime=0,format=f,reuse=no,set=0",
                ".  5 /spam/c.10  time=1795218600,scantime=0,format=m,reuse=no,set=0",
                ".  0 d A_1 time=1795218600,scantime=0,format=f,reuse=no,set=0",
                ". -12 e A_1 time=1795218600,scantime=0,format=f,reuse=no,set=0",
            ]
        );
    }

    #[test]
    fn spamassassins_lines_are_read() {
        let text = "# mass-check results\n\n\
            Y 12 /tmp/spam/1.eml GTUBE,NO_RELAYS(3),MISSING_DATE,,GTUBE time=5,scantime=0,set=0\n\
            . -1 x  time=6\n. 0 y\nnonsense\nY x y z\n. 3.7 z A\n";
        let log = Log::read(text.as_bytes()).unwrap();
        assert_eq!(log.skipped, 2);
        let shown: Vec<(i64, &str, String, Option<i64>)> = log
            .entries
            .iter()
            .map(|e| (e.score, e.id.as_str(), e.tests.join(" "), e.time))
            .collect();
        assert_eq!(
            shown,
            [
                (12, "/tmp/spam/1.eml", "GTUBE MISSING_DATE NO_RELAYS".to_owned(), Some(5)),
                (-1, "x", String::new(), Some(6)),
                (0, "y", String::new(), None),
                (3, "z", "A".to_owned(), None),
            ]
        );
        assert!(log.entries[0].was_spam && !log.entries[1].was_spam);
    }

    #[test]
    fn what_is_no_log_is_refused_and_limits_hold() {
        assert!(matches!(Log::read(&b"Subject: x\n"[..]), Err(LogError::NoLog)));
        assert_eq!(Log::read(&b"# nothing hit\n"[..]).unwrap(), Log::default());
        let text = format!(". 1 {} A\n. 1 y B\n", "x".repeat(LINE));
        let log = Log::read(text.as_bytes()).unwrap();
        assert_eq!((log.skipped, log.entries.len()), (1, 1));
        let tests: Vec<String> = (0..TESTS + 10).map(|n| format!("R{n}")).collect();
        let log = Log::read(format!(". 1 y {}\n", tests.join(",")).as_bytes()).unwrap();
        assert_eq!(log.entries[0].tests.len(), TESTS);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            name in "[^\\p{Z}\\p{C}]\\PC{0,20}",
            score in -2000.0..2000.0,
            symbols in proptest::collection::btree_set("[A-Z_][A-Z0-9_]{0,12}", 0..6),
        ) {
            let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
            let log = Log::read(written(&[message(&name, score, &symbols)]).as_bytes()).unwrap();
            prop_assert_eq!(log.skipped, 0);
            let entry = &log.entries[0];
            prop_assert_eq!(&entry.id, &id(&name));
            prop_assert_eq!(&entry.tests, &symbols);
            prop_assert_eq!(entry.score.to_string(), format!("{:.0}", 0.0 + score.trunc()));
            prop_assert_eq!(entry.was_spam, score >= 6.0);
            prop_assert_eq!(entry.time, Some(1_795_218_600));
        }

        #[test]
        fn any_octets_are_read(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Log::read(&octets[..]));
        }
    }
}
