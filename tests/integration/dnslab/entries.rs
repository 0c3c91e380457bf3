//! Every entry of every zone gives exactly its symbols.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use calspamd::lists::AskResult;

use super::zones::{self, Asked, Dataset, What};
use super::{Lab, count};
use crate::lists::{hits, lists, scan_with};
use crate::support::{assert_none, rule_set};

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
            writeln!(text, "body {symbol} eval:check_dnslist('{list}', '{subject}', '{wanted}')")
                .unwrap();
        }
        writeln!(text, "body {list}_ANY eval:check_dnslist('{list}', '{subject}')").unwrap();
    }
    text
}

/// The symbols that answers of a list must give.
fn expected_of(list: &str, wanted: &[&str], answers: &[Ipv4Addr]) -> BTreeSet<String> {
    let is_error = |answer: &Ipv4Addr| match answer.octets() {
        [127, 255, 255, _] | [127, 0, 0, 1] => true,
        [127, 0, 0, 255] => list == "WL",
        [first, ..] => first != 127,
    };
    if answers.iter().any(is_error) {
        return BTreeSet::new();
    }
    let gives = |wanted: &str| match wanted.parse::<u8>() {
        Ok(bit) => answers.iter().any(|answer| answer.octets()[3] & bit != 0),
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
