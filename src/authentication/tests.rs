//! Signed messages against a name server of our own on the loopback interface. Everything is
//! signed when the test runs, with keys made from the names of the domains.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::OnceLock;

use mail_auth::arc::ArcSealer;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use mail_auth::hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts,
};
use mail_auth::hickory_resolver::net::runtime::TokioRuntimeProvider;
use mail_auth::{ArcOutput, AuthenticatedMessage};
use sha2::{Digest, Sha256};

use super::*;
use crate::rules::{self, RuleSet};
use crate::{message, scan};
use name_server::NameServer;

mod name_server;

const CLIENT: &str = "192.0.2.25";

const HEAD: &str = "From: Ann <ann@corp.example>\r\nTo: vic@victim.example\r\nSubject: Planning\r\n\
                    Message-ID: <1@corp.example>\r\nDate: Fri, 10 Apr 2026 08:15:58 +0000\r\n\
                    MIME-Version: 1.0\r\nContent-Type: text/calendar; method=REQUEST\r\n";
const BODY: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Corp//Planner 1//EN\r\n\
                    METHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:planning-1@corp.example\r\n\
                    DTSTAMP:20260410T081500Z\r\nDTSTART:20260414T090000Z\r\n\
                    DTEND:20260414T100000Z\r\nSUMMARY:Planning\r\n\
                    ORGANIZER;CN=Ann:mailto:ann@corp.example\r\n\
                    ATTENDEE:mailto:vic@victim.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn invitation() -> String {
    format!("{HEAD}\r\n{BODY}")
}

/// A domain's key. PKCS #8 of Ed25519 is a fixed beginning and the seed (RFC 8410).
fn key(domain: &str) -> Ed25519Key {
    let mut der = vec![0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    der.extend(Sha256::digest(domain));
    Ed25519Key::from_pkcs8_der(&der).unwrap()
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn key_record(domain: &str) -> String {
    format!("v=DKIM1; k=ed25519; p={}", base64(&key(domain).public_key()))
}

/// Puts a signature of the domain in front.
fn signed(domain: &str, message: &str) -> String {
    let signature = DkimSigner::from_key(key(domain))
        .domain(domain)
        .selector("s")
        .headers(["From", "To", "Subject"])
        .sign(message.as_bytes())
        .unwrap();
    signature.to_header() + message
}

/// Puts a set of ARC headers in front, as a forwarder would who has found `dkim`.
fn sealed_over(
    dkim: &[mail_auth::DkimOutput<'_>],
    domain: &str,
    authserv_id: &str,
    message: &str,
) -> String {
    let parsed = AuthenticatedMessage::parse(message.as_bytes()).unwrap();
    let results =
        mail_auth::AuthenticationResults::new(authserv_id).with_dkim_results(dkim, "corp.example");
    let set = ArcSealer::from_key(key(domain))
        .domain(domain)
        .selector("s")
        .headers(["From", "To", "Subject"])
        .seal(&parsed, &results, &ArcOutput::default())
        .unwrap();
    set.to_header() + message
}

/// A seal of somebody who found no signature.
fn sealed(domain: &str, authserv_id: &str, message: &str) -> String {
    sealed_over(&[], domain, authserv_id, message)
}

/// Everything the tests ask for.
fn zone() -> NameServer {
    let server = NameServer::new();
    for domain in ["corp.example", "google.com", "lists.example", "other.test", "part.example"] {
        server.txt(&format!("s._domainkey.{domain}"), &key_record(domain));
    }
    let tenant = "corp-example.20230601.gappssmtp.com";
    server.txt(&format!("s._domainkey.{tenant}"), &key_record(tenant));
    server.txt("s._domainkey.revoked.test", "v=DKIM1; k=ed25519; p=");
    server.txt("corp.example", "v=spf1 ip4:192.0.2.0/28 ip4:192.0.2.25 -all");
    server.txt("_dmarc.corp.example", "v=DMARC1; p=reject; rua=mailto:d@corp.example");
    server.txt("other.test", "v=spf1 ip4:192.0.2.25 -all");
    server.txt("lists.example", "v=spf1 a:mail.lists.example -all");
    server.a("mail.lists.example", [192, 0, 2, 25]);
    for (name, record) in [
        ("soft.test", "v=spf1 ~all"),
        ("hard.test", "v=spf1 -all"),
        ("neutral.test", "v=spf1 ?all"),
        ("mx.test", "v=spf1 mx -all"),
        ("broken.test", "v=spf1 ip4:not-an-address -all"),
        ("loop.test", "v=spf1 include:loop.test -all"),
        ("missing.test", "v=spf1 include:nothing.missing.test -all"),
        ("redirect.test", "v=spf1 redirect=soft.test"),
        ("text.test", "nothing to see"),
        ("helo.test", "v=spf1 ip4:192.0.2.25 -all"),
        ("failing.test", "v=spf1 a:x.servfail.test -all"),
        ("_dmarc.none.example", "v=DMARC1; p=none"),
        ("_dmarc.part.example", "v=DMARC1; p=quarantine; sp=reject"),
        ("_dmarc.broken.example", "v=DMARC1; p=perhaps"),
    ] {
        server.txt(name, record);
    }
    server.mx("mx.test", "mail.lists.example");
    server
}

/// A runtime that lives as long as the tests, driven by a thread of its own.
fn runtime() -> Handle {
    static RUNTIME: OnceLock<Handle> = OnceLock::new();
    RUNTIME
        .get_or_init(|| {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let handle = runtime.handle().clone();
            std::thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
            handle
        })
        .clone()
}

fn authenticator(server: &NameServer, budget: Duration) -> Authenticator {
    with_cache(server, budget, 1_024)
}

/// With a resolver that remembers nothing.
fn uncached(server: &NameServer) -> Authenticator {
    with_cache(server, PATIENT, 0)
}

fn with_cache(server: &NameServer, budget: Duration, records: u64) -> Authenticator {
    let address = server.address();
    let mut udp = ConnectionConfig::udp();
    udp.port = address.port();
    let name_server = NameServerConfig::new(address.ip(), true, vec![udp]);
    let config = ResolverConfig::from_parts(None, vec![], vec![name_server]);
    let mut options = ResolverOpts::default();
    options.timeout = Duration::from_millis(900);
    options.attempts = 0;
    options.cache_size = records;
    let runtime = runtime();
    let _inside = runtime.enter();
    let resolver = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .unwrap();
    Authenticator::new(resolver, runtime.clone(), budget)
}

fn envelope(sender: &str) -> Envelope {
    Envelope {
        client_ip: Some(CLIENT.parse::<IpAddr>().unwrap()),
        helo: Some("helo.test".to_owned()),
        sender: Some(sender.to_owned()),
        ..Envelope::default()
    }
}

fn settings() -> message::Settings {
    message::Settings::default()
}

fn verified(
    authenticator: &Authenticator,
    mail: &str,
    envelope: &Envelope,
    trusted: &[&str],
) -> Verified {
    let message = message::parse(mail.as_bytes(), false, envelope, &settings());
    let trusted: Vec<String> = trusted.iter().map(ToString::to_string).collect();
    let pending = authenticator.start(&message, envelope, true);
    pending.finish(&message, Duration::from_secs(5), &trusted)
}

fn shown(verified: &Verified) -> Vec<String> {
    let results = verified.results.iter().flat_map(|results| &results.results);
    let mut shown: Vec<String> = results
        .map(|result| {
            let mechanism = format!("{:?}", result.mechanism).to_lowercase();
            let domain = result.domain.as_deref().unwrap_or("-");
            let policy = result.policy.as_deref().map(|p| format!(" {p}")).unwrap_or_default();
            format!("{mechanism}={} {domain}{policy}", result.result)
        })
        .collect();
    shown.sort();
    shown
}

#[track_caller]
fn check(authenticator: &Authenticator, mail: &str, sender: &str, expected: &[&str]) {
    let found = verified(authenticator, mail, &envelope(sender), &[]);
    assert!(!found.timed_out);
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(shown(&found), expected, "{}", server_text(mail));
    assert_eq!(found.results.unwrap().source, Source::Verified);
}

fn server_text(mail: &str) -> &str {
    mail.split("\r\n\r\n").next().unwrap()
}

const PATIENT: Duration = Duration::from_secs(5);

#[test]
fn signatures() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    let check = |mail: &str, sender: &str, expected: &[&str]| {
        check(&authenticator, mail, sender, expected);
    };
    let invitation = invitation();
    let good = signed("corp.example", &invitation);
    check(
        &good,
        "ann@corp.example",
        &[
            "arc=none -",
            "dkim=pass corp.example",
            "dmarc=pass corp.example reject",
            "spf=pass corp.example",
        ],
    );
    // Bare line feeds are what some mail systems hand on.
    check(
        &good.replace("\r\n", "\n"),
        "ann@corp.example",
        &[
            "arc=none -",
            "dkim=pass corp.example",
            "dmarc=pass corp.example reject",
            "spf=pass corp.example",
        ],
    );
    // Not signed, and from elsewhere.
    check(
        &invitation,
        "bounce@other.test",
        &["arc=none -", "dkim=none -", "dmarc=fail corp.example reject", "spf=pass other.test"],
    );
    // Changed on the way.
    check(
        &good.replace("SUMMARY:Planning", "SUMMARY:Payment"),
        "bounce@other.test",
        &[
            "arc=none -",
            "dkim=fail corp.example",
            "dmarc=fail corp.example reject",
            "spf=pass other.test",
        ],
    );
    check(
        &good.replace("Subject: Planning", "Subject: [list] Planning"),
        "bounce@hard.test",
        &[
            "arc=none -",
            "dkim=fail corp.example",
            "dmarc=fail corp.example reject",
            "spf=fail hard.test",
        ],
    );
    // Somebody else's signature.
    check(
        &signed("other.test", &invitation),
        "bounce@other.test",
        &[
            "arc=none -",
            "dkim=pass other.test",
            "dmarc=fail corp.example reject",
            "spf=pass other.test",
        ],
    );
    // No key, and one that was taken back.
    check(
        &signed("nowhere.test", &signed("revoked.test", &invitation)),
        "bounce@other.test",
        &[
            "arc=none -",
            "dkim=permerror nowhere.test",
            "dkim=permerror revoked.test",
            "dmarc=fail corp.example reject",
            "spf=pass other.test",
        ],
    );
    // A calendar service, and the tenant it signs for.
    let relayed = signed("google.com", &signed("corp-example.20230601.gappssmtp.com", &invitation));
    check(
        &relayed,
        "bounce@other.test",
        &[
            "arc=none -",
            "dkim=pass corp-example.20230601.gappssmtp.com",
            "dkim=pass google.com",
            "dmarc=fail corp.example reject",
            "spf=pass other.test",
        ],
    );
}

#[test]
fn senders() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    let mail = invitation().replace("ann@corp.example", "ann@nodmarc.example");
    for (sender, expected) in [
        ("a@corp.example", "spf=pass corp.example"),
        ("a@lists.example", "spf=pass lists.example"),
        ("a@mx.test", "spf=pass mx.test"),
        ("a@hard.test", "spf=fail hard.test"),
        ("a@soft.test", "spf=softfail soft.test"),
        ("a@redirect.test", "spf=softfail redirect.test"),
        ("a@neutral.test", "spf=neutral neutral.test"),
        ("a@broken.test", "spf=permerror broken.test"),
        ("a@loop.test", "spf=permerror loop.test"),
        ("a@missing.test", "spf=permerror missing.test"),
        ("a@nowhere.test", "spf=none nowhere.test"),
        ("a@text.test", "spf=none text.test"),
        ("a@x.servfail.test", "spf=temperror x.servfail.test"),
        ("a@failing.test", "spf=temperror failing.test"),
        ("", "spf=pass helo.test"),
    ] {
        let found = shown(&verified(&authenticator, &mail, &envelope(sender), &[]));
        let expected = ["arc=none -", "dkim=none -", "dmarc=none nodmarc.example", expected];
        assert_eq!(found, expected, "{sender}");
    }
}

#[test]
fn policies() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    for (domain, expected) in [
        ("none.example", "dmarc=fail none.example none"),
        ("part.example", "dmarc=fail part.example quarantine"),
        ("sub.part.example", "dmarc=fail sub.part.example reject"),
        ("nodmarc.example", "dmarc=none nodmarc.example"),
        ("x.servfail.test", "dmarc=temperror x.servfail.test"),
    ] {
        let mail = invitation().replace("ann@corp.example", &format!("ann@{domain}"));
        let found = shown(&verified(&authenticator, &mail, &envelope("a@hard.test"), &[]));
        assert!(found.contains(&expected.to_owned()), "{domain}: {found:?}");
    }
    // A signature of the domain above is aligned, as the policy allows.
    let mail = invitation().replace("ann@corp.example", "ann@sub.part.example");
    let found =
        verified(&authenticator, &signed("part.example", &mail), &envelope("a@hard.test"), &[]);
    assert!(shown(&found).contains(&"dmarc=pass sub.part.example reject".to_owned()), "{found:?}");
}

#[test]
fn without_an_address_nothing_fails() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    let invitation = invitation();
    let nobody = Envelope::default();
    let found = shown(&verified(&authenticator, &invitation, &nobody, &[]));
    assert_eq!(found, ["arc=none -", "dkim=none -"]);
    let found =
        shown(&verified(&authenticator, &signed("corp.example", &invitation), &nobody, &[]));
    assert_eq!(found, ["arc=none -", "dkim=pass corp.example", "dmarc=pass corp.example reject"]);
    // Our own server handed it on: its address says nothing of the sender.
    let envelope = envelope("bounce@hard.test");
    let message = message::parse(invitation.as_bytes(), false, &envelope, &settings());
    let pending = authenticator.start(&message, &envelope, false);
    let found = pending.finish(&message, PATIENT, &[]);
    assert_eq!(shown(&found), ["arc=none -", "dkim=none -"]);
}

#[test]
fn lists_and_seals() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    let good = signed("corp.example", &invitation());
    // The list verifies, changes, and seals what it has changed.
    let changed = good.replace("Subject: Planning", "Subject: [list] Planning");
    let through = sealed("lists.example", "mx.lists.example", &changed);
    let envelope = envelope("bounce@lists.example");
    let plain = [
        "arc=pass lists.example",
        "dkim=fail corp.example",
        "dmarc=fail corp.example reject",
        "spf=pass lists.example",
    ];
    assert_eq!(shown(&verified(&authenticator, &through, &envelope, &[])), plain);
    assert_eq!(shown(&verified(&authenticator, &through, &envelope, &["mx.other.test"])), plain);

    // What a trusted sealer saw is believed.
    let with_results = sealed_after_a_look(&changed, "lists.example", "mx.lists.example");
    let found = verified(&authenticator, &with_results, &envelope, &["mx.lists.example"]);
    let results = found.results.unwrap();
    assert_eq!(results.result(Mechanism::Arc), Some("pass"));
    assert_eq!(results.result(Mechanism::Dkim), Some("pass"));
    assert!(results.passing_domains().any(|domain| domain == "corp.example"));
    let found = verified(&authenticator, &with_results, &envelope, &[]);
    assert_eq!(found.results.unwrap().result(Mechanism::Dkim), Some("fail"));

    // Without a seal, and with one that was broken afterwards.
    let found = shown(&verified(&authenticator, &changed, &envelope, &[]));
    assert_eq!(found[0], "arc=none -");
    let broken = through.replace("SUMMARY:Planning", "SUMMARY:Payment");
    let found = shown(&verified(&authenticator, &broken, &envelope, &["mx.lists.example"]));
    assert_eq!(found[0], "arc=fail lists.example");
}

/// A seal of somebody who found the organizer's signature good, before the message was changed.
fn sealed_after_a_look(message: &str, domain: &str, authserv_id: &str) -> String {
    let original = signed("corp.example", &invitation());
    let server = zone();
    let verifier = authenticator(&server, PATIENT);
    let original = AuthenticatedMessage::parse(original.as_bytes()).unwrap();
    let dkim = runtime().block_on(verifier.inner.mail_auth.verify_dkim(&original));
    sealed_over(&dkim, domain, authserv_id, message)
}

#[test]
fn who_has_said_it_is_not_asked_again() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    let said = "mx; spf=pass smtp.mailfrom=a.example; dkim=none; dmarc=none";
    let mut stated = envelope("ann@corp.example");
    stated.authentication_results = vec![said.to_owned()];
    let mail = signed("corp.example", &invitation());
    let found = verified(&authenticator, &mail, &stated, &[]);
    assert_eq!(shown(&found), ["dkim=none -", "dmarc=none -", "spf=pass a.example"]);
    assert_eq!(found.results.unwrap().source, Source::Caller);
    assert_eq!(server.asked(), 0);

    // Of what nobody has said anything, the rest is found out.
    stated.authentication_results = vec!["mx; spf=pass smtp.mailfrom=a.example".to_owned()];
    let found = verified(&authenticator, &mail, &stated, &[]);
    let expected = [
        "arc=none -",
        "dkim=pass corp.example",
        "dmarc=pass corp.example reject",
        "spf=pass a.example",
    ];
    assert_eq!(shown(&found), expected);
    assert!(server.asked() > 0);

    // Mail of our own users is not signed yet, and a bare calendar has no sender.
    let asked = server.asked();
    let user = Envelope { user: Some("ann".to_owned()), ..envelope("ann@corp.example") };
    assert_eq!(verified(&authenticator, &mail, &user, &[]).results, None);
    let bare = message::parse(BODY.as_bytes(), true, &Envelope::default(), &settings());
    let pending = authenticator.start(&bare, &envelope(""), true);
    assert_eq!(pending.finish(&bare, PATIENT, &[]).results, None);
    assert_eq!(server.asked(), asked);
}

#[test]
fn silence_ends_in_time_and_is_no_failure() {
    let server = zone();
    let authenticator = authenticator(&server, Duration::from_millis(200));
    let mail = invitation().replace("ann@corp.example", "ann@x.silent.test");
    let mail = signed("x.silent.test", &mail);
    let started = Instant::now();
    let found = verified(&authenticator, &mail, &envelope("a@corp.example"), &[]);
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(200), "{took:?}");
    assert!(took < Duration::from_millis(600), "{took:?}");
    assert!(found.timed_out);
    assert_eq!(
        shown(&found),
        ["arc=none -", "dkim=temperror -", "dmarc=temperror -", "spf=pass corp.example"]
    );
    // The scan's own budget may be shorter still.
    let message = message::parse(mail.as_bytes(), false, &envelope(""), &settings());
    let started = Instant::now();
    let pending = authenticator.start(&message, &envelope("a@y.silent.test"), true);
    assert!(pending.finish(&message, Duration::from_millis(20), &[]).timed_out);
    assert!(started.elapsed() < Duration::from_millis(190));
}

#[test]
fn nobody_waits_for_those_who_are_known_to_be_silent() {
    let server = zone();
    let authenticator = authenticator(&server, Duration::from_millis(150));
    let invitation = invitation();
    let ask = |name: &str| {
        let started = Instant::now();
        let verified = verified(&authenticator, &invitation, &envelope(name), &[]);
        (verified.timed_out, started.elapsed())
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut number = 0;
    loop {
        number += 1;
        let (timed_out, time) = ask(&format!("a@a{number}.silent.test"));
        assert!(timed_out && time < Duration::from_millis(600), "{time:?}");
        if number > 5 && time < Duration::from_millis(100) {
            break;
        }
        assert!(Instant::now() < deadline, "they are waited for again and again");
    }
    // Verification goes on, and who answers is waited for again.
    while ask("ann@corp.example").0 {
        assert!(Instant::now() < deadline, "nobody is waited for");
    }
    assert!(!ask("x@soft.test").0);
}

/// A key of RSA made here, from numbers that are the same each time.
fn rsa_key() -> (mail_auth::common::crypto::RsaKey<mail_auth::common::crypto::Sha256>, Vec<u8>) {
    use rsa::pkcs1::{EncodeRsaPrivateKey, EncodeRsaPublicKey};
    use rsa::rand_core::{CryptoRng, Error, RngCore, impls};

    struct Numbers(u64);
    impl RngCore for Numbers {
        fn next_u32(&mut self) -> u32 {
            impls::next_u32_via_fill(self)
        }
        fn next_u64(&mut self) -> u64 {
            impls::next_u64_via_fill(self)
        }
        fn fill_bytes(&mut self, bytes: &mut [u8]) {
            for chunk in bytes.chunks_mut(32) {
                self.0 += 1;
                let digest = Sha256::digest(self.0.to_be_bytes());
                chunk.copy_from_slice(&digest[..chunk.len()]);
            }
        }
        fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
            self.fill_bytes(bytes);
            Ok(())
        }
    }
    impl CryptoRng for Numbers {}

    let key = rsa::RsaPrivateKey::new(&mut Numbers(0), 2_048).unwrap();
    let public = key.to_public_key().to_pkcs1_der().unwrap().as_bytes().to_vec();
    let der = key.to_pkcs1_der().unwrap().as_bytes().to_vec();
    (mail_auth::common::crypto::RsaKey::from_key_der(der.try_into().unwrap()).unwrap(), public)
}

#[test]
fn signatures_of_rsa() {
    let (key, public) = rsa_key();
    let server = zone();
    server.txt("r._domainkey.corp.example", &format!("v=DKIM1; k=rsa; p={}", base64(&public)));
    let invitation = invitation();
    let signature = DkimSigner::from_key(key)
        .domain("corp.example")
        .selector("r")
        .headers(["From", "To", "Subject"])
        .sign(invitation.as_bytes())
        .unwrap();
    let mail = signature.to_header() + &invitation;
    let authenticator = authenticator(&server, PATIENT);
    let check = |mail: &str, dkim: &str, dmarc: &str| {
        let sender = "bounce@other.test";
        check(&authenticator, mail, sender, &["arc=none -", dkim, dmarc, "spf=pass other.test"]);
    };
    check(&mail, "dkim=pass corp.example", "dmarc=pass corp.example reject");
    let changed = mail.replace("SUMMARY:Planning", "SUMMARY:Payment");
    check(&changed, "dkim=fail corp.example", "dmarc=fail corp.example reject");
}

#[test]
fn a_scan_that_has_left_is_not_repeated() {
    let server = zone();
    server.txt("s._domainkey.slow.test", &key_record("slow.test"));
    let authenticator = authenticator(&server, PATIENT);
    let mail = signed("slow.test", &invitation().replace("corp.example", "slow.test"));
    let message = message::parse(mail.as_bytes(), false, &Envelope::default(), &settings());
    let pending = authenticator.start(&message, &Envelope::default(), true);
    assert!(pending.finish(&message, Duration::from_millis(20), &[]).timed_out);
    assert_eq!(server.asked_for("s._domainkey.slow.test"), 1);
    // The name server takes its time; the answer comes for the cache.
    std::thread::sleep(Duration::from_millis(700));
    let found = verified(&authenticator, &mail, &Envelope::default(), &[]);
    assert!(shown(&found).contains(&"dkim=pass slow.test".to_owned()), "{found:?}");
    assert_eq!(server.asked_for("s._domainkey.slow.test"), 1);
}

#[test]
fn what_is_known_is_not_asked_again() {
    let server = zone();
    let without_cache = uncached(&server);
    let mail = signed("corp.example", &invitation());
    let first = verified(&without_cache, &mail, &envelope("a@mx.test"), &[]);
    let asked = server.asked();
    assert!(server.asked_for("_dmarc.example") > 0, "a name without a record");
    let again = verified(&without_cache, &mail, &envelope("a@mx.test"), &[]);
    assert_eq!(again, first);
    assert_eq!(server.asked(), asked);
    // A name server that fails says nothing about what there is.
    let mail = invitation().replace("corp.example", "x.servfail.test");
    verified(&without_cache, &mail, &envelope("a@mx.test"), &[]);
    let asked = server.asked();
    verified(&without_cache, &mail, &envelope("a@mx.test"), &[]);
    assert!(server.asked() > asked);
}

#[test]
fn hostile_messages_are_bounded() {
    let server = zone();
    let authenticator = authenticator(&server, PATIENT);
    // A hundred signatures.
    let mut many = invitation();
    for number in 0..100 {
        many = signed(&format!("d{number}.test"), &many);
    }
    let found = shown(&verified(&authenticator, &many, &envelope("a@hard.test"), &[]));
    let domains: HashSet<&String> = found.iter().filter(|r| r.starts_with("dkim=")).collect();
    assert_eq!(domains.len(), verify::SIGNATURES);
    // Too many fields, and a head too large: nobody knows.
    let fields = "X-A: b\r\n".repeat(FIELDS);
    let found = verified(&authenticator, &format!("{fields}{many}"), &envelope(""), &[]);
    assert_eq!(found.results, None);
    let field = format!("X-A: {}\r\n", "b".repeat(super::HEAD));
    let found = verified(&authenticator, &format!("{field}{many}"), &envelope(""), &[]);
    assert_eq!(found.results, None);
    // A signature over thousands of fields, rubbish, and nothing.
    let names = vec!["x"; 5_000].join(":");
    let wide = format!(
        "DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=s; h={names}; bh=AA==; b=AA==\r\n{}",
        invitation()
    );
    let rubbish = [
        wide,
        format!("DKIM-Signature: ;;;=\r\nARC-Seal: i=1\r\n{}", invitation()),
        format!("ARC-Seal: i=9; cv=pass; d=x; s=y; b=\r\n{}", invitation()),
        "From: @\r\n\r\n".to_owned(),
        "x".to_owned(),
        String::new(),
    ];
    for mail in rubbish {
        let started = Instant::now();
        let found = verified(&authenticator, &mail, &envelope("\u{0}@\u{0}"), &[]);
        assert!(started.elapsed() < Duration::from_secs(2), "{mail:.60}");
        assert!(shown(&found).iter().all(|result| !result.contains("pass")), "{found:?}");
    }
}

fn stock() -> &'static RuleSet {
    static STOCK: OnceLock<RuleSet> = OnceLock::new();
    STOCK.get_or_init(|| rules::load(&rules::built_in()).unwrap().rules)
}

#[track_caller]
fn check_scan(settings: &scan::Settings, mail: &str, sender: &str, known: &str, expected: &[&str]) {
    let request = scan::Request {
        envelope: envelope(sender),
        now: 1_775_800_000,
        ..scan::Request::default()
    };
    let outcome = scan::scan(mail.as_bytes(), &request, stock(), settings);
    let mut found: Vec<&str> =
        outcome.verdict.symbols.iter().map(|symbol| &*symbol.hit.symbol).collect();
    found.retain(|symbol| {
        ["CAL_ORG_", "CAL_RELAY_", "CAL_GCAL_"].iter().any(|start| symbol.starts_with(start))
    });
    found.sort_unstable();
    assert_eq!(found, expected, "{}", server_text(mail));
    assert_eq!(outcome.authentication.name(), known);
    assert!(outcome.partial.is_empty(), "{:?}", outcome.partial);
}

#[test]
fn scans_know_who_sent_it() {
    let server = zone();
    let with_dns = scan::Settings {
        authentication: Some(authenticator(&server, PATIENT)),
        ..scan::Settings::default()
    };
    let invitation = invitation();
    let good = signed("corp.example", &invitation);
    check_scan(&with_dns, &good, "ann@corp.example", "verified", &["CAL_ORG_ALIGNED"]);
    let forged = ["CAL_ORG_DMARC_FAIL", "CAL_ORG_DMARC_REJECT", "CAL_ORG_UNAUTH"];
    check_scan(&with_dns, &invitation, "bounce@other.test", "verified", &forged);
    let relayed = signed("google.com", &invitation.replace("corp.example", "firm.example"));
    check_scan(&with_dns, &relayed, "bounce@soft.test", "verified", &["CAL_RELAY_SOFT"]);
    let changed = good.replace("Subject: Planning", "Subject: [list] Planning");
    let through = sealed("lists.example", "mx.lists.example", &changed);
    check_scan(&with_dns, &through, "bounce@lists.example", "verified", &[]);
    let silent = signed("x.silent.test", &invitation);
    let impatient = scan::Settings {
        authentication: Some(authenticator(&server, Duration::from_millis(50))),
        ..scan::Settings::default()
    };
    check_scan(&impatient, &silent, "ann@x.silent.test", "timeout", &[]);
    // No DNS: nothing is known, and nothing is held against anybody.
    check_scan(&scan::Settings::default(), &invitation, "bounce@other.test", "nothing", &[]);
}
