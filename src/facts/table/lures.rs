//! What lures are made of: numbers to call, sums, names inside hosts.

use std::borrow::Cow;

use crate::facts::Fact;
use crate::facts::answers::{links, loose_phones, number, summary_links};
use crate::facts::gather::EventFacts;

use super::event;
use crate::facts::Kind::{Number, Text};

pub(super) const FACTS: &[Fact] = &[
    event(
        "text.phone.loose",
        Text,
        "Groups of digits that are a phone number if the words around say so: the digits, up to 40 characters before and 24 after.",
        "Atención al cliente: 900 555 014",
        loose_phones,
    ),
    event(
        "text.phones.obscured",
        Number,
        "Phone numbers with letters for digits, every digit apart, or signs between that nobody writes in a number.",
        "0",
        |e, _| number(e, e.phones.iter().filter(|phone| phone.obscured).count()),
    ),
    event("summary.phones", Number, "Phone numbers in SUMMARY.", "0", |e, _| {
        number(e, e.phones.iter().filter(|phone| is_summary(e, phone.text)).count())
    }),
    event("summary.amounts", Number, "Amounts of money in SUMMARY.", "0", |e, _| {
        number(e, e.amounts.iter().filter(|(text, _)| is_summary(e, *text)).count())
    }),
    event("summary.links", Number, "Links in SUMMARY.", "0", summary_links),
    event(
        "url.name",
        Text,
        "Hosts of the links as text, so that `in FILE` finds a name inside one; `unless url.name` looks at the same host.",
        "paypal-help.example",
        |e, f| links(e, f, |l| l.host.as_deref().map(Cow::Borrowed)),
    ),
];

fn is_summary(e: &EventFacts<'_>, text: usize) -> bool {
    e.texts.get(text).is_some_and(|text| text.property.name == "SUMMARY")
}
