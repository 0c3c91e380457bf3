//! What spamd 4.0.1 was seen to answer, and what is answered here: every recorded request is sent
//! again. The recordings are not part of the project; where they are not at hand, the test says so.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use calspamd::protocol::spamd::ReportSafe;
use calspamd::scan;
use calspamd::server::spamd::Settings;
use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::{Spamd, abusive, good, memory};
use crate::cli::Folder;
use crate::support;

/// Bytes of which a recording may have left out the middle.
#[derive(Debug, Default, Clone)]
struct Bytes {
    /// All of them, or the first ones up to a line end.
    start: Vec<u8>,
    /// The last ones from a line start on, where the middle is missing.
    end: Option<Vec<u8>>,
    /// How many there were.
    length: usize,
}

impl Bytes {
    /// The same length again, with lines of no meaning in the middle.
    fn filled(&self) -> Vec<u8> {
        let Some(end) = &self.end else { return self.start.clone() };
        let mut bytes = self.start.clone();
        // Lines that are headers as well as text.
        let ending = if bytes.ends_with(b"\r\n") { "\r\n" } else { "\n" };
        let mut missing = self.length - self.start.len() - end.len();
        while missing > 0 {
            let line = if missing < 20 { missing } else { 10 };
            let text = format!("X:{}{ending}", "x".repeat(line.saturating_sub(2 + ending.len())));
            bytes.extend(&text.as_bytes()[..line]);
            missing -= line;
        }
        bytes.extend(end);
        bytes
    }
}

/// A request and its answer.
struct Recording {
    name: String,
    asked: Bytes,
    /// The client said that it has ended.
    half_closed: bool,
    answered: Bytes,
}

/// Undoes escapes: a backslash, `\r`, `\n`, `\t`, `\x0a`, a quote.
fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            bytes.extend(letter.to_string().as_bytes());
            continue;
        }
        match letters.next() {
            Some('r') => bytes.push(b'\r'),
            Some('n') => bytes.push(b'\n'),
            Some('t') => bytes.push(b'\t'),
            Some('x') => {
                let digits: String = letters.by_ref().take(2).collect();
                bytes.extend(u8::from_str_radix(&digits, 16));
            }
            Some(other) => bytes.extend(other.to_string().as_bytes()),
            None => {}
        }
    }
    bytes
}

/// One direction: each line as escaped text, with a note where some were left out.
fn direction(text: &str) -> Bytes {
    let (first, rest) = text.split_once('\n').unwrap();
    let length = first.split(['(', ' ']).find_map(|word| word.parse().ok()).unwrap();
    // Only what stands behind the last escaped line end is without one.
    let join = |part: &str| unescaped(&part.replace('\n', ""));
    let Some((before, after)) = rest.split_once("\n... [cut; ") else {
        return Bytes { start: join(rest), end: None, length };
    };
    let start = before.rsplit_once("\\n\n").map_or(before, |(whole, _)| whole).to_owned() + "\\n";
    let (_, after) = after.split_once("...\n").unwrap();
    let after = after.split_once("\\n\n").map_or("", |(_, whole)| whole);
    Bytes { start: join(&start), end: Some(join(after)), length }
}

/// The recordings of a file: one of a raw request, or those of a client behind a proxy.
fn read(path: &Path) -> Vec<Recording> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = support::name(path);
    let Some((head, rest)) = text.split_once("===== C> ") else { return proxied(&name, &text) };
    let (asked, answered) = rest.split_once("===== S> ").unwrap();
    let half_closed = head.contains("half-close after send: True");
    let (asked, answered) = (direction(asked), direction(answered));
    vec![Recording { name, asked, half_closed, answered }]
}

/// Lines as `#34 +    0ms C> (18) 'PING SPAMC/1.5\r\n\r\n'`.
fn proxied(name: &str, text: &str) -> Vec<Recording> {
    let mut found: Vec<(String, Recording)> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with('#') && !line.starts_with("##")) {
        let mut words = line.split_whitespace();
        let number = words.next().unwrap().to_owned();
        let place = found.iter().position(|(known, _)| *known == number);
        let (at, from) = (line.find("> ("), line.contains(" C> ("));
        let Some(at) = at else {
            if let (Some(place), true) = (place, line.ends_with("C> EOF")) {
                found[place].1.half_closed = true;
            }
            continue;
        };
        let place = place.unwrap_or_else(|| {
            let recording = Recording {
                name: format!("{name} {number}"),
                asked: Bytes::default(),
                half_closed: false,
                answered: Bytes::default(),
            };
            found.push((number, recording));
            found.len() - 1
        });
        let (length, quoted) = line.split_at(at + 3).1.split_once(") ").unwrap();
        let bytes = unescaped(quoted.trim_matches(['\'', '"']));
        let recording = &mut found[place].1;
        let side = if from { &mut recording.asked } else { &mut recording.answered };
        side.length += length.parse::<usize>().unwrap();
        side.start.extend(bytes);
        if side.start.len() != side.length {
            side.end = Some(Vec::new());
        }
    }
    found.into_iter().map(|(_, recording)| recording).collect()
}

/// What is the same for every message: the status line, names and form of the headers, how the
/// body begins and ends. What is no answer of a scan is kept whole.
fn shape(reply: &Bytes, command: &str, verdict: bool) -> Vec<String> {
    let text = String::from_utf8_lossy(&reply.start).into_owned();
    let end = reply.end.as_ref().filter(|end| !end.is_empty());
    let end = end.map(|end| String::from_utf8_lossy(end).into_owned());
    let is_message = matches!(command, "PROCESS" | "HEADERS");
    if !text.contains(" 0 EX_OK") {
        return vec![text];
    }
    if text.starts_with("SPAMD/1.0 0") {
        let (status, body) = text.split_once("\r\n").unwrap();
        return [vec![status.to_owned()], body_shape(body, body, command, verdict)].concat();
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text:?}"));
    let mut shape = Vec::new();
    for line in head.split("\r\n") {
        if let Some(length) = line.strip_prefix("Content-length: ") {
            let body = reply.length - head.len() - 4;
            assert_eq!(length.parse::<usize>().unwrap(), body, "{text}");
            shape.push("Content-length".to_owned());
            continue;
        }
        let digits = |c: char| if c.is_ascii_digit() { '0' } else { c };
        let mut line = line.to_owned();
        if line.starts_with("Spam: ") {
            if !verdict {
                line = line.replace("True", "False").replace("Yes", "No");
            }
            line = line.chars().map(digits).collect::<String>();
            // However many digits stand before the point.
            while line.contains("00.") {
                line = line.replace("00.", "0.");
            }
            line = line.replace("; -", "; ");
        }
        shape.push(line);
    }
    if verdict || is_message {
        let last = end.as_deref().unwrap_or(body);
        shape.extend(body_shape(body, last, command, verdict));
    }
    shape
}

fn body_shape(body: &str, last: &str, command: &str, verdict: bool) -> Vec<String> {
    match command {
        "PROCESS" | "HEADERS" => {
            let (head, _) = body.replace('\r', "").split_once("\n\n").map_or_else(
                || (body.to_owned(), String::new()),
                |(head, rest)| (head.to_owned(), rest.to_owned()),
            );
            let names = head.lines().filter(|line| line.starts_with("X-Spam-"));
            let names = names.filter_map(|line| line.split_once(": ")).map(|(name, _)| name);
            let mut shape: Vec<String> =
                names.filter(|name| verdict || *name != "X-Spam-Flag").map(str::to_owned).collect();
            shape.push(format!("line ends: {}", body.contains("\r\n")));
            if verdict {
                shape.push(format!("attached: {}", head.contains("multipart/mixed")));
            }
            shape
        }
        // A list of names may be empty, with or without a line end of its own.
        "SYMBOLS" => vec![format!("line end: {}", last.ends_with("\r\n"))],
        "REPORT" | "REPORT_IFSPAM" => {
            vec![format!(
                "report: {} {}",
                body.is_empty(),
                body.is_empty() || last.ends_with("\n\n")
            )]
        }
        _ => vec![body.to_owned()],
    }
}

/// The request with a mail of this project in the place of the recorded one.
fn with_our_mail(asked: &Bytes, spam: bool) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(&asked.start).into_owned();
    let (first, _) = text.split_once("\r\n")?;
    let bare = ["/1.0", "/abc", "/"].iter().any(|version| first.ends_with(version));
    let (head, recorded) = if bare { (first, "") } else { text.split_once("\r\n\r\n")? };
    let mail = if spam { abusive() } else { good() };
    // Without headers the recorded length is the first line of the message.
    let crlf = bare || recorded.contains("\r\n");
    let mail = if crlf { mail.replace('\n', "\r\n") } else { mail };
    let mut mail = mail.into_bytes();
    if head.contains("Compress: zlib") {
        let mut packer = ZlibEncoder::new(Vec::new(), Compression::default());
        packer.write_all(&mail).unwrap();
        mail = packer.finish().unwrap();
    }
    let mut lines: Vec<String> = head.split("\r\n").map(str::to_owned).collect();
    for line in &mut lines {
        if let Some((name, _)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            *line = format!("{name}: {}", mail.len());
        }
    }
    let blank = if bare { "\r\n" } else { "\r\n\r\n" };
    Some([lines.join("\r\n").as_bytes(), blank.as_bytes(), &mail].concat())
}

/// Where the answer here is another on purpose: what is answered, and why.
const DIFFERENT: [(&str, &str); 8] = [
    // spamd's advice names its own switch.
    ("tell_not_allowed", "SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled"),
    // A mistake is not learned as ham.
    ("tell_badclass", "SPAMD/1.0 76 Bad header line: (Message-class is neither"),
    ("tell_noclass", "SPAMD/1.0 76 Bad header line: (Message-class is neither"),
    // A report that repeats one is counted once, and confirmed each time.
    ("tell_learn_spam_again", "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n"),
    ("tell_forget_again", "SPAMD/1.1 0 EX_OK\r\nDidRemove: local\r\n"),
    // spamd writes the line end of zlib's own message, too.
    ("compress_zlib_bad", "SPAMD/1.0 69 Service Unavailable: zlib: failed to find end"),
    // A length in other letters is a length, and a whole zlib stream is known to have ended.
    ("clen_capital_L_noshut", "SPAMD/1.1 0 EX_OK\r\nSpam: "),
    ("compress_zlib_noshut", "SPAMD/1.1 0 EX_OK\r\nSpam: "),
];

fn exchange(spamd: &Spamd, request: &[u8], half_close: bool) -> Bytes {
    let mut stream = spamd.connect();
    // Who is refused early may not get all of it off.
    drop(stream.write_all(request));
    if half_close {
        drop(stream.shutdown(Shutdown::Write));
    }
    let mut start = Vec::new();
    drop(stream.read_to_end(&mut start));
    let length = start.len();
    Bytes { start, end: None, length }
}

#[test]
fn recorded_requests_are_answered_as_spamd_does() {
    let Some(folder) = captures() else { return };
    let store = Folder::new();
    let settings = Settings {
        required_score: 5.0,
        report_safe: ReportSafe::Attachment,
        head_timeout: Duration::from_secs(2),
        body_timeout: Duration::from_secs(2),
        ..Settings::default()
    };
    let scan = || scan::Settings { reputation: memory(&store), ..scan::Settings::default() };
    let spamd = Spamd::with(settings.clone(), scan());
    let closed = Spamd::with(Settings { allow_tell: false, ..settings }, scan());
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
    paths.sort();
    let mut failures = Vec::new();
    let mut count = 0;
    for recording in paths.iter().flat_map(|path| read(path)) {
        count += 1;
        let name = recording.name.trim_end_matches(".txt");
        let spamd = if name == "tell_not_allowed" { &closed } else { &spamd };
        let asked = String::from_utf8_lossy(&recording.asked.start).into_owned();
        let before = asked.split(" SPAMC/").next().unwrap_or_default();
        let command = before.rsplit(|c: char| !c.is_ascii_uppercase() && c != '_').next();
        let command = command.unwrap_or_default();
        let answered = String::from_utf8_lossy(&recording.answered.start).into_owned();
        let is_scanned = answered.contains(" 0 EX_OK");
        let mut requests = Vec::new();
        // What was packed cannot be filled up.
        let packed = asked.contains("Compress: zlib") && recording.asked.end.is_some();
        if !packed && command != "TELL" {
            requests.push((recording.asked.filled(), false));
        }
        // With a mail that means here what the recorded one means to spamd.
        let spam = answered.contains("Spam: True")
            || answered.contains("Spam: Yes")
            || answered.contains("X-Spam-Flag: YES")
            || command == "TELL";
        let bodiless = name.starts_with("empty_") || name.starts_with("headers_only");
        if (is_scanned && !bodiless) || command == "TELL" || packed {
            requests.extend(with_our_mail(&recording.asked, spam).map(|request| (request, true)));
        }
        for (request, verdict) in requests {
            let got = exchange(spamd, &request, recording.half_closed);
            let text = String::from_utf8_lossy(&got.start).into_owned();
            let known = DIFFERENT.iter().find(|(known, _)| *known == name);
            let right = match known {
                Some((_, expected)) => text.starts_with(expected),
                // Where spamd waits for more, so does this one, for a time.
                None if answered.is_empty() && text.starts_with("SPAMD/1.0 79 Timeout: ") => true,
                None => {
                    let expected = shape(&recording.answered, command, verdict);
                    let found = shape(&got, command, verdict);
                    if expected != found {
                        failures.push(format!("{name} {verdict}: {expected:?}\n   is {found:?}"));
                    }
                    continue;
                }
            };
            if !right {
                failures.push(format!("{name}: {text}"));
            }
        }
    }
    println!("{count} recorded requests");
    assert!(count > 110, "{count} recordings in {}", folder.display());
    support::assert_none(&failures);
}

/// The folder of recordings beside the collection of mails.
fn captures() -> Option<std::path::PathBuf> {
    let folder = support::corpus()?.join("../reference/captures/spamd");
    if !folder.is_dir() {
        println!("no recordings at {}: nothing is replayed", folder.display());
        return None;
    }
    Some(folder)
}
