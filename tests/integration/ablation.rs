//! No rule carries the rest: what happens to spam that is found when any one rule is taken away,
//! and which rules may decide alone.

use std::collections::{BTreeMap, BTreeSet};

use calspamd::rules::{EvidenceScope, Hit, RuleSet};
use calspamd::verdict::{self, Circumstances, Upstream};

use crate::support::{assert_none, messages, scan_file, stock};

/// Where spam begins to be flagged.
const FLAGGED: f64 = 4.0;

/// What must stay flagged without any one rule, in parts of a hundred.
const STAY: usize = 80;

/// Rows of the table that is printed.
const ROWS: usize = 15;

/// From here on a rule decides alone.
const ALONE: f64 = 6.0;

/// Rules that decide alone, and why their test cannot be wrong about good mail.
const EXACT: [(&str, &str); 13] = [
    ("CAL_SCRIPT", "a tag with code in it"),
    ("CAL_SVG_ACTIVE", "a picture with code or a way out in it"),
    ("CAL_ALARM_EXEC", "an alarm that starts a program or opens another machine's file"),
    ("CAL_ATTACH_TRAVERSAL", "a file name that leaves its folder"),
    ("CAL_MOBILECONFIG", "a device's configuration under a calendar's name"),
    ("CAL_UNC_PATH", "a path to another machine where a program opens it"),
    ("CAL_SHARING_UNC", "the same in the fields that share a calendar"),
    ("CAL_URI_SCHEME_BAD", "a scheme that runs code"),
    ("CAL_UPD_ORG_CHANGED", "forged: a proven event under a stranger's name"),
    ("CAL_URIBL_LINK_BAD", "a list of phishing and malware names the host"),
    ("CAL_BLOCKED_ORG", "the site's own list names the address"),
    ("CAL_BLOCKED_LINK", "the site's own list names the link"),
    ("CAL_HASH_BAD", "the site's own list names the content"),
];

/// A rule and all that are made of it.
fn without<'r>(rules: &'r RuleSet, symbol: &'r str) -> BTreeSet<&'r str> {
    let mut gone = BTreeSet::from([symbol]);
    let mut open = vec![symbol];
    while let Some(next) = open.pop() {
        for user in rules.used_by(next) {
            if gone.insert(&user.name) {
                open.push(&user.name);
            }
        }
    }
    gone
}

#[test]
fn no_rule_carries_the_rest() {
    let rules = stock();
    let mut flagged = Vec::new();
    for path in messages("spam") {
        let score = scan_file(&path).verdict.score;
        if score >= FLAGGED {
            flagged.push(path);
        }
    }
    let total = flagged.len();
    assert!(total >= 100, "only {total} fixtures are flagged");

    // A lower bound: with a rule go all that are made of it, also where another alternative of
    // theirs holds; what asks for its absence would only add to the score.
    let mut lost: BTreeMap<&str, usize> = BTreeMap::new();
    for path in &flagged {
        let hits: Vec<Hit> =
            scan_file(path).verdict.symbols.into_iter().map(|symbol| symbol.hit).collect();
        for symbol in rules.symbols().filter(|symbol| symbol.score > 0.0) {
            if !hits.iter().any(|hit| hit.symbol == symbol.name) {
                continue;
            }
            let gone = without(rules, &symbol.name);
            let left: Vec<Hit> =
                hits.iter().filter(|hit| !gone.contains(&*hit.symbol)).cloned().collect();
            let circumstances = Circumstances {
                caps: rules.group_caps(),
                scope: EvidenceScope::default(),
                policy: None,
                upstream: Upstream::default(),
                unread: false,
                events: &[],
                method: None,
                profile: None,
            };
            let verdict = verdict::decide(left, &verdict::Settings::default(), &circumstances);
            *lost.entry(&symbol.name).or_default() += usize::from(verdict.score < FLAGGED);
        }
    }
    let mut rows: Vec<(usize, &str)> = lost.into_iter().map(|(name, lost)| (lost, name)).collect();
    rows.sort_by(|a, b| b.cmp(a));
    println!("{total} flagged fixtures; without the rule stay flagged");
    for (lost, name) in rows.iter().take(ROWS) {
        println!("{:>4} of {total}, {:>3} %  {name}", total - lost, (total - lost) * 100 / total);
    }
    let failures: Vec<String> = rows
        .iter()
        .filter(|(lost, _)| (total - lost) * 100 < total * STAY)
        .map(|(lost, name)| format!("{name}: {lost} of {total} are flagged by it alone"))
        .collect();
    assert_none(&failures);
}

#[test]
fn only_exact_rules_decide_alone() {
    let mut failures = Vec::new();
    for symbol in stock().symbols() {
        let stated = EXACT.iter().any(|(name, _)| *name == &*symbol.name);
        if (symbol.score >= ALONE) != stated {
            failures.push(format!("{}: {}", symbol.name, symbol.score));
        }
    }
    for (name, _) in EXACT {
        if stock().get(name).is_none() {
            failures.push(format!("{name}: no such symbol"));
        }
    }
    assert_none(&failures);
}
