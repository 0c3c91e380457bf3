//! What happens to the memory when something goes wrong: a process killed, a disk that is full
//! or cannot be written, two processes at once. And what anybody can read in it.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use calspamd::reputation::{Embedded, Memory, Provenance, Settings, Store};
use serde_json::Value;

use crate::cli::Folder;
use crate::cli::ok;
use crate::sequences::{DAY, START, Site, invitation};
use crate::support::{Reply, ask, free_address, post};

/// The program with a store in a folder.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    fn start(folder: &Path) -> Self {
        Self::run(folder, "")
    }

    /// The same in a shell, after a command.
    fn run(folder: &Path, before: &str) -> Self {
        let address = free_address();
        let program = env!("CARGO_BIN_EXE_calspamd");
        let script = format!("{before} exec {program} serve --http {address} --state \"$0\"");
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let program = Self { child, address };
        let end = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(address).is_err() {
            assert!(Instant::now() < end, "the service does not start");
            thread::sleep(Duration::from_millis(5));
        }
        program
    }

    #[track_caller]
    fn scan(&self, number: usize) -> Value {
        let to = format!("user{number}@corp.example");
        let mail = invitation(number, "ann@partner.example", &to, now());
        let reply = ask(self.address, &post("/checkv2", &mail.headers(), mail.text().as_bytes()));
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()
    }

    fn report(&self, number: usize) -> Reply {
        let to = format!("user{number}@corp.example");
        let mail = invitation(number, "ann@partner.example", &to, now());
        let headers = format!("User: user{number}@corp.example\r\n");
        ask(self.address, &post("/learnspam", &headers, mail.text().as_bytes()))
    }

    fn get(&self, path: &str) -> Reply {
        ask(self.address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    fn entries(&self, kind: &str) -> u64 {
        let reply = self.get("/calendar/store/stats");
        if reply.status == 200 { reply.json()["entries"][kind].as_u64().unwrap_or(0) } else { 0 }
    }

    /// Looks until it is so.
    #[track_caller]
    fn wait(&self, what: &str, ready: impl Fn(&Self) -> bool) {
        let end = Instant::now() + Duration::from_secs(20);
        while !ready(self) {
            assert!(Instant::now() < end, "no {what}: {:?}", self.get("/calendar/store/stats"));
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SIGKILL.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn now() -> i64 {
    calspamd::server::now()
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = Folder::new();
    for round in 0..4_usize {
        let program = Program::start(folder.path());
        for number in 0..10 {
            program.scan(round * 100 + number);
        }
        // Older than a second: in the file.
        thread::sleep(Duration::from_millis(2_200));
        for number in 10..15 {
            program.scan(round * 100 + number);
        }
        for number in 0..3 {
            let reply = program.report(round * 100 + number);
            assert_eq!(reply.status, 200, "{reply:?}");
        }
        drop(program);
    }
    let begun = Instant::now();
    let program = Program::start(folder.path());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    program.wait("records", |program| program.entries("record") >= 4 * 10);
    assert!(program.entries("record") <= 4 * 15);
    // A report is an entry for the UID, and for what the text has in common with others.
    assert!(program.entries("reports") >= 4 * 3, "{}", program.entries("reports"));
    let mail = invitation(0, "ann@partner.example", "user0@corp.example", now());
    let path = format!("/calendar/provenance?uid={}", mail.uid);
    assert_eq!(program.get(&path).json()["records"].as_array().unwrap().len(), 1);
}

#[test]
fn a_second_process_waits_for_the_file() {
    let folder = Folder::new();
    let first = Program::start(folder.path());
    first.scan(1);
    first.wait("record", |program| program.entries("record") == 1);
    let second = Program::start(folder.path());
    let answer = second.scan(2);
    assert_eq!(answer["calendar"]["partial"][0], "store", "{answer}");
    assert!(answer["symbols"].get("CAL_FIRST_CONTACT").is_none());
    assert_eq!(second.get("/calendar/store/stats").status, 503);
    assert_eq!(second.report(2).status, 503);
    thread::sleep(Duration::from_millis(1_500));
    drop(first);
    second.wait("record of the first", |program| program.entries("record") == 1);
    assert_eq!(second.scan(3)["calendar"]["partial"], serde_json::json!([]));
    second.wait("record of its own", |program| program.entries("record") == 2);
}

#[test]
fn a_full_disk_ends_no_scan_and_breaks_nothing() {
    let folder = Folder::new();
    {
        let program = Program::start(folder.path());
        program.scan(1);
        program.wait("record", |program| program.entries("record") == 1);
        thread::sleep(Duration::from_millis(1_200));
    }
    let size = std::fs::metadata(folder.path().join("memory.redb")).unwrap().len();
    {
        // No file may grow: what a full disk does to a file that has to. In blocks of 512 octets.
        let limit = format!("ulimit -f {};", size / 512);
        let program = Program::run(folder.path(), &limit);
        let long = "x".repeat(60_000);
        let mut slowest = Duration::ZERO;
        let mut refused = 0;
        for number in 100..160_usize {
            let mail = invitation(number, "ann@partner.example", "bob@corp.example", now());
            let text = mail.text().replace("SEQUENCE:0", &format!("SEQUENCE:0\r\nX-A:{long}"));
            let begun = Instant::now();
            let mut padded = mail.clone();
            let guests: Vec<String> = (0..250)
                .map(|n| format!("ATTENDEE:mailto:guest{n}@house{number}.example\r\n"))
                .collect();
            padded.extra = guests.concat();
            let body = if number % 2 == 0 { padded.text() } else { text };
            let reply = ask(program.address, &post("/checkv2", &mail.headers(), body.as_bytes()));
            slowest = slowest.max(begun.elapsed());
            assert_eq!(reply.status, 200, "{reply:?}");
            refused += u64::from(program.report(number).status != 200);
        }
        println!("slowest scan {slowest:?}, reports refused {refused}");
        assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        assert!(program.get("/health").status == 200);
    }
    let program = Program::start(folder.path());
    program.wait("record of before", |program| program.entries("record") >= 1);
    program.scan(500);
    assert_eq!(program.report(500).status, 200);
}

/// A disk that takes nothing more from one moment to the next, as one that the kernel has made
/// read-only; and that is mended later.
#[test]
fn a_disk_that_turns_read_only_is_used_again_when_it_is_mended() {
    let folder = Folder::new();
    // The limit below comes with a signal that no disk sends.
    let program = Program::run(folder.path(), "trap '' XFSZ;");
    program.scan(1);
    program.wait("record", |program| program.entries("record") == 1);
    assert_eq!(program.report(1).status, 200);
    let limit = |octets: &str| {
        let process = program.child.id().to_string();
        let status = Command::new("prlimit")
            .args(["--pid", &process, &format!("--fsize={octets}:unlimited")])
            .status()
            .expect("prlimit of util-linux runs");
        assert!(status.success());
    };
    // No octet may be written to any file.
    limit("0");
    let mut slowest = Duration::ZERO;
    for number in 2..40 {
        let begun = Instant::now();
        program.scan(number);
        slowest = slowest.max(begun.elapsed());
    }
    let refused = program.report(2);
    assert_eq!(refused.status, 503, "{refused:?}");
    let begun = Instant::now();
    program.scan(40);
    slowest = slowest.max(begun.elapsed());
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    limit("unlimited");
    program.wait("report that is taken", |program| program.report(3).status == 200);
    program.scan(50);
    program.wait("record of afterwards", |program| program.entries("record") >= 2);
    // What was acknowledged before is still there.
    drop(program);
    let program = Program::start(folder.path());
    program.wait("reports", |program| program.entries("reports") >= 2);
    assert_eq!(program.scan(60)["calendar"]["partial"], serde_json::json!([]));
}

#[test]
fn a_directory_that_cannot_be_written_means_memory() {
    let folder = Folder::new();
    let file = folder.path().join("not-a-directory");
    std::fs::write(&file, "x").unwrap();
    let program = Program::start(&file.join("state"));
    program.scan(1);
    program.wait("record", |program| program.entries("record") == 1);
    assert_eq!(program.get("/calendar/store/stats").json()["store"], "memory");
}

/// Everything in the files of a folder.
fn octets(folder: &Path) -> Vec<u8> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.flat_map(|path| std::fs::read(path).unwrap()).collect()
}

fn holds(octets: &[u8], text: &str) -> bool {
    let octets = octets.to_ascii_lowercase();
    let text = text.to_ascii_lowercase();
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn nothing_of_a_message_can_be_read_in_the_store() {
    let secrets = [
        "ann.smith",
        "partner-house",
        "bob.jones",
        "corp-house",
        "secret-merger",
        "quarterly",
        "meeting-1-7f3a",
        "mail-1-",
        "555-0143",
        "5550143",
        "links-to.example",
        "192.0.2.99",
    ];
    for provenance in [Provenance::Hashed, Provenance::Full] {
        let folder = Folder::new();
        let store = Arc::new(Embedded::open(folder.path(), 64 << 20).unwrap());
        let site = Site::new(store, &Settings { provenance, ..Settings::default() });
        let mut mail =
            invitation(1, "ann.smith@partner-house.example", "bob.jones@corp-house.example", START);
        mail.summary = "Secret-merger of the two".to_owned();
        mail.description = "The quarterly numbers are confidential, call +1 202 555-0143 or look \
                            at https://links-to.example/path before we meet and decide on \
                            everything else that is still open"
            .to_owned();
        mail.ip = Some("192.0.2.99");
        site.scan(&mail);
        let mut letter = mail.clone();
        letter.user = Some("bob.jones@corp-house.example".to_owned());
        site.scan(&letter);
        for path in ["/learnspam", "/learnham"] {
            let headers = format!("User: bob.jones@corp-house.example\r\nReceived-At: {START}\r\n");
            assert_eq!(site.report(path, &headers, &mail.text()), 1);
        }
        site.reputation.stop();
        let octets = octets(folder.path());
        assert!(octets.len() > 10_000);
        let found: Vec<&&str> = secrets.iter().filter(|text| holds(&octets, text)).collect();
        match provenance {
            Provenance::Hashed => assert!(found.is_empty(), "{found:?}"),
            // What the administrator asks for, and no texts all the same.
            Provenance::Full => {
                let expected = [
                    "ann.smith",
                    "partner-house",
                    "bob.jones",
                    "corp-house",
                    "meeting-1-7f3a",
                    "mail-1-",
                    "192.0.2.99",
                ];
                assert_eq!(found, expected.iter().collect::<Vec<_>>());
            }
        }
    }
}

#[test]
fn an_address_is_forgotten_on_request() {
    let memory: Arc<dyn Store> = Arc::new(Memory::new(64 << 20));
    let settings = Settings { provenance: Provenance::Full, ..Settings::default() };
    let site = Site::new(Arc::clone(&memory), &settings);
    let (ann, bob) = ("ann@partner.example", "bob@corp.example");
    site.scan(&invitation(1, ann, bob, START));
    site.scan(&invitation(2, "dan@other.example", bob, START));
    let path = "/calendar/store/purge?address=ann%40partner.example";
    assert!(site.report(path, "", "") > 3);
    let mut text = Vec::new();
    memory.visit(&mut |_, entry| text.extend(entry.encode())).unwrap();
    assert!(!holds(&text, ann) && holds(&text, "dan@other.example"));
    assert!(site.scan(&invitation(3, ann, bob, START + DAY)).has("CAL_FIRST_CONTACT"));
    let known = site.scan(&invitation(4, "dan@other.example", bob, START + DAY));
    assert!(!known.has("CAL_FIRST_CONTACT"));
    assert_eq!(site.report("/calendar/store/purge?address=nobody%40it.example", "", ""), 0);
    assert_eq!(site.service.post("/calendar/store/purge", "", "").status, 400);
}

#[test]
fn a_store_moves_to_another_machine() {
    let make = || -> Arc<dyn Store> { Arc::new(Memory::new(64 << 20)) };
    let one = Site::new(make(), &Settings::default());
    let (ann, bob) = ("ann@partner.example", "bob@corp.example");
    one.scan(&invitation(1, ann, bob, START));
    let http = |site: &Site| site.service.address.to_string();
    let exported = ok(&["store", "export", "--http", &http(&one)]);
    assert!(exported.lines().last().unwrap().starts_with("# end "), "{exported}");
    assert!(!holds(exported.as_bytes(), "ann"));
    let other = Site::new(make(), &Settings::default());
    let lines = exported.lines().count() as u64 - 1;
    let folder = Folder::new();
    let file = folder.write("export", &exported);
    let said = ok(&["store", "import", &file, "--http", &http(&other)]);
    assert_eq!(said, format!("entries taken over: {lines}\n"));
    let said = ok(&["store", "stats", "--http", &http(&other)]);
    assert!(said.starts_with("store: memory\nbytes: "), "{said}");
    let mut update = invitation(1, ann, bob, START + DAY);
    update.sequence = 1;
    assert!(other.scan(&update).has("CAL_UID_KNOWN"));
    let reply = other.service.post("/calendar/store/import", "", "nonsense\n");
    assert_eq!(reply.status, 400, "{reply:?}");
    assert!(reply.body.contains("line 1 is no entry"), "{reply:?}");
}

/// Processor time of this process so far.
#[cfg(target_os = "linux")]
fn processor() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
#[cfg(target_os = "linux")]
fn remembering_costs_no_more_than_a_scan() {
    use calspamd::reputation::Reputation;
    use calspamd::scan::{self, Request};

    const SCANS: usize = 1_000;
    let rules = crate::support::stock();
    let samples: Vec<String> = ["README-callback.eml"]
        .iter()
        .map(|name| crate::support::repository("tests/messages/spam").join(name))
        .chain(crate::support::messages("ham").into_iter().step_by(9))
        .filter(|path| path.extension().is_some_and(|ending| ending == "eml"))
        .map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
        .filter(|text| text.contains("UID:"))
        .collect();
    let run = |settings: &scan::Settings, from: usize| {
        let before = processor();
        for number in from..from + SCANS {
            // Nothing that was seen before, as good as all of it.
            let text = samples[number % samples.len()].replace("UID:", &format!("UID:{number}-"));
            let mut request = Request { now: START, ..Request::default() };
            request.envelope.recipients.push(format!("user{}@corp.example", number % 300));
            scan::scan(text.as_bytes(), &request, rules, settings);
        }
        settings.reputation.settle().unwrap();
        processor().saturating_sub(before)
    };
    let without = scan::Settings::default();
    let folder = Folder::new();
    let store = Arc::new(Embedded::open(folder.path(), 1 << 28).unwrap());
    let clock = Arc::new(|| START);
    let reputation = Reputation::over(store, b"secret", &Settings::default(), clock).unwrap();
    let with = scan::Settings { reputation, ..scan::Settings::default() };
    run(&without, 0);
    let (mut bare, mut remembered) = (Duration::ZERO, Duration::ZERO);
    for round in 0..3 {
        bare += run(&without, round * SCANS);
        remembered += run(&with, round * SCANS);
    }
    let share = remembered.as_secs_f64() / bare.as_secs_f64() - 1.0;
    println!("{bare:?} without, {remembered:?} with: {:.0} % more", share * 100.0);
    // Coarse, so that a busy machine breaks nothing: it finds what has become twice as costly.
    assert!(share < 1.2, "{share}");
}
