//! `calspamd rules`, and how every subcommand finds its rules: the built-in ones, then those
//! of the directories, in the order they are named.

mod docs;
mod export;
mod lint;
mod list;
mod show;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::terminal::{Paint, clean};
use super::{Common, Error};
use crate::config::{Config, DEFAULT_RULES};
use crate::rules::{self, Diagnostic, File, Files, Loaded};

pub(super) use docs::PageError;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all symbols
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the rules and say what is skipped
    Lint(lint::Arguments),
    /// Show everything known about a rule
    Show {
        /// Its name
        symbol: String,
    },
    /// Write the symbols down for another scanner
    #[command(subcommand)]
    Export(export::Target),
    /// Describe facts and built-in rules in Markdown, with the rules of --rules
    Docs(docs::Arguments),
}

/// A rule file or directory that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}: {source}", path.display())]
pub(super) struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// Diagnostics as text, one below the other.
pub(super) fn text(diagnostics: &[Diagnostic]) -> String {
    let shown: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    shown.join("\n\n")
}

/// Shows warnings on the standard error.
pub(super) fn warn(diagnostics: &[Diagnostic]) {
    if !diagnostics.is_empty() {
        drop(writeln!(io::stderr().lock(), "{}\n", text(diagnostics)));
    }
}

/// Where rules come from, to be read as often as wanted.
#[derive(Debug, Clone)]
pub(super) struct Source {
    built_in: bool,
    directories: Vec<PathBuf>,
}

impl Source {
    /// What the command line and the configuration name.
    pub(super) fn new(common: &Common, config: &Config) -> Self {
        let named = if common.rules.is_empty() { &config.rule_directories } else { &common.rules };
        Self { built_in: !common.no_stock_rules, directories: named.clone() }
    }

    /// What the command line names, and nothing that this machine has.
    fn named(common: &Common) -> Self {
        Self { built_in: !common.no_stock_rules, directories: common.rules.clone() }
    }

    /// Reads the files as they are now.
    pub(super) fn load(&self) -> Result<Loaded, Error> {
        let mut files = if self.built_in { rules::built_in() } else { Files::default() };
        let theirs = read_rules(&self.directories)?;
        files.rules.extend(theirs.rules);
        files.included.extend(theirs.included);
        for list in theirs.lists {
            add_list(&mut files.lists, list);
        }
        rules::load(&files).map_err(Error::Rules)
    }
}

/// Loads the rules that the command line and the configuration name.
pub(super) fn load(common: &Common, config: &Config) -> Result<Loaded, Error> {
    Source::new(common, config).load()
}

/// Reads every `*.cf` and `lists/*.txt` of the directories, by name within each.
pub(super) fn read_rules(directories: &[PathBuf]) -> Result<Files, ReadError> {
    let mut files = Files::default();
    for directory in directories {
        // The usual place needs not exist; a place that somebody named does.
        if directory == Path::new(DEFAULT_RULES) && !directory.exists() {
            continue;
        }
        for path in named(directory, "cf")? {
            let file = File { name: path.display().to_string(), text: read(&path)? };
            read_included(&file, 0, &mut files.included);
            files.rules.push(file);
        }
        let lists = directory.join("lists");
        if lists.is_dir() {
            for path in named(&lists, "txt")? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                add_list(&mut files.lists, File { name, text: read(&path)? });
            }
        }
    }
    Ok(files)
}

/// Files included from files included … deeper than that are not read, and the loader says so.
const INCLUDES: usize = 16;

/// Reads what a file includes. A file that is not there is for the loader to say, with the
/// line that names it: it may stand behind a condition that is false.
fn read_included(file: &File, depth: usize, included: &mut Vec<File>) {
    for written in rules::includes(file) {
        let name = rules::beside(&file.name, &written);
        if depth >= INCLUDES || included.iter().any(|known| known.name == name) {
            continue;
        }
        if let Ok(text) = read(Path::new(&name)) {
            let file = File { name, text };
            included.push(file.clone());
            read_included(&file, depth + 1, included);
        }
    }
}

/// A list of a later directory takes the place of one with the same name.
fn add_list(lists: &mut Vec<File>, list: File) {
    match lists.iter_mut().find(|known| known.name == list.name) {
        Some(known) => *known = list,
        None => lists.push(list),
    }
}

/// Files in a directory with an ending, by name.
fn named(directory: &Path, ending: &str) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| ReadError { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|found| found == ending) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn read(path: &Path) -> Result<String, ReadError> {
    let bytes = fs::read(path).map_err(|source| ReadError { path: path.to_owned(), source })?;
    Ok(rules::text_of(&bytes))
}

pub(super) fn run(
    command: &Command,
    common: &Common,
    config: &Config,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<ExitCode, Error> {
    if let Command::Docs(arguments) = command {
        let text = docs::markdown(&Source::named(common).load()?.rules)?;
        match &arguments.into {
            Some(path) => docs::renew(path, &text)?,
            None => out.write_all(text.as_bytes())?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let loaded = match (load(common, config), command) {
        (Err(Error::Rules(diagnostics)), Command::Lint(arguments)) => {
            return Ok(lint::lint(Err(diagnostics), arguments, out)?);
        }
        (loaded, _) => loaded?,
    };
    let rules = &loaded.rules;
    match command {
        Command::Lint(arguments) => return Ok(lint::lint(Ok(loaded), arguments, out)?),
        Command::List { json: true } => list::json(rules, out)?,
        Command::List { json: false } => list::table(rules, paint, out)?,
        Command::Show { symbol: name } => {
            let Some(symbol) = rules.get(name) else {
                let guess = rules.guess(name).map(str::to_owned);
                return Err(Error::NoRule { name: clean(name).into_owned(), guess });
            };
            show::show(rules, symbol, paint, out)?;
        }
        Command::Export(target) => export::export(target, rules, out)?,
        Command::Docs(_) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// A score as rule files have it, never with an exponent, which not everybody reads.
pub(super) fn number(score: f64) -> String {
    let shown = format!("{score:?}");
    if shown.contains('e') { score.to_string() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_read_by_name_and_later_lists_win() {
        let root = std::env::temp_dir().join(format!("calspamd-rules-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/20.cf", "second");
        write("a/10.cf", "first");
        write("a/README.md", "not a rule");
        write("b/06.cf", "include more/x.inc\ninclude nowhere.inc");
        write("b/more/x.inc", "include ../06.cf\ninclude y.inc");
        write("b/more/y.inc", "fourth");
        write("a/lists/brands.txt", "old");
        write("b/05.cf", "third");
        write("b/lists/brands.txt", "new");
        let files = read_rules(&[root.join("a"), root.join("b")]).unwrap();
        let missing = read_rules(&[root.join("c")]);
        fs::remove_dir_all(&root).unwrap();

        let texts: Vec<&str> = files.rules.iter().map(|file| file.text.as_str()).collect();
        assert_eq!(texts.get(..3), Some(&["first", "second", "third"][..]));
        let included: Vec<&str> = files.included.iter().map(|file| file.text.as_str()).collect();
        assert!(included.contains(&"fourth"), "{included:?}");
        assert_eq!(files.lists.len(), 1);
        assert_eq!(files.lists[0].name, "brands.txt");
        assert_eq!(files.lists[0].text, "new");
        assert!(missing.unwrap_err().to_string().starts_with("cannot read "));
    }
}
