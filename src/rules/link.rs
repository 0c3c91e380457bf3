//! Links drafts into a [`RuleSet`]: looks names up, refuses cycles, finds out which rules a
//! scan can reach, and seats their regexes in the filters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::facts::{FactId, Origin, Scope};

use super::attributes::{Attributes, Cap, Expectation};
use super::diagnostic::closest;
use super::domain::Range;
use super::header::{Ask, Selector};
use super::line::Token;
use super::listed::{Asking, Book, Unasked};
use super::load::{Definition, Draft, Loader};
use super::lookup::Lookup;
use super::meta::Expression;
use super::mime::{MimeHeader, Parts};
use super::order::{check_attributes, check_names, order};
use super::pattern::{Dialect, Found, Pattern};
use super::prefilter::Filter;
use super::set::{Question, Rule, RuleKind, RuleSet, Seat, Symbol, TextKind};
use super::test::{Check, Quantifier, Test};
use super::{Diagnostic, GroupCap, glob};

/// Builds the set. What is wrong is added to the loader's diagnostics.
pub(super) fn link(loader: Loader<'_>, how: How) -> (RuleSet, Vec<Diagnostic>) {
    let Loader {
        compiler,
        mut drafts,
        attributes,
        caps,
        skipped,
        lookups,
        described,
        settings,
        expectations,
        ..
    } = loader;
    let mut diagnostics = compiler.diagnostics;
    expand(&mut drafts);
    let names: Vec<&str> = drafts.keys().copied().collect();
    let order = order(&drafts, &names, &mut diagnostics);
    check_names(&drafts, &names, &skipped, &mut diagnostics);
    check_attributes(&drafts, &attributes, &names, &skipped, &mut diagnostics);
    check_expectations(&drafts, &expectations, &mut diagnostics);
    let mut seats = Seats::default();
    let nothing = Attributes::default();
    let drafts: Vec<(Draft<'_>, &Attributes<'_>)> = drafts
        .into_values()
        .map(|draft| {
            let attributes = attributes.get(draft.name.text).unwrap_or(&nothing);
            (draft, attributes)
        })
        .collect();
    let off: Vec<bool> = drafts.iter().map(|(_, a)| a.score == Some(0.0) && !a.notice).collect();
    let symbols: Vec<Symbol> = drafts.iter().map(|(draft, a)| symbol(draft, a)).collect();
    let scored: Vec<bool> = symbols
        .iter()
        .zip(&drafts)
        .map(|(symbol, (_, attributes))| symbol.score != 0.0 || attributes.notice)
        .collect();
    let asked = drafts.iter().filter_map(|(draft, _)| match &draft.body {
        Definition::Lookup(lookup) => Some(lookup),
        Definition::Calendar(_)
        | Definition::Header { .. }
        | Definition::Text { .. }
        | Definition::MimeHeader(_)
        | Definition::UriDetail(_)
        | Definition::Eval(_)
        | Definition::Meta(_) => None,
    });
    let mut book = Book::new(described, asked);
    let resolve = |name: &Token<'_>| {
        let index = names.binary_search(&name.text).ok()?;
        (off.get(index) == Some(&false)).then_some(index)
    };
    let reached =
        if how.whole { (0..names.len()).collect() } else { reached(&drafts, &scored, &resolve) };
    check_caps(&caps, &attributes, &mut diagnostics);
    let mut set = RuleSet {
        caps: caps
            .iter()
            .map(|(name, cap)| GroupCap { group: Arc::from(*name), min: cap.min, max: cap.max })
            .collect(),
        settings,
        ..RuleSet::default()
    };
    let mut templates = false;
    let mut capturing = Vec::new();
    for (index, ((mut draft, attributes), symbol)) in drafts.into_iter().zip(symbols).enumerate() {
        let live = reached.contains(&index);
        let most_hits = attributes.most_hits.unwrap_or(1);
        let pattern = pattern(&draft.body);
        if live && let Some(pattern) = pattern {
            templates |= pattern.template().is_some();
            if pattern.captures() {
                capturing.push(index);
            }
        }
        defined(&mut draft, &lookups, &mut diagnostics);
        let mut asking = Asking::default();
        if live && let Definition::Lookup(lookup) = &draft.body {
            match book.asking(lookup, symbol.flags.nice) {
                Ok(found) => asking = found,
                Err(Unasked::Off) => {}
                Err(Unasked::Wrong(message)) => {
                    diagnostics.push(draft.line.warning(draft.name, message));
                }
            }
        }
        let body = seats.question(draft.body, asking, attributes, live, &resolve);
        if live && let Question::Calendar { test, .. } = &body {
            set.facts.extend(test.facts());
            if test.quantifier == Quantifier::Joined {
                set.joined.push(index);
            }
        }
        set.rules.push(Rule { symbol, body, most_hits, per_event: false, asks_calendar: false });
    }
    (set.lists, set.list_subjects, set.lists_off) = book.finish();
    if templates {
        set.capturing = capturing;
    }
    seats.into_filters(&mut set, how.filtered);
    spread(&mut set, &order, &scored);
    (set, diagnostics)
}

/// Puts the list that a `uri…` line defines into the place of its name.
fn defined(
    draft: &mut Draft<'_>,
    lookups: &BTreeMap<&str, Lookup>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Definition::Lookup(Lookup::Defined { rule }) = &draft.body else { return };
    if let Some(lookup) = lookups.get(&**rule) {
        draft.body = Definition::Lookup(lookup.clone());
    } else {
        let message = format!("no list is defined for `{rule}`");
        let hint = format!("for example `urirhssub {rule} zone.example. A 127.0.0.2`");
        diagnostics.push(draft.line.warning(draft.name, message).with_hint(hint));
    }
}

/// A cap of a group that no rule is in says nothing.
fn check_caps(
    caps: &BTreeMap<&str, Cap<'_>>,
    attributes: &BTreeMap<&str, Attributes<'_>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (name, cap) in caps {
        let used = attributes.values().any(|attributes| attributes.group == Some(*name));
        if !used {
            let message = format!("no rule is in the group `{name}`");
            let guess = closest(name, attributes.values().filter_map(|a| a.group));
            diagnostics.push(cap.line.warning(cap.name, message).with_guess(guess));
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
    let (facts, depends) = needs(&draft.body);
    let mut history = attributes.history.clone();
    history.sort_by_key(|(position, _)| *position);
    Symbol {
        name: name.into(),
        score,
        group: attributes.group.map(Arc::from),
        kind: RuleKind::of(&draft.line.kind()).unwrap_or(RuleKind::Meta),
        description: attributes.description.map(Arc::from),
        source: attributes.source.map(Arc::from),
        file: draft.line.file.into(),
        line: draft.line.number,
        flags,
        definition: draft.line.definition().into(),
        facts,
        depends,
        history: history.into_iter().map(|(_, change)| change).collect(),
    }
}

/// Facts that a definition asks and rules that it names, each once.
fn needs(body: &Definition<'_>) -> (Vec<FactId>, Vec<Arc<str>>) {
    let mut facts = Vec::new();
    let mut depends = Vec::new();
    match body {
        Definition::Calendar(test) => {
            let mut seen = BTreeSet::new();
            facts.extend(test.facts().filter(|fact| seen.insert(*fact)));
        }
        Definition::Meta(expression) => {
            let mut seen = BTreeSet::new();
            let names = expression.rules().map(|name| name.text);
            depends.extend(names.filter(|name| seen.insert(*name)).map(Arc::from));
        }
        Definition::Header { .. }
        | Definition::Text { .. }
        | Definition::MimeHeader(_)
        | Definition::UriDetail(_)
        | Definition::Eval(_)
        | Definition::Lookup(_) => {}
    }
    (facts, depends)
}

/// Runs `test NAME ok|fail text` lines on the rules' regexes.
fn check_expectations(
    drafts: &BTreeMap<&str, Draft<'_>>,
    expectations: &[Expectation<'_>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for expectation in expectations {
        let Some(draft) = drafts.get(expectation.name.text) else { continue };
        let Some(pattern) = pattern(&draft.body) else { continue };
        let negated = matches!(
            draft.body,
            Definition::Header { ask: Ask::Match { negated: true, .. }, .. }
                | Definition::MimeHeader(MimeHeader { negated: true, .. })
        );
        let found = matches!(pattern.find(expectation.text.as_bytes()), Found::At(..));
        let hits = found != negated;
        if hits != expectation.hits && pattern.template().is_none() {
            let does = if hits { "hits" } else { "does not hit" };
            let message = format!("`{}` {does} the text of its test", expectation.name.text);
            diagnostics.push(expectation.line.warning(expectation.name, message));
        }
    }
}

/// How a set is put together.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    /// Regexes see only texts that the filter lets through.
    pub(super) filtered: bool,
    /// Every rule can be asked, also those that no score needs.
    pub(super) whole: bool,
}

/// Replaces `rules_matching(GLOB)` by the rules it stands for.
fn expand(drafts: &mut BTreeMap<&str, Draft<'_>>) {
    // A name lives as long as its line: the drafts can be changed meanwhile.
    let names: Vec<Token<'_>> = drafts.values().map(|draft| draft.name).collect();
    for draft in drafts.values_mut() {
        let own = draft.name.text;
        if let Definition::Meta(expression) = &mut draft.body {
            expression.expand(|glob| {
                let fits = |name: &&Token<'_>| {
                    name.text != own && glob::matches(glob.text.as_bytes(), name.text.as_bytes())
                };
                let matching = names.iter().filter(fits);
                matching.map(|name| Token { at: glob.at, text: name.text }).collect()
            });
        }
    }
}

/// The regex of a rule that has one.
fn pattern<'d>(body: &'d Definition<'_>) -> Option<&'d Arc<Pattern>> {
    match body {
        Definition::Calendar(Test { check: Check::Match { pattern, .. }, .. })
        | Definition::Header { ask: Ask::Match { pattern, .. }, .. }
        | Definition::Text { pattern, .. }
        | Definition::MimeHeader(MimeHeader { pattern, .. }) => Some(pattern),
        Definition::Calendar(_)
        | Definition::Header { .. }
        | Definition::UriDetail(_)
        | Definition::Eval(_)
        | Definition::Lookup(_)
        | Definition::Meta(_) => None,
    }
}

/// Rules that are scored, and those that they need.
fn reached(
    drafts: &[(Draft<'_>, &Attributes<'_>)],
    scored: &[bool],
    resolve: &impl Fn(&Token<'_>) -> Option<usize>,
) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<usize> =
        scored.iter().enumerate().filter(|(_, scored)| **scored).map(|(index, _)| index).collect();
    while let Some(index) = open.pop() {
        if reached.insert(index)
            && let Some((Draft { body: Definition::Meta(expression), .. }, _)) = drafts.get(index)
        {
            open.extend(expression.rules().filter_map(resolve));
        }
    }
    reached
}

/// Things that regexes look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    Text(TextKind),
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
    /// What a rule asks, everything looked up.
    fn question(
        &mut self,
        definition: Definition<'_>,
        asking: Asking,
        attributes: &Attributes<'_>,
        live: bool,
        resolve: &impl Fn(&Token<'_>) -> Option<usize>,
    ) -> Question {
        match definition {
            Definition::Calendar(mut test) => {
                let most = attributes.most_hits.unwrap_or(1);
                test.most = usize::try_from(most).unwrap_or(usize::MAX);
                self.calendar(test, live)
            }
            Definition::Header { selector, ask } => self.header(selector, ask, live),
            Definition::Text { kind, pattern } => Question::Text {
                kind,
                seat: live.then(|| self.take(Target::Text(kind), &pattern)),
                without_subject: attributes.without_subject,
            },
            Definition::MimeHeader(ask) => {
                let parts = Parts { range: attributes.range, joined: attributes.joined };
                Question::MimeHeader { ask, parts }
            }
            Definition::UriDetail(conditions) => Question::UriDetail(conditions),
            Definition::Eval(call) => Question::Eval(call),
            Definition::Lookup(lookup) => Question::Lookup { lookup, asking },
            Definition::Meta(expression) => Question::Meta(expression.resolved(resolve)),
        }
    }

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

    fn calendar(&mut self, test: Test, live: bool) -> Question {
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
        Question::Calendar { test, seat }
    }

    fn header(&mut self, selector: Selector, ask: Ask, live: bool) -> Question {
        let fresh = self.selectors.len();
        let selector = *self.selectors.entry(selector).or_insert(fresh);
        let seat = match &ask {
            Ask::Match { pattern, .. } if live => {
                Some(self.take(Target::Header(selector), pattern))
            }
            Ask::Match { .. } | Ask::Exists => None,
        };
        Question::Header { selector, ask, seat }
    }

    fn into_filters(self, set: &mut RuleSet, filtered: bool) {
        let mut dialects = vec![Dialect::Bytes; self.patterns.len()];
        for (target, index) in self.targets {
            match target {
                Target::Text(_) | Target::Header(_) => {}
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
        set.selectors = selectors.into_iter().map(|(selector, _)| selector).collect();
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
            Question::Calendar { test, .. } => of_test(test),
            Question::Header { .. }
            | Question::Text { .. }
            | Question::MimeHeader { .. }
            | Question::UriDetail(_)
            | Question::Eval(_) => (false, false, Range::MAYBE),
            Question::Lookup { asking, .. } => (false, asking.asks_calendar(), Range::NEVER),
            Question::Meta(expression) => of_meta(expression, set, &ranges, &mut stack),
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
            if rule.per_event { &mut set.event_roots } else { &mut set.message_roots }.push(index);
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
    (from_event && test.quantifier != Quantifier::Joined, asks_calendar, range)
}

fn of_meta(
    expression: &Expression<usize>,
    set: &RuleSet,
    ranges: &[Range],
    stack: &mut Vec<Range>,
) -> (bool, bool, Range) {
    let rules = || expression.rules().filter_map(|index| set.rules.get(*index));
    let range =
        expression.value(stack, |index, _| ranges.get(*index).copied().unwrap_or(Range::NEVER));
    (rules().any(|rule| rule.per_event), rules().any(|rule| rule.asks_calendar), range)
}
