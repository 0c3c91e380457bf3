//! What the README shows is what the service answers; what pages link to and call is there.

use std::path::PathBuf;
use std::sync::Arc;

use calspamd::reputation::{self, Place, Reputation};
use calspamd::scan;
use calspamd::server::State;
use serde_json::Value;

use crate::cli::{Folder, calspamd, out};
use crate::support::{Service, load, post, repository, test_settings};

/// The time at which the README's mail was sent; without it the answer would depend on the
/// day of the test.
const RECEIVED_AT: &str = "Received-At: Wed, 18 Nov 2026 16:04:15 +0000\r\n";

/// The first fenced block of a language.
fn block<'t>(text: &'t str, language: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(&format!("```{language}\n"))?;
    Some(rest.split_once("```")?.0)
}

/// Asserts that the program has the subcommand and the options of a line of a page. A line that
/// says something else is none of ours.
fn check_command(line: &str) -> bool {
    let command = line.split(['#', '|', '&']).next().unwrap_or_default().trim();
    let words: Vec<&str> = command.split_whitespace().collect();
    let ["calspamd", words @ ..] = &*words else { return false };
    let is_name = |word: &&&str| {
        !word.starts_with('-') && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
    };
    let path: Vec<&str> = words.iter().take_while(is_name).copied().take(2).collect();
    // The second word may be a path as well as a subcommand.
    let help = [path.len(), 1.min(path.len())].into_iter().find_map(|length| {
        let output = calspamd(&[&path[..length], &["--help"]].concat());
        output.status.success().then(|| out(&output))
    });
    let help = help.unwrap_or_else(|| panic!("{line}"));
    for option in words.iter().filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "{option} of {line}");
    }
    true
}

/// Every subcommand and option that the overview of the command line shows is there.
#[test]
fn the_shown_commands_are_there() {
    let text = std::fs::read_to_string(repository("README.md")).expect("README.md is there");
    let (_, section) = text.split_once("\n## Command line\n").expect("a section");
    let shown = block(section, "sh").expect("a block with commands");
    let commands = shown.lines().filter(|line| check_command(line)).count();
    assert!(commands > 10, "{commands}");
}

/// Pages for people, with their paths in the repository.
fn pages() -> Vec<(PathBuf, String)> {
    let mut folders = vec![repository("")];
    let mut pages = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let is_others = matches!(&*name, "target" | "node_modules" | "corpus" | "artifacts");
            if path.is_dir() && !is_others && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                pages.push((path, text));
            }
        }
    }
    assert!(pages.len() > 10, "{}", pages.len());
    pages
}

/// The same for all pages: lines of commands, and commands in the last column of tables.
#[test]
fn commands_of_all_pages_are_there() {
    let mut commands = 0;
    for (path, text) in pages() {
        let mut is_code = false;
        for line in text.lines() {
            if line.starts_with("```") {
                is_code = !is_code && matches!(line, "```sh" | "```console");
                continue;
            }
            let cell = line.strip_suffix("` |").and_then(|row| row.rsplit_once("| `"));
            let shown = match cell {
                Some((_, cell)) => cell,
                None if is_code => line.trim_start_matches("$ "),
                None => continue,
            };
            println!("{}: {shown}", path.display());
            commands += usize::from(check_command(shown));
        }
    }
    assert!(commands > 40, "{commands}");
}

/// What a page is called in the address of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Links between pages, and to files, lead to something that is there.
#[test]
fn links_of_all_pages_lead_somewhere() {
    let mut links = 0;
    let mut broken = Vec::new();
    for (path, text) in pages() {
        let targets = text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
        for target in targets.filter(|target| !target.contains("://") && !target.contains(' ')) {
            let (file, part) = target.split_once('#').unwrap_or((target, ""));
            let to = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            links += 1;
            let is_there = to.exists()
                && (part.is_empty()
                    || std::fs::read_to_string(&to)
                        .unwrap()
                        .lines()
                        .any(|line| line.starts_with('#') && anchor(line) == part));
            if !is_there {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(links > 60, "{links}");
}

/// Replaces what differs from scan to scan.
fn settle(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                // Numbers of records and campaigns are made with the installation's own secret.
                let is_own = matches!(name.as_str(), "record" | "campaign") && field.is_string();
                if is_own || matches!(name.as_str(), "time_real" | "received_at") {
                    *field = Value::Null;
                }
                settle(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_shown_answer_is_the_answer() {
    let text = std::fs::read_to_string(repository("README.md")).expect("README.md is there");
    let command = block(&text, "console").expect("a console block with a request");
    let fixture = "tests/messages/spam/README-callback.eml";
    assert!(command.contains(&format!("--data-binary @{fixture}")), "{command}");
    let shown = block(&text, "json").expect("a json block with the answer");
    let mut shown: Value = serde_json::from_str(shown).unwrap();

    // With a store, as the program has it; it has seen nothing yet.
    let folder = Folder::new();
    let settings = reputation::Settings {
        store: Some(Place::Memory),
        state: folder.path().to_owned(),
        ..reputation::Settings::default()
    };
    let clock = Arc::new(calspamd::server::now);
    let (reputation, _) = Reputation::start(&settings, clock).unwrap();
    let scan = scan::Settings { reputation, ..scan::Settings::default() };
    let state = State::new(load(&calspamd::rules::built_in()), scan).unwrap();
    let service = Service::with(test_settings(), Arc::new(state));
    let mail = std::fs::read(repository(fixture)).unwrap();
    let reply = service.ask(&post("/checkv2", RECEIVED_AT, &mail));
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut answer = reply.json();

    settle(&mut shown);
    settle(&mut answer);
    assert!(
        shown == answer,
        "README.md shows another answer than this one:\n{}",
        serde_json::to_string_pretty(&reply.json()).unwrap()
    );
}
