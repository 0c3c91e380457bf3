//! Input made to break a reader: each is answered in time, says what was wrong, and leaves the
//! service as it was. The numbers of DESIGN: 2 s, 300 MB at most, 40 MB and 150 ms at the start.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::Folder;
use calspamd::protocol::compression;

use crate::support::{
    Reply, Service, ask, assert_none, free_address, load, mail, messages, name, post,
};

/// Longest time for an answer.
const TIME: Duration = Duration::from_secs(2);

/// Most memory that a service may ever have taken, in kB.
const MEMORY: u64 = 300_000;

/// Memory of a service that has only started, in kB.
const MEMORY_AT_START: u64 = 40_000;

/// Instructions from the start of the process to the first answer and its end: a sixth of a second
/// and less, where nothing else runs. They differ a little from processor to processor.
const START: u64 = 550_000_000;

/// One input that is meant badly.
pub(crate) struct Attack {
    pub(crate) name: String,
    pub(crate) body: Vec<u8>,
    headers: &'static str,
}

impl Attack {
    pub(crate) fn new(name: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { name: name.to_owned(), body: body.into(), headers: "" }
    }

    fn send(&self, address: SocketAddr) -> (Reply, Duration) {
        let request = post("/checkv2", self.headers, &self.body);
        let started = Instant::now();
        let reply = ask(address, &request);
        (reply, started.elapsed())
    }
}

/// The fixtures of broken mail, and what is too large to keep in a file.
pub(crate) fn attacks() -> Vec<Attack> {
    let mut attacks: Vec<Attack> = messages("broken")
        .iter()
        .map(|path| {
            let body = std::fs::read(path).unwrap();
            let bare = path.extension().is_some_and(|ending| ending == "ics");
            let headers = if bare { "Content-Type: text/calendar\r\n" } else { "" };
            Attack { headers, ..Attack::new(&format!("broken/{}", name(path)), body) }
        })
        .collect();
    let event = |lines: &str| crate::support::calendar("REQUEST", &[lines]);
    let invite = |lines: &str| mail("Invitation", &event(lines));
    attacks.extend([
        Attack::new("empty", ""),
        Attack::new("random", noise(2048)),
        Attack::new("headers only", "From: a@sender.example\r\nSubject: x\r\n"),
        Attack::new("truncated MIME", truncated()),
        Attack::new("10,000 parts", many_parts(10_000)),
        Attack::new("100,000 attendees", invite(&attendees(100_000))),
        Attack::new("components 10,000 deep", mail("x", &nested_components(10_000))),
        Attack::new("multiparts 10,000 deep", nested_parts(10_000)),
        Attack::new("a line of 20 MB", invite(&format!("SUMMARY:{}", "x".repeat(20_000_000)))),
        Attack::new("20 MB of words", invite(&format!("SUMMARY:{}", "pay $1 ".repeat(2_857_142)))),
        Attack::new(
            "a recurrence without end",
            invite("SUMMARY:x\nRRULE:FREQ=SECONDLY;COUNT=1000000000"),
        ),
        Attack::new("NULs", invite("SUMMARY:a\0b\0c\nDESCRIPTION:\0\0\0")),
        Attack::new("invalid UTF-8", [invite("SUMMARY:").as_bytes(), b"\xff\xfe\xc0\x80"].concat()),
    ]);
    attacks
}

/// Bytes without a pattern, always the same ones (xorshift).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn truncated() -> String {
    let calendar = crate::support::calendar("REQUEST", &["SUMMARY:x"]);
    let half = calendar.get(..calendar.len() / 2).unwrap_or_default();
    format!(
        "From: a@sender.example\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/calendar\r\n\r\n{half}"
    )
}

fn many_parts(count: usize) -> String {
    let mut text = String::from(
        "From: a@sender.example\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n",
    );
    let calendar = crate::support::calendar("REQUEST", &["SUMMARY:x"]);
    for _ in 0..count {
        write!(text, "--b\r\nContent-Type: text/calendar\r\n\r\n{calendar}").unwrap();
    }
    text + "--b--\r\n"
}

fn attendees(count: usize) -> String {
    let mut text = String::from("SUMMARY:x");
    for number in 0..count {
        write!(text, "\nATTENDEE;CN=Somebody {number}:mailto:user{number}@rcpt.example").unwrap();
    }
    text
}

fn nested_components(depth: usize) -> String {
    let (open, close) = ("BEGIN:VEVENT\r\n".repeat(depth), "END:VEVENT\r\n".repeat(depth));
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{open}SUMMARY:x\r\n{close}END:VCALENDAR\r\n")
}

fn nested_parts(depth: usize) -> String {
    let mut text = String::from("From: a@sender.example\r\nMIME-Version: 1.0\r\n");
    for level in 0..depth {
        write!(text, "Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")
            .unwrap();
    }
    let calendar = crate::support::calendar("REQUEST", &["SUMMARY:x"]);
    write!(text, "Content-Type: text/calendar\r\n\r\n{calendar}").unwrap();
    text
}

/// One at a time: the tests below measure time and memory.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stock_service() -> Service {
    Service::start(load(&calspamd::rules::built_in()))
}

#[test]
fn every_attack_is_answered_in_time() {
    let _alone = alone();
    let service = stock_service();
    let mut failures = Vec::new();
    for attack in attacks() {
        let (reply, time) = attack.send(service.address);
        let name = &attack.name;
        if reply.status != 200 {
            failures.push(format!("{name}: {} {}", reply.status, reply.body));
            continue;
        }
        let json = reply.json();
        let calendar = &json["calendar"];
        let length = |field: &str| calendar[field].as_array().map_or(0, Vec::len);
        let (defects, events) = (length("defects"), length("events"));
        println!("{name}: {time:?}, {defects} defects, {events} events, {}", calendar["partial"]);
        if time > TIME {
            failures.push(format!("{name}: {time:?}"));
        }
        if json["is_skipped"] != false {
            failures.push(format!("{name}: not scanned: {}", reply.body));
        }
        // A mail that has a header and no body is short, not wrong.
        if name != "headers only" && defects + events == 0 {
            failures.push(format!("{name}: neither events nor defects"));
        }
    }
    assert_none(&failures);
    let metrics = service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    assert!(metrics.contains("calspamd_panics_total 0"), "{metrics}");
}

#[test]
fn too_large_a_message_is_refused_and_the_service_lives() {
    let _alone = alone();
    let service = stock_service();
    let huge = Attack::new("51 MiB", vec![b'x'; 51 * 1024 * 1024]);
    let (reply, _) = huge.send(service.address);
    assert_eq!(reply.status, 413, "{reply:?}");
    assert!(reply.json()["error"].is_string(), "{reply:?}");
    let invitation = mail("x", &crate::support::calendar("REQUEST", &["SUMMARY:x"]));
    assert_eq!(service.post("/checkv2", "", &invitation).status, 200);
}

/// The program itself, on a free port.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Program {
    /// Starts it and waits for the first answer.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments of `serve`.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_calspamd")), arguments)
    }

    /// The same with another program before it.
    pub(crate) fn start_by(mut command: Command, arguments: &[&str]) -> Self {
        let address = free_address();
        let started = Instant::now();
        // A configuration of its own says where the store is.
        let is_set = arguments.contains(&"--config");
        let store = (!is_set).then_some(("CALSPAMD_REPUTATION__STORE", "memory"));
        let child = command
            .args(["serve", "--http", &address.to_string()])
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("CALSPAMD_SPAMD__LISTEN", "none")
            .envs(store)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self { child, address };
        while std::net::TcpStream::connect(address).is_err() {
            assert!(started.elapsed() < Duration::from_mins(1), "the service does not start");
            thread::sleep(Duration::from_millis(2));
        }
        let reply = ask(address, b"GET /ping HTTP/1.0\r\n\r\n");
        assert_eq!((reply.status, reply.body.as_str()), (200, "pong\r\n"));
        program
    }

    /// Whether it is still there.
    pub(crate) fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// A line of `/proc/PID/status`, in kB.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
#[cfg(target_os = "linux")]
fn memory_stays_within_bounds() {
    let _alone = alone();
    let program = Program::start();
    for attack in attacks() {
        assert_eq!(attack.send(program.address).0.status, 200, "{}", attack.name);
        println!("{}: {} kB", attack.name, program.status("VmHWM"));
    }
    let most = program.status("VmHWM");
    assert!(most < MEMORY, "{most} kB");
}

/// A control group with a limit on memory: the machine's second version or its first.
struct Group {
    folder: PathBuf,
    is_first: bool,
}

impl Group {
    /// One with `limit` bytes; none where the machine lets nobody make any.
    fn new(limit: u64) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        // Fails where it is on already, or where it cannot be.
        drop(std::fs::write(root.join("cgroup.subtree_control"), "+memory"));
        let name = format!("calspamd-test-{}", std::process::id());
        [(root.join("memory"), true), (root.to_owned(), false)].into_iter().find_map(
            |(parent, is_first)| {
                let group = Self { folder: parent.join(&name), is_first };
                let file = if is_first { "memory.limit_in_bytes" } else { "memory.max" };
                if !parent.join("cgroup.procs").exists() {
                    return None;
                }
                std::fs::create_dir(&group.folder).ok()?;
                std::fs::write(group.folder.join(file), limit.to_string()).ok()?;
                let set = std::fs::read_to_string(group.folder.join(file)).ok()?;
                (set.trim() == limit.to_string()).then_some(group)
            },
        )
    }

    /// Runs the program inside.
    fn start(&self) -> Program {
        let mut inside = Command::new("/bin/sh");
        inside
            .args(["-c", "echo $$ >\"$0\"/cgroup.procs && exec \"$@\""])
            .arg(&self.folder)
            .arg(env!("CARGO_BIN_EXE_calspamd"));
        Program::start_by(inside, &[])
    }

    /// Processes of it that the system has killed because there was no more.
    fn killed(&self) -> String {
        let file = if self.is_first { "memory.oom_control" } else { "memory.events" };
        let text = std::fs::read_to_string(self.folder.join(file)).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.unwrap_or_else(|| panic!("{text}")).to_owned()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        drop(std::fs::remove_dir(&self.folder));
    }
}

/// What compose.yaml and the manifest for Kubernetes allow, and what their limits have to bear: every
/// attack, several at a time.
#[test]
#[cfg(target_os = "linux")]
fn the_limits_of_containers_are_enough() {
    let _alone = alone();
    let limit = 512 << 20;
    let read = |path: &str| std::fs::read_to_string(crate::support::repository(path)).unwrap();
    assert!(read("deploy/compose.yaml").contains("mem_limit: 512m"));
    assert!(read("deploy/kubernetes/calspamd.yaml").contains("limits: {memory: 512Mi}"));
    let group = Group::new(limit);
    let mut program = group.as_ref().map_or_else(Program::start, Group::start);
    if group.is_none() {
        println!("no control group can be made here: measured is what the process has taken");
    }
    let all = attacks();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(attack) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    assert_eq!(attack.send(program.address).0.status, 200, "{}", attack.name);
                }
            });
        }
    });
    let most = program.status("VmHWM");
    println!("{most} kB of {} kB", limit >> 10);
    assert!(program.lives() && most < limit >> 10, "{most} kB");
    if let Some(group) = &group {
        assert_eq!(group.killed(), "0");
    }
    // The group can be removed when nobody is in it.
    drop(program);
}

/// Bodies of a GiB and more in some kilobytes: refused before they are unpacked.
#[test]
#[cfg(target_os = "linux")]
fn bodies_that_unpack_without_end_cost_no_memory() {
    let _alone = alone();
    let program = Program::start();
    // Frames and members may stand one behind the other.
    let zeros = vec![0; 64 << 20];
    let zstd = compression::zstd(&zeros).unwrap().repeat(32);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&zeros).unwrap();
    let gzip = gzip.finish().unwrap().repeat(32);
    drop(zeros);
    let part = [
        &b"--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\
           Content-Type: application/json\r\n\r\n{}\r\n\
           --B\r\nContent-Disposition: form-data; name=\"message\"\r\nContent-Encoding: zstd\r\n\r\n"[..],
        &zstd,
        b"\r\n--B--\r\n",
    ]
    .concat();
    let type_of_parts = "Content-Type: multipart/form-data; boundary=B\r\n";
    for (path, headers, body) in [
        ("/checkv2", "Compression: zstd\r\n", &zstd),
        ("/checkv2", "Content-Encoding: gzip\r\n", &gzip),
        ("/learnspam", "Compression: zstd\r\n", &zstd),
        ("/checkv3", type_of_parts, &part),
    ] {
        assert!(body.len() < 8 << 20, "{path}: {}", body.len());
        let reply = ask(program.address, &post(path, headers, body));
        assert!(matches!(reply.status, 400 | 413), "{path}, {headers}: {reply:?}");
        let most = program.status("VmHWM");
        println!("{path}, {headers:?}: {}, {most} kB", reply.status);
        assert!(most < MEMORY, "{path}, {headers}: {most} kB");
    }
    assert_eq!(ask(program.address, b"GET /ping HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
#[cfg(target_os = "linux")]
fn the_start_is_quick_and_small() {
    let _alone = alone();
    let memory = (0..3).map(|_| Program::start().status("VmRSS")).min().unwrap_or_default();
    assert!(memory < MEMORY_AT_START, "{memory} kB");
    // Instructions, because times depend on what else the machine does.
    let folder = Folder::new();
    let log = folder.path().join("log");
    let mut counting = Command::new("valgrind");
    counting
        .args(["--tool=cachegrind", "--cache-sim=no", "--read-inline-info=no"])
        .arg("--cachegrind-out-file=/dev/null")
        .arg(format!("--log-file={}", log.display()))
        .arg(env!("CARGO_BIN_EXE_calspamd"));
    let mut program = Program::start_by(counting, &[]);
    let pid = program.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(program.child.wait().unwrap().success());
    let log = std::fs::read_to_string(log).unwrap();
    let (_, count) = log.split_once("refs:").unwrap_or_else(|| panic!("{log}"));
    let count: u64 = count.trim().replace(',', "").parse().unwrap();
    println!("{count} instructions, {memory} kB");
    // A build that is not optimised says nothing about them.
    assert!(cfg!(debug_assertions) || count < START, "{count} instructions");
}

/// Rules of every kind that look for the same word over and over, in a text made for them:
/// every `a` of it is a new start that fails only at the end.
#[test]
fn a_rule_that_explodes_is_stopped_and_named() {
    let bad = r"/(a+)+\1(a+)+\2$/";
    let rules = format!(
        "calendar X_CALENDAR text =~ {bad}\nheader X_HEADER Subject =~ {bad}\n\
         body X_BODY {bad}\nrawbody X_RAW {bad}\nfull X_FULL {bad}\n\
         mimeheader X_MIME X-Long =~ {bad}\nuri X_URI {bad}\n\
         uri_detail X_DETAIL raw =~ {bad}\nmeta X_META X_BODY || X_FULL"
    );
    let set = crate::support::rule_set(&rules);
    let long = format!("{}b", "a".repeat(60)).repeat(2_000);
    let event = format!("SUMMARY:{long}\nURL:http://sender.example/{long}");
    let text = mail(&long, &crate::support::calendar("REQUEST", &[&event]));
    let text = format!("X-Long: {long}\r\n{text}");
    let started = Instant::now();
    let request = calspamd::scan::Request::default();
    let outcome = crate::support::scan(text.as_bytes(), &request, &set);
    let took = started.elapsed();
    let mut named: Vec<&str> = outcome
        .defects
        .iter()
        .filter(|defect| defect.kind.name() == "limit:regex")
        .map(|defect| defect.place.as_str())
        .collect();
    named.sort_unstable();
    println!("{took:?}: {named:?}");
    assert!(took < TIME, "{took:?}");
    assert!(outcome.partial.iter().any(|reason| reason == "limit:regex"));
    let expected =
        ["X_BODY", "X_CALENDAR", "X_DETAIL", "X_FULL", "X_HEADER", "X_MIME", "X_RAW", "X_URI"];
    assert_eq!(named, expected);
}
