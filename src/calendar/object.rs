//! What the survey hands on: one object per VCALENDAR, and notes on its events.

use std::borrow::Cow;

use super::{Kind, RawLine};

/// One VCALENDAR object, or a component that stands alone.
#[derive(Debug, Default)]
pub(super) struct Object<'x> {
    /// What calcard shall read.
    pub(super) text: Cow<'x, str>,
    /// Components of all kinds, those left out included.
    pub(super) components: usize,
    pub(super) timezones: usize,
    pub(super) observances: usize,
    /// Deepest nesting met.
    pub(super) depth: usize,
    /// Events in the order of their BEGIN lines.
    pub(super) events: Vec<Notes>,
    /// [`RawLine::event`] indexes [`Self::events`] here.
    pub(super) backslash_lines: Vec<RawLine>,
}

/// What the raw lines say of one event.
#[derive(Debug)]
pub(super) struct Notes {
    pub(super) kind: Kind,
    pub(super) ordinal: usize,
    /// ATTENDEE lines, those left out included.
    pub(super) attendees: usize,
    /// RRULE values as written, up to `MOST_RULES`.
    pub(super) rules: Vec<String>,
    /// RRULE lines.
    pub(super) rule_count: usize,
    /// RDATE values that were left out.
    pub(super) dates_left_out: usize,
}

/// Kinds of inner components that are numbered apart.
pub(super) const CLASSES: usize = 8;

/// Which counter numbers a component of that name among its siblings.
pub(super) fn class(name: &str) -> usize {
    match name {
        "VALARM" => 0,
        "VTIMEZONE" => 1,
        "STANDARD" => 2,
        "DAYLIGHT" => 3,
        "PARTICIPANT" => 4,
        "VLOCATION" => 5,
        "VRESOURCE" => 6,
        _ => CLASSES - 1,
    }
}

/// The kind of event a component name stands for.
pub(super) fn kind(name: &str) -> Option<Kind> {
    [Kind::Event, Kind::Todo, Kind::Journal, Kind::FreeBusy]
        .into_iter()
        .find(|kind| kind.name() == name)
}
