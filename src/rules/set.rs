//! A loaded rule set: what can be asked of it without scanning anything.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::facts::FactId;

use crate::facts::mail::Networks;

use super::header::{Ask, Selector};
use super::meta::Expression;
use super::prefilter::Filter;
use super::test::Test;
use super::{Flags, GroupCap};

/// The directive that defines a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// Asks facts.
    Calendar,
    /// Asks a header field.
    Header,
    /// Asks paragraphs of text.
    Body,
    /// Asks links.
    Uri,
    /// Combines other rules.
    Meta,
}

impl RuleKind {
    /// The directive.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::Header => "header",
            Self::Body => "body",
            Self::Uri => "uri",
            Self::Meta => "meta",
        }
    }
}

/// What is known of a rule without scanning: for lists of rules, metrics and answers.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// Public name.
    pub name: Arc<str>,
    /// Score; 0 for a rule that is switched off or only serves metas.
    pub score: f64,
    /// Group, if the rule is in one.
    pub group: Option<Arc<str>>,
    /// Which directive defines it.
    pub kind: RuleKind,
    /// `describe`
    pub description: Option<Arc<str>>,
    /// `source`: why anybody believes in it.
    pub source: Option<Arc<str>>,
    /// File that defines it.
    pub file: Arc<str>,
    /// Line there, from 1.
    pub line: usize,
    /// Meaning for the decision.
    pub flags: Flags,
    /// The defining line, without its comment.
    pub definition: Arc<str>,
}

impl Symbol {
    /// True for rules that are never scored and only serve metas.
    pub fn is_helper(&self) -> bool {
        self.name.starts_with("__")
    }
}

/// A regex's seat in a filter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) filter: usize,
    pub(super) slot: u32,
}

/// What a rule asks, everything looked up. Rules that no scan can reach have no seat.
#[derive(Debug)]
pub(super) enum Question {
    Calendar { test: Test, seat: Option<Seat> },
    Header { selector: usize, ask: Ask, seat: Option<Seat> },
    Body { seat: Option<Seat>, without_subject: bool },
    Uri { seat: Option<Seat> },
    Meta(Expression<usize>),
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) symbol: Symbol,
    pub(super) body: Question,
    /// True when its value differs from event to event.
    pub(super) per_event: bool,
    /// True when it asks a fact that a calendar brings.
    pub(super) asks_calendar: bool,
}

/// A loaded rule set. Immutable; reload swaps the whole.
#[derive(Default)]
pub struct RuleSet {
    /// By name.
    pub(super) rules: Vec<Rule>,
    /// Scored rules that are the same for every event, by name.
    pub(super) message_roots: Vec<usize>,
    /// Scored rules that are asked for each event, by name.
    pub(super) event_roots: Vec<usize>,
    /// Rules with `message(FACT)`.
    pub(super) joined: Vec<usize>,
    pub(super) filters: Vec<Filter>,
    pub(super) body_filter: Option<usize>,
    pub(super) uri_filter: Option<usize>,
    pub(super) selectors: Vec<Selector>,
    /// Networks the administrator named; they decide which hops are believed.
    pub(super) networks: Networks,
    pub(super) caps: Vec<GroupCap>,
    pub(super) facts: BTreeSet<FactId>,
    pub(super) without_calendar: bool,
}

impl RuleSet {
    /// Rules that may be scored or were switched off, in order of name.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.rules.iter().map(|rule| &rule.symbol).filter(|symbol| !symbol.is_helper())
    }

    /// A rule by name, helpers included.
    pub fn get(&self, symbol: &str) -> Option<&Symbol> {
        let index = self.rules.binary_search_by(|rule| (*rule.symbol.name).cmp(symbol)).ok()?;
        self.rules.get(index).map(|rule| &rule.symbol)
    }

    /// Caps of groups, in order of name.
    pub fn group_caps(&self) -> &[GroupCap] {
        &self.caps
    }

    /// True when some scored rule could hit a message that has no calendar part.
    pub fn can_hit_without_calendar(&self) -> bool {
        self.without_calendar
    }

    /// Facts that some scan may ask.
    pub fn facts_read(&self) -> &BTreeSet<FactId> {
        &self.facts
    }

    /// Number of rules, helpers included.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// True when there is no rule at all.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}
