//! Replies, byte by byte as spamd 4.0.1 writes them, in the forms that each version can read.

use std::fmt::Write;

use super::request::{Command, Head, Places};
use super::rewrite::{ReportSafe, as_attachment, head_of, with_headers};
use crate::protocol::decision;
use crate::scan::Outcome;
use crate::verdict::{Symbol, Thresholds};

/// Width of a description in the table of a report.
const DESCRIPTION: usize = 50;

/// Letters of the preview of a report.
const PREVIEW: usize = 200;

/// Width of a header line, where it is folded.
const LINE: usize = 76;

/// Stars of `X-Spam-Level`.
const STARS: usize = 50;

/// Name and version, as in headers.
const WHO: &str = concat!("calspamd ", env!("CARGO_PKG_VERSION"));

/// A scanned message and what was asked.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// The request.
    pub head: &'a Head,
    /// The message as it came.
    pub message: &'a [u8],
    /// What the scan says.
    pub outcome: &'a Outcome,
    /// The score from which on mail is spam.
    pub required: f64,
    /// What becomes of spam.
    pub report_safe: ReportSafe,
}

impl Answered<'_> {
    fn is_spam(&self) -> bool {
        self.outcome.verdict.score >= self.required
    }

    /// With one decimal; ham whose score is rounded up to the threshold stays below it.
    fn score(&self) -> String {
        let score = format!("{:.1}", self.outcome.verdict.score);
        let required = format!("{:.1}", self.required);
        if !self.is_spam() && score == required {
            return format!("{:.1}", self.required - 0.1);
        }
        // Minus nothing is nothing.
        if score == "-0.0" { "0.0".to_owned() } else { score }
    }

    /// `Spam: True ; 7.5 / 6.0`, with the spaces that clients look for.
    fn line(&self, yes: &str, no: &str) -> String {
        let is = if self.is_spam() { yes } else { no };
        format!("Spam: {is} ; {} / {:.1}\r\n", self.score(), self.required)
    }

    fn names(&self) -> Vec<&str> {
        let symbols = self.outcome.verdict.symbols.iter();
        let mut names: Vec<&str> = symbols.map(|symbol| &*symbol.hit.symbol).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// The reply to PING.
pub fn pong() -> Vec<u8> {
    b"SPAMD/1.5 0 PONG\r\n".to_vec()
}

/// A reply without a scan: a code of sysexits, and why. No blank line, as spamd has it.
pub fn fault(code: u16, text: &str) -> Vec<u8> {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("SPAMD/1.0 {code} {text}\r\n").into_bytes()
}

/// The reply to TELL. spamd sends one blank line more than it should, and clients read on to the
/// end anyway.
pub fn learned(set: Places, removed: Places) -> Vec<u8> {
    let mut reply = "SPAMD/1.1 0 EX_OK\r\n".to_owned();
    for (name, places) in [("DidSet", set), ("DidRemove", removed)] {
        let named = [(places.local, "local"), (places.remote, "remote")];
        let named: Vec<&str> = named.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
        if !named.is_empty() {
            // A string takes everything; so below.
            let _ = write!(reply, "{name}: {}\r\n", named.join(","));
        }
    }
    reply.push_str("\r\n\r\n");
    reply.into_bytes()
}

/// The reply to a command that scans.
pub fn reply(answered: &Answered<'_>) -> Vec<u8> {
    const STATUS: &str = "SPAMD/1.1 0 EX_OK\r\n";
    let version = answered.head.version;
    let line = answered.line("True", "False");
    let with = |line: &str, body: &[u8]| -> Vec<u8> {
        // From 1.3 on clients know how long the reply is; Exim, a 1.2, could not read it.
        let length = format!("Content-length: {}\r\n", body.len());
        let length = if version >= 1.3 { &length } else { "" };
        [STATUS.as_bytes(), length.as_bytes(), line.as_bytes(), b"\r\n", body].concat()
    };
    match answered.head.command {
        Command::Ping | Command::Skip | Command::Tell => Vec::new(),
        Command::Check => format!("{STATUS}{line}\r\n").into_bytes(),
        Command::Symbols if version >= 1.3 => with(&line, answered.names().join(",").as_bytes()),
        Command::Symbols => with(&line, format!("{}\r\n", answered.names().join(",")).as_bytes()),
        Command::Report => with(&line, report(answered).as_bytes()),
        Command::ReportIfSpam => {
            let report = if answered.is_spam() { report(answered) } else { String::new() };
            with(&answered.line("Yes", "No"), report.as_bytes())
        }
        Command::Process | Command::Headers => {
            let whole = processed(answered);
            let is_cut = answered.head.command == Command::Headers;
            let body = if is_cut { head_of(&whole) } else { &whole };
            if version >= 1.3 {
                with(&line, body)
            } else if version >= 1.2 {
                let length = format!("Content-length: {}\r\n\r\n", body.len());
                [STATUS.as_bytes(), length.as_bytes(), body].concat()
            } else {
                [b"SPAMD/1.0 0 EX_OK\r\n", body].concat()
            }
        }
    }
}

/// The reply in Exim's dialect (`variant=rspamd`).
pub fn exim(answered: &Answered<'_>, thresholds: &Thresholds) -> Vec<u8> {
    let outcome = answered.outcome;
    let limits = thresholds.list();
    let last = limits.last().map_or(answered.required, |(_, limit)| *limit);
    let is = if answered.is_spam() { "True" } else { "False" };
    let mut reply = format!(
        "RSPAMD/1.3 0 EX_OK\r\nMetric: default; {is}; {:.2} / {:.2} / {last:.2}\r\n",
        outcome.verdict.score, answered.required
    );
    let _ = write!(reply, "Action: {}\r\n", outcome.verdict.action.name());
    for symbol in &outcome.verdict.symbols {
        let _ = write!(reply, "Symbol: {}({:.2})\r\n", symbol.hit.symbol, symbol.score);
    }
    if outcome.has_calendar {
        // Exim keeps unknown lines in `$spam_report`, where its configuration finds this one.
        let _ = write!(reply, "Calendar: {}\r\n", decision::header(&outcome.verdict.decision));
    }
    if let Some(id) = &outcome.message_id {
        let id: String = id.chars().filter(|c| !c.is_control()).collect();
        let _ = write!(reply, "Message-ID: {id}\r\n");
    }
    reply.push_str("\r\n");
    reply.into_bytes()
}

fn processed(answered: &Answered<'_>) -> Vec<u8> {
    let lines = headers(answered);
    if answered.is_spam() && answered.report_safe == ReportSafe::Attachment {
        as_attachment(answered.message, &lines, &report(answered))
    } else {
        with_headers(answered.message, &lines)
    }
}

/// Headers in SpamAssassin's form, and the decision for the calendar.
fn headers(answered: &Answered<'_>) -> String {
    let outcome = answered.outcome;
    let mut lines = format!("X-Spam-Checker-Version: {WHO}\n");
    if answered.is_spam() {
        lines.push_str("X-Spam-Flag: YES\n");
    }
    let stars = outcome.verdict.score.clamp(0.0, 1_000.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within 0 and 1000"
    )]
    let stars = (stars as usize).min(STARS);
    let _ = writeln!(lines, "X-Spam-Level: {}", "*".repeat(stars));
    let is = if answered.is_spam() { "Yes" } else { "No" };
    let names = answered.names();
    let tests = if names.is_empty() { "none".to_owned() } else { names.join(",") };
    // One word of autolearn and no more: Rspamd takes what stands before the last one for tests.
    let status = format!(
        "X-Spam-Status: {is}, score={} required={:.1} tests={tests} autolearn=no version={}",
        answered.score(),
        answered.required,
        env!("CARGO_PKG_VERSION"),
    );
    fold(&mut lines, &status);
    if outcome.has_calendar {
        let value = decision::header(&outcome.verdict.decision);
        fold(&mut lines, &format!("{}: {value}", decision::HEADER));
    }
    lines
}

/// Folds a header behind commas and at spaces.
fn fold(lines: &mut String, header: &str) {
    let mut width = 0;
    for piece in header.split_inclusive([',', ' ']) {
        if width > 0 && width + piece.trim_end().len() > LINE {
            // The space before a fold is the fold.
            if lines.ends_with(' ') {
                lines.pop();
            }
            lines.push_str("\n\t");
            width = 8;
        }
        lines.push_str(piece);
        width += piece.len();
    }
    lines.push('\n');
}

/// The report, with the table that other programs read.
fn report(answered: &Answered<'_>) -> String {
    let outcome = answered.outcome;
    let about = match (answered.is_spam(), outcome.has_calendar) {
        (true, _) => "This message looks like calendar spam.",
        (false, true) => "This message does not look like calendar spam.",
        (false, false) => "This message carries no calendar.",
    };
    let mut report = format!("{about} Checked by {WHO}.\n\n");
    let text = outcome.extracted.text.split_whitespace().collect::<Vec<_>>().join(" ");
    let preview: String = text.chars().filter(|c| !c.is_control()).take(PREVIEW).collect();
    let _ = writeln!(report, "Content preview:  {preview} [...]");
    if outcome.has_calendar {
        let _ =
            writeln!(report, "Calendar:         {}", decision::header(&outcome.verdict.decision));
    }
    let (score, required) = (answered.score(), answered.required);
    let _ = write!(
        report,
        "\nContent analysis details:   ({score} points, {required:.1} required)\n\n \
         pts rule name              description\n---- ---------------------- {}\n",
        "-".repeat(DESCRIPTION)
    );
    for symbol in &outcome.verdict.symbols {
        row(&mut report, symbol);
    }
    report.push_str("\n\n");
    report
}

/// ` 5.0 CAL_CALLBACK           Callback scam`, and below it what was found where.
fn row(report: &mut String, symbol: &Symbol) {
    let hit = &symbol.hit;
    let points = format!("{:.1}", symbol.score);
    // Four letters wide, so that columns stay columns.
    let points = if points.len() > 4 { format!("{:.0}", symbol.score) } else { points };
    let description = hit.description.as_deref().unwrap_or_default();
    let mut lines = wrap(description).into_iter();
    let first = lines.next().unwrap_or_default();
    let _ = writeln!(report, "{points:>4} {:<22} {first}", hit.symbol);
    for line in lines {
        let _ = writeln!(report, "{:28}{line}", "");
    }
    for evidence in &hit.evidence {
        let text: String = evidence.text.chars().filter(|c| !c.is_control()).collect();
        let _ = writeln!(report, "{:28}[{}: {}]", "", evidence.place, text.trim());
    }
}

/// Words in lines of the width of a description.
fn wrap(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= DESCRIPTION => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
