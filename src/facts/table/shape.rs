//! The form of the message and of its calendars.

use crate::facts::Fact;
use crate::facts::shape::{
    alternatives_differ, is_best, largest_part, longest_parameter, longest_value, most_parameters,
    objects_of_a_part, quoted_printable, short_folds, zone_of_itself,
};

use super::{event, message};
use crate::facts::Kind::{Flag, Number, Size};
use crate::facts::Origin::{Calendar, Mail};

pub(super) const FACTS: &[Fact] = &[
    message(
        "alternatives.differ",
        Flag,
        Calendar,
        "Calendar parts under one multipart/alternative hold different objects (RFC 6047 §2.4).",
        "no",
        alternatives_differ,
    ),
    message(
        "structure.best",
        Flag,
        Mail,
        "The mail is built as CC/R 18003 recommends: a text to read, one event, typed with its method, copies alike, and no defect.",
        "yes",
        is_best,
    ),
    message(
        "calendar_part.objects",
        Number,
        Calendar,
        "VCALENDAR objects in the part that has most of them.",
        "1",
        objects_of_a_part,
    ),
    message(
        "calendar_part.largest",
        Size,
        Calendar,
        "Size of the largest calendar part, decoded.",
        "4KB",
        largest_part,
    ),
    message(
        "folds.short",
        Number,
        Calendar,
        "Folds inside a word behind fewer than 40 octets; generators fold near 75 (RFC 5545 §3.1).",
        "0",
        short_folds,
    ),
    message(
        "timezone.of_itself",
        Flag,
        Calendar,
        "STANDARD or DAYLIGHT has a TZID parameter: a time zone in terms of time zones.",
        "no",
        zone_of_itself,
    ),
    event(
        "property.longest",
        Size,
        "Longest value of a property that is no attachment, image or HTML twin.",
        "2KB",
        longest_value,
    ),
    event("parameters.most", Number, "Most parameters of one property.", "6", most_parameters),
    event(
        "parameter.longest",
        Size,
        "Longest value of a parameter other than ALTREP.",
        "60",
        longest_parameter,
    ),
    message(
        "quoted_printable",
        Number,
        Calendar,
        "Properties in quoted-printable in calendars of version 2.0, which has no such coding.",
        "0",
        quoted_printable,
    ),
];
