//! Who is what to whom.

use std::borrow::Cow;

use crate::facts::Fact;
use crate::facts::answers::{attendees, domain_of, registered};
use crate::facts::roles::{
    accepted_local, alarm_attendees, alarm_strangers, alarm_texts, alike, apart, coded_texts,
    link_domains, links_with_recipient, lookalikes, name_domains, recipient_status, targets,
    unnamed,
};

use super::event;
use crate::facts::Kind::{Address, Domain, Number, Text};

pub(super) const FACTS: &[Fact] = &[
    event(
        "recipient.status",
        Text,
        "PARTSTAT of the recipients among the attendees, upper case.",
        "NEEDS-ACTION",
        recipient_status,
    ),
    event(
        "attendees.apart",
        Number,
        "Distinct registered domains in per cent of the attendees: 100 when no two share one.",
        "20",
        apart,
    ),
    event(
        "attendees.alike",
        Number,
        "Per cent of the attendees whose local part begins with the same four letters as another's.",
        "10",
        alike,
    ),
    event(
        "attendees.unnamed",
        Number,
        "Per cent of the attendees without CN, or with the address in its place.",
        "0",
        unnamed,
    ),
    event(
        "attendees.accepted_local",
        Number,
        "Attendees of `site.domains`, without recipients and organizer, who are said to have accepted.",
        "0",
        accepted_local,
    ),
    event(
        "attendee.sent_by.domain",
        Domain,
        "Registered domains of SENT-BY of the attendees.",
        "corp.example",
        |e, _| attendees(e, |p| p.sent_by.as_deref().and_then(domain_of)),
    ),
    event(
        "organizer.name.domain",
        Domain,
        "Registered domain of a mail address that CN of the organizer shows.",
        "corp.example",
        name_domains,
    ),
    event(
        "alarm.attendee.foreign",
        Address,
        "ATTENDEEs of EMAIL alarms who have nothing to do with the event: neither recipients (envelope, To, Cc) nor organizer or attendees; unknown without a mail.",
        "vic@corp.example",
        alarm_strangers,
    ),
    event(
        "alarm.attendees",
        Number,
        "Different addresses that EMAIL alarms write to.",
        "1",
        alarm_attendees,
    ),
    event(
        "alarm.text",
        Text,
        "Texts of alarms, normalised, that the event itself does not say; those of the first 20.",
        "Call us now",
        alarm_texts,
    ),
    event(
        "url.lookalike",
        Text,
        "Hosts in letters of other alphabets that look like a plain name: that name.",
        "paypal-login.example",
        lookalikes,
    ),
    event(
        "url.target.host",
        Domain,
        "Hosts of targets inside redirectors and wrappers.",
        "www.shop.example",
        |e, f| targets(e, f, |l| l.host.as_deref().map(Cow::Borrowed)),
    ),
    event("url.target.domain", Domain, "Their registered domains.", "shop.example", |e, f| {
        targets(e, f, registered)
    }),
    event(
        "url.domains",
        Number,
        "Distinct registered domains of the event's links.",
        "2",
        link_domains,
    ),
    event(
        "url.rcpt.domain",
        Domain,
        "Registered domains of links that hold a recipient's address behind the host: plain, or as base64 or hex, also cut over parameters.",
        "evil.example",
        links_with_recipient,
    ),
    event(
        "text.coded",
        Text,
        "What a text says that is base64 of a link or of HTML.",
        "https://evil.example/",
        coded_texts,
    ),
];
