//! Turns: a client with many connections and one with few, over both protocols, where a scan takes
//! its time and no work, so that nothing depends on how busy the machine is.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use calspamd::rules::RuleSet;
use calspamd::scan::{self, Outcome, Request};
use calspamd::server::{Address, Application, spamd};

use crate::controller::connect_from;
use crate::support::{
    Reply, Service, calendar, mail, post, rule_set, slow_scan, state, test_settings,
};

/// Time of a scan, which is long beside all else.
const NAP: Duration = Duration::from_millis(30);

/// Scans of a client that wants little.
const FEW: usize = 15;

/// Scans going on, and the most there were.
static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn nap(bytes: &[u8], request: &Request, rules: &RuleSet, settings: &scan::Settings) -> Outcome {
    MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    thread::sleep(NAP);
    NOW.fetch_sub(1, Ordering::SeqCst);
    scan::scan(bytes, request, rules, settings)
}

fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn message() -> String {
    mail("Lunch", &calendar("REQUEST", &["SUMMARY:Lunch"]))
}

/// Has a message scanned over Rspamd's protocol.
fn over_http(client: u8, address: SocketAddr) {
    let mut stream = connect_from(client, address);
    stream.write_all(&post("/checkv2", "", message().as_bytes())).unwrap();
    let reply = Reply::read(&mut stream);
    assert_eq!(reply.status, 200, "{reply:?}");
}

/// The same over spamd's.
fn over_spamd(client: u8, address: SocketAddr) {
    let mut stream = connect_from(client, address);
    let message = message();
    let head = format!("CHECK SPAMC/1.5\r\nContent-length: {}\r\n\r\n", message.len());
    stream.write_all([head, message].concat().as_bytes()).unwrap();
    drop(stream.shutdown(Shutdown::Write));
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("SPAMD/1.1 0 EX_OK"), "{reply}");
}

/// The time that half of a client's scans stay under.
fn median(scan: impl Fn()) -> Duration {
    let mut times: Vec<Duration> = (0..FEW)
        .map(|_| {
            let begun = Instant::now();
            scan();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[FEW / 2]
}

#[test]
fn who_has_many_connections_waits_like_who_has_one() {
    let mut application = Application::build(test_settings(), state(rule_set(""), nap)).unwrap();
    let listen = Some("127.0.0.1:0".parse().unwrap());
    application.add_spamd(spamd::Settings { listen, ..spamd::Settings::default() }).unwrap();
    let Some(Address::Tcp(spamd)) = application.spamd_address().cloned() else { panic!() };
    let service = Service::of(application);
    let http = service.address;
    let quiet = median(|| over_http(2, http)).max(median(|| over_spamd(2, spamd)));
    let is_over = AtomicBool::new(false);
    let given = AtomicUsize::new(0);
    let (by_http, by_spamd, small) = thread::scope(|scope| {
        let (is_over, given) = (&is_over, &given);
        for number in 0..8 * processors() {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    if number % 2 == 0 {
                        over_http(4, http);
                    } else {
                        over_spamd(4, spamd);
                    }
                    given.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // A second small one beside the first.
        let other = scope.spawn(move || median(|| over_spamd(3, spamd)));
        let by_http = median(|| over_http(2, http));
        let small = other.join();
        let by_spamd = median(|| over_spamd(2, spamd));
        is_over.store(true, Ordering::Relaxed);
        (by_http, by_spamd, small.unwrap())
    });
    let (given, most) = (given.into_inner(), MOST.load(Ordering::SeqCst));
    println!("{quiet:?} alone; {by_http:?}, {by_spamd:?}, {small:?} beside {given} others");
    for time in [by_http, by_spamd, small] {
        assert!(time < quiet * 3, "{quiet:?} alone, {time:?} beside the others");
    }
    // The large one had at least as much as all the others.
    assert!(given > 3 * FEW, "{given}");
    assert!(most <= processors(), "{most}");
}

/// The value of a metric.
fn metric(service: &Service, name: &str) -> usize {
    let text = service.ask(b"GET /metrics HTTP/1.0\r\n\r\n").body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is missing in {text}")).parse().unwrap()
}

#[test]
fn who_goes_away_leaves_the_line() {
    let service = Service::with(test_settings(), state(rule_set(""), slow_scan));
    let request = post("/checkv2", "", message().as_bytes());
    let ask = |client| {
        let mut stream = connect_from(client, service.address);
        stream.write_all(&request).unwrap();
        stream
    };
    let until = |what: &str, is_so: fn(usize, usize) -> bool, bound: usize| {
        let begun = Instant::now();
        while !is_so(metric(&service, "calspamd_scans_waiting"), bound) {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody {what}");
            thread::sleep(Duration::from_millis(2));
        }
    };
    let mut first: Vec<_> = (0..processors()).map(|_| ask(2)).collect();
    let many = (20 * processors()).min(300);
    let others: Vec<_> = (0..many).map(|_| ask(3)).collect();
    until("waits", |waiting, bound| waiting >= bound, many / 2);
    for stream in others {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    until("goes away", |waiting, bound| waiting <= bound, 0);
    for stream in &mut first {
        assert_eq!(Reply::read(stream).status, 200);
    }
    // Only those were scanned whose turn it had been already.
    let scanned = metric(&service, "calspamd_message_bytes_total") / message().len();
    println!("{scanned} of {many} were scanned");
    assert!(scanned < many / 2, "{scanned} of {many}");
}
