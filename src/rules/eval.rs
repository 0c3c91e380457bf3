//! Functions of SpamAssassin's plug-ins that rules call with `eval:`.
//!
//! Comes in: a name and arguments, looked up at load; for a scan, a [`Context`]. Goes out: the
//! value of the rule, 0 for no hit, unknown where what it asks cannot be known in this scan.
//! A function that does not run here is in a table all the same, with the reason: see
//! [`refused`].

use std::sync::Arc;

use crate::facts::{Facts, Paragraph};
use crate::lists::Subject;

use super::FunctionState;
use super::domain::Known;
use super::header::Selector;
use super::line::{Line, Token};
use super::load::{Compiler, Definition, Refusal};
use super::lookup;
use super::pattern::{Dialect, Found, Pattern};
use super::settings::Settings;

mod refused;

/// Every function known, by the plug-in or the thing it asks.
const TABLES: [&[Function]; 1] = [refused::FUNCTIONS];

/// Most arguments of one call.
const ARGUMENTS: usize = 64;

/// What a function may ask.
pub(super) struct Context<'c, 's, 'f> {
    /// The message and everything read from it.
    pub(super) facts: &'f Facts<'f>,
    /// Lists and settings of the rule files.
    pub(super) settings: &'s Settings,
    /// Paragraphs of the mail as `body` rules see them, the Subject first.
    pub(super) paragraphs: &'s dyn Fn() -> &'s [Paragraph<'f>],
    /// Runs a regex within the limits of the scan.
    pub(super) find: &'c mut dyn FnMut(&Pattern, &[u8]) -> Found,
    /// What the function found, shown as evidence.
    pub(super) shown: Option<String>,
}

impl Context<'_, '_, '_> {
    /// The text that a `header` rule with this selector sees (`Subject`, `From:addr`); none
    /// when there is no such header.
    pub(super) fn header(&self, selector: &str) -> Option<String> {
        let selector = Selector::read(selector, "").ok()?;
        let networks = &self.settings.networks;
        let found = selector.exists(self.facts, networks);
        found.then(|| String::from_utf8_lossy(&selector.value(self.facts, networks)).into_owned())
    }

    /// True when the regex is found in the text.
    pub(super) fn matches(&mut self, argument: &Argument, text: &[u8]) -> bool {
        let pattern = argument.pattern.as_ref();
        pattern.is_some_and(|pattern| matches!((self.find)(pattern, text), Found::At(..)))
    }
}

/// An argument as written, without quotes.
#[derive(Debug, Clone)]
pub(super) struct Argument {
    pub(super) text: String,
    /// The regex, where the function takes one there.
    pub(super) pattern: Option<Arc<Pattern>>,
}

impl Argument {
    /// The argument as a number; 0 when it is none, as in Perl.
    pub(super) fn number(&self) -> f64 {
        self.text.trim().parse().unwrap_or(0.0)
    }
}

/// Runs a function.
pub(super) type Run = fn(&mut Context<'_, '_, '_>, &[Argument]) -> Known;

/// One function.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) does: Does,
}

impl Function {
    /// What becomes of it.
    pub(super) fn state(&self) -> FunctionState {
        match self.does {
            Does::Runs(_) | Does::Matches(..) => FunctionState::Runs,
            Does::Asks => FunctionState::Asks,
            Does::Refused(reason) => FunctionState::Refused(reason),
        }
    }
}

/// What becomes of a function.
#[derive(Debug)]
pub(super) enum Does {
    /// It runs.
    Runs(Run),
    /// It runs, and the arguments with these indexes are regexes.
    Matches(Run, &'static [usize]),
    /// It asks a DNS list.
    Asks,
    /// It does not run, and why.
    Refused(&'static str),
}

/// A call of a function, ready to run.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) run: Run,
    pub(super) arguments: Vec<Argument>,
}

/// All functions by name, old names (`…whitelist…`) left out.
pub(super) fn functions() -> impl Iterator<Item = &'static Function> {
    TABLES.into_iter().flatten()
}

/// Finds a function. `check_from_in_whitelist` is the old name of `…_welcomelist`.
fn find(name: &str) -> Option<&'static Function> {
    let present = super::settings::present_name(name);
    functions().find(|function| function.name == present)
}

/// Reads `eval:name(arguments)`, `eval:` cut off.
pub(super) fn read<'l>(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'l>,
) -> Result<Definition<'l>, Refusal> {
    let open = text.text.find('(').unwrap_or(text.text.len());
    let name = text.part(0, open).trimmed();
    let written = arguments(line, text.from(open))?;
    let what = || format!("{} eval:{}", line.directive().0, name.text);
    let Some(function) = find(name.text) else {
        let names = functions().map(|function| function.name);
        let guess = super::diagnostic::closest(name.text, names);
        let why = guess.map_or_else(
            || "nobody knows this function".to_owned(),
            |guess| format!("nobody knows this function; did you mean `{guess}`?"),
        );
        return Err(Refusal::unsupported(&what(), &why));
    };
    let (run, regexes): (Run, &[usize]) = match function.does {
        Does::Runs(run) => (run, &[]),
        Does::Matches(run, regexes) => (run, regexes),
        Does::Refused(reason) => {
            return Err(Refusal::unsupported(&what(), reason));
        }
        Does::Asks => {
            let words: Vec<String> = written.iter().map(|token| unquoted(token.text)).collect();
            return lookup::called(function.name, &words).map(Definition::Lookup).ok_or_else(
                || {
                    let message = format!("`{}` lacks an argument", function.name);
                    let error = line.error(name, message);
                    if function.name == "check_dnslist" {
                        let names: Vec<&str> = Subject::ALL.iter().map(|s| s.name()).collect();
                        let hint = format!("a list, and some of: {}", names.join(" "));
                        return error.with_hint(hint).into();
                    }
                    error.into()
                },
            );
        }
    };
    let mut read = Vec::new();
    for (index, token) in written.into_iter().enumerate() {
        let text = unquoted(token.text);
        let pattern = if regexes.contains(&index) {
            // Some functions take a bare expression, others one between slashes.
            let slashed = text.starts_with('/') || text.starts_with("m{") || text.starts_with("qr");
            let regex = if slashed { text.clone() } else { format!("/{text}/") };
            Some(compiler.written(line, token, &regex, Dialect::Bytes)?)
        } else {
            None
        };
        read.push(Argument { text, pattern });
    }
    Ok(Definition::Eval(Call { name: function.name, run, arguments: read }))
}

/// Takes `('a', "b", 3)` apart.
fn arguments<'l>(line: &Line<'_>, text: Token<'l>) -> Result<Vec<Token<'l>>, Refusal> {
    if text.text.is_empty() {
        return Ok(Vec::new());
    }
    let inner = text.text.strip_prefix('(').and_then(|inner| inner.trim_end().strip_suffix(')'));
    let Some(inner) = inner else {
        let error = line.error(text, "the arguments have no closing `)`");
        return Err(error.with_hint("a call is written `eval:name('one', 2)`").into());
    };
    let inner = text.part(1, 1 + inner.len());
    let mut found = Vec::new();
    let mut start = 0;
    let mut quote = None;
    for (at, c) in inner.text.char_indices().chain([(inner.text.len(), ',')]) {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (',', None) => {
                found.push(inner.part(start, at).trimmed());
                start = at + 1;
            }
            _ => {}
        }
    }
    if quote.is_some() {
        return Err(line.error(inner, "an argument has no closing quote").into());
    }
    if found.len() > ARGUMENTS {
        return Err(line.error(inner, format!("more than {ARGUMENTS} arguments")).into());
    }
    if found.len() == 1 && found.first().is_some_and(|token| token.text.is_empty()) {
        found.clear();
    }
    Ok(found)
}

fn unquoted(text: &str) -> String {
    let inner = text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''))
        .or_else(|| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')));
    inner.unwrap_or(text).to_owned()
}
