//! Who sent it, through the running program: a configured name server, signed mail over HTTP,
//! and what a caller states himself.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use serde_json::Value;

use crate::cli::{Folder, Program};
use crate::support::{ask, assert_none, base64, calendar, mail, post};
use name_server::NameServer;

#[path = "../../src/authentication/tests/name_server.rs"]
#[expect(dead_code, reason = "its other tests need more")]
pub(crate) mod name_server;

const RULES: &str = "
calendar SPF_PASS   auth.spf == pass
calendar DKIM_PASS  auth.dkim == pass
calendar DKIM_FAIL  auth.dkim == fail
calendar DMARC_PASS auth.dmarc == pass
calendar DMARC_FAIL auth.dmarc == fail
calendar VERIFIED   auth.source == verified
calendar CALLER     auth.source == caller
";

fn symbols(answer: &Value) -> Vec<&str> {
    answer["symbols"].as_object().unwrap().keys().map(String::as_str).collect()
}

const CLIENT: &str = "IP: 192.0.2.25\r\nHelo: mail.sender.example\r\nFrom: ann@sender.example\r\n";

fn key() -> Ed25519Key {
    // PKCS #8 of Ed25519: a fixed beginning, and the seed (RFC 8410).
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend([7; 32]);
    Ed25519Key::from_pkcs8_der(&der).unwrap()
}

fn signed() -> String {
    signed_by("sender.example")
}

fn signed_by(domain: &str) -> String {
    let message = mail("Planning", &calendar("REQUEST", &["SUMMARY:Planning"]));
    let message = message.replace("sender.example", domain);
    let signature = DkimSigner::from_key(key())
        .domain(domain)
        .selector("s")
        .headers(["From", "To", "Subject"])
        .sign(message.as_bytes())
        .unwrap();
    signature.to_header() + &message
}

fn zone() -> NameServer {
    let server = NameServer::new();
    let key = base64(&key().public_key());
    server.txt("s._domainkey.sender.example", &format!("v=DKIM1; k=ed25519; p={}", key.trim()));
    server.txt("sender.example", "v=spf1 ip4:192.0.2.25 -all");
    server.txt("_dmarc.sender.example", "v=DMARC1; p=reject");
    server
}

#[test]
fn the_service_verifies_what_nobody_has_stated() {
    let server = zone();
    let folder = Folder::new();
    let program = Program::start(&folder, RULES, server.address());
    let metric = |source: &str| {
        program.metric(&format!("calspamd_authentication_total{{source=\"{source}\"}}"))
    };

    // The caller is believed, and nobody else is asked.
    let stated = format!(
        "{CLIENT}Authentication-Results: mx.rcpt.example; spf=fail \
         smtp.mailfrom=ann@sender.example; dkim=fail header.d=sender.example; dmarc=fail \
         header.from=sender.example\r\n"
    );
    let answer = program.check(&stated, &signed());
    assert_eq!(symbols(&answer), ["CALLER", "DKIM_FAIL", "DMARC_FAIL"]);
    assert_eq!(server.asked_for("_dmarc.sender.example"), 0);
    assert_eq!((metric("caller"), metric("verified")), (1, 0));

    let answer = program.check(CLIENT, &signed());
    assert_eq!(symbols(&answer), ["DKIM_PASS", "DMARC_PASS", "SPF_PASS", "VERIFIED"]);
    assert_eq!((metric("caller"), metric("verified")), (1, 1));
    assert!(server.asked_for("_dmarc.sender.example") > 0);

    let changed = signed().replace("SUMMARY:Planning", "SUMMARY:Payment");
    let elsewhere = CLIENT.replace("192.0.2.25", "192.0.2.26");
    let answer = program.check(&elsewhere, &changed);
    assert_eq!(symbols(&answer), ["DKIM_FAIL", "DMARC_FAIL", "VERIFIED"]);
    // What is known is asked for once.
    assert_eq!(server.asked_for("_dmarc.sender.example"), 1);
}

/// What was asked is known while the same servers are asked; others are asked themselves.
#[test]
fn a_reload_changes_who_is_asked() {
    const POLICY: &str = "_dmarc.sender.example";
    let (server, other) = (zone(), zone());
    let folder = Folder::new();
    let program = Program::start(&folder, RULES, server.address());
    let verified = || symbols(&program.check(CLIENT, &signed())).contains(&"VERIFIED");
    let reload = |dns: &str| {
        folder.write("calspamd.toml", &format!("[dns]\n{dns}"));
        let reply = ask(program.address(), &post("/reload", "", b""));
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(!reply.body.contains("next start"), "{reply:?}");
    };
    let servers = |server: &NameServer| format!("servers = [\"{}\"]\n", server.address());
    assert!(verified());
    reload(&(servers(&server) + "budget = \"5s\"\nmax_questions = 7\n"));
    assert!(verified());
    assert_eq!(server.asked_for(POLICY), 1);
    reload(&(servers(&server) + "enabled = false\n"));
    assert!(!verified());
    reload(&servers(&other));
    assert!(verified());
    assert_eq!((server.asked_for(POLICY), other.asked_for(POLICY)), (1, 1));
}

/// The time of a scan with DNS is shared by all who ask: authentication, then lists.
#[test]
fn silent_servers_cost_the_budget_once() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let list = |number| {
        format!(
            "dnslist D{number} zone=d{number}.lists.example\n\
             body D{number} eval:check_dnslist('D{number}', 'organizer')\n"
        )
    };
    let lists = (0..8).map(list).collect::<Vec<_>>().concat();
    let folder = Folder::new();
    let rules = format!("{RULES}{lists}");
    let program = Program::start(&folder, &rules, silent.local_addr().unwrap());
    let measured = |number: usize| {
        let domain = format!("sender{number}.example");
        let started = Instant::now();
        let headers = CLIENT.replace("sender.example", &domain);
        let answer = program.check(&headers, &signed_by(&domain));
        (started.elapsed(), answer)
    };
    let (first, answer) = measured(0);
    assert!(first < Duration::from_millis(2_500), "{first:?}");
    assert_eq!(symbols(&answer), ["VERIFIED"], "{answer}");
    assert_eq!(program.metric("calspamd_authentication_total{source=\"timeout\"}"), 1);
    // Who is known to be silent is not waited for.
    let mut times: Vec<Duration> = vec![first];
    for number in 1..40 {
        times.push(measured(number).0);
        if times.iter().rev().take_while(|time| **time < Duration::from_millis(100)).count() > 5 {
            break;
        }
    }
    println!("silent servers: {times:?}");
    let late: Vec<String> = times
        .iter()
        .filter(|time| **time > Duration::from_millis(2_500))
        .map(|time| format!("{time:?}"))
        .collect();
    assert_none(&late);
    assert!(times.last().unwrap() < &Duration::from_millis(100), "{times:?}");
    let stat = program.get("/stat").json();
    let off = stat["lists"].as_array().unwrap().iter().filter(|list| list["up"] == false);
    assert_eq!(off.count(), 8, "{stat}");
}
