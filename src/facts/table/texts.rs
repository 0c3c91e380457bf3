//! Texts.

use crate::facts::Fact;
use crate::facts::answers::{
    disguises, extra_links, extra_words, flag, html_twin, markup, number, phone_contexts,
    shows_event, texts,
};
use crate::facts::gather::TextValue;

use super::event;
use crate::facts::Kind::{Flag, Number, Text};

pub(super) const FACTS: &[Fact] = &[
    event("summary", Text, "SUMMARY, normalised.", "Team meeting", |e, _| {
        texts(e, &["SUMMARY"], TextValue::normal)
    }),
    event(
        "summary.confusables",
        Number,
        "Words of SUMMARY and LOCATION that mix Latin with look-alike letters of another script, or are in small capitals or mathematical letters.",
        "0",
        |e, _| number(e, disguises(e, &["SUMMARY", "LOCATION"], |t| t.disguise.confusables)),
    ),
    event("description", Text, "DESCRIPTION, normalised.", "Agenda: budget", |e, _| {
        texts(e, &["DESCRIPTION"], TextValue::normal)
    }),
    event("location", Text, "LOCATION, normalised.", "Room 4", |e, _| {
        texts(e, &["LOCATION"], TextValue::normal)
    }),
    event("comment", Text, "COMMENT, normalised.", "See you there", |e, _| {
        texts(e, &["COMMENT"], TextValue::normal)
    }),
    event("categories", Text, "CATEGORIES, each value, normalised.", "Travel", |e, _| {
        texts(e, &["CATEGORIES"], TextValue::normal)
    }),
    event(
        "text",
        Text,
        "Every text a calendar shows, one value per property, alarms and the calendar's name included, normalised.",
        "Agenda: budget",
        |e, _| texts(e, &[], TextValue::normal),
    ),
    event(
        "text.raw",
        Text,
        "The same texts as unescaped, markup kept.",
        "<p>Agenda</p>",
        |e, _| texts(e, &[], |t| t.raw),
    ),
    event("text.hidden", Text, "Text that HTML styles hide.", "preheader", |e, _| {
        texts(e, &[], |t| &t.hidden)
    }),
    event(
        "markup",
        Text,
        "Values of any property or parameter that hold a `<`, and inline content of text types.",
        "<b>Agenda</b>",
        markup,
    ),
    event("text.phones", Number, "Distinct phone numbers in the event's texts.", "1", |e, _| {
        number(e, e.phones.len())
    }),
    event(
        "text.phone.context",
        Text,
        "For each phone number the paragraph around it, up to 200 characters either side.",
        "Call +1 202 555 0143 to cancel",
        phone_contexts,
    ),
    event("text.amounts", Number, "Amounts of money in the event's texts.", "1", |e, _| {
        number(e, e.amounts.len())
    }),
    event("text.emails", Number, "Mail addresses in the event's texts.", "0", |e, _| {
        number(e, e.emails.len())
    }),
    event(
        "text.invisibles",
        Number,
        "Zero-width and bidi characters inside words of scripts that have no use for them.",
        "0",
        |e, _| number(e, disguises(e, &[], |t| t.disguise.invisibles)),
    ),
    event(
        "text.tag_characters",
        Number,
        "Tag characters, variation selector supplements and invisible operators (those of flag emoji do not count).",
        "0",
        |e, _| number(e, disguises(e, &[], |t| t.disguise.tag_characters)),
    ),
    event(
        "html.only",
        Flag,
        "There is an HTML description, but DESCRIPTION is missing or empty.",
        "no",
        |e, _| {
            flag(
                e,
                html_twin(e).is_some() && !e.texts.iter().any(|t| t.property.name == "DESCRIPTION"),
            )
        },
    ),
    event(
        "html.extra_links",
        Number,
        "Links of X-ALT-DESC or STYLED-DESCRIPTION whose host stands nowhere else in the event.",
        "0",
        extra_links,
    ),
    event(
        "html.extra_words",
        Number,
        "Words of four letters or more in X-ALT-DESC or STYLED-DESCRIPTION that are not in DESCRIPTION; 0 without a DESCRIPTION.",
        "0",
        extra_words,
    ),
    event(
        "body.shows_event",
        Flag,
        "The mail's Subject or text shows a word of SUMMARY or the date; no value without SUMMARY, unknown without a mail.",
        "yes",
        shows_event,
    ),
];
