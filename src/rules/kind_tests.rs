//! Rules over facts of every kind, and over list files, on whole messages.

use super::super::{Diagnostic, File, Files, load};
use super::tests::{facts, shown};
use super::*;
use crate::calendar::{Event, Moment, Party, Reading};
use crate::facts::Links;
use crate::message::{Envelope, Header, Mailbox, Message};

fn files(rules: &str) -> Files {
    let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
    Files {
        rules: vec![file("x.cf", rules)],
        lists: vec![
            file("brands.txt", "# who is imitated\npaypal | paypal.com paypal.me\ngeek squad\n"),
            file("free.txt", "mail.example\nuser@one.example\n"),
        ],
        ..Files::default()
    }
}

/// An invitation from `boss@mail.example`, who calls himself "`PayPal Support`".
fn hits(rules: &str, organizer: &str) -> Vec<String> {
    let message = Message {
        headers: vec![Header {
            name: "Subject".into(),
            raw: b" =?utf-8?q?Caf=C3=A9?=\r\n invoice\r\n".as_slice().into(),
        }],
        from: vec![Mailbox { name: String::new(), address: "a@from.example".to_owned() }],
        ..Message::default()
    };
    let party = Party {
        value: format!("mailto:{organizer}"),
        address: Some(organizer.to_owned()),
        name: Some("PayPal Support".to_owned()),
        ..Party::default()
    };
    let start = Moment { timestamp: 200_000, ..Moment::default() };
    let event = Event {
        organizers: vec![party],
        start: Some(start),
        components: vec!["VEVENT[0]".to_owned()],
        ..Event::default()
    };
    let reading = Reading { events: vec![event], ..Reading::default() };
    let envelope = Envelope::default();
    let facts = facts(&message, &reading, &envelope, Links::default());
    let set = load(&files(rules)).unwrap().rules;
    let evaluation =
        evaluate(&set, &facts, &Listings::default(), EvidenceScope::Message, &|| false);
    assert!(evaluation.complete);
    shown(&evaluation).into_iter().map(|hit| hit.replace("VEVENT[0].", "")).collect()
}

#[track_caller]
fn check(rule: &str, organizer: &str, expected: &[&str]) {
    let found = hits(rule, organizer);
    let found: Vec<&str> = found
        .iter()
        .map(|hit| hit.split_once('=').map_or(hit.as_str(), |(_, text)| text))
        .collect();
    assert_eq!(found, expected, "{rule}");
}

#[test]
fn lists_know_phrases_domains_and_addresses() {
    let boss = "boss@mail.example";
    check("calendar X organizer.name in brands.txt", boss, &["paypal"]);
    check("calendar X organizer.domain in free.txt", boss, &["mail.example"]);
    check("calendar X organizer.domain in free.txt", "a@x.example", &[]);
    check("calendar X organizer.address in free.txt", "user@one.example", &["user@one.example"]);
    check("calendar X organizer.address in free.txt", "other@one.example", &[]);
    let unless = "calendar X organizer.name in brands.txt unless organizer.domain";
    check(unless, boss, &["paypal"]);
    check(unless, "service@mail.paypal.com", &[]);
    let unless = "calendar X organizer.name in brands.txt unless organizer.address";
    check(unless, "service@mail.paypal.com", &[]);
    check(unless, boss, &["paypal"]);
}

#[test]
fn facts_of_mail_and_calendar_compare() {
    let boss = "boss@mail.example";
    check("calendar X organizer.domain != from.domain", boss, &["mail.example != from.example"]);
    check("calendar X organizer.domain != from.domain", "a@from.example", &[]);
    check(
        "calendar X organizer.domain == from.domain",
        "a@from.example",
        &["from.example == from.example"],
    );
    check("calendar X start_in < 3d", boss, &["start_in 200000s < 3d"]);
    check("calendar X start_in > 3d", boss, &[]);
    check("header X Subject =~ /^Caf\\xc3\\xa9 ?invoice$/", boss, &["Café invoice"]);
}

#[test]
fn kinds_are_checked_at_load() {
    #[track_caller]
    fn check(rule: &str, message: &str, hint: &str) {
        let diagnostics = load(&files(rule)).map(|loaded| loaded.diagnostics);
        let diagnostics = diagnostics.unwrap_or_else(|diagnostics| diagnostics);
        let found: Vec<&Diagnostic> =
            diagnostics.iter().filter(|d| !d.message.contains("description")).collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|d| (d.message.as_str(), d.hint.as_deref().unwrap_or(""))).collect();
        assert_eq!(found, [(message, hint)], "{rule}");
    }
    check(
        "calendar X organizer.domian != from.domain",
        "unknown fact `organizer.domian`",
        "did you mean `organizer.domain`?",
    );
    check(
        "calendar X organizer.domain != from.domian",
        "`from.domian` is taken as text, it is not a fact",
        "did you mean the fact `from.domain`? Otherwise put it in quotes",
    );
    check(
        "calendar X start_in < 3600",
        "`3600` has no unit, the fact is a duration",
        "durations are written `90s`, `15m`, `48h`, `730d` or `2w`",
    );
    check(
        "calendar X organizer.domain < from.domain",
        "`<` compares numbers, `organizer.domain` is a domain",
        "text knows =~ !~ == != and in",
    );
    check(
        "calendar X organizer.name in brand.txt",
        "there is no list `brand.txt`",
        "did you mean `brands.txt`?",
    );
    check(
        "calendar X organizer.name in brands.txt except organizer.domain",
        "unexpected `except organizer.domain`",
        "after the file only `unless FACT` may stand",
    );
    check(
        "calendar X organizer.name in brands.txt unless attendees",
        "`unless` needs a domain, `attendees` is a number",
        "",
    );
    check(
        "calendar X organizer.name in free.txt unless organizer.domain",
        "no entry of `free.txt` names its own domains",
        "`unless` changes nothing here",
    );
    check(
        "calendar X message(from.domain) == a.example",
        "`from.domain` belongs to the message already",
        "`message(…)` can be left out",
    );
}
