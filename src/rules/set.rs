//! A loaded rule set: what can be asked of it without scanning anything.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::facts::FactId;
use crate::lists::{List, Plan, Subjects};

use super::diagnostic::closest;
use super::eval::Call;
use super::header::{Ask, Selector};
use super::history::Change;
use super::listed::Asking;
use super::lookup::Lookup;
use super::meta::Expression;
use super::mime::{MimeHeader, Parts};
use super::prefilter::Filter;
use super::settings::Settings;
use super::test::Test;
use super::uri::Condition;
use super::{EvidenceScope, Flags, GroupCap};

/// The directive that defines a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RuleKind {
    /// Asks facts.
    Calendar,
    /// Asks a header field.
    Header,
    /// Asks paragraphs of text.
    Body,
    /// Asks text with its mark-up and line breaks.
    RawBody,
    /// Asks the message as it came.
    Full,
    /// Asks links.
    Uri,
    /// Asks several things of one link.
    UriDetail,
    /// Asks a header field of every part.
    MimeHeader,
    /// Asks a name made from tags in DNS.
    AskDns,
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
            Self::RawBody => "rawbody",
            Self::Full => "full",
            Self::Uri => "uri",
            Self::UriDetail => "uri_detail",
            Self::MimeHeader => "mimeheader",
            Self::AskDns => "askdns",
            Self::Meta => "meta",
        }
    }

    const ALL: [Self; 10] = [
        Self::Calendar,
        Self::Header,
        Self::Body,
        Self::RawBody,
        Self::Full,
        Self::Uri,
        Self::UriDetail,
        Self::MimeHeader,
        Self::AskDns,
        Self::Meta,
    ];

    /// The kind that a directive (lower case) defines.
    pub(super) fn of(directive: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == directive)
    }
}

/// Texts that rules of these kinds search with a regex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TextKind {
    Body,
    RawBody,
    Full,
    Uri,
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
    /// Facts that the definition asks; those of a meta are asked by the rules it names.
    pub facts: Vec<FactId>,
    /// Names that a meta names, also those of rules that are missing or off.
    pub depends: Vec<Arc<str>>,
    /// Definitions, scores and descriptions in load order; the last of a kind counts.
    pub history: Vec<Change>,
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
    Calendar {
        test: Test,
        seat: Option<Seat>,
    },
    Header {
        selector: usize,
        ask: Ask,
        seat: Option<Seat>,
    },
    Text {
        kind: TextKind,
        seat: Option<Seat>,
        without_subject: bool,
    },
    MimeHeader {
        ask: MimeHeader,
        parts: Parts,
    },
    UriDetail(Vec<Condition>),
    Eval(Call),
    /// What a DNS list answers.
    Lookup {
        lookup: Lookup,
        asking: Asking,
    },
    Meta(Expression<usize>),
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) symbol: Symbol,
    pub(super) body: Question,
    /// Hits that are counted (`tflags multiple`).
    pub(super) most_hits: u32,
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
    /// Rules whose regexes capture what other rules' regexes need.
    pub(super) capturing: Vec<usize>,
    pub(super) settings: Settings,
    pub(super) selectors: Vec<Selector>,
    pub(super) caps: Vec<GroupCap>,
    pub(super) facts: BTreeSet<FactId>,
    pub(super) without_calendar: bool,
    /// DNS lists that some scan may ask, and about which names.
    pub(super) lists: Vec<Arc<List>>,
    pub(super) list_subjects: Vec<Subjects>,
    pub(super) lists_off: Vec<Arc<str>>,
}

impl RuleSet {
    /// Rules that may be scored or were switched off, in order of name.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.rules.iter().map(|rule| &rule.symbol).filter(|symbol| !symbol.is_helper())
    }

    /// Every rule in order of name, helpers included.
    pub fn all(&self) -> impl Iterator<Item = &Symbol> {
        self.rules.iter().map(|rule| &rule.symbol)
    }

    /// A rule by name, helpers included.
    pub fn get(&self, symbol: &str) -> Option<&Symbol> {
        let index = self.rules.binary_search_by(|rule| (*rule.symbol.name).cmp(symbol)).ok()?;
        self.rules.get(index).map(|rule| &rule.symbol)
    }

    /// Metas that name a rule, in order of name.
    pub fn used_by(&self, symbol: &str) -> impl Iterator<Item = &Symbol> {
        self.rules
            .iter()
            .map(|rule| &rule.symbol)
            .filter(move |user| user.depends.iter().any(|name| **name == *symbol))
    }

    /// The name of a rule that somebody may have meant.
    pub fn guess(&self, symbol: &str) -> Option<&str> {
        closest(symbol, self.rules.iter().map(|rule| &*rule.symbol.name))
    }

    /// True when a hit of the rule could count in a scope.
    pub fn counts_in(&self, symbol: &Symbol, scope: EvidenceScope) -> bool {
        if scope != EvidenceScope::Calendar {
            return true;
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![&*symbol.name];
        while let Some(name) = open.pop() {
            let Ok(index) = self.rules.binary_search_by(|rule| (*rule.symbol.name).cmp(name))
            else {
                continue;
            };
            let Some(rule) = self.rules.get(index).filter(|_| seen.insert(index)) else {
                continue;
            };
            // Texts and links of calendars are among those that these see.
            let sees_both =
                matches!(rule.symbol.kind, RuleKind::Body | RuleKind::Uri | RuleKind::UriDetail);
            if rule.asks_calendar || sees_both {
                return true;
            }
            open.extend(rule.symbol.depends.iter().map(|name| &**name));
        }
        false
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

    /// DNS lists that rules ask, with the names of the rules.
    pub fn lookups(&self) -> impl Iterator<Item = (&Symbol, &Lookup)> {
        self.rules.iter().filter_map(|rule| match &rule.body {
            Question::Lookup { lookup, .. } => Some((&rule.symbol, lookup)),
            Question::Calendar { .. }
            | Question::Header { .. }
            | Question::Text { .. }
            | Question::MimeHeader { .. }
            | Question::UriDetail(_)
            | Question::Eval(_)
            | Question::Meta(_) => None,
        })
    }

    /// DNS lists that some scan may ask.
    pub fn lists(&self) -> &[Arc<List>] {
        &self.lists
    }

    /// Names of DNS lists that are described and switched off, by themselves or for want of a
    /// key.
    pub fn lists_off(&self) -> &[Arc<str>] {
        &self.lists_off
    }

    /// What rules want to know of DNS lists.
    pub fn plan(&self) -> Plan<'_> {
        Plan {
            lists: &self.lists,
            subjects: &self.list_subjects,
            networks: &self.settings.networks,
            skipped: &self.settings.unasked,
        }
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
