//! Facts that follow from what was seen before: the message, compared with its [`History`].
//!
//! Not an error: knowing nothing. What nobody has looked up is unknown; what was looked up and
//! not found has no value, or is a plain no.
//!
//! [`History`]: super::History

use std::cmp::Ordering;
use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::answers::{all, domain_of, flag, float, known, mail, own_links, recipients, values};
use super::gather::EventFacts;
use super::history::{By, Correspondent, FIXED, Marker, Person, Sort, Stored};
use super::{Answer, Datum, Facts, Origin, Place, Value, domain};
use crate::calendar::{Party, Property, Value as PropertyValue};

/// Texts of one event that are compared with what is remembered.
const MOST: usize = 500;

/// What is stored of an event: its instance if that is known, else its series.
fn find<'h>(events: &'h [Stored], e: &EventFacts<'_>) -> Option<&'h Stored> {
    let uid = e.event.uid.as_deref()?;
    let mut same = events.iter().filter(|stored| stored.uid == uid);
    let instance = e.event.recurrence_id.as_deref();
    let exact = same.clone().find(|stored| stored.recurrence_id.as_deref() == instance);
    exact.or_else(|| same.find(|stored| stored.recurrence_id.is_none()))
}

/// Asks about the stored event: unknown where nobody has looked, no value for a new UID.
fn about<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    ask: impl FnOnce(&'f Stored) -> Answer<'f>,
) -> Answer<'f> {
    let Some(events) = &f.history.events else { return Answer::Unknown };
    find(events, e).map_or_else(|| known([]), ask)
}

/// A flag about a stored event.
pub(super) fn of_stored<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    ask: fn(&EventFacts<'_>, &'f Facts<'f>, &Stored) -> bool,
) -> Answer<'f> {
    about(e, f, |stored| flag(e, ask(e, f, stored)))
}

pub(super) fn is_known<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(events) = &f.history.events else { return Answer::Unknown };
    flag(e, find(events, e).is_some())
}

pub(super) fn is_stated<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    flag(e, f.history.events.is_some())
}

fn addresses(parties: &[Party]) -> impl Iterator<Item = &str> {
    parties.iter().take(MOST).filter_map(|party| party.address.as_deref())
}

/// The same about its organizer; no value where none is stored.
pub(super) fn of_organized<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    ask: fn(&EventFacts<'_>, &'f Facts<'f>, &Stored) -> bool,
) -> Answer<'f> {
    about(e, f, |stored| match stored.organizer_domain {
        Some(_) => flag(e, ask(e, f, stored)),
        None => known([]),
    })
}

pub(super) fn same_organizer(e: &EventFacts<'_>, f: &Facts<'_>, stored: &Stored) -> bool {
    addresses(&e.event.organizers)
        .any(|address| stored.organizer == Some(f.history.address(address)))
}

pub(super) fn same_domain(e: &EventFacts<'_>, f: &Facts<'_>, stored: &Stored) -> bool {
    addresses(&e.event.organizers)
        .filter_map(domain_of)
        .any(|domain| stored.organizer_domain == Some(f.history.marker.mark(Sort::Domain, &domain)))
}

/// From, Sender or a domain that passes authentication is the stored organizer's.
pub(super) fn sender_organizes(_: &EventFacts<'_>, f: &Facts<'_>, stored: &Stored) -> bool {
    let of_domain =
        |domain: &str| stored.organizer_domain == Some(f.history.marker.mark(Sort::Domain, domain));
    let Some(results) = &f.authentication else {
        let mut senders = f.message.from.iter().chain(&f.message.sender);
        return senders
            .any(|mailbox| stored.organizer == Some(f.history.address(&mailbox.address)));
    };
    results.passing_domains().any(|passing| of_domain(&domain::registered(passing)))
}

/// The recipient organizes the stored event.
pub(super) fn is_own<'f>(_: &EventFacts<'_>, f: &'f Facts<'f>, stored: &Stored) -> bool {
    let is_organizer = |datum: &Datum<'_>| match &datum.value {
        Value::Text(address) => stored.organizer == Some(f.history.address(address)),
        Value::Number(_) | Value::Flag(_) => false,
    };
    stored.own || recipients(f).values().iter().any(is_organizer)
}

/// Who answers stands in the stored list.
pub(super) fn is_listed(e: &EventFacts<'_>, f: &Facts<'_>, stored: &Stored) -> bool {
    addresses(&e.event.attendees)
        .any(|address| stored.attendees.contains(&f.history.address(address)))
}

/// `older`, `same` or `newer`, by SEQUENCE and then DTSTAMP (RFC 5546 §2.1.5).
pub(super) fn order<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    about(e, f, |stored| {
        let sequence = e.event.sequence.unwrap_or(0).cmp(&stored.sequence);
        let stamp = match (e.event.dtstamp, stored.dtstamp) {
            (Some(now), Some(then)) => now.cmp(&then),
            _ => Ordering::Equal,
        };
        let order = match sequence.then(stamp) {
            Ordering::Less => "older",
            Ordering::Equal => "same",
            Ordering::Greater => "newer",
        };
        values(Some(Value::Text(order.into())), Place::Event(e.event))
    })
}

/// How far SEQUENCE is above the stored one.
pub(super) fn jump<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    about(e, f, |stored| {
        let jump = e.event.sequence.unwrap_or(0).saturating_sub(stored.sequence);
        values(Some(Value::Number(float(jump))), Place::Event(e.event))
    })
}

/// Registered domains of links that the stored event did not have.
pub(super) fn added_links<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    about(e, f, |stored| {
        let mut seen = HashSet::new();
        let links =
            own_links(e, f).filter_map(|link| link.domain().map(|domain| (domain, link.place)));
        all(links.filter_map(|(domain, place)| {
            let mark = f.history.marker.mark(Sort::Domain, &domain);
            let is_new = !stored.links.contains(&mark) && seen.insert(mark);
            is_new.then_some((Value::Text(domain), place))
        }))
    })
}

/// Phone numbers that it did not have.
pub(super) fn added_phones<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    about(e, f, |stored| {
        let is_new =
            |number: &str| !stored.phones.contains(&f.history.marker.mark(Sort::Phone, number));
        all(e.phones.iter().take(MOST).filter(|phone| is_new(&phone.number)).map(|phone| {
            let place = e.texts.get(phone.text).map_or(Place::Event(e.event), |text| text.place);
            (Value::Text((&*phone.number).into()), place)
        }))
    })
}

/// What stands for a value: the text, or SHA-256 of the octets.
fn content(property: &Property) -> String {
    match &property.value {
        PropertyValue::Uri(text) | PropertyValue::Text(text) | PropertyValue::Other(text) => {
            text.clone()
        }
        PropertyValue::Binary { data, .. } => {
            let digits = Sha256::digest(data).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
            digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
        }
    }
}

/// Attachments that it did not have.
pub(super) fn added_attachments<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    about(e, f, |stored| {
        let attached = e.event.properties.iter().filter(|p| p.name == "ATTACH" && p.within == 0);
        all(attached.take(MOST).filter_map(|property| {
            let value = content(property);
            let mark = f.history.marker.mark(Sort::Attachment, &value);
            let is_new = !stored.attachments.contains(&mark);
            is_new.then_some((Value::Text(value.into()), Place::Property(e.event, property)))
        }))
    })
}

/// Properties of [`FIXED`] whose value the stored event did not have.
pub(super) fn changed<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    about(e, f, |stored| {
        let asked =
            e.event.properties.iter().filter(|p| p.within == 0 && FIXED.contains(&&*p.name));
        all(asked.take(MOST).filter_map(|property| {
            let value = format!("{}:{}", property.name, content(property));
            let mark = f.history.marker.mark(Sort::Property, &value);
            let name = || Value::Text((&*property.name).into());
            let differs = !stored.properties.contains(&mark);
            differs.then(|| (name(), Place::Property(e.event, property)))
        }))
    })
}

/// What is to be remembered of an event, to compare the next message under its UID with: all but
/// what only the store can know.
pub fn snapshot(e: &EventFacts<'_>, f: &Facts<'_>, marker: &Marker, most: usize) -> Stored {
    let most = most.min(MOST);
    let organizer = addresses(&e.event.organizers).next();
    let domain = organizer.and_then(domain_of);
    let mut links: Vec<_> = own_links(e, f).filter_map(super::Link::domain).collect();
    links.sort_unstable();
    links.dedup();
    let own = || e.event.properties.iter().filter(|p| p.within == 0);
    let attached = own().filter(|p| p.name == "ATTACH").take(most);
    let fixed = own().filter(|p| FIXED.contains(&&*p.name)).take(most);
    Stored {
        uid: e.event.uid.clone().unwrap_or_default(),
        recurrence_id: e.event.recurrence_id.clone(),
        organizer: organizer.map(|address| marker.mark(Sort::Address, address)),
        organizer_domain: domain.map(|domain| marker.mark(Sort::Domain, &domain)),
        sequence: e.event.sequence.unwrap_or(0),
        dtstamp: e.event.dtstamp,
        start: e.event.start.map(|start| start.timestamp),
        attendees: addresses(&e.event.attendees)
            .take(most)
            .map(|address| marker.mark(Sort::Address, address))
            .collect(),
        links: links.iter().take(most).map(|host| marker.mark(Sort::Domain, host)).collect(),
        phones: e
            .phones
            .iter()
            .take(most)
            .map(|phone| marker.mark(Sort::Phone, &phone.number))
            .collect(),
        attachments: attached.map(|p| marker.mark(Sort::Attachment, &content(p))).collect(),
        properties: fixed
            .map(|p| marker.mark(Sort::Property, &format!("{}:{}", p.name, content(p))))
            .collect(),
        ..Stored::default()
    }
}

/// A number of an event that somebody keeps by UID; 0 for a UID without an entry.
pub(super) fn by_uid<'f, T>(
    e: &'f EventFacts<'f>,
    entries: Option<&'f Vec<T>>,
    uid: fn(&T) -> &str,
    get: fn(&T) -> f64,
) -> Answer<'f> {
    let Some(entries) = entries else { return Answer::Unknown };
    let own = e.event.uid.as_deref().unwrap_or_default();
    let number = entries.iter().find(|entry| uid(entry) == own).map_or(0.0, get);
    values(Some(Value::Number(number)), Place::Event(e.event))
}

/// The organizer's entry among those the recipient has to do with.
fn correspondent<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    ask: fn(Option<&Correspondent>) -> bool,
) -> Answer<'f> {
    let Some(organizers) = &f.history.organizers else { return Answer::Unknown };
    let mut addresses = addresses(&e.event.organizers).peekable();
    if addresses.peek().is_none() {
        return known([]);
    }
    let found = addresses.find_map(|address| organizers.iter().find(|o| o.address == address));
    flag(e, ask(found))
}

pub(super) fn first_contact<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    correspondent(e, f, |found| found.is_none_or(|o| o.first_seen.is_none() && !o.prior))
}

pub(super) fn prior<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    correspondent(e, f, |found| found.is_some_and(|o| o.prior))
}

/// What is over its limit.
pub(super) fn over<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let Some(rates) = &f.history.rates else { return Answer::Unknown };
    let over = rates.iter().filter(|rate| rate.limit > 0 && rate.count > rate.limit);
    known(over.map(|rate| {
        Datum::new(Value::Text(rate.by.name().into()), Place::Name("history"), Origin::Network)
    }))
}

/// How many times its limit the worst count of senders is.
pub(super) fn excess<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let Some(rates) = &f.history.rates else { return Answer::Unknown };
    let of_senders = rates.iter().filter(|rate| rate.limit > 0 && rate.by != By::Recipient);
    let worst = of_senders.map(|rate| float(rate.count) / float(rate.limit)).fold(0.0, f64::max);
    known([Datum::new(Value::Number(worst), Place::Name("history"), Origin::Network)])
}

/// A name that belongs to somebody whose address this is not.
fn borrowed(f: &Facts<'_>, people: &[Person], name: &str, address: &str) -> bool {
    let name = f.history.marker.mark(Sort::Name, name);
    let address = f.history.address(address);
    let mut bearers = people.iter().filter(|person| person.name == name).peekable();
    bearers.peek().is_some() && !bearers.any(|person| person.addresses.contains(&address))
}

pub(super) fn organizer_borrows<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(people) = &f.history.people else { return Answer::Unknown };
    let mut parties = e.event.organizers.iter();
    let holds = parties.any(|party| match (&party.name, &party.address) {
        (Some(name), Some(address)) => borrowed(f, people, name, address),
        _ => false,
    });
    flag(e, holds)
}

pub(super) fn from_borrows<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let Some(people) = &f.history.people else { return Answer::Unknown };
    mail(f, || {
        let mut from = f.message.from.iter().filter(|mailbox| !mailbox.name.is_empty());
        let holds = from.any(|mailbox| borrowed(f, people, &mailbox.name, &mailbox.address));
        vec![Datum::new(Value::Flag(holds), Place::Name("From"), Origin::Mail)]
    })
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    float(part) * 100.0 / float(whole)
}

fn calendar_number<'f>(number: f64) -> Answer<'f> {
    known([Datum::new(Value::Number(number), Place::Name("VCALENDAR"), Origin::Calendar)])
}

/// Share of the feed's events with links that lead to domains new to the feed.
pub(super) fn link_drift<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let Some(feed) = &f.history.feed else { return Answer::Unknown };
    let moved = f.events.iter().filter(|event| {
        own_links(event, f)
            .filter_map(super::Link::domain)
            .any(|domain| !feed.links.contains(&f.history.marker.mark(Sort::Domain, &domain)))
    });
    calendar_number(percent(moved.count(), f.events.len()))
}

/// Share of the feed's events whose UIDs end in what no UID of the feed ended in.
pub(super) fn namespace_drift<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let Some(feed) = &f.history.feed else { return Answer::Unknown };
    let moved = f.events.iter().filter(|event| {
        let uid = event.event.uid.as_deref().unwrap_or_default();
        let namespace = uid.rsplit_once('@').map_or("", |(_, namespace)| namespace);
        !feed.namespaces.contains(&f.history.marker.mark(Sort::Namespace, namespace))
    });
    calendar_number(percent(moved.count(), f.events.len()))
}

/// Another program makes the feed now.
pub(super) fn product_drift<'f>(f: &'f Facts<'f>) -> Answer<'f> {
    let Some(feed) = &f.history.feed else { return Answer::Unknown };
    let product = f.reading.calendars.iter().find_map(|calendar| calendar.prodid.as_deref());
    let mark = product.map(|product| f.history.marker.mark(Sort::Product, product));
    let drift = feed.product.is_some() && mark != feed.product;
    known([Datum::new(Value::Flag(drift), Place::Name("VCALENDAR.PRODID"), Origin::Calendar)])
}
