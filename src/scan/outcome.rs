//! What a scan says: the answer, free of any protocol.

use std::time::Duration;

use crate::facts::Origin;
use crate::lists::Listing;
use crate::message::{Defect, Source};
use crate::verdict::Verdict;

/// Time spent in each stage.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timings {
    /// `message`.
    pub message: Duration,
    /// `calendar`.
    pub calendar: Duration,
    /// `facts`.
    pub facts: Duration,
    /// `authentication`: waiting for it.
    pub authentication: Duration,
    /// `reputation`: asking what was seen before.
    pub reputation: Duration,
    /// `lists`.
    pub lists: Duration,
    /// `rules`.
    pub rules: Duration,
    /// `verdict`.
    pub verdict: Duration,
    /// All of it.
    pub total: Duration,
}

impl Timings {
    /// Stage names with their times, in pipeline order.
    pub fn stages(&self) -> [(&'static str, Duration); 8] {
        [
            ("message", self.message),
            ("calendar", self.calendar),
            ("facts", self.facts),
            ("authentication", self.authentication),
            ("reputation", self.reputation),
            ("lists", self.lists),
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

/// Where the knowledge of a message's authentication comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Known {
    /// Nobody has said anything, and nothing was verified here.
    #[default]
    Nothing,
    /// Somebody has said it.
    From(Source),
    /// Not every answer came in time.
    TimedOut,
}

impl Known {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::From(Source::Caller),
        Self::From(Source::Header),
        Self::From(Source::Verified),
        Self::TimedOut,
    ];

    /// Label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::From(source) => source.name(),
            Self::TimedOut => "timeout",
        }
    }
}

/// What a list says of a name in the message.
#[derive(Debug, Clone)]
pub struct Said {
    /// The list.
    pub list: String,
    /// The name.
    pub about: String,
    /// Where it was found first.
    pub place: String,
    /// Its answer; none when it has not answered.
    pub listing: Listing,
}

/// Where the message is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Number of its record; none where it is not kept.
    pub record: Option<String>,
    /// The campaign that it belongs to.
    pub campaign: Option<String>,
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
    /// What lists say, where they say more than "not listed".
    pub listings: Vec<Said>,
    /// Why the answer is not complete, sorted: `limit:attendees`, `limit:time`.
    pub partial: Vec<String>,
    /// Message-ID without brackets.
    pub message_id: Option<String>,
    /// True when the message has at least one calendar part.
    pub has_calendar: bool,
    /// Size of the message in bytes.
    pub size: usize,
    /// Who says what is known of the message's authentication.
    pub authentication: Known,
    /// Where it is remembered.
    pub remembered: Remembered,
    /// Where the time went.
    pub timings: Timings,
}
