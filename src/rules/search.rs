//! Searches the texts of a scan for its rules: values of facts, headers, paragraphs, links.
//! What was found is shown by `shown`.
//!
//! The regexes of one header, one fact, the body or the links share a filter that is swept
//! over the texts the first time one of them is needed.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::facts::{self, LinkText, Origin, TextValue, Value, View};

use super::EvidenceScope;
use super::domain::Known;
use super::eval::{Call, Context};
use super::evaluate::{Joined, MESSAGE_ROUND, Scan, Sweep, is_hit};
use super::evidence::Trace;
use super::header::{Ask, Selector};
use super::listed::Asking;
use super::mime::{MimeHeader, Parts};
use super::pattern::{Found, Pattern};
use super::set::{Question, RuleSet, Seat, TextKind};
use super::shown::show;
use super::test::{Tally, Test};
use super::uri::{self, Condition};

/// Events whose SUMMARY a rule about the Subject sees.
const SUMMARIES: usize = 100;

impl<'s, 'f> Scan<'s, 'f> {
    /// Asks the values of one event.
    pub(super) fn calendar(
        &mut self,
        test: &Test,
        seat: Option<Seat>,
        view: &View<'s, 'f>,
        round: u32,
    ) -> Known {
        let answer = view.ask(test.fact);
        let other = test.other().map(|id| view.ask(id));
        let mut tally = Tally::default();
        let clock = &mut self.clock;
        let find = &mut |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
        if let Some(seat) = seat {
            let texts = answer.values().iter().map(|datum| match &datum.value {
                Value::Text(value) => value.as_bytes(),
                Value::Number(_) | Value::Flag(_) => b"",
            });
            sweep(self.set, &mut self.sweeps, seat, round, texts);
            let indexes = candidates(self.set, &self.sweeps, seat);
            test.count(&mut tally, answer, other, indexes, find);
        } else {
            test.count(&mut tally, answer, other, 0..answer.values().len(), find);
        }
        tally.value(test)
    }

    /// Counts the values of all events, for all tests that join them: each event is looked
    /// at once more, not once for each test.
    pub(super) fn joined(&mut self) -> &BTreeMap<usize, Joined> {
        if self.joined.is_none() {
            let joined = self.count_joined();
            self.joined = Some(joined);
        }
        self.joined.get_or_insert_default()
    }

    fn count_joined(&mut self) -> BTreeMap<usize, Joined> {
        let set = self.set;
        let mut all: BTreeMap<usize, Joined> = BTreeMap::new();
        let tests: Vec<(usize, &Test)> = set
            .joined
            .iter()
            .filter_map(|index| match &set.rules.get(*index)?.body {
                Question::Calendar { test, .. } => Some((*index, test)),
                Question::Header { .. }
                | Question::Text { .. }
                | Question::MimeHeader { .. }
                | Question::UriDetail(_)
                | Question::Eval(_)
                | Question::Lookup { .. }
                | Question::Meta(_) => None,
            })
            .collect();
        for event in &self.facts.events {
            if self.clock.look() {
                break;
            }
            let view = View::new(self.facts, self.shared, Some(event));
            for (index, test) in &tests {
                let joined = all.entry(*index).or_default();
                let answer = view.ask(test.fact);
                let other = test.other().map(|id| view.ask(id));
                let outer = std::mem::take(&mut self.clock.exhausted);
                let clock = &mut self.clock;
                let find = &mut |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
                test.count(&mut joined.tally, answer, other, 0..answer.values().len(), find);
                if !joined.trace.is_full() {
                    show(test, answer, other, find, &mut joined.trace);
                }
                if std::mem::replace(&mut self.clock.exhausted, outer)
                    && let Some(exhausted) = self.exhausted.get_mut(*index)
                {
                    *exhausted = true;
                }
            }
        }
        for (index, _) in tests {
            all.entry(index).or_default();
        }
        all
    }

    /// The text a selector selects, made once.
    pub(super) fn header_text(&mut self, selector: usize) -> &[u8] {
        let (facts, networks) = (self.facts, &self.set.settings.networks);
        let Some(text) = self.headers.get_mut(selector) else {
            return &[];
        };
        text.get_or_insert_with(|| {
            self.set.selectors.get(selector).map(|s| s.value(facts, networks)).unwrap_or_default()
        })
    }

    /// How often a header is as asked.
    pub(super) fn header(
        &mut self,
        selector: usize,
        ask: &Ask,
        seat: Option<Seat>,
        most: u32,
    ) -> u32 {
        match (ask, seat) {
            (Ask::Exists, _) => {
                let selector = self.set.selectors.get(selector);
                let networks = &self.set.settings.networks;
                u32::from(selector.is_some_and(|selector| selector.exists(self.facts, networks)))
            }
            (Ask::Match { .. }, None) => 0,
            (Ask::Match { negated, pattern }, Some(seat)) => {
                self.header_text(selector);
                let summaries = self.summaries(selector);
                let text = self.headers.get(selector).and_then(Option::as_deref).unwrap_or(&[]);
                let texts = || {
                    let summaries = summaries.iter().map(|value| value.visible.as_bytes());
                    std::iter::once(text).chain(summaries)
                };
                sweep(self.set, &mut self.sweeps, seat, MESSAGE_ROUND, texts());
                // A negated rule is about the mail: what no mail says, an event may say.
                let last = if *negated { 0 } else { summaries.len() };
                let mut hits = 0;
                let mut exhausted = false;
                for index in candidates(self.set, &self.sweeps, seat).filter(|at| *at <= last) {
                    let Some(text) = texts().nth(index) else { continue };
                    if most > 1 && !negated {
                        hits += self.clock.count(pattern, text, most - hits);
                    } else {
                        match self.clock.find(pattern, text) {
                            Found::At(..) => hits = 1,
                            Found::Nowhere => {}
                            Found::Exhausted => exhausted = true,
                        }
                    }
                    if hits >= most {
                        break;
                    }
                }
                // Whether one that gave up matches is unknown: neither form holds.
                if *negated { u32::from(hits == 0 && !exhausted) } else { hits }
            }
        }
    }

    /// What stands beside the Subject of an invitation, for rules that ask it: the events'
    /// SUMMARY, which is what their readers see in its place.
    pub(super) fn summaries(&mut self, selector: usize) -> Rc<[&'f TextValue<'f>]> {
        let subject = self.set.selectors.get(selector).is_some_and(Selector::is_subject);
        if !subject || !wanted(self.scope, Origin::Calendar) {
            return Rc::default();
        }
        let facts = self.facts;
        let summaries = self.summaries.get_or_insert_with(|| {
            let texts = facts.events.iter().flat_map(|event| &event.texts);
            texts.filter(|text| &*text.property.name == "SUMMARY").take(SUMMARIES).collect()
        });
        Rc::clone(summaries)
    }

    /// Links as `uri` rules see them; those of the mail only where they count.
    fn links(&self) -> &'s [LinkText<'f>] {
        let mail = self.scope != EvidenceScope::Calendar;
        self.set
            .settings
            .with_hints(|hints| self.shared.link_texts(self.facts, mail.then_some(hints)))
    }

    /// How often a regex is found in texts of a kind.
    pub(super) fn text(
        &mut self,
        index: usize,
        kind: TextKind,
        seat: Option<Seat>,
        most: u32,
        without_subject: bool,
    ) -> u32 {
        let facts = self.facts;
        match kind {
            TextKind::Body => {
                let paragraphs = (self.paragraphs)();
                self.texts(index, seat, most, paragraphs.len(), |number| {
                    let paragraph = paragraphs.get(number)?;
                    let wanted = !(without_subject && number == 0);
                    wanted.then(|| Searched {
                        text: &paragraph.text,
                        place: paragraph.place,
                        origin: paragraph.origin,
                        event: paragraph.event,
                    })
                })
            }
            TextKind::RawBody => {
                let mail = facts.mail.raw_body();
                let calendar =
                    self.raw_calendar.get_or_insert_with(|| raw_calendar(facts).collect());
                let calendar = Rc::clone(calendar);
                self.texts(index, seat, most, mail.len() + calendar.len(), |number| {
                    let Some(chunk) = mail.get(number) else {
                        return calendar.get(number.checked_sub(mail.len())?).copied();
                    };
                    let place = facts::Place::Part(chunk.part);
                    let origin = Origin::Mail;
                    Some(Searched { text: &chunk.text, place, origin, event: None })
                })
            }
            TextKind::Full => self.texts(index, seat, most, 1, |_| {
                let place = facts::Place::Name("message");
                let (text, origin) = (facts.mail.full(), Origin::Mail);
                Some(Searched { text, place, origin, event: None })
            }),
            TextKind::Uri => {
                let links = self.links();
                self.texts(index, seat, most, links.len(), |number| {
                    let link = links.get(number)?;
                    Some(Searched {
                        text: link.text.as_bytes(),
                        place: link.place,
                        origin: link.origin,
                        event: link.event,
                    })
                })
            }
        }
    }

    /// Searches texts of mail and calendar. What stands in a calendar is preferred, and all
    /// of it is searched for evidence; in a mail the first match is enough, unless hits are
    /// counted.
    fn texts<'t>(
        &mut self,
        index: usize,
        seat: Option<Seat>,
        most: u32,
        count: usize,
        get: impl Fn(usize) -> Option<Searched<'t>>,
    ) -> u32 {
        let rules = self.set;
        let Some(seat) = seat else { return 0 };
        let Some(pattern) = rules.filters.get(seat.filter).and_then(|f| f.pattern(seat.slot))
        else {
            return 0;
        };
        let scope = self.scope;
        let texts = (0..count).map(|number| match get(number) {
            Some(place) if wanted(scope, place.origin) => place.text,
            Some(_) | None => b"",
        });
        sweep(rules, &mut self.sweeps, seat, MESSAGE_ROUND, texts);
        let mut trace = Trace::default();
        let mut hits = 0_u32;
        for origin in [Origin::Calendar, Origin::Mail] {
            if !wanted(scope, origin) || (most == 1 && hits > 0) {
                continue;
            }
            for place in candidates(rules, &self.sweeps, seat).filter_map(&get) {
                if place.origin != origin {
                    continue;
                }
                let Found::At(start, end) = self.clock.find(pattern, place.text) else {
                    continue;
                };
                let matched = place.text.get(start..end).unwrap_or(place.text);
                trace.add_at(&place.place, &String::from_utf8_lossy(matched), origin);
                if let Some(event) = place.event {
                    trace.in_event(event);
                }
                if most > 1 {
                    hits += self.clock.count(pattern, place.text, most - hits);
                    if hits >= most {
                        break;
                    }
                } else {
                    hits = 1;
                    if origin == Origin::Mail || trace.is_full() {
                        break;
                    }
                }
            }
        }
        if hits > 0 {
            self.texts.insert(index, trace);
        }
        hits
    }

    /// How often a field of the parts is as asked.
    pub(super) fn mime_header(
        &mut self,
        index: usize,
        ask: &MimeHeader,
        parts: Parts,
        most: u32,
    ) -> u32 {
        if !wanted(self.scope, Origin::Mail) {
            return 0;
        }
        let mut hits = 0;
        let mut trace = Trace::default();
        for (part, text) in ask.texts(self.facts, parts) {
            let Found::At(start, end) = self.clock.find(&ask.pattern, &text) else {
                continue;
            };
            if ask.negated {
                return 0;
            }
            let matched = text.get(start..end).unwrap_or_default();
            let place = facts::Place::Part(part);
            trace.add_at(&place, &String::from_utf8_lossy(matched), Origin::Mail);
            if most == 1 {
                hits = 1;
                break;
            }
            hits += self.clock.count(&ask.pattern, &text, most - hits);
            if hits >= most {
                break;
            }
        }
        if ask.negated {
            trace.add(&ask.name, "no part has it", Origin::Mail);
            hits = 1;
        }
        self.texts.insert(index, trace);
        hits
    }

    /// How many links fit all conditions.
    pub(super) fn uri_detail(&mut self, index: usize, conditions: &[Condition]) -> u32 {
        let scope = self.scope;
        let facts = self.facts;
        let mail = if wanted(scope, Origin::Mail) {
            self.set.settings.with_hints(|hints| facts.mail.uris(hints))
        } else {
            &[]
        };
        let clock = &mut self.clock;
        let find = &mut |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
        let found = uri::fitting(conditions, facts, mail, &|origin| wanted(scope, origin), find);
        let Some(first) = found.first() else { return 0 };
        let best = first.origin;
        let mut trace = Trace::default();
        for link in found.iter().filter(|link| link.origin == best) {
            trace.add_at(&link.place, &link.url, link.origin);
            if let Some(event) = link.event {
                trace.in_event(event);
            }
        }
        self.texts.insert(index, trace);
        1
    }

    /// Calls a function.
    pub(super) fn call(&mut self, index: usize, call: &Call) -> Known {
        if !wanted(self.scope, Origin::Mail) {
            return Some(0.0);
        }
        let clock = &mut self.clock;
        let mut find = |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
        let mut context = Context {
            facts: self.facts,
            settings: &self.set.settings,
            paragraphs: self.paragraphs,
            find: &mut find,
            raw: call.raw,
            shown: None,
        };
        let value = (call.run)(&mut context, &call.arguments);
        let shown = context.shown;
        if is_hit(value) {
            let mut trace = Trace::default();
            trace.add(call.name, shown.as_deref().unwrap_or(""), Origin::Mail);
            self.texts.insert(index, trace);
        }
        value
    }

    /// What lists say.
    pub(super) fn listed(&mut self, index: usize, asking: &Asking) -> Known {
        let (value, trace) = asking.value(&self.set.lists, self.listings, self.scope);
        if is_hit(value) {
            self.texts.insert(index, trace);
        }
        value
    }
}

/// A text that rules search.
#[derive(Clone, Copy)]
pub(super) struct Searched<'t> {
    text: &'t [u8],
    place: facts::Place<'t>,
    origin: Origin,
    event: Option<usize>,
}

/// True when evidence of this origin counts.
fn wanted(scope: EvidenceScope, origin: Origin) -> bool {
    match scope {
        EvidenceScope::Message => true,
        EvidenceScope::Calendar => origin == Origin::Calendar,
        EvidenceScope::Mail => origin != Origin::Calendar,
    }
}

/// Texts of the events with their mark-up, for `rawbody` rules.
fn raw_calendar<'f>(facts: &'f facts::Facts<'f>) -> impl Iterator<Item = Searched<'f>> {
    facts.events.iter().flat_map(|event| {
        event.texts.iter().map(|text| Searched {
            text: text.raw.as_bytes(),
            place: text.place,
            origin: Origin::Calendar,
            event: Some(event.index),
        })
    })
}

/// Sweeps a filter over texts, once a round.
fn sweep<'t>(
    rules: &RuleSet,
    sweeps: &mut [Sweep],
    seat: Seat,
    round: u32,
    texts: impl Iterator<Item = &'t [u8]>,
) {
    let (Some(filter), Some(sweep)) = (rules.filters.get(seat.filter), sweeps.get_mut(seat.filter))
    else {
        return;
    };
    if sweep.round != round {
        sweep.round = round;
        filter.sweep(texts, &mut sweep.candidates);
    }
}

/// The texts that the regex in a seat could match.
fn candidates<'s>(
    rules: &'s RuleSet,
    sweeps: &'s [Sweep],
    seat: Seat,
) -> impl Iterator<Item = usize> + use<'s> {
    let filter = rules.filters.get(seat.filter);
    let both = filter.zip(sweeps.get(seat.filter));
    both.into_iter()
        .flat_map(move |(filter, sweep)| filter.candidates(seat.slot, &sweep.candidates))
}
