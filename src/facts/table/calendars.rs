//! The message's calendars as a whole.

use crate::facts::answers::{calendar_part_formats, count, distinct, known, largest};
use crate::facts::{Datum, Fact, Place, Value};

use super::message;
use crate::facts::Kind::{Number, Text};
use crate::facts::Origin::Calendar;

pub(super) const FACTS: &[Fact] = &[
    message("objects", Number, Calendar, "Distinct UIDs of the message.", "1", |f| {
        count(
            distinct(f.reading.events.iter().map(|e| e.uid.as_deref().unwrap_or_default())),
            Calendar,
        )
    }),
    message("methods", Number, Calendar, "Distinct METHODs of the message.", "1", |f| {
        count(distinct(f.reading.calendars.iter().filter_map(|c| c.method.as_deref())), Calendar)
    }),
    message("calendar.depth", Number, Calendar, "Deepest nesting of components.", "2", |f| {
        largest(f, |c| c.depth)
    }),
    message(
        "calendar.timezones",
        Number,
        Calendar,
        "VTIMEZONE components of the largest calendar.",
        "1",
        |f| largest(f, |c| c.timezones),
    ),
    message(
        "calendar.observances",
        Number,
        Calendar,
        "STANDARD and DAYLIGHT components of the largest calendar.",
        "2",
        |f| largest(f, |c| c.observances),
    ),
    message(
        "calendar_parts",
        Number,
        Calendar,
        "Parts that are or claim to be calendars.",
        "2",
        |f| count(f.message.calendar_parts.len(), Calendar),
    ),
    message(
        "calendar_part.format",
        Text,
        Calendar,
        "What each such part holds: empty icalendar jcal jscalendar xcal other.",
        "icalendar",
        calendar_part_formats,
    ),
    message(
        "calendar_part.mislabelled",
        Text,
        Calendar,
        "Declared types of parts with a calendar file name and another type.",
        "application/pdf",
        |f| {
            known(f.message.calendar_parts.iter().filter(|c| c.named && !c.typed).filter_map(|c| {
                f.message.parts.get(c.part).map(|p| {
                    Datum::new(
                        Value::Text((&*p.content_type).into()),
                        Place::Part(c.part),
                        Calendar,
                    )
                })
            }))
        },
    ),
    message(
        "calendar_part.name",
        Text,
        Calendar,
        "File names of calendar parts.",
        "invite.ics",
        |f| {
            known(f.message.calendar_parts.iter().filter_map(|c| {
                f.message
                    .parts
                    .get(c.part)
                    .and_then(|p| p.name.as_deref())
                    .map(|n| Datum::new(Value::Text(n.into()), Place::Part(c.part), Calendar))
            }))
        },
    ),
    message(
        "defect",
        Text,
        Calendar,
        "Names of the defects met in the input.",
        "method-mismatch",
        |f| {
            known(f.message.defects.iter().chain(&f.reading.defects).map(|d| {
                Datum::new(
                    Value::Text(d.kind.name().into()),
                    Place::Name(if d.place.is_empty() { "message" } else { &d.place }),
                    Calendar,
                )
            }))
        },
    ),
    message(
        "defects.syntax",
        Number,
        Calendar,
        "Recoverable errors of syntax, counted one by one: components not closed or closed wrongly, lines that are none, repeated parameters, values that are none.",
        "0",
        |f| count(f.reading.syntax_errors, Calendar),
    ),
];
