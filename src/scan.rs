//! The pipeline, written out once: one request in, one [`Outcome`] out.
//!
//! Not an error: anything in the message. A scan that runs out of its time budget answers
//! with what it has and says so in [`Outcome::partial`].

use std::time::{Duration, Instant};

use crate::calendar::{self, Reading};
use crate::facts::{self, Origin};
use crate::message::{self, Defect, Envelope};
use crate::rules::{self, EvidenceScope, RuleSet};
use crate::verdict::{self, Policy, Upstream, Verdict};

/// Settings of all stages.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Limits of the message stage.
    pub message: message::Settings,
    /// Limits of the calendar stage.
    pub calendar: calendar::Settings,
    /// Thresholds and policy.
    pub verdict: verdict::Settings,
    /// Limits of the whole scan.
    pub limits: Limits,
}

/// Limits of a whole scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Time after which the answer goes out with what is there.
    pub time: Duration,
    /// Links read per message.
    pub urls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(4), urls: 500 }
    }
}

/// What is asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// SMTP transaction.
    pub envelope: Envelope,
    /// The body is declared to be `text/calendar`.
    pub bare: bool,
    /// Which evidence counts.
    pub scope: EvidenceScope,
    /// The recipient's policy (`Calendar-Policy`).
    pub policy: Option<Policy>,
    /// The caller's view of the mail.
    pub upstream: Upstream,
    /// Time of the scan, seconds since 1970 UTC.
    pub now: i64,
}

/// Time spent in each stage.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// `message`.
    pub message: Duration,
    /// `calendar`.
    pub calendar: Duration,
    /// `facts`.
    pub facts: Duration,
    /// `rules`.
    pub rules: Duration,
    /// `verdict`.
    pub verdict: Duration,
    /// All of it.
    pub total: Duration,
}

impl Timings {
    /// Stage names with their times, in pipeline order.
    pub fn stages(&self) -> [(&'static str, Duration); 5] {
        [
            ("message", self.message),
            ("calendar", self.calendar),
            ("facts", self.facts),
            ("rules", self.rules),
            ("verdict", self.verdict),
        ]
    }
}

/// One event of the answer.
#[derive(Debug, Clone, Default)]
pub struct EventOutcome {
    /// `VEVENT[0]`.
    pub place: String,
    /// UID.
    pub uid: Option<String>,
    /// RECURRENCE-ID as written.
    pub recurrence_id: Option<String>,
    /// METHOD of its calendar.
    pub method: Option<String>,
    /// SEQUENCE.
    pub sequence: Option<i64>,
    /// Organizer's address, or the value as written.
    pub organizer: Option<String>,
    /// SENT-BY.
    pub sent_by: Option<String>,
    /// SUMMARY as shown.
    pub summary: Option<String>,
    /// Start, RFC 3339 UTC, or a date.
    pub start: Option<String>,
    /// End, likewise.
    pub end: Option<String>,
    /// Instances in the first year.
    pub instances: u64,
    /// Notifications in the first year.
    pub notifications: u64,
    /// Sum of the scores of the symbols that hit for this event or for the whole message.
    pub score: f64,
    /// Those symbols.
    pub symbols: Vec<String>,
}

/// What was found in the text, for the caller's own lists and filters.
#[derive(Debug, Clone, Default)]
pub struct Extracted {
    /// Links.
    pub urls: Vec<ExtractedUrl>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// Phone numbers.
    pub phones: Vec<String>,
    /// Visible text of the events.
    pub text: String,
}

/// One link of the answer.
#[derive(Debug, Clone)]
pub struct ExtractedUrl {
    /// The URL.
    pub url: String,
    /// Its host, lower case, punycode.
    pub host: Option<String>,
    /// Its registered domain.
    pub domain: Option<String>,
    /// Calendar or mail.
    pub origin: Origin,
}

/// The answer, free of any protocol.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Score, action, decision, symbols.
    pub verdict: Verdict,
    /// The events.
    pub events: Vec<EventOutcome>,
    /// What was wrong with the input.
    pub defects: Vec<Defect>,
    /// What was found in the text.
    pub extracted: Extracted,
    /// Why the answer is not complete, sorted: `limit:attendees`, `limit:time`.
    pub partial: Vec<String>,
    /// Message-ID without brackets.
    pub message_id: Option<String>,
    /// True when the message has at least one calendar part.
    pub has_calendar: bool,
    /// Size of the message in bytes.
    pub size: usize,
    /// Where the time went.
    pub timings: Timings,
}

/// Scans one message.
pub fn scan(_bytes: &[u8], _request: &Request, _rules: &RuleSet, _settings: &Settings) -> Outcome {
    let _ = (Instant::now(), rules::load, facts::TABLE, Reading::default());
    todo!()
}
