//! Facts about who sent the message, and about what the site knows of him.

use std::borrow::Cow;

use super::answers::{all, domain_of, known, mail};
use super::gather::EventFacts;
use super::{Answer, Datum, Facts, Link, Origin, Place, Value, domain};
use crate::message::{AuthenticationResults, Body, Mailbox, Mechanism};

use Origin::{Mail, Network};

/// Where statements about authentication stand.
const PLACE: Place<'static> = Place::Name("Authentication-Results");

fn flag(holds: bool, place: Place<'_>, origin: Origin) -> Answer<'_> {
    known([Datum::new(Value::Flag(holds), place, origin)])
}

fn text<'f>(value: impl Into<Cow<'f, str>>) -> Datum<'f> {
    Datum::new(Value::Text(value.into()), PLACE, Network)
}

/// What is known, read; unknown where nobody has said anything.
fn stated<'f, D: IntoIterator<Item = Datum<'f>>>(
    f: &'f Facts<'f>,
    read: impl FnOnce(&'f AuthenticationResults) -> D,
) -> Answer<'f> {
    f.authentication.as_ref().map_or(Answer::Unknown, |results| known(read(results)))
}

pub(super) fn is_stated<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    flag(f.authentication.is_some(), PLACE, Network)
}

pub(super) fn source<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    stated(f, |results| [text(results.source.name())])
}

pub(super) fn result<'f>(f: &'f Facts<'f>, mechanism: Mechanism) -> Answer<'f> {
    stated(f, |results| results.result(mechanism).map(text))
}

pub(super) fn domains<'f>(f: &'f Facts<'f>, mechanism: Mechanism) -> Answer<'f> {
    stated(f, |results| results.domains(mechanism).map(|host| text(domain::registered(host))))
}

pub(super) fn policy<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    stated(f, |results| results.dmarc_policy().map(text))
}

pub(super) fn passing_domains<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    stated(f, |results| results.passing_domains().map(|host| text(domain::registered(host))))
}

/// Whether one of the addresses has a registered domain that passes.
fn aligned<'f>(
    f: &'f Facts<'f>,
    mut addresses: impl Iterator<Item = &'f str>,
    place: Place<'f>,
) -> Answer<'f> {
    let Some(results) = &f.authentication else { return Answer::Unknown };
    let aligned = addresses.by_ref().filter_map(domain_of).any(|domain| {
        results.passing_domains().any(|passing| domain::registered(passing) == domain)
    });
    flag(aligned, place, Network)
}

pub(super) fn organizer_aligned<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let addresses = e.event.organizers.iter().filter_map(|party| party.address.as_deref());
    aligned(f, addresses, Place::Event(e.event))
}

pub(super) fn sent_by_aligned<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let addresses = e.event.organizers.iter().filter_map(|party| party.sent_by.as_deref());
    aligned(f, addresses, Place::Event(e.event))
}

pub(super) fn from_aligned<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    aligned(f, f.message.from.iter().map(|mailbox| &*mailbox.address), Place::Name("From"))
}

// ---- the site ----

pub(super) fn client_trusted<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let is_user = f.envelope.user.as_deref().is_some_and(|user| !user.is_empty());
    let is_ours = f.envelope.client_ip.is_some_and(|ip| f.site.is_trusted(ip));
    flag(is_user || is_ours, Place::Name("client"), Network)
}

pub(super) fn organizer_local<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let mut addresses = e.event.organizers.iter().filter_map(|party| party.address.as_deref());
    let local = addresses.any(|address| f.site.domains.holds(address));
    flag(local, Place::Event(e.event), Origin::Calendar)
}

pub(super) fn from_local<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let local = f.message.from.iter().any(|mailbox| f.site.domains.holds(&mailbox.address));
    mail(f, || vec![Datum::new(Value::Flag(local), Place::Name("From"), Mail)])
}

pub(super) fn organizer_welcome<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let mut addresses = e.event.organizers.iter().filter_map(|party| party.address.as_deref());
    let welcome = addresses.any(|address| f.site.welcome.holds(address));
    flag(welcome, Place::Event(e.event), Origin::Calendar)
}

fn blocked<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    addresses: impl Iterator<Item = &'f str>,
) -> Answer<'f> {
    let blocked = addresses.filter(|address| f.site.block_addresses.holds(address));
    all(blocked.map(|address| (Value::Text(address.into()), Place::Event(e.event))))
}

pub(super) fn organizer_blocked<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let parties = e.event.organizers.iter();
    let named = parties.flat_map(|party| {
        [&party.address, &party.sent_by, &party.email].into_iter().filter_map(Option::as_deref)
    });
    blocked(e, f, named)
}

pub(super) fn attendee_blocked<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    blocked(e, f, e.event.attendees.iter().filter_map(|party| party.address.as_deref()))
}

/// Addresses of From and Sender; any of them may be the one that wrote.
pub(super) fn senders_blocked<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let from = f.message.from.iter().map(|mailbox| (mailbox, "From"));
    let sender = f.message.sender.iter().map(|mailbox| (mailbox, "Sender"));
    mailboxes_blocked(f, from.chain(sender))
}

pub(super) fn answers_blocked<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    mailboxes_blocked(f, f.message.reply_to.iter().map(|mailbox| (mailbox, "Reply-To")))
}

fn mailboxes_blocked<'f>(
    f: &'f Facts<'f>,
    mailboxes: impl Iterator<Item = (&'f Mailbox, &'static str)>,
) -> Answer<'f> {
    mail(f, || {
        mailboxes
            .filter(|(mailbox, _)| f.site.block_addresses.holds(&mailbox.address))
            .map(|(mailbox, place)| {
                Datum::new(Value::Text((&*mailbox.address).into()), Place::Name(place), Mail)
            })
            .collect()
    })
}

fn is_blocked(link: &Link<'_>, f: &Facts<'_>) -> bool {
    f.site.block_urls.holds(&link.url, link.host.as_deref())
}

pub(super) fn links_blocked<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let own = super::answers::own_links(e, f).filter(|link| is_blocked(link, f));
    all(own.map(|link| (Value::Text((&*link.url).into()), link.place)))
}

pub(super) fn files_blocked<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let files = e.attachments.files.iter();
    let listed = files.filter(|file| f.site.block_urls.holds_file(&file.data));
    all(listed.map(|file| (Value::Text((&*file.declared).into()), file.place)))
}

pub(super) fn parts_blocked<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    mail(f, || {
        let parts = f.message.parts.iter().enumerate();
        let listed = parts.filter(|(_, part)| match &part.body {
            Body::Binary(octets) => f.site.block_urls.holds_file(octets),
            Body::Container | Body::Html(_) | Body::Text(_) | Body::Calendar => false,
        });
        let listed = listed.map(|(index, part)| {
            Datum::new(Value::Text((&*part.content_type).into()), Place::Part(index), Mail)
        });
        listed.collect()
    })
}

pub(super) fn mail_links_blocked<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    mail(f, || {
        let links = f.links.all.iter().filter(|link| link.origin == Mail && is_blocked(link, f));
        links.map(|link| Datum::new(Value::Text((&*link.url).into()), link.place, Mail)).collect()
    })
}
