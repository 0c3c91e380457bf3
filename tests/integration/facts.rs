//! Facts that need a whole message: alarms beside their event, hosts as they look, bodies
//! without words, files by their hash.

use calspamd::scan::{self, Request};
use calspamd::site::Site;

use crate::support::{calendar, mail, messages, name, request_for, rule_set, scan, settings_for};

/// What a rule on `fact` shows as evidence for an invitation with these lines.
fn values(fact: &str, lines: &str) -> Vec<String> {
    let rules = rule_set(&format!(
        "calendar SHOWN {fact}\nscore SHOWN 1\ndescribe SHOWN x\ngroup SHOWN x\nsource SHOWN x\n"
    ));
    let message = mail("Invitation", &calendar("REQUEST", &[lines]));
    let outcome = scan(message.as_bytes(), &Request::default(), &rules);
    let hits = outcome.verdict.symbols.into_iter().map(|symbol| symbol.hit);
    hits.flat_map(|hit| hit.evidence).map(|evidence| evidence.text).collect()
}

#[track_caller]
fn holds(test: &str, lines: &str, expected: bool) {
    let found = values(test, lines);
    assert_eq!(!found.is_empty(), expected, "{test}: {found:?}");
}

fn alarm(lines: &str) -> String {
    format!("BEGIN:VALARM\nTRIGGER:-PT5M\n{lines}\nEND:VALARM")
}

#[test]
fn alarms_say_what_the_event_does_not() {
    let copied = format!("SUMMARY:Stand-up\n{}", alarm("ACTION:DISPLAY\nDESCRIPTION:Stand-up"));
    holds("exists:alarm.text", &copied, false);
    let part = format!("DESCRIPTION:Bring it along\n{}", alarm("DESCRIPTION:Bring it"));
    holds("exists:alarm.text", &part, false);
    let new = format!("SUMMARY:Stand-up\n{}", alarm("ACTION:DISPLAY\nDESCRIPTION:Call us now"));
    holds("alarm.text == \"Call us now\"", &new, true);
    holds("exists:alarm.text", "SUMMARY:Stand-up", false);
    // Only the first twenty are compared.
    let many: Vec<String> = (0..30).map(|n| alarm(&format!("DESCRIPTION:Number {n};"))).collect();
    let many = format!("SUMMARY:Stand-up\n{}", many.join("\n"));
    holds("alarm.text =~ /Number 19;/", &many, true);
    holds("alarm.text =~ /Number 20;/", &many, false);
}

#[test]
fn mail_alarms_know_who_belongs_to_the_event() {
    // The mail goes from ann@sender.example, who organizes, to bob@rcpt.example.
    let mailed = |who: &str| {
        let alarm = alarm(&format!("ACTION:EMAIL\nATTENDEE:mailto:{who}"));
        format!("SUMMARY:Plan\nATTENDEE:mailto:Cleo@Third.example\n{alarm}")
    };
    for friend in ["ann@sender.example", "bob@rcpt.example", "cleo@third.example"] {
        holds("exists:alarm.attendee.foreign", &mailed(friend), false);
    }
    holds("alarm.attendee.foreign == \"vic@else.example\"", &mailed("vic@else.example"), true);
    let shown = alarm("ACTION:DISPLAY\nATTENDEE:mailto:vic@else.example");
    holds("exists:alarm.attendee.foreign", &shown, false);
    let twice = alarm(
        "ACTION:EMAIL\nATTENDEE:mailto:a@x.example\nATTENDEE:mailto:A@x.example\nATTENDEE:mailto:b@x.example",
    );
    holds("alarm.attendees == 2", &twice, true);
}

#[test]
fn hosts_are_read_as_they_look() {
    let looks = |host: &str, expected: Option<&str>| {
        let test = expected.map_or_else(
            || "exists:url.lookalike".to_owned(),
            |name| format!("url.lookalike == \"{name}\""),
        );
        holds(&test, &format!("URL:https://{host}/x"), expected.is_some());
    };
    looks("раypаl.example", Some("paypal.example"));
    looks("xn--pypl-53dc.example", Some("paypal.example"));
    looks("müller.example", None);
    looks("почта.example", None);
    looks("paypal.example", None);
}

#[test]
fn pages_inside_an_event_lead_on() {
    let page = |target: &str, padding: usize| {
        let html = format!("<html><body>{}<a href=\"{target}\">x</a></body>", " ".repeat(padding));
        let content = crate::support::base64(html.as_bytes()).replace(['\r', '\n'], "");
        format!("ATTACH;FMTTYPE=text/html;ENCODING=BASE64;VALUE=BINARY:{content}")
    };
    holds("url.host == \"next.example\"", &page("https://next.example/a", 0), true);
    holds("url.host == \"next.example\"", &page("https://next.example/a", 60_000), true);
    // The first 64 KiB of a page are read.
    holds("url.host == \"next.example\"", &page("https://next.example/a", 70_000), false);
}

#[test]
fn a_body_without_words_is_bare() {
    let rules = rule_set(
        "calendar BARE mail.letters < 20\nscore BARE 1\ndescribe BARE x\ngroup BARE x\nsource BARE x\n",
    );
    let bare = |body: &str, kind: &str| {
        let calendar = calendar("REQUEST", &["SUMMARY:Plan"]);
        let message = format!(
            "From: ann@sender.example\r\nTo: bob@rcpt.example\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: {kind}\r\n\r\n\
             {body}\r\n--b\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\n{calendar}\r\n--b--\r\n"
        );
        !scan(message.as_bytes(), &Request::default(), &rules).verdict.symbols.is_empty()
    };
    assert!(bare("", "text/plain"));
    assert!(bare("<p>&nbsp;</p><img src=\"cid:a\">", "text/html"));
    assert!(!bare("We meet on Thursday at ten.", "text/plain"));
    // A calendar with no mail around it has no body that could be empty.
    let alone = calendar("REQUEST", &["SUMMARY:Plan"]);
    let request = Request { bare: true, ..Request::default() };
    assert!(scan(alone.as_bytes(), &request, &rules).verdict.symbols.is_empty());
}

#[test]
fn without_a_list_no_file_is_known() {
    for path in messages("spam").iter().filter(|path| name(path).starts_with("CAL_HASH_BAD")) {
        let bytes = std::fs::read(path).unwrap();
        let mut settings = settings_for(path);
        settings.site = Site::default();
        let request = request_for(path, &bytes);
        let outcome = scan::scan(&bytes, &request, crate::support::stock(), &settings);
        assert!(!crate::support::symbols(&outcome).contains(&"CAL_HASH_BAD"), "{}", name(path));
    }
}
