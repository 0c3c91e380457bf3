//! Abuse reports: what Python's mail parser makes of them, and the service's path.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::ok;
use crate::stores;
use crate::support::{Service, corpus, load, messages, post, repository};

const FIXTURE: &str = "tests/messages/spam/README-callback.eml";

/// Has the independent reader look at reports, one a line.
#[track_caller]
fn check(reports: &str) {
    let mut reader = Command::new("python3")
        .arg(repository("tests/arf/read.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("python3 ({error}); `make tools` installs it"));
    reader.stdin.take().unwrap().write_all(reports.as_bytes()).unwrap();
    let output = reader.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

/// Every fixture, and the collection where it is at hand.
#[test]
fn another_program_reads_the_reports() {
    let mut paths: Vec<String> = Vec::new();
    for folder in ["spam", "ham", "broken"] {
        paths.extend(messages(folder).iter().map(|path| path.display().to_string()));
    }
    if let Some(corpus) = corpus() {
        for folder in ["ham-mail", "ham-wrapped", "spam"] {
            let Ok(files) = std::fs::read_dir(corpus.join(folder)) else { continue };
            paths.extend(files.map(|file| file.unwrap().path().display().to_string()));
        }
    }
    let mut arguments =
        vec!["report", "--json", "--now", "mail", "--reporter", "desk@corp.example"];
    arguments.extend(["--rcpt", "bob@corp.example", "--ip", "192.0.2.1", "--no-dns"]);
    arguments.extend(paths.iter().map(String::as_str));
    check(&ok(&arguments));
}

#[test]
fn the_command_prints_a_mail() {
    let mail = ok(&["report", "--type", "fraud", "--no-redact", "--now", "mail", FIXTURE]);
    assert!(mail.contains("Feedback-Type: fraud\r\n"), "{mail}");
    assert!(mail.contains("Content-Type: message/rfc822"), "{mail}");
}

#[test]
fn the_service_writes_reports_and_knows_where_else_the_event_is() {
    let made = stores::memory();
    let site = crate::sequences::Site::new(made.store, &calspamd::reputation::Settings::default());
    let ann = "eve@evil.example";
    let mut mail =
        crate::sequences::invitation(1, ann, "bob@corp.example", crate::sequences::START);
    site.scan(&mail);
    "carl@corp.example".clone_into(&mut mail.to);
    mail.id = "another".to_owned();
    site.scan(&mail);
    let ask = |query: &str| {
        site.service.post(&format!("/calendar/report{query}"), &mail.headers(), &mail.text())
    };
    let reply = ask("?type=abuse&reporter=desk@corp.example");
    assert_eq!(reply.status, 200, "{reply:?}");
    let answer: Value = reply.json();
    check(&format!("{answer}\n"));
    assert!(!answer["report"].as_str().unwrap().contains("carl@"), "{answer}");
    // His own place, and two that the store shows under hashes.
    let places = answer["retract"].as_array().unwrap();
    let count = |start: &str| {
        places
            .iter()
            .filter(|place| place["recipient"].as_str().unwrap().starts_with(start))
            .count()
    };
    assert_eq!((count("carl@corp.example"), count("#")), (1, 2), "{answer}");
    // The same person has the same pseudonym in the next report.
    let again: Value = ask("?reporter=desk@corp.example").json();
    let name = |answer: &Value| {
        let report = answer["report"].as_str().unwrap();
        let line = report.lines().find(|line| line.starts_with("Original-Rcpt-To:")).unwrap();
        line.to_owned()
    };
    assert_eq!(name(&answer), name(&again));
    assert_eq!(ask("?type=nonsense").status, 400);
    assert_eq!(site.service.post("/calendar/report", "", "").status, 400);
    site.reputation.stop();
    site.service.stop();
}

/// What changes nothing is not for everybody either: it shows what the store knows.
#[test]
fn not_everybody_may_ask() {
    let service = Service::start(load(&calspamd::rules::built_in()));
    let brought =
        post("/calendar/report", "X-Forwarded-For: 192.0.2.1\r\n", b"BEGIN:VCALENDAR\r\n");
    assert_eq!(service.ask(&brought).status, 401);
    assert_eq!(service.ask(b"GET /calendar/report HTTP/1.1\r\nHost: x\r\n\r\n").status, 405);
    service.stop();
}
