//! Collects from [`Facts`] what lists could be asked about, each value once with the places it
//! was found in. Not an error: more of it than anybody may ask; the first so many count.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use super::list::Kind;
use super::names::{self, Named, Value};
use super::question::{Plan, Source, Subject, Subjects};
use crate::facts::mail::{self, Zone};
use crate::facts::{Facts, Link, Origin, Place, domain};
use crate::message::Mechanism;

/// Hops asked about, beside the client.
const HOPS: usize = 4;
/// Addresses taken from texts of events.
const CONTACTS: usize = 20;
/// Values looked at of one message, before anything is asked.
const CANDIDATES: usize = 2_000;
/// Places kept of one value as one subject.
const PLACES: usize = 5;

/// What was found.
#[derive(Default)]
pub(super) struct Found<'f> {
    values: Vec<Named>,
    by_value: HashMap<Value, usize>,
    /// Hosts as they were written; none for those that nobody is asked about.
    hosts: HashMap<String, Option<usize>>,
    /// Values with their places, in the order in which they were found.
    sources: Vec<(usize, Source<'f>)>,
    /// Places by value and subject.
    places: HashMap<(usize, Subject), usize>,
}

impl<'f> Found<'f> {
    /// Values with one of their places each.
    pub(super) fn values(&self) -> impl Iterator<Item = (&Named, Source<'f>)> {
        self.sources.iter().filter_map(|(index, source)| Some((self.values.get(*index)?, *source)))
    }

    fn add(&mut self, value: Value, source: Source<'f>, plan: &Plan<'_>) -> Option<usize> {
        let known = self.by_value.get(&value).copied();
        let index = match known {
            Some(index) => index,
            None if self.values.len() >= CANDIDATES => return None,
            None => {
                let named = Named::new(value.clone());
                if named.is_among(plan.skipped) {
                    return None;
                }
                self.by_value.insert(value, self.values.len());
                self.values.push(named);
                self.values.len() - 1
            }
        };
        self.again(Some(index), source);
        Some(index)
    }

    fn again(&mut self, known: Option<usize>, source: Source<'f>) {
        let Some(index) = known else { return };
        let places = self.places.entry((index, source.subject)).or_default();
        if *places < PLACES {
            *places += 1;
            self.sources.push((index, source));
        }
    }
}

/// Goes through facts.
pub(super) fn collect<'f>(
    facts: &'f Facts<'f>,
    plan: &Plan<'_>,
    wanted: Subjects,
    calendar_only: bool,
) -> Found<'f> {
    let by_link = plan.lists.iter().any(|list| list.kind == Kind::Link);
    let found = Found::default();
    let mut collector = Collector { facts, plan, calendar_only, wanted, by_link, found };
    collector.people();
    collector.links();
    collector.network();
    collector.found
}

struct Collector<'f, 's> {
    facts: &'f Facts<'f>,
    plan: &'s Plan<'s>,
    calendar_only: bool,
    wanted: Subjects,
    /// Some list has digests of links.
    by_link: bool,
    found: Found<'f>,
}

impl<'f> Collector<'f, '_> {
    fn wants(&self, subject: Subject, origin: Origin) -> bool {
        self.wanted.contains(subject) && (!self.calendar_only || origin == Origin::Calendar)
    }

    fn add(&mut self, value: Option<Value>, source: Source<'f>) {
        if let Some(value) = value
            && self.wants(source.subject, source.origin)
        {
            self.found.add(value, source, self.plan);
        }
    }

    /// An address: its digest, and its domain.
    fn address(&mut self, address: &str, source: Source<'f>) {
        let address = address.trim().to_lowercase();
        let Some((_, host)) = address.rsplit_once('@') else { return };
        self.domain(host, source);
        self.add(Some(Value::Address(address)), source);
    }

    fn domain(&mut self, host: &str, source: Source<'f>) {
        let host = domain::canonical_host(host);
        self.host(host.as_deref(), source);
    }

    fn host(&mut self, host: Option<&str>, source: Source<'f>) {
        let Some(host) = host.filter(|_| self.wants(source.subject, source.origin)) else { return };
        // Many links lead to one host.
        if let Some(known) = self.found.hosts.get(host) {
            self.found.again(*known, source);
            return;
        }
        let value = Value::of_host(host);
        let known = value.and_then(|value| self.found.add(value, source, self.plan));
        self.found.hosts.insert(host.to_owned(), known);
    }

    fn people(&mut self) {
        let facts = self.facts;
        for event in &facts.events {
            let source = |subject, place| Source {
                subject,
                place,
                origin: Origin::Calendar,
                event: Some(event.index),
            };
            for organizer in &event.event.organizers {
                let place = event
                    .event
                    .property("ORGANIZER")
                    .map_or(Place::Event(event.event), |p| Place::Property(event.event, p));
                if let Some(address) = &organizer.address {
                    self.address(address, source(Subject::Organizer, place));
                }
                if let Some(address) = &organizer.sent_by {
                    self.address(address, source(Subject::SentBy, place));
                }
            }
        }
        let mail = |subject, name| Source {
            subject,
            place: Place::Name(name),
            origin: Origin::Mail,
            event: None,
        };
        for mailbox in &facts.message.from {
            self.address(&mailbox.address, mail(Subject::From, "From"));
        }
        for mailbox in &facts.message.reply_to {
            self.address(&mailbox.address, mail(Subject::ReplyTo, "Reply-To"));
        }
        let network = |subject, name| Source { origin: Origin::Network, ..mail(subject, name) };
        if let Some(sender) = &facts.envelope.sender {
            self.address(sender, network(Subject::Sender, "envelope"));
        }
        if self.wants(Subject::Dkim, Origin::Mail) {
            for header in mail::fields::named(facts.message, "DKIM-Signature").take(HOPS) {
                let value = mail::fields::decoded(header);
                let value = String::from_utf8_lossy(&value);
                let tag = value.split(';').find_map(|tag| {
                    let (name, value) = tag.split_once('=')?;
                    (name.trim() == "d").then(|| value.trim().to_owned())
                });
                if let Some(host) = tag {
                    self.domain(&host, mail(Subject::Dkim, "DKIM-Signature"));
                }
            }
        }
        let stated = facts.authentication.iter().flat_map(|all| &all.results);
        for result in stated.take(CANDIDATES) {
            if result.mechanism == Mechanism::Dkim
                && result.result == "pass"
                && let Some(host) = &result.domain
            {
                self.domain(host, network(Subject::DkimPass, "Authentication-Results"));
            }
        }
        // Last, because anybody writes as many of them into a text as he likes.
        for event in &facts.events {
            for (text, address) in event.emails.iter().take(CONTACTS) {
                let place =
                    event.texts.get(*text).map_or(Place::Event(event.event), |text| text.place);
                let (subject, origin) = (Subject::Contact, Origin::Calendar);
                self.address(address, Source { subject, place, origin, event: Some(event.index) });
            }
        }
    }

    fn links(&mut self) {
        let facts = self.facts;
        for opened in [true, false] {
            // What a click opens, and what a wrapper hides, before links in running text; of
            // those in turn the first and the last, because filler stands on either side.
            let first = |link: &&Link<'_>| (link.opened || link.unwrapped) == opened;
            let mut links: VecDeque<&Link<'_>> = facts.links.all.iter().filter(first).collect();
            let mut from_front = true;
            while let Some(link) = if from_front { links.pop_front() } else { links.pop_back() } {
                from_front = !from_front;
                let subject = match link.origin {
                    Origin::Calendar => Subject::EventLink,
                    Origin::Mail | Origin::Network => Subject::MailLink,
                };
                let source =
                    Source { subject, place: link.place, origin: link.origin, event: link.event };
                self.host(link.host.as_deref(), source);
                if self.by_link
                    && let Some(host) = &link.host
                {
                    self.add(Value::of_link(&link.url, host), source);
                }
            }
        }
    }

    fn network(&mut self) {
        if self.calendar_only {
            return;
        }
        let facts = self.facts;
        let relays = facts.mail.relays(self.plan.networks);
        let external = relays.of(Zone::External);
        let mut client = true;
        for relay in external.filter(|relay| relay.auth.is_empty()).take(1 + HOPS) {
            let ip = relay.ip.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
            let (subject, name) = if std::mem::take(&mut client) {
                (Subject::Client, "client")
            } else {
                (Subject::Hop, "Received")
            };
            let value = ip.filter(|ip| names::is_public(*ip)).map(Value::Ip);
            let place = Place::Name(name);
            self.add(value, Source { subject, place, origin: Origin::Network, event: None });
        }
    }
}
