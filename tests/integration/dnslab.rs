//! DNS lists against the lab beside this repository: rbldnsd with lists of every kind, unbound
//! in front of it, and a server that breaks in thirty ways. What each entry must give is worked
//! out from the lab's own zone files. Where the lab is not at hand the zones of `tests/dns` do
//! what they can (`lists`); where it is, its programs must be there too.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use calspamd::lists::{AskResult, Report};

use crate::cli::{Folder, Program, calspamd, json, out};
use crate::lists::{hits, lists, scan_with};
use crate::support::{assert_none, calendar, mail, repository, rule_set};
use zones::{Asked, Dataset, What};

mod zones;

/// The lab, running.
struct Lab {
    home: PathBuf,
    folder: PathBuf,
    /// unbound, which knows all of it.
    resolver: SocketAddr,
    /// The broken server itself.
    faults: SocketAddr,
}

impl Lab {
    /// `None`, said once, where the lab is not at hand.
    fn start() -> Option<Self> {
        let home = std::env::var_os("CALSPAMD_DNSLAB")
            .map_or_else(|| repository("../shared/dnslab"), PathBuf::from);
        if !home.is_dir() {
            println!("no DNS lab at {}: nothing is tested", home.display());
            return None;
        }
        // The lab removes no folder without its name in it.
        let folder = std::env::temp_dir().join(format!("dnslab-calspamd-{}", std::process::id()));
        let mut lab = Self {
            home,
            folder,
            resolver: SocketAddr::from(([127, 0, 0, 1], 0)),
            faults: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let output = lab.script("start.sh").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_ne!(output.status.code(), Some(77), "{said}; `make tools` installs it");
        assert!(output.status.success(), "{said}");
        let env = std::fs::read_to_string(lab.folder.join("lab.env")).unwrap();
        let settings: BTreeMap<&str, &str> =
            env.lines().filter_map(|line| line.split_once('=')).collect();
        lab.resolver.set_port(settings["DNSLAB_PORT"].parse().unwrap());
        lab.faults.set_port(settings["DNSLAB_FAULT_PORT"].parse().unwrap());
        Some(lab)
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg(self.home.join(name)).stdin(Stdio::null());
        command.env("DNSLAB_DIR", &self.folder).env("DNSLAB_PORT", "auto");
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.script("stop.sh").arg("--purge").output());
    }
}

/// The lists of the lab, in the words of a rule file.
const LISTS: &str = "
dnslist ZEN   zone=zen.dnslab.test kind=ip codes=127.0.0.2-127.0.0.4,127.0.0.9-127.0.0.11
dnslist IPBL  zone=ipbl.dnslab.test kind=ip codes=127.0.0.2
dnslist KEYED keyed={key}.keyed.dnslab.test account=KEYS kind=ip codes=127.0.0.2
dnslist WL    zone=wl.dnslab.test kind=ip use=allow codes=127.0.2.0-127.0.9.3,127.0.11.0-127.0.15.3
dnslist WL    errors=127.0.0.255,127.0.0.1,127.255.255.0/24
dnslist DBL   zone=dbl.dnslab.test form=host codes=127.0.1.2,127.0.1.4-127.0.1.6,127.0.1.102-127.0.1.106
dnslist NOIP  zone=dbl.dnslab.test form=host literals=yes codes=127.0.1.2-127.0.1.106
dnslist SURBL zone=surbl.dnslab.test form=host literals=yes codes=0xFC listed=test.surbl.example
dnslist URIBL zone=uribl.dnslab.test codes=14 listed=test.uribl.example
dnslist FRESH zone=fresh.dnslab.test codes=127.0.0.2 listed=young.example
dnslist EBL   zone=ebl.dnslab.test kind=hash codes=127.0.0.2,127.0.1.2
dnslist HBL1  zone=hbl.dnslab.test kind=hash hash=sha1 label=_email codes=127.0.3.2
dnslist HBL2  zone=hbl.dnslab.test kind=hash hash=sha256 label=_email codes=127.0.3.2
dnslist HBLU  zone=hbl.dnslab.test kind=link hash=sha256 label=_url codes=127.0.3.10
dnslist EMAIL zone=emailbl.dnslab.test kind=hash hash=blake2b codes=127.0.0.2
dnslist EDOM  zone=emailbl.dnslab.test kind=name hash=blake2b codes=127.0.0.2
";

/// List, its zone, and what its rules want: codes, or bits of the last octet.
const WANTED: [(&str, &str, &[&str]); 15] = [
    (
        "ZEN",
        "zen",
        &["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9", "127.0.0.10", "127.0.0.11"],
    ),
    ("IPBL", "ipbl", &["127.0.0.2"]),
    ("KEYED", "lab0key.keyed", &["127.0.0.2"]),
    ("WL", "wl", &["127.0.5.2", "127.0.15.0", "127.0.2.3"]),
    (
        "DBL",
        "dbl",
        &["127.0.1.2", "127.0.1.4", "127.0.1.5", "127.0.1.6", "127.0.1.102", "127.0.1.103"],
    ),
    (
        "NOIP",
        "dbl",
        &["127.0.1.2", "127.0.1.4", "127.0.1.5", "127.0.1.6", "127.0.1.102", "127.0.1.103"],
    ),
    ("SURBL", "surbl", &["4", "8", "16", "32", "64", "128"]),
    ("URIBL", "uribl", &["2", "4", "8"]),
    ("FRESH", "fresh", &["127.0.0.2"]),
    ("EBL", "ebl", &["127.0.0.2", "127.0.1.2"]),
    ("HBL1", "hbl", &["127.0.3.2"]),
    ("HBL2", "hbl", &["127.0.3.2"]),
    ("HBLU", "hbl", &["127.0.3.10"]),
    ("EMAIL", "emailbl", &["127.0.0.2"]),
    ("EDOM", "emailbl", &["127.0.0.2"]),
];

/// What a rule about this list asks about.
fn subject(list: &str) -> &'static str {
    match list {
        "ZEN" | "IPBL" | "KEYED" | "WL" => "client",
        "EBL" | "HBL1" | "HBL2" | "EMAIL" => "contact",
        _ => "event-link",
    }
}

fn symbol(list: &str, wanted: &str) -> String {
    format!("{list}_{}", wanted.rsplit_once("127.0.").map_or(wanted, |(_, end)| end))
        .replace('.', "_")
}

fn rules_text(key: &str) -> String {
    let mut text = format!("{LISTS}dnslist KEYS key={key}\n");
    for (list, _, wanted) in WANTED {
        let subject = subject(list);
        for wanted in wanted {
            let symbol = symbol(list, wanted);
            text +=
                &format!("body {symbol} eval:check_dnslist('{list}', '{subject}', '{wanted}')\n");
        }
        text += &format!("body {list}_ANY eval:check_dnslist('{list}', '{subject}')\n");
    }
    text
}

/// The symbols that answers of a list must give.
fn expected_of(list: &str, wanted: &[&str], answers: &[Ipv4Addr]) -> BTreeSet<String> {
    let last = |answer: &Ipv4Addr| answer.octets()[3];
    let is_error = |answer: &Ipv4Addr| match answer.octets() {
        [127, 255, 255, _] | [127, 0, 0, 1] => true,
        [127, 0, 0, 255] => list == "WL",
        [first, ..] => first != 127,
    };
    if answers.iter().any(is_error) {
        return BTreeSet::new();
    }
    let gives = |wanted: &str| match wanted.parse::<u8>() {
        Ok(bit) => answers.iter().any(|answer| last(answer) & bit != 0),
        Err(_) => answers.contains(&wanted.parse().unwrap()),
    };
    let mut found: BTreeSet<String> =
        wanted.iter().filter(|w| gives(w)).map(|w| symbol(list, w)).collect();
    if !found.is_empty() {
        found.insert(format!("{list}_ANY"));
    }
    found
}

/// What a message has that lists are asked about.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Probe {
    client: String,
    text: String,
}

impl Probe {
    fn client(ip: IpAddr) -> Self {
        Self { client: ip.to_string(), text: "x".to_owned() }
    }

    fn link(link: &str) -> Self {
        let slash = if link.contains('/') { "" } else { "/x" };
        Self { client: String::new(), text: format!("see https://{link}{slash}") }
    }

    fn contact(address: &str) -> Self {
        Self { client: String::new(), text: format!("write to {address} soon") }
    }
}

/// What a digest stands for: the comment says it.
#[derive(PartialEq, Eq)]
enum Hidden {
    Address(String),
    Domain(String),
    Link(String),
}

fn hidden(zone: &str, comment: &str) -> Option<Hidden> {
    let first = comment.split_whitespace().next()?;
    Some(match zone {
        "emailbl" => match comment.strip_prefix("domain ") {
            Some(domain) => Hidden::Domain(domain.to_owned()),
            None => Hidden::Address(first.replacen('.', "@", 1)),
        },
        "ebl" | "hbl" if first.contains('/') => Hidden::Link(first.to_owned()),
        "ebl" | "hbl" => Hidden::Address(first.to_owned()),
        _ => return None,
    })
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !matches!(ip.octets(), [0 | 10 | 127 | 224.., ..]),
        IpAddr::V6(ip) => ip.segments()[0] & 0xE000 == 0x2000,
    }
}

/// Where a customer's own name begins; enough for the names of the lab.
fn registered(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    let keep = if host.ends_with("co.uk") { 3 } else { 2 };
    labels[labels.len().saturating_sub(keep)..].join(".")
}

/// The entries of a zone of digests that stand for this. Of those for one address a list knows
/// the one it has made itself, by the length of the digest.
fn digests(datasets: &[Dataset], list: &str, zone: &str, wanted: &Hidden) -> Vec<Asked> {
    let dataset = datasets.iter().find(|dataset| dataset.zone == zone).unwrap();
    let entries = dataset.entries.iter().filter_map(|entry| match &entry.what {
        What::Name(name, _) => (hidden(zone, &entry.comment)? == *wanted).then_some(name),
        What::Net(..) => None,
    });
    let length = match list {
        "EBL" | "HBL1" => 40,
        "HBL2" | "HBLU" => 52,
        _ => 32,
    };
    let own = entries.filter(|name| name.split('.').next().unwrap().len() == length);
    own.map(|name| Asked::Name(name.clone())).collect()
}

/// What every list must say of a probe.
fn expected(datasets: &[Dataset], probe: &Probe) -> BTreeSet<String> {
    let link = probe.text.strip_prefix("see https://");
    let host = link.and_then(|link| link.split('/').next());
    let contact = probe.text.strip_prefix("write to ").and_then(|t| t.strip_suffix(" soon"));
    let mut found = BTreeSet::new();
    for (list, zone, wanted) in WANTED {
        let hidden = |hidden: Option<Hidden>| {
            hidden.map_or_else(Vec::new, |hidden| digests(datasets, list, zone, &hidden))
        };
        let asked: Vec<Asked> = match (list, host.map(|host| (host, host.parse::<IpAddr>()))) {
            ("EBL" | "HBL1" | "HBL2" | "EMAIL", _) => {
                hidden(contact.map(|address| Hidden::Address(address.to_owned())))
            }
            ("HBLU", _) => hidden(link.map(|link| Hidden::Link(link.to_owned()))),
            ("EDOM", Some((host, _))) => hidden(Some(Hidden::Domain(registered(host)))),
            ("ZEN" | "IPBL" | "KEYED" | "WL", _) => {
                let ip = probe.client.parse().ok().filter(|ip| is_public(*ip));
                ip.map(Asked::Ip).into_iter().collect()
            }
            ("SURBL" | "NOIP", Some((_, Ok(ip)))) if is_public(ip) => vec![Asked::Ip(ip)],
            (_, Some((_, Ok(_))) | None) => Vec::new(),
            ("URIBL" | "FRESH", Some((host, Err(_)))) => vec![Asked::Name(registered(host))],
            (_, Some((host, Err(_)))) => vec![Asked::Name(host.to_owned())],
        };
        for asked in asked {
            found.extend(expected_of(list, wanted, &zones::answers(datasets, zone, &asked)));
        }
    }
    found
}

/// Every entry, what stands beside it, and what only looks like it.
fn probes(datasets: &[Dataset]) -> BTreeSet<Probe> {
    let mut probes = BTreeSet::from([
        Probe::client("203.0.113.200".parse().unwrap()),
        Probe::client("2001:db8:2::1".parse().unwrap()),
        Probe::link("clean.example"),
        Probe::link("203.0.113.77"),
        Probe::contact("nobody@clean.example"),
    ]);
    for dataset in datasets {
        for entry in &dataset.entries {
            match &entry.what {
                What::Net(bits, length) => {
                    let last = bits | u128::MAX.checked_shr(*length).unwrap_or(0);
                    let around = [bits.saturating_sub(1), *bits, last, last.saturating_add(1)];
                    for ip in around.map(zones::ip) {
                        probes.insert(Probe::client(ip));
                        if let IpAddr::V4(four) = ip
                            && four.octets()[0] != 0
                        {
                            probes.insert(Probe::link(&four.to_string()));
                        }
                    }
                }
                What::Name(name, _) => {
                    match hidden(&dataset.zone, &entry.comment) {
                        Some(Hidden::Address(address)) => {
                            probes.insert(Probe::contact(&address));
                            probes.insert(Probe::contact(&format!("x{address}")));
                            continue;
                        }
                        Some(Hidden::Domain(name)) => {
                            probes.insert(Probe::link(&format!("www.{name}")));
                            continue;
                        }
                        Some(Hidden::Link(link)) => {
                            probes.insert(Probe::link(&link));
                            probes.insert(Probe::link(&format!("{link}.bak")));
                            continue;
                        }
                        None => {}
                    }
                    let below = ["", "www.", "a.b.", "x"].map(|before| format!("{before}{name}"));
                    let above = name.split_once('.').map(|(_, above)| above.to_owned());
                    let hosts = below.into_iter().chain(above).filter(|host| host.contains('.'));
                    probes.extend(hosts.map(|host| Probe::link(&host)));
                }
            }
        }
    }
    probes
}

#[test]
fn every_entry_of_the_lab_gives_its_symbols() {
    let Some(lab) = Lab::start() else { return };
    let datasets = zones::read(&lab.home);
    let zones: BTreeSet<&str> = datasets.iter().map(|dataset| &*dataset.zone).collect();
    for zone in &zones {
        assert!(WANTED.iter().any(|(_, known, _)| known == zone), "no list for {zone}");
    }
    let rules = rule_set(&rules_text("lab0key"));
    let lists = lists(lab.resolver);
    for report in lists.test(rules.lists()) {
        assert!(report.off.is_none(), "{report:?}");
    }
    let mut failures = Vec::new();
    let mut seen = BTreeSet::new();
    let probes = probes(&datasets);
    for probe in &probes {
        let found = hits(&scan_with(&lists, &rules, &probe.text, &probe.client));
        let expected = expected(&datasets, probe);
        if found != expected {
            let Probe { client, text } = probe;
            failures.push(format!("{client} {text}: {found:?}, not {expected:?}"));
        }
        seen.extend(expected);
    }
    assert_none(&failures);
    println!("{} zones, {} probes, {} symbols", zones.len(), probes.len(), seen.len());
    // Else the lab would have lost an entry that this test believes in.
    let missing: Vec<String> = WANTED
        .iter()
        .flat_map(|(list, _, wanted)| wanted.iter().map(|wanted| symbol(list, wanted)))
        .filter(|symbol| !seen.contains(symbol) && symbol != "SURBL_32")
        .collect();
    assert!(missing.is_empty(), "nothing gives {missing:?}");
    a_wrong_key_is_no_listing(&lab);
}

/// Whoever has no account is told nothing, and scores nothing.
fn a_wrong_key_is_no_listing(lab: &Lab) {
    let rules = rule_set(&rules_text("sesame"));
    let lists = lists(lab.resolver);
    let found = hits(&scan_with(&lists, &rules, "x", "203.0.113.7"));
    assert!(found.iter().all(|symbol| !symbol.starts_with("KEYED")), "{found:?}");
    assert!(found.contains("IPBL_0_2"), "{found:?}");
    let reports = lists.test(rules.lists());
    let keyed = reports.iter().find(|report| &*report.list.name == "KEYED").unwrap();
    assert!(count(keyed, AskResult::Failed) > 0, "{keyed:?}");
    assert_eq!(keyed.off.map(|(why, _)| why), Some("its answers are errors"));
}

fn count(report: &Report, result: AskResult) -> u64 {
    report.counts.iter().filter(|(known, _)| *known == result).map(|(_, count)| count).sum()
}

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

/// State and reason that `lists test` must give each list of [`CONTROLLED`].
const STATES: [(&str, &str, Option<&str>); 9] = [
    ("ALL", "broken", Some("it lists everything")),
    ("BLOCKED", "broken", Some("it refuses to answer this resolver")),
    ("EATEN", "broken", Some("its test entry is not listed; does the resolver drop 127.0.0.0/8?")),
    ("FAILING", "broken", Some("its answers are errors")),
    ("GOOD", "ok", None),
    ("PARKED", "broken", Some("it lists everything")),
    ("STRAY", "broken", Some("somebody else answers for it")),
    ("UNPAID", "off", Some("switched off, or its key is missing")),
    ("WHITE", "ok", None),
];

const CONTROLLED: &str = "
dnslist GOOD    zone=zen.dnslab.test kind=ip policy=\"free for all\"
dnslist WHITE   zone=wl.dnslab.test kind=ip use=allow codes=127.0.2.0-127.0.9.3 errors=127.0.0.255
dnslist ALL     zone=all.fault.dnslab.test kind=ip
dnslist PARKED  zone=b.all.fault.dnslab.test kind=hash
dnslist BLOCKED zone=b254.fault.dnslab.test kind=ip
dnslist STRAY   zone=hijack.fault.dnslab.test kind=ip
dnslist FAILING zone=servfail.fault.dnslab.test kind=ip
dnslist EATEN   zone=neg30.fault.dnslab.test kind=ip
dnslist UNPAID  keyed={key}.keyed.dnslab.test kind=ip
header GOOD    eval:check_dnslist('GOOD', 'client')
header WHITE   eval:check_dnslist('WHITE', 'client')
header ALL     eval:check_dnslist('ALL', 'client')
header PARKED  eval:check_dnslist('PARKED', 'organizer')
header BLOCKED eval:check_dnslist('BLOCKED', 'client')
header STRAY   eval:check_dnslist('STRAY', 'client')
header FAILING eval:check_dnslist('FAILING', 'client')
header EATEN   eval:check_dnslist('EATEN', 'client')
";

/// The states as an administrator sees them: by command, over HTTP, as metrics.
#[test]
fn the_state_of_lists_is_shown() {
    let Some(lab) = Lab::start() else { return };
    let folder = Folder::with("rules.cf", CONTROLLED);
    let (path, server) = (folder.path().display().to_string(), lab.resolver);
    let config = folder.write("calspamd.toml", &format!("[dns]\nservers = [\"{server}\"]\n"));
    let test =
        ["lists", "test", "--no-stock-rules", "--config", &config, "--rules", &path, "--color"];
    let output = calspamd(&[&test[..], &["never", "--json"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let rows = json(&out(&output));
    let found: Vec<(&str, &str, Option<&str>)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str();
            (text("name").unwrap(), text("state").unwrap(), text("reason"))
        })
        .collect();
    assert_eq!(found, STATES);
    let good = &rows[4];
    assert_eq!(
        (&good["zone"], &good["policy"]),
        (&"zen.dnslab.test".into(), &"free for all".into())
    );
    assert!(good["latency_ms"].as_f64().is_some_and(|ms| ms < 2_000.0), "{good}");

    let output = calspamd(&[&test[..], &["never"]].concat());
    let shown = out(&output);
    assert!(shown.lines().count() == STATES.len(), "{shown}");
    for (name, state, reason) in STATES {
        let line = shown.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line.contains(state) && line.contains(reason.unwrap_or_default()), "{line}");
    }

    let program = Program::start(&folder, CONTROLLED, lab.resolver);
    let message = mail("Planning", &calendar("REQUEST", &["SUMMARY:Planning"]));
    let answer = program.check("IP: 192.0.2.10\r\n", &message);
    let symbols: Vec<&String> = answer["symbols"].as_object().unwrap().keys().collect();
    assert_eq!(symbols, ["GOOD"], "{answer}");
    // Test points are looked at from the start on.
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let stat = program.get("/stat").json();
        let lists = stat["lists"].as_array().unwrap();
        let off = lists.iter().filter(|list| list["up"] == false);
        let off: Vec<&str> = off.map(|list| list["name"].as_str().unwrap()).collect();
        if off == ["ALL", "BLOCKED", "EATEN", "FAILING", "PARKED", "STRAY"] {
            let good = lists.iter().find(|list| list["name"] == "GOOD").unwrap();
            assert_eq!(good["questions"]["listed"], 1, "{good}");
            break;
        }
        assert!(Instant::now() < end, "{stat}");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(program.metric("calspamd_list_up{list=\"GOOD\"}"), 1);
    assert_eq!(program.metric("calspamd_list_up{list=\"STRAY\"}"), 0);
}
