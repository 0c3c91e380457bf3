//! Reads rule files, line by line, into drafts of rules and what is said about them.
//!
//! A directive is one arm of [`Loader::line`]; a definition is one function that turns the
//! text after the rule's name into a [`Definition`]. Linking the drafts together is done by
//! [`super::link`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::wordlists::WordList;

use super::diagnostic::closest;
use super::header::{Ask, Selector};
use super::history::{Change, Said};
use super::line::{Line, Token};
use super::meta::{self, Expression};
use super::pattern::{self, Dialect, Pattern, Switches};
use super::test::Test;
use super::{Diagnostic, File, Flags, calendar, define, foreign};

/// Directives read here; the rest is foreign or mistyped.
const DIRECTIVES: [&str; 12] = [
    "calendar",
    "header",
    "body",
    "uri",
    "meta",
    "score",
    "describe",
    "tflags",
    "priority",
    "group",
    "group_cap",
    "source",
];

/// Why a definition is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is wrong.
    Wrong(Box<Diagnostic>),
    /// It is right and cannot be read yet; says what kind of thing it is.
    Unsupported(String),
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
    Body(Arc<Pattern>),
    Uri(Arc<Pattern>),
    Meta(Expression<Token<'l>>),
}

/// A rule as defined.
#[derive(Debug)]
pub(super) struct Draft<'l> {
    pub(super) line: &'l Line<'l>,
    pub(super) name: Token<'l>,
    pub(super) body: Definition<'l>,
}

/// What other lines say of a rule; they may come before it, after it, or without it.
#[derive(Debug, Default)]
pub(super) struct Attributes<'l> {
    /// Where the rule was mentioned first.
    pub(super) mentioned: Option<(&'l Line<'l>, Token<'l>)>,
    pub(super) score: Option<f64>,
    pub(super) description: Option<&'l str>,
    pub(super) group: Option<&'l str>,
    pub(super) source: Option<&'l str>,
    pub(super) flags: Flags,
    /// `tflags nosubject`: a `body` rule leaves the Subject out.
    pub(super) without_subject: bool,
    /// Every line that was taken, in load order.
    pub(super) history: Vec<Change>,
}

/// Cap of a group, with the place it was set.
#[derive(Debug)]
pub(super) struct Cap<'l> {
    pub(super) line: &'l Line<'l>,
    pub(super) name: Token<'l>,
    pub(super) min: f64,
    pub(super) max: f64,
}

/// Compiles operands, each different one once.
pub(super) struct Compiler<'t> {
    pub(super) diagnostics: Vec<Diagnostic>,
    files: &'t [File],
    lists: BTreeMap<String, Arc<WordList>>,
    patterns: HashMap<(String, Switches, Dialect), Arc<Pattern>>,
}

impl Compiler<'_> {
    /// Compiles `/re/flags`.
    pub(super) fn pattern(
        &mut self,
        line: &Line<'_>,
        token: Token<'_>,
        dialect: Dialect,
    ) -> Result<Arc<Pattern>, Refusal> {
        let written = pattern::split(token.text).map_err(|message| {
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
        let Some(file) = self.files.iter().rev().find(|file| file.name == token.text) else {
            let guess = closest(token.text, self.files.iter().map(|file| file.name.as_str()));
            let message = format!("there is no list `{}`", token.text);
            return Err(line.error(token, message).with_guess(guess).into());
        };
        let list = Arc::new(WordList::compile(&file.name, &file.text));
        self.lists.insert(token.text.to_owned(), Arc::clone(&list));
        Ok(list)
    }
}

/// Everything read so far.
pub(super) struct Loader<'l> {
    pub(super) compiler: Compiler<'l>,
    pub(super) drafts: BTreeMap<&'l str, Draft<'l>>,
    pub(super) attributes: BTreeMap<&'l str, Attributes<'l>>,
    pub(super) caps: BTreeMap<&'l str, Cap<'l>>,
    /// Rules that were defined but not taken.
    pub(super) skipped: BTreeSet<&'l str>,
    /// For each kind of thing that cannot be read yet: the first one, how many, and whether
    /// they are rules.
    unsupported: BTreeMap<String, (Diagnostic, usize, bool)>,
}

impl<'l> Loader<'l> {
    /// Nothing read yet.
    pub(super) fn new(lists: &'l [File]) -> Self {
        Self {
            compiler: Compiler {
                diagnostics: Vec::new(),
                files: lists,
                lists: BTreeMap::new(),
                patterns: HashMap::new(),
            },
            drafts: BTreeMap::new(),
            attributes: BTreeMap::new(),
            caps: BTreeMap::new(),
            skipped: BTreeSet::new(),
            unsupported: BTreeMap::new(),
        }
    }

    /// Reads one line.
    pub(super) fn line(&mut self, line: &'l Line<'l>) {
        let (key, word, rest) = line.directive();
        match key.as_str() {
            "calendar" => self.define(line, rest, |compiler, line, text| {
                calendar::read(compiler, line, text).map(Definition::Calendar)
            }),
            "header" => self.define(line, rest, define::header),
            "body" => self.define(line, rest, |compiler, line, text| {
                define::regex(compiler, line, text, "body").map(Definition::Body)
            }),
            "uri" => self.define(line, rest, |compiler, line, text| {
                define::regex(compiler, line, text, "uri").map(Definition::Uri)
            }),
            "meta" => self.define(line, rest, |_, line, text| define::meta(line, text)),
            "score" => self.attribute(line, rest, Self::score),
            "describe" => self.attribute(line, rest, |_, line, attributes, text| {
                attributes.description = Some(text.text);
                attributes.history.push(Change::new(line, Said::Description));
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
            "group_cap" => self.group_cap(line, rest),
            rule if foreign::RULES.contains(&rule) => {
                self.skipped.insert(rest.split_word().0.text);
                self.unsupported(line, word, rule, true);
            }
            setting if foreign::SETTINGS.contains(&setting) => {
                self.unsupported(line, word, setting, false);
            }
            other => {
                let names = DIRECTIVES.iter().chain(&foreign::RULES).chain(foreign::SETTINGS);
                let guess = closest(other, names.copied());
                let message = format!("unknown directive `{}`", word.text);
                self.error(line.warning(word, message).with_guess(guess));
            }
        }
    }

    fn error(&mut self, diagnostic: Diagnostic) {
        self.compiler.diagnostics.push(diagnostic);
    }

    fn unsupported(&mut self, line: &Line<'_>, token: Token<'_>, kind: &str, rule: bool) {
        self.unsupported
            .entry(kind.to_owned())
            .or_insert_with(|| (line.warning(token, ""), 0, rule))
            .1 += 1;
    }

    /// One warning for each kind of thing that was skipped.
    pub(super) fn report_unsupported(&mut self) {
        for (kind, (diagnostic, count, rule)) in std::mem::take(&mut self.unsupported) {
            let s = if count == 1 { "" } else { "s" };
            let message = if rule {
                format!("`{kind}` rules are not supported yet, {count} rule{s} skipped")
            } else {
                format!("`{kind}` is not supported yet, {count} line{s} skipped")
            };
            self.error(Diagnostic { message, ..diagnostic });
        }
    }

    /// The name of a rule and what follows.
    fn name(&mut self, line: &Line<'_>, rest: Token<'l>) -> Option<(Token<'l>, Token<'l>)> {
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

    fn define(
        &mut self,
        line: &'l Line<'l>,
        rest: Token<'l>,
        read: impl FnOnce(&mut Compiler<'l>, &Line<'_>, Token<'l>) -> Result<Definition<'l>, Refusal>,
    ) {
        let Some((name, text)) = self.name(line, rest) else {
            return;
        };
        if let Some(earlier) = self.drafts.get(name.text) {
            let place = format!("{}:{}", earlier.line.file, earlier.line.number);
            if earlier.line.file_index == line.file_index {
                let message = format!("`{}` is defined twice in this file", name.text);
                let hint = format!("the first definition is at {place}");
                self.error(line.error(name, message).with_hint(hint));
                return;
            }
            self.error(line.warning(name, format!("`{}` overrides {place}", name.text)));
        }
        match read(&mut self.compiler, line, text) {
            Ok(body) => {
                self.skipped.remove(name.text);
                self.drafts.insert(name.text, Draft { line, name, body });
                let attributes = self.attributes.entry(name.text).or_default();
                attributes.history.push(Change::new(line, Said::Definition));
            }
            Err(Refusal::Wrong(diagnostic)) => {
                self.skipped.insert(name.text);
                self.error(*diagnostic);
            }
            Err(Refusal::Unsupported(kind)) => {
                self.skipped.insert(name.text);
                self.unsupported(line, line.directive().1, &kind, true);
            }
        }
    }

    fn attribute(
        &mut self,
        line: &'l Line<'l>,
        rest: Token<'l>,
        set: impl FnOnce(&mut Self, &Line<'_>, &mut Attributes<'l>, Token<'l>),
    ) {
        let Some((name, text)) = self.name(line, rest) else {
            return;
        };
        let mut attributes = self.attributes.remove(name.text).unwrap_or_default();
        attributes.mentioned.get_or_insert((line, name));
        set(self, line, &mut attributes, text);
        self.attributes.insert(name.text, attributes);
    }

    /// One number, or four of which the second counts: network tests and no Bayes, which is
    /// what this service has. A number in parentheses is added to the score so far.
    fn score(&mut self, line: &Line<'_>, attributes: &mut Attributes<'l>, text: Token<'l>) {
        let words: Vec<&str> = text.text.split_whitespace().collect();
        let word = match words.as_slice() {
            [word] | [_, word, _, _] => *word,
            _ => {
                let error = line.error(text, "a score is one number or four");
                return self.error(error);
            }
        };
        let relative = word.strip_prefix('(').and_then(|word| word.strip_suffix(')'));
        let number = |word: &str| word.parse::<f64>().ok().filter(|number| number.is_finite());
        let bad = words.iter().find(|word| {
            let word = word.strip_prefix('(').and_then(|w| w.strip_suffix(')')).unwrap_or(word);
            number(word).is_none()
        });
        if let Some(bad) = bad {
            let at = text.text.find(bad).unwrap_or(0);
            let token = text.part(at, at + bad.len());
            return self.error(line.error(token, format!("`{bad}` is not a number")));
        }
        let Some(value) = number(relative.unwrap_or(word)) else {
            return;
        };
        let score = match (relative, attributes.score) {
            (None, _) => value,
            (Some(_), Some(score)) => score + value,
            (Some(_), None) => {
                let message = "there is no score yet that this could be added to";
                self.error(line.warning(text, message));
                value
            }
        };
        attributes.score = Some(score);
        attributes.history.push(Change::new(line, Said::Score(score)));
    }

    /// The last line wins, as in SpamAssassin.
    fn flags(&mut self, line: &Line<'_>, attributes: &mut Attributes<'l>, text: Token<'l>) {
        attributes.flags = Flags::default();
        attributes.without_subject = false;
        let mut rest = text;
        while !rest.text.is_empty() {
            let (word, after) = rest.split_word();
            rest = after;
            match word.text {
                "known" => attributes.flags.known = true,
                "forged" => attributes.flags.forged = true,
                "active" => attributes.flags.active = true,
                "nice" => attributes.flags.nice = true,
                "nosubject" => attributes.without_subject = true,
                "multiple" => self.unsupported(line, word, "tflags multiple", false),
                flag if foreign::FLAGS.contains(&flag) => {}
                flag if flag.starts_with("maxhits=") || flag.starts_with("range=") => {}
                flag => {
                    let ours = ["known", "forged", "active", "nice", "nosubject", "multiple"];
                    let guess = closest(flag, ours.iter().chain(foreign::FLAGS).copied());
                    let message = format!("unknown flag `{flag}`");
                    self.error(line.warning(word, message).with_guess(guess));
                }
            }
        }
    }

    fn group_cap(&mut self, line: &'l Line<'l>, rest: Token<'l>) {
        let (name, text) = rest.split_word();
        let numbers: Vec<f64> = text
            .text
            .split_whitespace()
            .filter_map(|word| word.parse::<f64>().ok().filter(|number| number.is_finite()))
            .collect();
        let [min, max] = *numbers.as_slice() else {
            let error = line.error(rest, "a cap needs a group, the lowest and the highest sum");
            return self.error(error.with_hint("for example `group_cap content -2 8`"));
        };
        if text.text.split_whitespace().count() != 2 || min > max || !meta::is_name(name.text) {
            let error = line.error(rest, "a cap needs a group, the lowest and the highest sum");
            return self.error(error.with_hint("for example `group_cap content -2 8`"));
        }
        if let Some(earlier) = self.caps.get(name.text)
            && earlier.line.file_index == line.file_index
        {
            let message = format!("the cap of `{}` is set twice in this file", name.text);
            let hint = format!("first at {}:{}", earlier.line.file, earlier.line.number);
            return self.error(line.error(name, message).with_hint(hint));
        }
        self.caps.insert(name.text, Cap { line, name, min, max });
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
