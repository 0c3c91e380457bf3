//! What was seen before. All of it is unknown until a store or a calendar server says so.

use crate::facts::Fact;
use crate::facts::remembered::{
    added_attachments, added_links, added_phones, by_uid, changed, excess, first_contact,
    from_borrows, is_known, is_listed, is_own, is_stated, jump, link_drift, namespace_drift,
    of_organized, of_stored, order, organizer_borrows, over, prior, product_drift, same_domain,
    same_organizer, sender_organizes,
};

use super::{event, message};
use crate::facts::Kind::{Domain, Flag, Number, Text};
use crate::facts::Origin::{Calendar, Mail, Network};

pub(super) const FACTS: &[Fact] = &[
    event(
        "history.stated",
        Flag,
        "Somebody has looked up the UID: a store or the calendar server; never unknown. The other facts of history are unknown where nobody has looked, and those about a stored event have no value for a new UID.",
        "yes",
        is_stated,
    ),
    event("history.known", Flag, "The UID has been seen before.", "yes", is_known),
    event(
        "history.proven",
        Flag,
        "The stored event came from its organizer: its first sighting was authenticated in alignment.",
        "yes",
        |e, f| of_stored(e, f, |_, _, stored| stored.proven),
    ),
    event("history.clean", Flag, "The stored event was judged clean.", "yes", |e, f| {
        of_stored(e, f, |_, _, stored| stored.clean)
    }),
    event(
        "history.own",
        Flag,
        "A recipient of the message organizes the stored event.",
        "no",
        |e, f| of_stored(e, f, is_own),
    ),
    event(
        "history.accepted",
        Flag,
        "The recipient has accepted the stored event.",
        "no",
        |e, f| of_stored(e, f, |_, _, stored| stored.accepted),
    ),
    event(
        "history.countered",
        Flag,
        "The recipient has sent a COUNTER to the stored event.",
        "no",
        |e, f| of_stored(e, f, |_, _, stored| stored.countered),
    ),
    event("history.organizer.same", Flag, "The organizer is the stored one.", "yes", |e, f| {
        of_organized(e, f, same_organizer)
    }),
    event(
        "history.organizer.same_domain",
        Flag,
        "The organizer's registered domain is that of the stored one.",
        "yes",
        |e, f| of_organized(e, f, same_domain),
    ),
    event(
        "history.sender.organizes",
        Flag,
        "The stored organizer sent the message: his registered domain passes SPF, DKIM or DMARC; where nothing is known of authentication, From or Sender is his address.",
        "yes",
        |e, f| of_organized(e, f, sender_organizes),
    ),
    event(
        "history.attendee.listed",
        Flag,
        "An attendee of the message is an attendee of the stored event.",
        "yes",
        |e, f| of_stored(e, f, is_listed),
    ),
    event(
        "history.order",
        Text,
        "The message is older, same or newer than the stored event, by SEQUENCE, then DTSTAMP (RFC 5546 §2.1.5).",
        "newer",
        order,
    ),
    event("history.jump", Number, "SEQUENCE minus the stored SEQUENCE.", "1", jump),
    event(
        "history.added.domain",
        Domain,
        "Registered domains of links that the stored event did not have.",
        "evil.example",
        added_links,
    ),
    event(
        "history.added.phone",
        Text,
        "Phone numbers that the stored event did not have.",
        "+12025550143",
        added_phones,
    ),
    event(
        "history.added.attachment",
        Text,
        "Attachments that the stored event did not have: the link, or SHA-256 of the content.",
        "https://files.example/a.zip",
        added_attachments,
    ),
    event(
        "history.changed",
        Text,
        "Properties whose value the stored event did not have: SUMMARY URL ATTACH CONFERENCE.",
        "SUMMARY",
        changed,
    ),
    event(
        "history.uid.organizers",
        Number,
        "Organizers' domains under which the UID has been seen, over all recipients.",
        "1",
        |e, f| by_uid(e, f.history.uids.as_ref(), |s| &s.uid, |s| f64::from(s.organizers)),
    ),
    event(
        "history.organizer.first",
        Flag,
        "The recipient has never heard of the organizer.",
        "yes",
        first_contact,
    ),
    event(
        "history.organizer.prior",
        Flag,
        "The recipient wrote to the organizer, or accepted an invitation of his, before.",
        "no",
        prior,
    ),
    event(
        "campaign.recipients",
        Number,
        "Recipients of near-identical events; 0 when there are no others.",
        "40",
        |e, f| by_uid(e, f.history.campaigns.as_ref(), |c| &c.uid, |c| f64::from(c.recipients)),
    ),
    event(
        "campaign.organizers",
        Number,
        "Organizers of near-identical events; 0 when there are no others.",
        "12",
        |e, f| by_uid(e, f.history.campaigns.as_ref(), |c| &c.uid, |c| f64::from(c.organizers)),
    ),
    event(
        "campaign.domains",
        Number,
        "Organizers' registered domains of near-identical events; 0 when there are no others.",
        "12",
        |e, f| by_uid(e, f.history.campaigns.as_ref(), |c| &c.uid, |c| f64::from(c.domains)),
    ),
    event(
        "reports.weight",
        Number,
        "Users who reported the UID, its campaign, its organizer or its links as spam, each with what time has left of the report; reports of the contrary are subtracted.",
        "3",
        |e, f| by_uid(e, f.history.reports.as_ref(), |r| &r.uid, |r| r.weight),
    ),
    event(
        "organizer.name.borrowed",
        Flag,
        "CN of the organizer is the name of somebody of the site or of a contact, and the address is none of that person's.",
        "no",
        organizer_borrows,
    ),
    message(
        "from.name.borrowed",
        Flag,
        Mail,
        "The same of the display name and address of From.",
        "no",
        from_borrows,
    ),
    message(
        "rate.over",
        Text,
        Network,
        "What has sent, or received from strangers, more invitations than the configuration allows: organizer domain account client recipient.",
        "organizer",
        over,
    ),
    message(
        "rate.excess",
        Number,
        Network,
        "How many times what is allowed the worst of the senders' counts is.",
        "0.2",
        excess,
    ),
    message(
        "feed.drift.links",
        Number,
        Calendar,
        "Per cent of a feed's events with links to domains that the feed did not have before.",
        "0",
        link_drift,
    ),
    message(
        "feed.drift.uids",
        Number,
        Calendar,
        "Per cent of a feed's events whose UIDs have another part behind the `@` than any before.",
        "0",
        namespace_drift,
    ),
    message(
        "feed.drift.product",
        Flag,
        Calendar,
        "PRODID of the feed is another than before.",
        "no",
        product_drift,
    ),
];
