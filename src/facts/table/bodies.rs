//! The mail's bodies beside the calendar.

use std::borrow::Cow;

use crate::facts::Fact;
use crate::facts::bodies::{
    anchor, elsewhere, letters, links, location_hosts, shows_start, to_registered,
};

use super::{event, message};
use crate::facts::Kind::{Domain, Flag, Number, Text};
use crate::facts::Origin::Mail;

pub(super) const FACTS: &[Fact] = &[
    message(
        "mail.url.host",
        Domain,
        Mail,
        "Hosts that the mail's bodies lead to.",
        "www.shop.example",
        |f| links(f, |link| link.host.as_deref().map(Cow::Borrowed)),
    ),
    message(
        "mail.url.elsewhere",
        Domain,
        Mail,
        "Registered domains that the bodies lead to and that are nobody's who speaks: From, Sender, Reply-To, organizers, SENT-BY, and what passes SPF, DKIM or DMARC.",
        "evil.example",
        |f| elsewhere(f, |_, domain| Some(domain.to_owned().into())),
    ),
    message(
        "mail.anchor.elsewhere",
        Text,
        Mail,
        "What is clicked on for such links, and where it leads.",
        "Accept -> evil.example",
        |f| elsewhere(f, anchor),
    ),
    message(
        "mail.letters",
        Number,
        Mail,
        "Letters and digits of the mail's bodies as a reader sees them, up to 1000.",
        "240",
        letters,
    ),
    event(
        "body.shows_start",
        Flag,
        "Subject or a body of the mail tells in numbers when the event is: the time, or the day beside the month or the year; unknown without a mail.",
        "yes",
        shows_start,
    ),
    event("location.url.host", Domain, "Hosts that LOCATION leads to.", "meet.example", |e, f| {
        location_hosts(e, f, str::to_owned)
    }),
    event("location.url.domain", Domain, "Their registered domains.", "meet.example", |e, f| {
        location_hosts(e, f, to_registered)
    }),
];
