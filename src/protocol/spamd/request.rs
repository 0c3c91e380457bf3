//! Reading a request: the first line, the headers, and where the message ends.

use std::borrow::Cow;

use crate::message::Envelope;
use crate::protocol::compression::{self, Room, Trouble};
use crate::protocol::rspamd;

/// Header lines of a request; more are refused, as spamd refuses them.
const HEADERS: usize = 255;

/// Longest head of a request, in bytes.
const HEAD: usize = 64 * 1024;

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Whether somebody is there.
    Ping,
    /// Nothing.
    Skip,
    /// Score alone.
    Check,
    /// Names of symbols.
    Symbols,
    /// A report to read.
    Report,
    /// The same, for spam only.
    ReportIfSpam,
    /// The message with headers added.
    Process,
    /// Its head alone.
    Headers,
    /// Learn, or forget.
    Tell,
}

/// By length: `REPORT_IFSPAM` ends in nothing else, but `REPORT` is its begin.
const COMMANDS: [(&str, Command); 9] = [
    ("REPORT_IFSPAM", Command::ReportIfSpam),
    ("SYMBOLS", Command::Symbols),
    ("PROCESS", Command::Process),
    ("HEADERS", Command::Headers),
    ("REPORT", Command::Report),
    ("CHECK", Command::Check),
    ("TELL", Command::Tell),
    ("SKIP", Command::Skip),
    ("PING", Command::Ping),
];

impl Command {
    /// Its name in the protocol.
    pub fn name(self) -> &'static str {
        COMMANDS.iter().find(|(_, command)| *command == self).map_or("", |(name, _)| name)
    }
}

/// What a message is told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Spam.
    Spam,
    /// Not spam.
    Ham,
}

/// Where something is to be learned or forgotten: here, or with collectors elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places {
    /// Here.
    pub local: bool,
    /// Elsewhere; the service reports to nobody.
    pub remote: bool,
}

impl Places {
    fn read(value: &str) -> Self {
        let named = |name: &str| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(name));
        Self { local: named("local"), remote: named("remote") }
    }
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// What is wanted.
    pub command: Command,
    /// The client's version; 0 where it cannot be read.
    pub version: f32,
    /// Exim's `RSPAMC`: a dialect with the envelope among the headers.
    pub is_exim: bool,
    /// Octets of the message as sent.
    pub length: Option<usize>,
    /// The message is a stream of zlib.
    pub is_packed: bool,
    /// Whose mailbox it is about; no proof of anything.
    pub user: Option<String>,
    /// What the message is told to be.
    pub class: Option<Class>,
    /// `Message-class` says something else.
    pub is_odd_class: bool,
    /// To be learned.
    pub set: Places,
    /// To be forgotten.
    pub remove: Places,
    /// What Exim's dialect says of the envelope.
    pub envelope: Envelope,
}

/// What the bytes so far are.
#[derive(Debug, PartialEq)]
pub enum Taken {
    /// Not all of the head.
    More,
    /// The head, and its length in bytes.
    Head(Box<Head>, usize),
}

/// Reads the head of a request from the bytes that have come so far; `ended` when no more come.
///
/// # Errors
///
/// What stands in the reply behind `Bad header line: `.
pub fn head(bytes: &[u8], ended: bool) -> Result<Taken, String> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return match (ended, bytes.is_empty()) {
            (true, true) => Err("(closed before headers)".to_owned()),
            (true, false) => Err(shown(bytes)),
            (false, _) if bytes.len() > HEAD => Err("(line too long)".to_owned()),
            (false, _) => Ok(Taken::More),
        };
    };
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut head = first_line(line).ok_or_else(|| shown(line))?;
    let mut at = end + 1;
    // Older clients send no headers, and a PING of theirs ends here.
    if !head.is_exim
        && (head.version <= 1.0 || (head.command == Command::Ping && head.version < 1.5))
    {
        return Ok(Taken::Head(Box::new(head), at));
    }
    // Exim's dialect says the envelope in the headers of Rspamd's HTTP.
    let mut said: Vec<(String, String)> = Vec::new();
    for number in 0.. {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = memchr::memchr(b'\n', rest) else {
            return match ended {
                true => Err("(EOF during headers)".to_owned()),
                false if at + rest.len() > HEAD => Err("(too many headers)".to_owned()),
                false => Ok(Taken::More),
            };
        };
        at += end + 1;
        let line = rest.get(..end).unwrap_or_default();
        // Exim's dialect is read by whoever reads Rspamd's, with bare line feeds too.
        let line = match line.strip_suffix(b"\r") {
            Some(line) => line,
            None if head.is_exim => line,
            None => return Err(NO_HEADER.to_owned()),
        };
        if line.is_empty() {
            break;
        }
        if number >= HEADERS {
            return Err("(too many headers)".to_owned());
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').ok_or_else(|| NO_HEADER.to_owned())?;
        let (name, value) = (name.trim(), value.trim());
        header(&mut head, name, value)?;
        // A name of the mailbox's owner is no proof of who sends.
        if head.is_exim && !name.eq_ignore_ascii_case("user") {
            said.push((name.to_owned(), value.to_owned()));
        }
    }
    let said = said.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    head.envelope = rspamd::request(said, &[], 0).0.envelope;
    Ok(Taken::Head(Box::new(head), at))
}

const NO_HEADER: &str = "(header not in 'Name: value' format)";

/// A line that is repeated to whoever sent it, without what could break out of the reply.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// `CHECK SPAMC/1.5`, wherever it stands in the line, as spamd reads it.
fn first_line(line: &[u8]) -> Option<Head> {
    let line = std::str::from_utf8(line).ok()?;
    let (before, version, is_exim) = if let Some((before, version)) = line.split_once(" RSPAMC/") {
        (before, version, true)
    } else {
        let (before, version) = line.split_once(" SPAMC/")?;
        (before, version, false)
    };
    let (_, command) = COMMANDS.iter().find(|(name, _)| before.ends_with(name))?;
    let number: String =
        version.trim().chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    Some(Head {
        command: *command,
        version: number.parse().unwrap_or(0.0),
        is_exim,
        length: None,
        is_packed: false,
        user: None,
        class: None,
        is_odd_class: false,
        set: Places::default(),
        remove: Places::default(),
        envelope: Envelope::default(),
    })
}

fn header(head: &mut Head, name: &str, value: &str) -> Result<(), String> {
    match name.to_ascii_lowercase().as_str() {
        "content-length" => {
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err("(Content-Length contains non-numeric bytes)".to_owned());
            }
            head.length = Some(value.parse().unwrap_or(usize::MAX));
        }
        "compress" if value.eq_ignore_ascii_case("zlib") => head.is_packed = true,
        "compress" => {
            return Err(format!("(compression type not supported: {})", shown(value.as_bytes())));
        }
        "user" if value.chars().any(char::is_control) => {
            return Err("(User header contains control chars)".to_owned());
        }
        "user" => head.user = Some(value.to_owned()).filter(|name| !name.is_empty()),
        "message-class" => {
            head.class = match value.to_ascii_lowercase().as_str() {
                "spam" => Some(Class::Spam),
                "ham" => Some(Class::Ham),
                _ => None,
            };
            head.is_odd_class = head.class.is_none();
        }
        "set" => head.set = Places::read(value),
        "remove" => head.remove = Places::read(value),
        _ => {}
    }
    Ok(())
}

/// The message of a request, from the bytes behind the head. `None`: more must come. Unpacked is
/// what there is room for.
///
/// # Errors
///
/// Code and text of the reply.
pub fn body<'b>(
    head: &Head,
    bytes: &'b [u8],
    ended: bool,
    limit: usize,
    room: Room<'_>,
) -> Result<Option<Cow<'b, [u8]>>, (u16, String)> {
    const UNAVAILABLE: u16 = 69;
    let protocol = |text: String| (PROTOCOL, format!("Bad header line: {text}"));
    if head.is_packed && head.length.is_none() {
        let text = "Service Unavailable: Compress requires Content-length header";
        return Err((UNAVAILABLE, text.to_owned()));
    }
    let too_large =
        || (UNAVAILABLE, format!("Service Unavailable: message is larger than {limit} bytes"));
    let Some(length) = head.length else {
        if bytes.len() > limit {
            return Err(too_large());
        }
        return Ok(ended.then_some(Cow::Borrowed(bytes)));
    };
    if length > limit {
        return Err(too_large());
    }
    let mismatch = |got: usize| {
        protocol(format!("(Content-Length mismatch: Expected {length} bytes, got {got} bytes)"))
    };
    let Some(message) = bytes.get(..length) else {
        return if ended { Err(mismatch(bytes.len())) } else { Ok(None) };
    };
    if head.is_packed {
        return match compression::undo("deflate", message, limit, room) {
            Ok(message) => Ok(Some(Cow::Owned(message))),
            Err(Trouble::TooLarge) => Err(too_large()),
            Err(Trouble::NoRoom) => Err(no_room()),
            Err(Trouble::Broken(_) | Trouble::Method) => {
                let text = "Service Unavailable: zlib: failed to find end of zlib stream";
                Err((UNAVAILABLE, text.to_owned()))
            }
        };
    }
    // spamd reads lines: what was cut inside one is not what the client meant.
    let rest = bytes.get(length..).unwrap_or_default();
    if !rest.is_empty() && message.last().is_none_or(|byte| *byte != b'\n') {
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        return Err(mismatch(length + line));
    }
    Ok(Some(Cow::Borrowed(message)))
}

/// Code of a reply to who may come again later (`EX_TEMPFAIL`).
pub const TEMPORARY: u16 = 75;

/// The same where there is no room for the message now, with its text.
pub fn no_room() -> (u16, String) {
    (TEMPORARY, "Service Unavailable: too many messages at a time".to_owned())
}

/// Code of a reply to a request that breaks the protocol (`EX_PROTOCOL`).
pub(super) const PROTOCOL: u16 = 76;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Head, usize), String> {
        match head(text.as_bytes(), true)? {
            Taken::Head(head, at) => Ok((*head, at)),
            Taken::More => panic!("more of {text:?}"),
        }
    }

    #[test]
    fn heads_are_read() {
        let (head, at) = read(
            "TELL SPAMC/1.5\r\nUser: bob@rcpt.example\r\nMessage-class: spam\r\nSet: local, remote\r\n\
             CONTENT-LENGTH: 12\r\nX-Unknown: 1\r\n\r\nSubject",
        )
        .unwrap();
        assert_eq!(head.command, Command::Tell);
        assert_eq!(head.user.as_deref(), Some("bob@rcpt.example"));
        assert_eq!((head.class, head.is_odd_class), (Some(Class::Spam), false));
        assert_eq!(head.set, Places { local: true, remote: true });
        assert_eq!((head.length, head.is_packed), (Some(12), false));
        assert!(at > 50);
        assert!(read("TELL SPAMC/1.5\r\nMessage-class: virus\r\n\r\n").unwrap().0.is_odd_class);
        // Old clients send no headers.
        let (head, at) = read("PROCESS SPAMC/1.0\r\nContent-length: 5\r\n\r\nhello").unwrap();
        assert_eq!((head.command, head.length, at), (Command::Process, None, 19));
        for (line, version) in [("abc", 0.0), ("", 0.0), ("2.0", 2.0), ("1.3", 1.3)] {
            let (head, _) = read(&format!("CHECK SPAMC/{line}\r\n\r\n")).unwrap();
            assert!((head.version - version).abs() < 0.001, "{line}");
        }
        assert_eq!(read("xxCHECK SPAMC/1.5\r\n\r\n").unwrap().0.command, Command::Check);
        assert_eq!(
            read("REPORT_IFSPAM SPAMC/1.2\r\n\r\n").unwrap().0.command,
            Command::ReportIfSpam
        );
    }

    #[test]
    fn exim_says_the_envelope() {
        let (head, _) = read(
            "CHECK RSPAMC/1.3\r\nContent-length: 1\r\nQueue-Id: 1abc\r\nFrom: <a@b.example>\r\n\
             Recipient-Number: 2\r\nRcpt: <x@y.example>\r\nRcpt: <z@y.example>\r\nHelo: mx\r\n\
             IP: 192.0.2.1\r\n\r\nx",
        )
        .unwrap();
        assert!(head.is_exim);
        assert_eq!(head.envelope.sender.as_deref(), Some("a@b.example"));
        assert_eq!(head.envelope.recipients, ["x@y.example", "z@y.example"]);
        assert_eq!(head.envelope.client_ip, "192.0.2.1".parse().ok());
    }

    #[test]
    fn bad_heads_are_named_as_spamd_names_them() {
        let many = "X: 1\r\n".repeat(256);
        for (text, expected) in [
            ("", "(closed before headers)"),
            ("check SPAMC/1.5\r\n\r\n", "check SPAMC/1.5"),
            ("CHECK\r\n\r\n", "CHECK"),
            ("FOO SPAMC/1.5\r\n", "FOO SPAMC/1.5"),
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1"),
            ("CHECK SPAMC/1.5\nContent-length: 1\n\nx", NO_HEADER),
            ("CHECK SPAMC/1.5\r\nNoColonHere\r\n\r\n", NO_HEADER),
            ("CHECK SPAMC/1.5\r\nContent-length: 5\r\n", "(EOF during headers)"),
            (&format!("CHECK SPAMC/1.5\r\n{many}\r\n"), "(too many headers)"),
            ("CHECK SPAMC/1.5\r\nUser: a\tb\r\n\r\n", "(User header contains control chars)"),
            (
                "CHECK SPAMC/1.5\r\nContent-length: -1\r\n\r\n",
                "(Content-Length contains non-numeric bytes)",
            ),
            ("CHECK SPAMC/1.5\r\nCompress: gzip\r\n\r\n", "(compression type not supported: gzip)"),
        ] {
            assert_eq!(read(text).unwrap_err(), expected, "{text:?}");
        }
        assert_eq!(head(b"CHECK SPAMC/1.5\r\nUser: x\r\n", false), Ok(Taken::More));
        assert_eq!(head(b"CHECK", false), Ok(Taken::More));
        assert!(head(&vec![b'x'; HEAD + 1], false).is_err());
    }

    #[test]
    fn bodies_end_where_they_say() {
        #[track_caller]
        fn check(more: &str, bytes: &str, ended: bool, expected: Result<Option<&str>, &str>) {
            let (head, _) = read(&format!("CHECK SPAMC/1.5\r\n{more}\r\n")).unwrap();
            let body = body(&head, bytes.as_bytes(), ended, 100, &mut |_| true);
            match (body, expected) {
                (Ok(body), Ok(expected)) => {
                    assert_eq!(body.as_deref(), expected.map(str::as_bytes));
                }
                (Err((_, text)), Err(expected)) => assert!(text.contains(expected), "{text}"),
                (body, expected) => panic!("{body:?} is not {expected:?}"),
            }
        }
        check("", "a\nb", false, Ok(None));
        check("", "a\nb", true, Ok(Some("a\nb")));
        check("Content-length: 3\r\n", "a\n", false, Ok(None));
        check("Content-length: 3\r\n", "a\n", true, Err("Expected 3 bytes, got 2 bytes"));
        check("Content-length: 3\r\n", "a\nb", false, Ok(Some("a\nb")));
        check("Content-length: 2\r\n", "a\nb", false, Ok(Some("a\n")));
        check("Content-length: 1\r\n", "a\nb", false, Err("Expected 1 bytes, got 2 bytes"));
        check("Content-length: 0\r\n", "ab\nc\n", true, Err("Expected 0 bytes, got 3 bytes"));
        check("Content-length: 0\r\n", "", false, Ok(Some("")));
        check("Content-length: 101\r\n", "", false, Err("message is larger"));
        check("", &"x".repeat(101), false, Err("message is larger"));
        check("Compress: zlib\r\n", "x", false, Err("Compress requires Content-length"));
        check("Compress: zlib\r\nContent-length: 1\r\n", "x", false, Err("end of zlib stream"));
    }
}
