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
use std::ops::Range;

use crate::message::{CalendarPart, Defect, DefectKind, Format, Message};

mod content;
mod copies;
mod defects;
mod draft;
mod event;
mod jcal;
mod jscalendar;
mod json;
mod lines;
mod object;
mod property;
mod recurrence;
mod rule;
mod session;
mod survey;
#[cfg(test)]
mod tests;
mod time;
mod walk;

use copies::Texts;
use defects::Defects;
use session::Session;

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
    /// Recoverable errors of syntax, counted one by one.
    pub syntax_errors: usize,
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
    /// Unfolded content lines that hold `\\` pairs as written (calcard unescapes them), for UNC
    /// paths; those of ATTACH and IMAGE with any backslash in front, for file names. At most 100.
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
pub fn read(message: &Message<'_>, settings: &Settings, expired: &dyn Fn() -> bool) -> Reading {
    let mut session = Session::new(settings, expired);
    let mut reading = Reading::default();
    let mut texts = Texts::default();
    let several = message.calendar_parts.len() > 1;
    for (index, part) in message.calendar_parts.iter().enumerate() {
        if session.out_of_time() || session.stopped {
            break;
        }
        let Some(text) = text_of(part, &mut session.defects) else {
            continue;
        };
        let digest = if several { copies::digest(&text) } else { 0 };
        let before = reading.calendars.len();
        let earlier = |index: usize| {
            let part = message.calendar_parts.get(index)?;
            text_of(part, &mut Defects::default())
        };
        let copied = if several { texts.find(digest, &text, earlier) } else { None };
        match copied {
            Some(originals) => {
                let at = (index, part.part);
                copy(&text, at, originals, &mut reading, &mut session);
            }
            None => read_text(&text, index, part, &mut reading, &mut session),
        }
        texts.keep(digest, index, before..reading.calendars.len());
        session.calendars = reading.calendars.len();
        compare_method(message, part.part, &reading, before, &mut session.defects);
    }
    if several {
        copies::compare(&mut reading, message);
    }
    reading.defects = session.defects.into_list();
    let bad_values =
        reading.defects.iter().filter(|defect| defect.kind == DefectKind::BadValue).count();
    reading.syntax_errors = session.syntax_errors + bad_values;
    reading
}

/// The iCalendar text of a part, or `None` when it holds none.
fn text_of<'x>(part: &'x CalendarPart<'_>, defects: &mut Defects) -> Option<Cow<'x, str>> {
    let json = |convert: fn(&str) -> Option<String>, defects: &mut Defects| {
        let place = format!("part[{}]", part.part);
        if part.text.len() > json::MOST {
            defects.add(DefectKind::LimitText, place, "JSON");
            return None;
        }
        let text = convert(&part.text);
        if text.is_none() {
            defects.add(DefectKind::BadValue, place, "JSON that is no calendar");
        }
        text.map(Cow::Owned)
    };
    match part.format {
        Format::ICalendar => Some(lines::line_feeds(&part.text)),
        Format::JCal => json(jcal::read, defects),
        Format::JsCalendar => json(jscalendar::read, defects),
        Format::Empty | Format::XCal | Format::Other => None,
    }
}

/// Reads the calendars of one part.
fn read_text(
    text: &str,
    index: usize,
    part: &CalendarPart<'_>,
    reading: &mut Reading,
    session: &mut Session<'_>,
) {
    let objects = survey::survey(text, part.part, session);
    if objects.is_empty() && !session.stopped {
        let place = format!("part[{}]", part.part);
        session.defects.add(DefectKind::NotCalendar, place, "no VCALENDAR inside");
    }
    for mut object in objects {
        let first_event = reading.events.len();
        session.calendars = reading.calendars.len();
        let mut calendar = event::read(&mut object, index, &mut reading.events, session);
        calendar.backslash_lines = object.backslash_lines;
        for line in &mut calendar.backslash_lines {
            line.event = line.event.map(|event| first_event + event);
        }
        reading.calendars.push(calendar);
    }
}

/// Notes a part whose text was read before: its events get one more copy.
fn copy(
    text: &str,
    (index, part): (usize, usize),
    originals: Range<usize>,
    reading: &mut Reading,
    session: &mut Session<'_>,
) {
    let mut varying = copies::varying_values(text).into_iter();
    for original in originals {
        let Some(first) = reading.calendars.get(original) else {
            break;
        };
        // A copy costs little, but a thousand parts of a thousand calendars add up.
        if (0..=first.components).any(|_| session.count_component(part)) {
            break;
        }
        let (method, prodid) = varying.next().unwrap_or_default();
        let calendar = Calendar {
            part: index,
            method,
            prodid,
            version: first.version.clone(),
            calscale: first.calscale.clone(),
            components: first.components,
            timezones: first.timezones,
            observances: first.observances,
            depth: first.depth,
            copy_of: Some(first.copy_of.unwrap_or(original)),
            ..Calendar::default()
        };
        let original = first.copy_of.unwrap_or(original);
        let from = reading.events.partition_point(|event| event.calendar < original);
        let events = reading.events.iter_mut().skip(from);
        for event in events.take_while(|event| event.calendar == original) {
            event.copies.push(index);
        }
        reading.calendars.push(calendar);
    }
}

/// RFC 6047 §2.4: the part's `method` parameter must equal METHOD.
fn compare_method(
    message: &Message<'_>,
    part: usize,
    reading: &Reading,
    first: usize,
    defects: &mut Defects,
) {
    let Some(declared) = message.parts.get(part).and_then(|part| part.method.as_deref()) else {
        return;
    };
    let methods = reading.calendars.iter().skip(first).filter_map(|c| c.method.as_deref());
    for method in methods {
        if !method.eq_ignore_ascii_case(declared) {
            let detail = format!("{} in the calendar", content::cut(method, 20));
            defects.add(DefectKind::MethodMismatch, format!("part[{part}]"), detail);
        }
    }
}

impl Moment {
    /// RFC 3339 in UTC (`2026-12-01T10:00:00Z`), or the date alone.
    pub fn rfc3339(self) -> Option<String> {
        let time = chrono::DateTime::from_timestamp(self.timestamp, 0)?;
        let form = if self.date_only { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%SZ" };
        Some(time.format(form).to_string())
    }
}
