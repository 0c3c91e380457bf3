//! Which lines of the files count: conditions, included files, languages, required versions.
//!
//! Comes in: files cut into lines. Goes out: the lines that count, in order, each with its
//! directive. Not an error: a condition that is false; it is said how many rules it hides.

use std::collections::BTreeMap;

use super::condition;
use super::line::{Line, Token};
use super::{Diagnostic, Files};

/// Deepest chain of `include` lines.
const INCLUDES: usize = 16;
/// `include` lines followed in all.
const INCLUDED: usize = 1_000;
/// Lines of all files together, included ones counted each time.
const LINES: usize = 1_000_000;

/// The language that `lang` lines have to be for.
const LANGUAGE: &str = "en";

/// A line that counts.
#[derive(Debug)]
pub(super) struct Active<'l> {
    pub(super) line: &'l Line<'l>,
    /// The directive, lower case and with `_` for `-`.
    pub(super) key: String,
    /// The directive as written.
    pub(super) word: Token<'l>,
    /// What follows it.
    pub(super) rest: Token<'l>,
}

/// What came of the files.
#[derive(Debug, Default)]
pub(super) struct Flow<'l> {
    pub(super) active: Vec<Active<'l>>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Names of rules whose definition stands behind a condition that is false, by condition.
    pub(super) hidden: BTreeMap<String, Vec<&'l str>>,
    included: usize,
}

/// An open `if`.
struct Branch<'l> {
    line: &'l Line<'l>,
    word: Token<'l>,
    /// The condition as written.
    text: &'l str,
    holds: bool,
    has_else: bool,
}

/// Follows the files; `files` gives their names, `lines` their lines in the same order, rule
/// files first and then those that may be included.
pub(super) fn follow<'l>(files: &Files, lines: &'l [Vec<Line<'l>>]) -> Flow<'l> {
    let mut flow = Flow::default();
    for index in 0..files.rules.len() {
        file(files, lines, index, 0, &mut flow);
    }
    flow
}

fn file<'l>(
    files: &Files,
    lines: &'l [Vec<Line<'l>>],
    index: usize,
    depth: usize,
    flow: &mut Flow<'l>,
) {
    let mut open: Vec<Branch<'l>> = Vec::new();
    for line in lines.get(index).map_or(&[][..], Vec::as_slice) {
        let (mut key, mut word, mut rest) = line.directive();
        if key == "lang" {
            let (language, after) = rest.split_word();
            if !LANGUAGE.starts_with(language.text.get(..2).unwrap_or("-")) {
                continue;
            }
            (word, rest) = after.split_word();
            key = word.text.to_ascii_lowercase().replace('-', "_");
        }
        let skipping = open.iter().any(|branch| !branch.holds);
        match key.as_str() {
            "if" | "ifplugin" => {
                let holds = !skipping && asked(line, &key, rest, flow);
                open.push(Branch { line, word, text: rest.text, holds, has_else: false });
            }
            "else" => match open.last_mut() {
                Some(branch) if !branch.has_else => {
                    branch.has_else = true;
                    branch.holds = !branch.holds;
                }
                Some(_) | None => {
                    flow.diagnostics.push(line.error(word, "this `else` belongs to no `if`"));
                }
            },
            "endif" => {
                if open.pop().is_none() {
                    flow.diagnostics.push(line.error(word, "this `endif` belongs to no `if`"));
                }
            }
            _ if skipping => {
                if let Some(branch) = open.iter().find(|branch| !branch.holds)
                    && super::load::defines(&key)
                {
                    let names = flow.hidden.entry(branch.text.to_owned()).or_default();
                    names.push(rest.split_word().0.text);
                }
            }
            "require_version" => {
                if !is_version(rest.text) {
                    let message = format!("the rest of this file is for version `{}`", rest.text);
                    let hint = "we read the language of SpamAssassin 4.000001";
                    flow.diagnostics.push(line.warning(rest, message).with_hint(hint));
                    break;
                }
            }
            "include" => include(files, lines, line, rest, depth, flow),
            _ if flow.active.len() >= LINES => return,
            _ => flow.active.push(Active { line, key, word, rest }),
        }
    }
    for branch in open {
        let message = format!("this `{}` has no `endif`, it ends with the file", branch.word.text);
        flow.diagnostics.push(branch.line.warning(branch.word, message));
    }
}

/// Files that come with SpamAssassin's own source ask for a version not yet filled in.
fn is_version(text: &str) -> bool {
    text == "@@VERSION@@"
        || text.parse::<f64>().is_ok_and(|v| (v - condition::VERSION).abs() < 1e-9)
}

fn asked<'l>(line: &Line<'_>, key: &str, rest: Token<'l>, flow: &mut Flow<'l>) -> bool {
    if key == "ifplugin" {
        return condition::plugin(rest.split_word().0.text);
    }
    match condition::holds(rest) {
        Ok(holds) => holds,
        Err((token, message)) => {
            let hint = "what cannot be understood counts as false";
            flow.diagnostics.push(line.warning(token, message).with_hint(hint));
            false
        }
    }
}

fn include<'l>(
    files: &Files,
    lines: &'l [Vec<Line<'l>>],
    line: &Line<'_>,
    rest: Token<'l>,
    depth: usize,
    flow: &mut Flow<'l>,
) {
    flow.included += 1;
    if depth >= INCLUDES || flow.included > INCLUDED {
        // One error is enough: files that include each other would say it without end.
        if flow.included <= INCLUDED + 1 {
            let message = format!("files include each other more than {INCLUDES} deep");
            flow.diagnostics.push(line.error(rest, message));
        }
        return;
    }
    let name = super::beside(line.file, rest.text);
    let all = files.rules.iter().chain(&files.included);
    match all.into_iter().position(|file| file.name == name) {
        Some(index) => file(files, lines, index, depth + 1, flow),
        None => flow.diagnostics.push(line.error(rest, format!("there is no file `{name}`"))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{File, line};
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str], messages: &[&str]) {
        let made = |(name, text): &(&str, &str)| File {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
        };
        let (first, others) = files.split_first().unwrap();
        let files = Files {
            rules: vec![made(first)],
            included: others.iter().map(made).collect(),
            ..Files::default()
        };
        let lines: Vec<Vec<Line<'_>>> = files
            .rules
            .iter()
            .chain(&files.included)
            .enumerate()
            .map(|(index, file)| line::lines(index, file).collect())
            .collect();
        let flow = follow(&files, &lines);
        let found: Vec<String> =
            flow.active.iter().map(|a| format!("{} {}", a.key, a.rest.text)).collect();
        assert_eq!(found, expected);
        let found: Vec<String> = flow.diagnostics.into_iter().map(|d| d.message).collect();
        assert_eq!(found, messages);
    }

    #[test]
    fn branches() {
        check(
            &[(
                "x.cf",
                "a 1\nif version > 9\nb 2\nif 1\nc 3\nelse\nd 4\nendif\nelse\ne 5\nendif # x\nf 6",
            )],
            &["a 1", "e 5", "f 6"],
            &[],
        );
        check(
            &[("x.cf", "ifplugin Mail::SpamAssassin::Plugin::BodyEval\na 1\nendif\nendif\nelse")],
            &["a 1"],
            &["this `endif` belongs to no `if`", "this `else` belongs to no `if`"],
        );
        check(
            &[("x.cf", "if 1\na 1\nelse\nelse\nb 2")],
            &["a 1"],
            &["this `else` belongs to no `if`", "this `if` has no `endif`, it ends with the file"],
        );
        check(
            &[("x.cf", "if tomorrow\na 1\nendif")],
            &[],
            &["unexpected `tomorrow` in a condition"],
        );
    }

    #[test]
    fn languages_and_versions() {
        check(
            &[(
                "x.cf",
                "lang de describe X Hallo\nlang en describe X Hello\nlang en_US score X 1\nlang x a",
            )],
            &["describe X Hello", "score X 1"],
            &[],
        );
        check(
            &[("x.cf", "require_version 4.000001\na 1\nrequire_version 3.0\nb 2")],
            &["a 1"],
            &["the rest of this file is for version `3.0`"],
        );
        check(&[("x.cf", "require_version @@VERSION@@\na 1")], &["a 1"], &[]);
    }

    #[test]
    fn included_files() {
        check(
            &[
                ("d/x.cf", "include y.inc\na 1\ninclude sub/z.inc\ninclude none.inc"),
                ("d/y.inc", "b 2\nif 0"),
                ("d/sub/z.inc", "c 3"),
            ],
            &["b 2", "a 1", "c 3"],
            &["this `if` has no `endif`, it ends with the file", "there is no file `d/none.inc`"],
        );
        check(&[("x.cf", "include x.cf")], &[], &["files include each other more than 16 deep"]);
    }
}
