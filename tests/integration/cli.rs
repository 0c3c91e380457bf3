//! The program as an administrator meets it: what it prints, and how it ends.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Reply, Service, ask, free_address, post, repository, rule_set};

const FIXTURE: &str = "tests/messages/spam/README-callback.eml";

/// The program, run in the repository's root, without the surroundings' configuration.
pub(crate) fn calspamd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_calspamd"))
        .args(arguments)
        .current_dir(repository(""))
        .env_clear()
        .output()
        .unwrap()
}

pub(crate) fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What a run that went well prints.
#[track_caller]
pub(crate) fn ok(arguments: &[&str]) -> String {
    let output = calspamd(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", err(&output));
    out(&output)
}

#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A folder of its own, gone afterwards.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("calspamd-cli-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn with(file: &str, text: &str) -> Self {
        let folder = Self::new();
        folder.write(file, text);
        folder
    }

    pub(crate) fn write(&self, file: &str, text: &str) -> String {
        let path = self.0.join(file);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// The program, serving with rules and a name server of ours.
pub(crate) struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    pub(crate) fn start(folder: &Folder, rules: &str, server: SocketAddr) -> Self {
        folder.write("rules.cf", rules);
        let config = folder.write("calspamd.toml", &format!("[dns]\nservers = [\"{server}\"]\n"));
        let address = free_address();
        let child = Command::new(env!("CARGO_BIN_EXE_calspamd"))
            .args(["serve", "--no-stock-rules", "--config", &config, "--rules"])
            .arg(folder.path())
            .args(["--http", &address.to_string()])
            .env_clear()
            .env("CALSPAMD_REPUTATION__STORE", "memory")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self { child, address };
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "the service does not start");
            thread::sleep(Duration::from_millis(5));
        }
        program
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn check(&self, headers: &str, mail: &str) -> Value {
        let reply = ask(self.address, &post("/checkv2", headers, mail.as_bytes()));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        ask(self.address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    /// The value of a metric.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Mistakes in rule files, and how they are shown below the file's name.
const MISTAKES: [(&str, &str); 4] = [
    (
        "# site\ncalendar X organizer.domian == a.example\ndescribe X x\n",
        "error: unknown fact `organizer.domian`\n\
         \x20--> FILE:2:12\n\
         \x20 |\n\
         2 | calendar X organizer.domian == a.example\n\
         \x20 |            ^^^^^^^^^^^^^^^^\n\
         \x20 = hint: did you mean `organizer.domain`?",
    ),
    (
        "calendar X attendees > 48h\ndescribe X x\n",
        "error: `48h` is a duration, the fact is a number\n\
         \x20--> FILE:1:24\n\
         \x20 |\n\
         1 | calendar X attendees > 48h\n\
         \x20 |                        ^^^\n\
         \x20 = hint: numbers are written `50` or `0.5`",
    ),
    (
        "calendar X summary =~ /(pay/\ndescribe X x\n",
        "error: bad regex: unclosed group\n\
         \x20--> FILE:1:23\n\
         \x20 |\n\
         1 | calendar X summary =~ /(pay/\n\
         \x20 |                       ^^^^^^\n\
         \x20 = hint: signs that stand for themselves are written with a backslash: `\\(`",
    ),
    (
        "calendar X summary =~ /a/\ndescribe X x\ncalendar X summary =~ /b/\n",
        "error: `X` is defined twice in this file\n\
         \x20--> FILE:3:10\n\
         \x20 |\n\
         3 | calendar X summary =~ /b/\n\
         \x20 |          ^\n\
         \x20 = hint: the first definition is at FILE:1",
    ),
];

#[test]
fn mistakes_in_rules_are_shown_where_they_are() {
    for (text, expected) in MISTAKES {
        let folder = Folder::with("site.cf", text);
        let path = folder.path().display().to_string();
        let output = calspamd(&["rules", "lint", "--rules", &path]);
        let expected = expected.replace("FILE", &format!("{path}/site.cf"));
        let shown = err(&output);
        assert_eq!(output.status.code(), Some(2), "{shown}");
        assert!(shown.contains(&expected), "{shown}\nand not\n{expected}");
    }
}

#[test]
fn a_service_with_mistakes_in_its_rules_does_not_start() {
    for (text, _) in MISTAKES {
        let folder = Folder::with("site.cf", text);
        let path = folder.path().display().to_string();
        // The port is taken: whoever tried to bind it would end with 1.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let output = calspamd(&["serve", "--rules", &path, "--http", &address]);
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        assert!(err(&output).contains("site.cf:"), "{}", err(&output));
    }
}

#[test]
fn a_port_that_is_taken_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = calspamd(&["serve", "--http", &address]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(err(&output).contains(&format!("cannot listen on {address}")), "{}", err(&output));
}

#[test]
fn good_rules_are_counted() {
    let text = "calendar SITE_X summary =~ /a/\ndescribe SITE_X x\nscore SITE_X 1\n";
    let folder = Folder::with("site.cf", text);
    let path = folder.path().display().to_string();
    let shown = ok(&["rules", "lint", "--no-stock-rules", "--rules", &path]);
    assert_eq!(
        shown,
        "rules:\n  calendar           1 of     1  100 %\n\nsymbols: 1, errors: 0, warnings: 0\n"
    );
}

#[test]
fn a_scan_shows_symbols_evidence_and_decision() {
    let shown = ok(&["scan", FIXTURE, "--now", "mail"]);
    let first = shown.lines().next().unwrap();
    assert!(first.starts_with(&format!("{FIXTURE}: add header ")), "{first}");
    assert!(first.contains("do not insert") && first.contains("calendar junk"), "{first}");
    let callback = shown.lines().find(|line| line.contains("  CAL_CALLBACK "));
    assert!(callback.is_some_and(|line| line.contains("5.00")), "{shown}");
    assert!(shown.contains("VEVENT[0].DESCRIPTION: "), "{shown}");
    assert!(shown.contains("  event    VEVENT[0] REQUEST \"Auto-renewal: $399.99\""), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colours in a pipe");
}

#[test]
fn a_scan_as_json_is_the_services_answer() {
    let shown = ok(&["scan", FIXTURE, "tests/messages/ham", "--json", "--now", "mail"]);
    let lines: Vec<Value> = shown.lines().map(json).collect();
    assert!(lines.len() > 50);
    assert_eq!(lines[0]["file"], FIXTURE);
    assert_eq!(lines[0]["action"], "add header");
    assert!(lines[0]["symbols"]["CAL_CALLBACK"]["score"].is_number());
    assert_eq!(lines[0]["calendar"]["decision"]["target"], "junk");
    assert!(lines.iter().all(|line| line["calendar"]["partial"] == json("[]")));
}

#[test]
fn a_file_that_cannot_be_read_does_not_stop_the_others() {
    let output = calspamd(&["scan", "tests/messages/no-such.eml", FIXTURE, "--now", "mail"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("no-such.eml"), "{}", err(&output));
    assert!(out(&output).contains("CAL_CALLBACK"), "{}", out(&output));
}

#[test]
fn facts_are_shown_with_their_places() {
    let shown = ok(&["facts", FIXTURE, "--now", "mail"]);
    let value = |fact: &str| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(&format!("{fact} ")));
        line.unwrap_or_else(|| panic!("{fact} in {shown}")).to_owned()
    };
    assert!(value("summary").contains("\"Auto-renewal: $399.99\"  [VEVENT[0].SUMMARY]"));
    assert!(value("organizer.domain").contains("\"plan-renewals.example\""));
    assert!(value("text.phones").contains("= 1 "), "{}", value("text.phones"));
    assert!(value("method").contains("\"REQUEST\""));
}

#[test]
fn the_printed_configuration_is_a_configuration() {
    let folder = Folder::new();
    let path = folder.write("a.toml", "[actions]\nreject = 20\nadd_header = false\n");
    let printed = ok(&["config", "check", "--print", "--config", &path]);
    assert!(printed.contains("reject = 20"), "{printed}");
    let path = folder.write("b.toml", &printed);
    assert_eq!(ok(&["config", "check", "--print", "--config", &path]), printed);
    let checked = ok(&["config", "check", "--config", &path]);
    assert!(checked.starts_with("ok, symbols: "), "{checked}");
}

#[test]
fn mistakes_in_the_configuration_are_shown_where_they_are() {
    let folder = Folder::new();
    for (text, line) in [
        ("[http]\nlisten = \"nowhere\"\n", 2),
        ("[actions]\n\nrejct = 12\n", 3),
        ("[policy]\nauto_insert = \"sometimes\"\n", 2),
        ("[limits]\ntime = \"soon\"\n", 2),
        ("[http\n", 1),
    ] {
        let path = folder.write("bad.toml", text);
        for command in [&["config", "check"][..], &["serve"], &["rules", "lint"]] {
            let output = calspamd(&[command, &["--config", &path]].concat());
            assert_eq!(output.status.code(), Some(2), "{text}{}", err(&output));
            let place = format!("{path}:{line}");
            assert!(err(&output).contains(&place), "{place}: {}", err(&output));
        }
    }
    let output = calspamd(&["config", "check", "--config", "no-such.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", err(&output));
}

#[test]
fn health_tells_a_service_from_none() {
    let service = Service::start(rule_set(""));
    let address = service.address.to_string();
    assert_eq!(ok(&["health", "--http", &address]), "ok\n");
    service.stop();
    let output = calspamd(&["health", "--http", &address]);
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    assert!(err(&output).contains(&address), "{}", err(&output));
}
