//! What rules mean, through whole scans: events one by one, negation, what is unknown, where
//! evidence comes from, and caps.

use calspamd::facts::Origin;
use calspamd::rules::EvidenceScope;
use calspamd::scan::{Outcome, Request};

use crate::support::{calendar, mail, rule_set, scan, seconds, summary, symbols};

fn request() -> Request {
    Request { now: seconds("2026-11-20T12:00:00Z"), ..Request::default() }
}

/// The symbols that hit for a mail.
#[track_caller]
fn check(rules: &str, message: &str, expected: &[&str]) -> Outcome {
    check_with(rules, message, &request(), expected)
}

#[track_caller]
fn check_with(rules: &str, message: &str, request: &Request, expected: &[&str]) -> Outcome {
    let outcome = scan(message.as_bytes(), request, &rule_set(rules));
    assert_eq!(symbols(&outcome), expected, "{rules}\n{}", summary(&outcome));
    let sum: f64 = outcome.verdict.symbols.iter().map(|symbol| symbol.score).sum();
    assert!((sum - outcome.verdict.score).abs() < 1e-9, "{}", summary(&outcome));
    outcome
}

/// An invitation with these events.
fn invitation(events: &[&str]) -> String {
    mail("Invitation", &calendar("REQUEST", events))
}

const CALLBACK: &str = "calendar __PHONE text.phones > 0\n\
    calendar __MONEY text.amounts > 0\n\
    meta CALLBACK __PHONE && __MONEY\n";

#[test]
fn a_phone_and_an_amount_in_two_events_are_no_callback() {
    let phone = "SUMMARY:Call +1 (202) 555-0143";
    let money = "SUMMARY:Renewal of $399.99";
    check(CALLBACK, &invitation(&[phone, money]), &[]);
    let both = "SUMMARY:Renewal of $399.99\nDESCRIPTION:Call +1 (202) 555-0143";
    let outcome = check(CALLBACK, &invitation(&["SUMMARY:Lunch", both, phone]), &["CALLBACK"]);
    assert_eq!(outcome.verdict.symbols[0].hit.events, [1]);
    assert_eq!(outcome.events[1].symbols, ["CALLBACK"]);
    assert!(outcome.events[0].symbols.is_empty() && outcome.events[2].symbols.is_empty());
    let places: Vec<&str> =
        outcome.verdict.symbols[0].hit.evidence.iter().map(|e| e.place.as_str()).collect();
    assert!(places.iter().all(|place| place.starts_with("VEVENT[1]")), "{places:?}");
}

#[test]
fn facts_of_the_mail_go_with_every_event() {
    let rules = "calendar __FROM from.domain == sender.example\n\
        calendar __SUMMARY summary == \"Second\"\n\
        meta BOTH __FROM && __SUMMARY\n";
    let outcome = check(rules, &invitation(&["SUMMARY:First", "SUMMARY:Second"]), &["BOTH"]);
    assert_eq!(outcome.verdict.symbols[0].hit.events, [1]);
}

#[test]
fn all_asks_every_value_and_message_joins_events() {
    let mixed = "ATTENDEE:mailto:a@sender.example\nATTENDEE:mailto:b@rcpt.example";
    let alike = "ATTENDEE:mailto:a@rcpt.example\nATTENDEE:mailto:b@rcpt.example";
    let any = "calendar ANY attendee.domain == rcpt.example\n";
    let all = "calendar EVERY all(attendee.domain) == rcpt.example\n";
    check(&format!("{any}{all}"), &invitation(&[mixed]), &["ANY"]);
    check(&format!("{any}{all}"), &invitation(&[alike]), &["ANY", "EVERY"]);
    // No value: nothing holds.
    check(&format!("{any}{all}"), &invitation(&["SUMMARY:x"]), &[]);

    let joined = "calendar __ONE message(summary) == First\n\
        calendar __TWO message(summary) == Second\n\
        meta JOINED __ONE && __TWO\n";
    check(joined, &invitation(&["SUMMARY:First", "SUMMARY:Second"]), &["JOINED"]);
    let apart = joined.replace("message(summary)", "summary");
    check(&apart, &invitation(&["SUMMARY:First", "SUMMARY:Second"]), &[]);
}

#[test]
fn negation_needs_a_value() {
    let rules = "calendar OTHER summary != Lunch\ncalendar WITHOUT summary !~ /lunch/i\n";
    check(rules, &invitation(&["SUMMARY:Payout"]), &["OTHER", "WITHOUT"]);
    check(rules, &invitation(&["SUMMARY:Lunch"]), &[]);
    check(rules, &invitation(&["LOCATION:here"]), &[]);
    // No value may be equal.
    let several = "calendar STRANGER attendee.address != bob@rcpt.example\n";
    let two = "ATTENDEE:mailto:ann@sender.example\nATTENDEE:mailto:bob@rcpt.example";
    check(several, &invitation(&[two]), &[]);
    check(several, &invitation(&["ATTENDEE:mailto:ann@sender.example"]), &["STRANGER"]);
}

#[test]
fn a_missing_header_is_an_empty_text() {
    let rules = "header MISSING X-Mailer !~ /\\S/\nheader THERE From =~ /sender/\n";
    check(rules, &invitation(&["SUMMARY:x"]), &["MISSING", "THERE"]);
}

#[test]
fn what_a_bare_calendar_cannot_know_is_unknown() {
    let rules = "calendar __FROM from.domain == sender.example\n\
        calendar __YES exists:organizer.domain\n\
        calendar __NO exists:location\n\
        meta A_FROM __FROM\n\
        meta B_NOT !__FROM\n\
        meta C_AND __FROM && __YES\n\
        meta D_OR __FROM || __YES\n\
        meta E_OR_NO __FROM || __NO\n\
        meta F_NOT_BOTH !(__FROM && __NO)\n\
        calendar G_APART organizer.domain != from.domain\n";
    let bare = Request { bare: true, ..request() };
    let text = calendar("REQUEST", &["SUMMARY:x"]);
    check_with(rules, &text, &bare, &["D_OR", "F_NOT_BOTH"]);
    let known = ["A_FROM", "C_AND", "D_OR", "E_OR_NO", "F_NOT_BOTH"];
    check(rules, &mail("x", &text), &known);
}

const EVIDENCE: &str = "calendar CALENDAR summary =~ /payout/\n\
    header HEADER From =~ /ann@sender/\n\
    calendar SENDER from.domain == sender.example\n\
    calendar __MAIL from.domain == sender.example\n\
    calendar __EVENT summary =~ /payout/\n\
    meta BOTH __EVENT && __MAIL\n\
    calendar CLIENT envelope.from == ann@sender.example\n";

#[test]
fn the_calendars_scope_leaves_out_what_the_mail_brought() {
    let message = mail("a payout", &calendar("REQUEST", &["SUMMARY:a payout"]));
    let mut request = request();
    request.envelope.sender = Some("ann@sender.example".to_owned());
    let all = ["BOTH", "CALENDAR", "CLIENT", "HEADER", "SENDER"];
    let outcome = check_with(EVIDENCE, &message, &request, &all);
    let origin = |symbol: &str| {
        let found = outcome.verdict.symbols.iter().find(|found| &*found.hit.symbol == symbol);
        found.map(|found| found.hit.origin)
    };
    assert_eq!(origin("CALENDAR"), Some(Origin::Calendar));
    assert_eq!(origin("HEADER"), Some(Origin::Mail));
    assert_eq!(origin("CLIENT"), Some(Origin::Network));

    request.scope = EvidenceScope::Calendar;
    let outcome = scan(message.as_bytes(), &request, &rule_set(EVIDENCE));
    let found = symbols(&outcome);
    assert!(found.contains(&"CALENDAR"), "{found:?}");
    for symbol in ["HEADER", "SENDER", "CLIENT"] {
        assert!(!found.contains(&symbol), "{found:?}");
    }
    assert!(outcome.extracted.urls.iter().all(|url| url.origin == Origin::Calendar));
}

#[test]
fn caps_scale_and_scores_add_up() {
    let rules = "calendar A summary =~ /a/\nscore A 3\ngroup A g\n\
        calendar B summary =~ /b/\nscore B 1\ngroup B g\n\
        calendar C summary =~ /c/\nscore C 0.5\n\
        group_cap g 0 2\n";
    let outcome = check(rules, &invitation(&["SUMMARY:abc"]), &["A", "B", "C"]);
    let scores: Vec<f64> = outcome.verdict.symbols.iter().map(|symbol| symbol.score).collect();
    assert_eq!(scores, [1.5, 0.5, 0.5]);
    assert!((outcome.events[0].score - 2.5).abs() < 1e-9);
}

#[test]
fn good_signs_of_a_calendar_do_not_rescue_a_mail() {
    let rules = "calendar GOOD summary =~ /team/\nscore GOOD -4\ntflags GOOD nice\n\
        calendar FINE summary =~ /meeting/\nscore FINE -2\ntflags FINE nice\n";
    let message = invitation(&["SUMMARY:team meeting"]);
    let outcome = check(rules, &message, &["FINE", "GOOD"]);
    assert!((outcome.verdict.score + 6.0).abs() < 1e-9);
    let narrow = Request { scope: EvidenceScope::Calendar, ..request() };
    let outcome = check_with(rules, &message, &narrow, &["FINE", "GOOD"]);
    assert!((outcome.verdict.score + 1.0).abs() < 1e-9, "{}", summary(&outcome));
}

#[test]
fn mail_without_a_calendar_is_answered_at_once_unless_a_rule_asks_for_it() {
    let text = "From: ann@sender.example\r\nSubject: a payout\r\n\r\nhello\r\n";
    let calendar_only = "calendar CALENDAR summary =~ /payout/\n";
    assert!(!rule_set(calendar_only).can_hit_without_calendar());
    let outcome = check(calendar_only, text, &[]);
    assert!(!outcome.has_calendar && outcome.timings.rules.is_zero());
    let header = "header HEADER Subject =~ /payout/\n";
    assert!(rule_set(header).can_hit_without_calendar());
    check(header, text, &["HEADER"]);
}
