//! What was seen before this message: [`History`], and the facts that follow from it.
//!
//! Comes in: what a store or a calendar server knows of the message's UIDs, organizers,
//! senders, texts and people. Goes out: answers about the message compared with that.
//! Not an error: knowing nothing. Every field of [`History`] is `None` until somebody who
//! knows fills it, and then each fact of it is [`Answer::Unknown`] and no rule scores it. An
//! empty list is knowledge: it was looked up, and there is nothing.
//!
//! Whoever remembers need not remember in clear text. Addresses, names, domains and numbers of
//! earlier messages stand here as [`Mark`]s, which are made from the text with a secret, and
//! are compared with the marks of what the message says.

use std::collections::HashSet;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::answers::{all, domain_of, flag, known, own_links, recipients, values};
use super::gather::EventFacts;
use super::{Answer, Datum, Facts, Origin, Place, Value, domain, text};
use crate::calendar::{Party, Property, Value as PropertyValue};

/// Texts of one event that are compared with what is remembered.
const MOST: usize = 500;

/// What is remembered in place of a text: equal texts have equal marks under one secret, and
/// nobody without the secret can tell or try out the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub [u8; 16]);

/// What a mark is made of. The same text of two sorts has two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A mail address.
    Address,
    /// A registered domain, of an address or of a link.
    Domain,
    /// A person's display name, in whatever order its words stand.
    Name,
    /// A phone number, digits only.
    Phone,
    /// An attachment: its URI, or its octets as hex of SHA-256.
    Attachment,
    /// A property's value: `NAME:value`.
    Property,
    /// A PRODID.
    Product,
    /// What stands behind the `@` of UIDs; of a UID without one, nothing.
    Namespace,
}

/// Makes marks. The default has no secret: for tests, and for callers who state everything in
/// one request.
#[derive(Debug, Clone, Default)]
pub struct Marker {
    secret: Arc<[u8]>,
}

impl Marker {
    /// Marks that only holders of the secret can make.
    pub fn new(secret: &[u8]) -> Self {
        Self { secret: secret.into() }
    }

    /// The mark of a text; case and white space around it do not count.
    pub fn mark(&self, sort: Sort, text: &str) -> Mark {
        let text = text.trim().to_lowercase();
        let text = match sort {
            Sort::Name => {
                let folded = text::normalise(&text).0.to_lowercase();
                let mut words: Vec<&str> = folded
                    .split(|c: char| !c.is_alphanumeric())
                    .filter(|word| !word.is_empty())
                    .collect();
                words.sort_unstable();
                words.join(" ")
            }
            Sort::Phone => text.chars().filter(char::is_ascii_digit).collect(),
            Sort::Domain => domain::registered(&text).into_owned(),
            Sort::Address | Sort::Attachment | Sort::Property | Sort::Product | Sort::Namespace => {
                text
            }
        };
        let mut hash = Sha256::new();
        hash.update((self.secret.len() as u64).to_be_bytes());
        hash.update(&self.secret);
        hash.update([sort as u8]);
        hash.update(text.as_bytes());
        let mut mark = [0; 16];
        mark.iter_mut().zip(hash.finalize()).for_each(|(to, from)| *to = from);
        Mark(mark)
    }
}

/// What is known of the past. `None` anywhere: not known.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Makes the marks that all of this is written in.
    pub marker: Marker,
    /// Events that the recipient's calendar or the store holds under UIDs of this message. A UID
    /// without an entry has never been seen.
    pub events: Option<Vec<Stored>>,
    /// How many organizers have used each UID of this message, over all recipients.
    pub uids: Option<Vec<Shared>>,
    /// What connects the recipients with organizers of this message. One without an entry is a
    /// stranger.
    pub organizers: Option<Vec<Correspondent>>,
    /// Invitations counted in windows that end now, this message included.
    pub rates: Option<Vec<Rate>>,
    /// Near-identical events seen elsewhere.
    pub campaigns: Option<Vec<Campaign>>,
    /// What users have reported.
    pub reports: Option<Vec<Reports>>,
    /// The site's people and the recipient's contacts whose names occur in the message.
    pub people: Option<Vec<Person>>,
    /// The feed when it was fetched last; known for feeds only.
    pub feed: Option<Snapshot>,
}

/// An event as it was last seen.
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// UID as written.
    pub uid: String,
    /// RECURRENCE-ID as written; the whole series without one.
    pub recurrence_id: Option<String>,
    /// Address of the organizer.
    pub organizer: Option<Mark>,
    /// Registered domain of the organizer.
    pub organizer_domain: Option<Mark>,
    /// The first sighting was authenticated in alignment with the organizer, or the event came
    /// from the calendar server. Otherwise somebody may have squatted the UID, and nothing
    /// follows from who organized it.
    pub proven: bool,
    /// The recipient organizes it, under whatever address.
    pub own: bool,
    /// The recipient has accepted it.
    pub accepted: bool,
    /// The recipient has sent a COUNTER to it.
    pub countered: bool,
    /// It was judged clean.
    pub clean: bool,
    /// SEQUENCE, the highest seen.
    pub sequence: i64,
    /// DTSTAMP, the newest of that SEQUENCE; seconds since 1970 UTC.
    pub dtstamp: Option<i64>,
    /// First start, seconds since 1970 UTC.
    pub start: Option<i64>,
    /// Addresses of the attendees.
    pub attendees: Vec<Mark>,
    /// Registered domains of its links.
    pub links: Vec<Mark>,
    /// Its phone numbers.
    pub phones: Vec<Mark>,
    /// Its attachments.
    pub attachments: Vec<Mark>,
    /// Its values of properties that a COUNTER may not change ([`FIXED`]).
    pub properties: Vec<Mark>,
}

/// Properties that the store remembers to tell what a COUNTER changes.
pub const FIXED: [&str; 4] = ["SUMMARY", "URL", "ATTACH", "CONFERENCE"];

/// Who has used a UID.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// UID as written.
    pub uid: String,
    /// Distinct organizers' registered domains, this message's included.
    pub organizers: u32,
}

/// What connects recipients and an organizer.
#[derive(Debug, Clone, Default)]
pub struct Correspondent {
    /// The organizer's address in lower case, as this message has it.
    pub address: String,
    /// When an invitation of his was seen first, seconds since 1970 UTC.
    pub first_seen: Option<i64>,
    /// The recipient wrote to him, or accepted an invitation of his, before.
    pub prior: bool,
}

/// What invitations are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The organizer's address.
    Organizer,
    /// The organizer's registered domain.
    Domain,
    /// The authenticated user who sends.
    Account,
    /// The SMTP client.
    Client,
    /// The recipient, of organizers who are new to him.
    Recipient,
}

impl By {
    /// Name in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organizer => "organizer",
            Self::Domain => "domain",
            Self::Account => "account",
            Self::Client => "client",
            Self::Recipient => "recipient",
        }
    }
}

/// A count in a window.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// What is counted by.
    pub by: By,
    /// Length of the window in seconds.
    pub window: u64,
    /// Invitations in it.
    pub count: u64,
    /// What the configuration allows.
    pub limit: u64,
}

/// Near-identical events.
#[derive(Debug, Clone, Default)]
pub struct Campaign {
    /// UID of this message's event, as written.
    pub uid: String,
    /// Distinct recipients, this message's included.
    pub recipients: u32,
    /// Distinct organizers, this message's included.
    pub organizers: u32,
}

/// What users have reported of an event: its UID, its campaign, its organizer or its links.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    /// UID of this message's event, as written.
    pub uid: String,
    /// Distinct users, each with the weight that time and role have left him: 1 for a fresh
    /// report of a user. Reports of "not spam" are subtracted.
    pub weight: f64,
}

/// Somebody whose name is worth stealing.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name ([`Sort::Name`]).
    pub name: Mark,
    /// The person's own addresses.
    pub addresses: Vec<Mark>,
}

/// A subscribed calendar as it was.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// PRODID.
    pub product: Option<Mark>,
    /// Registered domains of its links.
    pub links: Vec<Mark>,
    /// What stood behind the `@` of its UIDs.
    pub namespaces: Vec<Mark>,
}

impl History {
    /// What is stored of an event: its instance if that is known, else its series.
    fn stored(&self, e: &EventFacts<'_>) -> Option<Option<&Stored>> {
        let events = self.events.as_ref()?;
        let Some(uid) = e.event.uid.as_deref() else { return Some(None) };
        let mut same = events.iter().filter(|stored| stored.uid == uid);
        let instance = e.event.recurrence_id.as_deref();
        let exact = same.clone().find(|stored| stored.recurrence_id.as_deref() == instance);
        Some(exact.or_else(|| same.find(|stored| stored.recurrence_id.is_none())))
    }

    fn address(&self, address: &str) -> Mark {
        self.marker.mark(Sort::Address, address)
    }
}

/// A flag about a stored event; no value where the UID is new.
pub(super) fn of_stored<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    ask: fn(&EventFacts<'_>, &'f Facts<'f>, &Stored) -> bool,
) -> Answer<'f> {
    match f.history.stored(e) {
        None => Answer::Unknown,
        Some(None) => known([]),
        Some(Some(stored)) => flag(e, ask(e, f, stored)),
    }
}

pub(super) fn is_known<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    f.history.stored(e).map_or(Answer::Unknown, |stored| flag(e, stored.is_some()))
}

pub(super) fn is_stated<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    flag(e, f.history.events.is_some())
}

fn addresses<'e>(parties: &'e [Party]) -> impl Iterator<Item = &'e str> {
    parties.iter().take(MOST).filter_map(|party| party.address.as_deref())
}

/// The same about its organizer; no value where none is stored.
pub(super) fn of_organized<'f>(
    e: &'f EventFacts<'f>,
    f: &'f Facts<'f>,
    ask: fn(&EventFacts<'_>, &'f Facts<'f>, &Stored) -> bool,
) -> Answer<'f> {
    match f.history.stored(e) {
        Some(Some(stored)) if stored.organizer_domain.is_none() => known([]),
        _ => of_stored(e, f, ask),
    }
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
    let Some(stored) = f.history.stored(e) else { return Answer::Unknown };
    let order = stored.map(|stored| {
        let sequence = e.event.sequence.unwrap_or(0).cmp(&stored.sequence);
        let stamp = match (e.event.dtstamp, stored.dtstamp) {
            (Some(now), Some(then)) => now.cmp(&then),
            _ => std::cmp::Ordering::Equal,
        };
        match sequence.then(stamp) {
            std::cmp::Ordering::Less => "older",
            std::cmp::Ordering::Equal => "same",
            std::cmp::Ordering::Greater => "newer",
        }
    });
    values(order.map(|order| Value::Text(order.into())), Place::Event(e.event))
}

/// How far SEQUENCE is above the stored one.
pub(super) fn jump<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(stored) = f.history.stored(e) else { return Answer::Unknown };
    let jump = stored.map(|stored| {
        super::answers::float(e.event.sequence.unwrap_or(0).saturating_sub(stored.sequence))
    });
    values(jump.map(Value::Number), Place::Event(e.event))
}

/// Registered domains of links that the stored event did not have.
pub(super) fn added_links<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(stored) = f.history.stored(e) else { return Answer::Unknown };
    let Some(stored) = stored else { return known([]) };
    let mut seen = HashSet::new();
    let links = own_links(e, f).filter_map(|link| link.domain().map(|domain| (domain, link.place)));
    all(links.filter_map(|(domain, place)| {
        let mark = f.history.marker.mark(Sort::Domain, &domain);
        let is_new = !stored.links.contains(&mark) && seen.insert(mark);
        is_new.then_some((Value::Text(domain), place))
    }))
}

/// Phone numbers that it did not have.
pub(super) fn added_phones<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(stored) = f.history.stored(e) else { return Answer::Unknown };
    let Some(stored) = stored else { return known([]) };
    let is_new =
        |number: &str| !stored.phones.contains(&f.history.marker.mark(Sort::Phone, number));
    all(e.phones.iter().filter(|phone| is_new(&phone.number)).map(|phone| {
        let place = e.texts.get(phone.text).map_or(Place::Event(e.event), |text| text.place);
        (Value::Text((&*phone.number).into()), place)
    }))
}

/// What stands for an attachment.
fn attachment(property: &Property) -> Option<String> {
    match &property.value {
        PropertyValue::Uri(text) | PropertyValue::Text(text) | PropertyValue::Other(text) => {
            Some(text.clone())
        }
        PropertyValue::Binary { data, .. } => {
            let digest = Sha256::digest(data);
            Some(digest.iter().fold(String::new(), |mut hex, byte| {
                use std::fmt::Write as _;
                let _ = write!(hex, "{byte:02x}");
                hex
            }))
        }
    }
}

/// Attachments that it did not have.
pub(super) fn added_attachments<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(stored) = f.history.stored(e) else { return Answer::Unknown };
    let Some(stored) = stored else { return known([]) };
    let attached = e.event.properties.iter().filter(|p| p.name == "ATTACH" && p.within == 0);
    all(attached.take(MOST).filter_map(|property| {
        let value = attachment(property)?;
        let is_new = !stored.attachments.contains(&f.history.marker.mark(Sort::Attachment, &value));
        is_new.then_some((Value::Text(value.into()), Place::Property(e.event, property)))
    }))
}

/// Properties of [`FIXED`] whose value the stored event did not have.
pub(super) fn changed<'f>(e: &'f EventFacts<'f>, f: &'f Facts<'f>) -> Answer<'f> {
    let Some(stored) = f.history.stored(e) else { return Answer::Unknown };
    let Some(stored) = stored else { return known([]) };
    let asked = e.event.properties.iter().filter(|p| p.within == 0 && FIXED.contains(&&*p.name));
    all(asked.take(MOST).filter_map(|property| {
        let value = format!("{}:{}", property.name, attachment(property)?);
        let mark = f.history.marker.mark(Sort::Property, &value);
        let differs = !stored.properties.contains(&mark);
        differs.then(|| (Value::Text((&*property.name).into()), Place::Property(e.event, property)))
    }))
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
    let worst = of_senders
        .map(|rate| super::answers::float(rate.count) / super::answers::float(rate.limit))
        .fold(0.0, f64::max);
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
    super::answers::mail(f, || {
        let mut from = f.message.from.iter().filter(|mailbox| !mailbox.name.is_empty());
        let holds = from.any(|mailbox| borrowed(f, people, &mailbox.name, &mailbox.address));
        vec![Datum::new(Value::Flag(holds), Place::Name("From"), Origin::Mail)]
    })
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    super::answers::float(part) * 100.0 / super::answers::float(whole)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_equal_for_the_same_and_differ_for_others() {
        let marker = Marker::new(b"secret");
        let same = |sort, one, other| marker.mark(sort, one) == marker.mark(sort, other);
        for (sort, one, other, expected) in [
            (Sort::Address, "Ann@Corp.example", " ann@corp.example", true),
            (Sort::Address, "ann@corp.example", "bob@corp.example", false),
            (Sort::Name, "Example, Ann", "ann example", true),
            (Sort::Name, "Ann Example", "Ann Sample", false),
            (Sort::Phone, "+1 202 555-0143", "12025550143", true),
            (Sort::Domain, "www.corp.example", "corp.example", true),
            (Sort::Product, "-//A//EN", "-//B//EN", false),
        ] {
            assert_eq!(same(sort, one, other), expected, "{sort:?} {one} {other}");
        }
        let mark = |marker: &Marker, sort| marker.mark(sort, "corp.example");
        assert_ne!(mark(&marker, Sort::Domain), mark(&marker, Sort::Address));
        assert_ne!(mark(&marker, Sort::Domain), mark(&Marker::default(), Sort::Domain));
    }
}
