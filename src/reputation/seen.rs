//! What is remembered of a message, before anybody knows what it is worth.
//!
//! Comes in: [`Facts`] with what is known of authentication. Goes out: [`Seen`], all of it
//! hashes but what a record of provenance shows.
//! Not an error: events without UID or organizer; less is remembered of them.

use crate::calendar::Party;
use crate::facts::history::{Mark, Stored, snapshot};
use crate::facts::{EventFacts, Facts, domain};
use crate::message::{AuthenticationResults, Envelope, Message};

use super::campaign;
use super::keys::{By, Keys, Sketch, short};
use super::store::{Key, Kind, Member};

/// Events of one message that are remembered.
pub(super) const EVENTS: usize = 20;
/// Recipients of one message that are remembered.
pub(super) const RECIPIENTS: usize = 20;
/// Domains of recipients whose events are told apart.
const DOMAINS: usize = 3;
/// People, links and so on of one event that are remembered.
const MARKS: usize = 300;
/// Registered domains of links that can be reported.
const LINKS: usize = 10;
/// Attendees whose answers are remembered in one message.
const ANSWERS: usize = 3;

/// What the organizer or an attendee wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// To invite, or to tell.
    Invites,
    /// To cancel.
    Cancels,
    /// To answer.
    Answers,
    /// To propose something else.
    Counters,
    /// Anything else.
    Other,
}

impl Role {
    fn of(method: Option<&str>) -> Self {
        match method.unwrap_or("PUBLISH") {
            "REQUEST" | "PUBLISH" | "ADD" => Self::Invites,
            "CANCEL" => Self::Cancels,
            "REPLY" => Self::Answers,
            "COUNTER" => Self::Counters,
            _ => Self::Other,
        }
    }

    /// True for what only an organizer sends.
    pub(super) const fn is_organizers(self) -> bool {
        matches!(self, Self::Invites | Self::Cancels)
    }

    /// True for answers to what the recipient has sent, and what refuses his proposals.
    pub(super) fn is_answer(method: Option<&str>) -> bool {
        matches!(method, Some("REPLY" | "COUNTER" | "REFRESH" | "DECLINECOUNTER"))
    }
}

/// Who organizes an event.
#[derive(Debug, Clone)]
pub(super) struct Organizer {
    /// In lower case, as the message has it.
    pub(super) address: String,
    pub(super) mark: Mark,
    pub(super) domain: Option<Mark>,
    /// His domain sent the message, as far as anybody can tell.
    pub(super) aligned: bool,
}

/// Where an event is kept for the people of one domain.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub(super) key: Key,
    /// The series of which the event is one instance.
    pub(super) series: Option<Key>,
    /// Whether the message may change what is kept; set by recalling it.
    pub(super) may_change: bool,
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct SeenEvent {
    pub(super) uid: String,
    pub(super) role: Role,
    pub(super) is_answer: bool,
    pub(super) organizer: Option<Organizer>,
    pub(super) spots: Vec<Spot>,
    pub(super) stored: Stored,
    /// Organizers' domains of the UID.
    pub(super) uid_key: Key,
    /// Where texts like this one are found.
    pub(super) bands: Vec<Key>,
    /// What they are compared by.
    pub(super) sketch: Option<Sketch>,
    /// It stands under all `bands`, and not for long; set by recalling it.
    pub(super) is_noted: bool,
    /// The same numbers, the same links: sharing one is enough.
    pub(super) exact: Vec<Key>,
    /// Registered domains of links.
    pub(super) links: Vec<Mark>,
    /// What the local user answers, and who he is.
    pub(super) answers: Vec<(Member, Answer)>,
}

/// What somebody of ours has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Accepted,
    Countered,
}

/// A user of ours who sends.
#[derive(Debug, Clone)]
pub(super) struct User {
    /// His addresses, as far as the envelope tells.
    pub(super) addresses: Vec<Mark>,
    pub(super) domain: Option<Mark>,
}

/// One message.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Time of the scan.
    pub(super) now: i64,
    /// Nothing else has this number.
    pub(super) id: Member,
    pub(super) recipients: Vec<Mark>,
    /// Their domains.
    pub(super) domains: Vec<Mark>,
    pub(super) user: Option<User>,
    pub(super) account: Option<Key>,
    pub(super) client: Option<Key>,
    pub(super) events: Vec<SeenEvent>,
    /// In clear text, for a record that shows it.
    pub(super) message_id: Option<String>,
    pub(super) source_ip: Option<String>,
    pub(super) via: &'static str,
    pub(super) method: Option<String>,
    pub(super) rcpt: Vec<String>,
    /// `dkim=pass` and so on, without names.
    pub(super) authentication: Vec<String>,
}

fn host(address: &str) -> Option<&str> {
    address.rsplit_once('@').map(|(_, host)| host).filter(|host| !host.is_empty())
}

/// The envelope's user, where he is one: MTAs send an empty header for nobody.
fn user(keys: &Keys, message: &Message<'_>, envelope: &Envelope) -> Option<User> {
    let name = envelope.user.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
    let from = message.from.first().map(|mailbox| mailbox.address.as_str());
    let sender = envelope.sender.as_deref();
    // A login with a domain vouches for addresses of that domain; a bare one for the envelope.
    let own = host(name).or_else(|| sender.and_then(host)).or_else(|| from.and_then(host));
    let own = own.map(|host| domain::registered(host).into_owned());
    let is_own = |address: &&str| {
        host(address).is_some_and(|host| Some(&*domain::registered(host)) == own.as_deref())
    };
    let mut addresses: Vec<Mark> = [Some(name), sender, from]
        .into_iter()
        .flatten()
        .filter(is_own)
        .map(|address| keys.address(address))
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    Some(User { addresses, domain: own.map(|own| keys.domain(&own)) })
}

impl Seen {
    /// What of a mail without a calendar is to be remembered: whom our users write to.
    pub(super) fn letter(
        keys: &Keys,
        message: &Message<'_>,
        envelope: &Envelope,
        now: i64,
        id: Member,
    ) -> Self {
        let rcpt: Vec<String> = if envelope.recipients.is_empty() {
            message.to.iter().map(|mailbox| mailbox.address.clone()).collect()
        } else {
            envelope.recipients.iter().map(|recipient| recipient.to_lowercase()).collect()
        };
        let rcpt: Vec<String> =
            rcpt.into_iter().filter(|one| !one.is_empty()).take(RECIPIENTS).collect();
        Self {
            now,
            id,
            recipients: rcpt.iter().map(|recipient| keys.address(recipient)).collect(),
            domains: Vec::new(),
            user: user(keys, message, envelope),
            account: None,
            client: None,
            events: Vec::new(),
            message_id: message.message_id.clone(),
            source_ip: envelope.client_ip.map(|ip| ip.to_string()),
            via: if message.bare { "itip" } else { "imip" },
            method: None,
            rcpt,
            authentication: Vec::new(),
        }
    }

    /// What of the message is to be remembered.
    pub(super) fn of(keys: &Keys, facts: &Facts<'_>, id: Member) -> Self {
        let envelope = facts.envelope;
        let letter = Self::letter(keys, facts.message, envelope, facts.now, id);
        let (rcpt, user) = (&letter.rcpt, &letter.user);
        let mut domains: Vec<Mark> = match user {
            // Events of our own people are kept for them.
            Some(user) => user.domain.into_iter().collect(),
            None => rcpt.iter().filter_map(|one| host(one)).map(|host| keys.domain(host)).collect(),
        };
        domains.sort_unstable();
        domains.dedup();
        domains.truncate(DOMAINS);
        // A calendar server asks about a bare event: for itself.
        if domains.is_empty() {
            domains.push(keys.marker.pieces(0, &[]));
        }
        let account = user.as_ref().and(envelope.user.as_deref());
        let account =
            account.map(|name| keys.key(Kind::ByAccount, &[name.trim().to_lowercase().as_bytes()]));
        let client = envelope
            .client_ip
            .filter(|ip| !facts.site.is_trusted(*ip))
            .map(|ip| keys.key(Kind::ByClient, &[ip.to_canonical().to_string().as_bytes()]));
        let events: Vec<SeenEvent> = facts
            .events
            .iter()
            .take(EVENTS)
            .filter_map(|event| SeenEvent::of(keys, facts, event, &domains, user.as_ref()))
            .collect();
        let results = facts.authentication.iter().flat_map(|results| &results.results).take(20);
        Self {
            domains,
            account,
            client,
            method: facts.reading.calendars.first().and_then(|calendar| calendar.method.clone()),
            authentication: results
                .map(|result| format!("{:?}={}", result.mechanism, result.result).to_lowercase())
                .collect(),
            events,
            ..letter
        }
    }

    /// The keys by which its record is found.
    pub(super) fn indexes(&self, keys: &Keys) -> Vec<Key> {
        let id = self.message_id.iter().map(|id| keys.index(By::MessageId, id));
        let uids = self.events.iter().map(|event| keys.index(By::Uid, &event.uid));
        let organizers = self.events.iter().filter_map(|event| event.organizer.as_ref());
        let organizers = organizers.map(|who| keys.index(By::Organizer, &who.address));
        let mut indexes: Vec<Key> = id.chain(uids).chain(organizers).collect();
        indexes.sort_unstable();
        indexes.dedup();
        indexes
    }

    /// What somebody who reports the message reports.
    pub(super) fn targets(&self, keys: &Keys) -> Vec<Key> {
        let mut targets: Vec<Key> =
            self.events.iter().flat_map(|event| event.targets(keys)).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// Octets that it takes, about.
    pub(super) fn size(&self) -> usize {
        let event = |event: &SeenEvent| {
            let stored = &event.stored;
            let marks = stored.attendees.len() + stored.links.len() + stored.properties.len();
            1_000 + event.uid.len() + 16 * (marks + stored.phones.len() + stored.attachments.len())
        };
        1_000 + self.events.iter().map(event).sum::<usize>()
    }
}

impl SeenEvent {
    fn of(
        keys: &Keys,
        facts: &Facts<'_>,
        e: &EventFacts<'_>,
        domains: &[Mark],
        user: Option<&User>,
    ) -> Option<Self> {
        // What has no UID cannot be talked about later.
        let uid = e.event.uid.clone().filter(|uid| !uid.trim().is_empty())?;
        let calendar = facts.reading.calendars.get(e.event.calendar);
        let method = calendar.and_then(|calendar| calendar.method.as_deref());
        let role = Role::of(method);
        let organizer = organizer(keys, facts, e, user);
        let spot = |domain: &Mark| {
            let key = |instance: &str| {
                keys.key(Kind::Event, &[uid.as_bytes(), instance.as_bytes(), &domain.0])
            };
            let instance = e.event.recurrence_id.as_deref();
            Spot {
                key: key(instance.unwrap_or_default()),
                series: instance.map(|_| key("")),
                may_change: false,
            }
        };
        let digests = if role.is_organizers() {
            campaign::digest(e, facts)
        } else {
            campaign::Digests::default()
        };
        let band = |(number, band): (u8, u64)| {
            keys.key(Kind::Campaign, &[b"band", &[number], &band.to_be_bytes()])
        };
        let exact = |name: &[u8], digest: Option<u64>| {
            digest.map(|digest| keys.key(Kind::Campaign, &[name, &digest.to_be_bytes()]))
        };
        let stored = snapshot(e, facts, &keys.marker, MARKS);
        Some(Self {
            role,
            is_answer: Role::is_answer(method),
            spots: domains.iter().map(spot).collect(),
            uid_key: keys.key(Kind::Uid, &[uid.as_bytes()]),
            bands: (0..)
                .zip(digests.text.iter().flat_map(campaign::Text::bands))
                .map(band)
                .collect(),
            sketch: digests.text.as_ref().map(|text| keys.sketch(text)),
            is_noted: false,
            exact: [exact(b"phones", digests.phones), exact(b"links", digests.links)]
                .into_iter()
                .flatten()
                .collect(),
            links: stored.links.iter().copied().take(LINKS).collect(),
            answers: answers(keys, e, role, user),
            organizer,
            stored,
            uid,
        })
    }

    /// What somebody who reports the event reports. A name that nobody has vouched for is not
    /// among it: he may not even know that somebody uses it.
    pub(super) fn targets(&self, keys: &Keys) -> Vec<Key> {
        let mut targets = Vec::new();
        let organizer = self.organizer.as_ref();
        let who = organizer.map_or([0; 16], |who| who.mark.0);
        targets.push(keys.key(Kind::Reports, &[b"uid", self.uid.as_bytes(), &who]));
        let aligned = organizer.filter(|who| who.aligned);
        targets.extend(aligned.map(|who| Keys::of(Kind::Reports, who.mark)));
        targets.extend(self.bands.iter().chain(&self.exact).map(reports_on));
        targets.extend(self.links.iter().map(|link| Keys::of(Kind::Reports, *link)));
        targets
    }
}

/// The reports about what another key is about.
pub(super) fn reports_on(key: &Key) -> Key {
    let mut key = *key;
    key.0[0] = Kind::Reports as u8;
    key
}

fn organizer(
    keys: &Keys,
    facts: &Facts<'_>,
    e: &EventFacts<'_>,
    user: Option<&User>,
) -> Option<Organizer> {
    let address = e.event.organizers.iter().find_map(|party| party.address.clone())?;
    let registered = host(&address).map(|host| domain::registered(host).into_owned());
    let domain = registered.as_deref().map(|name| keys.domain(name));
    let passes = facts.authentication.iter().flat_map(AuthenticationResults::passing_domains);
    let passes = passes.map(domain::registered);
    let aligned = match user {
        Some(user) => user.domain.is_some() && user.domain == domain,
        None => registered.as_deref().is_some_and(|own| passes.into_iter().any(|d| *d == *own)),
    };
    Some(Organizer { mark: keys.address(&address), address, domain, aligned })
}

/// Answers of our own users, which nobody else can give.
fn answers(
    keys: &Keys,
    e: &EventFacts<'_>,
    role: Role,
    user: Option<&User>,
) -> Vec<(Member, Answer)> {
    let Some(user) = user else { return Vec::new() };
    let who = |party: &Party| party.address.as_deref().map(|address| keys.address(address));
    let own = e.event.attendees.iter().take(MARKS).filter_map(|party| {
        who(party).filter(|mark| user.addresses.contains(mark)).map(|mark| (party, mark))
    });
    own.filter_map(|(party, mark)| match (role, party.status.as_deref()) {
        (Role::Answers, Some("ACCEPTED")) => Some((short(mark), Answer::Accepted)),
        (Role::Counters, _) => Some((short(mark), Answer::Countered)),
        (Role::Answers | Role::Invites | Role::Cancels | Role::Other, _) => None,
    })
    .take(ANSWERS)
    .collect()
}
