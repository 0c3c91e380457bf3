//! The paths of Rspamd's controller, settings and flags of requests, who may ask what, and how much
//! one client may have: over real connections.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use calspamd::scan;
use calspamd::server::{Rate, Settings, State, hash};
use calspamd::verdict::{Action, Profile};
use serde_json::Value;

use crate::cli::{Folder, Program};
use crate::support::{
    self, Reply, Service, calendar, free_address, mail, post, rule_set, test_settings,
};

const RULES: &str = "\
calendar CAL_TEST_PAYOUT summary =~ /payout/i
describe CAL_TEST_PAYOUT Promises money
score    CAL_TEST_PAYOUT 7.5
group    CAL_TEST_PAYOUT content
calendar CAL_TEST_URGENT summary =~ /urgent/i
score    CAL_TEST_URGENT 1.5
group    CAL_TEST_URGENT lures
";

fn spam() -> String {
    mail("Invitation", &calendar("REQUEST", &["SUMMARY:Urgent: your payout is ready"]))
}

fn ham() -> String {
    mail("Invitation", &calendar("REQUEST", &["SUMMARY:Planning of the week"]))
}

fn state(verbose_ids: bool) -> Arc<State> {
    let mut settings = scan::Settings::default();
    let outbound = Profile {
        actions: BTreeMap::from([(Action::Reject, Some(8.0)), (Action::AddHeader, None)]),
        scores: BTreeMap::from([("CAL_TEST_URGENT".to_owned(), 0.5)]),
        ..Profile::default()
    };
    settings.verdict.profiles.insert("outbound".to_owned(), outbound.into());
    Arc::new(State::new(rule_set(RULES), settings).unwrap().with_verbose_ids(verbose_ids))
}

fn start(settings: Settings) -> Service {
    Service::with(settings, state(false))
}

fn get(service: &Service, path: &str, headers: &str) -> Reply {
    service.ask(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())
}

#[track_caller]
fn keys(value: &Value) -> Vec<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// Every key of Rspamd's is there, and no other but ours.
#[track_caller]
fn assert_keys(value: &Value, rspamds: &str, ours: &[&str]) {
    let mut expected: Vec<&str> = rspamds.split_whitespace().chain(ours.iter().copied()).collect();
    expected.sort_unstable();
    assert_eq!(keys(value), expected);
}

#[test]
fn statistics_have_rspamds_keys() {
    let service = start(test_settings());
    for message in [spam(), ham(), ham()] {
        assert_eq!(service.post("/checkv2", "", &message).status, 200);
    }
    service.post("/checkv2", "Flags: no_stat\r\n", &spam());
    let reply = get(&service, "/stat", "");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let stat = reply.json();
    assert_keys(
        &stat,
        "version config_id uptime read_only scanned learned actions scan_times spam_count \
         ham_count connections control_connections pools_allocated pools_freed bytes_allocated \
         chunks_allocated shared_chunks_allocated chunks_freed chunks_oversized fragmented \
         total_learns statfiles fuzzy_hashes",
        &["lists"],
    );
    assert_keys(
        &stat["actions"],
        "",
        &["reject", "soft reject", "rewrite subject", "add header", "greylist", "no action"],
    );
    assert_eq!(
        (&stat["scanned"], &stat["spam_count"], &stat["ham_count"]),
        (&3.into(), &1.into(), &2.into())
    );
    assert_eq!(stat["actions"]["add header"], 1);
    assert_eq!(stat["actions"]["no action"], 2);
    assert_eq!(stat["read_only"], false);
    assert!(stat["connections"].as_u64().unwrap() >= 4, "{stat}");
    let times = stat["scan_times"].as_array().unwrap();
    assert_eq!(times.len(), 31);
    assert_eq!(times.iter().filter(|time| time.is_f64()).count(), 3);

    let auth = get(&service, "/auth", "").json();
    assert_keys(
        &auth,
        "version auth uptime clean probable greylist reject soft_reject scanned learned read_only \
         config_id",
        &[],
    );
    assert_eq!(
        (&auth["auth"], &auth["clean"], &auth["probable"]),
        (&"ok".into(), &2.into(), &1.into())
    );
    assert_eq!(auth["config_id"], stat["config_id"]);
    let pie = get(&service, "/pie", "").json();
    assert_keys(&pie[0], "color label data value", &[]);
    assert_eq!(pie[2]["value"], 1.0);

    assert_eq!(get(&service, "/statreset", "").json()["success"], true);
    assert_eq!(get(&service, "/stat", "").json()["scanned"], 0);
    // Monitoring goes on counting.
    assert!(
        get(&service, "/metrics", "").body.contains(r#"{action="add header",protocol="rspamd"} 2"#)
    );
}

#[test]
fn listings_have_rspamds_shape() {
    let service = start(test_settings());
    service.post("/checkv2", "", &spam());
    let actions = get(&service, "/actions", "").json();
    let action = |name: &str| {
        let all = actions.as_array().unwrap();
        all.iter().find(|one| one["action"] == name).unwrap()["value"].clone()
    };
    assert_eq!(actions.as_array().unwrap().len(), 6);
    assert_eq!(action("reject"), 15.0);
    assert_eq!(action("soft reject"), Value::Null);
    let counters = get(&service, "/counters", "").json();
    assert_keys(&counters[0], "symbol weight frequency hits time", &[]);
    assert_eq!(counters.as_array().unwrap().len(), 2);
    assert!(counters.as_array().unwrap().iter().all(|one| one["hits"] == 1), "{counters}");
    assert_eq!(get(&service, "/symbols", "").json()[0]["group"], "content");
    for path in ["/healthy", "/ready"] {
        assert_eq!(get(&service, path, "").json()["success"], true, "{path}");
    }
    assert_eq!(get(&service, "/errors", "").json(), Value::Array(Vec::new()));
}

#[test]
fn graphs_are_lines_of_points() {
    let service = start(test_settings());
    service.post("/checkv2", "", &spam());
    for kind in ["hourly", "daily", "weekly", "monthly", "day", "year"] {
        let graph = get(&service, &format!("/graph?type={kind}"), "").json();
        let lines = graph.as_array().unwrap();
        assert_eq!(lines.len(), 6);
        for line in lines {
            let points = line.as_array().unwrap();
            assert!((300..=500).contains(&points.len()), "{kind}: {}", points.len());
            assert_keys(&points[0], "x y", &[]);
            assert_eq!(points[0]["y"], Value::Null);
            let gaps: Vec<i64> = points
                .windows(2)
                .map(|pair| pair[1]["x"].as_i64().unwrap() - pair[0]["x"].as_i64().unwrap())
                .collect();
            assert!(gaps.iter().all(|gap| *gap == gaps[0] && *gap > 0), "{kind}");
        }
        // The one scan is in the last point, or in the one before if time went on.
        let marked = lines[3].as_array().unwrap();
        let rates = marked.iter().filter(|point| point["y"].as_f64().is_some_and(|y| y > 0.0));
        assert_eq!(rates.count(), 1, "{kind}");
    }
    for path in ["/graph", "/graph?type=century"] {
        assert_eq!(get(&service, path, "").status, 400, "{path}");
    }
}

#[test]
fn history_tells_what_and_not_whom() {
    let headers = "From: ann@sender.example\r\nRcpt: bob@rcpt.example\r\nIP: 192.0.2.7\r\n\
                   User: carol\r\nSubject: Our secret\r\nLog-Tag: tag1\r\n";
    let rows = |verbose: bool| {
        let service = Service::with(test_settings(), state(verbose));
        service.post("/checkv2", headers, &spam());
        service.post("/checkv2", "Log: no\r\n", &ham());
        let reply = get(&service, "/history", "").json();
        assert_keys(&reply, "version rows", &[]);
        assert_eq!(reply["version"], 2);
        assert_eq!(get(&service, "/historyreset", "").json()["success"], true);
        assert_eq!(get(&service, "/history", "").json()["rows"], Value::Array(Vec::new()));
        reply["rows"].as_array().unwrap().clone()
    };
    let quiet = rows(false);
    assert_eq!(quiet.len(), 1);
    assert_keys(
        &quiet[0],
        "is_skipped score required_score action thresholds symbols message-id time_real unix_time \
         size ip user sender_smtp sender_mime rcpt_smtp rcpt_mime subject",
        &["id"],
    );
    assert_eq!(quiet[0]["action"], "add header");
    assert_eq!(quiet[0]["id"], "tag1");
    assert_eq!(quiet[0]["symbols"]["CAL_TEST_PAYOUT"]["score"], 7.5);
    let text = quiet[0].to_string();
    for secret in ["ann", "bob", "carol", "192.0.2.7", "secret", "m1@sender", "your payout"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    let verbose = rows(true).remove(0);
    for (key, expected) in [
        ("ip", "192.0.2.7"),
        ("user", "carol"),
        ("sender_smtp", "ann@sender.example"),
        ("subject", "Our secret"),
        ("message-id", "m1@sender.example"),
    ] {
        assert_eq!(verbose[key], expected, "{key}");
    }
    assert_eq!(verbose["rcpt_smtp"][0], "bob@rcpt.example");
}

#[test]
fn history_is_a_ring() {
    let service = start(test_settings());
    let mut stream = service.connect();
    for number in 0..230 {
        let headers = format!("Log-Tag: n{number}\r\n");
        stream.write_all(&post("/checkv2", &headers, b"Subject: x\r\n\r\nhi\r\n")).unwrap();
        assert_eq!(Reply::read(&mut stream).status, 200);
    }
    let rows = |path: &str| get(&service, path, "").json()["rows"].as_array().unwrap().clone();
    let all = rows("/history");
    assert_eq!((all.len(), &all[0]["id"], &all[199]["id"]), (200, &"n229".into(), &"n30".into()));
    let some = rows("/history?from=1&to=3");
    assert_eq!((some.len(), &some[0]["id"]), (3, &"n228".into()));
    for (path, count) in [
        ("/history?from=999999999999999999999&to=-1", 200),
        ("/history?from=18446744073709551615&to=18446744073709551615", 0),
        ("/history?from=5&to=2", 0),
    ] {
        assert_eq!(rows(path).len(), count, "{path}");
    }
}

#[test]
fn settings_change_scores_and_thresholds() {
    let service = start(test_settings());
    let scan = |headers: &str| service.post("/checkv2", headers, &spam()).json();
    let plain = scan("");
    assert_eq!((&plain["score"], &plain["action"]), (&9.0.into(), &"add header".into()));

    let named = scan("Settings-ID: outbound\r\n");
    assert_eq!((&named["score"], &named["action"]), (&8.0.into(), &"reject".into()));
    assert_eq!(named["required_score"], 8.0);
    assert_eq!(keys(&named["thresholds"]), ["greylist", "reject"]);

    let text = r#"Settings: {"actions":{"reject":100},"symbols_disabled":["CAL_TEST_PAYOUT"]}"#;
    let written = scan(&format!("{text}\r\n"));
    assert_eq!((&written["score"], &written["required_score"]), (&1.5.into(), &100.0.into()));
    assert!(written["symbols"].get("CAL_TEST_PAYOUT").is_none(), "{written}");
    assert_eq!(written["calendar"]["events"][0]["score"], 1.5);
    let both = scan(&format!("{text}\r\nSettings-ID: outbound\r\n"));
    assert_eq!(both["score"], 0.5);
    let group = scan("Settings: {\"groups_disabled\":[\"content\"]}\r\n");
    assert_eq!(group["score"], 1.5);
    let scored = scan("Settings: {\"scores\":{\"CAL_TEST_PAYOUT\":-2}}\r\n");
    assert_eq!(scored["symbols"]["CAL_TEST_PAYOUT"]["score"], -2.0);
    let argument = service.post("/checkv2?settings_id=x&settings-id=outbound", "", &spam()).json();
    assert_eq!(argument["score"], 8.0);

    for odd in ["Settings-ID: nosuchid", "Settings: {bad", "Settings: [7]", "Settings:"] {
        assert_eq!(scan(&format!("{odd}\r\n"))["score"], 9.0, "{odd}");
    }
    let off = start(Settings { inline_settings: false, ..test_settings() });
    assert_eq!(off.post("/checkv2", &format!("{text}\r\n"), &spam()).json()["score"], 9.0);
    assert_eq!(off.post("/checkv2", "Settings-ID: outbound\r\n", &spam()).json()["score"], 8.0);
}

#[test]
fn settings_and_flags_come_with_metadata_too() {
    let service = start(test_settings());
    let scan = |metadata: &str| {
        let body = format!(
            "--X\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
             Content-Type: application/json\r\n\r\n{metadata}\r\n--X\r\n\
             Content-Disposition: form-data; name=\"message\"\r\n\r\n{}\r\n--X--\r\n",
            spam()
        );
        let headers =
            "Accept: application/json\r\nContent-Type: multipart/form-data; boundary=X\r\n";
        let reply = service.post("/checkv3", headers, &body);
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    };
    assert_eq!(scan(r#"{"settings_id":"outbound"}"#)["score"], 8.0);
    let inline = scan(r#"{"settings":{"scores":{"CAL_TEST_URGENT":3}},"flags":["groups"]}"#);
    assert_eq!(inline["score"], 10.5);
    assert_eq!(inline["groups"]["lures"]["score"], 3.0);
    assert_eq!(scan(r#"{"settings":"{bad","settings_id":7}"#)["score"], 9.0);
}

#[test]
fn flags_shape_the_answer() {
    let service = start(test_settings());
    let scan = |headers: &str| service.post("/checkv2", headers, &spam()).json();
    let plain =
        scan("Pass: all\r\nFlags: pass_all,milter,body_block,ssl,nonsense\r\nMilter: yes\r\n");
    assert!(plain.get("groups").is_none() && plain.get("profile").is_none(), "{plain}");
    let answer = scan("Flags: groups, profile\r\n");
    assert_eq!(answer["groups"]["content"]["score"], 7.5);
    assert_eq!(answer["groups"]["lures"]["score"], 1.5);
    assert!(answer["profile"]["rules"].is_f64(), "{answer}");
    assert!(scan("Profile: yes\r\n")["profile"]["message"].is_f64());
    for skipped in
        [scan("Flags: skip\r\n"), service.post("/skip", "", &spam()).json()["default"].clone()]
    {
        assert_eq!((&skipped["is_skipped"], &skipped["score"]), (&true.into(), &0.0.into()));
        assert_eq!(skipped["action"], "no action");
    }
    // One part that is a calendar by its name alone.
    let jcal = r#"["vcalendar",[["method",{},"text","REQUEST"]],[["vevent",[["uid",{},"text","u"],
        ["summary",{},"text","Your payout"],["dtstart",{},"date-time","2026-11-21T10:00:00Z"]],[]]]]"#;
    let raw = service.post("/checkv2", "Raw: yes\r\nFilename: /tmp/invite.ICS\r\n", jcal).json();
    assert_eq!(raw["symbols"]["CAL_TEST_PAYOUT"]["score"], 7.5, "{raw}");
    let named = service.post("/checkv2", "Filename: invite.ics\r\n", jcal).json();
    assert_eq!(named["symbols"].get("CAL_TEST_PAYOUT"), None);
}

/// As somebody else's request, brought by a proxy on this machine.
const FAR: &str = "X-Forwarded-For: 192.0.2.1\r\n";

#[test]
fn passwords_have_two_levels() {
    for hashed in [false, true] {
        let password = |text: &str| {
            let text = if hashed { hash(text) } else { text.to_owned() };
            Some(text.parse().unwrap())
        };
        let service = start(Settings {
            password: password("look"),
            enable_password: password("change"),
            ..test_settings()
        });
        let status = |path: &str, headers: &str| get(&service, path, headers).status;
        let (look, change) = ("Password: look\r\n", "Password: change\r\n");
        for path in ["/stat", "/history", "/errors", "/symbols", "/metrics", "/checkv2", "/healthy"]
        {
            assert_eq!(status(path, FAR), 401, "{path}");
            assert_eq!(status(path, &format!("{FAR}{look}")), 200, "{path}");
            assert_eq!(status(path, ""), 200, "{path}");
        }
        for path in ["/ping", "/health", "/ready"] {
            assert_eq!(status(path, FAR), 200, "{path}");
        }
        for path in ["/statreset", "/historyreset", "/calendar/provenance?uid=u"] {
            assert_eq!(status(path, &format!("{FAR}{look}")), 401, "{path}");
            assert_ne!(status(path, &format!("{FAR}{change}")), 401, "{path}");
        }
        assert_eq!(service.post("/checkv2", FAR, &spam()).status, 401);
        let stat = |headers: &str| get(&service, "/stat", headers).json()["read_only"].clone();
        assert_eq!(stat(&format!("{FAR}{look}")), true);
        assert_eq!(stat(&format!("{FAR}{change}")), false);
        assert_eq!(status("/stat?password=look", FAR), 200);
    }
}

#[test]
fn guessing_passwords_ends_soon() {
    let service = start(Settings { password: Some("look".parse().unwrap()), ..test_settings() });
    let wrong = format!("{FAR}Password: wrong\r\n");
    let refused: Vec<u16> = (0..30).map(|_| get(&service, "/stat", &wrong).status).collect();
    assert_eq!(refused[0], 401);
    assert_eq!(refused[29], 429);
    // The right one tells the guesser nothing now.
    let reply = get(&service, "/stat", &format!("{FAR}Password: look\r\n"));
    assert_eq!(reply.status, 429);
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(reply.json()["error"], "Too many authentication failures");
    assert_eq!(get(&service, "/stat", "").status, 200);
    let metrics = get(&service, "/metrics", "").body;
    assert!(metrics.contains(r#"calspamd_requests_rejected_total{reason="guesses"}"#), "{metrics}");
}

/// A connection from another address of this machine.
pub(crate) fn connect_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), 0);
    socket.bind(&from.into()).unwrap();
    socket.connect(&address.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream
}

#[test]
fn a_flood_of_one_client_leaves_the_others_alone() {
    let settings = Settings {
        rate: Some(Rate { count: 20, window: Duration::from_secs(1_000) }),
        secure: ["127.0.0.1".parse().unwrap()].into_iter().collect(),
        ..test_settings()
    };
    let service = start(settings);
    let request = post("/checkv2", "Connection: close\r\n", spam().as_bytes());
    let address = service.address;
    thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let status = |_| {
                        let mut stream = connect_from(2, address);
                        // The refusal may come before all was sent.
                        drop(stream.write_all(&request));
                        let mut reply = String::new();
                        drop(stream.read_to_string(&mut reply));
                        reply
                    };
                    (0..100).map(status).collect::<Vec<String>>()
                })
            })
            .collect();
        for _ in 0..100 {
            assert_eq!(service.post("/checkv2", "", &spam()).status, 200);
        }
        let replies: Vec<String> =
            floods.into_iter().flat_map(|flood| flood.join().unwrap()).collect();
        let count = |line: &str| replies.iter().filter(|reply| reply.starts_with(line)).count();
        // One comes back every 50 seconds.
        assert!((20..=25).contains(&count("HTTP/1.1 200")), "{}", count("HTTP/1.1 200"));
        assert!(count("HTTP/1.1 429") > 300, "{}", count("HTTP/1.1 429"));
        let refused = replies.iter().find(|reply| reply.starts_with("HTTP/1.1 429")).unwrap();
        assert!(refused.to_ascii_lowercase().contains("\r\nretry-after: "), "{refused}");
    });
    // Another address of the machine has its own account.
    let mut other = connect_from(3, address);
    other.write_all(&request).unwrap();
    assert_eq!(Reply::read(&mut other).status, 200);
}

#[test]
fn slow_clients_keep_nobody_out() {
    // All places would be taken by the slow ones, were there no limit for one client.
    let settings = Settings {
        connections: 64,
        connections_per_client: 16,
        head_timeout: Duration::from_mins(2),
        ..test_settings()
    };
    let service = start(settings);
    let mut slow: Vec<TcpStream> = Vec::new();
    for number in 0..200 {
        let mut stream = connect_from(2, service.address);
        let start = [
            "POST /checkv2 HTTP/1.1\r\nHos",
            "POST /checkv2 HTTP/1.1\r\nHost: x\r\n\
            Content-Length: 1000\r\n\r\nFrom:",
            "",
        ];
        drop(stream.write_all(start[number % start.len()].as_bytes()));
        slow.push(stream);
    }
    for _ in 0..50 {
        assert_eq!(service.post("/checkv2", "", &spam()).status, 200);
    }
    // Those over the limit were told so and ended.
    let mut told = 0;
    for stream in &mut slow {
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut reply = [0; 512];
        match stream.read(&mut reply) {
            Ok(count) if reply[..count].starts_with(b"HTTP/1.1 429 ") => told += 1,
            Ok(_) | Err(_) => {}
        }
    }
    assert!(told > 30, "{told}");
    // Their places are free again when they go.
    drop(slow);
    for _ in 0..100 {
        let mut stream = connect_from(2, service.address);
        drop(stream.write_all(b"GET /ping HTTP/1.0\r\n\r\n"));
        let mut reply = String::new();
        drop(stream.read_to_string(&mut reply));
        if reply.contains(" 200 OK\r\n") {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the places of those who went are not free");
}

#[test]
fn heads_are_bounded() {
    let service = start(test_settings());
    let many = (0..2_000).map(|n| format!("X-{n}: 1\r\n")).collect::<Vec<_>>().concat();
    let long = format!("X-Long: {}\r\n", "x".repeat(1 << 20));
    let endless = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20));
    for request in [
        format!("GET /ping HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
        format!("GET /ping HTTP/1.1\r\nHost: x\r\n{long}\r\n"),
        endless,
    ] {
        let mut stream = service.connect();
        drop(stream.write_all(request.as_bytes()));
        let mut reply = Vec::new();
        drop(stream.read_to_end(&mut reply));
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 4"), "{reply}");
    }
    assert_eq!(service.post("/checkv2", "", &spam()).status, 200);
}

#[test]
fn hostile_requests_are_answered() {
    let service = start(test_settings());
    for (path, headers) in [
        ("/graph?type=%00%ff", String::new()),
        ("/history?from=%2e%2e&to=NaN", String::new()),
        ("/stat?password=%ff%fe", FAR.to_owned()),
        ("/checkv2", format!("Settings: {}\r\n", "{\"a\":".repeat(5_000))),
        ("/checkv2", format!("Settings-ID: {}\r\n", "x".repeat(20_000))),
        ("/checkv2", format!("Flags: {}\r\n", "groups,".repeat(5_000))),
        ("/checkv2", "Settings: {\"scores\":{\"CAL_TEST_PAYOUT\":1e308}}\r\n".to_owned()),
        ("/checkv2", format!("{FAR}Password: {}\r\n", "x".repeat(20_000))),
    ] {
        let reply = service.post(path, &headers, &spam());
        assert!(matches!(reply.status, 200 | 400 | 401), "{path}: {reply:?}");
    }
    assert_eq!(service.post("/checkv2", "", &spam()).json()["score"], 9.0);
}

#[test]
fn errors_of_the_log_are_shown() {
    let folder = Folder::new();
    // Nobody is there to be asked about names, and nobody is asked.
    let program = Program::start(&folder, RULES, free_address());
    program.check("Settings: {bad\r\n", &spam());
    let errors = program.get("/errors").json();
    let ours = errors.as_array().unwrap().iter().find(|row| row["module"] == "server");
    let ours = ours.unwrap_or_else(|| panic!("{errors}"));
    assert_keys(ours, "ts pid type id module message", &[]);
    assert_eq!(ours["message"], "Settings: no JSON object");
}

#[test]
fn the_program_makes_hashes() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_calspamd"))
        .arg("password")
        .env_clear()
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"let me in\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let written = String::from_utf8(output.stdout).unwrap();
    assert!(written.starts_with("$argon2id$"), "{written}");
    let settings = Settings { password: Some(written.trim().parse().unwrap()), ..test_settings() };
    let service = start(settings);
    assert_eq!(get(&service, "/stat", &format!("{FAR}Password: let me in\r\n")).status, 200);
    assert_eq!(get(&service, "/stat", &format!("{FAR}Password: {written}")).status, 401);
}

#[test]
fn a_second_look_costs_no_hash() {
    let password = |text: &str| Some(hash(text).parse().unwrap());
    let (password, enable_password) = (password("look"), password("change"));
    let service = start(Settings { password, enable_password, ..test_settings() });
    let request = format!("GET /stat HTTP/1.1\r\nHost: x\r\n{FAR}Password: look\r\n\r\n");
    let mut stream = support::connect(service.address);
    // A hash takes 10 ms at the least; 3,000 of them would not be done in the time of a test.
    for _ in 0..3_000 {
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut stream).status, 200);
    }
}
