//! The real service on a free port, spoken to over a socket: what Rspamd's clients send, what
//! broken and hostile ones send, and what monitoring asks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use calspamd::rules::RuleSet;
use calspamd::scan::{self, Outcome, Request};
use calspamd::server::{Address, Scan, Settings};

use crate::support::{self, Reply, Service, rule_set, slow_scan, state, test_settings};

const RULES: &str = "\
calendar CAL_TEST_PAYOUT summary =~ /payout/i
describe CAL_TEST_PAYOUT Promises money
score    CAL_TEST_PAYOUT 7.5
group    CAL_TEST_PAYOUT content
";

const CALENDAR: &str = "BEGIN:VCALENDAR\r\n\
    VERSION:2.0\r\n\
    PRODID:-//Example//EN\r\n\
    METHOD:REQUEST\r\n\
    BEGIN:VEVENT\r\n\
    UID:u1@example.net\r\n\
    DTSTAMP:20261120T100000Z\r\n\
    DTSTART:20261121T100000Z\r\n\
    DTEND:20261121T110000Z\r\n\
    ORGANIZER:mailto:promo@example.net\r\n\
    ATTENDEE:mailto:bob@example.com\r\n\
    SUMMARY:Your payout is ready\r\n\
    END:VEVENT\r\n\
    END:VCALENDAR\r\n";

/// A mail with the calendar in it.
fn invitation() -> String {
    format!(
        "From: promo@example.net\r\n\
         To: bob@example.com\r\n\
         Subject: Invitation\r\n\
         Message-ID: <m1@example.net>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/calendar; method=REQUEST; charset=utf-8\r\n\
         \r\n\
         {CALENDAR}"
    )
}

fn start() -> Service {
    with(test_settings(), scan::scan)
}

fn with(settings: Settings, scan: Scan) -> Service {
    Service::with(settings, state(rule_set(RULES), scan))
}

fn post(path: &str, headers: &str, body: &str) -> String {
    String::from_utf8(support::post(path, headers, body.as_bytes())).unwrap()
}

/// True when the other side has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[track_caller]
fn assert_payout(reply: &Reply) {
    assert_eq!(reply.status, 200, "{reply:?}");
    let json = reply.json();
    assert_eq!(json["action"], "add header", "{json}");
    assert_eq!(json["symbols"]["CAL_TEST_PAYOUT"]["score"], 7.5, "{json}");
}

#[test]
fn ping_is_rspamds() {
    let service = start();
    for request in [
        "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /PING HTTP/1.0\r\n\r\n",
        "POST /Ping HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    ] {
        let reply = service.ask(request.as_bytes());
        assert_eq!((reply.status, reply.body.as_str()), (200, "pong\r\n"));
        assert_eq!(reply.header("content-type"), Some("text/plain"));
        let server = concat!("calspamd/", env!("CARGO_PKG_VERSION"));
        assert_eq!(reply.header("server"), Some(server));
    }
}

#[test]
fn checkv2_answers_with_symbols_and_a_decision() {
    let service = start();
    let headers = "From: <promo@example.net>\r\nRcpt: bob@example.com\r\nIP: 192.0.2.7\r\n";
    let reply = service.post("/checkv2", headers, &invitation());
    assert_payout(&reply);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let json = reply.json();
    assert_eq!(json["is_skipped"], false);
    assert_eq!(json["required_score"], 15.0);
    assert_eq!(json["message-id"], "m1@example.net");
    let symbol = &json["symbols"]["CAL_TEST_PAYOUT"];
    assert_eq!(symbol["description"], "Promises money");
    assert_eq!(symbol["options"][0], "VEVENT[0].SUMMARY: payout");
    let calendar = &json["calendar"];
    assert_eq!(calendar["events"][0]["uid"], "u1@example.net");
    assert_eq!(calendar["decision"]["auto_insert"], false);
    assert_eq!(calendar["decision"]["target"], "junk");
    assert_eq!(calendar["provenance"]["source_ip"], "192.0.2.7");
    assert_eq!(calendar["provenance"]["via"], "imip");
}

#[test]
fn every_scan_path_scans() {
    let service = start();
    for path in ["/checkv2", "/CheckV2", "/checkv2?from=a%40b.example"] {
        assert_payout(&service.post(path, "", &invitation()));
    }
    for path in ["/check", "/scan", "/symbols"] {
        let answer = service.post(path, "", &invitation()).json();
        assert_eq!(answer["default"]["CAL_TEST_PAYOUT"]["name"], "CAL_TEST_PAYOUT", "{answer}");
    }
}

#[test]
fn a_bare_calendar_is_scanned() {
    let service = start();
    let reply = service.post("/checkv2", "Content-Type: text/calendar\r\n", CALENDAR);
    assert_payout(&reply);
    assert_eq!(reply.json()["calendar"]["provenance"]["via"], "itip");
}

#[test]
fn no_body_at_all_is_an_empty_message() {
    let service = start();
    for request in [
        "GET /checkv2 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /checkv2 HTTP/1.0\r\n\r\n",
        "POST /checkv2 HTTP/1.1\r\nHost: x\r\n\r\n",
    ] {
        let reply = service.ask(request.as_bytes());
        assert_eq!(reply.status, 200, "{request}");
        assert_eq!(reply.json()["action"], "no action", "{request}");
    }
}

#[test]
fn get_with_a_body_scans() {
    let service = start();
    let request = post("/checkv2", "", &invitation()).replacen("POST", "GET", 1);
    assert_payout(&service.ask(request.as_bytes()));
}

#[test]
fn http_1_0_without_host_scans_and_closes() {
    let service = start();
    let body = invitation();
    let request = format!("POST /checkv2 HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = service.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let reply = Reply::read(&mut stream);
    assert_payout(&reply);
    assert_eq!(reply.header("keep-alive"), None);
    assert!(is_closed(&mut stream));
}

#[test]
fn chunked_bodies_are_read() {
    let service = start();
    let body = invitation();
    let (first, second) = body.split_at(100);
    let request = format!(
        "POST /checkv2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len(),
    );
    assert_payout(&service.ask(request.as_bytes()));
}

#[test]
fn connections_are_kept_and_say_so() {
    let service = start();
    let mut stream = service.connect();
    for _ in 0..3 {
        stream.write_all(post("/checkv2", "", &invitation()).as_bytes()).unwrap();
        let reply = Reply::read(&mut stream);
        assert_payout(&reply);
        assert_eq!(reply.header("connection"), Some("keep-alive"), "{}", reply.head);
        assert_eq!(reply.header("keep-alive"), Some("timeout=60"));
        assert!(reply.head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", reply.head);
    }
    let close = post("/checkv2", "Connection: close\r\n", &invitation());
    stream.write_all(close.as_bytes()).unwrap();
    let reply = Reply::read(&mut stream);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(reply.header("keep-alive"), None);
    assert!(is_closed(&mut stream));

    let mut stream = service.connect();
    let old = "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..2 {
        stream.write_all(old.as_bytes()).unwrap();
        let reply = Reply::read(&mut stream);
        assert_eq!(reply.header("connection"), Some("keep-alive"), "{}", reply.head);
    }
}

#[test]
fn too_large_a_message_is_refused_and_the_service_lives() {
    let settings = Settings { max_message: 10_000, ..test_settings() };
    let service = with(settings, scan::scan);
    let large = "x".repeat(20_000);
    let declared = post("/checkv2", "", &large);
    let chunked = format!(
        "POST /checkv2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}",
        1_000_000,
    );
    for request in [declared, chunked] {
        let reply = service.ask(request.as_bytes());
        assert_eq!(reply.status, 413, "{reply:?}");
        assert_eq!(reply.header("connection"), Some("close"));
        assert_eq!(reply.json()["error"], "message is larger than 10000 bytes");
        assert_eq!(reply.json()["error_domain"], "protocol-error");
    }
    assert_eq!(service.post("/checkv2", "", &"x".repeat(10_000)).status, 200);
    assert_payout(&service.post("/checkv2", "", &invitation()));
    let metrics = service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    let counted = r#"calspamd_requests_rejected_total{reason="too-large"} 2"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn large_messages_are_scanned_too() {
    let service = start();
    let reply = service.post("/checkv2", "", &(invitation() + &"\r\n".repeat(100_000)));
    assert_payout(&reply);
}

#[test]
fn unknown_paths_are_not_found() {
    let service = start();
    let mut stream = service.connect();
    for path in ["/", "/nosuch", "/checkv2/", "//"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let reply = Reply::read(&mut stream);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.head.starts_with("HTTP/1.1 404 Not Found\r\n"), "{}", reply.head);
        assert_eq!(reply.json()["error_domain"], "protocol-error");
    }
    assert_eq!(service.post("/nosuch", "", "body").header("connection"), Some("close"));
}

#[test]
fn symbols_without_a_message_are_listed() {
    let service = start();
    let json = service.ask(b"GET /symbols HTTP/1.0\r\n\r\n").json();
    assert_eq!(json[0]["group"], "content");
    assert_eq!(json[0]["rules"][0]["symbol"], "CAL_TEST_PAYOUT");
    assert_eq!(json[0]["rules"][0]["weight"], 7.5);
}

#[test]
fn monitoring_is_answered() {
    let service = start();
    assert_payout(&service.post("/checkv2", "", &invitation()));
    let reply = service.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        r#"calspamd_scans_total{action="add header",protocol="rspamd"} 1"#,
        r#"calspamd_hits_total{symbol="CAL_TEST_PAYOUT"} 1"#,
        "calspamd_scans_in_flight 0",
        "calspamd_scan_duration_seconds_count 1",
    ] {
        assert!(reply.body.contains(line), "{line} is missing in {}", reply.body);
    }
    for path in ["/health", "/ready"] {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        assert_eq!(service.ask(request.as_bytes()).status, 200, "{path}");
    }
}

#[test]
fn garbage_ends_its_own_connection_only() {
    let service = start();
    for garbage in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS\r\n\r\n"[..],
        b"NONSENSE\r\n\r\n",
        b"POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST /checkv2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut stream = service.connect();
        stream.write_all(garbage).unwrap();
        let reply = Reply::read(&mut stream);
        assert_eq!(reply.status, 400, "{reply:?}");
        assert!(is_closed(&mut stream));
    }
    assert_payout(&service.post("/checkv2", "", &invitation()));
}

#[test]
fn a_message_that_is_cut_off_is_not_scanned() {
    let service = start();
    let mut stream = service.connect();
    stream
        .write_all(b"POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nFrom:")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 400);
    assert_payout(&service.post("/checkv2", "", &invitation()));
}

#[test]
fn slow_clients_are_cut_off() {
    let settings = Settings {
        head_timeout: Duration::from_millis(300),
        body_timeout: Duration::from_millis(300),
        ..test_settings()
    };
    let service = with(settings, scan::scan);
    for start in [
        "POST /checkv2 HTTP/1.1\r\nHos",
        "POST /checkv2 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nFrom:",
    ] {
        let begun = Instant::now();
        let mut stream = service.connect();
        stream.write_all(start.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut stream).status, 408, "{start}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{start}");
    }
}

#[test]
fn stopping_finishes_what_was_begun() {
    for padding in [0, 200_000] {
        let service = with(test_settings(), slow_scan);
        let mut idle = service.connect();
        idle.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(Reply::read(&mut idle).status, 200);
        let mut busy = service.connect();
        let body = invitation() + &" ".repeat(padding);
        busy.write_all(post("/checkv2", "", &body).as_bytes()).unwrap();
        thread::sleep(Duration::from_millis(200));

        let address = service.address;
        let begun = Instant::now();
        service.stop();
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        assert_payout(&Reply::read(&mut busy));
        assert!(is_closed(&mut idle));
        assert!(TcpStream::connect(address).is_err());
    }
}

fn failing_scan(
    bytes: &[u8],
    request: &Request,
    rules: &RuleSet,
    settings: &scan::Settings,
) -> Outcome {
    assert!(!bytes.ends_with(b"panic"), "as this test wants it");
    scan::scan(bytes, request, rules, settings)
}

#[test]
fn a_panic_is_answered_as_not_scanned() {
    let service = with(test_settings(), failing_scan);
    for padding in [0, 200_000] {
        let body = format!("{}{}panic", invitation(), " ".repeat(padding));
        let reply = service.post("/checkv2", "", &body);
        assert_eq!(reply.status, 200);
        let json = reply.json();
        assert_eq!(json["is_skipped"], true);
        assert_eq!(json["action"], "no action");
        assert_eq!(json["score"], 0.0);
        assert_eq!(json["calendar"]["partial"][0], "internal-error");
        assert_eq!(json["calendar"]["decision"]["auto_insert"], false);
    }
    assert_payout(&service.post("/checkv2", "", &invitation()));
    let metrics = service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(metrics.contains("calspamd_panics_total 2"), "{metrics}");
}

#[test]
fn unix_sockets_are_served() {
    let path = std::env::temp_dir().join(format!("calspamd-{}.sock", std::process::id()));
    let listen = Address::Unix(path.clone());
    for _ in 0..2 {
        // A socket that nobody answers on is no obstacle.
        drop(std::os::unix::net::UnixListener::bind(&path));
        let settings = Settings { listen: listen.clone(), ..test_settings() };
        let service = with(settings, scan::scan);
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(post("/checkv2", "", &invitation()).as_bytes()).unwrap();
        assert_payout(&Reply::read(&mut stream));
        drop(stream);
        service.stop();
        assert!(!path.exists());
    }
}
