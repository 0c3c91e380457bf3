//! Turns a [`Message`] and its events into [`Facts`]: the closed, typed list of everything a
//! rule may ask.
//!
//! Comes in: what `message` and `calendar` read, the SMTP envelope and the time of the scan.
//! Goes out: [`Facts`], and for rules a [`View`] of one event that computes each fact at most
//! once and only when somebody asks.
//! Not an error: a fact without a value (an event without SUMMARY) is an empty answer; a fact
//! that cannot be had (no mail around a bare event, a store that is down) is
//! [`Answer::Unknown`], and no rule can score it.
//!
//! Facts are declared once, in [`TABLE`]: name, kind, scope, meaning, example and the function
//! that reads it. To add one, add a line there, in the file of its theme.
//!
//! Pure: no clock, no network, no files.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;
use std::sync::Arc;

use crate::calendar::{Event, Property, Reading};
use crate::message::{AuthenticationResults, Envelope, Message};

mod answers;
mod attachments;
mod bodies;
mod body;
pub mod domain;
mod gather;
pub mod history;
mod html;
mod identity;
mod links;
pub mod mail;
mod numbers;
mod paths;
mod remembered;
mod roles;
mod shape;
pub mod site;
mod table;
pub mod text;
mod unwrap;

pub use attachments::readers::shares_calendar;
pub use attachments::{Attachment, Attachments, Code};
pub use gather::{EventFacts, MailText, PhoneNumber, TextValue, gather};
pub use history::History;
pub use links::{Link, Links};
pub use site::Site;
pub use table::{FOR_SITES, TABLE};

/// What kind of value a fact has; decides which operators and operands fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text: regex, `==` with a string, `in` a list of words and phrases.
    Text,
    /// A mail address in lower case: as text; `in` matches addresses and domains.
    Address,
    /// A host or domain name in lower case: as text; `in` matches the name and all below.
    Domain,
    /// A number.
    Number,
    /// A length of time in seconds; operands are written `90s 15m 48h 730d 2w`.
    Duration,
    /// A size in bytes; operands are written `100 10KB 1MB`.
    Size,
    /// Yes or no.
    Flag,
}

impl Kind {
    /// Name in documentation and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Address => "address",
            Self::Domain => "domain",
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Flag => "flag",
        }
    }

    /// True for the three kinds whose values are strings.
    pub const fn is_string(self) -> bool {
        matches!(self, Self::Text | Self::Address | Self::Domain)
    }
}

/// Whether a fact belongs to each event or to the message as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each event has its own values; without any event there is no value.
    Event,
    /// The same for all events, and there also without any.
    Message,
}

/// Where evidence comes from. A stack that merges us has scored the mail already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// A calendar part.
    Calendar,
    /// Headers and bodies outside calendar parts.
    Mail,
    /// The envelope, and what DNS says of it.
    Network,
}

impl Origin {
    /// Name in documentation.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::Mail => "mail",
            Self::Network => "network",
        }
    }
}

/// The declaration of one fact.
#[derive(Clone, Copy)]
pub struct Fact {
    /// Dotted noun in the terms of RFC 5545.
    pub name: &'static str,
    /// Kind of its values.
    pub kind: Kind,
    /// Per event or per message.
    pub scope: Scope,
    /// Where its values come from.
    pub origin: Origin,
    /// One sentence: what it is, with unit and source.
    pub meaning: &'static str,
    /// A value it may have.
    pub example: &'static str,
    /// Reads it.
    read: Read,
}

/// How a fact is read.
#[derive(Clone, Copy)]
enum Read {
    /// From one event.
    Event(for<'f> fn(&'f EventFacts<'f>, &'f Facts<'f>) -> Answer<'f>),
    /// From the message.
    Message(for<'f> fn(&'f Facts<'f>) -> Answer<'f>),
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fact").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Index of a fact in [`TABLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FactId(u16);

impl FactId {
    /// Finds a fact by name.
    pub fn find(name: &str) -> Option<Self> {
        let index = TABLE.iter().position(|fact| fact.name == name)?;
        u16::try_from(index).ok().map(Self)
    }

    /// The declaration.
    pub fn fact(self) -> &'static Fact {
        #[expect(clippy::indexing_slicing, reason = "only `find` makes one, from a position")]
        &TABLE[usize::from(self.0)]
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// What a fact says.
#[derive(Debug)]
pub enum Answer<'f> {
    /// Cannot be known in this scan; a test on it is unknown and never scores.
    Unknown,
    /// The values, possibly none. Empty texts are left out: no text, no value.
    Known(Vec<Datum<'f>>),
}

impl<'f> Answer<'f> {
    /// The values; none when unknown.
    pub fn values(&self) -> &[Datum<'f>] {
        match self {
            Self::Unknown => &[],
            Self::Known(values) => values,
        }
    }
}

/// One value with the place it was found.
#[derive(Debug)]
pub struct Datum<'f> {
    /// The value.
    pub value: Value<'f>,
    /// Where it stands.
    pub place: Place<'f>,
    /// Where this very value comes from; equals the fact's origin except for text found in
    /// both mail and calendar.
    pub origin: Origin,
    folded: OnceCell<String>,
    notes: OnceCell<Vec<Note>>,
}

/// A phrase of a word list that stands in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Number of the list.
    pub list: u32,
    /// Index of the entry in it.
    pub entry: u32,
    /// Byte range in the plain text, see [`text::part_of_plain`].
    pub start: u32,
    /// End of the range.
    pub end: u32,
}

impl<'f> Datum<'f> {
    /// Makes a datum.
    pub fn new(value: Value<'f>, place: Place<'f>, origin: Origin) -> Self {
        Self { value, place, origin, folded: OnceCell::new(), notes: OnceCell::new() }
    }

    /// Text in lower case, for word lists; empty for numbers and flags. Computed once.
    pub fn folded(&self) -> &str {
        self.folded.get_or_init(|| match &self.value {
            Value::Text(text) => text::fold(text),
            Value::Number(_) | Value::Flag(_) => String::new(),
        })
    }

    /// The phrases that stand in the text. `read` finds them; it is called once.
    pub fn notes(&self, read: impl FnOnce(&str) -> Vec<Note>) -> &[Note] {
        self.notes.get_or_init(|| read(self.folded()))
    }
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'f> {
    /// Text, address or domain.
    Text(Cow<'f, str>),
    /// Number, duration (seconds) or size (bytes).
    Number(f64),
    /// Yes or no.
    Flag(bool),
}

/// Where a value stands, written out only when evidence is shown.
#[derive(Debug, Clone, Copy)]
pub enum Place<'f> {
    /// A property of an event: `VEVENT[0].DESCRIPTION`.
    Property(&'f Event, &'f Property),
    /// An event: `VEVENT[0]`.
    Event(&'f Event),
    /// A property of a calendar: `VCALENDAR.NAME`.
    Calendar(&'f Property),
    /// A QR code in the image of a property, of an event or of a calendar:
    /// `VEVENT[0].ATTACH QR`.
    Code(Option<&'f Event>, &'f Property),
    /// A MIME part: `part[2]`.
    Part(usize),
    /// Words for anything else: `From`, `envelope`, `VCALENDAR`.
    Name(&'f str),
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Property(event, property) => f.write_str(&event.place(property)),
            Self::Event(event) => write!(f, "{}[{}]", event.kind.name(), event.ordinal),
            Self::Calendar(property) => write!(f, "VCALENDAR.{}", property.name),
            Self::Code(Some(event), property) => write!(f, "{} QR", event.place(property)),
            Self::Code(None, property) => write!(f, "VCALENDAR.{} QR", property.name),
            Self::Part(index) => write!(f, "part[{index}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A paragraph of text as `body` rules see it: of the mail, or of a decoded calendar part.
#[derive(Debug)]
pub struct Paragraph<'f> {
    /// One paragraph: white space runs are one space, at most 2048 bytes. The first one is
    /// the Subject (SpamAssassin 4.0, `body`).
    pub text: Cow<'f, [u8]>,
    /// Where it stands.
    pub place: Place<'f>,
    /// Mail or calendar.
    pub origin: Origin,
    /// Index of the event in `Reading::events` for calendar text.
    pub event: Option<usize>,
}

/// A link as `uri` rules see it.
#[derive(Debug)]
pub struct LinkText<'f> {
    /// The link, or one of the forms it has when encodings are undone.
    pub text: &'f str,
    /// Where it stands.
    pub place: Place<'f>,
    /// Mail or calendar.
    pub origin: Origin,
    /// Index of the event in `Reading::events` for links of calendars.
    pub event: Option<usize>,
}

/// Everything known about one message, ready to be asked.
pub struct Facts<'f> {
    /// The message.
    pub message: &'f Message<'f>,
    /// Its calendars.
    pub reading: &'f Reading,
    /// Its envelope.
    pub envelope: &'f Envelope,
    /// Time of the scan, seconds since 1970 UTC.
    pub now: i64,
    /// One entry per event of the reading.
    pub events: Vec<EventFacts<'f>>,
    /// Links of events and of the mail body.
    pub links: Links<'f>,
    /// Bodies of the mail as a reader sees them.
    pub mail_texts: Vec<MailText<'f>>,
    /// The mail as SpamAssassin's rules see it.
    pub mail: mail::Mail<'f>,
    /// What is known of the message's authentication; `None`: nothing.
    pub authentication: Option<AuthenticationResults>,
    /// What the site knows.
    pub site: Arc<Site>,
    /// What was seen before; all of it unknown where nobody says.
    pub history: History,
    /// True when attachments were not read because of a limit.
    pub unread_attachments: bool,
}

impl Facts<'_> {
    /// Takes what the site knows, and believes its servers.
    pub fn know(&mut self, site: Arc<Site>) {
        self.mail.believe(&site);
        self.site = site;
    }
}

/// Answers computed so far, one cell a fact.
pub struct Memo<'f> {
    answers: Vec<OnceCell<Answer<'f>>>,
    paragraphs: OnceCell<Vec<Paragraph<'f>>>,
    link_texts: OnceCell<Vec<LinkText<'f>>>,
}

impl<'f> Memo<'f> {
    /// Nothing computed yet.
    pub fn new() -> Self {
        Self {
            answers: TABLE.iter().map(|_| OnceCell::new()).collect(),
            paragraphs: OnceCell::new(),
            link_texts: OnceCell::new(),
        }
    }

    /// Links as `uri` rules see them: the calendars', then every different form of the
    /// mail's. Without `hints` the mail is not looked at. The first call decides.
    pub fn link_texts(
        &self,
        facts: &'f Facts<'f>,
        hints: Option<mail::Hints<'_>>,
    ) -> &[LinkText<'f>] {
        self.link_texts.get_or_init(|| body::link_texts(facts, hints))
    }
}

impl Default for Memo<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The facts of one event (or, without an event, of the message alone), each computed at
/// most once and only when asked.
pub struct View<'v, 'f> {
    facts: &'f Facts<'f>,
    event: Option<&'f EventFacts<'f>>,
    /// Answers of the message, shared by all events.
    shared: &'v Memo<'f>,
    /// Answers of this event.
    own: Memo<'f>,
}

impl<'v, 'f> View<'v, 'f> {
    /// Looks at one event, or at the message alone. `shared` is one memo for the whole scan.
    pub fn new(
        facts: &'f Facts<'f>,
        shared: &'v Memo<'f>,
        event: Option<&'f EventFacts<'f>>,
    ) -> Self {
        Self { facts, event, shared, own: Memo::new() }
    }

    /// The event looked at.
    pub fn event(&self) -> Option<&'f EventFacts<'f>> {
        self.event
    }

    /// All facts.
    pub fn facts(&self) -> &'f Facts<'f> {
        self.facts
    }

    /// Asks a fact. Facts of an event asked without one have no value.
    pub fn ask(&self, id: FactId) -> &Answer<'f> {
        let fact = id.fact();
        let memo = match fact.scope {
            Scope::Message => self.shared,
            Scope::Event => &self.own,
        };
        let Some(cell) = memo.answers.get(id.index()) else { return &Answer::Unknown };
        cell.get_or_init(|| match (fact.read, self.event) {
            (Read::Message(read), _) => read(self.facts),
            (Read::Event(read), Some(event)) => read(event, self.facts),
            (Read::Event(_), None) => Answer::Known(Vec::new()),
        })
    }

    /// Paragraphs as `body` rules see them: the mail's, then the decoded calendar parts'.
    pub fn paragraphs(&self) -> &[Paragraph<'f>] {
        self.shared.paragraphs.get_or_init(|| body::paragraphs(self.facts))
    }
}
