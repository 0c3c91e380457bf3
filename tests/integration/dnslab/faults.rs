//! Whatever a list does wrong is no hit, ends in time and is counted.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use calspamd::lists::AskResult;

use super::{Lab, count};
use crate::lists::{hits, lists, scan_with};
use crate::support::{assert_none, rule_set};

/// What a mode must come to: a hit or none, and how the question is counted.
struct Mode {
    zone: &'static str,
    codes: &'static str,
    hit: Option<bool>,
    counted: &'static [AskResult],
}

const fn mode(zone: &'static str, hit: bool, counted: &'static [AskResult]) -> Mode {
    Mode { zone, codes: "127.0.0.2", hit: Some(hit), counted }
}

/// Asked of the broken server itself.
fn modes() -> Vec<Mode> {
    use AskResult::{Failed, Hijacked, Listed, NotListed, Refused, TimedOut, Unexpected};
    vec![
        // A right answer, though not every one comes easily.
        mode("ok", true, &[Listed]),
        mode("ms200.slow", true, &[Listed]),
        // The whole answer is had over TCP.
        mode("trunc", true, &[Listed]),
        // A list may alias its entries.
        mode("cname", true, &[Listed]),
        mode("cnameonly", true, &[Listed]),
        mode("multi", true, &[Listed]),
        mode("txt", true, &[Listed]),
        mode("ttl0", true, &[Listed]),
        mode("ttl1", true, &[Listed]),
        mode("ttlbig", true, &[Listed]),
        // The answer to another question is dropped, the right one taken.
        mode("spoof", true, &[Listed]),
        mode("lower", true, &[Listed]),
        // A packet got lost, and is sent again.
        mode("drop1", true, &[Listed]),
        mode("bits2", true, &[Listed]),
        Mode { codes: "72", ..mode("bits72", true, &[Listed]) },
        // Every other answer is an error: whether it is believed depends on when test points were asked.
        Mode { hit: None, ..mode("flap", true, &[Listed, Failed]) },
        // The list says no, with and without a word on how long.
        mode("neg1", false, &[NotListed]),
        mode("neg30", false, &[NotListed]),
        mode("negnosoa", false, &[NotListed]),
        mode("nodata", false, &[NotListed]),
        mode("cnameloop", false, &[NotListed, Failed, TimedOut]),
        // Nobody, or nothing to be understood.
        mode("dead", false, &[TimedOut]),
        mode("slow", false, &[TimedOut]),
        mode("badid", false, &[TimedOut]),
        mode("junk", false, &[TimedOut, Failed]),
        mode("servfail", false, &[Failed]),
        mode("refused", false, &[Failed]),
        mode("formerr", false, &[Failed]),
        mode("notimp", false, &[Failed]),
        mode("truncdead", false, &[Failed, TimedOut]),
        // Refusals.
        mode("b252", false, &[Refused]),
        mode("b254", false, &[Refused]),
        mode("b255", false, &[Refused]),
        mode("one", false, &[Refused]),
        mode("bits1", false, &[Refused]),
        Mode { codes: "1", ..mode("a.bits1", false, &[Refused]) },
        mode("mixed", false, &[Refused]),
        // Not what the list is defined to say.
        mode("hijack", false, &[Hijacked]),
        mode("bits0", false, &[Unexpected]),
        mode("bits64", false, &[Unexpected]),
        mode("bits255", false, &[Unexpected]),
        // A parked zone has everything; its clean test point gives it away.
        mode("all", false, &[Listed]),
    ]
}

/// The same behind unbound, which mends some and makes errors of others.
fn modes_behind_a_resolver() -> Vec<Mode> {
    use AskResult::{Failed, Hijacked, Listed, NotListed, Refused, TimedOut};
    vec![
        mode("ok", true, &[Listed]),
        mode("trunc", true, &[Listed]),
        mode("cnameonly", true, &[Listed]),
        mode("neg30", false, &[NotListed]),
        mode("servfail", false, &[Failed, TimedOut]),
        mode("refused", false, &[Failed, TimedOut]),
        mode("dead", false, &[TimedOut, Failed]),
        mode("b254", false, &[Refused]),
        mode("one", false, &[Refused]),
        mode("mixed", false, &[Refused]),
        mode("hijack", false, &[Hijacked]),
        mode("all", false, &[Listed]),
    ]
}

/// Scans with a list in this mode; what is wrong with what it came to.
fn wrong(server: SocketAddr, mode: &Mode) -> Option<String> {
    let Mode { zone, codes, hit, counted } = mode;
    let lists = lists(server);
    let rules = rule_set(&format!(
        "dnslist L zone={zone}.fault.dnslab.test kind=ip codes={codes}\n\
         header LISTED eval:check_dnslist('L', 'client')\n"
    ));
    let started = Instant::now();
    let outcome = scan_with(&lists, &rules, "x", "203.0.113.5");
    let time = started.elapsed();
    let found = hits(&outcome).contains("LISTED");
    if hit.is_some_and(|hit| hit != found) || time > Duration::from_millis(2_500) {
        return Some(format!("{zone}: hit {found} after {time:?}: {:?}", lists.report()));
    }
    // Who has waited for nothing leaves before the question is counted.
    let end = Instant::now() + Duration::from_secs(3);
    loop {
        let report = lists.report().remove(0);
        if counted.iter().any(|result| count(&report, *result) > 0) {
            return None;
        }
        if Instant::now() > end {
            return Some(format!("{zone}: {:?}, not {counted:?}", report.counts));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn no_fault_of_the_lab_is_a_hit() {
    let Some(lab) = Lab::start() else { return };
    let direct = modes().into_iter().map(|mode| (lab.faults, mode));
    let behind = modes_behind_a_resolver().into_iter().map(|mode| (lab.resolver, mode));
    let all: Vec<(SocketAddr, Mode)> = direct.chain(behind).collect();
    let failures: Vec<String> = thread::scope(|scope| {
        let scans: Vec<_> =
            all.iter().map(|(server, mode)| scope.spawn(|| wrong(*server, mode))).collect();
        scans.into_iter().filter_map(|scan| scan.join().unwrap()).collect()
    });
    println!("{} modes", all.len());
    assert_none(&failures);
}
