//! The iTIP message and the calendar object.

use crate::facts::answers::{
    calendar_text, is_encoded, missing, number, one, text_option, uid_has_recipient, words,
    x_properties,
};
use crate::facts::{Fact, Place, Value};

use super::event;
use crate::facts::Kind::{Flag, Number, Text};

pub(super) const FACTS: &[Fact] = &[
    event(
        "method",
        Text,
        "METHOD of the event's calendar, upper case (RFC 5546 §1.4).",
        "REQUEST",
        |e, f| calendar_text(e, f, |c| c.method.as_deref(), "VCALENDAR.METHOD"),
    ),
    event(
        "kind",
        Text,
        "The component's name: VEVENT, VTODO, VJOURNAL or VFREEBUSY.",
        "VEVENT",
        |e, _| one(Value::Text(e.event.kind.name().into()), Place::Event(e.event)),
    ),
    event(
        "prodid",
        Text,
        "PRODID of the event's calendar.",
        "-//Example Corp//Scheduler 1.0//EN",
        |e, f| calendar_text(e, f, |c| c.prodid.as_deref(), "VCALENDAR.PRODID"),
    ),
    event(
        "calscale",
        Text,
        "CALSCALE of the event's calendar, upper case.",
        "GREGORIAN",
        |e, f| calendar_text(e, f, |c| c.calscale.as_deref(), "VCALENDAR.CALSCALE"),
    ),
    event("uid", Text, "UID.", "d41f6a0e-1b5c-4f6b-a3a3-1c9c9c3a7c55", |e, _| {
        text_option(e, e.event.uid.as_deref(), "UID")
    }),
    event(
        "uid.has_recipient",
        Flag,
        "UID contains a recipient's address.",
        "yes",
        uid_has_recipient,
    ),
    event("recurrence_id", Text, "RECURRENCE-ID as written.", "20261201T100000Z", |e, _| {
        text_option(e, e.event.recurrence_id.as_deref(), "RECURRENCE-ID")
    }),
    event(
        "sequence",
        Number,
        "SEQUENCE; 0 when it is missing (RFC 5545 §3.8.7.4).",
        "0",
        |e, _| number(e, e.event.sequence.unwrap_or(0)),
    ),
    event("status", Text, "STATUS, upper case.", "CONFIRMED", |e, _| {
        text_option(e, e.event.status.as_deref(), "STATUS")
    }),
    event("transparency", Text, "TRANSP, upper case.", "OPAQUE", |e, _| {
        text_option(e, e.event.transparency.as_deref(), "TRANSP")
    }),
    event("busy_status", Text, "X-MICROSOFT-CDO-BUSYSTATUS, upper case.", "BUSY", |e, _| {
        text_option(e, e.event.busy_status.as_deref(), "X-MICROSOFT-CDO-BUSYSTATUS")
    }),
    event(
        "missing",
        Text,
        "Required properties that are missing or empty: UID DTSTAMP DTSTART PRODID VERSION (RFC 5545 §3.6).",
        "UID",
        |e, f| words(e, missing(e, f)),
    ),
    event(
        "missing.properties",
        Number,
        "How many required properties are missing.",
        "1",
        |e, f| number(e, missing(e, f).len()),
    ),
    event(
        "duplicated",
        Text,
        "Properties that may stand once and stand more often with other values.",
        "SUMMARY",
        |e, _| words(e, e.event.duplicated.clone()),
    ),
    event(
        "copies.differ",
        Text,
        "Properties in which copies of the same object in one mail differ.",
        "SUMMARY",
        |e, _| words(e, e.event.differs.clone()),
    ),
    event(
        "xprops.encoded",
        Number,
        "X- properties of no known calendar product whose value is 32 or more characters of hex or base64.",
        "0",
        |e, _| number(e, x_properties(e).filter(|p| p.text().is_some_and(is_encoded)).count()),
    ),
    event("xprops.unknown", Number, "X- properties of no known calendar product.", "2", |e, _| {
        number(e, x_properties(e).count())
    }),
];
