//! What the README shows is what the service answers.

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

/// Every subcommand and option that the overview of the command line shows is there.
#[test]
fn the_shown_commands_are_there() {
    let text = std::fs::read_to_string(repository("README.md")).expect("README.md is there");
    let (_, section) = text.split_once("\n## Command line\n").expect("a section");
    let shown = block(section, "sh").expect("a block with commands");
    let mut commands = 0;
    for line in shown.lines() {
        let command = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
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
        commands += 1;
    }
    assert!(commands > 10, "{commands}");
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
