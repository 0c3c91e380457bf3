//! Facts about the form of the message and of its calendars, not what they say.

use std::collections::BTreeMap;

use memchr::memmem;

use super::answers::{count, float, known, number};
use super::gather::EventFacts;
use super::{Answer, Datum, Facts, Origin, Place, Value};
use crate::calendar::Value as PropertyValue;
use crate::message::{Body, DefectKind};

/// Octets of a line before its fold that generators do not fall below.
const SHORT_LINE: usize = 40;

/// Whether two calendar parts under one `multipart/alternative` hold different objects.
pub(super) fn alternatives_differ<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let parent = |at: usize| {
        let part = f.message.parts.get(f.message.calendar_parts.get(at)?.part)?;
        let parent = part.parent?;
        let holder = f.message.parts.get(parent)?;
        (holder.content_type == "multipart/alternative").then_some(parent)
    };
    // Events of each such part, those that were merged into another part's included.
    let mut contents: BTreeMap<usize, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    for (index, event) in f.reading.events.iter().enumerate() {
        let own = f.reading.calendars.get(event.calendar).map(|calendar| calendar.part);
        for part in event.copies.iter().copied().chain(own) {
            if let Some(parent) = parent(part) {
                contents.entry(parent).or_default().entry(part).or_default().push(index);
            }
        }
    }
    let differ = contents.values().any(|parts| {
        let mut sets = parts.values();
        let first = sets.next();
        sets.any(|set| Some(set) != first)
    });
    known([Datum::new(Value::Flag(differ), Place::Name("multipart/alternative"), Origin::Calendar)])
}

/// The tree that CC/R 18003 recommends: text to read, the calendar as its alternative or beside
/// it with the same method in both places, nothing wrong anywhere.
pub(super) fn is_best<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    super::answers::mail(f, || {
        let readable = f.message.parts.iter().any(|part| match &part.body {
            Body::Text(text) | Body::Html(text) => !text.trim().is_empty(),
            Body::Container | Body::Calendar | Body::Binary(_) => false,
        });
        let typed = f.message.calendar_parts.iter().any(|part| {
            part.typed && f.message.parts.get(part.part).is_some_and(|part| part.method.is_some())
        });
        let harmless = |kind: DefectKind| {
            matches!(kind, DefectKind::BadCharset | DefectKind::Truncated | DefectKind::NoHeaders)
        };
        let mut defects = f.message.defects.iter().chain(&f.reading.defects);
        let clean = defects.all(|defect| harmless(defect.kind));
        let same = f.reading.events.iter().all(|event| event.differs.is_empty());
        let best = readable && typed && clean && same && f.reading.events.len() == 1;
        vec![Datum::new(Value::Flag(best), Place::Name("message"), Origin::Mail)]
    })
}

/// VCALENDAR objects in the part that has most of them.
pub(super) fn objects_of_a_part<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for calendar in &f.reading.calendars {
        *counts.entry(calendar.part).or_default() += 1;
    }
    count(counts.values().copied().max().unwrap_or(0), Origin::Calendar)
}

/// Folds inside a word behind a line that had no need of one.
pub(super) fn short_folds<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let mut folds = 0;
    for part in &f.message.calendar_parts {
        let bytes = part.text.as_bytes();
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes) {
            let line = bytes.get(start..end).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            start = end + 1;
            let next = bytes.get(start..start + 2).unwrap_or_default();
            let inside = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
            if matches!(next.first(), Some(b' ' | b'\t'))
                && inside(next.get(1))
                && inside(line.last())
                && line.len() < SHORT_LINE
            {
                folds += 1;
            }
        }
    }
    count(folds, Origin::Calendar)
}

/// A STANDARD or DAYLIGHT that says in terms of which time zone it defines the time zone.
pub(super) fn zone_of_itself<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let looks = |text: &str| {
        let lower = |line: &str, start: &str| {
            line.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
        };
        if memmem::find(text.as_bytes(), b"TZID=").is_none() {
            return false;
        }
        let mut inside = false;
        text.lines().any(|line| {
            if lower(line, "BEGIN:STANDARD") || lower(line, "BEGIN:DAYLIGHT") {
                inside = true;
            } else if lower(line, "END:STANDARD") || lower(line, "END:DAYLIGHT") {
                inside = false;
            }
            inside
                && (lower(line, "DTSTART;") || lower(line, "RDATE;"))
                && line.split(':').next().is_some_and(|head| head.contains(";TZID="))
        })
    };
    let holds = f.message.calendar_parts.iter().any(|part| looks(&part.text));
    known([Datum::new(Value::Flag(holds), Place::Name("VTIMEZONE"), Origin::Calendar)])
}

/// Length of the longest value that is no attachment, image or HTML twin.
pub(super) fn longest_value<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let plain = e.event.properties.iter().filter(|property| {
        !matches!(&*property.name, "ATTACH" | "IMAGE" | "X-ALT-DESC" | "STYLED-DESCRIPTION")
    });
    let length = |value: &PropertyValue| match value {
        PropertyValue::Text(text) | PropertyValue::Uri(text) | PropertyValue::Other(text) => {
            text.len()
        }
        PropertyValue::Binary { .. } => 0,
    };
    number(e, plain.map(|property| length(&property.value)).max().unwrap_or(0))
}

/// Most parameters of one property.
pub(super) fn most_parameters<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    number(e, e.event.properties.iter().map(|p| p.parameters.len()).max().unwrap_or(0))
}

/// Length of the longest parameter; `data:` in ALTREP is a text's twin.
pub(super) fn longest_parameter<'f>(e: &'f EventFacts<'f>, _: &'f Facts<'f>) -> Answer<'f> {
    let parameters = e.event.properties.iter().flat_map(|property| &property.parameters);
    let plain = parameters.filter(|(name, _)| name != "ALTREP");
    number(e, plain.map(|(_, value)| value.len()).max().unwrap_or(0))
}

/// Properties in quoted-printable, which iCalendar 2.0 does not have. Read from the lines:
/// values are decoded later on.
pub(super) fn quoted_printable<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    const CODING: &[u8] = b"quoted-printable";
    let of_part = |text: &str| {
        let has = |needle: &[u8]| memmem::find(text.as_bytes(), needle).is_some();
        if !has(b"VERSION:2.0") || !(has(b";ENCODING=Q") || has(b";encoding=q")) {
            return 0;
        }
        let lines = text
            .lines()
            .filter(|line| line.contains(";ENCODING=Q") || line.contains(";encoding=q"));
        let heads = lines.filter_map(|line| line.split_once(':').map(|(head, _)| head));
        heads
            .filter(|head| {
                head.split(';').filter_map(|parameter| parameter.split_once('=')).any(
                    |(name, value)| {
                        name.eq_ignore_ascii_case("ENCODING")
                            && value.as_bytes().eq_ignore_ascii_case(CODING)
                    },
                )
            })
            .count()
    };
    count(f.message.calendar_parts.iter().map(|part| of_part(&part.text)).sum(), Origin::Calendar)
}

/// Size of the largest calendar part, decoded.
pub(super) fn largest_part<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let size = f.message.calendar_parts.iter().map(|part| part.text.len()).max();
    known(size.map(|size| {
        Datum::new(Value::Number(float(size)), Place::Name("message"), Origin::Calendar)
    }))
}
