//! Finds parts of one message that hold the same object, and how they differ.
//!
//! Mail programs send an invitation as `text/calendar` and again as an attached file. A
//! calendar may take either, so a scanner must say when they are not the same.
//!
//! Not an error: copies that differ; both events stay and name the difference.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::hash::Hasher;

use memchr::memmem;

use crate::message::Message;

use super::lines::Lines;
use super::{Event, Property, Reading, Value};

/// Lines that may differ between copies.
const VARYING: [&str; 3] = ["METHOD", "DTSTAMP", "PRODID"];

/// Texts met so far, by the digest of what counts.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Part index and the calendars it gave.
    known: HashMap<u64, (usize, std::ops::Range<usize>)>,
}

impl Texts {
    /// The calendars an equal text has given before.
    pub(super) fn find<'x>(
        &self,
        digest: u64,
        text: &str,
        earlier: impl Fn(usize) -> Option<Cow<'x, str>>,
    ) -> Option<std::ops::Range<usize>> {
        let (part, calendars) = self.known.get(&digest)?;
        let other = earlier(*part)?;
        same(text, &other).then(|| calendars.clone())
    }

    pub(super) fn keep(&mut self, digest: u64, part: usize, calendars: std::ops::Range<usize>) {
        self.known.entry(digest).or_insert((part, calendars));
    }
}

/// Lines of a text that count.
fn lines(text: &str) -> impl Iterator<Item = super::lines::Line<'_>> {
    Lines::new(text).filter(|line| !line.raw.is_empty() && !varies(line.raw))
}

fn varies(raw: &str) -> bool {
    VARYING.iter().any(|name| {
        let (head, rest) = (raw.get(..name.len()), raw.as_bytes().get(name.len()));
        matches!(rest, Some(b':' | b';'))
            && head.is_some_and(|head| head.eq_ignore_ascii_case(name))
    })
}

/// A digest of what counts: folds and line ends do not.
pub(super) fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in lines(text) {
        hasher.write(line.unfolded().as_bytes());
        hasher.write_u8(b'\n');
    }
    hasher.finish()
}

fn same(one: &str, other: &str) -> bool {
    lines(one).map(|line| line.unfolded()).eq(lines(other).map(|line| line.unfolded()))
}

/// METHOD and PRODID of each VCALENDAR of a text that is not read again.
pub(super) fn varying_values(text: &str) -> Vec<(Option<String>, Option<String>)> {
    let mut found: Vec<(Option<String>, Option<String>)> = Vec::new();
    for line in Lines::new(text) {
        let raw = line.raw;
        let Some((head, value)) = raw.split_once(':') else {
            continue;
        };
        let name = head.split(';').next().unwrap_or_default();
        if name.eq_ignore_ascii_case("BEGIN") && value.trim().eq_ignore_ascii_case("VCALENDAR") {
            found.push((None, None));
        }
        let Some(last) = found.last_mut() else {
            continue;
        };
        let value = || Some(super::lines::unfold(value).trim().to_owned());
        if name.eq_ignore_ascii_case("METHOD") && last.0.is_none() {
            last.0 = value().map(|value| value.to_uppercase());
        } else if name.eq_ignore_ascii_case("PRODID") && last.1.is_none() {
            last.1 = value();
        }
    }
    found
}

/// Compares the events of different parts, merges equal ones and marks the others.
pub(super) fn compare(reading: &mut Reading, message: &Message<'_>) {
    let part_of = |event: &Event, reading: &Reading| {
        reading.calendars.get(event.calendar).map_or(0, |calendar| calendar.part)
    };
    let parts: Vec<usize> = reading.events.iter().map(|event| part_of(event, reading)).collect();
    if parts.first().is_none_or(|first| parts.iter().all(|part| part == first)) {
        return;
    }
    let merged = by_uid(reading, &parts);
    by_place(reading, &parts, &merged, message);
    remove(reading, &merged);
}

/// Events with one UID and RECURRENCE-ID; says which event each was merged into.
fn by_uid(reading: &mut Reading, parts: &[usize]) -> Vec<Option<usize>> {
    let mut first: HashMap<(String, Option<String>), usize> = HashMap::new();
    let mut merged = vec![None; reading.events.len()];
    for index in 0..reading.events.len() {
        let Some(event) = reading.events.get(index) else {
            break;
        };
        let Some(uid) = event.uid.as_deref().map(str::trim).filter(|uid| !uid.is_empty()) else {
            continue;
        };
        let earlier = match first.entry((uid.to_owned(), event.recurrence_id.clone())) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(free) => {
                free.insert(index);
                continue;
            }
        };
        let (Some(part), Some(other)) = (parts.get(index), reading.events.get(earlier)) else {
            continue;
        };
        if parts.get(earlier) == Some(part) {
            continue;
        }
        let names = differences(other, event);
        if names.is_empty()
            && let Some(slot) = merged.get_mut(index)
        {
            *slot = Some(earlier);
            let copies = event.copies.clone();
            if let Some(kept) = reading.events.get_mut(earlier) {
                add_copies(kept, std::iter::once(*part).chain(copies));
            }
            continue;
        }
        mark(reading, earlier, index, &names);
    }
    merged
}

fn add_copies(event: &mut Event, parts: impl Iterator<Item = usize>) {
    for part in parts {
        if !event.copies.contains(&part) {
            event.copies.push(part);
        }
    }
}

fn mark(reading: &mut Reading, one: usize, other: usize, names: &[&'static str]) {
    for index in [one, other] {
        let Some(event) = reading.events.get_mut(index) else {
            continue;
        };
        for name in names {
            if !event.differs.contains(name) {
                event.differs.push(name);
            }
        }
    }
}

/// Parts with one event each, one of them offered as an alternative to the mail's text and
/// one attached, claim to be the same invitation even when their UIDs differ.
fn by_place(
    reading: &mut Reading,
    parts: &[usize],
    merged: &[Option<usize>],
    message: &Message<'_>,
) {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for part in parts {
        *counts.entry(*part).or_default() += 1;
    }
    let lone: Vec<(usize, usize)> = parts
        .iter()
        .copied()
        .enumerate()
        .zip(merged)
        .filter(|((_, part), merged)| merged.is_none() && counts.get(part) == Some(&1))
        .map(|(place, _)| place)
        .collect();
    let alternative = |part: usize| {
        let calendar = message.calendar_parts.get(part)?;
        let parent = message.parts.get(calendar.part)?.parent?;
        Some(message.parts.get(parent)?.content_type == "multipart/alternative")
    };
    let is_alternative = |part: usize| alternative(part).unwrap_or(false);
    let Some((shown, shown_part)) = lone.iter().copied().find(|(_, part)| is_alternative(*part))
    else {
        return;
    };
    for (index, part) in lone {
        let (Some(one), Some(other)) = (reading.events.get(shown), reading.events.get(index))
        else {
            continue;
        };
        let same_uid = one.uid == other.uid && one.recurrence_id == other.recurrence_id;
        if part == shown_part || is_alternative(part) || same_uid {
            continue;
        }
        let mut names = differences(one, other);
        if one.uid != other.uid {
            names.insert(0, "UID");
        }
        mark(reading, shown, index, &names);
    }
}

/// Takes merged events out and puts the indexes right.
fn remove(reading: &mut Reading, merged: &[Option<usize>]) {
    if merged.iter().all(Option::is_none) {
        return;
    }
    let mut places: Vec<usize> = Vec::with_capacity(merged.len());
    let mut kept = 0;
    for into in merged {
        let place = into.and_then(|earlier| places.get(earlier).copied());
        places.push(place.unwrap_or(kept));
        kept += usize::from(place.is_none());
    }
    let mut flags = merged.iter();
    reading.events.retain(|_| flags.next().is_none_or(Option::is_none));
    for calendar in &mut reading.calendars {
        for line in &mut calendar.backslash_lines {
            line.event = line.event.and_then(|event| places.get(event).copied());
        }
    }
}

/// Names of the properties that a calendar would show differently.
fn differences(one: &Event, other: &Event) -> Vec<&'static str> {
    let mut names = Vec::new();
    let moment = |event: &Event| event.start.map(|start| (start.timestamp, start.date_only));
    if moment(one) != moment(other) {
        names.push("DTSTART");
    }
    let summary = |event: &Event| event.property("SUMMARY").and_then(Property::text).map(spaced);
    if summary(one).unwrap_or_default() != summary(other).unwrap_or_default() {
        names.push("SUMMARY");
    }
    let organizer = |event: &Event| {
        let organizer = event.organizers.first()?;
        Some(organizer.address.clone().unwrap_or_else(|| organizer.value.trim().to_lowercase()))
    };
    if organizer(one) != organizer(other) {
        names.push("ORGANIZER");
    }
    if links(one) != links(other) {
        names.push("URL");
    }
    names
}

/// Text with white space as a calendar shows it.
fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every http link of an event, sorted.
fn links(event: &Event) -> Vec<String> {
    let mut found = Vec::new();
    for property in &event.properties {
        if matches!(property.name.as_ref(), "ATTENDEE") {
            continue;
        }
        match &property.value {
            Value::Text(text) | Value::Uri(text) => links_of(text, &mut found),
            Value::Binary { .. } | Value::Other(_) => {}
        }
        for (_, text) in &property.parameters {
            links_of(text, &mut found);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn links_of(text: &str, found: &mut Vec<String>) {
    for at in memmem::find_iter(text.as_bytes(), b"://") {
        let before = text.get(..at).unwrap_or_default();
        let scheme = ["https", "http"].into_iter().find(|scheme| {
            before
                .get(before.len().saturating_sub(scheme.len())..)
                .is_some_and(|end| end.eq_ignore_ascii_case(scheme))
        });
        let Some(scheme) = scheme else { continue };
        let rest = text.get(at..).unwrap_or_default();
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | ')' | ']'))
            .unwrap_or(rest.len());
        let link = rest.get(..end).unwrap_or_default().trim_end_matches(['.', ',', ';', '!', '?']);
        let link = link.trim_end_matches('/').replace("&amp;", "&");
        found.push(format!("{scheme}{link}"));
    }
}
