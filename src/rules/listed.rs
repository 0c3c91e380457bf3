//! What a rule wants to know of a DNS list, and whether the answers say so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::EvidenceScope;
use super::dnslist::{Described, Missing};
use super::domain::Known;
use super::evidence::Trace;
use super::lookup::{Lookup, UriNames};
use super::pattern::{self, Dialect, Found, Pattern};
use crate::facts::Origin;
use crate::lists::{Codes, Kind, List, Listing, Listings, Silence, Subject, Subjects};

/// A lookup with its list looked up. By default it asks nobody.
#[derive(Debug, Default)]
pub(super) struct Asking {
    /// Index of the list; none: all lists.
    list: Option<usize>,
    subjects: Subjects,
    wanted: Wanted,
}

/// Which answers count.
#[derive(Debug, Default)]
enum Wanted {
    #[default]
    Any,
    Codes(Codes),
    /// The address as text.
    Pattern(Box<Pattern>),
    /// That there is none.
    Silence,
}

/// The lists of a rule set, as rules name them.
#[derive(Debug, Default)]
pub(super) struct Book {
    described: Described,
    lists: Vec<Arc<List>>,
    subjects: Vec<Subjects>,
    /// Zones of `check_rbl` by the name of the set.
    sets: BTreeMap<String, String>,
}

const LINKS: [Subject; 2] = [Subject::EventLink, Subject::MailLink];

/// Why a rule asks nothing.
pub(super) enum Unasked {
    /// Its list is off, or nothing here can ask it.
    Off,
    /// The rule file is wrong.
    Wrong(String),
}

impl Book {
    /// Nothing asked yet; of these lookups some name a set that another gives the zone of.
    pub(super) fn new<'l>(described: Described, lookups: impl Iterator<Item = &'l Lookup>) -> Self {
        let mut book = Self { described, ..Self::default() };
        for lookup in lookups {
            if let Lookup::Hop { set, zone: Some(zone), .. } = lookup
                && !set.is_empty()
            {
                book.sets.insert(set.clone(), zone.clone());
            }
        }
        book
    }

    /// The lists, what is wanted of each, and the names of those that are switched off.
    pub(super) fn finish(self) -> (Vec<Arc<List>>, Vec<Subjects>, Vec<Arc<str>>) {
        let off = self.described.off();
        (self.lists, self.subjects, off)
    }

    /// What a rule asks; `nice` when it is a good sign.
    pub(super) fn asking(&mut self, lookup: &Lookup, nice: bool) -> Result<Asking, Unasked> {
        let (list, subjects, answer) = match lookup {
            Lookup::Silence => {
                let wanted = Wanted::Silence;
                return Ok(Asking { list: None, subjects: Subjects::of(Subject::ALL), wanted });
            }
            Lookup::List { list, subjects, answer } => {
                let list = match self.described.list(list) {
                    Ok(list) => list,
                    Err(Missing::Off) => return Err(Unasked::Off),
                    Err(Missing::Unknown) => {
                        let message = format!("no list is called `{list}`");
                        return Err(Unasked::Wrong(message));
                    }
                };
                (list, *subjects, answer.as_deref())
            }
            Lookup::Uri { names: UriNames::Registered, zone, answer, .. } => {
                let mut list = self.of_zone(zone, Kind::Name);
                list.literals = true;
                (list, Subjects::of(&LINKS), answer.as_deref())
            }
            Lookup::Hop { function, set, zone, answer } => {
                let zone = zone.as_ref().or_else(|| self.sets.get(set)).ok_or(Unasked::Off)?;
                let zone = zone.split('/').next().unwrap_or(zone);
                let (kind, subjects) = of_function(function, set).ok_or(Unasked::Off)?;
                (self.of_zone(zone, kind), subjects, answer.as_deref())
            }
            Lookup::Ask { name, answer, .. } => {
                let (tag, zone) = name.split_once('.').ok_or(Unasked::Off)?;
                let subject = match tag {
                    "_AUTHORDOMAIN_" => Subject::From,
                    "_SENDERDOMAIN_" => Subject::Sender,
                    "_DKIMDOMAIN_" => Subject::DkimPass,
                    _ => return Err(Unasked::Off),
                };
                let list = self.of_zone(zone, Kind::Name);
                (list, Subjects::of(&[subject]), answer.as_deref())
            }
            // These would have us look up names of others before we ask a list.
            Lookup::Uri { .. } | Lookup::Defined { .. } => return Err(Unasked::Off),
        };
        let wanted = wanted(answer).map_err(Unasked::Wrong)?;
        let mut subjects = list.askable(subjects);
        if nice {
            let mut good = list.clone();
            good.allow = true;
            subjects = good.askable(subjects);
        }
        if subjects.is_empty() {
            return Err(Unasked::Wrong("a list of good senders is asked only about who cannot be made up: client, dkim-pass".to_owned()));
        }
        Ok(Asking { list: Some(self.seat(list, subjects)), subjects, wanted })
    }

    /// The list of a zone: as somebody has described it, or as most are.
    fn of_zone(&self, zone: &str, kind: Kind) -> List {
        let zone = zone.trim_matches('.').to_ascii_lowercase();
        let described = self.described.of_zone(&zone).filter(|list| list.kind == kind);
        described.unwrap_or_else(|| {
            let mut list = List::new(&zone, &zone, &zone, kind);
            // Not every list has the test entry, but none may list everything.
            list.listed = None;
            list
        })
    }

    fn seat(&mut self, list: List, subjects: Subjects) -> usize {
        let known = self.lists.iter().position(|known| known.name == list.name);
        let index = known.unwrap_or_else(|| {
            self.lists.push(Arc::new(list));
            self.subjects.push(Subjects::default());
            self.lists.len() - 1
        });
        if let Some(all) = self.subjects.get_mut(index) {
            *all = all.union(subjects);
        }
        index
    }
}

/// What SpamAssassin's functions ask about.
fn of_function(function: &str, set: &str) -> Option<(Kind, Subjects)> {
    let subjects: &[Subject] = match function {
        "check_rbl" | "check_rbl_txt" | "check_rbl_sub" => {
            let one = set.ends_with("-lastexternal") || set.ends_with("-firsttrusted");
            let hosts: &[Subject] =
                if one { &[Subject::Client] } else { &[Subject::Client, Subject::Hop] };
            return Some((Kind::Ip, Subjects::of(hosts)));
        }
        "check_hashbl_emails" => {
            let people = [Subject::From, Subject::ReplyTo, Subject::Sender, Subject::Contact];
            return Some((Kind::Hash, Subjects::of(&people)));
        }
        "check_rbl_from_host" | "check_rbl_from_domain" => &[Subject::From],
        "check_rbl_envfrom" => &[Subject::Sender],
        _ => return None,
    };
    Some((Kind::Name, Subjects::of(subjects)))
}

/// An answer as written: codes where they can be read as such, else a regex.
fn wanted(answer: Option<&str>) -> Result<Wanted, String> {
    let Some(answer) = answer else { return Ok(Wanted::Any) };
    if let Ok(codes) = Codes::parse(answer) {
        return Ok(Wanted::Codes(codes));
    }
    let regex = if answer.starts_with('/') { answer.to_owned() } else { format!("/{answer}/") };
    let wrong = || format!("`{answer}` is neither an answer of a list nor a regex");
    let written = pattern::split(&regex).map_err(|_| wrong())?;
    let pattern = Pattern::compile(written, Dialect::Bytes).map_err(|_| wrong())?;
    Ok(Wanted::Pattern(Box::new(pattern)))
}

impl Wanted {
    fn meets(&self, address: Ipv4Addr) -> bool {
        match self {
            Self::Any => true,
            Self::Codes(codes) => codes.contain(address),
            Self::Pattern(pattern) => {
                matches!(pattern.find(address.to_string().as_bytes()), Found::At(..))
            }
            Self::Silence => false,
        }
    }
}

impl Asking {
    /// True when evidence of it can come from a calendar.
    pub(super) fn asks_calendar(&self) -> bool {
        [Subject::EventLink, Subject::Organizer, Subject::SentBy, Subject::Contact]
            .iter()
            .any(|subject| self.subjects.contains(*subject))
            && !matches!(self.wanted, Wanted::Silence)
    }

    /// The value of the rule, and where what hit was found.
    pub(super) fn value(
        &self,
        lists: &[Arc<List>],
        listings: &Listings<'_>,
        scope: EvidenceScope,
    ) -> (Known, Trace) {
        let mut trace = Trace::default();
        if !listings.on {
            return (Some(0.0), trace);
        }
        let (mut hit, mut unknown) = (false, false);
        for asked in &listings.all {
            let question = &asked.question;
            if self.list.is_some_and(|list| list != question.list) {
                continue;
            }
            let counts = |origin| scope != EvidenceScope::Mail || origin != Origin::Calendar;
            let mut sources = question
                .sources
                .iter()
                .filter(|source| self.subjects.contains(source.subject) && counts(source.origin))
                .peekable();
            let Some(list) = lists.get(question.list).filter(|_| sources.peek().is_some()) else {
                continue;
            };
            let silent = matches!(self.wanted, Wanted::Silence);
            match &asked.listing {
                Listing::Listed(codes) if codes.iter().any(|code| self.wanted.meets(*code)) => {
                    hit = true;
                    let text = format!("{} in {} ({})", question.about, list.name, asked.listing);
                    for source in sources {
                        trace.add_at(&source.place, &text, source.origin);
                        if let Some(event) = source.event {
                            trace.in_event(event);
                        }
                    }
                }
                Listing::Unanswered(why) if silent && *why != Silence::Busy => {
                    hit = true;
                    trace.add(&list.name, &asked.listing.to_string(), Origin::Network);
                }
                Listing::Unanswered(_) => unknown = !silent,
                Listing::Listed(_) | Listing::NotListed => {}
            }
        }
        let value = match (hit, unknown) {
            (true, _) => Some(1.0),
            (false, true) => None,
            (false, false) => Some(0.0),
        };
        (value, trace)
    }
}

/// Reads the lines of a list file into names that nobody is asked about.
pub(super) fn names(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(str::to_lowercase).collect()
}
