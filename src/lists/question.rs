//! What is asked about a message: who sent it, who organizes, where its links lead.
//!
//! Comes in: [`Facts`] and a [`Plan`] of what rules want to know. Goes out: [`Questions`], each
//! name once a list, with every place it was found in.
//! Not an error: more than may be asked. Each class of names has its share, so that many links
//! cannot keep the organizer from being asked about; which names are left out depends on the
//! message only.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;

use super::list::{Kind, List};
use super::names::{self, Value};
use crate::facts::mail::{self, Networks, Zone};
use crate::facts::{Facts, Link, Origin, Place, domain};
use crate::message::Mechanism;

/// Places shown of one name.
const SOURCES: usize = 5;
/// Hops asked about, beside the client.
const HOPS: usize = 4;
/// Addresses taken from texts of events.
const CONTACTS: usize = 20;
/// Names looked at of one message, before anything is asked.
const CANDIDATES: usize = 2_000;

macro_rules! subjects {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $class:ident;)+) => {
        /// Who or what a name stands for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Subject { $($(#[$meta])* $variant,)+ }

        impl Subject {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Name in rule files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            const fn class(self) -> Class {
                match self { $(Self::$variant => Class::$class,)+ }
            }
        }
    };
}

subjects! {
    /// The host that gave us the mail.
    Client = "client", Network;
    /// Hosts before it, which anybody can make up.
    Hop = "hop", Network;
    /// A link of an event.
    EventLink = "event-link", EventLinks;
    /// A link of the mail's body.
    MailLink = "mail-link", MailLinks;
    /// ORGANIZER.
    Organizer = "organizer", People;
    /// Its SENT-BY.
    SentBy = "sent-by", People;
    /// An address in an event's text.
    Contact = "contact", People;
    /// From.
    From = "from", People;
    /// Reply-To.
    ReplyTo = "reply-to", People;
    /// MAIL FROM.
    Sender = "sender", People;
    /// The domain of a DKIM signature, whether or not it is right.
    Dkim = "dkim", People;
    /// The same, of a signature that somebody trusted has found right.
    DkimPass = "dkim-pass", People;
}

/// Names that share a part of what may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    People,
    EventLinks,
    Network,
    MailLinks,
}

impl Class {
    /// In the order in which what the others left over is given out, with shares in percent.
    const SHARES: [(Self, usize); 4] =
        [(Self::People, 35), (Self::EventLinks, 35), (Self::Network, 15), (Self::MailLinks, 15)];
}

/// Several subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Subjects(u16);

impl Subjects {
    /// Reads names with spaces or commas between; the error is the one nobody knows.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut subjects = Self::default();
        for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            let known = Subject::ALL.iter().find(|subject| subject.name() == word);
            subjects.add(*known.ok_or_else(|| word.to_owned())?);
        }
        Ok(subjects)
    }

    /// These subjects.
    pub fn of(subjects: &[Subject]) -> Self {
        let mut all = Self::default();
        for subject in subjects {
            all.add(*subject);
        }
        all
    }

    fn add(&mut self, subject: Subject) {
        self.0 |= 1 << subject as u16;
    }

    /// Both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// True when the subject is one of them.
    pub fn contains(self, subject: Subject) -> bool {
        self.0 & (1 << subject as u16) != 0
    }

    /// True when there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What rules want to know.
#[derive(Debug, Clone, Copy)]
pub struct Plan<'s> {
    /// The lists.
    pub lists: &'s [Arc<List>],
    /// Of which names, in the order of the lists.
    pub subjects: &'s [Subjects],
    /// Whose Received fields are believed.
    pub networks: &'s Networks,
    /// Hosts and registered domains that nobody is asked about.
    pub skipped: &'s BTreeSet<String>,
}

/// Where a name was found.
#[derive(Debug, Clone, Copy)]
pub struct Source<'f> {
    /// What it stands for.
    pub subject: Subject,
    /// The place.
    pub place: Place<'f>,
    /// Calendar, mail or network.
    pub origin: Origin,
    /// Index of the event.
    pub event: Option<usize>,
}

/// One name that one list is asked about.
#[derive(Debug)]
pub struct Question<'f> {
    /// Index of the list in [`Plan::lists`].
    pub list: usize,
    /// The name without the list's zone.
    pub name: String,
    /// What it stands for, as people write it.
    pub about: Arc<str>,
    /// Where it was found.
    pub sources: Vec<Source<'f>>,
}

/// All questions about a message.
#[derive(Debug, Default)]
pub struct Questions<'f> {
    /// The questions.
    pub all: Vec<Question<'f>>,
    /// True when there were more than may be asked.
    pub cut: bool,
}

/// A value with one place where it was found.
struct Candidate<'f> {
    value: Value,
    source: Source<'f>,
}

struct Collector<'f, 's> {
    facts: &'f Facts<'f>,
    plan: &'s Plan<'s>,
    calendar_only: bool,
    wanted: Subjects,
    found: Vec<Candidate<'f>>,
}

/// Collects what is to be asked, at most so many questions. With `calendar_only` nothing is
/// asked that the calendar has not brought.
pub fn questions<'f>(
    facts: &'f Facts<'f>,
    plan: &Plan<'_>,
    calendar_only: bool,
    most: usize,
) -> Questions<'f> {
    let wanted = plan.subjects.iter().fold(Subjects::default(), |all, one| all.union(*one));
    if wanted.is_empty() || most == 0 {
        return Questions::default();
    }
    let mut collector = Collector { facts, plan, calendar_only, wanted, found: Vec::new() };
    collector.people();
    collector.links();
    collector.network();
    let found = collector.found;
    choose(found, plan, most)
}

impl<'f> Collector<'f, '_> {
    fn wants(&self, subject: Subject, origin: Origin) -> bool {
        self.wanted.contains(subject) && (!self.calendar_only || origin == Origin::Calendar)
    }

    fn add(&mut self, value: Option<Value>, source: Source<'f>) {
        if let Some(value) = value
            && self.found.len() < CANDIDATES
            && self.wants(source.subject, source.origin)
        {
            self.found.push(Candidate { value, source });
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
        self.add(host.and_then(Value::of_host), source);
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

/// A question that could be asked.
struct Draft<'f> {
    list: usize,
    name: String,
    about: Arc<str>,
    source: Source<'f>,
}

/// Gives each class its share, then what is left to whoever wants more.
fn choose<'f>(found: Vec<Candidate<'f>>, plan: &Plan<'_>, most: usize) -> Questions<'f> {
    let mut drafts: Vec<Draft<'f>> = Vec::new();
    for Candidate { value, source } in found {
        if let Value::Host(host) = &value
            && is_skipped(host, plan.skipped)
        {
            continue;
        }
        let about: Arc<str> = value.shown().into();
        for (index, (list, subjects)) in plan.lists.iter().zip(plan.subjects).enumerate() {
            if subjects.contains(source.subject) {
                let drafted = |name| Draft { list: index, name, about: Arc::clone(&about), source };
                drafts.extend(value.names(list).into_iter().map(drafted));
            }
        }
    }
    let mut chosen: HashMap<(usize, String), usize> = HashMap::new();
    let mut questions = Questions::default();
    // The shares first, then what is left of the whole.
    for round in [true, false] {
        for (class, share) in Class::SHARES {
            let mut left = most.saturating_sub(chosen.len());
            if round {
                left = left.min(most * share / 100);
            }
            for draft in drafts.iter().filter(|draft| draft.source.subject.class() == class) {
                let key = (draft.list, draft.name.clone());
                if chosen.contains_key(&key) {
                    continue;
                }
                if left == 0 {
                    questions.cut |= !round;
                    break;
                }
                left -= 1;
                chosen.insert(key, questions.all.len());
                questions.all.push(Question {
                    list: draft.list,
                    name: draft.name.clone(),
                    about: Arc::clone(&draft.about),
                    sources: Vec::new(),
                });
            }
        }
    }
    for Draft { list, name, source, .. } in drafts {
        let question = chosen.get(&(list, name)).and_then(|index| questions.all.get_mut(*index));
        if let Some(question) = question {
            // One of each sort, and the first few places.
            let is_new = question.sources.iter().all(|known| known.subject != source.subject);
            if is_new || question.sources.len() < SOURCES {
                question.sources.push(source);
            }
        }
    }
    questions
}

/// True for what nobody is asked about: the host itself, or the domain it belongs to.
fn is_skipped(host: &str, skipped: &BTreeSet<String>) -> bool {
    skipped.contains(host) || skipped.contains(&*domain::registered(host))
}

/// What may be asked of a list that vouches: not what anybody can make up.
pub(super) fn unforgeable() -> Subjects {
    Subjects::of(&[Subject::Client, Subject::DkimPass])
}

impl List {
    /// The subjects that such a list can be asked about, of those that somebody wants.
    pub fn askable(&self, wanted: Subjects) -> Subjects {
        let wanted = if self.allow { wanted.intersection(unforgeable()) } else { wanted };
        match self.kind {
            Kind::Ip | Kind::Name => wanted,
            Kind::Hash | Kind::Mail => wanted.intersection(Subjects::of(&[
                Subject::Organizer,
                Subject::SentBy,
                Subject::Contact,
                Subject::From,
                Subject::ReplyTo,
                Subject::Sender,
            ])),
        }
    }
}
