//! Functions of SpamAssassin's plug-ins that rules call with `eval:`.
//!
//! Comes in: a name and arguments, looked up at load; for a scan, a [`Context`]. Goes out: the
//! value of the rule, 0 for no hit, unknown where what it asks cannot be known in this scan.
//! A function that does not run here is in a table all the same, with the reason: see
//! [`refused`].

use std::sync::Arc;

use crate::facts::{Facts, Origin, Paragraph};
use crate::lists::Subject;

use super::FunctionState;
use super::domain::Known;
use super::header::Selector;
use super::line::{Line, Token};
use super::load::{Compiler, Definition, Refusal};
use super::lookup;
use super::pattern::{Dialect, Found, Pattern};
use super::settings::Settings;

mod ask;
mod authentication;
mod body;
mod bounces;
mod clock;
mod dates;
mod forged;
mod freemail;
mod from_name;
mod headers;
mod html;
mod images;
mod lists;
mod locales;
mod mime;
mod pdf;
mod recipients;
mod refused;
mod relays;
#[cfg(test)]
mod mail_tests;
mod uris;

use ask::Phrase;

/// Every function known, by the plug-in or the thing it asks.
const TABLES: [&[Function]; 18] = [
    authentication::FUNCTIONS,
    authentication::SPF,
    body::FUNCTIONS,
    bounces::FUNCTIONS,
    dates::FUNCTIONS,
    forged::FUNCTIONS,
    freemail::FUNCTIONS,
    from_name::FUNCTIONS,
    headers::FUNCTIONS,
    html::FUNCTIONS,
    images::FUNCTIONS,
    lists::FUNCTIONS,
    mime::FUNCTIONS,
    pdf::FUNCTIONS,
    recipients::FUNCTIONS,
    refused::FUNCTIONS,
    relays::FUNCTIONS,
    uris::FUNCTIONS,
];

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
    /// True when the rule is a `rawbody` rule.
    pub(super) raw: bool,
    /// What the function found, shown as evidence.
    pub(super) shown: Option<String>,
}

impl<'s> Context<'_, 's, '_> {
    /// The texts of the mail that a function of a `body` rule sees, the Subject first; of a
    /// `rawbody` rule, decoded text without the Subject. Calendars are not in them.
    pub(super) fn body(&self) -> Vec<&'s [u8]> {
        if self.raw {
            return self.facts.mail.raw_body().iter().map(|chunk| chunk.text.as_slice()).collect();
        }
        let paragraphs = (self.paragraphs)().iter();
        paragraphs
            .filter(|paragraph| paragraph.origin == Origin::Mail)
            .map(|paragraph| &*paragraph.text)
            .collect()
    }

    /// The text that a `header` rule with this selector sees (`Subject`, `From:addr`); none
    /// when there is no such header.
    pub(super) fn header(&self, selector: &str) -> Option<String> {
        let octets = self.octets(selector)?;
        Some(String::from_utf8_lossy(&octets).into_owned())
    }

    /// The same in octets.
    fn octets(&self, selector: &str) -> Option<Vec<u8>> {
        let selector = Selector::read(selector, "").ok()?;
        let (facts, networks) = (self.facts, &self.settings.networks);
        selector.exists(facts, networks).then(|| selector.value(facts, networks))
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
    /// True in a `rawbody` rule.
    pub(super) raw: bool,
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
    let raw = line.kind() == "rawbody";
    Ok(Definition::Eval(Call { name: function.name, run, arguments: read, raw }))
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

/// Hit or no hit.
#[expect(clippy::unnecessary_wraps, reason = "functions answer what may be unknown")]
fn flag(hit: bool) -> Known {
    Some(super::domain::flag(hit))
}

/// The number of an argument; 0 without one, as in Perl.
fn at(arguments: &[Argument], index: usize) -> f64 {
    arguments.get(index).map_or(0.0, Argument::number)
}

/// The text of an argument; empty without one.
fn word(arguments: &[Argument], index: usize) -> &str {
    arguments.get(index).map_or("", |argument| argument.text.as_str())
}

/// True for a value that is at least the argument with this index and, where there is a next
/// one, at most that.
fn limit(arguments: &[Argument], index: usize, value: f64) -> bool {
    value >= at(arguments, index)
        && arguments.get(index + 1).is_none_or(|most| value <= most.number())
}

/// True for a size that the arguments from this index on allow: least height and width, and,
/// where they are written, most.
fn in_range(arguments: &[Argument], index: usize, height: f64, width: f64) -> bool {
    let below =
        |index: usize, value: f64| arguments.get(index).is_none_or(|most| value <= most.number());
    height >= at(arguments, index)
        && width >= at(arguments, index + 1)
        && below(index + 2, height)
        && below(index + 3, width)
}

/// Octets of the texts that the rule looks at.
fn text_length(context: &Context<'_, '_, '_>) -> usize {
    context.body().iter().map(|text| text.len()).sum()
}

fn count(number: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a mail is smaller than that")]
    let number = number as f64;
    number
}

#[cfg(test)]
mod tests;
