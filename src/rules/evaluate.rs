//! Evaluates a [`RuleSet`]: every scored rule once for the message or once for each event.
//!
//! Only scored rules are asked; helpers are computed when a meta needs them, at most once an
//! event. Evidence is collected only for what hits. The regexes of one header, one fact, the
//! body or the links share a filter that is swept over the texts the first time one of them
//! is needed.
//!
//! Not an error: running out of time. What has been found so far is returned.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::{self, Answer, Facts, Memo, Origin, Paragraph, Value, View};

use super::domain::Known;
use super::evidence::Trace;
use super::header::Ask;
use super::pattern::{Found, Pattern};
use super::prefilter::Candidates;
use super::set::{Body, Rule, RuleSet, Seat};
use super::test::{Check, Quantifier, Tally, Test};
use super::{Evaluation, EvidenceScope, Hit};

/// Regexes run between two looks at the clock.
const REGEXES_PER_LOOK: u32 = 16;

/// Values of one fact that are shown; equal ones are told apart only afterwards.
const MOST_SHOWN: usize = 20;

/// The number of the message's own round; events count on from it.
const MESSAGE_ROUND: u32 = 1;

/// What was computed, and in which round.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    round: u32,
    value: Known,
}

#[derive(Debug, Default)]
struct Sweep {
    round: u32,
    candidates: Candidates,
}

/// A test with `message(FACT)`: values counted over all events.
#[derive(Debug, Default)]
struct Joined {
    tally: Tally,
    trace: Trace,
}

/// One evaluation.
struct Scan<'s, 'f> {
    set: &'s RuleSet,
    facts: &'f Facts<'f>,
    shared: &'s Memo<'f>,
    paragraphs: &'s dyn Fn() -> &'s [Paragraph<'f>],
    scope: EvidenceScope,
    clock: Clock<'s>,
    /// One cell a rule.
    cells: Vec<Cell>,
    /// One sweep a filter.
    sweeps: Vec<Sweep>,
    /// One text a selector.
    headers: Vec<Option<Vec<u8>>>,
    /// What `body` and `uri` rules found.
    texts: BTreeMap<usize, Trace>,
    joined: Option<BTreeMap<usize, Joined>>,
    stack: Vec<Known>,
    /// By rule.
    exhausted: Vec<bool>,
}

/// Time and step limits.
struct Clock<'s> {
    expired: &'s dyn Fn() -> bool,
    regexes: u32,
    stopped: bool,
    /// True when the regex that ran last hit its limit.
    exhausted: bool,
}

impl Clock<'_> {
    fn look(&mut self) -> bool {
        self.stopped = self.stopped || (self.expired)();
        self.stopped
    }

    fn find(&mut self, pattern: &Pattern, text: &[u8]) -> Found {
        self.regexes += 1;
        if self.regexes >= REGEXES_PER_LOOK {
            self.regexes = 0;
            self.look();
        }
        if self.stopped {
            return Found::Nowhere;
        }
        let found = pattern.find(text);
        self.exhausted |= found == Found::Exhausted;
        found
    }
}

/// A scored rule that hit somewhere.
#[derive(Default)]
struct Draft {
    trace: Trace,
    events: Vec<usize>,
}

/// Evaluates every rule for every event.
pub(super) fn evaluate(
    set: &RuleSet,
    facts: &Facts<'_>,
    scope: EvidenceScope,
    expired: &dyn Fn() -> bool,
) -> Evaluation {
    let shared = Memo::new();
    let view = View::new(facts, &shared, None);
    run(set, &view, &shared, &|| view.paragraphs(), scope, expired)
}

/// The same with paragraphs from anywhere; `message` is a view without an event.
fn run<'s, 'f>(
    set: &'s RuleSet,
    message: &View<'s, 'f>,
    shared: &'s Memo<'f>,
    paragraphs: &'s dyn Fn() -> &'s [Paragraph<'f>],
    scope: EvidenceScope,
    expired: &'s dyn Fn() -> bool,
) -> Evaluation {
    let facts = message.facts();
    let mut scan = Scan {
        set,
        facts,
        shared,
        paragraphs,
        scope,
        clock: Clock {
            expired,
            regexes: 0,
            stopped: false,
            exhausted: false,
        },
        cells: vec![Cell::default(); set.rules.len()],
        sweeps: set.filters.iter().map(|_| Sweep::default()).collect(),
        headers: vec![None; set.selectors.len()],
        texts: BTreeMap::new(),
        joined: None,
        stack: Vec::new(),
        exhausted: vec![false; set.rules.len()],
    };
    let mut drafts: BTreeMap<usize, Draft> = BTreeMap::new();
    if !scan.clock.look() {
        scan.round(&set.message_roots, message, MESSAGE_ROUND, &mut drafts);
    }
    if facts.events.is_empty() {
        scan.round(&set.event_roots, message, MESSAGE_ROUND, &mut drafts);
    }
    for (round, event) in (MESSAGE_ROUND + 1..).zip(&facts.events) {
        if set.event_roots.is_empty() || scan.clock.look() {
            break;
        }
        let view = View::new(facts, shared, Some(event));
        scan.round(&set.event_roots, &view, round, &mut drafts);
    }
    scan.finish(drafts)
}

impl<'s, 'f> Scan<'s, 'f> {
    /// Asks some of the scored rules.
    fn round(
        &mut self,
        roots: &[usize],
        view: &View<'s, 'f>,
        round: u32,
        drafts: &mut BTreeMap<usize, Draft>,
    ) {
        for root in roots {
            let value = self.value(*root, view, round);
            if self.clock.stopped {
                return;
            }
            if !is_hit(value) {
                continue;
            }
            let draft = drafts.entry(*root).or_default();
            let per_event = self.set.rules.get(*root).is_some_and(|rule| rule.per_event);
            if per_event {
                draft.events.extend(view.event().map(|event| event.index));
            }
            if !draft.trace.is_full() {
                self.trace(*root, view, round, &mut draft.trace);
            }
        }
    }

    /// The value of a rule in this round.
    fn value(&mut self, index: usize, view: &View<'s, 'f>, round: u32) -> Known {
        let set = self.set;
        let Some(rule) = set.rules.get(index) else {
            return Some(0.0);
        };
        let round = if rule.per_event { round } else { MESSAGE_ROUND };
        if let Some(cell) = self.cells.get(index)
            && cell.round == round
        {
            return cell.value;
        }
        if self.clock.stopped {
            return None;
        }
        let outer = std::mem::take(&mut self.clock.exhausted);
        let value = match &rule.body {
            Body::Meta(expression) => {
                let mut stack = std::mem::take(&mut self.stack);
                let value = expression.value(&mut stack, |operand, stack| {
                    // Metas share one stack; the operand's own values go on top.
                    std::mem::swap(stack, &mut self.stack);
                    let value = self.value(*operand, view, round);
                    std::mem::swap(stack, &mut self.stack);
                    value
                });
                self.stack = stack;
                value
            }
            Body::Calendar { test, .. } if test.quantifier == Quantifier::Joined => self
                .joined()
                .get(&index)
                .and_then(|joined| joined.tally.result(test))
                .map(flag),
            Body::Calendar { test, seat } => self.calendar(test, *seat, view, round).map(flag),
            Body::Header {
                selector,
                ask,
                seat,
            } => Some(flag(self.header(*selector, ask, *seat))),
            Body::Body {
                seat,
                without_subject,
            } => Some(flag(self.body(index, *seat, *without_subject))),
            Body::Uri { seat } => Some(flag(self.uri(index, *seat))),
        };
        if std::mem::replace(&mut self.clock.exhausted, outer)
            && let Some(exhausted) = self.exhausted.get_mut(index)
        {
            *exhausted = true;
        }
        if self.clock.stopped {
            // Cut short in the middle: whatever came out means nothing.
            return None;
        }
        if let Some(cell) = self.cells.get_mut(index) {
            *cell = Cell { round, value };
        }
        value
    }
    /// Asks the values of one event.
    fn calendar(
        &mut self,
        test: &Test,
        seat: Option<Seat>,
        view: &View<'s, 'f>,
        round: u32,
    ) -> Option<bool> {
        let answer = view.ask(test.fact);
        let other = test.other().map(|id| view.ask(id));
        let mut tally = Tally::default();
        let clock = &mut self.clock;
        let find = &mut |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
        if let Some(seat) = seat {
            let texts = answer.values().iter().map(|datum| match &datum.value {
                Value::Text(text) => text.as_bytes(),
                Value::Number(_) | Value::Flag(_) => b"",
            });
            sweep(self.set, &mut self.sweeps, seat, round, texts);
            let indexes = candidates(self.set, &self.sweeps, seat);
            test.count(&mut tally, answer, other, indexes, find);
        } else {
            test.count(&mut tally, answer, other, 0..answer.values().len(), find);
        }
        tally.result(test)
    }

    /// Counts the values of all events, for all tests that join them: each event is looked
    /// at once more, not once for each test.
    fn joined(&mut self) -> &BTreeMap<usize, Joined> {
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
                Body::Calendar { test, .. } => Some((*index, test)),
                Body::Header { .. } | Body::Body { .. } | Body::Uri { .. } | Body::Meta(_) => None,
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
                test.count(
                    &mut joined.tally,
                    answer,
                    other,
                    0..answer.values().len(),
                    find,
                );
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
    fn header_text(&mut self, selector: usize) -> &[u8] {
        let facts = self.facts;
        let Some(text) = self.headers.get_mut(selector) else {
            return &[];
        };
        text.get_or_insert_with(|| {
            self.set
                .selectors
                .get(selector)
                .map(|s| s.value(facts))
                .unwrap_or_default()
        })
    }

    fn header(&mut self, selector: usize, ask: &Ask, seat: Option<Seat>) -> bool {
        match (ask, seat) {
            (Ask::Exists, _) => {
                let selector = self.set.selectors.get(selector);
                selector.is_some_and(|selector| selector.exists(self.facts))
            }
            (Ask::Match { .. }, None) => false,
            (Ask::Match { negated, pattern }, Some(seat)) => {
                self.header_text(selector);
                let text = self
                    .headers
                    .get(selector)
                    .and_then(Option::as_deref)
                    .unwrap_or(&[]);
                sweep(
                    self.set,
                    &mut self.sweeps,
                    seat,
                    MESSAGE_ROUND,
                    std::iter::once(text),
                );
                if candidates(self.set, &self.sweeps, seat).next().is_none() {
                    return *negated;
                }
                match self.clock.find(pattern, text) {
                    Found::At(..) => !negated,
                    Found::Nowhere => *negated,
                    // Whether it matches is unknown: neither form holds.
                    Found::Exhausted => false,
                }
            }
        }
    }

    fn body(&mut self, index: usize, seat: Option<Seat>, without_subject: bool) -> bool {
        let paragraphs = (self.paragraphs)();
        self.texts(index, seat, paragraphs.len(), |number| {
            let paragraph = paragraphs.get(number)?;
            let wanted = !(without_subject && number == 0);
            wanted.then(|| Place {
                text: paragraph.text.as_bytes(),
                place: &paragraph.place,
                origin: paragraph.origin,
                event: paragraph.event,
            })
        })
    }

    fn uri(&mut self, index: usize, seat: Option<Seat>) -> bool {
        let links = &self.facts.links.all;
        self.texts(index, seat, links.len(), |number| {
            let link = links.get(number)?;
            Some(Place {
                text: link.url.as_bytes(),
                place: &link.place,
                origin: link.origin,
                event: link.event,
            })
        })
    }

    /// Searches texts of mail and calendar. What stands in a calendar is preferred, and all
    /// of it is searched for evidence; in a mail the first match is enough.
    fn texts<'t>(
        &mut self,
        index: usize,
        seat: Option<Seat>,
        count: usize,
        get: impl Fn(usize) -> Option<Place<'t, 'f>>,
    ) -> bool
    where
        'f: 't,
    {
        let set = self.set;
        let Some(seat) = seat else { return false };
        let Some(pattern) = set
            .filters
            .get(seat.filter)
            .and_then(|f| f.pattern(seat.slot))
        else {
            return false;
        };
        let calendar_only = self.scope == EvidenceScope::Calendar;
        let texts = (0..count).map(|number| match get(number) {
            Some(place) if !calendar_only || place.origin == Origin::Calendar => place.text,
            Some(_) | None => b"",
        });
        sweep(set, &mut self.sweeps, seat, MESSAGE_ROUND, texts);
        let mut trace = Trace::default();
        for in_calendar in [true, false] {
            if !in_calendar && (calendar_only || trace.origin.is_some()) {
                break;
            }
            for place in candidates(set, &self.sweeps, seat).filter_map(&get) {
                if (place.origin == Origin::Calendar) != in_calendar {
                    continue;
                }
                let Found::At(start, end) = self.clock.find(pattern, place.text) else {
                    continue;
                };
                let matched = place.text.get(start..end).unwrap_or(place.text);
                trace.add_at(place.place, &String::from_utf8_lossy(matched), place.origin);
                if let Some(event) = place.event {
                    trace.in_event(event);
                }
                if !in_calendar || trace.is_full() {
                    break;
                }
            }
        }
        let found = trace.origin.is_some();
        if found {
            self.texts.insert(index, trace);
        }
        found
    }

    /// Collects the evidence of a rule that hit: its own, or that of a meta's operands.
    fn trace(&mut self, root: usize, view: &View<'s, 'f>, round: u32, trace: &mut Trace) {
        let set = self.set;
        let mut open = vec![root];
        let mut seen = vec![root];
        while let Some(index) = open.pop() {
            if trace.is_full() {
                return;
            }
            let Some(rule) = set.rules.get(index) else {
                continue;
            };
            if let Body::Meta(expression) = &rule.body {
                let first = open.len();
                for operand in expression.rules() {
                    if !seen.contains(operand) && is_hit(self.value(*operand, view, round)) {
                        seen.push(*operand);
                        open.push(*operand);
                    }
                }
                // The operand named first is looked at first.
                if let Some(new) = open.get_mut(first..) {
                    new.reverse();
                }
            } else {
                self.trace_one(index, rule, view, trace);
            }
        }
    }

    fn trace_one(&mut self, index: usize, rule: &Rule, view: &View<'s, 'f>, trace: &mut Trace) {
        match &rule.body {
            Body::Meta(_) => {}
            Body::Calendar { test, .. } if test.quantifier == Quantifier::Joined => {
                if let Some(joined) = self.joined().get(&index) {
                    trace.merge(&joined.trace);
                }
            }
            Body::Calendar { test, .. } => {
                let clock = &mut self.clock;
                let find = &mut |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
                let other = test.other().map(|id| view.ask(id));
                show(test, view.ask(test.fact), other, find, trace);
            }
            Body::Header { selector, ask, .. } => self.trace_header(*selector, ask, trace),
            Body::Body { .. } | Body::Uri { .. } => {
                if let Some(found) = self.texts.get(&index) {
                    trace.merge(found);
                }
            }
        }
    }

    fn trace_header(&mut self, index: usize, ask: &Ask, trace: &mut Trace) {
        let Some(selector) = self.set.selectors.get(index) else {
            return;
        };
        let origin = if selector.is_envelope() {
            Origin::Network
        } else {
            Origin::Mail
        };
        if !selector.exists(self.facts) {
            return trace.add(&selector.name, "missing", origin);
        }
        self.header_text(index);
        let text = self
            .headers
            .get(index)
            .and_then(Option::as_deref)
            .unwrap_or(&[]);
        let matched = match ask {
            Ask::Match {
                negated: false,
                pattern,
            } => match self.clock.find(pattern, text) {
                Found::At(start, end) => text.get(start..end).unwrap_or(text),
                Found::Nowhere | Found::Exhausted => text,
            },
            Ask::Match { .. } | Ask::Exists => text,
        };
        trace.add(&selector.name, &String::from_utf8_lossy(matched), origin);
    }

    fn finish(self, drafts: BTreeMap<usize, Draft>) -> Evaluation {
        let set = self.set;
        let mut hits = Vec::new();
        for (index, mut draft) in drafts {
            let Some(rule) = set.rules.get(index) else {
                continue;
            };
            let from_calendar = rule.asks_calendar;
            // A meta of negations only has no evidence: it is about what it asked.
            let about = if from_calendar {
                Origin::Calendar
            } else {
                Origin::Mail
            };
            let origin = draft.trace.origin.unwrap_or(about);
            if self.scope == EvidenceScope::Calendar && origin != Origin::Calendar {
                continue;
            }
            if !rule.per_event {
                draft.events = draft.trace.events;
                draft.events.sort_unstable();
            }
            hits.push(Hit {
                symbol: Arc::clone(&rule.symbol.name),
                score: rule.symbol.score,
                group: rule.symbol.group.clone(),
                description: rule.symbol.description.clone(),
                flags: rule.symbol.flags,
                origin,
                evidence: draft.trace.pieces,
                events: draft.events,
            });
        }
        let exhausted: Vec<Arc<str>> = set
            .rules
            .iter()
            .zip(&self.exhausted)
            .filter(|(_, exhausted)| **exhausted)
            .map(|(rule, _)| Arc::clone(&rule.symbol.name))
            .collect();
        Evaluation {
            hits,
            complete: !self.clock.stopped && exhausted.is_empty(),
            exhausted,
        }
    }
}

/// A text that `body` and `uri` rules search.
struct Place<'t, 'f> {
    text: &'t [u8],
    place: &'t facts::Place<'f>,
    origin: Origin,
    event: Option<usize>,
}

fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

fn is_hit(value: Known) -> bool {
    value.is_some_and(|value| value != 0.0)
}

/// Sweeps a filter over texts, once a round.
fn sweep<'t>(
    set: &RuleSet,
    sweeps: &mut [Sweep],
    seat: Seat,
    round: u32,
    texts: impl Iterator<Item = &'t [u8]>,
) {
    let (Some(filter), Some(sweep)) = (set.filters.get(seat.filter), sweeps.get_mut(seat.filter))
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
    set: &'s RuleSet,
    sweeps: &'s [Sweep],
    seat: Seat,
) -> impl Iterator<Item = usize> + use<'s> {
    let filter = set.filters.get(seat.filter);
    let both = filter.zip(sweeps.get(seat.filter));
    both.into_iter()
        .flat_map(move |(filter, sweep)| filter.candidates(seat.slot, &sweep.candidates))
}

/// Adds the values that made a test hold.
fn show(
    test: &Test,
    answer: &Answer<'_>,
    other: Option<&Answer<'_>>,
    find: &mut dyn FnMut(&Pattern, &[u8]) -> Found,
    trace: &mut Trace,
) {
    // A value that is compared with one from a better place counts as found there.
    let other_origin = match &test.check {
        Check::Fact { .. } => other.and_then(|o| o.values().iter().map(|datum| datum.origin).min()),
        Check::Exists
        | Check::Truth
        | Check::Match { .. }
        | Check::Text { .. }
        | Check::Number { .. }
        | Check::List { .. } => None,
    };
    let mut shown = 0;
    for datum in answer.values() {
        let Some(text) = test.shown(datum, other, find) else {
            continue;
        };
        let origin = other_origin.map_or(datum.origin, |origin| origin.min(datum.origin));
        trace.add_at(&datum.place, &text, origin);
        shown += 1;
        if trace.is_full() || shown >= MOST_SHOWN {
            return;
        }
    }
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
pub(super) mod tests;
