//! `calspamd rules docs`: facts and rules in Markdown, for pages that people read.
//!
//! Comes in: the table of facts and the built-in rules (with those of `--rules`). Goes out:
//! the same text for the same rules, or a file with the text between two marks in it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::Args;

use super::number;
use crate::facts::{FOR_SITES, Fact, Scope, TABLE};
use crate::rules::{RuleSet, Symbol};

/// What stands between these is written by this command.
const BEGIN: &str = "<!-- begin: calspamd rules docs -->\n";
const END: &str = "<!-- end: calspamd rules docs -->\n";

#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// Renew the text between the marks in this file, and print nothing
    #[arg(long, value_name = "FILE")]
    pub(super) into: Option<PathBuf>,
}

/// A page that cannot be renewed.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum PageError {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{} lacks the marks\n{}{}", path.display(), BEGIN, END.trim_end())]
    Marks { path: PathBuf },
}

/// Puts the text between the marks of a file.
pub(super) fn renew(path: &Path, text: &str) -> Result<(), PageError> {
    let failed = |source| PageError::File { path: path.to_owned(), source };
    let page = fs::read_to_string(path).map_err(failed)?;
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(END)?;
        Some((before, after))
    });
    let Some((before, after)) = parts else {
        return Err(PageError::Marks { path: path.to_owned() });
    };
    let renewed = format!("{before}{BEGIN}{text}{END}{after}");
    if renewed == page { Ok(()) } else { fs::write(path, renewed).map_err(failed) }
}

/// Everything that rules can ask, and all symbols.
pub(super) fn markdown(rules: &RuleSet) -> io::Result<String> {
    let mut text = Vec::new();
    facts(&mut text)?;
    symbols(rules, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The first word of a dotted noun; a plural stands with its singular.
fn noun(fact: &Fact) -> &'static str {
    let first = |name: &'static str| name.split('.').next().unwrap_or(name);
    let noun = first(fact.name);
    match noun.strip_suffix('s') {
        Some(singular) if TABLE.iter().any(|fact| first(fact.name) == singular) => singular,
        Some(_) | None => noun,
    }
}

fn facts(text: &mut Vec<u8>) -> io::Result<()> {
    writeln!(text, "\n## Facts\n")?;
    writeln!(text, "What `calendar` rules can ask; `calspamd facts FILE` shows the values.")?;
    writeln!(text, "The origin says which evidence a value is, for `Scope: calendar`.")?;
    // Nouns in the order of the table; those of one fact share a section.
    let mut nouns: Vec<(&str, Vec<&Fact>)> = Vec::new();
    for fact in TABLE {
        match nouns.iter_mut().find(|(name, _)| *name == noun(fact)) {
            Some((_, facts)) => facts.push(fact),
            None => nouns.push((noun(fact), vec![fact])),
        }
    }
    let (single, families): (Vec<_>, Vec<_>) =
        nouns.into_iter().partition(|(_, facts)| facts.len() == 1);
    let single: Vec<&Fact> = single.into_iter().flat_map(|(_, facts)| facts).collect();
    let sections = [("Single facts".to_owned(), single)]
        .into_iter()
        .chain(families.into_iter().map(|(name, facts)| (format!("`{name}`"), facts)));
    for (title, facts) in sections {
        writeln!(text, "\n### {title}\n")?;
        writeln!(text, "| fact | kind | of each | origin | meaning | example |")?;
        writeln!(text, "|---|---|---|---|---|---|")?;
        for fact in facts {
            let scope = match fact.scope {
                Scope::Event => "event",
                Scope::Message => "message",
            };
            writeln!(
                text,
                "| `{}` | {} | {scope} | {} | {} | {} |",
                fact.name,
                fact.kind.name(),
                fact.origin.name(),
                cell(fact.meaning),
                code(fact.example),
            )?;
        }
    }
    writeln!(text, "\n### Asked by no stock rule\n")?;
    for (name, reason) in FOR_SITES {
        writeln!(text, "- `{name}`: {reason}")?;
    }
    Ok(())
}

fn symbols(rules: &RuleSet, text: &mut Vec<u8>) -> io::Result<()> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Symbol>> = BTreeMap::new();
    for symbol in rules.symbols() {
        groups.entry(symbol.group.as_deref()).or_default().push(symbol);
    }
    writeln!(text, "\n## Symbols\n")?;
    writeln!(text, "`calspamd rules show SYMBOL` tells all about one.")?;
    for (group, symbols) in groups {
        match group {
            Some(group) => writeln!(text, "\n### Group `{group}`\n")?,
            None => writeln!(text, "\n### Without a group\n")?,
        }
        let cap = rules.group_caps().iter().find(|cap| Some(&*cap.group) == group);
        if let Some(cap) = cap {
            writeln!(text, "Sum from {} to {}.\n", number(cap.min), number(cap.max))?;
        }
        writeln!(text, "| symbol | score | kind | description | source |")?;
        writeln!(text, "|---|---|---|---|---|")?;
        for symbol in symbols {
            writeln!(
                text,
                "| `{}` | {} | {} | {} | {} |",
                symbol.name,
                number(symbol.score),
                symbol.kind.name(),
                cell(symbol.description.as_deref().unwrap_or_default()),
                cell(symbol.source.as_deref().unwrap_or_default()),
            )?;
        }
    }
    Ok(())
}

/// Text in a cell, without what Markdown would make something else of. Code stays code.
fn cell(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let has_code = text.matches('`').count().is_multiple_of(2);
    let mut in_code = false;
    for c in text.chars() {
        match c {
            '`' if has_code => {
                in_code = !in_code;
                escaped.push(c);
            }
            '|' => escaped.push_str("\\|"),
            '<' if !in_code => escaped.push_str("&lt;"),
            '\\' | '*' | '`' | '[' if !in_code => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The same as code, where a bar still ends the cell and a backtick the code.
fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    format!("`{}`", text.replace('`', "'").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_renewed_between_their_marks() {
        let path = std::env::temp_dir().join(format!("calspamd-docs-{}.md", std::process::id()));
        fs::write(&path, format!("# Mine\n{BEGIN}old\n{END}more\n")).unwrap();
        renew(&path, "new\n").unwrap();
        renew(&path, "new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("# Mine\n{BEGIN}new\n{END}more\n"));
        fs::write(&path, "# Mine\n").unwrap();
        let error = renew(&path, "new\n").unwrap_err().to_string();
        fs::remove_file(&path).unwrap();
        assert!(error.contains("lacks the marks"), "{error}");
        assert!(renew(&path, "").is_err());
    }

    #[test]
    fn every_fact_stands_in_one_table() {
        let mut text = Vec::new();
        facts(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        for fact in TABLE {
            let row = format!("\n| `{}` | ", fact.name);
            assert_eq!(text.matches(&row).count(), 1, "{}", fact.name);
        }
    }

    #[test]
    fn cells_stay_cells() {
        assert_eq!(cell("a|b <c> *d* `<e|>` [f]\n"), "a\\|b &lt;c> \\*d\\* `<e\\|>` \\[f] ");
        assert_eq!(cell("a ` b"), "a \\` b");
        assert_eq!(code("a|b`"), "`a\\|b'`");
    }
}
