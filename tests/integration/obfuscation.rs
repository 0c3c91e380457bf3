//! Every lure fixture in twelve disguises: each must still hit its symbol in at least eleven.

use calspamd::calendar::{self, Property, Value};
use calspamd::facts;
use calspamd::message;
use calspamd::scan;

use crate::support::{
    assert_none, base64, messages, name, request_for, settings_for, stock, summary, symbols,
};

/// Symbols about what the text says.
const SYMBOLS: [&str; 14] = [
    "CAL_CALLBACK",
    "CAL_LURE_CRED",
    "CAL_LURE_FINANCE",
    "CAL_LURE_SALE",
    "CAL_LURE_PRIZE",
    "CAL_LURE_PARCEL",
    "CAL_LURE_SCARE",
    "CAL_LURE_CRYPTO",
    "CAL_LURE_ADULT",
    "CAL_LURE_ADVANCE",
    "CAL_URGENT",
    "CAL_BRAND_LURE",
    "CAL_PROMPT_INJECT",
    "CAL_CONF_FAKE",
];

/// Disguises that have to be seen through, of twelve.
const LEAST: usize = 11;

/// What a fixture's event says, and the lines that are not text.
struct Lure {
    /// Header fields of the mail without those of its body.
    head: String,
    method: String,
    /// Content lines of the event that hold no text.
    lines: Vec<String>,
    summary: String,
    text: String,
}

impl Lure {
    fn read(bytes: &[u8], now: i64) -> Option<Self> {
        let envelope = message::Envelope::default();
        let parsed = message::parse(bytes, false, &envelope, &message::Settings::default());
        let reading = calendar::read(&parsed, &calendar::Settings::default(), &|| false);
        let facts = facts::gather(&parsed, &reading, &envelope, now, 500);
        let event = facts.events.first()?;
        let mut lure = Self {
            head: head(bytes),
            method: "REQUEST".to_owned(),
            lines: Vec::new(),
            summary: String::new(),
            text: String::new(),
        };
        for property in &reading.calendars.first()?.properties {
            if let ("METHOD", Value::Text(method) | Value::Other(method)) =
                (&*property.name, &property.value)
            {
                lure.method.clone_from(method);
            }
        }
        for text in &event.texts {
            if text.property.name == "SUMMARY" {
                lure.summary = text.visible.to_string();
            } else if !text.is_html_twin() || !lure.text.contains(text.visible.trim()) {
                format!("{}\n{}", lure.text, text.visible).trim().clone_into(&mut lure.text);
            }
        }
        for link in facts.links.all.get(event.links.clone())? {
            if link.scheme.starts_with("http") && !lure.text.contains(&link.url) && !link.unwrapped
            {
                lure.text = format!("{} {}", lure.text, link.url);
            }
        }
        lure.lines = event.event.properties.iter().filter_map(line).collect();
        Some(lure)
    }

    /// A mail that says it with these content lines.
    fn mail(&self, lines: &[String], transfer: &str) -> Vec<u8> {
        let calendar = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Event Desk//Planner 2.1//EN\r\nMETHOD:{}\r\n\
             BEGIN:VEVENT\r\n{}\r\n{}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n",
            self.method,
            self.lines.join("\r\n"),
            lines.join("\r\n")
        );
        let body = match transfer {
            "base64" => base64(calendar.as_bytes()),
            "quoted-printable" => quoted_printable(&calendar),
            _ => calendar,
        };
        format!(
            "{}MIME-Version: 1.0\r\nContent-Type: text/calendar; charset=utf-8; method={}\r\n\
             Content-Transfer-Encoding: {transfer}\r\n\r\n{body}",
            self.head, self.method
        )
        .into_bytes()
    }

    fn plain(&self, change: impl Fn(&str) -> String) -> Vec<u8> {
        let line = |name: &str, text: &str| format!("{name}:{}", escaped(&words(text, &change)));
        self.mail(&[line("SUMMARY", &self.summary), line("DESCRIPTION", &self.text)], "8bit")
    }

    /// The twelve disguises.
    fn disguises(&self) -> Vec<(&'static str, Vec<u8>)> {
        let whole = format!("{}\n{}", self.summary, self.text);
        let simple = [
            format!("SUMMARY:{}", escaped(&self.summary)),
            format!("DESCRIPTION:{}", escaped(&self.text)),
        ];
        let folded = simple.iter().map(|line| folds(line)).collect::<Vec<_>>();
        let html = format!(
            "X-ALT-DESC;FMTTYPE=text/html:<html><body><p>{}</p></body></html>",
            escaped(&whole)
        );
        vec![
            ("zero-width", self.plain(|word| inside(word, "\u{200b}"))),
            ("confusables", self.plain(confusable)),
            ("full-width", self.plain(full_width)),
            ("entities", self.plain(entities)),
            ("comments", self.plain(|word| inside(word, "<!-- x -->"))),
            (
                "hidden spans",
                self.plain(|word| inside(word, "<span style=\"display:none\">q7</span>")),
            ),
            ("transfer encoding", {
                let encoding =
                    if self.text.len().is_multiple_of(2) { "base64" } else { "quoted-printable" };
                self.mail(&simple, encoding)
            }),
            ("folds", self.mail(&folded, "8bit")),
            ("escapes", {
                let lines = |text: &str| escaped(&broken(text)).replace("\\n", "\\N");
                let lines = [
                    format!("SUMMARY:{}", escaped(&self.summary)),
                    format!("DESCRIPTION:{}", lines(&self.text)),
                ];
                self.mail(&lines, "8bit")
            }),
            ("HTML only", self.mail(&[html], "8bit")),
            ("split", self.mail(&split(&whole), "8bit")),
            ("upper case", self.plain(str::to_uppercase)),
        ]
    }
}

/// The fields of a mail that do not describe its body.
fn head(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let head = text.split("\n\n").next().unwrap_or_default();
    let mut kept = String::new();
    let mut keep = true;
    for line in head.lines() {
        if !line.starts_with([' ', '\t']) {
            let lower = line.to_lowercase();
            keep = !lower.starts_with("content-") && !lower.starts_with("mime-version");
        }
        if keep {
            kept.push_str(line);
            kept.push_str("\r\n");
        }
    }
    kept
}

/// A property that is no text, as a content line.
fn line(property: &Property) -> Option<String> {
    let (("ORGANIZER" | "ATTENDEE", Value::Uri(value))
    | ("UID" | "STATUS", Value::Text(value))
    | ("DTSTART" | "DTEND" | "DTSTAMP" | "SEQUENCE", Value::Other(value))) =
        (&*property.name, &property.value)
    else {
        return None;
    };
    let parameters = property.parameters.iter().filter(|(name, _)| name != "TZID");
    let mut text = property.name.to_string();
    for (name, value) in parameters {
        for part in [";", name, "=\"", value, "\""] {
            text.push_str(part);
        }
    }
    Some(folds_of(&format!("{text}:{value}"), 70))
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,").replace('\n', "\\n")
}

/// Changes every word that is no link.
fn words(text: &str, change: &impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for piece in text.split_inclusive([' ', '\n']) {
        if piece.contains("://") || piece.contains("www.") {
            out.push_str(piece);
        } else {
            out.push_str(&change(piece));
        }
    }
    out
}

/// A line feed between any two words.
fn broken(text: &str) -> String {
    let mut out = String::new();
    let mut pieces = text.split_inclusive(' ').peekable();
    while let Some(piece) = pieces.next() {
        let is_word = |part: &str| part.starts_with(char::is_alphabetic);
        if is_word(piece) && pieces.peek().is_some_and(|next| is_word(next)) {
            out.push_str(piece.trim_end());
            out.push('\n');
        } else {
            out.push_str(piece);
        }
    }
    out
}

/// Puts something into the middle of each longer word.
fn inside(word: &str, what: &str) -> String {
    let letters: Vec<char> = word.chars().collect();
    if letters.len() < 4 || !letters[..3].iter().all(|c| c.is_alphabetic()) {
        return word.to_owned();
    }
    let (before, after) = letters.split_at(2);
    format!("{}{what}{}", before.iter().collect::<String>(), after.iter().collect::<String>())
}

/// Letters of another script that look alike: Cyrillic in Latin words.
fn confusable(word: &str) -> String {
    let first = |c: char| match c {
        'a' => 'а',
        'e' => 'е',
        'o' => 'о',
        'c' => 'с',
        'p' => 'р',
        'x' => 'х',
        other => other,
    };
    let is_latin = word.chars().any(|c| c.is_ascii_lowercase());
    if is_latin { word.chars().map(first).collect() } else { word.to_owned() }
}

fn full_width(word: &str) -> String {
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        other => other,
    };
    word.chars().map(wide).collect()
}

/// Letters as character references.
fn entities(word: &str) -> String {
    let reference = |(at, c): (usize, char)| {
        if c.is_alphabetic() && at % 2 == 0 {
            format!("&#x{:x};", u32::from(c))
        } else {
            c.to_string()
        }
    };
    word.chars().enumerate().map(reference).collect()
}

/// A content line in pieces of a few octets.
fn folds(line: &str) -> String {
    folds_of(line, 9)
}

fn folds_of(line: &str, most: usize) -> String {
    let mut out = String::new();
    let mut width = 0;
    for c in line.chars() {
        if width + c.len_utf8() > most {
            out.push_str("\r\n ");
            width = 1;
        }
        out.push(c);
        width += c.len_utf8();
    }
    out
}

/// Sentence by sentence over the properties that a calendar shows.
fn split(text: &str) -> Vec<String> {
    const NAMES: [&str; 5] = ["SUMMARY", "LOCATION", "DESCRIPTION", "COMMENT", "CONTACT"];
    let mut lines = vec![String::new(); NAMES.len()];
    let mut sentences: Vec<String> = vec![String::new()];
    for piece in text.split_inclusive([' ', '\n', '。', '，']) {
        let last = sentences.last_mut().unwrap();
        last.push_str(piece);
        if piece.trim_end().ends_with(['!', '?', '。']) || piece.ends_with('\n') {
            sentences.push(String::new());
        }
    }
    for (index, sentence) in sentences.iter().enumerate() {
        lines[index.min(NAMES.len() - 1)].push_str(sentence);
    }
    NAMES
        .iter()
        .zip(&lines)
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(name, text)| format!("{name}:{}", escaped(text.trim())))
        .collect()
}

fn quoted_printable(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for line in text.split("\r\n") {
        let mut width = 0;
        for octet in line.bytes() {
            if width > 70 {
                out.push_str("=\r\n");
                width = 0;
            }
            if octet.is_ascii_graphic() && octet != b'=' {
                out.push(char::from(octet));
                width += 1;
            } else {
                write!(out, "={octet:02X}").unwrap();
                width += 3;
            }
        }
        out.push_str("\r\n");
    }
    out
}

#[test]
fn lures_are_recognised_in_twelve_disguises() {
    let mut failures = Vec::new();
    let (mut fixtures, mut missed) = (0, 0);
    for path in messages("spam") {
        let name = name(&path);
        let symbol = name.split('-').next().unwrap_or_default();
        if !SYMBOLS.contains(&symbol) {
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let request = request_for(&path, &bytes);
        let lure = Lure::read(&bytes, request.now).unwrap_or_else(|| panic!("{name}: no event"));
        fixtures += 1;
        // What HTML hides is lost when the visible text is dressed up.
        if name.ends_with("-hidden.eml") {
            continue;
        }
        let disguises = lure.disguises();
        assert_eq!(disguises.len(), 12);
        let mut lost = Vec::new();
        for (disguise, mail) in &disguises {
            let outcome = scan::scan(mail, &request, stock(), &settings_for(&path));
            if !symbols(&outcome).contains(&symbol) {
                lost.push(format!("{disguise}: {}", summary(&outcome)));
            }
        }
        missed += lost.len();
        if !lost.is_empty() {
            println!("{name}: {}", lost.join("; "));
        }
        if disguises.len() - lost.len() < LEAST {
            failures.push(format!("{name}: {}", lost.join("\n    ")));
        }
    }
    println!("{fixtures} fixtures, {missed} of {} disguises not seen through", fixtures * 12);
    assert!(fixtures >= 25, "{fixtures} fixtures");
    assert_none(&failures);
}
