//! DNS lists against real servers: rbldnsd behind unbound for what lists say, and a server of
//! our own for all that can go wrong. Loopback and free ports only.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use calspamd::lists::{Lists, Settings};
use calspamd::message::Envelope;
use calspamd::rules::RuleSet;
use calspamd::scan::{self, Outcome, Request};

use crate::support::{assert_none, calendar, mail, repository, rule_set, seconds, symbols};

pub(crate) fn lists(server: SocketAddr) -> Lists {
    let settings = Settings { enabled: true, servers: vec![server], ..Settings::default() };
    Lists::start(&settings).unwrap()
}

/// Scans an invitation with this text, from this client.
pub(crate) fn scan_with(lists: &Lists, rules: &RuleSet, text: &str, client: &str) -> Outcome {
    let message = mail("Planning", &calendar("REQUEST", &[&format!("DESCRIPTION:{text}")]));
    let envelope = Envelope { client_ip: client.parse().ok(), ..Envelope::default() };
    let now = seconds("2026-11-20T12:00:00Z");
    let request = Request { envelope, now, ..Request::default() };
    let settings = scan::Settings { lists: lists.clone(), ..scan::Settings::default() };
    scan::scan(message.as_bytes(), &request, rules, &settings)
}

pub(crate) fn hits(outcome: &Outcome) -> BTreeSet<String> {
    symbols(outcome).into_iter().map(str::to_owned).collect()
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// rbldnsd with the zones of `tests/dns`, and unbound in front of it.
struct Lab {
    servers: Vec<Child>,
    folder: PathBuf,
    address: SocketAddr,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for server in &mut self.servers {
            drop(server.kill());
            drop(server.wait());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn program(name: &str) -> Command {
    let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/sbin"];
    let path = places.iter().map(|place| PathBuf::from(place).join(name)).find(|p| p.exists());
    let path = path.unwrap_or_else(|| panic!("{name} is not installed; `make tools` does that"));
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

impl Lab {
    fn start() -> Self {
        // Somebody else may have taken a port that was free a moment ago.
        (0..5).find_map(|_| Self::try_start()).unwrap()
    }

    fn try_start() -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("calspamd-dns-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["hosts.ip4", "names.dn", "hashes.dn"] {
            std::fs::copy(repository("tests/dns").join(name), folder.join(name)).unwrap();
        }
        let (rbl, port) = (free_port(), free_port());
        let mut rbldnsd = program("rbldnsd");
        // It refuses to be root, and reads its files as whom it becomes.
        if nix_is_root() {
            rbldnsd.args(["-u", "nobody"]);
        }
        rbldnsd.args(["-n", "-b", &format!("127.0.0.1/{rbl}"), "-w"]).arg(&folder).args([
            "hosts.lab.test:ip4set:hosts.ip4",
            "names.lab.test:dnset:names.dn",
            "hashes.lab.test:dnset:hashes.dn",
        ]);
        let folder_name = folder.display();
        let configuration = format!(
            "server:\n interface: 127.0.0.1@{port}\n directory: \"{folder_name}\"\n \
             pidfile: \"{folder_name}/unbound.pid\"\n use-syslog: no\n chroot: \"\"\n \
             username: \"\"\n do-daemonize: no\n num-threads: 1\n do-ip6: no\n \
             module-config: \"iterator\"\n do-not-query-localhost: no\n \
             qname-minimisation: no\n local-zone: \".\" static\n \
             local-zone: \"lab.test.\" transparent\nremote-control:\n control-enable: no\n\
             stub-zone:\n name: \"lab.test.\"\n stub-addr: 127.0.0.1@{rbl}\n"
        );
        let path = folder.join("unbound.conf");
        std::fs::write(&path, configuration).unwrap();
        let mut unbound = program("unbound");
        unbound.args(["-d", "-c"]).arg(&path);
        let servers = vec![rbldnsd.spawn().unwrap(), unbound.spawn().unwrap()];
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut lab = Self { servers, folder, address };
        lab.answers().then_some(lab)
    }

    /// Waits until the test point of a zone is answered; false when a server has given up.
    fn answers(&mut self) -> bool {
        let rules = rule_set(LAB_RULES);
        let end = Instant::now() + Duration::from_secs(20);
        while Instant::now() < end {
            let lists = lists(self.address);
            if lists.test(rules.lists()).iter().all(|report| report.off.is_none()) {
                return true;
            }
            if self.servers.iter_mut().any(|server| server.try_wait().unwrap().is_some()) {
                return false;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

fn nix_is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0")
}

const LAB_RULES: &str = "
dnslist HOSTS  zone=hosts.lab.test kind=ip codes=127.0.0.2-127.0.0.11
dnslist NAMES  zone=names.lab.test codes=6
dnslist HASHES zone=hashes.lab.test kind=hash codes=127.0.0.2
header HOST_2 eval:check_dnslist('HOSTS', 'client', '127.0.0.2')
header HOST_4 eval:check_dnslist('HOSTS', 'client', '127.0.0.4')
header HOST_10 eval:check_dnslist('HOSTS', 'client', '127.0.0.10')
header HOST_77 eval:check_dnslist('HOSTS', 'client', '127.0.0.77')
header HOST_ANY eval:check_dnslist('HOSTS', 'client')
body BLACK eval:check_dnslist('NAMES', 'event-link', '2')
body GREY eval:check_dnslist('NAMES', 'event-link', '4')
body ODD eval:check_dnslist('NAMES', 'event-link', '64')
header DROP_BOX eval:check_dnslist('HASHES', 'contact')
urirhssub SA_BLACK names.lab.test. A 2
body SA_BLACK eval:check_uridnsbl('SA_BLACK')
header SA_HOST eval:check_rbl('lab-lastexternal', 'hosts.lab.test.', '127.0.0.2')
header SA_TAKEN eval:check_rbl_sub('lab-lastexternal', '^127\\.0\\.0\\.4$')
header SA_TXT eval:check_rbl_txt('lab-lastexternal', 'hosts.lab.test.', '(?i:why)')
urirhsbl SA_NAME names.lab.test. A
body SA_NAME eval:check_uridnsbl('SA_NAME')
uridnsbl_skip_domain skipped-market.example
header SA_HASH eval:check_hashbl_emails('hashes.lab.test/A', 'sha1/max=10/shuffle', 'ALLFROM/Reply-To/body', '^127\\.')
header SA_MD5 eval:check_hashbl_emails('hashes.lab.test/A', 'md5/max=10', 'ALLFROM/Reply-To/body', '^127\\.')
";

/// Entries of a zone file: name and address.
fn entries(file: &str) -> Vec<(String, Ipv4Addr)> {
    let text = std::fs::read_to_string(repository("tests/dns").join(file)).unwrap();
    text.lines()
        .filter(|line| !line.starts_with(['#', '$']))
        .map(|line| {
            let mut parts = line.split(':');
            let name = parts.next().unwrap().trim().to_owned();
            (name, parts.next().unwrap().parse().unwrap())
        })
        .collect()
}

#[test]
fn every_entry_of_every_zone_gives_its_symbols() {
    let lab = Lab::start();
    let rules = rule_set(LAB_RULES);
    let lists = lists(lab.address);
    let mut failures = Vec::new();
    let mut check = |what: &str, outcome: &Outcome, expected: &[&str]| {
        let expected: BTreeSet<String> = expected.iter().map(|&name| name.to_owned()).collect();
        if hits(outcome) != expected {
            failures.push(format!("{what}: {:?}, not {expected:?}", hits(outcome)));
        }
    };
    for (host, answer) in entries("hosts.ip4") {
        let expected: &[&str] = match answer.octets() {
            _ if host.starts_with("127.") => &[],
            [127, 0, 0, 2] => &["HOST_2", "HOST_ANY", "SA_HOST", "SA_TXT"],
            [127, 0, 0, 4] => &["HOST_4", "HOST_ANY", "SA_TAKEN", "SA_TXT"],
            [127, 0, 0, 10] => &["HOST_10", "HOST_ANY", "SA_TXT"],
            _ => &[],
        };
        check(&host, &scan_with(&lists, &rules, "x", &host), expected);
    }
    check("clean", &scan_with(&lists, &rules, "x", "203.0.113.99"), &[]);
    for (name, answer) in entries("names.dn").into_iter().filter(|(name, _)| name != "test") {
        let expected: &[&str] = match answer.octets() {
            _ if name.starts_with("skipped") => &[],
            [127, 0, 0, 2] => &["BLACK", "SA_BLACK", "SA_NAME"],
            [127, 0, 0, 4] => &["GREY", "SA_NAME"],
            [127, 0, 0, 6] => &["BLACK", "GREY", "SA_BLACK", "SA_NAME"],
            _ => &[],
        };
        let link = format!("see https://www.{name}/x");
        check(&name, &scan_with(&lists, &rules, &link, ""), expected);
    }
    let address = "write to drop.box@parcel.example";
    check("address", &scan_with(&lists, &rules, address, ""), &["DROP_BOX", "SA_HASH"]);
    check("address", &scan_with(&lists, &rules, "write to box@parcel.example", ""), &[]);
    assert_none(&failures);
}

/// A DNS server that does what the label before `fault.example` says.
struct Faults {
    address: SocketAddr,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
    stop: Arc<AtomicBool>,
}

impl Drop for Faults {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Faults {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let address = socket.local_addr().unwrap();
        let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (log, stopped) = (Arc::clone(&asked), Arc::clone(&stop));
        thread::spawn(move || {
            let mut packet = [0; 1500];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut packet) else { continue };
                let query = packet[..length].to_vec();
                let Some((name, end)) = question(&query) else { continue };
                *log.lock().unwrap().entry(name.clone()).or_default() += 1;
                let mode = name.split('.').rev().nth(2).unwrap_or_default().to_owned();
                let Some((delay, reply)) = reply(&query, &name, end, &mode) else { continue };
                let socket = socket.try_clone().unwrap();
                thread::spawn(move || {
                    thread::sleep(delay);
                    drop(socket.send_to(&reply, client));
                });
            }
        });
        Self { address, asked, stop }
    }

    /// How often names that begin so were asked for.
    fn count(&self, start: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(name, _)| name.starts_with(start)).map(|(_, count)| count).sum()
    }

    /// Names asked for that are no test points.
    fn names(&self) -> BTreeSet<String> {
        let asked = self.asked.lock().unwrap();
        let is_point = |name: &str| name.starts_with("test.") || name.starts_with("invalid.");
        asked.keys().filter(|name| !is_point(name)).cloned().collect()
    }
}

/// The name asked for, and where the question ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    Some((labels.join("."), at + 4))
}

/// What a mode answers, and after what time; none for silence.
fn reply(query: &[u8], name: &str, end: usize, mode: &str) -> Option<(Duration, Vec<u8>)> {
    let make = |code: u8, addresses: &[[u8; 4]]| {
        let mut reply = query[..end].to_vec();
        reply[2] = 0x84 | (reply[2] & 1);
        reply[3] = 0x80 | code;
        reply[4..12].copy_from_slice(&[
            0,
            1,
            0,
            u8::try_from(addresses.len()).unwrap(),
            0,
            0,
            0,
            0,
        ]);
        for address in addresses {
            reply.extend([0xC0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
            reply.extend(address);
        }
        reply
    };
    let point = name.starts_with("2.0.0.127.") || name.starts_with("test.");
    let bad = name.contains("bad");
    let truth = || if point || bad { make(0, &[[127, 0, 0, 2]]) } else { make(3, &[]) };
    let reply = match mode {
        "dead" => return None,
        "servfail" => make(2, &[]),
        "refused" => make(5, &[]),
        "blocked" => make(0, &[[127, 255, 255, 254]]),
        "one" => make(0, &[[127, 0, 0, 1]]),
        "hijack" => make(0, &[[203, 0, 113, 80]]),
        "all" => make(0, &[[127, 0, 0, 2]]),
        "mixed" => make(0, &[[127, 0, 0, 2], [127, 255, 255, 254]]),
        "nothing" => make(0, &[]),
        "odd" => make(0, &[[127, 9, 9, 9]]),
        "junk" => b"junk".to_vec(),
        "badid" => {
            let mut reply = make(0, &[[127, 0, 0, 2]]);
            reply[0] ^= 0xFF;
            reply
        }
        // An alias of itself.
        "loop" => {
            let mut reply = make(0, &[]);
            reply[7] = 1;
            reply.extend([0xC0, 12, 0, 5, 0, 1, 0, 0, 1, 44, 0, 2, 0xC0, 12]);
            reply
        }
        // The answer to another question.
        "spoof" => {
            let mut reply = make(0, &[[127, 0, 0, 2]]);
            reply[13] ^= 1;
            reply
        }
        "late" => return Some((Duration::from_secs(4), truth())),
        "slow" => return Some((Duration::from_millis(300), truth())),
        _ => truth(),
    };
    Some((Duration::ZERO, reply))
}

#[test]
fn no_fault_is_a_hit() {
    let faults = Faults::start();
    let modes = [
        "dead", "servfail", "refused", "blocked", "one", "hijack", "all", "mixed", "nothing",
        "odd", "junk", "badid", "late", "loop", "spoof",
    ];
    let mut failures = Vec::new();
    thread::scope(|scope| {
        let scans: Vec<_> = modes
            .iter()
            .map(|mode| {
                let address = faults.address;
                scope.spawn(move || {
                    let lists = lists(address);
                    let rules = rule_set(&format!(
                        "dnslist L zone={mode}.fault.example kind=ip codes=127.0.0.2\n\
                         dnslist H zone=h.{mode}.fault.example kind=hash\n\
                         header LISTED eval:check_dnslist('L', 'client')\n\
                         header HASH eval:check_dnslist('H', 'organizer')\n"
                    ));
                    let started = Instant::now();
                    let outcome = scan_with(&lists, &rules, "x", "203.0.113.5");
                    (*mode, hits(&outcome), started.elapsed(), lists.report())
                })
            })
            .collect();
        for scan in scans {
            let (mode, hits, time, report) = scan.join().unwrap();
            if !hits.is_empty() || time > Duration::from_millis(2_500) {
                failures.push(format!("{mode}: {hits:?} after {time:?}"));
            }
            let counted: u64 = report[0].counts.iter().map(|(_, count)| count).sum();
            if counted == 0 && time < Duration::from_secs(2) {
                failures.push(format!("{mode}: {:?}", report[0].counts));
            }
        }
    });
    assert_none(&failures);
}

#[test]
fn a_campaign_is_asked_about_once() {
    let faults = Faults::start();
    let lists = lists(faults.address);
    let rules = rule_set(
        "dnslist A zone=slow.fault.example\ndnslist B zone=b.slow.fault.example form=host\n\
         body IN_A eval:check_dnslist('A', 'event-link')\n\
         body IN_B eval:check_dnslist('B', 'event-link')\n",
    );
    let hit = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..1_000 {
            let scan = || {
                let text = "see https://bad-new.example/x";
                let outcome = scan_with(&lists, &rules, text, "");
                *hit.lock().unwrap() += symbols(&outcome).len();
            };
            thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, scan).unwrap();
        }
    });
    // On a machine this busy the resolver may take an answer for lost, and ask once more.
    let asked = ["bad-new.example.slow.fault", "bad-new.example.b.slow.fault"];
    let counts = asked.map(|name| faults.count(name));
    assert!(counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
    assert_eq!(hit.into_inner().unwrap(), 2_000);
}

#[test]
fn dead_lists_hold_up_nobody_for_long() {
    let faults = Faults::start();
    let lists = lists(faults.address);
    let list = |number| {
        format!(
            "dnslist D{number} zone=z{number}.dead.fault.example\n\
             body D{number} eval:check_dnslist('D{number}', 'event-link')\n"
        )
    };
    let text: Vec<String> = (0..8).map(list).collect();
    let rules = rule_set(&text.concat());
    let links: Vec<String> = (0..6).map(|n| format!("https://host{n}.example/ ")).collect();
    let links = links.concat();
    let started = Instant::now();
    let first = scan_with(&lists, &rules, &links, "");
    assert!(started.elapsed() < Duration::from_millis(2_500), "{:?}", started.elapsed());
    assert!(first.partial.contains(&"lists".to_owned()), "{:?}", first.partial);
    let mut times: Vec<Duration> = (0..100)
        .map(|number| {
            let started = Instant::now();
            let link = format!("https://other{number}.example/");
            assert!(hits(&scan_with(&lists, &rules, &link, "")).is_empty());
            started.elapsed()
        })
        .collect();
    times.sort_unstable();
    println!("all lists dead: p50 {:?}, p95 {:?}", times[50], times[95]);
    assert!(times[95] < Duration::from_millis(50), "p95 is {:?}", times[95]);
}

#[test]
fn many_links_cost_few_questions() {
    let links: Vec<String> = (0..500).map(|n| format!("https://link{n}.example/ ")).collect();
    let links = links.concat();
    let ask = || {
        let faults = Faults::start();
        let rules = rule_set(
            "dnslist A zone=ok.fault.example\n\
             body A eval:check_dnslist('A', 'event-link')\n\
             header B eval:check_dnslist('A', 'organizer')\n",
        );
        let lists = lists(faults.address);
        let outcome = scan_with(&lists, &rules, &links, "");
        (faults.names(), outcome)
    };
    let (names, outcome) = ask();
    assert!(names.len() <= 60 && names.len() > 30, "{} questions", names.len());
    assert!(names.contains("sender.example.ok.fault.example"), "the organizer is left out");
    assert!(outcome.partial.contains(&"lists".to_owned()), "{:?}", outcome.partial);
    assert_eq!(ask().0, names, "another choice the second time");
}

#[test]
fn without_any_server_a_scan_goes_on() {
    let closed = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free_port());
    let rules =
        rule_set("dnslist A zone=ok.fault.example\nbody A eval:check_dnslist('A', 'event-link')\n");
    let lists = lists(closed);
    let started = Instant::now();
    let outcome = scan_with(&lists, &rules, "https://a.example/", "");
    assert!(hits(&outcome).is_empty());
    assert!(started.elapsed() < Duration::from_millis(2_500));
    let off = scan_with(&Lists::default(), &rules, "https://a.example/", "");
    assert!(off.partial.is_empty(), "{:?}", off.partial);
}

#[test]
fn a_key_switches_a_list_on_and_is_shown_nowhere() {
    let faults = Faults::start();
    let text = "dnslist A keyed={key}.ok.fault.example account=KEYS\n\
                body A eval:check_dnslist('A', 'event-link')\n";
    let without = rule_set(text);
    assert!(without.lists().is_empty());
    assert_eq!(without.lists_off().len(), 1);
    let with = rule_set(&format!("{text}dnslist KEYS key=sesame\n"));
    let lists = lists(faults.address);
    let outcome = scan_with(&lists, &with, "see https://bad.example/", "");
    assert_eq!(symbols(&outcome), ["A"]);
    assert_eq!(faults.count("bad.example.sesame.ok"), 1);
    let shown = format!("{outcome:?} {:?} {with:?}", lists.report());
    assert!(shown.contains("ok.fault.example") && !shown.contains("sesame"), "{shown}");
}
