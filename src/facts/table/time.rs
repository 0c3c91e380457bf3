//! Time.

use crate::facts::answers::{
    all, duration, ended_ago, flag, moment_delta, number, seconds, start_second, text_option,
    values, words,
};
use crate::facts::{Answer, Datum, Fact, Place, Value, paths};

use super::event;
use crate::facts::Kind::{Duration, Flag, Number, Text};
use crate::facts::Origin::Calendar;

pub(super) const FACTS: &[Fact] = &[
    event(
        "start_in",
        Duration,
        "Time from the scan to the first start; negative in the past.",
        "2d",
        |e, f| moment_delta(e, e.event.start, |start| start - f.now),
    ),
    event(
        "ended_ago",
        Duration,
        "Time since the end of the last instance; no value unless that is in the past.",
        "8d",
        ended_ago,
    ),
    event("duration", Duration, "Length of one instance.", "1h", duration),
    event("all_day", Flag, "DTSTART is a date.", "no", |e, _| {
        flag(e, e.event.start.is_some_and(|start| start.date_only))
    }),
    event("end.missing", Flag, "A timed event has neither DTEND nor DURATION.", "no", |e, _| {
        flag(e, e.event.end_missing && e.event.start.is_some_and(|start| !start.date_only))
    }),
    event(
        "start.second",
        Number,
        "Seconds field of DTSTART; no value for all-day events.",
        "0",
        start_second,
    ),
    event("dtstamp.age", Duration, "Time from DTSTAMP to the scan.", "5m", |e, f| {
        values(e.event.dtstamp.map(|stamp| seconds(f.now - stamp)), Place::Event(e.event))
    }),
    event(
        "instances",
        Number,
        "Instances in the first year; 1 without recurrence.",
        "52",
        |e, _| number(e, e.event.recurrence.instances),
    ),
    event(
        "recurrence.frequency",
        Text,
        "FREQ of the first RRULE, upper case.",
        "WEEKLY",
        |e, _| text_option(e, e.event.recurrence.frequency.as_deref(), "RRULE"),
    ),
    event("recurrence.endless", Flag, "An RRULE has neither COUNT nor UNTIL.", "no", |e, _| {
        flag(e, e.event.recurrence.endless)
    }),
    event("recurrence.abusive", Text, "Forms of recurrence made to hurt.", "secondly", |e, _| {
        words(e, e.event.recurrence.abusive.clone())
    }),
    event("alarms", Number, "VALARM components.", "1", |e, _| number(e, e.event.alarms.len())),
    event(
        "alarm.rings",
        Number,
        "Notifications of one instance: the sum of REPEAT + 1 over all alarms.",
        "1",
        |e, _| number(e, e.event.alarms.iter().map(|a| u64::from(a.repeat) + 1).sum::<u64>()),
    ),
    event("alarm.repeat", Number, "REPEAT of each alarm.", "0", |e, _| {
        all(e
            .event
            .alarms
            .iter()
            .map(|a| (Value::Number(f64::from(a.repeat)), Place::Event(e.event))))
    }),
    event("alarm.action", Text, "ACTION of each alarm, upper case.", "DISPLAY", |e, _| {
        all(e
            .event
            .alarms
            .iter()
            .filter_map(|a| a.action.as_deref())
            .map(|a| (Value::Text(a.into()), Place::Name("VALARM.ACTION"))))
    }),
    event("alarm.attach", Text, "ATTACH values of alarms as written.", "Basso", |e, f| {
        let values = e.event.alarms.iter().flat_map(|alarm| &alarm.attachments);
        let mut answer: Vec<Datum<'_>> = values
            .map(|value| {
                Datum::new(Value::Text(value.into()), Place::Name("VALARM.ATTACH"), Calendar)
            })
            .collect();
        // Reading a value unescapes it, which takes a path's backslashes: they are kept apart.
        answer.extend(
            paths::unc_paths(f.reading, e.index, true)
                .into_iter()
                .filter(|path| path.place.contains(".VALARM[") && path.place.ends_with(".ATTACH"))
                .map(|path| {
                    Datum::new(Value::Text(path.path.into()), Place::Name(path.place), Calendar)
                }),
        );
        Answer::Known(answer)
    }),
    event(
        "notifications",
        Number,
        "Notifications in the first year: instances × rings.",
        "52",
        |e, _| number(e, e.event.notifications()),
    ),
];
