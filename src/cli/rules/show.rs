//! `calspamd rules show`: one rule, what it asks, what it needs, what needs it, and which
//! line of which file had the last word about it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use super::number;
use crate::cli::terminal::{Paint, Style, clean};
use crate::facts::{Fact, FactId};
use crate::rules::{Change, RuleSet, Said, Symbol};

/// Prints everything that is known of a rule.
pub(super) fn show(
    rules: &RuleSet,
    symbol: &Symbol,
    paint: Paint,
    out: &mut dyn Write,
) -> io::Result<()> {
    let page = Page { rules, paint };
    writeln!(out, "{}", paint.style(Style::Bold, &symbol.name))?;
    page.fields(symbol, out)?;
    page.facts(symbol, out)?;
    page.needs(symbol, out)?;
    page.users(symbol, out)?;
    page.history(symbol, out)
}

struct Page<'r> {
    rules: &'r RuleSet,
    paint: Paint,
}

impl<'r> Page<'r> {
    fn fields(&self, symbol: &Symbol, out: &mut dyn Write) -> io::Result<()> {
        let flags = symbol.flags;
        let flags: Vec<&str> = [
            (flags.known, "known"),
            (flags.forged, "forged"),
            (flags.active, "active"),
            (flags.nice, "nice"),
        ]
        .into_iter()
        .filter_map(|(on, name)| on.then_some(name))
        .collect();
        let score = if symbol.is_helper() { String::new() } else { number(symbol.score) };
        let group = symbol.group.as_deref().unwrap_or_default();
        let cap = self.rules.group_caps().iter().find(|cap| &*cap.group == group);
        let group = match cap {
            Some(cap) => format!("{group}, {} to {}", number(cap.min), number(cap.max)),
            None => group.to_owned(),
        };
        for (name, value) in [
            ("score", score),
            ("group", group),
            ("means", symbol.description.as_deref().unwrap_or_default().to_owned()),
            ("flags", flags.join(" ")),
            ("source", symbol.source.as_deref().unwrap_or_default().to_owned()),
            ("file", place(&symbol.file, symbol.line)),
            ("rule", symbol.definition.to_string()),
        ] {
            if !value.is_empty() {
                writeln!(out, "  {name:<7} {}", clean(&value))?;
            }
        }
        Ok(())
    }

    fn head(&self, name: &str, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{}", self.paint.style(Style::Bold, name))
    }

    /// Facts that the rule asks, itself or by the rules it needs.
    fn facts(&self, symbol: &'r Symbol, out: &mut dyn Write) -> io::Result<()> {
        let mut asked: BTreeSet<FactId> = BTreeSet::new();
        for (_, need) in self.tree(symbol) {
            asked.extend(need.symbol().into_iter().flat_map(|symbol| &symbol.facts));
        }
        asked.extend(&symbol.facts);
        if asked.is_empty() {
            return Ok(());
        }
        self.head("facts", out)?;
        let asked: Vec<&Fact> = asked.into_iter().map(FactId::fact).collect();
        let width = asked.iter().map(|fact| fact.name.len()).max().unwrap_or_default();
        for fact in asked {
            writeln!(out, "  {:width$}  {:8}  {}", fact.name, fact.kind.name(), fact.meaning)?;
        }
        Ok(())
    }

    fn needs(&self, symbol: &'r Symbol, out: &mut dyn Write) -> io::Result<()> {
        if symbol.depends.is_empty() {
            return Ok(());
        }
        self.head("depends on", out)?;
        for (depth, need) in self.tree(symbol) {
            let indent = 2 * depth;
            match need {
                Need::Rule(need) => {
                    let off = need.score == 0.0 && !need.is_helper();
                    let note = if off { " is off and counts as 0" } else { "" };
                    write!(out, "{:indent$}", "")?;
                    self.rule(need, note, out)?;
                }
                Need::Again(need) => writeln!(out, "{:indent$}{} as above", "", need.name)?,
                Need::Missing(name) => {
                    writeln!(out, "{:indent$}{name} is no rule and counts as 0", "")?;
                }
            }
        }
        Ok(())
    }

    fn users(&self, symbol: &Symbol, out: &mut dyn Write) -> io::Result<()> {
        let mut users = self.rules.used_by(&symbol.name).peekable();
        if users.peek().is_none() {
            return Ok(());
        }
        self.head("used by", out)?;
        for user in users {
            write!(out, "  ")?;
            self.rule(user, "", out)?;
        }
        Ok(())
    }

    fn rule(&self, symbol: &Symbol, note: &str, out: &mut dyn Write) -> io::Result<()> {
        let place = format!("[{}]", clean(&place(&symbol.file, symbol.line)));
        let place = self.paint.style(Style::Dim, place);
        writeln!(out, "{}  {place}{note}", clean(&symbol.definition))
    }

    /// What was read, in load order; the last line of each kind counts.
    fn history(&self, symbol: &Symbol, out: &mut dyn Write) -> io::Result<()> {
        self.head("history", out)?;
        let places: Vec<String> =
            symbol.history.iter().map(|c| clean(&place(&c.file, c.line)).into_owned()).collect();
        let width = places.iter().map(|place| place.chars().count()).max().unwrap_or_default();
        for (index, (change, place)) in symbol.history.iter().zip(&places).enumerate() {
            let mut later = symbol.history.iter().skip(index + 1);
            let counts = !later.any(|later| later.said.is_same_kind(change.said));
            let (mark, style) = if counts { ("counts", Style::Green) } else { ("", Style::Dim) };
            let text = self.paint.style(style, said(change));
            writeln!(out, "  {mark:6}  {place:width$}  {text}")?;
        }
        let scored = symbol.history.iter().any(|change| matches!(change.said, Said::Score(_)));
        if !scored && !symbol.is_helper() {
            let score = number(symbol.score);
            writeln!(out, "  counts  {:width$}  score {score}, as no line says another", "-")?;
        }
        Ok(())
    }

    /// The rules that a rule needs, with their depth from 1, in the order they are named. Each
    /// is gone into once: rules over rules over rules may be very many paths.
    fn tree(&self, symbol: &'r Symbol) -> Vec<(usize, Need<'r>)> {
        let mut tree = Vec::new();
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<(usize, &'r str)> = Vec::new();
        let names = |symbol: &'r Symbol| symbol.depends.iter().rev().map(|name| &**name);
        open.extend(names(symbol).map(|name| (1, name)));
        while let Some((depth, name)) = open.pop() {
            let need = match self.rules.get(name) {
                None => Need::Missing(name),
                Some(need) if seen.insert(name) => {
                    open.extend(names(need).map(|name| (depth + 1, name)));
                    Need::Rule(need)
                }
                Some(need) => Need::Again(need),
            };
            tree.push((depth, need));
        }
        tree
    }
}

/// One place in the tree of what a rule needs.
enum Need<'r> {
    Rule(&'r Symbol),
    Again(&'r Symbol),
    Missing(&'r str),
}

impl<'r> Need<'r> {
    fn symbol(&self) -> Option<&'r Symbol> {
        match self {
            Self::Rule(symbol) => Some(symbol),
            Self::Again(_) | Self::Missing(_) => None,
        }
    }
}

fn place(file: &str, line: usize) -> String {
    format!("{file}:{line}")
}

/// The line, and what a score that was added to came to.
fn said(change: &Change) -> String {
    let text = clean(&change.text);
    match change.said {
        Said::Score(score) if text.contains('(') => format!("{text} = {}", number(score)),
        Said::Score(_) | Said::Definition | Said::Description => text.into_owned(),
    }
}
