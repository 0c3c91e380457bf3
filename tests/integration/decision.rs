//! Every rule of the decision (CC/R 18003 §6.2 and §7), one line a case.

use std::sync::Arc;

use calspamd::calendar::Event;
use calspamd::facts::Origin;
use calspamd::rules::{EvidenceScope, Flags, GroupCap, Hit};
use calspamd::verdict::{
    Action, Apply, Busy, Circumstances, ManualInsert, Policy, Settings, Target, Thresholds,
    Upstream, Verdict, decide,
};

const KNOWN: Flags = Flags { known: true, forged: false, active: false, nice: true };
const FORGED: Flags = Flags { known: false, forged: true, active: false, nice: false };
const ACTIVE: Flags = Flags { known: false, forged: false, active: true, nice: false };

fn hit(symbol: &str, score: f64, group: &str) -> Hit {
    Hit {
        symbol: symbol.into(),
        score,
        group: Some(group.into()),
        description: None,
        flags: Flags::default(),
        origin: Origin::Calendar,
        evidence: Vec::new(),
        events: Vec::new(),
    }
}

fn flagged(symbol: &str, score: f64, flags: Flags) -> Hit {
    Hit { flags, ..hit(symbol, score, "flagged") }
}

fn bad(score: f64) -> Vec<Hit> {
    vec![hit("BAD", score, "content")]
}

fn known() -> Vec<Hit> {
    vec![flagged("KNOWN", -1.0, KNOWN)]
}

/// An ordinary invitation; cases change what they are about.
struct Case {
    name: &'static str,
    hits: Vec<Hit>,
    policy: Option<Policy>,
    upstream: Upstream,
    unread: bool,
    method: Option<&'static str>,
    event: Option<Event>,
    settings: Settings,
}

impl Case {
    fn new(name: &'static str, hits: Vec<Hit>) -> Self {
        Self {
            name,
            hits,
            policy: None,
            upstream: Upstream::default(),
            unread: false,
            method: Some("REQUEST"),
            event: Some(Event::default()),
            settings: Settings::default(),
        }
    }

    fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    fn decide(self) -> Verdict {
        let events: Vec<Event> = self.event.into_iter().collect();
        let circumstances = Circumstances {
            caps: &[],
            scope: EvidenceScope::Message,
            policy: self.policy,
            upstream: self.upstream,
            unread: self.unread,
            events: &events,
            method: self.method,
            profile: None,
        };
        decide(self.hits, &self.settings, &circumstances)
    }
}

/// A decision in one line: insertion, apply, calendar, time, what is kept, notice, by hand.
fn shown(verdict: &Verdict) -> String {
    let decision = &verdict.decision;
    let word = |on: bool, name: &'static str| if on { name } else { "-" };
    assert_eq!(decision.keep_alarms, decision.keep_attachments);
    [
        word(decision.auto_insert, "insert"),
        decision.apply.name(),
        decision.target.name(),
        decision.busy.name(),
        word(decision.keep_alarms, "keep"),
        word(decision.notify_organizer, "notify"),
        decision.manual_insert.name(),
    ]
    .join(" ")
}

#[track_caller]
fn check(case: Case, expected: &str) {
    let name = case.name;
    assert_eq!(shown(&case.decide()), expected, "{name}");
}

#[test]
fn clean_events_go_by_knowledge_and_policy() {
    // Known: inserted, busy, alarms kept, unless the recipient never wants that.
    for (policy, expected) in [
        (Policy::All, "insert create default busy keep notify allowed"),
        (Policy::Known, "insert create default busy keep notify allowed"),
        (Policy::Never, "- create default busy keep notify allowed"),
    ] {
        check(Case::new("clean and known", known()).policy(policy), expected);
    }
    // Unknown: by policy, tentative.
    for (policy, expected) in [
        (Policy::All, "insert create default tentative keep notify allowed"),
        (Policy::Known, "- create default tentative keep notify allowed"),
        (Policy::Never, "- create default tentative keep notify allowed"),
    ] {
        check(Case::new("clean and unknown", Vec::new()).policy(policy), expected);
    }
    // Without a policy in the request the site's counts.
    let site = Settings { auto_insert: Policy::All, ..Settings::default() };
    let case = Case { settings: site, ..Case::new("the site's policy", Vec::new()) };
    check(case, "insert create default tentative keep notify allowed");
}

#[test]
fn the_reason_of_a_policy_is_told() {
    let verdict = Case::new("policy", Vec::new()).policy(Policy::Known).decide();
    assert_eq!(verdict.decision.reasons, ["policy:known"]);
    let verdict = Case::new("policy", bad(4.5)).policy(Policy::All).decide();
    assert_eq!(verdict.decision.reasons, ["BAD"]);
}

#[test]
fn suspicious_events_are_set_apart() {
    let expected = "- create untrusted free - - warn";
    for policy in [Policy::All, Policy::Known, Policy::Never] {
        check(Case::new("suspicious", bad(4.0)).policy(policy), expected);
        let hits = [known(), bad(5.5)].concat();
        check(Case::new("suspicious and known", hits).policy(policy), expected);
    }
    assert_eq!(Case::new("suspicious", bad(4.0)).decide().action, Action::Greylist);
    assert_eq!(Case::new("below", bad(3.99)).decide().action, Action::NoAction);
}

#[test]
fn spam_goes_to_junk_and_nobody_hears_of_it() {
    let case = || Case::new("spam", bad(6.0)).policy(Policy::All);
    check(case(), "- create junk free - - warn");
    assert_eq!(case().decide().action, Action::AddHeader);
    let case = || Case::new("rejected", bad(15.0)).policy(Policy::All);
    check(case(), "- ignore none free - - denied");
    assert_eq!(case().decide().action, Action::Reject);
}

#[test]
fn what_was_not_read_is_not_inserted() {
    let unread = |hits| Case { unread: true, ..Case::new("unread", hits).policy(Policy::All) };
    check(unread(Vec::new()), "- create untrusted free - - warn");
    check(unread(known()), "- create untrusted free - - warn");
    check(unread(bad(6.0)), "- create junk free - - warn");
    assert!(unread(Vec::new()).decide().decision.reasons.contains(&"unread".to_owned()));
}

#[test]
fn what_the_caller_calls_spam_is_spam() {
    let upstream = |action, score| Case {
        upstream: Upstream { action, score },
        ..Case::new("upstream", known()).policy(Policy::All)
    };
    let junk = "- create junk free - - warn";
    let clean = "insert create default busy keep notify allowed";
    check(upstream(Some(Action::AddHeader), None), junk);
    check(upstream(Some(Action::Quarantine), None), junk);
    check(upstream(Some(Action::Reject), None), junk);
    check(upstream(None, Some(6.0)), junk);
    check(upstream(Some(Action::NoAction), Some(7.5)), junk);
    check(upstream(Some(Action::Greylist), Some(5.9)), clean);
    check(upstream(Some(Action::NoAction), Some(-2.0)), clean);
    let verdict = upstream(None, Some(6.0)).decide();
    // The mail's own score and action stay ours.
    assert_eq!(verdict.action, Action::NoAction);
    assert!(verdict.decision.reasons.contains(&"upstream:spam".to_owned()));
}

#[test]
fn forged_itip_is_ignored_whatever_its_score() {
    for method in ["CANCEL", "REQUEST", "REPLY", "ADD", "PUBLISH"] {
        for score in [0.0, 0.1, 5.0] {
            let hits = vec![flagged("FORGED", score, FORGED), flagged("KNOWN", 0.0, KNOWN)];
            let case = Case { method: Some(method), ..Case::new("forged", hits) };
            let decision = case.policy(Policy::All).decide().decision;
            assert_eq!(decision.apply, Apply::Ignore, "{method} {score}");
            assert_eq!(decision.manual_insert, ManualInsert::Warn, "{method} {score}");
            assert_eq!(decision.busy, Busy::Free, "{method} {score}");
            assert!(!decision.auto_insert && !decision.notify_organizer, "{method} {score}");
            assert_ne!(decision.target, Target::Default, "{method} {score}");
            assert!(decision.reasons.contains(&"FORGED".to_owned()), "{method} {score}");
        }
    }
}

#[test]
fn active_content_is_denied_and_not_excused() {
    let hits = vec![flagged("ACTIVE", 3.0, ACTIVE), flagged("KNOWN", -3.0, KNOWN)];
    let verdict = Case::new("active", hits).policy(Policy::All).decide();
    assert!((verdict.score - 3.0).abs() < 1e-9, "{}", verdict.score);
    assert_eq!(verdict.symbols.iter().map(|s| s.score).sum::<f64>().to_bits(), 3.0_f64.to_bits());
    assert_eq!(verdict.decision.manual_insert, ManualInsert::Denied);
    // However low it is, nobody clicks on it by mistake.
    let hits = vec![flagged("ACTIVE", 7.0, ACTIVE), hit("GOOD", -6.0, "good")];
    check(Case::new("active", hits).policy(Policy::All), "- create junk free - - denied");
}

#[test]
fn itip_methods_are_applied_as_what_they_are() {
    let changed = || Event { sequence: Some(1), ..Event::default() };
    let one = || Event { recurrence_id: Some("20261120T100000Z".to_owned()), ..Event::default() };
    for (method, event, expected) in [
        (Some("REQUEST"), Event::default(), Apply::Create),
        (Some("PUBLISH"), Event::default(), Apply::Create),
        (None, Event::default(), Apply::Create),
        (Some("REQUEST"), changed(), Apply::Update),
        (Some("REQUEST"), one(), Apply::Update),
        (Some("REPLY"), Event::default(), Apply::Update),
        (Some("ADD"), Event::default(), Apply::Update),
        (Some("CANCEL"), Event::default(), Apply::Cancel),
        (Some("COUNTER"), Event::default(), Apply::Ignore),
        (Some("X-MADE-UP"), Event::default(), Apply::Ignore),
    ] {
        let case = Case { method, event: Some(event), ..Case::new("apply", known()) };
        let decision = case.decide().decision;
        assert_eq!(decision.apply, expected, "{method:?}");
        assert_eq!(decision.auto_insert, expected != Apply::Ignore, "{method:?}");
    }
    let case = Case { event: None, ..Case::new("no event", known()).policy(Policy::All) };
    let decision = case.decide().decision;
    assert_eq!((decision.apply, decision.target), (Apply::Ignore, Target::None));
    assert!(!decision.auto_insert && !decision.notify_organizer);
}

#[test]
fn free_time_stays_free() {
    let event = Event { transparency: Some("TRANSPARENT".to_owned()), ..Event::default() };
    let case = Case { event: Some(event), ..Case::new("transparent", known()) };
    check(case, "insert create default free keep notify allowed");
}

#[test]
fn silent_discard_needs_two_groups_and_no_doubt() {
    let settings = || Settings {
        thresholds: Thresholds { discard: Some(20.0), ..Thresholds::default() },
        ..Settings::default()
    };
    let action = |hits: Vec<Hit>, settings: Settings| {
        Case { settings, ..Case::new("discard", hits) }.decide().action
    };
    let one = || vec![hit("A", 15.0, "content"), hit("B", 10.0, "content")];
    let two = || vec![hit("A", 15.0, "content"), hit("B", 10.0, "link")];
    let doubt = || [two(), vec![hit("GOOD", -0.1, "good")]].concat();
    assert_eq!(action(one(), settings()), Action::Reject);
    assert_eq!(action(two(), settings()), Action::Discard);
    assert_eq!(action(doubt(), settings()), Action::Reject);
    // Where reject is switched off the harshest of the others is left.
    let mut without_reject = settings();
    without_reject.thresholds.reject = None;
    without_reject.thresholds.quarantine = Some(12.0);
    assert_eq!(action(one(), without_reject.clone()), Action::Quarantine);
    assert_eq!(action(two(), without_reject), Action::Discard);
    // Off by default.
    assert_eq!(action(two(), Settings::default()), Action::Reject);
    let case = Case { settings: settings(), ..Case::new("discard", two()).policy(Policy::All) };
    check(case, "- ignore none free - - denied");
}

/// Scores of the symbols with these caps; they add up to the score.
fn capped(hits: Vec<Hit>, caps: &[(&str, f64, f64)], scope: EvidenceScope) -> Vec<f64> {
    let caps: Vec<GroupCap> = caps
        .iter()
        .map(|(group, min, max)| GroupCap { group: Arc::from(*group), min: *min, max: *max })
        .collect();
    let circumstances = Circumstances {
        caps: &caps,
        scope,
        policy: None,
        upstream: Upstream::default(),
        unread: false,
        events: &[],
        method: None,
        profile: None,
    };
    let verdict = decide(hits, &Settings::default(), &circumstances);
    let scores: Vec<f64> = verdict.symbols.iter().map(|symbol| symbol.score).collect();
    assert!((scores.iter().sum::<f64>() - verdict.score).abs() < 1e-9, "{scores:?}");
    scores.iter().map(|score| (score * 1e6).round() / 1e6).collect()
}

#[test]
fn caps_scale_on_both_sides() {
    let message = EvidenceScope::Message;
    let bad = || vec![hit("A", 6.0, "g"), hit("B", 2.0, "g"), hit("C", 5.0, "other")];
    assert_eq!(capped(bad(), &[("g", 0.0, 4.0)], message), [3.0, 1.0, 5.0]);
    assert_eq!(capped(bad(), &[("g", 0.0, 8.0)], message), [6.0, 2.0, 5.0]);
    let good = || vec![hit("A", -6.0, "g"), hit("B", -2.0, "g"), hit("C", -5.0, "other")];
    assert_eq!(capped(good(), &[("g", -4.0, 0.0)], message), [-3.0, -1.0, -5.0]);
    // Only the side over the edge is scaled.
    let mixed = || vec![hit("A", 6.0, "g"), hit("B", -1.0, "g")];
    assert_eq!(capped(mixed(), &[("g", -3.0, 4.0)], message), [5.0, -1.0]);
    let mixed = || vec![hit("A", 1.0, "g"), hit("B", -6.0, "g")];
    assert_eq!(capped(mixed(), &[("g", -3.0, 4.0)], message), [1.0, -4.0]);
}

#[test]
fn a_calendar_alone_earns_little() {
    let hits = || vec![hit("A", -3.0, "g"), hit("B", -1.0, "h"), hit("C", 5.0, "i")];
    assert_eq!(capped(hits(), &[], EvidenceScope::Message), [-3.0, -1.0, 5.0]);
    assert_eq!(capped(hits(), &[], EvidenceScope::Calendar), [-0.75, -0.25, 5.0]);
    let little = || vec![hit("A", -0.5, "g"), hit("C", 5.0, "i")];
    assert_eq!(capped(little(), &[], EvidenceScope::Calendar), [-0.5, 5.0]);
}
