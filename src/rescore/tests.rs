//! Synthetic logs, and what is learnt from them.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::facts::Origin;
use crate::rules::{self, EvidenceScope, File, Files, Flags, GroupCap, Hit};
use crate::verdict::{self, Circumstances};

const RULES: [(&str, &str); 9] = [
    ("GOOD", "3"),
    ("WEAK", "3"),
    ("NOISY", "3"),
    ("NICE", "-2"),
    ("EXACT", "7"),
    ("SEEN", "0.01"),
    ("OFF", "0"),
    ("RARE", "2"),
    ("FORGED", "2\ntflags FORGED forged"),
];

fn rule_set(more: &str) -> RuleSet {
    let rule = |(name, score): &(&str, &str)| {
        format!("calendar {name} summary =~ /x/\ndescribe {name} x\nscore {name} {score}\n")
    };
    let text = RULES.iter().map(rule).collect::<Vec<_>>().concat() + more;
    let file = File { name: "x.cf".to_owned(), text };
    rules::load(&Files { rules: vec![file], ..Files::default() }).unwrap().rules
}

/// Messages with these symbols, so many of each.
fn log(messages: &[(usize, &[&str])]) -> Vec<Entry> {
    let entry = |tests: &[&str]| Entry {
        tests: tests.iter().map(|test| (*test).to_owned()).collect(),
        ..Entry::default()
    };
    messages.iter().flat_map(|(count, tests)| vec![entry(tests); *count]).collect()
}

fn learn(spam: &[(usize, &[&str])], ham: &[(usize, &[&str])], more: &str) -> Outcome {
    propose(&log(spam), &log(ham), &rule_set(more), &Settings::default()).unwrap()
}

#[track_caller]
fn proposal<'o>(outcome: &'o Outcome, symbol: &str) -> &'o Proposal {
    outcome.proposals.iter().find(|proposal| proposal.symbol == symbol).unwrap()
}

#[test]
fn a_good_rule_rises_and_one_that_hits_ham_falls() {
    let spam: &[(usize, &[&str])] = &[(60, &["GOOD", "RARE"]), (20, &["WEAK", "NOISY"])];
    let ham: &[(usize, &[&str])] = &[(10, &["NOISY", "WEAK"]), (200, &[]), (20, &["NOISY"])];
    let outcome = learn(spam, ham, "");
    let good = proposal(&outcome, "GOOD");
    assert!(good.new > 3.5 && good.low > 3.5, "{good:?}");
    let noisy = proposal(&outcome, "NOISY");
    assert!(noisy.new < 2.9, "{noisy:?}");
    assert_eq!((noisy.spam, noisy.ham), (20, 30));
    // Before: 10 ham at 6.0, 60 spam at 5.0.
    assert_eq!((outcome.before.false_positives, outcome.before.false_negatives), (10, 60));
    assert_eq!(outcome.before.cost(), 560);
    assert_eq!(outcome.validated.false_positives, 0, "{outcome:?}");
    assert_eq!(outcome.validated.false_negatives, 20, "{outcome:?}");
    assert!(outcome.is_better());
}

#[test]
fn a_false_positive_weighs_fifty_misses() {
    // The same symbols on spam and ham: who wins?
    let decided = |spam: usize, ham: usize| {
        let spam: &[(usize, &[&str])] = &[(spam, &["GOOD", "WEAK"]), (20, &[])];
        let ham: &[(usize, &[&str])] = &[(ham, &["GOOD", "WEAK"]), (100, &[])];
        let outcome = learn(spam, ham, "");
        (outcome.before, outcome.fitted)
    };
    let (before, few) = decided(300, 10);
    assert_eq!((before.false_positives, before.false_negatives), (10, 20));
    assert_eq!((few.false_positives, few.false_negatives), (0, 320), "30 to 1");
    let (_, many) = decided(1000, 10);
    assert_eq!((many.false_positives, many.false_negatives), (10, 20), "100 to 1");
}

#[test]
fn bounds_hold_and_signs_stay() {
    let spam: &[(usize, &[&str])] =
        &[(500, &["GOOD"]), (500, &["GOOD", "NICE"]), (200, &["RARE"]), (50, &["NOISY"])];
    let ham: &[(usize, &[&str])] =
        &[(500, &["NOISY", "WEAK", "EXACT"]), (500, &["NOISY", "WEAK", "RARE"])];
    let outcome = learn(spam, ham, "");
    for proposal in &outcome.proposals {
        assert!(proposal.new * proposal.old >= 0.0, "{proposal:?}");
        assert!((proposal.new == 0.0) == (proposal.old == 0.0), "{proposal:?}");
        assert!(proposal.new.abs() <= (2.0 * proposal.old.abs()).max(0.1), "{proposal:?}");
    }
    let new = |symbol| proposal(&outcome, symbol).new;
    // Not to 6: one sign is no proof.
    assert!((new("GOOD") - 5.0).abs() < 1e-9, "{}", new("GOOD"));
    assert!((new("NICE") - -0.1).abs() < 1e-9, "{}", new("NICE"));
    assert!((new("WEAK") - 0.1).abs() < 1e-9, "{}", new("WEAK"));
}

#[test]
fn a_symbol_that_hits_much_of_the_other_class_never_gains() {
    // WEAK would help with the missed spam, and the ham is far from the threshold.
    let spam: &[(usize, &[&str])] = &[(200, &["WEAK"]), (200, &[])];
    for (ham_hit, rises) in [(20, true), (40, false)] {
        let ham: &[(usize, &[&str])] =
            &[(ham_hit, &["WEAK", "NICE", "NICE_TOO"]), (800 - ham_hit, &["NICE"])];
        let outcome = learn(spam, ham, "calendar NICE_TOO summary =~ /x/\nscore NICE_TOO -4\n");
        let weak = proposal(&outcome, "WEAK");
        assert_eq!((weak.new > weak.old, weak.impure), (rises, !rises), "{weak:?}");
        assert!(!proposal(&outcome, "NICE").impure);
    }
    assert!(is_impure(-1.0, (1, 10), (100, 100)) && !is_impure(-1.0, (1, 19), (100, 100)));
}

#[test]
fn some_scores_stay_and_say_why() {
    let all: Vec<&str> = RULES.iter().map(|(name, _)| *name).collect();
    let without_rare: Vec<&str> = all.iter().copied().filter(|name| *name != "RARE").collect();
    let spam: &[(usize, &[&str])] = &[(9, &all), (50, &without_rare)];
    let ham: &[(usize, &[&str])] = &[(100, &without_rare)];
    let settings = Settings { keep: ["WEAK".to_owned()].into(), ..Settings::default() };
    let outcome = propose(&log(spam), &log(ham), &rule_set(""), &settings).unwrap();
    for (symbol, expected) in [
        ("EXACT", Some(Stays::Certain)),
        ("SEEN", Some(Stays::Notice)),
        ("OFF", Some(Stays::Off)),
        ("RARE", Some(Stays::FewHits)),
        ("FORGED", Some(Stays::Decides)),
        ("WEAK", Some(Stays::Kept)),
        ("GOOD", None),
    ] {
        let proposal = proposal(&outcome, symbol);
        assert_eq!(proposal.stays, expected, "{symbol}");
        assert_eq!(proposal.changes(), expected.is_none(), "{proposal:?}");
    }
}

#[test]
fn a_cap_holds_while_it_learns() {
    let cap = "group GOOD g\ngroup WEAK g\ngroup_cap g 0 5\n";
    let spam: &[(usize, &[&str])] = &[(300, &["GOOD", "WEAK"])];
    let ham: &[(usize, &[&str])] = &[(100, &[])];
    // At 5 of 6, and no score of theirs can change that.
    let outcome = learn(spam, ham, cap);
    assert_eq!(outcome.before.false_negatives, 300);
    assert!(!proposal(&outcome, "GOOD").changes() && !outcome.is_better());
}

#[test]
fn symbols_without_a_rule_are_named_and_too_few_messages_refused() {
    let outcome = learn(&[(9, &["GONE", "__HELPER", "GOOD"])], &[(9, &[])], "");
    assert_eq!(outcome.unknown, ["GONE"]);
    let few = propose(&log(&[(4, &[])]), &log(&[(9, &[])]), &rule_set(""), &Settings::default());
    assert_eq!(few, Err(Error::TooFew { class: Class::Spam, found: 4, needed: 5 }));
}

#[test]
fn folds_are_even_and_depend_on_the_seed_alone() {
    let folds = fold_of_each(103, 5, 1);
    for fold in 0..5 {
        let size = folds.iter().filter(|found| **found == fold).count();
        assert!((20..=21).contains(&size), "{size}");
    }
    assert_eq!(folds, fold_of_each(103, 5, 1));
    assert_ne!(folds, fold_of_each(103, 5, 2));
    assert!(folds.windows(5).any(|window| window != [0, 1, 2, 3, 4]));
}

proptest! {
    /// The model scores a message as the verdict does.
    #[test]
    fn scores_are_the_verdicts(
        symbols in proptest::collection::vec(
            (-5.0..8.0_f64, proptest::option::of(0..3_usize), proptest::bool::weighted(0.1)),
            0..8,
        ),
        caps in proptest::collection::vec((-4.0..2.0_f64, 0.0..9.0_f64), 3),
    ) {
        let names: Vec<Arc<str>> = ["a", "b", "c"].map(Arc::from).to_vec();
        let caps: Vec<GroupCap> = caps
            .into_iter()
            .zip(&names)
            .map(|((min, max), group)| GroupCap { group: Arc::clone(group), min, max })
            .collect();
        let hits: Vec<Hit> = symbols
            .iter()
            .map(|(score, group, active)| Hit {
                symbol: "X".into(),
                score: *score,
                group: group.map(|group| Arc::clone(&names[group])),
                description: None,
                flags: Flags { active: *active, ..Flags::default() },
                origin: Origin::Calendar,
                evidence: Vec::new(),
                events: Vec::new(),
            })
            .collect();
        let circumstances = Circumstances {
            caps: &caps,
            scope: EvidenceScope::Message,
            policy: None,
            upstream: verdict::Upstream::default(),
            unread: false,
            events: &[],
            method: None,
            profile: None,
        };
        let expected = verdict::decide(hits, &verdict::Settings::default(), &circumstances).score;
        let model = Model::new(&caps, 6.0, |group| {
            symbols
                .iter()
                .map(|(score, named, active)| Feature {
                    score: *score,
                    bounds: (*score, *score),
                    group: named.and_then(|named| group(&names[named])),
                    active: *active,
                })
                .collect()
        });
        let weights: Vec<f64> = symbols.iter().map(|(score, _, _)| *score).collect();
        let pattern: Pattern = (0..symbols.len()).collect();
        let score = model.score(&weights, &pattern);
        prop_assert!((score - expected).abs() < 1e-9, "{score} is not {expected}");
    }
}
