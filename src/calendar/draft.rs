//! An event under construction: properties come in one by one, an [`Event`] goes out.
//!
//! Not an error: missing, repeated or absurd properties; of repeated ones the first counts.

use std::fmt::Write as _;

use calcard::icalendar::{ICalendarEntry, ICalendarProperty, ICalendarValue};

use crate::message::DefectKind;

use super::object::{self, CLASSES, Notes};
use super::property;
use super::recurrence::{self, Dates};
use super::time::{self, Local, Zones};
use super::{Event, Kind, Moment, Property, Session, Value};

/// RDATE and EXDATE values kept per event; more are counted.
const MOST_DATES: usize = 10_000;

/// Where a component's properties go.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Slot {
    /// The event it is or belongs to.
    pub(super) event: Option<usize>,
    /// Index in [`Event::components`]: the parent's until the component is read.
    pub(super) within: usize,
    pub(super) alarm: Option<usize>,
    pub(super) participant: bool,
    /// VTIMEZONE and what is in it: noise, apart from what can hold a link.
    pub(super) zone: bool,
}

/// An event under construction.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) event: Event,
    notes: Option<Notes>,
    start: Option<Local>,
    end: Option<Local>,
    due: Option<Local>,
    duration: Option<i64>,
    has_end: bool,
    dates: Dates,
    rules: usize,
    /// Counters of inner components, one row per entry of [`Event::components`].
    children: Vec<[usize; CLASSES]>,
    /// Index of the first property of each single kind.
    singles: [Option<usize>; SINGLES.len()],
}

/// Properties that may stand once in an event.
const SINGLES: [&str; 20] = [
    "UID",
    "DTSTART",
    "DTEND",
    "DUE",
    "DURATION",
    "SUMMARY",
    "DESCRIPTION",
    "LOCATION",
    "ORGANIZER",
    "STATUS",
    "TRANSP",
    "SEQUENCE",
    "DTSTAMP",
    "CLASS",
    "CREATED",
    "GEO",
    "LAST-MODIFIED",
    "PRIORITY",
    "RECURRENCE-ID",
    "URL",
];

/// The text of a value that is not binary.
pub(super) fn shown(property: &Property) -> &str {
    match &property.value {
        Value::Text(text) | Value::Uri(text) | Value::Other(text) => text,
        Value::Binary { .. } => "",
    }
}

impl Draft {
    /// Starts an event of that kind with what the survey noted.
    pub(super) fn new(
        kind: Kind,
        ordinal: usize,
        calendar: usize,
        notes: Option<Notes>,
        properties: usize,
    ) -> Self {
        let event = Event {
            calendar,
            kind,
            ordinal,
            attendee_count: notes.as_ref().map_or(0, |notes| notes.attendees),
            components: vec![format!("{}[{ordinal}]", kind.name())],
            properties: Vec::with_capacity(properties + 4),
            ..Event::default()
        };
        Self { event, notes, children: vec![[0; CLASSES]], ..Self::default() }
    }

    /// Adds an inner component and returns its index.
    pub(super) fn open(&mut self, parent: usize, name: &str) -> usize {
        let counter = self
            .children
            .get_mut(parent)
            .and_then(|counters| counters.get_mut(object::class(name)));
        let ordinal = counter.map_or(0, |counter| {
            *counter += 1;
            *counter - 1
        });
        let mut path = self.event.components.get(parent).cloned().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = write!(path, ".{name}[{ordinal}]");
        self.event.components.push(path);
        self.children.push([0; CLASSES]);
        self.event.components.len() - 1
    }

    /// Reads one property.
    pub(super) fn entry(
        &mut self,
        slot: Slot,
        entry: ICalendarEntry,
        zones: &mut Zones,
        session: &mut Session<'_>,
    ) {
        let own = slot.within == 0;
        if own {
            self.dates(&entry, zones, session);
        }
        let known = self.event.properties.len();
        property::push(entry, slot.within, &mut self.event.properties);
        if let Some(index) = slot.alarm {
            self.alarm(index, known);
        } else if slot.participant {
            let address = self.event.properties.get(known);
            if address.is_some_and(|property| property.name == "CALENDAR-ADDRESS") {
                self.event.attendee_count += 1;
                self.attendee(known, session.settings.attendees);
            }
        } else if own {
            self.field(known, session);
        }
    }

    /// Fills the event's field that belongs to a property of its own.
    fn field(&mut self, known: usize, session: &mut Session<'_>) {
        let Some(property) = self.event.properties.get(known) else {
            return;
        };
        let word = || Some(shown(property).trim().to_uppercase());
        match property.name.as_ref() {
            "UID" if self.event.uid.is_none() => {
                self.event.uid = Some(shown(property).to_owned());
            }
            "SEQUENCE" if self.event.sequence.is_none() => {
                self.event.sequence = shown(property).trim().parse().ok();
            }
            "STATUS" if self.event.status.is_none() => self.event.status = word(),
            "TRANSP" if self.event.transparency.is_none() => self.event.transparency = word(),
            "X-MICROSOFT-CDO-BUSYSTATUS" if self.event.busy_status.is_none() => {
                self.event.busy_status = word();
            }
            "ORGANIZER" if self.event.organizers.len() < session.settings.attendees => {
                self.event.organizers.push(property::party(property));
            }
            "ATTENDEE" => {
                self.attendee(known, session.settings.attendees);
                return;
            }
            "RRULE" if !shown(property).trim().is_empty() => {
                // Calcard's rule has lost what did not fit; the text as written has not.
                let rule = self.notes.as_ref().and_then(|notes| notes.rules.get(self.rules));
                self.rules += 1;
                if let Some(rule) = rule.cloned()
                    && let Some(property) = self.event.properties.get_mut(known)
                {
                    property.value = Value::Other(rule);
                }
                return;
            }
            _ => {}
        }
        self.check_single(known, session);
    }

    fn attendee(&mut self, known: usize, limit: usize) {
        if self.event.attendees.len() < limit
            && let Some(property) = self.event.properties.get(known)
        {
            self.event.attendees.push(property::party(property));
        }
    }

    /// Notes a single property that is repeated with another value.
    fn check_single(&mut self, known: usize, session: &mut Session<'_>) {
        let Some(property) = self.event.properties.get(known) else {
            return;
        };
        let Some(at) = SINGLES.iter().position(|name| *name == property.name) else {
            return;
        };
        // RFC 5545 §3.6.3: a journal may have many descriptions.
        if self.event.kind == Kind::Journal && property.name == "DESCRIPTION" {
            return;
        }
        let Some(first) = self.singles.get_mut(at) else {
            return;
        };
        let Some(first) = *first else {
            *first = Some(known);
            return;
        };
        let same =
            self.event.properties.get(first).is_some_and(|first| first.value == property.value);
        let name = SINGLES.get(at).copied().unwrap_or_default();
        if !same && !self.event.duplicated.contains(&name) {
            self.event.duplicated.push(name);
            let place = self.event.place(property);
            session.defects.add(DefectKind::DuplicateProperty, place, "the first value counts");
        }
    }

    fn alarm(&mut self, index: usize, known: usize) {
        let Some(property) = self.event.properties.get(known) else {
            return;
        };
        let Some(alarm) = self.event.alarms.get_mut(index) else {
            return;
        };
        match property.name.as_ref() {
            "ACTION" if alarm.action.is_none() => {
                alarm.action = Some(shown(property).trim().to_uppercase());
            }
            "REPEAT" => {
                // A negative or absurd number repeats nothing, or for ever.
                let repeat: i64 = shown(property).trim().parse().unwrap_or(0);
                alarm.repeat = u32::try_from(repeat.max(0)).unwrap_or(u32::MAX);
            }
            "ATTACH" => {
                if let Some(text) = property.text() {
                    alarm.attachments.push(text.to_owned());
                }
            }
            "ATTENDEE" => {
                if let Some(address) = property::party(property).address {
                    alarm.attendees.push(address);
                }
            }
            _ => {}
        }
    }

    /// Reads the dates of an entry before it becomes text.
    fn dates(&mut self, entry: &ICalendarEntry, zones: &mut Zones, session: &mut Session<'_>) {
        let name = &entry.name;
        let has_dates = matches!(
            name,
            ICalendarProperty::Dtstart
                | ICalendarProperty::Dtend
                | ICalendarProperty::Due
                | ICalendarProperty::Dtstamp
                | ICalendarProperty::RecurrenceId
                | ICalendarProperty::Rdate
                | ICalendarProperty::Exdate
                | ICalendarProperty::Duration
        );
        if !has_dates {
            return;
        }
        let zone = time::zone_of(&entry.params, zones);
        let read = |value: &ICalendarValue| {
            if let ICalendarValue::Period(period) = value {
                time::local(time::period_start(period), zone)
            } else {
                time::local(value.as_partial_date_time()?, zone)
            }
        };
        let mut bad = entry.values.is_empty();
        let first = entry.values.first();
        if *name == ICalendarProperty::Duration {
            self.has_end = true;
            match first {
                Some(ICalendarValue::Duration(duration)) => {
                    self.duration.get_or_insert(duration.as_seconds());
                }
                _ => bad = true,
            }
        } else if *name == ICalendarProperty::Rdate || *name == ICalendarProperty::Exdate {
            let added = *name == ICalendarProperty::Rdate;
            let Dates { added: to_add, removed, added_count, removed_count } = &mut self.dates;
            let (list, count) =
                if added { (to_add, added_count) } else { (removed, removed_count) };
            *count += entry.values.len();
            for value in &entry.values {
                match read(value) {
                    Some(local) if list.len() < MOST_DATES => list.push(local.moment.timestamp),
                    Some(_) => {}
                    None => bad = true,
                }
            }
        } else {
            let local = first.and_then(read);
            bad |= local.is_none();
            self.date(name, first, local);
        }
        if bad {
            let place = self.event.components.first().cloned().unwrap_or_default();
            let place = format!("{place}.{}", name.as_str());
            session.defects.add(DefectKind::BadValue, place, "no date or duration");
        }
    }

    /// Keeps a date in its field; of several the first counts.
    fn date(
        &mut self,
        name: &ICalendarProperty,
        written: Option<&ICalendarValue>,
        local: Option<Local>,
    ) {
        if *name == ICalendarProperty::Dtstart {
            self.start = self.start.or(local);
        } else if *name == ICalendarProperty::Dtend {
            self.has_end = true;
            self.end = self.end.or(local);
        } else if *name == ICalendarProperty::Due {
            self.has_end = true;
            self.due = self.due.or(local);
        } else if *name == ICalendarProperty::Dtstamp {
            let stamp = local.map(|local| local.moment.timestamp);
            self.event.dtstamp = self.event.dtstamp.or(stamp);
        } else if self.event.recurrence_id.is_none() {
            self.event.recurrence_id = match written {
                Some(ICalendarValue::PartialDateTime(date)) => Some(time::written(date)),
                Some(ICalendarValue::Text(text)) => Some(text.clone()),
                _ => None,
            };
        }
    }
}

/// Completes an event once all its properties are known.
pub(super) fn finish(draft: Draft, session: &mut Session<'_>) -> Event {
    let Draft { mut event, notes, start, end, due, duration, has_end, mut dates, .. } = draft;
    let start = if event.kind == Kind::Todo { start.or(due) } else { start };
    event.start = start.map(|start| start.moment);
    event.end_missing = !has_end;
    event.end = end.or(due).map(|end| end.moment).or_else(|| {
        let start = event.start?;
        Some(Moment { timestamp: start.timestamp.checked_add(duration?)?, ..start })
    });
    if let Some(notes) = &notes {
        dates.added_count += notes.dates_left_out;
    }
    if session.out_of_time() {
        session.work.exhaust();
    }
    let limit = session.settings.instances;
    let (recurrence, trouble) = recurrence::expand(notes, start, dates, limit, &mut session.work);
    event.recurrence = recurrence;
    let place = || format!("{}.RRULE", event.components.first().map_or("", String::as_str));
    if trouble.bad_rule {
        session.defects.add(DefectKind::BadValue, place(), "no recurrence rule");
    }
    if trouble.given_up {
        session.defects.add(DefectKind::LimitRecurrence, place(), "an upper bound is given");
    }
    event
}
