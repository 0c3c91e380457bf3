//! Links.

use std::borrow::Cow;

use crate::facts::Fact;
use crate::facts::answers::{links, number, own_links, registered, unc};

use super::event;
use crate::facts::Kind::{Domain, Number, Text};

pub(super) const FACTS: &[Fact] = &[
    event(
        "url",
        Text,
        "Links of the event from every property, parameter, text and href; also the targets inside redirectors.",
        "https://meet.example/abc",
        |e, f| links(e, f, |l| Some(Cow::Borrowed(&*l.url))),
    ),
    event("url.scheme", Text, "Their schemes, lower case.", "https", |e, f| {
        links(e, f, |l| Some(Cow::Borrowed(&*l.scheme)))
    }),
    event("url.host", Domain, "Their hosts, lower case, punycode.", "meet.example", |e, f| {
        links(e, f, |l| l.host.as_deref().map(Cow::Borrowed))
    }),
    event("url.domain", Domain, "Their registered domains.", "meet.example", |e, f| {
        links(e, f, registered)
    }),
    event("urls", Number, "Number of distinct links.", "1", |e, f| {
        number(e, own_links(e, f).filter(|l| !l.unwrapped).count())
    }),
    event(
        "url.disguised",
        Text,
        "Links whose text shows another registered domain than their target.",
        "bank.example -> evil.example",
        |e, f| links(e, f, |l| l.disguise.as_deref().map(Cow::Borrowed)),
    ),
    event(
        "unc.property",
        Text,
        "UNC paths in values and parameters that programs open.",
        "\\\\host.example\\share",
        |e, f| unc(e, f, true),
    ),
    event("unc.text", Text, "UNC paths in running text.", "\\\\files.example\\team", |e, f| {
        unc(e, f, false)
    }),
];
