//! Rules and settings changed under a running service: over HTTP and by signal, for better and for
//! worse.

mod settings;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use calspamd::rules::{self, File, Files};
use calspamd::scan;
use calspamd::server::{Fresh, Refusal, Scan, Settings, Source, State};
use serde_json::Value;

use crate::cli::Folder;
use crate::support::{Reply, Service, calendar, post, slow_scan, test_settings};

fn rules(score: &str) -> String {
    format!(
        "calendar SITE_TITLE summary =~ /payout/i\ndescribe SITE_TITLE Promises money\n\
         score SITE_TITLE {score}\ngroup SITE_TITLE site\n"
    )
}

fn event() -> String {
    calendar("REQUEST", &["SUMMARY:Your payout is ready"])
}

/// What the program does: all files of a folder, as they are now.
fn source(folder: &Path) -> Source {
    let folder = folder.to_owned();
    Box::new(move |_| {
        let failed = |error: std::io::Error| Refusal::Files(error.to_string());
        let mut files = Files::default();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).map_err(failed)?;
            files.rules.push(File { name, text });
        }
        rules::load(&files).map(Fresh::from).map_err(Refusal::Rules)
    })
}

/// The stock rules, with the word files of a folder as the program adds them.
fn stock_with_words(folder: &Path) -> Source {
    let folder = folder.to_owned();
    Box::new(move |_| {
        let mut files = rules::built_in();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            files.lists.push(File { name, text: std::fs::read_to_string(&path).unwrap() });
        }
        rules::load(&files).map(Fresh::from).map_err(Refusal::Rules)
    })
}

#[test]
fn edited_words_and_brands_are_in_force_after_a_reload() {
    let folder = Folder::with("our-words.txt", "[lure-prize]\nunicorn voucher\n");
    let service = start(stock_with_words(folder.path()), test_settings(), scan::scan);
    let event = calendar(
        "REQUEST",
        &[
            "SUMMARY:Your unicorn voucher from Zorgbank\nDESCRIPTION:Sesame token expires today, https://zorgbank.page.example/x",
        ],
    );
    let hits = || {
        let reply = service.post("/checkv2", "Content-Type: text/calendar\r\n", &event);
        let symbols = reply.json()["symbols"].clone();
        ["CAL_LURE_PRIZE", "CAL_LURE_CRED", "CAL_URI_BRANDHOST"]
            .map(|symbol| symbols.get(symbol).is_some())
    };
    assert_eq!(hits(), [true, false, false]);

    // Words and a brand are added, another word is taken away.
    folder.write(
        "our-words.txt",
        "[lure-credentials]\n@thing = sesame, acorn\n@thing + expire*\n[brand-hosts]\nzorgbank | zorgbank.example\n",
    );
    assert_eq!(hits(), [true, false, false], "not read yet");
    assert_eq!(reload(&service).status, 200);
    assert_eq!(hits(), [false, true, true]);
}

fn start(source: Source, settings: Settings, scan: Scan) -> Service {
    let rules = source(&scan::Settings::default()).unwrap().loaded.rules;
    let mut state = State::new(rules, scan::Settings::default()).unwrap();
    state.scan = scan;
    Service::with(settings, Arc::new(state.with_source(source)))
}

fn scanned(service: &Service) -> Value {
    let reply = service.post("/checkv2", "Content-Type: text/calendar\r\n", &event());
    assert_eq!(reply.status, 200);
    reply.json()["symbols"].clone()
}

fn reload(service: &Service) -> Reply {
    service.post("/reload", "", "")
}

fn metrics(service: &Service) -> String {
    service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body
}

#[test]
fn a_change_is_in_force_after_a_reload_and_a_mistake_is_not() {
    let folder = Folder::with("site.cf", &rules("2"));
    let service = start(source(folder.path()), test_settings(), scan::scan);
    assert_eq!(scanned(&service)["SITE_TITLE"]["score"], 2.0);

    // Written, and not yet read.
    let more = "calendar SITE_NEW exists:summary\nscore SITE_NEW 0.5\n";
    folder.write("site.cf", &(rules("3") + more));
    assert_eq!(scanned(&service)["SITE_TITLE"]["score"], 2.0);
    let reply = reload(&service);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.body,
        r#"{"success":true,"symbols":2,"warnings":["site.cf:5:10: `SITE_NEW` has no description"]}"#
    );
    let symbols = scanned(&service);
    assert_eq!(symbols["SITE_TITLE"]["score"], 3.0);
    assert_eq!(symbols["SITE_NEW"]["score"], 0.5);
    let listed = service.ask(b"GET /symbols HTTP/1.0\r\n\r\n").json();
    assert_eq!(listed[0]["rules"][0]["weight"], 3.0, "{listed}");
    assert_eq!(listed[1]["rules"][0]["symbol"], "SITE_NEW", "{listed}");
    let counted = metrics(&service);
    for line in [
        r#"calspamd_hits_total{symbol="SITE_TITLE"} 3"#,
        r#"calspamd_hits_total{symbol="SITE_NEW"} 1"#,
        r#"calspamd_reloads_total{result="success"} 1"#,
        r#"calspamd_reloads_total{result="failure"} 0"#,
        "calspamd_last_reload_successful 1",
    ] {
        assert!(counted.contains(line), "{line} is missing in {counted}");
    }

    // Nothing of a file with a mistake counts, and the answer says where it is.
    let before = metrics(&service);
    folder.write("site.cf", &(rules("9") + "calendar SITE_NEW sumary =~ /a/\n"));
    let reply = reload(&service);
    assert_eq!(reply.status, 422, "{reply:?}");
    assert_eq!(reply.json()["success"], false);
    let error = reply.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("--> site.cf:5:19"), "{error}");
    assert!(error.contains("did you mean `summary`?"), "{error}");
    assert_eq!(scanned(&service)["SITE_TITLE"]["score"], 3.0);
    assert_eq!(scanned(&service)["SITE_NEW"]["score"], 0.5);
    assert_eq!(service.ask(b"GET /symbols HTTP/1.0\r\n\r\n").json(), listed);
    let after = metrics(&service);
    assert!(after.contains(r#"calspamd_reloads_total{result="failure"} 1"#), "{after}");
    let info =
        |text: &str| text.lines().find(|l| l.starts_with("calspamd_build")).map(str::to_owned);
    assert_eq!(info(&before), info(&after));

    // Files that cannot be read.
    let path = folder.path().join("site.cf");
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let reply = reload(&service);
    assert_eq!(reply.status, 500, "{reply:?}");
    assert_eq!(reply.json()["success"], false);
    assert_eq!(scanned(&service)["SITE_TITLE"]["score"], 3.0);

    // A symbol that is gone is counted no more.
    std::fs::remove_dir(&path).unwrap();
    folder.write("site.cf", more);
    assert_eq!(reload(&service).status, 200);
    let symbols = scanned(&service);
    assert!(symbols["SITE_TITLE"].is_null() && symbols["SITE_NEW"].is_object(), "{symbols}");
    assert!(!metrics(&service).contains("SITE_TITLE"));
}

#[test]
fn a_scan_going_on_keeps_its_rules() {
    let folder = Folder::with("site.cf", &rules("2"));
    let service = start(source(folder.path()), test_settings(), slow_scan);
    let mut busy = service.connect();
    // Large enough for a thread of its own, so that the worker can answer the reload.
    let body = event() + &" ".repeat(200_000);
    let request = post("/checkv2", "Content-Type: text/calendar\r\n", body.as_bytes());
    busy.write_all(&request).unwrap();
    thread::sleep(Duration::from_millis(200));
    folder.write("site.cf", &rules("3"));
    let begun = Instant::now();
    assert_eq!(reload(&service).status, 200);
    assert!(begun.elapsed() < Duration::from_millis(450), "{:?}", begun.elapsed());
    assert_eq!(Reply::read(&mut busy).json()["symbols"]["SITE_TITLE"]["score"], 2.0);
    assert_eq!(scanned(&service)["SITE_TITLE"]["score"], 3.0);
}

#[test]
fn reloads_come_one_after_the_other() {
    static GOING_ON: AtomicUsize = AtomicUsize::new(0);
    static READ: AtomicUsize = AtomicUsize::new(0);
    let source: Source = Box::new(|_| {
        assert_eq!(GOING_ON.fetch_add(1, Ordering::SeqCst), 0, "two at once");
        thread::sleep(Duration::from_millis(50));
        GOING_ON.fetch_sub(1, Ordering::SeqCst);
        let text = rules(&READ.fetch_add(1, Ordering::SeqCst).to_string());
        let rules = vec![File { name: "site.cf".to_owned(), text }];
        let files = Files { rules, ..Files::default() };
        rules::load(&files).map(Fresh::from).map_err(Refusal::Rules)
    });
    let service = start(source, test_settings(), scan::scan);
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| assert_eq!(reload(&service).status, 200));
        }
    });
    assert_eq!(scanned(&service)["SITE_TITLE"]["score"], 6.0);
}

#[test]
fn not_everybody_may_reload() {
    let folder = Folder::with("site.cf", &rules("2"));
    let settings =
        Settings { enable_password: Some("let me in".parse().unwrap()), ..test_settings() };
    let service = start(source(folder.path()), settings, scan::scan);
    let status = |headers: &str| service.post("/Reload", headers, "").status;
    assert_eq!(status(""), 200);
    assert_eq!(status("X-Forwarded-For: 192.0.2.1\r\n"), 401);
    assert_eq!(status("Origin: https://www.example\r\n"), 401);
    assert_eq!(status("X-Forwarded-For: 192.0.2.1\r\nPassword: let me out\r\n"), 401);
    assert_eq!(status("X-Forwarded-For: 192.0.2.1\r\nPassword: let me in\r\n"), 200);
    let reply = service.ask(b"GET /reload HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
    let counted = metrics(&service);
    for line in [
        r#"calspamd_requests_rejected_total{reason="unauthorized"} 3"#,
        r#"calspamd_requests_rejected_total{reason="method"} 1"#,
        r#"calspamd_reloads_total{result="success"} 2"#,
    ] {
        assert!(counted.contains(line), "{line} is missing in {counted}");
    }
}

/// The program itself, on a socket in a folder.
struct Program {
    child: Child,
    socket: PathBuf,
}

impl Program {
    fn start(folder: &Folder) -> Self {
        Self::with(folder, |command, socket| {
            command.arg("--http").arg(format!("unix:{}", socket.display()));
        })
    }

    /// With more arguments or variables; it has to listen at the socket.
    fn with(folder: &Folder, set: impl FnOnce(&mut Command, &Path)) -> Self {
        let socket = folder.path().join("http.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_calspamd"));
        command
            .env_clear()
            .env("CALSPAMD_REPUTATION__STORE", "memory")
            .args(["serve", "--no-stock-rules", "--rules"])
            .arg(folder.path());
        set(&mut command, &socket);
        let child = command
            .stderr(Stdio::from(std::fs::File::create(folder.path().join("log")).unwrap()))
            .spawn()
            .unwrap();
        let program = Self { child, socket };
        wait("an answer", || UnixStream::connect(&program.socket).is_ok());
        program
    }

    fn ask(&self, request: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request).unwrap();
        Reply::read(&mut stream)
    }

    fn scanned(&self) -> Value {
        let headers = "Content-Type: text/calendar\r\n";
        self.ask(&post("/checkv2", headers, event().as_bytes())).json()["symbols"].clone()
    }

    fn reloads(&self, result: &str) -> u64 {
        let text = self.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
        let name = format!("calspamd_reloads_total{{result=\"{result}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name));
        line.unwrap().parse().unwrap()
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }
}

#[track_caller]
fn wait(what: &str, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < Duration::from_secs(20), "no {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_hangup_reads_rules_and_lists_again() {
    let with_list = rules("2")
        + "calendar SITE_WORD summary in words.txt\ndescribe SITE_WORD Word\nscore SITE_WORD 1\n";
    let folder = Folder::with("site.cf", &with_list);
    std::fs::create_dir(folder.path().join("lists")).unwrap();
    folder.write("lists/words.txt", "voucher\n");
    let mut program = Program::start(&folder);
    assert_eq!(program.scanned()["SITE_TITLE"]["score"], 2.0);
    assert!(program.scanned()["SITE_WORD"].is_null());

    folder.write("site.cf", &with_list.replace("TITLE 2", "TITLE 4"));
    folder.write("lists/words.txt", "payout\n");
    program.signal("HUP");
    wait("reload", || program.reloads("success") == 1);
    assert_eq!(program.scanned()["SITE_TITLE"]["score"], 4.0);
    assert_eq!(program.scanned()["SITE_WORD"]["score"], 1.0);

    folder.write("site.cf", "calendar SITE_TITLE sumary =~ /a/\n");
    program.signal("HUP");
    wait("failure", || program.reloads("failure") == 1);
    assert_eq!(program.scanned()["SITE_TITLE"]["score"], 4.0);

    // The same over HTTP: on a Unix socket, who may connect may reload.
    let reply = program.ask(&post("/reload", "", b""));
    assert_eq!(reply.status, 422);
    let error = reply.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains(&format!("{}/site.cf:1:21", folder.path().display())), "{error}");

    // Mended.
    folder.write("site.cf", &with_list.replace("TITLE 2", "TITLE 5"));
    assert_eq!(program.ask(&post("/reload", "", b"")).status, 200);
    assert_eq!(program.scanned()["SITE_TITLE"]["score"], 5.0);

    program.signal("TERM");
    let ended = program.child.wait().unwrap();
    assert_eq!(ended.code(), Some(0));
    let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
    for part in ["reloaded", "unknown fact `sumary`", "site.cf:1:21", "nothing reloaded"] {
        assert!(log.contains(part), "{part} in {log}");
    }
}
