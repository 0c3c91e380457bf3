//! Reads raw bytes into a [`Message`]: headers, MIME parts, calendar parts, and what the
//! caller and trusted hops say of its authentication.
//!
//! Comes in: the bytes of a mail (RFC 5322, any line ending) or of a bare iCalendar object,
//! and the SMTP [`Envelope`].
//! Goes out: a [`Message`] that borrows from the bytes, and [`Defect`]s.
//! Not an error: anything. A message that is empty, cut off or random bytes is a message
//! with defects; an empty calendar part, a part with the wrong type, broken base64 and
//! unknown charsets are defects too, because rules score them.
//!
//! The only module that knows mail-parser.

use std::borrow::Cow;
use std::net::IpAddr;

mod authentication_results;
mod charset;
mod defect;
mod encoded_words;
mod fields;
mod format;
mod parts;
#[cfg(test)]
mod tests;
mod transfer;
mod tree;
mod walk;

pub(crate) use charset::{by_label_alone, shifts, western};
pub(crate) use encoded_words::octets as decode_word;

pub(crate) use authentication_results::sealed;
pub use authentication_results::{AuthenticationResults, Mechanism, MethodResult, Source};
pub use charset::shown as text_as_shown;
pub use defect::{Defect, DefectKind};
pub use transfer::{base64_octets, quoted_printable_octets};

/// What the MTA knows about the SMTP transaction; every field may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Address of the SMTP client.
    pub client_ip: Option<IpAddr>,
    /// HELO or EHLO argument.
    pub helo: Option<String>,
    /// PTR name of the client as the MTA verified it.
    pub hostname: Option<String>,
    /// MAIL FROM without angle brackets; `Some("")` is the null sender `<>`.
    pub sender: Option<String>,
    /// RCPT TO addresses without angle brackets.
    pub recipients: Vec<String>,
    /// Authenticated user (the mail is outbound).
    pub user: Option<String>,
    /// The MTA's queue id.
    pub queue_id: Option<String>,
    /// `Authentication-Results` (RFC 8601) values that the caller vouches for.
    pub authentication_results: Vec<String>,
}

/// Limits and trust of this stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Largest calendar text read from one part, in bytes; the rest is cut and said.
    pub calendar_text: usize,
    /// MIME parts looked at; later ones are counted only.
    pub parts: usize,
    /// Nesting of `message/rfc822` followed.
    pub depth: usize,
    /// `authserv-id`s whose `Authentication-Results` headers are believed (RFC 8601 §5).
    pub trusted_authserv_ids: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            calendar_text: 10 * 1024 * 1024,
            parts: 1_000,
            depth: 16,
            trusted_authserv_ids: Vec::new(),
        }
    }
}

/// A message as it came, taken apart but not yet judged.
#[derive(Debug, Default)]
pub struct Message<'x> {
    /// The bytes as they came.
    pub raw: Cow<'x, [u8]>,
    /// True when the bytes are an iCalendar object with no mail around it.
    pub bare: bool,
    /// Top-level header fields in order of appearance.
    pub headers: Vec<Header<'x>>,
    /// MIME parts in order of appearance, nested messages' parts included.
    pub parts: Vec<Part<'x>>,
    /// Parts that are, or claim to be, calendars, in order of appearance.
    pub calendar_parts: Vec<CalendarPart<'x>>,
    /// `From` mailboxes.
    pub from: Vec<Mailbox>,
    /// `Sender` mailbox.
    pub sender: Option<Mailbox>,
    /// `Reply-To` mailboxes.
    pub reply_to: Vec<Mailbox>,
    /// `To` and `Cc` mailboxes.
    pub to: Vec<Mailbox>,
    /// Decoded `Subject`.
    pub subject: Option<String>,
    /// `Date`, in seconds since 1970-01-01T00:00:00Z.
    pub date: Option<i64>,
    /// Date of the topmost `Received`, which the own server wrote; seconds since 1970.
    pub received: Option<i64>,
    /// `Message-ID` without angle brackets.
    pub message_id: Option<String>,
    /// What trusted parties say of SPF, DKIM, DMARC and ARC; `None`: nobody has said.
    pub authentication: Option<AuthenticationResults>,
    /// All MIME parts counted, also those past the limit.
    pub part_count: usize,
    /// What was wrong with the input.
    pub defects: Vec<Defect>,
}

impl<'x> Message<'x> {
    /// Header fields of the part with this index, also of the root part.
    pub fn part_headers(&self, index: usize) -> &[Header<'x>] {
        if index == 0 {
            return &self.headers;
        }
        self.parts.get(index).map_or(&[], |part| &part.headers)
    }
}

/// One header field.
#[derive(Debug, Clone)]
pub struct Header<'x> {
    /// Name as written.
    pub name: Cow<'x, str>,
    /// Raw value: everything after the colon, folds and line end included.
    pub raw: Cow<'x, [u8]>,
}

impl Header<'_> {
    /// Value with RFC 2047 words decoded, folds replaced by one space, ends trimmed.
    pub fn decoded(&self) -> String {
        parts::decode_header(&self.raw)
    }
}

/// An address of a header field or a calendar address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name, decoded; empty when there is none.
    pub name: String,
    /// Address in lower case, without angle brackets; empty when there is none.
    pub address: String,
}

impl Mailbox {
    /// The part after the last `@`; empty when the address has none.
    pub fn host(&self) -> &str {
        self.address.rsplit_once('@').map_or("", |(_, host)| host)
    }
}

/// One MIME part (leaf or container).
#[derive(Debug, Default)]
pub struct Part<'x> {
    /// `type/subtype` in lower case; `text/plain` when there is no Content-Type.
    pub content_type: String,
    /// File name from Content-Disposition or Content-Type, decoded.
    pub name: Option<String>,
    /// `attachment`, `inline` or other, in lower case.
    pub disposition: Option<String>,
    /// `method` parameter of the Content-Type, in upper case (RFC 6047 §2.4).
    pub method: Option<String>,
    /// Header fields of the part. Those of the mail's root part are in
    /// [`Message::headers`], see [`Message::part_headers`]; those of a message inside the
    /// mail belong to its root part, the first child of the `message/rfc822` container.
    pub headers: Vec<Header<'x>>,
    /// Index of the parent in [`Message::parts`].
    pub parent: Option<usize>,
    /// Messages around this part: 0 for the mail itself, 1 inside a `message/rfc822`.
    pub message_depth: usize,
    /// The decoded content.
    pub body: Body<'x>,
    /// The content as it stands between header and boundary, transfer encoding and all;
    /// empty for containers. For who must read it in another way than [`Part::body`] does.
    pub encoded: Cow<'x, [u8]>,
}

/// Decoded content of a part.
#[derive(Debug, Default)]
pub enum Body<'x> {
    /// A multipart or message container.
    #[default]
    Container,
    /// `text/html`, decoded to UTF-8.
    Html(Cow<'x, str>),
    /// Any other text, decoded to UTF-8; calendar text is in [`CalendarPart::text`] only.
    Text(Cow<'x, str>),
    /// A calendar part: see [`Message::calendar_parts`].
    Calendar,
    /// Anything else, transfer encoding undone.
    Binary(Cow<'x, [u8]>),
}

/// A part that is, or claims to be, a calendar.
#[derive(Debug)]
pub struct CalendarPart<'x> {
    /// Index in [`Message::parts`].
    pub part: usize,
    /// What the content turned out to be.
    pub format: Format,
    /// Content as UTF-8, BOM removed, cut to the limit.
    pub text: Cow<'x, str>,
    /// True when the declared type is a calendar type (`text/calendar`, `application/ics` …).
    pub typed: bool,
    /// True when the file name ends in `.ics`, `.ical`, `.ifb` or `.vcs`.
    pub named: bool,
}

/// What a calendar part's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Nothing but white space.
    Empty,
    /// iCalendar (RFC 5545) or vCalendar 1.0.
    ICalendar,
    /// jCal (RFC 7265).
    JCal,
    /// JSCalendar (RFC 8984).
    JsCalendar,
    /// xCal (RFC 6321); recognised, its events are not read.
    XCal,
    /// Not a calendar at all.
    Other,
}

/// Takes a message apart.
///
/// `bare` says that the caller declared the bytes to be `text/calendar`; bytes that start
/// with `BEGIN:VCALENDAR` are taken as bare in any case.
pub fn parse<'x>(
    bytes: &'x [u8],
    bare: bool,
    envelope: &Envelope,
    settings: &Settings,
) -> Message<'x> {
    parts::parse(bytes, bare, envelope, settings)
}
