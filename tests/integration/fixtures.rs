//! The stock rules against the fixtures: what each symbol must find and what it must not.
//!
//! A fixture `spam/SYMBOL-what.eml` hits its symbol; `ham/SYMBOL-what.eml` is what the symbol
//! could be mistaken about, and `ham/MATRIX-…` what ordinary calendars send.

use std::collections::BTreeSet;

use calspamd::verdict::Action;
use calspamd::{rules, scan};

use crate::support::{
    assert_none, messages, name, request_for, scan_file, settings_for, stock, summary, symbols,
};

/// Where good mail ends.
const SUSPICIOUS: f64 = 4.0;

/// The symbol that a fixture is named after.
fn symbol_of(name: &str) -> &str {
    name.split('-').next().unwrap_or_default()
}

#[test]
fn stock_rules_load_without_a_warning() {
    let loaded = rules::load(&rules::built_in()).unwrap();
    let shown: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_none(&shown);
    assert!(
        !loaded.rules.can_hit_without_calendar(),
        "a stock rule can hit mail that has no calendar part"
    );
}

#[test]
fn spam_fixtures_hit_their_symbols() {
    let mut failures = Vec::new();
    for path in messages("spam") {
        let name = name(&path);
        let outcome = scan_file(&path);
        let is_readme = name.starts_with("README-");
        let symbol = if is_readme { "CAL_CALLBACK" } else { symbol_of(&name) };
        if !symbols(&outcome).contains(&symbol) {
            failures.push(format!("spam/{name}: no {symbol}; {}", summary(&outcome)));
        }
        if is_readme && outcome.verdict.action < Action::AddHeader {
            failures.push(format!("spam/{name}: {}", summary(&outcome)));
        }
    }
    assert_none(&failures);
}

#[test]
fn ham_fixtures_stay_clean() {
    let mut failures = Vec::new();
    for path in messages("ham") {
        let name = name(&path);
        let outcome = scan_file(&path);
        let symbol = symbol_of(&name);
        if symbols(&outcome).contains(&symbol) {
            failures.push(format!("ham/{name}: {symbol}; {}", summary(&outcome)));
        }
        if outcome.verdict.score >= SUSPICIOUS {
            failures.push(format!("ham/{name}: {}", summary(&outcome)));
        }
    }
    assert_none(&failures);
}

/// Most that rules about identity may find in the mail of ordinary calendars.
const HAM_IDENTITY: f64 = 1.0;

/// What calendars, lists and services send (18 cases), as the receiving server has verified it,
/// with nothing verified, and with a server that states nothing but failures of DNS.
#[test]
fn ordinary_calendars_are_who_they_say() {
    let mut failures = Vec::new();
    let mut cases = BTreeSet::new();
    for path in messages("ham").iter().filter(|path| name(path).starts_with("MATRIX-")) {
        let file = name(path);
        let number = file.get(7..9).unwrap_or_default().to_owned();
        let bytes = std::fs::read(path).unwrap();
        let stated = request_for(path, &bytes);
        let bare = file.starts_with("MATRIX-15-medication-reminder.");
        if !bare && stated.envelope.authentication_results.is_empty() {
            failures.push(format!("{file}: nothing is said of its authentication"));
        }
        let silent = ["x; spf=temperror; dkim=temperror; dmarc=temperror".to_owned()];
        for results in [stated.envelope.authentication_results.as_slice(), &[], &silent] {
            let mut request = stated.clone();
            request.envelope.authentication_results = results.to_vec();
            let outcome = scan::scan(&bytes, &request, stock(), &settings_for(path));
            let of_identity = outcome.verdict.symbols.iter().filter(|symbol| {
                symbol.hit.group.as_deref().is_some_and(|group| group == "identity")
            });
            let score: f64 = of_identity.map(|symbol| symbol.score.max(0.0)).sum();
            if score >= HAM_IDENTITY {
                failures.push(format!("{file}: {score} from identity: {}", summary(&outcome)));
            }
        }
        cases.insert(number);
    }
    assert_eq!(cases.len(), 18, "{cases:?}");
    assert_none(&failures);
}

#[test]
fn every_scored_symbol_is_described_and_has_fixtures() {
    let named = |folder: &str| -> BTreeSet<String> {
        messages(folder).iter().map(|path| symbol_of(&name(path)).to_owned()).collect()
    };
    let (spam, ham) = (named("spam"), named("ham"));
    let mut failures = Vec::new();
    for symbol in stock().symbols().filter(|symbol| symbol.score != 0.0) {
        for (what, is_there) in [
            ("description", symbol.description.is_some()),
            ("group", symbol.group.is_some()),
            ("source", symbol.source.is_some()),
            ("fixture in spam/", spam.contains(&*symbol.name)),
            ("fixture in ham/", ham.contains(&*symbol.name)),
        ] {
            if !is_there {
                failures.push(format!("{}: no {what}", symbol.name));
            }
        }
    }
    let known = |name: &String| name == "README" || name == "MATRIX" || stock().get(name).is_some();
    for name in spam.union(&ham).filter(|name| !known(name)) {
        failures.push(format!("{name}: fixtures, but no such symbol"));
    }
    assert_none(&failures);
}
