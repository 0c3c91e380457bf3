//! The service under a service manager: the units of deploy/systemd, and what systemd and the
//! program say to each other, with the real tools where a booted systemd is not needed.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::cli::{Folder, err, json, ok};
use crate::support::{Reply, calendar, free_address, mail, post, repository};

const RULES: &str = "\
calendar SITE_TITLE summary =~ /payout/i
describe SITE_TITLE Promises money
score    SITE_TITLE 7
";

/// Time for what takes none; the machine may be busy.
const SOON: Duration = Duration::from_secs(30);

/// A running program whose log is a file.
struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// `launcher` runs the program that stands behind it.
    fn start(folder: &Folder, launcher: &[&str], set: impl FnOnce(&mut Command)) -> Self {
        folder.write("rules.cf", RULES);
        let log = folder.path().join("log");
        let words = [launcher, &[env!("CARGO_BIN_EXE_calspamd")]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(["serve", "--no-stock-rules", "--rules"])
            .arg(folder.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("CALSPAMD_REPUTATION__STORE", "memory")
            .env("CALSPAMD_SPAMD__LISTEN", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
        set(&mut command);
        Self { child: command.spawn().unwrap(), log }
    }

    fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Ends it and waits until it has.
    fn end(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[track_caller]
fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < SOON, "no {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Scans over any connection.
fn scan(mut stream: impl std::io::Read + Write) -> std::io::Result<Reply> {
    let message = mail("Money", &calendar("REQUEST", &["SUMMARY:Your payout is ready"]));
    stream.write_all(&post("/checkv2", "Connection: close\r\n", message.as_bytes()))?;
    Ok(Reply::read(&mut stream))
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    Ok(stream)
}

/// A folder with the units as they are installed, but for the program's place.
fn installed() -> Folder {
    let folder = Folder::new();
    for name in ["calspamd.service", "calspamd.socket"] {
        let text = std::fs::read_to_string(repository("deploy/systemd").join(name)).unwrap();
        folder.write(name, &text.replace("/usr/bin/calspamd", env!("CARGO_BIN_EXE_calspamd")));
    }
    folder
}

fn systemd_analyze(arguments: &[&str], path: &Path) -> (bool, String) {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .arg(path)
        .output()
        .unwrap_or_else(|_| panic!("systemd-analyze is not installed; `make tools` does that"));
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &err(&output))
}

#[test]
fn the_units_are_sound_and_shut_in() {
    let folder = installed();
    for unit in ["calspamd.service", "calspamd.socket"] {
        let (sound, said) = systemd_analyze(&["verify", "--man=no"], &folder.path().join(unit));
        assert!(sound && said.trim().is_empty(), "{unit}: {said}");
    }
    // The package's drop-in must not open anything.
    let unit = folder.path().join("calspamd.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    let drop_in = std::fs::read_to_string(repository("deploy/systemd/package.conf")).unwrap();
    folder.write("packaged.service", &(text.replace("[Install]\n", "") + &drop_in));
    for unit in ["calspamd.service", "packaged.service"] {
        // The threshold is ten times the exposure.
        let limits = ["security", "--offline=true", "--no-pager", "--threshold=15"];
        let (below, said) = systemd_analyze(&limits, &folder.path().join(unit));
        assert!(below, "{unit}: {said}");
        println!("{unit}: {}", said.lines().last().unwrap_or_default());
    }
    // The check itself can fail.
    folder.write("open.service", "[Service]\nExecStart=/bin/true\n");
    let (below, _) = systemd_analyze(
        &["security", "--offline=true", "--threshold=15"],
        &folder.path().join("open.service"),
    );
    assert!(!below);
}

/// The ports of the socket unit are the defaults of the configuration.
#[test]
fn the_socket_unit_has_the_configured_addresses() {
    let read = |path: &str| std::fs::read_to_string(repository(path)).unwrap();
    let unit = read("deploy/systemd/calspamd.socket");
    let config = read("deploy/calspamd.toml");
    let streams: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix("ListenStream=")).collect();
    let listen: Vec<&str> = config
        .lines()
        .filter_map(|line| line.strip_prefix("listen = \"")?.strip_suffix('"'))
        .collect();
    assert_eq!(streams, listen);
}

/// The other end of `NOTIFY_SOCKET`.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Self { socket, heard: Vec::new() }
    }

    /// Waits for a message with this line in it.
    #[track_caller]
    fn expect(&mut self, line: &str) -> String {
        let mut buffer = [0; 4_096];
        loop {
            let length = self.socket.recv(&mut buffer).unwrap_or_else(|error| {
                panic!("no {line}: {error}; heard {:?}", self.heard);
            });
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.heard.push(message.clone());
            if message.lines().any(|found| found == line) {
                return message;
            }
        }
    }
}

#[test]
fn a_manager_hears_of_readiness_reloads_life_and_the_end() {
    let folder = Folder::new();
    let place = folder.path().join("notify.sock");
    let mut manager = Manager::new(&place);
    let address = free_address();
    let config = folder.write("calspamd.toml", "");
    let mut program = Program::start(&folder, &[], |command| {
        command
            .args(["--config", &config])
            .env("CALSPAMD_HTTP__LISTEN", address.to_string())
            .env("NOTIFY_SOCKET", &place)
            .env("WATCHDOG_USEC", "200000");
    });
    let ready = manager.expect("READY=1");
    assert!(ready.contains("STATUS=scanning with 1 symbols"), "{ready}");
    // Who is ready answers.
    assert_eq!(scan(connect(address).unwrap()).unwrap().status, 200);
    for _ in 0..3 {
        manager.expect("WATCHDOG=1");
    }

    let reloading = |manager: &mut Manager, program: &Program| {
        program.signal("HUP");
        let begin = manager.expect("RELOADING=1");
        assert!(begin.contains("MONOTONIC_USEC="), "{begin}");
        manager.expect("READY=1")
    };
    let more = format!("{RULES}calendar SITE_B summary =~ /b/\ndescribe SITE_B b\n");
    folder.write("rules.cf", &more);
    let done = reloading(&mut manager, &program);
    assert!(done.contains("STATUS=scanning with 2 symbols"), "{done}");
    folder.write("calspamd.toml", "[log]\nformat = \"json\"\n");
    let done = reloading(&mut manager, &program);
    assert!(done.contains("2 symbols; takes effect at the next start: log.format"), "{done}");
    folder.write("calspamd.toml", "[log]\nformat = \"xml\"\n");
    let done = reloading(&mut manager, &program);
    assert!(done.contains("log.format: `xml` is not known here"), "{done}");
    folder.write("calspamd.toml", "");
    folder.write("rules.cf", "calendar SITE_B sumary =~ /b/\n");
    let done = reloading(&mut manager, &program);
    let failed = "the last reload has failed, nothing has changed: error: unknown fact `sumary`";
    assert!(done.contains(failed), "{done}");

    // Heartbeats are not counted as scans.
    let text = get(address, "/metrics");
    assert!(text.contains("calspamd_scan_duration_seconds_count 1\n"), "{text}");
    program.signal("TERM");
    manager.expect("STOPPING=1");
    assert!(program.child.wait().unwrap().success());
}

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    Reply::read(&mut stream).body
}

#[test]
fn a_manager_that_is_away_is_no_reason_to_stop() {
    let folder = Folder::new();
    let address = free_address();
    let mut program = Program::start(&folder, &[], |command| {
        command
            .env("CALSPAMD_HTTP__LISTEN", address.to_string())
            .env("NOTIFY_SOCKET", folder.path().join("nobody.sock"))
            .env("WATCHDOG_USEC", "nonsense");
    });
    wait("answer", || connect(address).is_ok());
    assert_eq!(scan(connect(address).unwrap()).unwrap().status, 200);
    assert!(program.end().success());
}

#[test]
fn systemds_sockets_are_served() {
    let folder = Folder::new();
    let (http, spamd) = (free_address(), free_address());
    let path = folder.path().join("http.sock");
    let unix = path.display().to_string();
    for listen in [http.to_string(), unix.clone()] {
        let launcher =
            ["systemd-socket-activate", "-l", &listen, "-l", &spamd.to_string()].map(str::to_owned);
        let launcher: Vec<&str> = launcher.iter().map(String::as_str).collect();
        let is_unix = listen == unix;
        let named = if is_unix { format!("unix:{unix}") } else { listen.clone() };
        let mut program = Program::start(&folder, &launcher, |command| {
            command.args(["--http", &named, "--spamd", &spamd.to_string()]);
        });
        // The port is there before the program is, which the first connection starts.
        let reply = if is_unix {
            wait("socket", || UnixStream::connect(&path).is_ok());
            scan(UnixStream::connect(&path).unwrap()).unwrap()
        } else {
            wait("port", || connect(http).is_ok());
            scan(connect(http).unwrap()).unwrap()
        };
        assert_eq!(reply.json()["symbols"]["SITE_TITLE"]["score"], 7.0, "{}", program.log());
        let mut stream = connect(spamd).unwrap();
        stream.write_all(b"PING SPAMC/1.5\r\n\r\n").unwrap();
        let mut pong = String::new();
        std::io::Read::read_to_string(&mut stream, &mut pong).unwrap();
        assert!(pong.contains("PONG"), "{pong}");
        assert!(program.end().success(), "{}", program.log());
        // The file is the manager's, who may hand it over again.
        assert_eq!(path.exists(), is_unix);
    }
}

#[test]
fn a_socket_that_nothing_serves_is_told() {
    let folder = Folder::new();
    let (http, other) = (free_address(), free_address());
    let other = other.to_string();
    let mut program =
        Program::start(&folder, &["systemd-socket-activate", "-l", &other], |command| {
            command.args(["--http", &http.to_string()]);
        });
    wait("port", || TcpStream::connect(&other).is_ok());
    assert_eq!(program.child.wait().unwrap().code(), Some(2), "{}", program.log());
    assert!(program.log().contains(&format!("a socket for {other} was handed over")));
}

/// Whoever connects while the service is exchanged waits for the new one.
#[test]
fn a_restart_behind_a_held_socket_refuses_nobody() {
    let folder = Folder::new();
    let address = free_address();
    let holder = repository("tests/units/holder.py").display().to_string();
    let port = address.port().to_string();
    let mut program = Program::start(&folder, &["python3", &holder, &port], |command| {
        command.args(["--http", &address.to_string()]);
    });
    wait("port", || connect(address).is_ok());

    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let reply = scan(connect(address).unwrap()).unwrap();
                    assert_eq!(reply.status, 200, "{reply:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let start = || program.log().matches("listening").count();
    for restarts in 1..=3 {
        let before = answered.load(Ordering::Relaxed);
        wait("answers", || answered.load(Ordering::Relaxed) > before + 5);
        program.signal("USR1");
        wait("restart", || start() > restarts);
    }
    stop.store(true, Ordering::Relaxed);
    let failed = clients.into_iter().filter_map(|client| client.join().err()).count();
    assert_eq!(failed, 0, "{}", program.log());
    assert!(program.end().success());
}

#[test]
fn few_files_are_made_enough() {
    let folder = Folder::new();
    let address = free_address();
    let few = |limit: &str| {
        let script = format!("ulimit {limit}; exec \"$@\"");
        let program = Program::start(&folder, &["sh", "-c", &script, "sh"], |command| {
            command.args(["--http", &address.to_string()]);
        });
        wait("answer", || connect(address).is_ok());
        let text = get(address, "/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix("process_max_fds "));
        (line.unwrap().parse::<f64>().unwrap(), program.log())
    };
    let (files, log) = few("-Sn 256");
    assert!(files >= 3_000.0, "{files}");
    assert!(!log.contains("few files"), "{log}");
    // What is not allowed is told.
    let (files, log) = few("-n 256");
    assert!(files <= 256.0, "{files}");
    assert!(log.contains("few files may be open"), "{log}");
}

/// A scan with ids and addresses, and the line it leaves in the log.
fn logged(set: &[(&str, &str)], headers: &str) -> String {
    let folder = Folder::new();
    let address = free_address();
    let mut program = Program::start(&folder, &[], |command| {
        command.envs(set.iter().copied()).env("CALSPAMD_HTTP__LISTEN", address.to_string());
        let log = std::fs::metadata(folder.path().join("log")).unwrap();
        if set.contains(&("IN", "journal")) {
            command.env("JOURNAL_STREAM", format!("{}:{}", log.dev(), log.ino()));
        }
    });
    wait("answer", || connect(address).is_ok());
    let message = mail("Money", &calendar("REQUEST", &["SUMMARY:Your payout is ready"]));
    let mut stream = connect(address).unwrap();
    stream.write_all(&post("/checkv2", headers, message.as_bytes())).unwrap();
    assert_eq!(Reply::read(&mut stream).status, 200);
    assert!(program.end().success());
    let log = program.log();
    let line = log.lines().find(|line| line.contains("scanned"));
    line.unwrap_or_else(|| panic!("{log}")).to_owned()
}

const HEADERS: &str = "From: ann@sender.example\r\nRcpt: bob@rcpt.example\r\nQueue-ID: 4ABC\r\n";

#[test]
fn a_scan_is_one_line_of_the_log() {
    let json_format = ("CALSPAMD_LOG__FORMAT", "json");
    let headers = format!("{HEADERS}X-Request-Id: r-1 \u{1}x\"y\r\n");
    let line = logged(&[json_format], &headers.replace('\u{1}', ""));
    let value: Value = json(&line);
    assert_eq!(value["id"], "r-1xy");
    assert_eq!(value["queue_id"], "4ABC");
    assert_eq!(value["protocol"], "rspamd");
    assert_eq!(value["action"], "add header");
    assert_eq!(value["score"], 7.0);
    assert_eq!(value["symbols"], "SITE_TITLE");
    assert_eq!(value["calendar"], true);
    assert_eq!(value["partial"], "");
    assert!(value["size"].as_u64().unwrap() > 300, "{line}");
    let stages = [
        "message",
        "calendar",
        "facts",
        "authentication",
        "reputation",
        "lists",
        "rules",
        "verdict",
        "total",
    ];
    for stage in stages {
        assert!(value[format!("{stage}_ms")].is_number(), "{stage}: {line}");
    }
    for private in ["sender.example", "rcpt.example", "payout", "Money"] {
        assert!(!line.contains(private), "{line}");
    }

    // Rspamd's own name of the id goes along with all the rest, as text.
    let line = logged(&[], &format!("Log-Tag: tag.7\r\n{HEADERS}"));
    for part in
        [" INFO ", "id=\"tag.7\"", "queue_id=\"4ABC\"", "symbols=\"SITE_TITLE\"", "score=7.0"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(!line.contains("sender.example"), "{line}");
}

#[test]
fn addresses_are_logged_where_that_is_wanted() {
    let wanted = [("CALSPAMD_LOG__FORMAT", "json"), ("CALSPAMD_LOG__VERBOSE_IDS", "true")];
    let value = json(&logged(&wanted, HEADERS));
    assert_eq!(value["from"], "ann@sender.example");
    assert_eq!(value["rcpt"], "bob@rcpt.example");
    assert_eq!(value["message_id"], "m1@sender.example");
}

#[test]
fn the_journal_gets_priorities_and_no_times() {
    let line = logged(&[("IN", "journal")], HEADERS);
    // Not even a time stands between the priority and the level.
    assert!(line.starts_with("<6> INFO "), "{line}");
    let line = logged(&[("IN", "journal"), ("CALSPAMD_LOG__FORMAT", "json")], HEADERS);
    let value = json(line.strip_prefix("<6>").unwrap());
    assert_eq!(value["timestamp"], Value::Null);
    // Somebody else's stream is no journal.
    let line = logged(&[("JOURNAL_STREAM", "1:2")], HEADERS);
    assert!(line.starts_with("20"), "{line}");
}

/// Manual and completions, as packages ship them.
#[test]
fn the_manual_and_completions_are_written() {
    let folder = Folder::new();
    ok(&["docs", "man", &folder.path().display().to_string()]);
    let page = std::fs::read_to_string(folder.path().join("calspamd.1")).unwrap();
    for part in [".TH calspamd 1", "Scan labelled mail", "SIGHUP", "/etc/calspamd/calspamd.toml"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(folder.path().join("calspamd-rules-lint.1").exists());
    for (shell, mark) in
        [("bash", "_calspamd()"), ("zsh", "#compdef calspamd"), ("fish", "complete -c calspamd")]
    {
        assert!(ok(&["docs", "completions", shell]).contains(mark), "{shell}");
    }
}
