//! Reads the lines that count into drafts of rules and what is said about them.
//!
//! Lines are read in two rounds: first settings and attributes, then definitions, because
//! `replace_rules` and lists may stand below the rules they are for. A directive is one arm of
//! [`Loader::setting`] or [`Loader::definition`]; a definition is one function that turns the
//! text after the rule's name into a [`Definition`]. Linking the drafts together is done by
//! [`super::link`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::wordlists::{self, Book, WordList};

use super::attributes::{Attributes, Cap, Expectation};
use super::diagnostic::closest;
use super::dnslist::Described;
use super::eval::Call;
use super::flow::Active;
use super::header::{Ask, Selector};
use super::history::{Change, Said};
use super::line::{Line, Token};
use super::listed;
use super::lookup::{self, Lookup};
use super::meta::{self, Expression};
use super::mime::MimeHeader;
use super::pattern::{self, Dialect, Pattern, Switches};
use super::replace::{self, Tags};
use super::set::TextKind;
use super::settings::{self, Settings};
use super::test::Test;
use super::uri::Condition;
use super::{Coverage, Diagnostic, File, define, foreign};

/// Directives that define a rule.
const DEFINITIONS: [&str; 10] = [
    "calendar",
    "header",
    "body",
    "rawbody",
    "full",
    "uri",
    "uri_detail",
    "mimeheader",
    "meta",
    "askdns",
];

/// Directives that define a DNS list for the rule of the same name.
const LISTS: [&str; 8] = [
    "urirhsbl",
    "urirhssub",
    "uridnsbl",
    "uridnssub",
    "urinsrhsbl",
    "urinsrhssub",
    "urifullnsrhsbl",
    "urifullnsrhssub",
];

/// Directives that say something of a rule or of a group.
const ATTRIBUTES: [&str; 9] =
    ["score", "describe", "tflags", "priority", "group", "group_cap", "source", "test", "dnslist"];

/// Directives of our own.
const OWN: [&str; 5] = ["calendar", "group", "group_cap", "source", "dnslist"];

/// True for a directive that defines a rule.
pub(super) fn defines(key: &str) -> bool {
    DEFINITIONS.contains(&key)
}

/// Why a definition is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is wrong.
    Wrong(Box<Diagnostic>),
    /// It is right and cannot be read.
    Unsupported {
        /// What kind of thing it is: `header eval:check_bayes`.
        what: String,
        /// Why it cannot be read.
        why: String,
    },
}

impl Refusal {
    /// Something that is right and cannot be read.
    pub(super) fn unsupported(what: &str, why: &str) -> Self {
        Self::Unsupported { what: what.to_owned(), why: why.to_owned() }
    }
}

impl From<Diagnostic> for Refusal {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Wrong(Box::new(diagnostic))
    }
}

/// What a rule asks, names of other rules not yet looked up.
#[derive(Debug)]
pub(super) enum Definition<'l> {
    Calendar(Test),
    Header { selector: Selector, ask: Ask },
    Text { kind: TextKind, pattern: Arc<Pattern> },
    MimeHeader(MimeHeader),
    UriDetail(Vec<Condition>),
    Eval(Call),
    Lookup(Lookup),
    Meta(Expression<Token<'l>>),
}

/// A rule as defined.
#[derive(Debug)]
pub(super) struct Draft<'l> {
    pub(super) line: &'l Line<'l>,
    pub(super) name: Token<'l>,
    pub(super) body: Definition<'l>,
}

/// Compiles operands, each different one once.
pub(super) struct Compiler<'t> {
    pub(super) diagnostics: Vec<Diagnostic>,
    files: &'t [File],
    lists: BTreeMap<String, Arc<WordList>>,
    /// The phrases of the lists.
    book: Arc<Book>,
    /// Lists that texts are asked about.
    in_texts: BTreeSet<String>,
    patterns: HashMap<(String, Switches, Dialect), Arc<Pattern>>,
    tags: Tags<'t>,
    /// True while the definition read is of a rule whose tags are replaced.
    replacing: bool,
}

impl Compiler<'_> {
    /// Compiles `/re/flags`.
    pub(super) fn pattern(
        &mut self,
        line: &Line<'_>,
        token: Token<'_>,
        dialect: Dialect,
    ) -> Result<Arc<Pattern>, Refusal> {
        self.written(line, token, token.text, dialect)
    }

    /// Compiles `/re/flags` whose first group is asked for.
    pub(super) fn capturing(
        line: &Line<'_>,
        token: Token<'_>,
        dialect: Dialect,
    ) -> Result<Arc<Pattern>, Refusal> {
        let compile = |text| Pattern::compile_capturing(pattern::split(text)?, dialect);
        let compiled = compile(token.text).map_err(|message| line.error(token, message))?;
        Ok(Arc::new(compiled))
    }

    /// Compiles a regex made from what stands at a token.
    pub(super) fn written(
        &mut self,
        line: &Line<'_>,
        token: Token<'_>,
        text: &str,
        dialect: Dialect,
    ) -> Result<Arc<Pattern>, Refusal> {
        let replaced = if self.replacing {
            Some(self.tags.replaced(text).map_err(|message| line.error(token, message))?)
        } else {
            None
        };
        let written = pattern::split(replaced.as_deref().unwrap_or(text)).map_err(|message| {
            let error = line.error(token, message);
            if line.was_cut() { error.with_hint("a `#` in a rule is written `\\#`") } else { error }
        })?;
        let key = (written.body.to_owned(), written.switches, dialect);
        if let Some(pattern) = self.patterns.get(&key) {
            return Ok(Arc::clone(pattern));
        }
        let pattern = Pattern::compile(written, dialect).map_err(|message| {
            line.error(token, format!("bad regex: {message}"))
                .with_hint("signs that stand for themselves are written with a backslash: `\\(`")
        })?;
        let pattern = Arc::new(pattern);
        self.patterns.insert(key, Arc::clone(&pattern));
        Ok(pattern)
    }

    /// Finds a list file and compiles it.
    pub(super) fn list(
        &mut self,
        line: &Line<'_>,
        token: Token<'_>,
    ) -> Result<Arc<WordList>, Refusal> {
        if let Some(list) = self.lists.get(token.text) {
            return Ok(Arc::clone(list));
        }
        // As with rules, a later file of the same name replaces an earlier one.
        let files = self.files.iter().enumerate().filter(|(at, file)| {
            !self.files.iter().skip(at + 1).any(|later| later.name == file.name)
        });
        let files = files.map(|(_, file)| (file.name.as_str(), file.text.as_str()));
        let sources = wordlists::sources(token.text, files);
        if sources.is_empty() {
            let guess = closest(token.text, self.files.iter().map(|file| file.name.as_str()));
            let message = format!("there is no list `{}`", token.text);
            return Err(line.error(token, message).with_guess(guess).into());
        }
        let (list, warnings) = WordList::compile(&self.book, &sources);
        for warning in warnings {
            self.diagnostics.push(
                line.warning(token, warning)
                    .with_hint("a set is written `@name = word, word` in the same section"),
            );
        }
        let list = Arc::new(list);
        self.lists.insert(token.text.to_owned(), Arc::clone(&list));
        Ok(list)
    }

    /// Notes that texts are asked about a list.
    pub(super) fn ask_texts(&mut self, name: &str) {
        self.in_texts.insert(name.to_owned());
    }

    /// Makes one automaton of the phrases of all lists that texts are asked about.
    pub(super) fn close_book(&self) {
        let asked = self.lists.iter().filter(|(name, _)| self.in_texts.contains(*name));
        let lists: Vec<&WordList> = asked.map(|(_, list)| &**list).collect();
        self.book.close(&lists);
    }
}

/// Everything read so far.
pub(super) struct Loader<'l> {
    pub(super) compiler: Compiler<'l>,
    pub(super) settings: Settings,
    pub(super) drafts: BTreeMap<&'l str, Draft<'l>>,
    pub(super) attributes: BTreeMap<&'l str, Attributes<'l>>,
    pub(super) caps: BTreeMap<&'l str, Cap<'l>>,
    /// Lists that `check_uridnsbl` asks, by name.
    pub(super) lookups: BTreeMap<&'l str, Lookup>,
    /// Lists that `dnslist` describes.
    pub(super) described: Described,
    pub(super) expectations: Vec<Expectation<'l>>,
    /// Files with a directive of our own: SpamAssassin could not read them.
    own_files: BTreeSet<usize>,
    /// Rules that were defined but not taken.
    pub(super) skipped: BTreeSet<&'l str>,
    /// For each kind of rule how many were defined and how many taken.
    pub(super) coverage: BTreeMap<String, Coverage>,
    /// Of the line that is read, in load order.
    pub(super) position: usize,
    /// For each kind of thing that cannot be read: why, the first one, how many.
    unsupported: BTreeMap<String, (String, Diagnostic, usize)>,
}

impl<'l> Loader<'l> {
    /// Nothing read yet.
    pub(super) fn new(lists: &'l [File]) -> Self {
        Self {
            compiler: Compiler {
                diagnostics: Vec::new(),
                files: lists,
                lists: BTreeMap::new(),
                book: Arc::default(),
                in_texts: BTreeSet::new(),
                patterns: HashMap::new(),
                tags: Tags::default(),
                replacing: false,
            },
            settings: Settings::default(),
            drafts: BTreeMap::new(),
            attributes: BTreeMap::new(),
            caps: BTreeMap::new(),
            lookups: BTreeMap::new(),
            described: Described::default(),
            expectations: Vec::new(),
            own_files: BTreeSet::new(),
            skipped: BTreeSet::new(),
            coverage: BTreeMap::new(),
            position: 0,
            unsupported: BTreeMap::new(),
        }
    }

    /// Reads all lines that count.
    pub(super) fn read(&mut self, lines: &[Active<'l>]) {
        let own = |active: &&Active<'l>| OWN.contains(&active.key.as_str());
        self.own_files = lines.iter().filter(own).map(|active| active.line.file_index).collect();
        for wanted in [false, true] {
            for (position, active) in lines.iter().enumerate() {
                self.position = position;
                match defines(&active.key) {
                    defines if defines != wanted => {}
                    true => self.definition(active),
                    false => self.setting(active),
                }
            }
        }
        self.report_unsupported();
    }

    /// Reads a line that says something of a rule, a group, or the whole.
    fn setting(&mut self, active: &Active<'l>) {
        let Active { line, key, word, rest } = active;
        let (line, word, rest) = (*line, *word, *rest);
        match key.as_str() {
            "score" => self.attribute(line, rest, Self::score),
            "describe" => self.attribute(line, rest, |loader, line, attributes, text| {
                attributes.description = Some(text.text);
                let change = Change::new(line, Said::Description);
                attributes.history.push((loader.position, change));
            }),
            "source" => self.attribute(line, rest, |_, _, attributes, text| {
                attributes.source = Some(text.text);
            }),
            "group" => self.attribute(line, rest, |loader, line, attributes, text| {
                if meta::is_name(text.text) {
                    attributes.group = Some(text.text);
                } else {
                    loader.error(line.error(text, format!("`{}` is not a group name", text.text)));
                }
            }),
            "tflags" => self.attribute(line, rest, Self::flags),
            "priority" => self.attribute(line, rest, |loader, line, _, text| {
                // Rules are evaluated when they are needed, so the number changes nothing.
                if text.text.parse::<i64>().is_err() {
                    loader.error(line.error(text, format!("`{}` is not a number", text.text)));
                }
            }),
            "test" => self.expectation(line, rest),
            "group_cap" => self.group_cap(line, rest),
            "dnslist" => {
                let Some((name, text)) = self.name(line, rest) else { return };
                if let Err(refusal) = self.described.read(line, name.text, text) {
                    self.refuse(line, word, refusal);
                }
            }
            "uridnsbl_skip_domain" if rest.text.starts_with("in ") => self.unasked(line, rest),
            list if LISTS.contains(&list) => {
                let Some((name, text)) = self.name(line, rest) else { return };
                match lookup::uri(list, line, text) {
                    Ok(lookup) => drop(self.lookups.insert(name.text, lookup)),
                    Err(refusal) => self.refuse(line, word, refusal),
                }
            }
            tag if replace::DIRECTIVES.contains(&tag) => {
                if !self.compiler.tags.read(tag, rest.text) {
                    self.error(line.error(rest, format!("`{tag}` needs a name and an expression")));
                }
            }
            known if settings::knows(known) => {
                if let Err(refusal) = self.settings.read(active) {
                    self.refuse(line, word, refusal);
                }
            }
            other => {
                if let Some(reason) = foreign::reason(other) {
                    return self.unsupported(line, word, other, reason);
                }
                let names = DEFINITIONS.into_iter().chain(ATTRIBUTES).chain(LISTS);
                let names = names.chain(settings::directives()).chain(replace::DIRECTIVES);
                let guess = closest(other, names.chain(foreign::directives()));
                let message = format!("unknown directive `{}`", word.text);
                self.error(line.warning(word, message).with_guess(guess));
            }
        }
    }

    /// Reads a line that defines a rule.
    fn definition(&mut self, active: &Active<'l>) {
        let Active { line, key, rest, .. } = active;
        let Some((name, text)) = self.name(line, *rest) else {
            return;
        };
        let kind = if text.text.starts_with("eval:") { format!("{key} eval") } else { key.clone() };
        let coverage = self.coverage.entry(kind.clone()).or_insert_with(|| Coverage::new(&kind));
        coverage.defined += 1;
        if let Some(earlier) = self.drafts.get(name.text) {
            let place = format!("{}:{}", earlier.line.file, earlier.line.number);
            if earlier.line.file_index == line.file_index {
                let message = format!("`{}` is defined twice in this file", name.text);
                let error = line.error(name, message);
                if self.own_files.contains(&line.file_index) {
                    let hint = format!("the first definition is at {place}");
                    return self.error(error.with_hint(hint));
                }
                // Files made for SpamAssassin do it, and there the later one counts.
                let hint = format!("this one counts, not the one at {place}");
                self.error(error.into_warning().with_hint(hint));
            } else {
                self.error(line.warning(name, format!("`{}` overrides {place}", name.text)));
            }
        }
        self.compiler.replacing = self.compiler.tags.wants(name.text);
        let read = define::read(&mut self.compiler, line, key, text);
        self.compiler.replacing = false;
        match read {
            Ok(body) => {
                if let Some(coverage) = self.coverage.get_mut(&kind) {
                    coverage.taken += 1;
                    coverage.asking += usize::from(matches!(body, Definition::Lookup(_)));
                }
                self.skipped.remove(name.text);
                self.drafts.insert(name.text, Draft { line, name, body });
                let attributes = self.attributes.entry(name.text).or_default();
                attributes.history.push((self.position, Change::new(line, Said::Definition)));
            }
            Err(refusal) => {
                self.skipped.insert(name.text);
                // It replaces an earlier one all the same: half of two rules is neither.
                self.drafts.remove(name.text);
                self.refuse(line, line.directive().1, refusal);
            }
        }
    }

    /// `uridnsbl_skip_domain in FILE`
    fn unasked(&mut self, line: &Line<'_>, rest: Token<'_>) {
        let name = rest.from("in ".len()).trimmed();
        let file = self.compiler.files.iter().rev().find(|file| file.name == name.text);
        if let Some(file) = file {
            self.settings.unasked.extend(listed::names(&file.text));
        } else {
            let message = format!("there is no list `{}`", name.text);
            self.error(line.error(name, message));
        }
    }

    fn refuse(&mut self, line: &Line<'_>, word: Token<'_>, refusal: Refusal) {
        match refusal {
            Refusal::Wrong(diagnostic) => self.error(*diagnostic),
            Refusal::Unsupported { what, why } => self.unsupported(line, word, &what, &why),
        }
    }

    pub(super) fn error(&mut self, diagnostic: Diagnostic) {
        self.compiler.diagnostics.push(diagnostic);
    }

    pub(super) fn unsupported(&mut self, line: &Line<'_>, token: Token<'_>, what: &str, why: &str) {
        self.unsupported
            .entry(what.to_owned())
            .or_insert_with(|| (why.to_owned(), line.warning(token, ""), 0))
            .2 += 1;
    }

    /// One warning for each kind of thing that was skipped.
    fn report_unsupported(&mut self) {
        for (what, (why, diagnostic, count)) in std::mem::take(&mut self.unsupported) {
            let s = if count == 1 { "" } else { "s" };
            let message = format!("`{what}` is skipped, {count} line{s}: {why}");
            self.error(Diagnostic { message, ..diagnostic });
        }
    }

    /// The name of a rule and what follows.
    pub(super) fn name(
        &mut self,
        line: &Line<'_>,
        rest: Token<'l>,
    ) -> Option<(Token<'l>, Token<'l>)> {
        let (name, text) = rest.split_word();
        if !meta::is_name(name.text) {
            let message = if name.text.is_empty() {
                "the name of a rule is missing".to_owned()
            } else {
                format!("`{}` is not a name for a rule", name.text)
            };
            let hint = "a name is made of letters, digits and `_`, starts with no digit \
                        and has at most 100 of them";
            self.error(line.error(name, message).with_hint(hint));
            return None;
        }
        if text.text.is_empty() {
            self.error(line.error(name, format!("nothing stands after `{}`", name.text)));
            return None;
        }
        Some((name, text))
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
