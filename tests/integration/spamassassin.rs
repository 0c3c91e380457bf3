//! A real SpamAssassin with the plug-in of `deploy/spamassassin`: what it asks, what it makes of the
//! answer, what its own rules see of a calendar, and what happens when nothing answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use calspamd::rules::EvidenceScope;
use serde_json::{Value, json};

use crate::fake::{Asked, Fake, Say};
use crate::rspamd::program::Nameless;
use crate::rspamd::{said, service};
use crate::support::{self, messages, repository};

// The programs, their configuration, and what they write into messages.
mod program;
// amavis around it.
mod amavis;

use amavis::Amavis;
use program::{Scanned, Site, Spamd};

const EVENT: &str = "SUMMARY:Payment\nATTACH:file://203.0.113.7/share/agenda.lnk";

/// What is merged of a score: the threshold is 5 there and 6 here.
fn scaled(score: f64) -> f64 {
    (score * 5.0 / 6.0 * 1000.0).round() / 1000.0
}

#[track_caller]
fn near(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() < 0.0015, "{what}: {a} is not {b}");
}

/// The same of what SpamAssassin has rounded to one place.
#[track_caller]
fn near_one(a: f64, b: f64, what: &str) {
    assert!((a - b).abs() < 0.11, "{what}: {a} is not {b}");
}

/// The headers that a mail gets on its way here. Those of an earlier delivery go: below a Received
/// SpamAssassin believes no envelope.
fn delivered(id: &str, mail: &str) -> String {
    let is_envelope = |line: &&str| {
        ["return-path:", "x-envelope-from:", "envelope-sender:", "x-sender:", "resent-"]
            .iter()
            .any(|name| line.to_ascii_lowercase().starts_with(name))
    };
    let head = mail.find("\r\n\r\n").or_else(|| mail.find("\n\n")).unwrap_or(mail.len());
    let (head, body) = mail.split_at(head);
    let head: String = head.split_inclusive('\n').filter(|line| !is_envelope(line)).collect();
    let mail = head + body;
    format!(
        "Return-Path: <ann@sender.example>\r\n\
         Received: from mx.sender.example (mx.sender.example [198.51.100.7])\r\n\
         \tby mx.rcpt.example (Postfix) with ESMTP id {id}\r\n\
         \tfor <bob@rcpt.example>; Fri, 20 Nov 2026 10:00:00 +0000\r\n{mail}"
    )
}

fn abusive() -> String {
    support::mail("Payment", &support::calendar("REQUEST", &[EVENT]))
}

/// An answer of calspamd's with these symbols.
fn answer(symbols: &[(&str, f64, &str)]) -> String {
    let symbols: serde_json::Map<_, _> = symbols
        .iter()
        .map(|(name, score, evidence)| {
            let symbol = json!({ "name": name, "score": score, "options": [evidence] });
            ((*name).to_owned(), symbol)
        })
        .collect();
    json!({ "action": "add header", "symbols": symbols }).to_string()
}

/// A service that finds nothing.
fn content(address: SocketAddr) -> Fake {
    Fake::start(address, |_| Say::Body(answer(&[])))
}

#[test]
fn symbols_scores_and_evidence_arrive() {
    let service = service();
    let lines = "\
calspamd_timeout 20
score CAL_FIRST_CONTACT 0.25
score CAL_END_MISSING 0
meta  SITE_BOTH (CAL_UNC_PATH && __HAS_SUBJECT)
score SITE_BOTH 1.5
meta  SITE_WITHOUT (__CALSPAMD && !CAL_UNC_PATH)
score SITE_WITHOUT 0.5
";
    let spamd = Spamd::start(Site::asking(service.address, lines), 1);
    let mails = |folder: &str, count: usize| {
        let mails = messages(folder).into_iter().filter(|path| path.extension().unwrap() == "eml");
        let mails: Vec<_> = mails.collect();
        let step = (mails.len() / count).max(1);
        mails.into_iter().step_by(step).take(count).collect::<Vec<_>>()
    };
    let mut failures = Vec::new();
    let mut asked = 0;
    for path in mails("spam", 24).iter().chain(&mails("ham", 12)) {
        let Ok(mail) = std::fs::read_to_string(path) else { continue };
        let id = format!("4QUEUE{asked}");
        let scanned = spamd.check(&delivered(&id, &mail));
        let said = said(&id);
        let [said] = &said[..] else {
            failures.push(format!("{}: asked {} times", path.display(), said.len()));
            continue;
        };
        asked += 1;
        let envelope = &said.request.envelope;
        assert_eq!(said.request.scope, EvidenceScope::Calendar);
        assert_eq!(envelope.sender.as_deref(), Some("ann@sender.example"));
        assert_eq!(envelope.client_ip, "198.51.100.7".parse().ok());
        assert_eq!(envelope.helo.as_deref(), Some("mx.sender.example"));
        assert_eq!((&envelope.user, said.request.offline), (&None, true));

        let symbols = said.answer["symbols"].as_object().unwrap();
        let expected: BTreeMap<&str, f64> = symbols
            .iter()
            .map(|(name, symbol)| (name.as_str(), symbol["score"].as_f64().unwrap()))
            .filter(|(name, _)| *name != "CAL_END_MISSING")
            .map(|(name, score)| {
                (name, if name == "CAL_FIRST_CONTACT" { 0.25 } else { scaled(score) })
            })
            .collect();
        let arrived = scanned.ours();
        let same = expected.len() == arrived.len()
            && expected.iter().zip(&arrived).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 0.0015);
        if !same {
            failures.push(format!("{}: said {expected:?}, arrived {arrived:?}", path.display()));
        }
        near_one(scanned.tests.values().sum(), scanned.score, "the sum");
        let names: Vec<&str> = arrived.keys().copied().collect();
        let tags: Vec<&str> = scanned.tags.split(';').collect();
        assert_eq!(
            (tags[0], tags[2]),
            (said.answer["action"].as_str().unwrap(), &*names.join(","))
        );
        let decision = &said.answer["milter"]["add_headers"]["X-Calspam-Decision"]["value"];
        if scanned.score < 5.0 {
            assert_eq!(decision.as_str().unwrap_or_default(), scanned.decision);
        } else {
            let text = &scanned.decision;
            assert!(text.contains("insert=no") && !text.contains("target=default"), "{text}");
        }
        assert_eq!(scanned.has("SITE_WITHOUT"), !arrived.contains_key("CAL_UNC_PATH"));
        assert!(!scanned.report.contains("CALENDAR: No description"), "{}", scanned.report);
    }
    assert!(asked >= 30, "{asked} mails");
    support::assert_none(&failures);

    let scanned = spamd.check(&abusive());
    near(scanned.tests["SITE_BOTH"], 1.5, "the meta");
    let report = &scanned.report;
    assert!(report.contains("CAL_UNC_PATH CALENDAR: Windows network path"), "{report}");
    assert!(report.contains("[VEVENT[0].ATTACH: "), "{report}");
    let log = spamd.log();
    assert!(!log.contains("calspamd:") && !log.contains("uninitialized"), "{log}");
}

#[test]
fn words_and_links_of_every_calendar_reach_stock_rules() {
    let address = support::free_address();
    let service = service();
    let lines = r"
body  SITE_WORD   /zqbodyword|zqsummaryword/
uri   SITE_LINK   m{^http://(?:[a-z]+-)?calphish\.com/[a-z]}
uri_detail SITE_DETAIL type =~ /^calendar$/ domain =~ /^(?:[a-z]+-)?calphish\.com$/
body  SITE_WHOLE  /zqbodyword/
uri   SITE_WHOLE_LINK m{^http://calphish\.com/win}
body  SITE_AROUND /You are invited/
";
    let alone = Spamd::start(Site::without_plugin(lines), 1);
    let patient = format!("calspamd_timeout 20\n{lines}");
    let spamd = Spamd::start(Site::asking(service.address, &patient), 1);
    let blind =
        Spamd::start(Site::bare(address, &format!("calspamd_text 0\ncalspamd_uris 0\n{lines}")), 1);
    let content = content(address);
    let (mut failures, mut before, mut calendars) = (Vec::new(), 0, 0);
    for path in messages("encodings") {
        let mail = std::fs::read_to_string(&path).unwrap();
        let name = support::name(&path);
        let (then, now) = (alone.check(&mail), spamd.check(&mail));
        let wanted: &[&str] = match name.as_str() {
            "control_textplain.eml" => &["SITE_WORD", "SITE_LINK"],
            // jCal with a link and no words.
            "appcaljson.eml" => &["SITE_LINK", "SITE_DETAIL"],
            name if name.contains("_fold_") => {
                &["SITE_WORD", "SITE_LINK", "SITE_DETAIL", "SITE_WHOLE", "SITE_WHOLE_LINK"]
            }
            _ => &["SITE_WORD", "SITE_LINK", "SITE_DETAIL"],
        };
        before += usize::from(then.has("SITE_WORD"));
        let missing: Vec<_> = wanted.iter().filter(|test| !now.has(test)).collect();
        if !missing.is_empty() {
            failures.push(format!("{name}: without {missing:?}: {:?}", now.tests));
        }
        // Nothing that was seen is hidden.
        let hidden: Vec<_> = then.tests.keys().filter(|test| !now.has(test)).collect();
        let expected = ["EMPTY_MESSAGE", "TVD_SPACE_RATIO", "TVD_SPACE_RATIO_MINFP"];
        if hidden.iter().any(|test| !expected.contains(&test.as_str())) {
            failures.push(format!("{name}: {hidden:?} is gone"));
        }
        let unseen = blind.check(&mail);
        let asked = content.asked().len();
        if unseen.has("SITE_DETAIL") || unseen.has("SITE_WORD") != then.has("SITE_WORD") {
            failures.push(format!("{name}: shown though switched off: {:?}", unseen.tests));
        }
        let is_calendar = usize::from(name != "control_textplain.eml");
        calendars += is_calendar;
        assert_eq!(asked, is_calendar, "{name}");
    }
    println!("a word was seen in {before} of {calendars} calendar mails before");
    assert_eq!(calendars, 37);
    support::assert_none(&failures);
}

#[test]
fn the_calendar_never_hides_what_stands_around_it() {
    let address = support::free_address();
    let content = Fake::start(address, |_| {
        let extracted = json!({ "text": "zqinside", "urls": [
            "https://inside.example/a", "javascript:alert(1)", "no link", 5, null
        ]});
        Say::Body(json!({ "symbols": {}, "calendar": { "extracted": extracted } }).to_string())
    });
    let lines =
        "body SITE_IN /zqinside/\nbody SITE_OUT /zqoutside/\nuri SITE_URI /inside\\.example/\n";
    let spamd = Spamd::start(Site::bare(address, lines), 1);
    let calendar = support::calendar("REQUEST", &["SUMMARY:x"]);
    for kind in ["text/plain", "text/html", "text/plain; name=a.ics", "text/html; name=a.ics"] {
        let mail = format!(
            "From: ann@sender.example\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\
             \r\n{calendar}\r\n<p>zqoutside</p>\r\n"
        );
        let scanned = spamd.check(&mail);
        for test in ["SITE_IN", "SITE_OUT", "SITE_URI"] {
            assert!(scanned.has(test), "{kind}: {:?}", scanned.tests);
        }
    }
    drop(content);
}

#[test]
fn without_the_service_mail_is_scanned_as_before() {
    let mail = delivered("4QUEUE1", &abusive());
    let address = support::free_address();
    let alone = Site::without_plugin("");
    let output = alone.run("spamassassin", &["--local"], &mail);
    let before = Scanned::read(&String::from_utf8_lossy(&output.stdout));
    assert!(before.score > 0.0, "{before:?}");

    let spamd = Spamd::start(Site::asking(address, "calspamd_retry 4"), 1);
    let wait = || thread::sleep(Duration::from_millis(4_300));
    let unmerged = |why: &str| {
        let started = Instant::now();
        let mut scanned = spamd.check(&mail);
        let time = started.elapsed();
        assert!(time < Duration::from_secs(20), "{why}: {time:?}");
        assert!(scanned.report.contains(&format!("[{why}")), "{why}: {}", scanned.report);
        assert!(scanned.tags.starts_with("failed ("), "{}", scanned.tags);
        assert!(scanned.tests.remove("CALSPAMD_FAIL").is_some(), "{scanned:?}");
        // The text and the links are not there either; what the mail around them scores is.
        assert_eq!(scanned.tests, before.tests, "{why}");
        near_one(scanned.score, before.score, why);
    };

    // Nobody answers, and then nobody is asked.
    unmerged("Could not connect");
    let fake = content(address);
    unmerged("left alone");
    assert!(fake.asked().is_empty());
    fake.stop();
    let lines = |log: &str| log.matches("calspamd: not asked").count();
    assert_eq!(lines(&spamd.log()), 1, "{}", spamd.log());

    for (what, why) in [
        ("slow", "timeout"),
        ("drip", "timeout"),
        ("garbage", "no answer of calspamd"),
        ("other JSON", "no answer of calspamd"),
        ("status", "HTTP status 503"),
    ] {
        wait();
        let fake = Fake::start(address, move |_| match what {
            "slow" => Say::Late(Duration::from_secs(30), answer(&[("CAL_LONG", 9.0, "x")])),
            "drip" => Say::Drip,
            "garbage" => Say::Body("<html>hello</html>".to_owned()),
            "other JSON" => Say::Body("{\"symbols\":[]}".to_owned()),
            _ => Say::Status(503),
        });
        unmerged(why);
        // Once for a message, though there are two places to ask; and whether it is alive at all.
        let asked = fake.asked();
        let asked = asked.iter().filter(|asked| !asked.body.is_empty()).count();
        assert_eq!(asked, 1, "{what}");
        fake.stop();
    }
    assert_eq!(lines(&spamd.log()), 6, "{}", spamd.log());

    // About this message only: the next one is asked about at once.
    wait();
    let fake = Fake::start(address, |asked: &Asked| {
        if asked.body.contains("Subject: too odd") {
            Say::Status(400)
        } else if asked.body.contains("Subject: too long") {
            Say::Drip
        } else {
            Say::Body(answer(&[("CAL_LONG", 3.0, "x")]))
        }
    });
    for subject in ["too odd", "too long"] {
        let failed = spamd.check(&mail.replace("Subject: Payment", &format!("Subject: {subject}")));
        assert!(failed.has("CALSPAMD_FAIL"), "{failed:?}");
    }
    let merged = spamd.check(&mail);
    near(merged.tests["CAL_LONG"], 2.5, "the score");
    assert!(!merged.has("CALSPAMD_FAIL"), "{merged:?}");
    fake.stop();
}

#[test]
fn only_mail_with_a_calendar_is_sent_however_it_is_labelled() {
    let address = support::free_address();
    let fake = content(address);
    let spamd = Spamd::start(Site::bare(address, "calspamd_max_size 100000"), 1);
    let event = support::calendar("REQUEST", &[EVENT]);
    let part = support::with_part;
    let utf16: Vec<u8> = event.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let coded = "Content-Transfer-Encoding: base64\r\n";
    let named = "Content-Disposition: attachment; filename=\"meeting.ICS\"\r\n";
    let octets = "application/octet-stream";
    let in_base64 = |text: &str| support::base64(text.as_bytes());
    let attached = format!(
        "From: x@sender.example\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
         Content-Type: message/rfc822\r\n\r\n{}\r\n--a--\r\n",
        support::mail("inner", &event)
    );
    let many = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(1_100);
    for (what, mail, count) in [
        ("type", part("text/calendar", "", &event), 1),
        ("upper case", part("TEXT/CALENDAR", "", &event), 1),
        ("other type", part("application/ics", coded, &in_base64(&event)), 1),
        ("name", part(octets, &format!("{named}{coded}"), &in_base64("x")), 1),
        ("no name", part(octets, coded, &in_base64(&event)), 1),
        ("lower case", part(octets, coded, &in_base64(&event.to_lowercase())), 1),
        ("empty line first", part(octets, coded, &in_base64(&format!("\r\n{event}"))), 1),
        ("UTF-16", part(octets, coded, &support::base64(&utf16)), 1),
        ("plain text", part("text/plain", "", &event), 1),
        ("jCal", part("application/json", "", "[\"vcalendar\", [], []]"), 1),
        ("a mail of its own", support::mail("x", &event), 1),
        ("bare", event.clone(), 1),
        ("in another mail", attached, 1),
        (
            "shared",
            part("text/plain", "", "x").replacen("Subject", "Content-Class: Sharing\r\nSubject", 1),
            1,
        ),
        ("last of many parts", part("text/plain", "", &format!("x\r\n{many}")), 1),
        ("text", part("text/plain", "", "no calendar"), 0),
        ("html", part("text/html", "", "<p>no calendar</p>"), 0),
        ("data", part(octets, coded, &support::base64(&[7; 3000])), 0),
        ("picture", part("image/png", coded, &support::base64(&[7; 3000])), 0),
        ("nothing", String::new(), 0),
        ("headers alone", "Subject: x\r\n\r\n".to_owned(), 0),
        ("broken", part("multipart/mixed; boundary=c", "", "--c\r\n--c\r\nContent-Type: ;\r\n"), 0),
        // Not asked, and said so.
        ("large", part("text/calendar", "", &format!("{event}{}", "X-A:b\r\n".repeat(20_000))), 0),
    ] {
        let scanned = spamd.check(&mail);
        let asked = fake.asked();
        assert_eq!(asked.len(), count, "{what}");
        assert_eq!(scanned.has("CALSPAMD_FAIL"), what == "large", "{what}: {scanned:?}");
        if let [asked] = &asked[..] {
            assert_eq!(asked.header("scope"), Some("calendar"));
            // Without network tests there is nothing to wait for: this question counts.
            assert_eq!(asked.header("flags"), Some("no_events,no_dns"), "{what}");
            let body = asked.body.replace("\r\n", "\n");
            assert_eq!(body.trim_end(), mail.replace("\r\n", "\n").trim_end(), "{what}");
        }
    }
}

#[test]
fn results_of_authentication_go_along() {
    let address = support::free_address();
    let fake = Fake::start(address, |asked: &Asked| {
        let symbols = [("CAL_LONG", 3.0, "x"), ("CAL_NEW_RULE", 1.2, "x"), ("GTUBE", 900.0, "x")];
        let is_last = asked.header("flags") == Some("no_events,no_dns");
        let mut reply: Value = serde_json::from_str(&answer(&symbols)).unwrap();
        if !is_last {
            let extracted = json!({ "text": "zqinside", "urls": ["https://inside.example/a"] });
            reply["calendar"] = json!({ "extracted": extracted });
        }
        Say::Body(reply.to_string())
    });
    let names = Nameless::start();
    let lines = format!(
        "dns_server 127.0.0.1:{}\ndns_available yes\nrbl_timeout 2\n\
         internal_networks 127.0.0.1\ntrusted_networks 127.0.0.1\n\
         loadplugin Mail::SpamAssassin::Plugin::AuthRes\nauthres_trusted_authserv mx.rcpt.example\n\
         header SITE_AUTHRES eval:check_authres_result('dmarc', 'fail')\n\
         body SITE_IN /zqinside/\nuri SITE_URI /inside\\.example/\n",
        names.port
    );
    let spamd = Spamd::with(Site::asking(address, &lines), 1, &[]);
    let stated = "Received-SPF: pass (mx.rcpt.example: fine) identity=mailfrom; \
                  envelope-from=\"ann@sender.example\"\r\n\
                  Authentication-Results: mx.rcpt.example; dmarc=fail header.from=sender.example\r\n";
    let mail = delivered("4QUEUE7", &abusive());
    let scanned = spamd.check(&format!("{stated}{mail}"));
    let asked = fake.asked();
    let [first, last] = &asked[..] else { panic!("asked {} times", asked.len()) };
    assert_eq!(first.header("flags"), Some("no_events,no_dns,no_stat,no_log"));
    assert_eq!(first.header("authentication-results"), None);
    assert_eq!(last.header("flags"), Some("no_events,no_dns"));
    for (name, value) in [
        ("from", "<ann@sender.example>"),
        ("ip", "198.51.100.7"),
        ("helo", "mx.sender.example"),
        ("hostname", "mx.sender.example"),
        ("queue-id", "4QUEUE7"),
    ] {
        assert_eq!(last.header(name), Some(value), "{name}");
    }
    let results = last.header("authentication-results").unwrap();
    assert!(results.contains("; spf=pass smtp.mailfrom=ann@sender.example"), "{results}");
    assert!(results.contains("; dkim=none"), "{results}");
    assert!(results.contains("; dmarc=fail header.from=sender.example"), "{results}");

    assert!(scanned.has("SITE_IN") && scanned.has("SITE_URI"), "{:?}", scanned.tests);
    near(scanned.tests["CAL_LONG"], 2.5, "the score");
    // What the configuration does not name, and what calls itself like a rule of SpamAssassin's.
    near(scanned.tests["CALSPAMD_OTHER"], scaled(901.2), "the rest");
    assert!(scanned.report.contains("[CAL_NEW_RULE(1.20)]"), "{}", scanned.report);
    assert!(!scanned.has("GTUBE"), "{:?}", scanned.tests);
    let log = spamd.log();
    assert!(!log.contains("calspamd:") && !log.contains("uninitialized"), "{log}");
}

#[test]
fn children_leak_nothing_from_one_message_to_the_next() {
    let address = support::free_address();
    // Each mail says what is answered about it: a number, in score and evidence.
    let fake = Fake::start(address, |asked: &Asked| {
        let (_, rest) = asked.body.split_once("Subject: number ").unwrap();
        let number: u32 = rest.lines().next().unwrap().trim().parse().unwrap();
        let evidence = format!("evidence-{number}-");
        let score = f64::from(number) / 10.0;
        let mut symbols = vec![("CAL_LONG", score, &*evidence)];
        if number.is_multiple_of(2) {
            symbols.push(("CAL_FAR", -score, &*evidence));
        }
        if number.is_multiple_of(5) {
            symbols.push(("SITE_UNKNOWN", 0.6, &*evidence));
        }
        Say::Body(answer(&symbols))
    });
    let lines = "body SITE_HIT /number/\nscore SITE_HIT 0.5\n\
                 meta SITE_META (CAL_LONG && !CAL_FAR)\nscore SITE_META 0.25\n\
                 calspamd_evidence 1\n";
    let spamd = Spamd::start(Site::bare(address, lines), 2);
    let event = support::calendar("REQUEST", &["SUMMARY:x"]);
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (spamd, event) = (&spamd, &event);
            scope.spawn(move || {
                for number in (1..=60).map(|number| number * 4 + thread) {
                    let subject = format!("number {number}");
                    let plain = number.is_multiple_of(3);
                    let mail = if plain {
                        format!("From: a@sender.example\r\nSubject: {subject}\r\n\r\nx\r\n")
                    } else {
                        support::mail(&subject, event)
                    };
                    let scanned = spamd.check(&mail);
                    let score = scaled(f64::from(number) / 10.0);
                    let mut expected = BTreeMap::from([("SITE_HIT", 0.5)]);
                    if !plain {
                        expected.insert("CAL_LONG", score);
                        if number.is_multiple_of(2) {
                            expected.insert("CAL_FAR", -score);
                        } else {
                            expected.insert("SITE_META", 0.25);
                        }
                        if number.is_multiple_of(5) {
                            expected.insert("CALSPAMD_OTHER", 0.5);
                        }
                    }
                    let found: BTreeMap<&str, f64> =
                        scanned.tests.iter().map(|(name, score)| (name.as_str(), *score)).collect();
                    assert_eq!(found, expected, "{number}");
                    near_one(scanned.score, expected.values().sum(), &subject);
                    let evidence = scanned.report.matches("evidence-").count();
                    let own = scanned.report.matches(&format!("evidence-{number}-")).count();
                    let lines = expected.keys().filter(|name| name.starts_with("CAL_")).count();
                    assert_eq!((evidence, own), (lines, lines), "{}", scanned.report);
                    assert_eq!(scanned.tags.starts_with("add header;"), !plain, "{}", scanned.tags);
                }
            });
        }
    });
    assert!(fake.asked().len() >= 150);
    let log = spamd.log();
    assert!(!log.contains("calspamd:") && !log.contains("uninitialized"), "{log}");
}

#[test]
fn the_other_programs_take_it_too() {
    let address = support::free_address();
    let fake = Fake::start(address, |_| Say::Body(answer(&[("CAL_LONG", 3.0, "x")])));
    let site = Site::bare(address, "use_bayes 1\nbayes_path __userstate__/bayes");
    let mail = delivered("4QUEUE1", &abusive());
    let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();

    let output = site.run("spamassassin", &["--local", "--lint"], "");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    assert!(fake.asked().is_empty());

    let output = site.run("spamassassin", &["--local"], &mail);
    let scanned = Scanned::read(&String::from_utf8_lossy(&output.stdout));
    near(scanned.tests["CAL_LONG"], 2.5, &said(&output));
    assert_eq!(fake.asked().len(), 1);

    // What is learned has been scanned before, and is not counted again.
    let output = site.run("sa-learn", &["--local", "--spam"], &mail);
    let learned = String::from_utf8_lossy(&output.stdout);
    assert!(learned.contains("from 1 message"), "{learned}{}", said(&output));
    let asked = fake.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("flags"), Some("no_events,no_dns,no_stat,no_log"));
}

#[test]
fn amavis_takes_it_with_the_envelope() {
    let address = support::free_address();
    let fake = Fake::start(address, |_| {
        let decision = "insert=yes; target=default; reasons=CAL_LONG";
        let mut reply: Value = serde_json::from_str(&answer(&[("CAL_LONG", 7.2, "x")])).unwrap();
        reply["milter"]["add_headers"]["X-Calspam-Decision"]["value"] = decision.into();
        Say::Body(reply.to_string())
    });
    let lines = "add_header all Calspamd-Decision _CALSPAMDDECISION_";
    let amavis = Amavis::start(Site::bare(address, lines));
    let forged = format!("X-Spam-Calspamd-Decision: insert=always\r\n{}", abusive());
    let reply = amavis.check(&forged.replace("\r\n", "\n"));
    assert!(reply.contains("tests=[CAL_LONG=6]"), "{reply}");
    let decision = "X-Spam-Calspamd-Decision insert=no; target=junk; reasons=CAL_LONG";
    assert!(reply.contains(&format!("insheader=0 {decision}")), "{reply}");
    assert!(reply.contains("delheader=1 x-spam-calspamd-decision"), "{reply}");
    let asked = fake.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].header("from"), Some("<ann@sender.example>"));
    assert_eq!(asked[0].header("rcpt"), Some("<bob@rcpt.example>"));
}

#[test]
fn the_plugin_is_sound_perl_and_its_documentation_renders() {
    let plugin = repository("deploy/spamassassin/Calspamd.pm");
    for (program, arguments) in [
        ("perl", &["-cT"][..]),
        ("perlcritic", &["--gentle", "--quiet"][..]),
        ("podchecker", &["-warnings", "-warnings"][..]),
        ("perldoc", &["-T"][..]),
    ] {
        let output = Command::new(program).args(arguments).arg(&plugin).output();
        let output = output.unwrap_or_else(|error| panic!("{program}: {error}: run `make tools`"));
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{program}: {said}");
        if program == "perldoc" {
            // Every setting is there.
            let text = std::fs::read_to_string(&plugin).unwrap();
            let settings =
                text.split("$setting->('").skip(1).filter_map(|rest| rest.split('\'').next());
            let mut count = 0;
            for setting in settings.chain(["calspamd_symbol"]) {
                count += 1;
                assert!(said.contains(&format!("    {setting} ")), "{setting}: {said}");
            }
            assert_eq!(count, 10);
        } else if program != "perlcritic" {
            assert!(said.contains("OK"), "{program}: {said}");
        }
    }
}

#[test]
fn the_configuration_names_every_symbol() {
    let text = std::fs::read_to_string(repository("deploy/spamassassin/calspamd.cf")).unwrap();
    let exported = crate::cli::ok(&["rules", "export", "spamassassin"]);
    assert!(
        text == exported,
        "deploy/spamassassin/calspamd.cf is out of date: write it with \
         `cargo run -- rules export spamassassin > deploy/spamassassin/calspamd.cf`"
    );
}
