//! Turns calcard's components into [`Event`]s and the calendar around them.
//!
//! Comes in: one [`Object`] of the survey.
//! Goes out: a [`Calendar`] and its events, in the order of their BEGIN lines.
//! Not an error: missing, repeated or absurd properties; they are read as far as they go.

use std::vec::IntoIter;

use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarProperty,
};
use calcard::{Entry, Parser};

use crate::message::DefectKind;

use super::draft::{Draft, Slot, finish, shown};
use super::object::{self, Notes, Object};
use super::property;
use super::time::Zones;
use super::{Alarm, Calendar, Event, Session};

/// Reads one object; its events are appended to the list.
pub(super) fn read(
    object: &mut Object<'_>,
    part: usize,
    events: &mut Vec<Event>,
    session: &mut Session<'_>,
) -> Calendar {
    let mut calendar = Calendar {
        part,
        components: object.components,
        timezones: object.timezones,
        observances: object.observances,
        depth: object.depth,
        ..Calendar::default()
    };
    let Entry::ICalendar(ICalendar { components }) = Parser::new(&object.text).entry() else {
        return calendar;
    };
    let mut reader = Reader {
        calendar: &mut calendar,
        drafts: Vec::with_capacity(object.events.len()),
        notes: std::mem::take(&mut object.events).into_iter(),
        slots: vec![Slot::default(); components.len()],
        zones: Zones::read(&components),
        session,
    };
    for (index, component) in components.into_iter().enumerate() {
        if index % 16 == 0 && reader.session.out_of_time() {
            break;
        }
        reader.component(index, component);
    }
    let Reader { drafts, session, .. } = reader;
    for draft in drafts {
        let event = finish(draft, session);
        events.push(event);
    }
    calendar
}

struct Reader<'c, 's, 'a> {
    calendar: &'c mut Calendar,
    drafts: Vec<Draft>,
    notes: IntoIter<Notes>,
    slots: Vec<Slot>,
    zones: Zones,
    session: &'s mut Session<'a>,
}

impl Reader<'_, '_, '_> {
    /// Reads a component whose parent has been read before.
    fn component(&mut self, index: usize, component: ICalendarComponent) {
        let ICalendarComponent { component_type, entries, component_ids } = component;
        let mut slot = self.slots.get(index).copied().unwrap_or_default();
        let name = component_type.as_str().to_ascii_uppercase();
        if let Some(kind) = object::kind(&name) {
            slot = Slot { event: Some(self.drafts.len()), ..Slot::default() };
            let notes = self.notes.next().filter(|notes| notes.kind == kind);
            let ordinal =
                notes.as_ref().map_or_else(|| self.session.next_ordinal(kind), |n| n.ordinal);
            let calendar = self.session.calendars;
            self.drafts.push(Draft::new(kind, ordinal, calendar, notes, entries.len()));
        } else if let Some(draft) = slot.event.and_then(|at| self.drafts.get_mut(at)) {
            slot.within = draft.open(slot.within, &name);
            if component_type == ICalendarComponentType::VAlarm {
                slot.alarm = Some(draft.event.alarms.len());
                draft.event.alarms.push(Alarm { within: slot.within, ..Alarm::default() });
            }
            slot.participant = component_type == ICalendarComponentType::Participant;
        } else {
            slot.zone |= component_type == ICalendarComponentType::VTimezone;
        }
        for child in component_ids {
            let child = usize::try_from(child).ok().and_then(|child| self.slots.get_mut(child));
            if let Some(child) = child {
                *child = Slot { alarm: None, participant: false, ..slot };
            }
        }
        match slot.event.and_then(|at| self.drafts.get_mut(at)) {
            Some(draft) => {
                for entry in entries {
                    draft.entry(slot, entry, &mut self.zones, self.session);
                }
            }
            None => self.calendar_entries(slot, entries),
        }
    }

    /// Properties of the calendar itself and of what stands beside the events.
    fn calendar_entries(&mut self, slot: Slot, entries: Vec<ICalendarEntry>) {
        for entry in entries {
            if slot.zone && !is_wanted_of_zone(&entry.name) {
                continue;
            }
            let known = self.calendar.properties.len();
            property::push(entry, 0, &mut self.calendar.properties);
            if let Some(added) = self.calendar.properties.get(known).filter(|_| !slot.zone) {
                let (name, text) = (added.name.clone(), shown(added).trim().to_owned());
                self.calendar_field(&name, text);
            }
        }
    }

    fn calendar_field(&mut self, name: &str, text: String) {
        let field = match name {
            "METHOD" => &mut self.calendar.method,
            "PRODID" => &mut self.calendar.prodid,
            "VERSION" => &mut self.calendar.version,
            "CALSCALE" => &mut self.calendar.calscale,
            _ => return,
        };
        let text = if matches!(name, "METHOD" | "CALSCALE") { text.to_uppercase() } else { text };
        if field.as_ref().is_some_and(|first| *first != text) {
            let place = format!("VCALENDAR[{}].{name}", self.session.calendars);
            let detail = "the first value counts";
            self.session.defects.add(DefectKind::DuplicateProperty, place, detail);
        }
        field.get_or_insert(text);
    }
}

/// Of a VTIMEZONE only what could carry a message is kept.
fn is_wanted_of_zone(name: &ICalendarProperty) -> bool {
    if let ICalendarProperty::Other(name) = name {
        return !name.eq_ignore_ascii_case("X-LIC-LOCATION");
    }
    matches!(
        name,
        ICalendarProperty::Tzurl
            | ICalendarProperty::Comment
            | ICalendarProperty::Attach
            | ICalendarProperty::Url
    )
}
