//! The store that instances share, against a real server: what goes wrong with it, and three
//! processes that count like one.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use calspamd::reputation::store::{Ask, Change, Found, Kind};
use calspamd::reputation::{Redis, Settings, Store};

use crate::cli::Folder;
use crate::sequences::{Answer, START, Site, invitation};
use crate::stores::{key, member};

/// Time for what takes none.
const SOON: Duration = Duration::from_secs(5);

/// Time until something must have recovered by itself: the breaker's longest pause and a bit.
pub(crate) const RECOVERY: Duration = Duration::from_secs(20);

/// A server of our own, at a socket of its own.
pub(crate) struct Server {
    child: Child,
    folder: Folder,
    options: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn program(name: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin"];
    let path =
        places.iter().map(|place| PathBuf::from(place).join(name)).find(|path| path.exists());
    path.unwrap_or_else(|| panic!("{name} is not installed; `make tools` does that"))
}

fn run(folder: &Folder, options: &[String]) -> Child {
    let mut command = Command::new(program("redis-server"));
    // On one address only: on the others the port may be some client's.
    command.args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--bind", "127.0.0.1"]);
    if !options.iter().any(|option| option == "--port") {
        command.args(["--port", "0"]);
    }
    command
        .arg("--dir")
        .arg(folder.path())
        .arg("--unixsocket")
        .arg(folder.path().join("redis.sock"));
    command.args(options).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    pub(crate) fn with(options: &[&str]) -> Self {
        let folder = Folder::new();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let server = Self { child: run(&folder, &options), folder, options };
        server.wait();
        server
    }

    /// Waits until it answers.
    fn wait(&self) {
        let start = Instant::now();
        while self.try_say("PING").is_none_or(|reply| !reply.starts_with("+PONG")) {
            assert!(start.elapsed() < SOON, "redis-server does not start");
            thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    fn try_say(&self, line: &str) -> Option<String> {
        let stream = UnixStream::connect(self.socket()).ok()?;
        stream.set_read_timeout(Some(SOON)).ok()?;
        answer(stream, line)
    }

    fn say(&self, line: &str) -> String {
        self.try_say(line).unwrap()
    }

    /// It answers nobody any more, and closes nothing.
    pub(crate) fn freeze(&self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-STOP", &id]).status().unwrap().success());
    }

    fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again, empty.
    fn restart(&mut self) {
        self.child = run(&self.folder, &self.options);
        self.wait();
    }
}

/// Says a line in the clear; what is answered first.
pub(crate) fn answer(mut stream: impl Read + Write, line: &str) -> Option<String> {
    stream.write_all(format!("{line}\r\n").as_bytes()).ok()?;
    let mut reply = vec![0; 65_536];
    let read = stream.read(&mut reply).ok()?;
    Some(String::from_utf8_lossy(&reply[..read]).into_owned())
}

/// An empty store on a server that ends with it.
pub(crate) fn store() -> (Arc<Redis>, Server) {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let server = Server::start();
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let url = format!("{}?prefix=test{number}", server.url());
    (Arc::new(Redis::open(&url).unwrap()), server)
}

pub(crate) const ANN: &str = "ann@partner.example";
pub(crate) const BOB: &str = "bob@corp.example";

pub(crate) fn is_partial(answer: &Answer) -> bool {
    let partial = answer.0["calendar"]["partial"].as_array().unwrap();
    partial.iter().any(|reason| reason == "store")
}

/// Scans without waiting until it is remembered.
fn scan(site: &Site, number: usize) -> (Answer, Duration) {
    let mail = invitation(number, ANN, BOB, START);
    let start = Instant::now();
    let reply = site.service.post("/checkv2", &mail.headers(), &mail.text());
    assert_eq!(reply.status, 200, "{reply:?}");
    (Answer(reply.json()), start.elapsed())
}

/// Scans until the store answers again.
#[track_caller]
pub(crate) fn wait_for_recovery(site: &Site) {
    let start = Instant::now();
    let mut number = 1_000;
    while is_partial(&scan(site, number).0) {
        assert!(start.elapsed() < RECOVERY, "it does not recover");
        number += 1;
        thread::sleep(Duration::from_millis(100));
    }
    println!("recovered after {:?}", start.elapsed());
}

/// What a fault does to ten scans: none takes longer than the budget allows, and the breaker
/// makes the later ones as quick as without a store.
pub(crate) fn during(site: &Site, what: &str) {
    let budget = Settings::default().budget;
    let mut times: Vec<Duration> = Vec::new();
    for number in 100..110 {
        let (answer, time) = scan(site, number);
        assert!(is_partial(&answer), "{what}: {number}");
        assert!(!answer.has("CAL_FIRST_CONTACT"), "{what}: what nobody knows scores");
        times.push(time);
    }
    println!("{what}: {times:?}");
    assert!(
        times.iter().all(|time| *time < budget + Duration::from_millis(500)),
        "{what}: {times:?}"
    );
    let quick = times.iter().filter(|time| **time < budget).count();
    assert!(quick >= 6, "{what}: {times:?}");
}

#[test]
fn a_server_that_stops_freezes_or_comes_back_empty() {
    let (store, mut server) = store();
    let site = Site::new(store, &Settings::default());
    assert!(!is_partial(&site.scan(&invitation(0, ANN, BOB, START))));

    server.say("CLIENT PAUSE 3000 ALL");
    during(&site, "frozen");
    thread::sleep(Duration::from_secs(3));
    wait_for_recovery(&site);
    assert!(!site.scan(&invitation(1, ANN, BOB, START)).has("CAL_FIRST_CONTACT"), "forgotten");

    server.stop();
    during(&site, "stopped");
    server.restart();
    wait_for_recovery(&site);

    // Nothing is known, and that is known.
    server.say("FLUSHALL");
    let answer = site.scan(&invitation(2, ANN, BOB, START));
    assert!(!is_partial(&answer));
    assert!(!site.scan(&invitation(3, ANN, BOB, START + 60)).has("CAL_FIRST_CONTACT"));
    site.reputation.stop();
    site.service.stop();
}

#[test]
fn a_server_without_memory_is_asked_and_not_told() {
    let (store, server) = store();
    let entry = key(Kind::Seen, 1);
    let note = |who| Change::Note {
        key: entry,
        member: member(who),
        at: 10,
        window: 100,
        most: 9,
        life: 1_000,
    };
    store.record(&[note(1)]).unwrap();
    server.say("CONFIG SET maxmemory-policy noeviction");
    server.say("CONFIG SET maxmemory 1");
    let trouble = store.record(&[note(2)]).unwrap_err();
    assert!(trouble.to_string().contains("OOM"), "{trouble}");
    let count = |store: &Redis| {
        let asked = store.recall(&[Ask::Count { key: entry, since: 0, of: Vec::new() }], SOON);
        match asked.unwrap().as_slice() {
            [Found::Count { count, .. }] => *count,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(count(&store), 1);
    server.say("CONFIG SET maxmemory 0");
    store.record(&[note(3)]).unwrap();
    assert_eq!(count(&store), 2);
}

/// The service starts without its store, and finds it.
#[test]
fn a_server_that_comes_later() {
    let folder = Folder::new();
    let url = format!("redis+unix://{}/redis.sock", folder.path().display());
    let store = Arc::new(Redis::open(&url).unwrap());
    let ask = [Ask::Read { key: key(Kind::Event, 1), since: 0 }];
    store.recall(&ask, SOON).unwrap_err();
    let mut child = run(&folder, &[]);
    let start = Instant::now();
    while store.recall(&ask, SOON).is_err() {
        assert!(start.elapsed() < RECOVERY);
        drop(store.tend(0));
        thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Not an address, a subject or a text of a message is on the server.
#[test]
fn nothing_readable_is_on_the_server() {
    let (store, server) = store();
    let site = Site::new(store, &Settings::default());
    for number in 0..5 {
        let mut mail = invitation(number, ANN, BOB, START);
        mail.summary = "Quarterly budget of the northern branch".to_owned();
        mail.description =
            "Our courier tried to deliver your parcel this morning but nobody answered \
            at the given address, so please schedule another delivery. https://shop.example/x"
                .to_owned();
        site.scan(&mail);
    }
    server.say("CONFIG SET rdbcompression no");
    assert!(server.say("SAVE").starts_with("+OK"));
    let dump = std::fs::read(server.folder.path().join("dump.rdb")).unwrap();
    assert!(dump.len() > 2_000, "{}", dump.len());
    let dump = String::from_utf8_lossy(&dump).to_lowercase();
    for word in ["ann@", "bob@", "partner", "corp.example", "budget", "courier", "shop", "meeting-"]
    {
        assert!(!dump.contains(word), "{word}");
    }
    site.reputation.stop();
    site.service.stop();
}

/// A process of the program, at a socket.
struct Process {
    child: Child,
    socket: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Process {
    fn start(folder: &Folder, number: usize, store: &str, limit: u64) -> Self {
        let socket = folder.path().join(format!("{number}.sock"));
        let configuration = format!(
            "[http]\nlisten = \"unix:{}\"\n[log]\nlevel = \"error\"\n[reputation]\nstore = \"{store}\"\n\
             secret_file = \"{}\"\nbudget = \"4s\"\n[reputation.rates]\norganizer = \"{limit}/1d\"\n\
             domain = \"0/1h\"\nclient = \"0/1h\"\nrecipient = \"0/1h\"\n",
            socket.display(),
            folder.path().join("secret").display(),
        );
        let path = folder.path().join(format!("{number}.toml"));
        std::fs::write(&path, configuration).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_calspamd"))
            .arg("--config")
            .arg(&path)
            .arg("--no-dns")
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, socket };
        let start = Instant::now();
        while UnixStream::connect(&process.socket).is_err() {
            assert!(start.elapsed() < RECOVERY, "the program does not start");
            thread::sleep(Duration::from_millis(20));
        }
        process
    }

    /// Sends requests over one connection; the bodies of the answers.
    fn ask(&self, request: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(RECOVERY)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
        reply.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn scan(&self, number: usize) -> String {
        let mut mail = invitation(number, ANN, &format!("user{number}@corp.example"), START);
        mail.at = START + i64::try_from(number).unwrap();
        let text = mail.text();
        self.ask(&format!(
            "POST /checkv2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}Content-Length: {}\r\n\r\n{text}",
            mail.headers(),
            text.len(),
        ))
    }

    /// Scans remembered, and those that were not.
    fn recorded(&self) -> (u64, u64) {
        let text = self.ask("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let mut sums = (0, 0);
        for line in text.lines().filter(|line| line.contains("operation=\"record\"")) {
            let number = line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap();
            if line.contains("result=\"ok\"") { sums.0 += number } else { sums.1 += number }
        }
        sums
    }
}

/// Scans of the three processes together.
const SCANS: usize = 10_000;

#[test]
fn three_processes_count_like_one() {
    let server = Server::start();
    let folder = Folder::new();
    std::fs::write(folder.path().join("secret"), "the same secret for all three\n").unwrap();
    // Of so many none is too many, and one more is.
    let limit = SCANS as u64;
    let processes: Vec<Process> =
        (0..3).map(|number| Process::start(&folder, number, &server.url(), limit)).collect();
    let next = AtomicU64::new(0);
    let start = Instant::now();
    thread::scope(|scope| {
        for client in 0..12 {
            let (process, next) = (&processes[client % 3], &next);
            scope.spawn(move || {
                loop {
                    let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap();
                    if number >= SCANS - 1 {
                        break;
                    }
                    process.scan(number);
                }
            });
        }
    });
    let wait = Instant::now();
    let recorded = loop {
        let sums =
            processes.iter().map(Process::recorded).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
        if sums.0 + sums.1 >= limit - 1 || wait.elapsed() > RECOVERY {
            break sums;
        }
        thread::sleep(Duration::from_millis(50));
    };
    println!("{SCANS} scans in {:?}, remembered {recorded:?}", start.elapsed());
    assert_eq!(recorded, (limit - 1, 0));
    let last = processes[0].scan(SCANS - 1);
    assert!(!last.contains("CAL_RATE_SENDER"), "one too many: {last}");
    while processes[0].recorded().0 + processes[1].recorded().0 + processes[2].recorded().0 < limit
    {
        thread::sleep(Duration::from_millis(20));
    }
    let over = processes[1].scan(SCANS);
    assert!(over.contains("CAL_RATE_SENDER"), "one too few: {over}");
}
