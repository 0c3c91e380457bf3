//! Shows what made a rule hit: the values, the text that matched and its place, for a meta
//! those of its operands.
//!
//! Comes in: a rule that hit, in a scan that has been searched. Goes out: its [`Trace`].

use crate::facts::{self, Answer, Origin, View};

use super::evaluate::{Scan, is_hit};
use super::evidence::Trace;
use super::header::Ask;
use super::pattern::{Found, Pattern};
use super::set::{Question, Rule};
use super::test::{Check, Quantifier, Test};

/// Values of one fact that are shown; equal ones are told apart only afterwards.
const MOST_SHOWN: usize = 20;

impl<'s, 'f> Scan<'s, 'f> {
    /// Collects the evidence of a rule that hit: its own, or that of a meta's operands. An
    /// operand that scores by itself is named only, because its evidence stands beside it.
    pub(super) fn trace(
        &mut self,
        root: usize,
        view: &View<'s, 'f>,
        round: u32,
        trace: &mut Trace,
    ) {
        let set = self.set;
        let mut open = vec![(root, false)];
        let mut seen = vec![root];
        // Of what is named only, its origin and events still count.
        let mut aside = Trace::default();
        while let Some((index, is_aside)) = open.pop() {
            if trace.is_full() {
                break;
            }
            let Some(rule) = set.rules.get(index) else {
                continue;
            };
            let is_named = index != root && rule.symbol.score != 0.0;
            if is_named && !is_aside {
                trace.name(&rule.symbol.name);
            }
            let is_aside = is_aside || is_named;
            if let Question::Meta(expression) = &rule.body {
                let first = open.len();
                for operand in expression.rules() {
                    if !seen.contains(operand) && is_hit(self.value(*operand, view, round)) {
                        seen.push(*operand);
                        open.push((*operand, is_aside));
                    }
                }
                // The operand named first is looked at first.
                if let Some(new) = open.get_mut(first..) {
                    new.reverse();
                }
            } else {
                let trace = if is_aside { &mut aside } else { &mut *trace };
                self.trace_one(index, rule, view, trace);
            }
        }
        trace.follow(&aside);
    }

    fn trace_one(&mut self, index: usize, rule: &Rule, view: &View<'s, 'f>, trace: &mut Trace) {
        match &rule.body {
            Question::Meta(_) => {}
            Question::Calendar { test, .. } if test.quantifier == Quantifier::Joined => {
                if let Some(joined) = self.joined().get(&index) {
                    trace.merge(&joined.trace);
                }
            }
            Question::Calendar { test, .. } => {
                let clock = &mut self.clock;
                let find = &mut |pattern: &Pattern, text: &[u8]| clock.find(pattern, text);
                let other = test.other().map(|id| view.ask(id));
                show(test, view.ask(test.fact), other, find, trace);
            }
            Question::Header { selector, ask, .. } => self.trace_header(*selector, ask, trace),
            Question::Text { .. }
            | Question::MimeHeader { .. }
            | Question::UriDetail(_)
            | Question::Eval(_)
            | Question::Lookup { .. } => {
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
        let origin = if selector.is_envelope() { Origin::Network } else { Origin::Mail };
        if let Ask::Match { negated: false, pattern } = ask {
            for summary in self.summaries(index).iter() {
                let text = summary.visible.as_bytes();
                if let Found::At(start, end) = self.clock.find(pattern, text) {
                    let matched = text.get(start..end).unwrap_or(text);
                    let matched = String::from_utf8_lossy(matched);
                    trace.add_at(&summary.place, &matched, Origin::Calendar);
                    if let facts::Place::Property(event, _) = summary.place {
                        let events = &self.facts.events;
                        let of = events.iter().find(|found| std::ptr::eq(found.event, event));
                        if let Some(found) = of {
                            trace.in_event(found.index);
                        }
                    }
                }
            }
            if trace.origin == Some(Origin::Calendar) {
                return;
            }
        }
        if !selector.exists(self.facts, &self.set.settings.networks) {
            return trace.add(&selector.name, "missing", origin);
        }
        self.header_text(index);
        let text = self.headers.get(index).and_then(Option::as_deref).unwrap_or(&[]);
        let matched = match ask {
            Ask::Match { negated: false, pattern } => match self.clock.find(pattern, text) {
                Found::At(start, end) => text.get(start..end).unwrap_or(text),
                Found::Nowhere | Found::Exhausted => text,
            },
            Ask::Match { .. } | Ask::Exists => text,
        };
        trace.add(&selector.name, &String::from_utf8_lossy(matched), origin);
    }
}

/// Adds the values that made a test hold.
pub(super) fn show(
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
        let Some(piece) = test.shown(datum, other, find) else {
            continue;
        };
        let origin = other_origin.map_or(datum.origin, |origin| origin.min(datum.origin));
        trace.add_at(&datum.place, &piece, origin);
        shown += 1;
        if trace.is_full() || shown >= MOST_SHOWN {
            return;
        }
    }
}
