//! The section `[history]` beside a fixture: what a store or a calendar server would know, in
//! clear text.

use calspamd::facts::History;
use calspamd::facts::history::{
    By, Campaign, Correspondent, Mark, Marker, Person, Rate, Reports, Shared, Snapshot, Sort,
    Stored,
};
use serde::Deserialize;

use crate::support::seconds;

/// `[history]`; each list that stands there is known, also when it is empty.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Section {
    events: Option<Vec<Event>>,
    uids: Option<Vec<Uid>>,
    organizers: Option<Vec<Organizer>>,
    rates: Option<Vec<Counted>>,
    campaigns: Option<Vec<Group>>,
    reports: Option<Vec<Report>>,
    people: Option<Vec<Who>>,
    feed: Option<Feed>,
}

#[expect(clippy::struct_excessive_bools, reason = "each is a key of the file")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Event {
    uid: String,
    recurrence_id: Option<String>,
    organizer: Option<String>,
    proven: bool,
    own: bool,
    accepted: bool,
    countered: bool,
    clean: bool,
    sequence: i64,
    dtstamp: Option<String>,
    start: Option<String>,
    attendees: Vec<String>,
    links: Vec<String>,
    phones: Vec<String>,
    attachments: Vec<String>,
    /// `SUMMARY:Team meeting`
    properties: Vec<String>,
}

impl Default for Event {
    /// What is stored of most events: clean, and from whom it says.
    fn default() -> Self {
        Self {
            uid: String::new(),
            recurrence_id: None,
            organizer: None,
            proven: true,
            own: false,
            accepted: false,
            countered: false,
            clean: true,
            sequence: 0,
            dtstamp: None,
            start: None,
            attendees: Vec::new(),
            links: Vec::new(),
            phones: Vec::new(),
            attachments: Vec::new(),
            properties: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Uid {
    uid: String,
    organizers: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Organizer {
    address: String,
    first_seen: Option<String>,
    #[serde(default)]
    prior: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    by: String,
    window: u64,
    count: u64,
    limit: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    uid: String,
    recipients: u32,
    organizers: u32,
    /// As many as organizers where nothing else is said.
    domains: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Report {
    uid: String,
    weight: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    name: String,
    addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Feed {
    product: Option<String>,
    links: Vec<String>,
    namespaces: Vec<String>,
}

fn each<A, B>(list: Option<Vec<A>>, make: impl Fn(A) -> B) -> Option<Vec<B>> {
    list.map(|list| list.into_iter().map(make).collect())
}

impl Section {
    /// The same, as a scan takes it.
    pub(crate) fn history(self) -> History {
        let marker = Marker::new(b"fixtures");
        let marks = |sort: Sort, texts: Vec<String>| -> Vec<Mark> {
            texts.iter().map(|text| marker.mark(sort, text)).collect()
        };
        let host = |address: &str| address.rsplit_once('@').map(|(_, host)| host.to_owned());
        let stored = |event: Event| Stored {
            uid: event.uid,
            recurrence_id: event.recurrence_id,
            organizer_domain: event
                .organizer
                .as_deref()
                .and_then(host)
                .map(|host| marker.mark(Sort::Domain, &host)),
            organizer: event.organizer.map(|address| marker.mark(Sort::Address, &address)),
            proven: event.proven,
            own: event.own,
            accepted: event.accepted,
            countered: event.countered,
            clean: event.clean,
            sequence: event.sequence,
            dtstamp: event.dtstamp.as_deref().map(seconds),
            start: event.start.as_deref().map(seconds),
            attendees: marks(Sort::Address, event.attendees),
            links: marks(Sort::Domain, event.links),
            phones: marks(Sort::Phone, event.phones),
            attachments: marks(Sort::Attachment, event.attachments),
            properties: marks(Sort::Property, event.properties),
        };
        let organizer = |organizer: Organizer| Correspondent {
            address: organizer.address,
            first_seen: organizer.first_seen.as_deref().map(seconds),
            prior: organizer.prior,
        };
        let rate = |rate: Counted| {
            let all = [By::Organizer, By::Domain, By::Account, By::Client, By::Recipient];
            let by = all.into_iter().find(|by| by.name() == rate.by);
            let by = by.unwrap_or_else(|| panic!("nothing is counted by `{}`", rate.by));
            Rate { by, window: rate.window, count: rate.count, limit: rate.limit }
        };
        let campaign = |group: Group| Campaign {
            uid: group.uid,
            recipients: group.recipients,
            organizers: group.organizers,
            domains: group.domains.unwrap_or(group.organizers),
        };
        let person = |who: Who| Person {
            name: marker.mark(Sort::Name, &who.name),
            addresses: marks(Sort::Address, who.addresses),
        };
        let feed = |feed: Feed| Snapshot {
            product: feed.product.map(|product| marker.mark(Sort::Product, &product)),
            links: marks(Sort::Domain, feed.links),
            namespaces: marks(Sort::Namespace, feed.namespaces),
        };
        History {
            events: each(self.events, stored),
            uids: each(self.uids, |s| Shared { uid: s.uid, organizers: s.organizers }),
            organizers: each(self.organizers, organizer),
            rates: each(self.rates, rate),
            campaigns: each(self.campaigns, campaign),
            reports: each(self.reports, |r| Reports { uid: r.uid, weight: r.weight }),
            people: each(self.people, person),
            feed: self.feed.map(feed),
            marker: marker.clone(),
        }
    }
}
