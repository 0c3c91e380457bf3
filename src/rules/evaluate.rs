//! Evaluates a [`RuleSet`]: every scored rule once for the message or once for each event.
//!
//! Only scored rules are asked; helpers are computed when a meta needs them, at most once an
//! event. Evidence is collected only for what hits. How texts
//! are searched is in [`super::search`].
//!
//! Not an error: running out of time. What has been found so far is returned.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::facts::{Facts, Memo, Origin, Paragraph, TextValue, View};
use crate::lists::Listings;

use super::domain::Known;
use super::evidence::Trace;
use super::pattern::{Found, Pattern};
use super::prefilter::Candidates;
use super::search::Searched;
use super::set::{Question, RuleSet};
use super::test::{Quantifier, Tally};
use super::{Evaluation, EvidenceScope, Hit};

/// Regexes run between two looks at the clock.
const REGEXES_PER_LOOK: u32 = 16;

/// Values kept of one capturing group, and their length; regexes are made of them.
const CAPTURED: usize = 10;
const CAPTURED_LENGTH: usize = 1_000;

/// The number of the message's own round; events count on from it.
pub(super) const MESSAGE_ROUND: u32 = 1;

/// What was computed, and in which round.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    round: u32,
    value: Known,
}

#[derive(Debug, Default)]
pub(super) struct Sweep {
    pub(super) round: u32,
    pub(super) candidates: Candidates,
}

/// A test with `message(FACT)`: values counted over all events.
#[derive(Debug, Default)]
pub(super) struct Joined {
    pub(super) tally: Tally,
    pub(super) trace: Trace,
}

/// One evaluation.
pub(super) struct Scan<'s, 'f> {
    pub(super) set: &'s RuleSet,
    pub(super) facts: &'f Facts<'f>,
    pub(super) shared: &'s Memo<'f>,
    pub(super) paragraphs: &'s dyn Fn() -> &'s [Paragraph<'f>],
    pub(super) listings: &'s Listings<'s>,
    pub(super) scope: EvidenceScope,
    pub(super) clock: Clock<'s>,
    /// One cell a rule.
    cells: Vec<Cell>,
    /// One sweep a filter.
    pub(super) sweeps: Vec<Sweep>,
    /// One text a selector.
    pub(super) headers: Vec<Option<Vec<u8>>>,
    /// What `body` and `uri` rules found.
    pub(super) texts: BTreeMap<usize, Trace>,
    pub(super) joined: Option<BTreeMap<usize, Joined>>,
    /// What stands beside the Subject, and what beside the raw text of the mail.
    pub(super) summaries: Option<Rc<[&'f TextValue<'f>]>>,
    pub(super) raw_calendar: Option<Rc<[Searched<'f>]>>,
    stack: Vec<Known>,
    /// By rule.
    pub(super) exhausted: Vec<bool>,
}

/// Time and step limits.
pub(super) struct Clock<'s> {
    expired: &'s dyn Fn() -> bool,
    captures: Captures,
    regexes: u32,
    stopped: bool,
    /// True when the regex that ran last hit its limit.
    pub(super) exhausted: bool,
}

impl Clock<'_> {
    pub(super) fn look(&mut self) -> bool {
        self.stopped = self.stopped || (self.expired)();
        self.stopped
    }

    pub(super) fn find(&mut self, pattern: &Pattern, text: &[u8]) -> Found {
        self.regexes += 1;
        if self.regexes >= REGEXES_PER_LOOK {
            self.regexes = 0;
            self.look();
        }
        if self.stopped {
            return Found::Nowhere;
        }
        let found = self.captures.find(pattern, text);
        self.exhausted |= found == Found::Exhausted;
        found
    }

    /// How often a regex matches, at most so often.
    pub(super) fn count(&mut self, pattern: &Pattern, text: &[u8], most: u32) -> u32 {
        let Found::At(start, end) = self.find(pattern, text) else { return 0 };
        let (mut hits, mut from) = (1, end.max(start + 1));
        while hits < most && !self.stopped {
            let Found::At(start, end) = pattern.find_from(text, from) else { break };
            hits += 1;
            from = end.max(start + 1);
            if hits % REGEXES_PER_LOOK == 0 {
                self.look();
            }
        }
        hits
    }
}

/// What regexes captured for others (`(?<NAME>…)` for `%{NAME}`), and the others made whole.
#[derive(Default)]
struct Captures {
    wanted: bool,
    values: BTreeMap<String, Vec<Vec<u8>>>,
    /// Templates as they were filled in last, by address of the template.
    filled: BTreeMap<(usize, Vec<Vec<u8>>), Option<Pattern>>,
}

impl Captures {
    fn find(&mut self, pattern: &Pattern, text: &[u8]) -> Found {
        if let Some(template) = pattern.template() {
            let mut values = Vec::new();
            for name in &template.names {
                match self.values.get(name) {
                    Some(found) if !found.is_empty() => values.extend(found.iter().cloned()),
                    Some(_) | None => return Found::Nowhere,
                }
            }
            let key = (std::ptr::from_ref(template).addr(), values);
            let all = &self.values;
            let whole = self.filled.entry(key).or_insert_with(|| template.filled(all));
            return whole.as_ref().map_or(Found::Nowhere, |whole| whole.find(text));
        }
        let found = pattern.find(text);
        if self.wanted && pattern.captures() && matches!(found, Found::At(..)) {
            for (name, value) in pattern.groups(text) {
                let values = self.values.entry(name).or_default();
                if values.len() < CAPTURED
                    && value.len() <= CAPTURED_LENGTH
                    && !values.contains(&value)
                {
                    values.push(value);
                }
            }
        }
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
    listings: &Listings<'_>,
    scope: EvidenceScope,
    expired: &dyn Fn() -> bool,
) -> Evaluation {
    let shared = Memo::new();
    let view = View::new(facts, &shared, None);
    run(set, &view, &shared, &|| view.paragraphs(), listings, scope, expired)
}

/// The same with paragraphs from anywhere; `message` is a view without an event.
fn run<'s, 'f>(
    set: &'s RuleSet,
    message: &View<'s, 'f>,
    shared: &'s Memo<'f>,
    paragraphs: &'s dyn Fn() -> &'s [Paragraph<'f>],
    listings: &'s Listings<'s>,
    scope: EvidenceScope,
    expired: &'s dyn Fn() -> bool,
) -> Evaluation {
    let facts = message.facts();
    let mut scan = Scan::new(set, message, shared, paragraphs, listings, scope, expired);
    let mut drafts: BTreeMap<usize, Draft> = BTreeMap::new();
    if !scan.clock.look() {
        scan.capture(message, MESSAGE_ROUND);
        scan.round(&set.message_roots, message, MESSAGE_ROUND, &mut drafts);
    }
    let captured = scan.clock.captures.values.clone();
    if facts.events.is_empty() {
        scan.round(&set.event_roots, message, MESSAGE_ROUND, &mut drafts);
    }
    for (round, event) in (MESSAGE_ROUND + 1..).zip(&facts.events) {
        if set.event_roots.is_empty() || scan.clock.look() {
            break;
        }
        let view = View::new(facts, shared, Some(event));
        // What one event captured is nothing to the next.
        scan.clock.captures.values.clone_from(&captured);
        scan.capture(&view, round);
        scan.round(&set.event_roots, &view, round, &mut drafts);
    }
    scan.finish(drafts)
}

/// The value of every rule of the message; see [`super::values`].
pub(super) fn values(
    set: &RuleSet,
    facts: &Facts<'_>,
    scope: EvidenceScope,
) -> Vec<(Arc<str>, Known)> {
    let shared = Memo::new();
    let view = View::new(facts, &shared, None);
    let paragraphs = || view.paragraphs();
    let nothing = Listings::default();
    let mut scan = Scan::new(set, &view, &shared, &paragraphs, &nothing, scope, &|| false);
    scan.capture(&view, MESSAGE_ROUND);
    let rules = set.rules.iter().enumerate().filter(|(_, rule)| !rule.per_event);
    rules
        .map(|(index, rule)| {
            (Arc::clone(&rule.symbol.name), scan.value(index, &view, MESSAGE_ROUND))
        })
        .collect()
}

impl<'s, 'f> Scan<'s, 'f> {
    /// Nothing asked yet.
    fn new(
        set: &'s RuleSet,
        message: &View<'s, 'f>,
        shared: &'s Memo<'f>,
        paragraphs: &'s dyn Fn() -> &'s [Paragraph<'f>],
        listings: &'s Listings<'s>,
        scope: EvidenceScope,
        expired: &'s dyn Fn() -> bool,
    ) -> Self {
        let captures = Captures { wanted: !set.capturing.is_empty(), ..Captures::default() };
        Self {
            set,
            facts: message.facts(),
            shared,
            paragraphs,
            listings,
            scope,
            clock: Clock { expired, captures, regexes: 0, stopped: false, exhausted: false },
            cells: vec![Cell::default(); set.rules.len()],
            sweeps: set.filters.iter().map(|_| Sweep::default()).collect(),
            headers: vec![None; set.selectors.len()],
            texts: BTreeMap::new(),
            joined: None,
            summaries: None,
            raw_calendar: None,
            stack: Vec::new(),
            exhausted: vec![false; set.rules.len()],
        }
    }

    /// Runs the rules that capture what others need, before all others.
    fn capture(&mut self, view: &View<'s, 'f>, round: u32) {
        let set = self.set;
        for index in &set.capturing {
            let per_event = set.rules.get(*index).is_some_and(|rule| rule.per_event);
            if per_event == view.event().is_some() {
                self.value(*index, view, round);
            }
        }
    }

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
    pub(super) fn value(&mut self, index: usize, view: &View<'s, 'f>, round: u32) -> Known {
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
            Question::Meta(expression) => {
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
            Question::Calendar { test, .. } if test.quantifier == Quantifier::Joined => {
                self.joined().get(&index).and_then(|joined| joined.tally.value(test))
            }
            Question::Calendar { test, seat } => self.calendar(test, *seat, view, round),
            Question::Header { selector, ask, seat } => {
                Some(f64::from(self.header(*selector, ask, *seat, rule.most_hits)))
            }
            Question::Text { kind, seat, without_subject } => {
                let hits = self.text(index, *kind, *seat, rule.most_hits, *without_subject);
                Some(f64::from(hits))
            }
            Question::MimeHeader { ask, parts } => {
                Some(f64::from(self.mime_header(index, ask, *parts, rule.most_hits)))
            }
            Question::UriDetail(conditions) => Some(f64::from(self.uri_detail(index, conditions))),
            Question::Eval(call) => self.call(index, call),
            Question::Lookup { asking, .. } => self.listed(index, asking),
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
    fn finish(self, drafts: BTreeMap<usize, Draft>) -> Evaluation {
        let set = self.set;
        let mut hits = Vec::new();
        for (index, mut draft) in drafts {
            let Some(rule) = set.rules.get(index) else {
                continue;
            };
            let from_calendar = rule.asks_calendar;
            // A meta of negations only has no evidence: it is about what it asked.
            let about = if from_calendar { Origin::Calendar } else { Origin::Mail };
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
        Evaluation { hits, complete: !self.clock.stopped && exhausted.is_empty(), exhausted }
    }
}

pub(super) fn is_hit(value: Known) -> bool {
    value.is_some_and(|value| value != 0.0)
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "kind_tests.rs"]
mod kind_tests;
