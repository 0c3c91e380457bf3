//! Text and links are found however a calendar is wrapped: every transfer encoding, content
//! type, disposition and fold that senders use.

use calspamd::rules::RuleSet;
use calspamd::scan::Outcome;

use crate::support::{assert_none, messages, name, request_for, rule_set, scan, summary, symbols};

const RULES: &str = r"
body     BODY_WORD     /zqbodyword|zqsummaryword/
uri      URI_LINK      m{^http://(?:[a-z]+-)?calphish\.com/[a-z]}
calendar CALENDAR_WORD text =~ /zqbodyword|zqsummaryword/
calendar CALENDAR_LINK url =~ m{^http://(?:[a-z]+-)?calphish\.com/[a-z]}
calendar CALENDAR_HOST url.domain =~ /^(?:[a-z]+-)?calphish\.com$/
";

/// The word in DESCRIPTION and the whole link there, which some encodings cut in two by a fold.
const WHOLE: &str = r"
body     BODY_WHOLE    /zqbodyword/
uri      URI_WHOLE     m{^http://calphish\.com/win}
calendar WORD_WHOLE    text =~ /zqbodyword/
calendar LINK_WHOLE    url =~ m{^http://calphish\.com/win}
";

fn missing<'s>(outcome: &Outcome, expected: &[&'s str]) -> Vec<&'s str> {
    let found = symbols(outcome);
    expected.iter().copied().filter(|symbol| !found.contains(symbol)).collect()
}

fn check(rules: &RuleSet, wanted: impl Fn(&str) -> Option<&'static [&'static str]>) {
    let mut failures = Vec::new();
    let mut checked = 0;
    for path in messages("encodings") {
        let name = name(&path);
        let Some(expected) = wanted(name.trim_end_matches(".eml")) else { continue };
        checked += 1;
        let bytes = std::fs::read(&path).unwrap();
        let outcome = scan(&bytes, &request_for(&path, &bytes), rules);
        let missing = missing(&outcome, expected);
        if !missing.is_empty() {
            failures.push(format!("{name}: {missing:?} missing, found {}", summary(&outcome)));
        }
        if !outcome.partial.is_empty() {
            failures.push(format!("{name}: partial {:?}", outcome.partial));
        }
    }
    assert!(checked > 0);
    assert_none(&failures);
}

#[test]
fn word_and_link_are_found_in_every_encoding() {
    check(&rule_set(RULES), |name| {
        Some(match name {
            // No calendar, so nothing that a calendar rule could ask.
            "control_textplain" => &["BODY_WORD", "URI_LINK"],
            // jCal with a link and no words.
            "appcaljson" => &["URI_LINK", "CALENDAR_LINK", "CALENDAR_HOST"],
            _ => &["BODY_WORD", "URI_LINK", "CALENDAR_WORD", "CALENDAR_LINK", "CALENDAR_HOST"],
        })
    });
}

#[test]
fn a_fold_does_not_hide_a_word_or_a_link() {
    check(&rule_set(WHOLE), |name| {
        let all: &[&str] = &["BODY_WHOLE", "URI_WHOLE", "WORD_WHOLE", "LINK_WHOLE"];
        name.contains("_fold_").then_some(all)
    });
}
