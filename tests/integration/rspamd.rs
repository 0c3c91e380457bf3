//! A real Rspamd with the plug-in of `deploy/rspamd` in front of the service: what arrives, what
//! is done with it, and what happens when nothing answers.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use calspamd::protocol;
use calspamd::rules::{self, EvidenceScope, RuleSet};
use calspamd::scan::{self, Outcome, Request};
use calspamd::verdict::Thresholds;
use serde_json::Value;

use crate::fake::{Fake, Say};
use crate::support::{self, Service, load, messages, repository};

// What users teach it.
mod learning;
// The program, its configuration and a name server that knows nothing.
pub(crate) mod program;
// Its own scanners in place of the plug-in.
mod services;

pub(crate) use program::{Rspamd, Site, command, inside};

/// What the service was asked, and what it has answered.
pub(crate) struct Said {
    queue_id: String,
    pub(crate) request: Request,
    pub(crate) answer: Value,
}

static SAID: Mutex<Vec<Said>> = Mutex::new(Vec::new());

/// The scan, noted down.
fn noted(bytes: &[u8], request: &Request, rules: &RuleSet, settings: &scan::Settings) -> Outcome {
    let outcome = scan::scan(bytes, request, rules, settings);
    let answer =
        protocol::rspamd::reply(&outcome, request, &<_>::default(), &Thresholds::default());
    SAID.lock().unwrap().push(Said {
        queue_id: request.envelope.queue_id.clone().unwrap_or_default(),
        request: request.clone(),
        answer: serde_json::from_slice(&answer).unwrap(),
    });
    outcome
}

/// The real service, whose answers are noted down.
pub(crate) fn service() -> Service {
    Service::with(support::test_settings(), support::state(load(&rules::built_in()), noted))
}

/// What was said about a message; empty when nobody has asked.
pub(crate) fn said(queue_id: &str) -> Vec<Said> {
    let mut all = SAID.lock().unwrap();
    let (these, others) = all.drain(..).partition(|said| said.queue_id == queue_id);
    *all = others;
    these
}

fn of_ours(answer: &Value) -> Vec<(String, f64, Vec<String>)> {
    let symbols = answer["symbols"].as_object().unwrap();
    let ours = symbols.iter().filter(|(name, _)| name.starts_with("CAL_"));
    let mut ours: Vec<_> = ours
        .map(|(name, symbol)| {
            let options = symbol["options"].as_array().cloned().unwrap_or_default();
            let mut options: Vec<String> =
                options.iter().map(|option| option.as_str().unwrap().to_owned()).collect();
            options.sort();
            options.dedup();
            (name.clone(), symbol["score"].as_f64().unwrap(), options)
        })
        .collect();
    ours.sort_by(|a, b| a.0.cmp(&b.0));
    ours
}

/// The scores of all symbols together.
fn total(answer: &Value) -> f64 {
    let symbols = answer["symbols"].as_object().unwrap().values();
    symbols.map(|symbol| symbol["score"].as_f64().unwrap()).sum()
}

fn sum(answer: &Value) -> f64 {
    of_ours(answer).iter().map(|(_, score, _)| score).sum()
}

const EVENT: &str = "SUMMARY:Payment\nATTACH:file://203.0.113.7/share/agenda.lnk";

#[test]
fn symbols_scores_and_options_arrive() {
    let service = service();
    let rspamd = Rspamd::start(&Site::asking(service.address));
    let mails = |folder: &str, count: usize| {
        let mails = messages(folder).into_iter().filter(|path| path.extension().unwrap() == "eml");
        let mails: Vec<std::path::PathBuf> = mails.collect();
        let step = (mails.len() / count).max(1);
        mails.into_iter().step_by(step).take(count).collect::<Vec<_>>()
    };
    let mut asked = 0;
    let mut failures = Vec::new();
    for path in mails("spam", 34).iter().chain(&mails("ham", 22)) {
        let id = format!("Q{}", support::name(path));
        let answer = rspamd.check(
            &std::fs::read(path).unwrap(),
            &format!(
                "Queue-Id: {id}\r\nFrom: <ann@sender.example>\r\nRcpt: <bob@rcpt.example>\r\n\
                 IP: 192.0.2.77\r\nHelo: mx.sender.example\r\n"
            ),
        );
        let said = said(&id);
        let [said] = &said[..] else {
            failures.push(format!("{id}: asked {} times", said.len()));
            continue;
        };
        asked += 1;
        let envelope = &said.request.envelope;
        assert_eq!(said.request.scope, EvidenceScope::Calendar);
        assert_eq!(envelope.sender.as_deref(), Some("ann@sender.example"));
        assert_eq!(envelope.recipients, ["bob@rcpt.example"]);
        assert_eq!(envelope.client_ip, "192.0.2.77".parse().ok());
        assert_eq!(envelope.helo.as_deref(), Some("mx.sender.example"));
        let results = envelope.authentication_results.join(" ");
        assert!(results.contains("spf="), "{id}: {results}");
        // Its numbers have six places.
        let close = |a: f64, b: f64| (a - b).abs() < 2e-6;
        let (ours, theirs) = (of_ours(&said.answer), of_ours(&answer));
        let same = ours.len() == theirs.len()
            && ours
                .iter()
                .zip(&theirs)
                .all(|(our, their)| our.0 == their.0 && close(our.1, their.1) && our.2 == their.2);
        if !same {
            failures.push(format!("{id}:\n  said    {ours:?}\n  arrived {theirs:?}"));
        }
        let total = total(&answer);
        let (arrived, whole) = (sum(&answer), answer["score"].as_f64().unwrap());
        let near = |a: f64, b: f64| (a - b).abs() < 0.001;
        if !near(arrived, said.answer["score"].as_f64().unwrap()) || !near(total, whole) {
            failures.push(format!("{id}: {arrived} of {}", said.answer["score"]));
        }
        let described = answer["symbols"].as_object().unwrap();
        let bare = described.iter().find(|(name, symbol)| {
            name.starts_with("CAL_") && symbol["description"].as_str().unwrap_or("").is_empty()
        });
        assert!(bare.is_none(), "{bare:?} has no description");
    }
    assert!(asked >= 50, "{asked} mails");
    support::assert_none(&failures);
}

#[test]
fn composites_see_the_symbols_and_sites_weigh_them() {
    let service = service();
    let mut site = Site::asking(service.address);
    site.add(
        "composites.conf",
        "SITE_BOTH { expression = \"CAL_UNC_PATH & FROM_NO_DN\"; score = 1.5; policy = \"leave\"; }",
    );
    // Half as much, by the site's wish.
    site.add("calspamd_group.conf", "symbols { CAL_UNC_PATH { score = 0.5; } }");
    let rspamd = Rspamd::start(&site);
    let mail = support::mail("Payment", &support::calendar("REQUEST", &[EVENT]));
    let answer = rspamd.check(mail.as_bytes(), "Queue-Id: Q1\r\n");
    let said = said("Q1");
    let score = said[0].answer["symbols"]["CAL_UNC_PATH"]["score"].as_f64().unwrap();
    let arrived = answer["symbols"]["CAL_UNC_PATH"]["score"].as_f64().unwrap();
    assert!((arrived - score / 2.0).abs() < 1e-6, "{arrived} of {score}");
    assert_eq!(answer["symbols"]["SITE_BOTH"]["score"].as_f64(), Some(1.5), "{answer:#}");
}

#[test]
fn mail_without_a_calendar_is_not_sent_and_costs_nothing() {
    let service = service();
    let rspamd = Rspamd::start(&Site::asking(service.address));
    let text = "Some lines of a letter that says nothing of meetings.\r\n".repeat(400);
    let mail = format!(
        "From: ann@sender.example\r\nTo: bob@rcpt.example\r\nSubject: letter\r\n\
         Message-ID: <m1@sender.example>\r\nDate: Fri, 20 Nov 2026 10:00:00 +0000\r\n\
         X-Calspam-Decision: insert=yes\r\n\r\n{text}"
    );
    let (mut ours, mut all, mut floor) = (0.0, 0.0, 0.0);
    for _ in 0..60 {
        let answer = rspamd.check(mail.as_bytes(), "Queue-Id: Q2\r\nFlags: profile\r\n");
        let profile = answer["profile"].as_object().unwrap();
        let time = |(_, time): (&String, &Value)| time.as_f64().unwrap();
        ours +=
            profile.iter().filter(|(name, _)| name.starts_with("CALSPAMD_")).map(time).sum::<f64>();
        all += 1_000.0 * answer["time_real"].as_f64().unwrap();
        // One look at one header, as cheap as a rule can be.
        floor += profile.get("CHECK_MID").and_then(Value::as_f64).unwrap_or_default();
        // A decision that came with the mail is nobody's.
        assert_eq!(answer["milter"]["remove_headers"]["X-Calspam-Decision"], 0, "{answer:#}");
        assert!(answer["milter"]["add_headers"].get("X-Calspam-Decision").is_none());
    }
    assert!(said("Q2").is_empty());
    println!("the plug-in takes {ours:.3} of {all:.1} ms of mails without a calendar");
    // Rspamd's clock ticks in milliseconds, and its version 4 charges a tick to whoever is there:
    // two symbols of ours may get what the cheapest of its own get.
    assert!(ours < all / 50.0 + 5.0 + 3.0 * floor, "{ours} of {all} ms, floor {floor}");
}

#[test]
fn every_calendar_is_recognised_however_it_is_labelled() {
    let service = service();
    let rspamd = Rspamd::start(&Site::asking(service.address));
    let event = support::calendar("REQUEST", &[EVENT]);
    let part = support::with_part;
    let utf16: Vec<u8> = event.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let coded = "Content-Transfer-Encoding: base64\r\n";
    let name = "Content-Disposition: attachment; filename=\"meeting.ICS\"\r\n";
    for (what, mail, calendar) in [
        ("type", part("text/calendar", "", &event), true),
        ("other type", part("application/ics", coded, &support::base64(event.as_bytes())), true),
        (
            "name",
            part(
                "application/octet-stream",
                &format!("{name}{coded}"),
                &support::base64(event.as_bytes()),
            ),
            true,
        ),
        (
            "no name",
            part("application/octet-stream", coded, &support::base64(event.as_bytes())),
            true,
        ),
        (
            "lower case",
            part(
                "application/octet-stream",
                coded,
                &support::base64(event.to_lowercase().as_bytes()),
            ),
            true,
        ),
        (
            "empty line first",
            part(
                "application/octet-stream",
                coded,
                &support::base64(format!("\r\n{event}").as_bytes()),
            ),
            true,
        ),
        ("UTF-16", part("application/octet-stream", coded, &support::base64(&utf16)), true),
        ("plain text", part("text/plain", "", &event), true),
        ("jCal", part("application/json", "", "[\"vcalendar\", [], []]"), true),
        ("bare", support::mail("x", &event), true),
        ("text", part("text/plain", "", "no calendar"), false),
        ("data", part("application/octet-stream", coded, &support::base64(&[7; 3000])), false),
    ] {
        rspamd.check(mail.as_bytes(), &format!("Queue-Id: Q{what}\r\n"));
        assert_eq!(said(&format!("Q{what}")).len(), usize::from(calendar), "{what}");
    }
}

#[test]
fn the_decision_is_a_header_and_follows_forced_actions() {
    let service = service();
    let mut site = Site::asking(service.address);
    site.add(
        "force_actions.conf",
        "rules { F { action = \"add header\"; expression = \"CAL_LONG\"; } }",
    );
    let rspamd = Rspamd::start(&site);
    let decision = |mail: &str, id: &str| {
        let answer = rspamd.check(mail.as_bytes(), &format!("Queue-Id: {id}\r\n"));
        let header = &answer["milter"]["add_headers"]["X-Calspam-Decision"];
        let value = header["value"].as_str().or_else(|| header[0]["value"].as_str());
        (value.unwrap_or_else(|| panic!("{answer:#}")).to_owned(), answer)
    };
    let good = support::mail("Lunch", &support::calendar("REQUEST", &["SUMMARY:Lunch"]));
    let (value, answer) = decision(&good, "Q3");
    assert_eq!(
        said("Q3")[0].answer["milter"]["add_headers"]["X-Calspam-Decision"]["value"],
        *value
    );
    assert!(value.contains("apply=create") && value.contains("target=default"), "{value}");
    assert!(answer["symbols"].get("CALSPAMD_FAIL").is_none());

    let bad = support::mail("Payment", &support::calendar("REQUEST", &[EVENT]));
    let (value, _) = decision(&bad, "Q4");
    assert!(value.contains("insert=no") && value.contains("alarms=strip"), "{value}");

    // What Rspamd as a whole thinks badly of stays out of calendars.
    let long = support::calendar("REQUEST", &["SUMMARY:Lunch\nRRULE:FREQ=DAILY"])
        .replace("DTEND:20261121", "DTEND:20280121");
    let (value, answer) = decision(&support::mail("Lunch", &long), "Q5");
    assert_eq!(answer["action"], "add header", "{answer:#}");
    assert!(value.contains("insert=no") && value.contains("target=junk"), "{value}");
}

#[test]
fn links_of_calendars_reach_rspamds_own_rules() {
    let service = service();
    let mut site = Site::asking(service.address);
    site.add("calspamd.conf", "inject_urls = true;");
    let rspamd = Rspamd::start(&site);
    let event = support::calendar(
        "REQUEST",
        &[
            "SUMMARY:x\nATTACH:https://files.evil-shop.com/a.zip\nCONFERENCE;VALUE=URI:https://meet.other-shop.com/1",
        ],
    );
    let answer = rspamd.check(support::mail("x", &event).as_bytes(), "Queue-Id: Q6\r\n");
    let urls = answer["urls"].to_string();
    assert!(urls.contains("files.evil-shop.com") && urls.contains("meet.other-shop.com"), "{urls}");
    let said = said("Q6");
    assert_eq!(said.len(), 2);
    assert!(said.iter().all(|said| said.request.offline), "lists would be asked twice");
}

#[test]
fn without_the_service_mail_flows_as_before() {
    let mail = support::mail("Payment", &support::calendar("REQUEST", &[EVENT]));
    // Nobody answers here, then somebody does.
    let address = support::free_address();
    let rspamd = Rspamd::start(&Site::asking(address));
    let check = |id: &str| {
        let started = Instant::now();
        let answer = rspamd.check(mail.as_bytes(), &format!("Queue-Id: {id}\r\n"));
        (answer, started.elapsed())
    };
    let unmerged = |answer: &Value, why: &str| {
        assert_eq!(answer["symbols"]["CALSPAMD_FAIL"]["score"], 0.0, "{answer:#}");
        let reason = answer["symbols"]["CALSPAMD_FAIL"]["options"][0].as_str().unwrap();
        assert!(reason.contains(why), "{reason}");
        assert!(of_ours(answer).is_empty(), "{answer:#}");
        assert!((total(answer) - answer["score"].as_f64().unwrap()).abs() < 0.001);
    };

    let (answer, time) = check("Q7");
    unmerged(&answer, "refused");
    assert!(time < Duration::from_secs(3), "{time:?}");
    assert_eq!(rspamd.log().matches("calspamd: not asked").count(), 1, "{}", rspamd.log());

    let other = Fake::start(address, |_| Say::Body("<html>hello</html>".to_owned()));
    let (answer, _) = check("Q8");
    unmerged(&answer, "no answer of calspamd");
    other.stop();

    let slow = Fake::start(address, |_| Say::Late(Duration::from_secs(4), "{}".to_owned()));
    let (answer, time) = check("Q9");
    unmerged(&answer, "timeout");
    assert!(time < Duration::from_millis(3_900), "{time:?}");
    slow.stop();

    let settings = calspamd::server::Settings {
        listen: format!("{address}").parse().unwrap(),
        ..support::test_settings()
    };
    let service = Service::with(settings, support::state(load(&rules::built_in()), noted));
    // A server that failed is left alone for a while, unless it is the only one.
    let started = Instant::now();
    loop {
        let (answer, _) = check("Q10");
        if answer["symbols"].get("CALSPAMD_FAIL").is_none() {
            assert!(answer["symbols"].get("CAL_UNC_PATH").is_some(), "{answer:#}");
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{answer:#}\n{}", rspamd.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(service);
}

#[test]
fn the_configuration_names_every_symbol() {
    let text = std::fs::read_to_string(repository("deploy/rspamd/calspamd.conf")).unwrap();
    let exported = crate::cli::ok(&["rules", "export", "rspamd"]);
    assert!(
        text == exported,
        "deploy/rspamd/calspamd.conf is out of date: write it with \
         `cargo run -- rules export rspamd > deploy/rspamd/calspamd.conf`"
    );
}

/// Where a service answers.
fn at(address: SocketAddr) -> String {
    format!("servers = \"{address}\";")
}
