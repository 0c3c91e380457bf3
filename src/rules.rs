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

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::facts::{Facts, Origin};
use crate::lists::Listings;

use link::How;

mod attributes;
mod calendar;
mod class;
mod condition;
mod define;
mod diagnostic;
mod dnslist;
mod domain;
mod eval;
mod evaluate;
mod evidence;
mod flow;
mod foreign;
mod glob;
mod header;
mod history;
mod line;
mod link;
mod listed;
mod load;
mod lookup;
mod meta;
mod mime;
mod order;
mod pattern;
mod prefilter;
mod replace;
mod search;
mod set;
mod settings;
mod shown;
mod test;
mod stock;
mod translate;
mod units;
mod uri;

pub use history::{Change, Said};
pub use lookup::{Lookup, Record, UriNames};
pub use set::{RuleKind, RuleSet, Symbol};
pub use stock::built_in;

/// Rule files as they were found, in load order.
#[derive(Debug, Clone, Default)]
pub struct Files {
    /// `.cf` files; later lines override earlier ones.
    pub rules: Vec<File>,
    /// Files that a rule file may name in an `include` line, by their path; only those named
    /// are read.
    pub included: Vec<File>,
    /// Files under `lists/`, named without the directory: `brands.txt`.
    pub lists: Vec<File>,
}

/// A rule file as text. It should be UTF-8; where it is not, each stray octet is written as
/// `\xE9`, which is what it means in a regex.
pub fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String cannot fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// The path of a file that another one includes: beside it, unless it is absolute.
pub fn beside(file: &str, included: &str) -> String {
    match file.rsplit_once('/') {
        Some((folder, _)) if !included.starts_with('/') => format!("{folder}/{included}"),
        Some(_) | None => included.to_owned(),
    }
}

/// The names in a file's `include` lines, as written.
pub fn includes(file: &File) -> Vec<String> {
    let lines = line::lines(0, file);
    let named = lines.map(|line| {
        let (key, _, rest) = line.directive();
        (key == "include").then(|| rest.text.to_owned())
    });
    named.flatten().collect()
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Characters marked, at least 1.
    pub width: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself.
    pub source: String,
}

/// What a rule means for the decision, said in rule files by `tflags`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent words of `tflags`")]
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
    /// Only the mail around the calendar, which is what SpamAssassin sees: for comparing.
    Mail,
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

/// What a load gives: the set, and what was skipped or looks wrong.
#[derive(Debug)]
pub struct Loaded {
    /// The rules.
    pub rules: RuleSet,
    /// Warnings only.
    pub diagnostics: Vec<Diagnostic>,
    /// How many rules of each kind were defined and how many of them can run.
    pub coverage: Vec<Coverage>,
    /// Conditions that are false, with the number of rules that stand behind each.
    pub hidden: Vec<(String, usize)>,
}

/// How much of a kind of rule could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// The directive, `eval` added for functions: `header`, `body eval`.
    pub kind: String,
    /// Rules defined.
    pub defined: usize,
    /// Rules taken.
    pub taken: usize,
    /// Those of them that ask a DNS list.
    pub asking: usize,
}

impl Coverage {
    fn new(kind: &str) -> Self {
        Self { kind: kind.to_owned(), defined: 0, taken: 0, asking: 0 }
    }
}

/// What becomes of a function that rules call with `eval:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FunctionState {
    /// It runs.
    Runs,
    /// It asks a DNS list.
    Asks,
    /// It does not run, for this reason.
    Refused(&'static str),
}

/// All functions known, in order of name.
pub fn functions() -> Vec<(&'static str, FunctionState)> {
    let mut all: Vec<_> =
        eval::functions().map(|function| (function.name, function.state())).collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    all
}

/// Loads rule files.
///
/// # Errors
///
/// All diagnostics, at least one of them an error.
pub fn load(files: &Files) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(files, How { filtered: true, whole: false })
}

/// Loads rule files and keeps every rule ready, also those that no score needs: for
/// [`values`], which compares engines.
///
/// # Errors
///
/// As [`load()`].
pub fn load_whole(files: &Files) -> Result<Loaded, Vec<Diagnostic>> {
    load_with(files, How { filtered: true, whole: true })
}

/// Loads rule files; without the filter every regex sees every text.
fn load_with(files: &Files, how: How) -> Result<Loaded, Vec<Diagnostic>> {
    let all = || files.rules.iter().chain(&files.included);
    let lines: Vec<Vec<line::Line<'_>>> =
        all().enumerate().map(|(index, file)| line::lines(index, file).collect()).collect();
    let flow = flow::follow(files, &lines);
    let mut loader = load::Loader::new(&files.lists);
    loader.compiler.diagnostics = flow.diagnostics;
    loader.read(&flow.active);
    let coverage = loader.coverage.values().cloned().collect();
    let hidden = flow.hidden.into_iter().map(|(text, names)| (text, names.len())).collect();
    loader.compiler.close_book();
    let (rules, mut diagnostics) = link::link(loader, how);
    let order: BTreeMap<&str, usize> =
        all().enumerate().map(|(index, file)| (file.name.as_str(), index)).collect();
    diagnostics.sort_by_key(|d| (order.get(d.file.as_str()).copied(), d.line, d.column));
    if diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error) {
        Err(diagnostics)
    } else {
        Ok(Loaded { rules, diagnostics, coverage, hidden })
    }
}

/// The value of every rule of the message, in order of name: helpers and unscored rules too.
/// Rules that are asked for each event are left out. For comparing engines.
pub fn values(
    rules: &RuleSet,
    facts: &Facts<'_>,
    scope: EvidenceScope,
) -> Vec<(Arc<str>, Option<f64>)> {
    evaluate::values(rules, facts, scope)
}

/// Evaluates every rule for every event.
///
/// `expired` is asked between rules and events; when it answers true the hits so far are
/// returned with `complete == false`.
pub fn evaluate(
    rules: &RuleSet,
    facts: &Facts<'_>,
    listings: &Listings<'_>,
    scope: EvidenceScope,
    expired: &dyn Fn() -> bool,
) -> Evaluation {
    evaluate::evaluate(rules, facts, listings, scope, expired)
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
