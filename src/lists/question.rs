//! What is asked about a message: who sent it, who organizes, where its links lead.
//!
//! Comes in: [`Facts`] and a [`Plan`] of what rules want to know. Goes out: [`Questions`], each
//! name once a list, with every place it was found in.
//! Not an error: more than may be asked. Each class of names has its share, so that many links
//! cannot keep the organizer from being asked about; which names are left out depends on the
//! message only.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::collect::{Found, collect};
use super::list::{Kind, List};
use crate::facts::mail::Networks;
use crate::facts::{Facts, Origin, Place};

/// Questions that an ordinary message gives.
const EXPECTED: usize = 100;
/// Places shown of one name.
const SOURCES: usize = 5;

macro_rules! subjects {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $class:ident;)+) => {
        /// Who or what a name stands for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

    fn subjects(self) -> Subjects {
        let mut subjects = Subjects::default();
        for subject in Subject::ALL.iter().filter(|subject| subject.class() == self) {
            subjects.add(*subject);
        }
        subjects
    }
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
    pub name: Arc<str>,
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
    choose(&collect(facts, plan, wanted, calendar_only), plan, most)
}

/// A question that could be asked.
struct Draft<'f> {
    question: Question<'f>,
    /// Whose shares may pay for it.
    subjects: Subjects,
    chosen: bool,
}

/// Gives each class its share, then what is left to whoever wants more.
fn choose<'f>(found: &Found<'f>, plan: &Plan<'_>, most: usize) -> Questions<'f> {
    let mut drafts = drafts(found, plan);
    let mut cut = false;
    let mut order = Vec::new();
    // The shares first, then what is left of the whole.
    for round in [true, false] {
        for (class, share) in Class::SHARES {
            let payers = class.subjects();
            let mut left = most.saturating_sub(order.len());
            if round {
                left = left.min(most * share / 100);
            }
            let waiting = drafts.iter_mut().enumerate();
            let mut waiting =
                waiting.filter(|(_, d)| !d.chosen && !d.subjects.intersection(payers).is_empty());
            for (index, draft) in waiting.by_ref().take(left) {
                draft.chosen = true;
                order.push(index);
            }
            cut |= !round && waiting.next().is_some();
        }
    }
    let mut drafts: Vec<Option<Question<'f>>> =
        drafts.into_iter().map(|draft| Some(draft.question)).collect();
    let all = order.into_iter().filter_map(|index| drafts.get_mut(index)?.take()).collect();
    Questions { all, cut }
}

/// Every question once, in the order in which what it is about was found.
fn drafts<'f>(found: &Found<'f>, plan: &Plan<'_>) -> Vec<Draft<'f>> {
    let mut drafts: Vec<Draft<'f>> = Vec::with_capacity(EXPECTED);
    let mut known: HashMap<(usize, Arc<str>), usize> = HashMap::with_capacity(EXPECTED);
    for (value, source) in found.values() {
        for (list, (definition, subjects)) in plan.lists.iter().zip(plan.subjects).enumerate() {
            if !subjects.contains(source.subject) {
                continue;
            }
            for name in value.names(definition) {
                let index = *known.entry((list, Arc::clone(&name))).or_insert(drafts.len());
                if index == drafts.len() {
                    let about = Arc::clone(&value.shown);
                    let question = Question { list, name, about, sources: Vec::new() };
                    let subjects = Subjects::default();
                    drafts.push(Draft { question, subjects, chosen: false });
                }
                if let Some(draft) = drafts.get_mut(index) {
                    draft.add(source);
                }
            }
        }
    }
    drafts
}

impl<'f> Draft<'f> {
    fn add(&mut self, source: Source<'f>) {
        self.subjects.add(source.subject);
        // One of each sort, and the first few places.
        let sources = &mut self.question.sources;
        let is_new = sources.iter().all(|known| known.subject != source.subject);
        if is_new || sources.len() < SOURCES {
            sources.push(source);
        }
    }
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
            Kind::Link => {
                wanted.intersection(Subjects::of(&[Subject::EventLink, Subject::MailLink]))
            }
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
