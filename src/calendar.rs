//! Reads every calendar part of a message into [`Event`]s, as the recipient's calendar
//! would show them.
//!
//! Comes in: a [`Message`] with its calendar parts and the time of the scan.
//! Goes out: a [`Reading`]: calendars, events and defects.
//! Not an error: broken, hostile or absurd calendars. What cannot be understood becomes a
//! [`Defect`] beside the events; a limit that is hit cuts the input and says so. Copies of
//! one object in several parts are compared and kept once ([`Event::copies`]).
//!
//! The only module that knows calcard.

use std::borrow::Cow;

use crate::message::{Defect, Message};

/// Limits of this stage. RFC 4791 §5.2 calls them max-resource-size and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Components read per message.
    pub components: usize,
    /// Nesting of components read; RFC 9073/9074 need 4.
    pub depth: usize,
    /// Attendees read per message.
    pub attendees: usize,
    /// Octets of one unfolded content line; longer ones are cut.
    pub line: usize,
    /// Instances of one recurrence looked at.
    pub instances: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            components: 5_000,
            depth: 16,
            attendees: 10_000,
            line: 2 * 1024 * 1024,
            instances: 1_000,
        }
    }
}

/// Everything the calendar parts of one message hold.
#[derive(Debug, Default)]
pub struct Reading {
    /// One per VCALENDAR object (identical copies included, events only once).
    pub calendars: Vec<Calendar>,
    /// All events, in order of appearance; copies are merged.
    pub events: Vec<Event>,
    /// What was wrong.
    pub defects: Vec<Defect>,
}

/// One VCALENDAR object.
#[derive(Debug, Default)]
pub struct Calendar {
    /// Index in `Message::calendar_parts`.
    pub part: usize,
    /// METHOD, upper case.
    pub method: Option<String>,
    /// PRODID.
    pub prodid: Option<String>,
    /// VERSION.
    pub version: Option<String>,
    /// CALSCALE, upper case.
    pub calscale: Option<String>,
    /// All properties of the VCALENDAR itself (NAME, X-WR-CALNAME, SOURCE, IMAGE …).
    pub properties: Vec<Property>,
    /// Components of all kinds inside.
    pub components: usize,
    /// VTIMEZONE components.
    pub timezones: usize,
    /// STANDARD and DAYLIGHT components.
    pub observances: usize,
    /// Deepest nesting met; VCALENDAR alone is 1.
    pub depth: usize,
    /// True when an earlier calendar of the message is the same octet by octet apart from
    /// METHOD, DTSTAMP and line ends: its events were not read again.
    pub copy_of: Option<usize>,
    /// Unfolded content lines that hold `\\` pairs as written (calcard unescapes them):
    /// for UNC paths. At most 100.
    pub backslash_lines: Vec<RawLine>,
}

/// A content line as written, unfolded, not unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawLine {
    /// Index of the event in [`Reading::events`], if it belongs to one.
    pub event: Option<usize>,
    /// `VEVENT[0].DESCRIPTION`.
    pub place: String,
    /// Property name, upper case.
    pub name: String,
    /// Parameters and value as written, cut to 4 KiB.
    pub rest: String,
}

/// VEVENT, VTODO, VJOURNAL or VFREEBUSY.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// An event.
    #[default]
    Event,
    /// A task.
    Todo,
    /// A journal entry.
    Journal,
    /// Free/busy time.
    FreeBusy,
}

impl Kind {
    /// `VEVENT` and so on.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "VEVENT",
            Self::Todo => "VTODO",
            Self::Journal => "VJOURNAL",
            Self::FreeBusy => "VFREEBUSY",
        }
    }
}

/// One event as the recipient's calendar would show it.
#[derive(Debug, Default)]
pub struct Event {
    /// Index in [`Reading::calendars`].
    pub calendar: usize,
    /// Which component.
    pub kind: Kind,
    /// Ordinal among the components of its kind in the message: the 0 of `VEVENT[0]`.
    pub ordinal: usize,
    /// UID; `None` when missing, `Some("")` when empty.
    pub uid: Option<String>,
    /// RECURRENCE-ID as written.
    pub recurrence_id: Option<String>,
    /// SEQUENCE.
    pub sequence: Option<i64>,
    /// DTSTAMP, seconds since 1970 UTC.
    pub dtstamp: Option<i64>,
    /// DTSTART (or DUE for a VTODO without it).
    pub start: Option<Moment>,
    /// DTEND or DUE, or DTSTART + DURATION.
    pub end: Option<Moment>,
    /// True when neither DTEND, DUE nor DURATION stands there.
    pub end_missing: bool,
    /// STATUS, upper case.
    pub status: Option<String>,
    /// TRANSP, upper case.
    pub transparency: Option<String>,
    /// X-MICROSOFT-CDO-BUSYSTATUS, upper case.
    pub busy_status: Option<String>,
    /// ORGANIZER, every one of them (more than one is abuse).
    pub organizers: Vec<Party>,
    /// ATTENDEE and PARTICIPANT, up to the limit.
    pub attendees: Vec<Party>,
    /// Attendees counted, also those past the limit.
    pub attendee_count: usize,
    /// Every property of the event and of the components inside it, in order.
    pub properties: Vec<Property>,
    /// Paths of the components inside, `["VEVENT[0]", "VEVENT[0].VALARM[0]"]`;
    /// [`Property::within`] indexes it.
    pub components: Vec<String>,
    /// Alarms (VALARM).
    pub alarms: Vec<Alarm>,
    /// How often it happens.
    pub recurrence: Recurrence,
    /// Names of single properties that stand more than once with other values.
    pub duplicated: Vec<&'static str>,
    /// Other parts of the message that hold the same object: indexes in
    /// `Message::calendar_parts`.
    pub copies: Vec<usize>,
    /// Property names in which a copy differs (UID, DTSTART, SUMMARY, ORGANIZER, URL).
    pub differs: Vec<&'static str>,
}

/// A point in time as a calendar shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    /// Seconds since 1970 UTC; floating times are taken as UTC.
    pub timestamp: i64,
    /// True for VALUE=DATE.
    pub date_only: bool,
    /// Seconds field of the written time, 0 to 60.
    pub second: u8,
}

/// ORGANIZER, ATTENDEE or PARTICIPANT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// The value as written (`mailto:a@example.com`, `invalid:nomail`).
    pub value: String,
    /// Mail address in lower case, if the value or EMAIL= holds a usable one.
    pub address: Option<String>,
    /// CN, RFC 6868 decoded.
    pub name: Option<String>,
    /// SENT-BY address, lower case, without `mailto:`.
    pub sent_by: Option<String>,
    /// EMAIL parameter (RFC 7986 §6.2), lower case.
    pub email: Option<String>,
    /// DIR parameter.
    pub directory: Option<String>,
    /// PARTSTAT, upper case.
    pub status: Option<String>,
    /// ROLE, upper case.
    pub role: Option<String>,
    /// CUTYPE, upper case.
    pub user_type: Option<String>,
}

/// One property, value decoded.
#[derive(Debug, Clone)]
pub struct Property {
    /// Name in upper case.
    pub name: Cow<'static, str>,
    /// Index in [`Event::components`]; 0 for the event itself (and for a calendar's own).
    pub within: usize,
    /// Parameters, names upper case, values RFC 6868 decoded.
    pub parameters: Vec<(Cow<'static, str>, String)>,
    /// The value.
    pub value: Value,
}

/// A property's value.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text, unescaped. Several values of one property are several properties.
    Text(String),
    /// A URI or calendar address as written.
    Uri(String),
    /// Inline content (`VALUE=BINARY` or a `data:` URI).
    Binary {
        /// FMTTYPE or the data URI's type, lower case.
        media_type: Option<String>,
        /// Decoded octets.
        data: Vec<u8>,
    },
    /// Dates, numbers, rules: their text as calcard or the line gives it.
    Other(String),
}

impl Property {
    /// The parameter's value.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Text of text and URI values.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(t) | Value::Uri(t) => Some(t),
            Value::Binary { .. } | Value::Other(_) => None,
        }
    }
}

/// One VALARM (RFC 5545 §3.6.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Alarm {
    /// ACTION, upper case.
    pub action: Option<String>,
    /// REPEAT: rings again so many times.
    pub repeat: u32,
    /// ATTACH values as written.
    pub attachments: Vec<String>,
    /// ATTENDEE addresses of EMAIL alarms.
    pub attendees: Vec<String>,
    /// Index in [`Event::components`].
    pub within: usize,
}

/// What the recurrence rules come to, within a bounded horizon.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recurrence {
    /// RRULE texts as written.
    pub rules: Vec<String>,
    /// FREQ of the first rule, upper case.
    pub frequency: Option<String>,
    /// True when a rule has neither COUNT nor UNTIL.
    pub endless: bool,
    /// Instances in the first 366 days from the first one; 1 without recurrence.
    pub instances: u64,
    /// True when [`Self::instances`] is an upper bound, not a count.
    pub estimated: bool,
    /// Start of the first instance, seconds since 1970.
    pub first: Option<i64>,
    /// Start of the last instance, if the recurrence ends.
    pub last: Option<i64>,
    /// RDATE values.
    pub dates: usize,
    /// EXDATE values.
    pub exceptions: usize,
    /// COUNT of the first rule.
    pub count: Option<u64>,
    /// Product of the lengths of all BY lists of a rule (the largest).
    pub by_product: u64,
    /// INTERVAL=0, FREQ=SECONDLY, or another form made to hurt: says which.
    pub abusive: Vec<&'static str>,
}

impl Event {
    /// Notifications a calendar would show in the first year: instances × alarms × (REPEAT + 1).
    pub fn notifications(&self) -> u64 {
        self.alarms
            .iter()
            .map(|a| self.recurrence.instances.saturating_mul(u64::from(a.repeat) + 1))
            .fold(0, u64::saturating_add)
    }

    /// First property of that name of the event itself.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|p| p.within == 0 && p.name == name)
    }

    /// `VEVENT[0].NAME` of a property.
    pub fn place(&self, property: &Property) -> String {
        let component = self.components.get(property.within).map_or("", String::as_str);
        format!("{component}.{}", property.name)
    }
}

/// Reads the calendar parts of a message.
///
/// `expired` is asked between components and stops the work when
/// it answers true (the scan's time budget).
pub fn read(_message: &Message<'_>, _settings: &Settings, _expired: &dyn Fn() -> bool) -> Reading {
    todo!()
}
