//! Links drafts into a [`RuleSet`]: looks names up, refuses cycles, finds out which rules a
//! scan can reach, and seats their regexes in the filters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::{FactId, Origin, Scope};

use super::diagnostic::closest;
use super::domain::Range;
use super::header::{Ask, Selector};
use super::line::Token;
use super::load::{self, Attributes, Draft, Loader};
use super::meta::Expression;
use super::pattern::{Dialect, Pattern};
use super::prefilter::Filter;
use super::set::{Body, Rule, RuleKind, RuleSet, Seat, Symbol};
use super::test::{Check, Quantifier, Test};
use super::{Diagnostic, GroupCap};

/// Longest chain of metas over metas; evaluation goes down it.
const CHAIN: usize = 64;

/// Builds the set. What is wrong is added to the loader's diagnostics.
pub(super) fn link(loader: Loader<'_>, filtered: bool) -> (RuleSet, Vec<Diagnostic>) {
    let Loader {
        compiler,
        drafts,
        attributes,
        caps,
        skipped,
        ..
    } = loader;
    let mut diagnostics = compiler.diagnostics;
    let names: Vec<&str> = drafts.keys().copied().collect();
    let order = order(&drafts, &names, &mut diagnostics);
    check_names(&drafts, &names, &skipped, &mut diagnostics);
    check_attributes(&drafts, &attributes, &names, &skipped, &mut diagnostics);
    let mut seats = Seats::default();
    let nothing = Attributes::default();
    let drafts: Vec<(Draft<'_>, &Attributes<'_>)> = drafts
        .into_values()
        .map(|draft| {
            let attributes = attributes.get(draft.name.text).unwrap_or(&nothing);
            (draft, attributes)
        })
        .collect();
    let off: Vec<bool> = drafts.iter().map(|(_, a)| a.score == Some(0.0)).collect();
    let symbols: Vec<Symbol> = drafts.iter().map(|(draft, a)| symbol(draft, a)).collect();
    let scored: Vec<bool> = symbols.iter().map(|symbol| symbol.score != 0.0).collect();
    let resolve = |name: &Token<'_>| {
        let index = names.binary_search(&name.text).ok()?;
        (off.get(index) == Some(&false)).then_some(index)
    };
    let reached = reached(&drafts, &scored, &resolve);
    for (name, cap) in &caps {
        let used = attributes
            .values()
            .any(|attributes| attributes.group == Some(*name));
        if !used {
            let message = format!("no rule is in the group `{name}`");
            let guess = closest(name, attributes.values().filter_map(|a| a.group));
            diagnostics.push(cap.line.warning(cap.name, message).with_guess(guess));
        }
    }
    let mut set = RuleSet {
        caps: caps
            .iter()
            .map(|(name, cap)| GroupCap {
                group: Arc::from(*name),
                min: cap.min,
                max: cap.max,
            })
            .collect(),
        ..RuleSet::default()
    };
    for (index, ((draft, attributes), symbol)) in drafts.into_iter().zip(symbols).enumerate() {
        let live = reached.contains(&index);
        let without_subject = attributes.without_subject;
        let body = match draft.body {
            load::Body::Calendar(test) => seats.calendar(test, live),
            load::Body::Header { selector, ask } => seats.header(selector, ask, live),
            load::Body::Body(pattern) => Body::Body {
                seat: live.then(|| seats.take(Target::Body, &pattern)),
                without_subject,
            },
            load::Body::Uri(pattern) => Body::Uri {
                seat: live.then(|| seats.take(Target::Uri, &pattern)),
            },
            load::Body::Meta(expression) => Body::Meta(expression.resolved(&resolve)),
        };
        if live && let Body::Calendar { test, .. } = &body {
            set.facts.extend(test.facts());
            if test.quantifier == Quantifier::Joined {
                set.joined.push(index);
            }
        }
        set.rules.push(Rule {
            symbol,
            body,
            per_event: false,
            asks_calendar: false,
        });
    }
    seats.into_filters(&mut set, filtered);
    spread(&mut set, &order, &scored);
    (set, diagnostics)
}

/// Rules in an order in which every meta comes after what it names. Cycles are errors and
/// left out.
fn order(
    drafts: &BTreeMap<&str, Draft<'_>>,
    names: &[&str],
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<usize> {
    let needs: Vec<BTreeSet<usize>> = drafts
        .values()
        .map(|draft| match &draft.body {
            load::Body::Meta(expression) => expression
                .rules()
                .filter_map(|n| names.binary_search(&n.text).ok())
                .collect(),
            load::Body::Calendar(_)
            | load::Body::Header { .. }
            | load::Body::Body(_)
            | load::Body::Uri(_) => BTreeSet::new(),
        })
        .collect();
    let mut needed_by: Vec<Vec<usize>> = vec![Vec::new(); needs.len()];
    for (index, needs) in needs.iter().enumerate() {
        for need in needs {
            if let Some(users) = needed_by.get_mut(*need) {
                users.push(index);
            }
        }
    }
    let mut open: Vec<usize> = needs.iter().map(BTreeSet::len).collect();
    let mut chain = vec![1_usize; needs.len()];
    let mut order: Vec<usize> = open
        .iter()
        .enumerate()
        .filter(|(_, open)| **open == 0)
        .map(|(index, _)| index)
        .collect();
    let mut next = 0;
    while let Some(done) = order.get(next).copied() {
        next += 1;
        let length = chain.get(done).copied().unwrap_or(1);
        for user in needed_by.get(done).map_or(&[][..], Vec::as_slice) {
            if let Some(chain) = chain.get_mut(*user) {
                *chain = (*chain).max(length + 1);
            }
            if let Some(open) = open.get_mut(*user) {
                *open -= 1;
                if *open == 0 {
                    order.push(*user);
                }
            }
        }
    }
    let error = |index: usize, message: String| {
        let draft = names.get(index).and_then(|name| drafts.get(name))?;
        Some(draft.line.error(draft.name, message))
    };
    // One error for the rule that makes the chain too long, not for all above it.
    let too_long = chain
        .iter()
        .enumerate()
        .filter(|(_, length)| **length == CHAIN + 1);
    diagnostics.extend(too_long.filter_map(|(index, _)| {
        error(
            index,
            format!("more than {CHAIN} metas stand on each other"),
        )
    }));
    let ordered: BTreeSet<usize> = order.iter().copied().collect();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for start in (0..needs.len()).filter(|index| !ordered.contains(index)) {
        let Some(cycle) = cycle(start, &needs, &ordered) else {
            continue;
        };
        if cycle.iter().any(|index| told.contains(index)) {
            continue;
        }
        told.extend(&cycle);
        let path: Vec<String> = cycle
            .iter()
            .chain(cycle.first())
            .filter_map(|index| names.get(*index))
            .map(|name| format!("`{name}`"))
            .collect();
        let first = cycle.first().copied().unwrap_or(start);
        let diagnostic = error(
            first,
            format!("`meta` rules go round in a circle: {}", path.join(" -> ")),
        );
        diagnostics.extend(diagnostic);
    }
    order
}

/// Follows unordered rules until one comes again; the circle starts at its first by name.
fn cycle(start: usize, needs: &[BTreeSet<usize>], ordered: &BTreeSet<usize>) -> Option<Vec<usize>> {
    let mut path = vec![start];
    loop {
        let next = *needs
            .get(*path.last()?)?
            .iter()
            .find(|need| !ordered.contains(need))?;
        if let Some(at) = path.iter().position(|index| *index == next) {
            let mut cycle = path.split_off(at);
            let first = cycle.iter().enumerate().min_by_key(|(_, index)| **index)?.0;
            cycle.rotate_left(first);
            return Some(cycle);
        }
        path.push(next);
    }
}

/// Metas that name nothing, helpers that nobody names.
fn check_names(
    drafts: &BTreeMap<&str, Draft<'_>>,
    names: &[&str],
    skipped: &BTreeSet<&str>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut used = BTreeSet::new();
    for draft in drafts.values() {
        let load::Body::Meta(expression) = &draft.body else {
            continue;
        };
        let mut told = BTreeSet::new();
        for name in expression.rules() {
            used.insert(name.text);
            if drafts.contains_key(name.text) || !told.insert(name.text) {
                continue;
            }
            let warning = if skipped.contains(name.text) {
                draft.line.warning(
                    *name,
                    format!("`{}` was skipped and counts as 0", name.text),
                )
            } else {
                let message = format!("there is no rule `{}`, it counts as 0", name.text);
                draft
                    .line
                    .warning(*name, message)
                    .with_guess(closest(name.text, names.iter().copied()))
            };
            diagnostics.push(warning);
        }
    }
    for draft in drafts.values() {
        let name = draft.name.text;
        if name.starts_with("__") && !used.contains(name) {
            let message = format!("no meta uses `{name}`, it can never count");
            diagnostics.push(draft.line.warning(draft.name, message));
        }
    }
}

/// Words about rules that do not exist, rules without words.
fn check_attributes(
    drafts: &BTreeMap<&str, Draft<'_>>,
    attributes: &BTreeMap<&str, Attributes<'_>>,
    names: &[&str],
    skipped: &BTreeSet<&str>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, attributes) in attributes {
        let Some((line, token)) = attributes.mentioned else {
            continue;
        };
        if !drafts.contains_key(name) && !skipped.contains(name) {
            let guess = closest(name, names.iter().copied());
            let message = format!("there is no rule `{name}`");
            diagnostics.push(line.warning(token, message).with_guess(guess));
        }
    }
    for draft in drafts.values() {
        let name = draft.name.text;
        let described = attributes
            .get(name)
            .is_some_and(|a| a.description.is_some());
        if !described && !name.starts_with("__") {
            let warning = draft
                .line
                .warning(draft.name, format!("`{name}` has no description"));
            diagnostics.push(warning.with_hint(format!("add `describe {name} …`")));
        }
    }
}

fn symbol(draft: &Draft<'_>, attributes: &Attributes<'_>) -> Symbol {
    let name = draft.name.text;
    let mut flags = attributes.flags;
    let score = if name.starts_with("__") {
        0.0
    } else {
        attributes.score.unwrap_or_else(|| {
            let size = if name.starts_with("T_") { 0.01 } else { 1.0 };
            if flags.nice { -size } else { size }
        })
    };
    flags.nice |= score < 0.0;
    Symbol {
        name: name.into(),
        score,
        group: attributes.group.map(Arc::from),
        kind: match draft.body {
            load::Body::Calendar(_) => RuleKind::Calendar,
            load::Body::Header { .. } => RuleKind::Header,
            load::Body::Body(_) => RuleKind::Body,
            load::Body::Uri(_) => RuleKind::Uri,
            load::Body::Meta(_) => RuleKind::Meta,
        },
        description: attributes.description.map(Arc::from),
        source: attributes.source.map(Arc::from),
        file: draft.line.file.into(),
        line: draft.line.number,
        flags,
        definition: draft.line.definition().into(),
    }
}

/// Rules that are scored, and those that they need.
fn reached(
    drafts: &[(Draft<'_>, &Attributes<'_>)],
    scored: &[bool],
    resolve: &impl Fn(&Token<'_>) -> Option<usize>,
) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> = scored
        .iter()
        .enumerate()
        .filter(|(_, scored)| **scored)
        .map(|(index, _)| index)
        .collect();
    while let Some(index) = open.pop() {
        if reached.insert(index)
            && let Some((
                Draft {
                    body: load::Body::Meta(expression),
                    ..
                },
                _,
            )) = drafts.get(index)
        {
            open.extend(expression.rules().filter_map(resolve));
        }
    }
    reached
}

/// Things that regexes look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Body,
    Uri,
    Header(usize),
    Fact(FactId),
}

/// Seats given out so far.
#[derive(Default)]
struct Seats {
    targets: BTreeMap<Target, usize>,
    patterns: Vec<Vec<Arc<Pattern>>>,
    selectors: BTreeMap<Selector, usize>,
}

impl Seats {
    fn take(&mut self, target: Target, pattern: &Arc<Pattern>) -> Seat {
        let fresh = self.patterns.len();
        let filter = *self.targets.entry(target).or_insert(fresh);
        if filter == fresh {
            self.patterns.push(Vec::new());
        }
        let mut slot = 0;
        if let Some(patterns) = self.patterns.get_mut(filter) {
            slot = u32::try_from(patterns.len()).unwrap_or(u32::MAX);
            patterns.push(Arc::clone(pattern));
        }
        Seat { filter, slot }
    }

    fn calendar(&mut self, test: Test, live: bool) -> Body {
        let seat = match &test.check {
            // Values of all events together are counted as they come, one event at a time.
            Check::Match { pattern, .. } if live && test.quantifier != Quantifier::Joined => {
                Some(self.take(Target::Fact(test.fact), pattern))
            }
            Check::Match { .. }
            | Check::Exists
            | Check::Truth
            | Check::Text { .. }
            | Check::Number { .. }
            | Check::List { .. }
            | Check::Fact { .. } => None,
        };
        Body::Calendar { test, seat }
    }

    fn header(&mut self, selector: Selector, ask: Ask, live: bool) -> Body {
        let fresh = self.selectors.len();
        let selector = *self.selectors.entry(selector).or_insert(fresh);
        let seat = match &ask {
            Ask::Match { pattern, .. } if live => {
                Some(self.take(Target::Header(selector), pattern))
            }
            Ask::Match { .. } | Ask::Exists => None,
        };
        Body::Header {
            selector,
            ask,
            seat,
        }
    }

    fn into_filters(self, set: &mut RuleSet, filtered: bool) {
        let mut dialects = vec![Dialect::Bytes; self.patterns.len()];
        for (target, index) in self.targets {
            match target {
                Target::Body => set.body_filter = Some(index),
                Target::Uri => set.uri_filter = Some(index),
                Target::Header(_) => {}
                Target::Fact(_) => {
                    if let Some(dialect) = dialects.get_mut(index) {
                        *dialect = Dialect::Unicode;
                    }
                }
            }
        }
        set.filters = self
            .patterns
            .into_iter()
            .zip(dialects)
            .map(|(patterns, dialect)| Filter::new(patterns, dialect, filtered))
            .collect();
        let mut selectors: Vec<(Selector, usize)> = self.selectors.into_iter().collect();
        selectors.sort_by_key(|(_, index)| *index);
        set.selectors = selectors
            .into_iter()
            .map(|(selector, _)| selector)
            .collect();
    }
}

/// Works out, from the leaves up, what depends on events and on calendars.
fn spread(set: &mut RuleSet, order: &[usize], scored: &[bool]) {
    let mut ranges = vec![Range::NEVER; set.rules.len()];
    let mut stack = Vec::new();
    for index in order {
        let Some(rule) = set.rules.get(*index) else {
            continue;
        };
        let (per_event, asks_calendar, range) = match &rule.body {
            Body::Calendar { test, .. } => of_test(test),
            Body::Header { .. } | Body::Body { .. } | Body::Uri { .. } => {
                (false, false, Range::MAYBE)
            }
            Body::Meta(expression) => of_meta(expression, set, &ranges, &mut stack),
        };
        if let Some(slot) = ranges.get_mut(*index) {
            *slot = range;
        }
        if let Some(rule) = set.rules.get_mut(*index) {
            rule.per_event = per_event;
            rule.asks_calendar = asks_calendar;
        }
    }
    for (index, rule) in set.rules.iter().enumerate() {
        if scored.get(index) == Some(&true) {
            if rule.per_event {
                &mut set.event_roots
            } else {
                &mut set.message_roots
            }
            .push(index);
            set.without_calendar |= ranges.get(index).is_some_and(|range| range.can_hit());
        }
    }
}

/// A test on a fact that a calendar brings has no values without one, and does not hold.
fn of_test(test: &Test) -> (bool, bool, Range) {
    let from_event = test.facts().any(|id| id.fact().scope == Scope::Event);
    let asks_calendar = test.facts().any(|id| id.fact().origin == Origin::Calendar);
    let required = match &test.check {
        // Entries that nobody owns count whether or not the other fact has values.
        Check::List { .. } => vec![test.fact],
        Check::Exists
        | Check::Truth
        | Check::Match { .. }
        | Check::Text { .. }
        | Check::Number { .. }
        | Check::Fact { .. } => test.facts().collect(),
    };
    let never = required.iter().any(|id| {
        let fact = id.fact();
        fact.scope == Scope::Event || fact.origin == Origin::Calendar
    });
    let range = if never { Range::NEVER } else { Range::MAYBE };
    (
        from_event && test.quantifier != Quantifier::Joined,
        asks_calendar,
        range,
    )
}

fn of_meta(
    expression: &Expression<usize>,
    set: &RuleSet,
    ranges: &[Range],
    stack: &mut Vec<Range>,
) -> (bool, bool, Range) {
    let rules = || expression.rules().filter_map(|index| set.rules.get(*index));
    let range = expression.value(stack, |index, _| {
        ranges.get(*index).copied().unwrap_or(Range::NEVER)
    });
    (
        rules().any(|rule| rule.per_event),
        rules().any(|rule| rule.asks_calendar),
        range,
    )
}
