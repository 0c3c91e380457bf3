//! Loads rule files into a [`RuleSet`] and evaluates it against [`Facts`].
//!
//! Rules are SpamAssassin's `.cf` language plus `calendar` and a few directives of our own
//! (`group`, `group_cap`, `source`). Comes in: [`Files`] and, for a scan, facts. Goes out: a
//! rule set or typed [`Diagnostic`]s with file, line, column and a hint; for a scan, [`Hit`]s
//! with their evidence.
//!
//! An administrator's mistake is an error of the load, never of a scan. What a mail holds is
//! never an error. Every regex runs in bounded time.
//!
//! The only module that knows the regex engines.

use std::sync::Arc;

use crate::facts::{Facts, Origin};

/// Rule files as they were found, in load order.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `.cf` files; later lines override earlier ones.
    pub rules: Vec<File>,
    /// Files under `lists/`, named without the directory: `brands.txt`.
    pub lists: Vec<File>,
}

/// One file.
#[derive(Debug, Clone)]
pub struct File {
    /// Name as shown in messages.
    pub name: String,
    /// Content.
    pub text: String,
}

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The rule set is refused.
    Error,
    /// The line is skipped or suspicious; the rest loads.
    Warning,
}

/// Something wrong in a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// File name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself.
    pub source: String,
}

/// What a rule means for the decision, said in rule files by `tflags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `known`: the organizer is known to the recipient and authenticated.
    pub known: bool,
    /// `forged`: an iTIP message by somebody who has no authority over the event.
    pub forged: bool,
    /// `active`: active content or parser abuse; cancels good signs.
    pub active: bool,
    /// `nice`: a good sign (negative score).
    pub nice: bool,
}

/// Where and what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// `VEVENT[0].DESCRIPTION`.
    pub place: String,
    /// The matched text, cut and cleaned.
    pub text: String,
}

/// A rule that matched.
#[derive(Debug, Clone)]
pub struct Hit {
    /// Public name.
    pub symbol: Arc<str>,
    /// Score before caps.
    pub score: f64,
    /// Group, if the rule is in one.
    pub group: Option<Arc<str>>,
    /// Description, if there is one.
    pub description: Option<Arc<str>>,
    /// Meaning for the decision.
    pub flags: Flags,
    /// Where the evidence came from.
    pub origin: Origin,
    /// Where and what, at most five.
    pub evidence: Vec<Evidence>,
    /// Events it hit in (indexes in `Reading::events`); empty for rules of the message.
    pub events: Vec<usize>,
}

/// What evidence counts (request header `Scope`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EvidenceScope {
    /// Everything.
    #[default]
    Message,
    /// Only what the calendar brought.
    Calendar,
}

/// Cap of a group's sum.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupCap {
    /// Group name.
    pub group: Arc<str>,
    /// Lowest sum.
    pub min: f64,
    /// Highest sum.
    pub max: f64,
}

/// A loaded rule set. Immutable; reload swaps the whole.
#[derive(Debug)]
pub struct RuleSet {}

/// What a load gives: the set, and what was skipped or looks wrong.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// Warnings only.
    pub diagnostics: Vec<Diagnostic>,
}

/// Loads rule files.
///
/// # Errors
///
/// All diagnostics, at least one of them an error.
pub fn load(_files: &Files) -> Result<Loaded, Vec<Diagnostic>> {
    todo!()
}

/// Evaluates every rule for every event.
///
/// `expired` is asked between rules and events; when it answers true the hits so far are
/// returned with `complete == false`.
pub fn evaluate(
    _rules: &RuleSet,
    _facts: &Facts<'_>,
    _scope: EvidenceScope,
    _expired: &dyn Fn() -> bool,
) -> Evaluation {
    todo!()
}

/// The outcome of an evaluation.
#[derive(Debug, Default)]
pub struct Evaluation {
    /// Hits, in order of symbol name.
    pub hits: Vec<Hit>,
    /// False when the time ran out or a regex hit its step limit.
    pub complete: bool,
    /// Symbols whose regex ran into its step limit.
    pub exhausted: Vec<Arc<str>>,
}
