//! People.

use std::borrow::Cow;

use crate::facts::answers::{attendees, domain_of, flag, normal, number, organizer};
use crate::facts::{Fact, text};

use super::event;
use crate::facts::Kind::{Address, Domain, Flag, Number, Text};

pub(super) const FACTS: &[Fact] = &[
    event("organizers", Number, "ORGANIZER properties.", "1", |e, _| {
        number(e, e.event.organizers.len())
    }),
    event("organizer.address", Address, "The organizer's address.", "ann@corp.example", |e, _| {
        organizer(e, |p| p.address.as_deref().map(Cow::Borrowed))
    }),
    event(
        "organizer.domain",
        Domain,
        "Registered domain of that address.",
        "corp.example",
        |e, _| organizer(e, |p| p.address.as_deref().and_then(domain_of)),
    ),
    event("organizer.name", Text, "CN of the organizer, normalised.", "Ann Example", |e, _| {
        organizer(e, |p| p.name.as_deref().map(normal))
    }),
    event(
        "organizer.value",
        Text,
        "The ORGANIZER value as written.",
        "mailto:ann@corp.example",
        |e, _| organizer(e, |p| Some(Cow::Borrowed(&*p.value))),
    ),
    event(
        "organizer.unusable",
        Flag,
        "An ORGANIZER stands there but holds no usable mail address.",
        "no",
        |e, _| flag(e, e.event.organizers.iter().any(|p| p.address.is_none())),
    ),
    event(
        "organizer.sent_by",
        Address,
        "SENT-BY of the organizer (RFC 5545 §3.2.18).",
        "pat@corp.example",
        |e, _| organizer(e, |p| p.sent_by.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "organizer.sent_by.domain",
        Domain,
        "Registered domain of SENT-BY.",
        "corp.example",
        |e, _| organizer(e, |p| p.sent_by.as_deref().and_then(domain_of)),
    ),
    event(
        "organizer.email.domain",
        Domain,
        "Registered domain of the organizer's EMAIL parameter (RFC 7986 §6.2).",
        "corp.example",
        |e, _| organizer(e, |p| p.email.as_deref().and_then(domain_of)),
    ),
    event("organizer.is_attendee", Flag, "The organizer is among the attendees.", "yes", |e, _| {
        flag(
            e,
            e.event
                .organizers
                .iter()
                .filter_map(|o| o.address.as_deref())
                .any(|o| e.event.attendees.iter().any(|a| a.address.as_deref() == Some(o))),
        )
    }),
    event("attendees", Number, "ATTENDEE properties and participants.", "3", |e, _| {
        number(e, e.event.attendee_count)
    }),
    event(
        "attendee.address",
        Address,
        "Addresses of the attendees.",
        "vic@corp.example",
        |e, _| attendees(e, |p| p.address.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "attendee.domain",
        Domain,
        "Registered domains of the attendees.",
        "corp.example",
        |e, _| attendees(e, |p| p.address.as_deref().and_then(domain_of)),
    ),
    event("attendee.name", Text, "CN of the attendees, normalised.", "Vic Tim", |e, _| {
        attendees(e, |p| p.name.as_deref().map(normal))
    }),
    event(
        "attendee.status",
        Text,
        "PARTSTAT of the attendees, upper case.",
        "NEEDS-ACTION",
        |e, _| attendees(e, |p| p.status.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "names.confusables",
        Number,
        "Words in CN of organizer and attendees that mix Latin with look-alike letters of another script, or are in small capitals or mathematical letters.",
        "0",
        |e, _| {
            number(
                e,
                e.event
                    .organizers
                    .iter()
                    .chain(e.event.attendees.iter().take(100))
                    .filter_map(|p| p.name.as_deref())
                    .map(|n| text::normalise(n).1.confusables)
                    .sum::<usize>(),
            )
        },
    ),
];
