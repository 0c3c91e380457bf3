//! Whole readings: what goes in as text, what comes out as events and defects.

mod copies;
mod events;
mod hostile;
mod recurrences;
mod structure;
mod values;

use super::{Event, Reading, Settings, read};
use crate::message::{CalendarPart, DefectKind, Format, Message, Part};

/// A calendar part with that text.
fn part(text: &str) -> CalendarPart<'_> {
    CalendarPart { part: 0, format: Format::ICalendar, text: text.into(), typed: true, named: true }
}

/// Reads one part under the given limits.
fn read_with(text: &str, settings: &Settings) -> Reading {
    let message = Message { calendar_parts: vec![part(text)], ..Message::default() };
    read(&message, settings, &|| false)
}

/// Reads one part.
fn read_text(text: &str) -> Reading {
    read_with(text, &Settings::default())
}

/// A calendar with one event of these lines.
fn calendar(lines: &str) -> String {
    let lines = lines.trim_end_matches(['\r', '\n']);
    format!("BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n")
}

/// Reads an event of these lines.
fn event(lines: &str) -> Event {
    let mut reading = read_text(&calendar(lines));
    assert_eq!(reading.events.len(), 1, "{lines}");
    reading.events.remove(0)
}

/// Kinds and places of the defects.
fn defects(reading: &Reading) -> Vec<(DefectKind, &str)> {
    reading.defects.iter().map(|defect| (defect.kind, defect.place.as_str())).collect()
}

/// A MIME part of that type inside another.
fn mime(content_type: &str, parent: Option<usize>) -> Part<'static> {
    Part { content_type: content_type.to_owned(), parent, ..Part::default() }
}
