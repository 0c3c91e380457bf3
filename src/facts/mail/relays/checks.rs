//! What SpamAssassin's functions ask of hops (`eval:` in header rules).
//!
//! Comes in: hops; for some the Received fields as text. Goes out: yes or no.
//! Not an error: no hops at all; most answers are no then.

use std::net::{IpAddr, Ipv4Addr};

use memchr::memmem;

use super::address::{is_four, is_private, is_space, is_word};
use super::{Relay, Relays};

/// Big mail services, whose own hosts never lack a name in DNS.
const SERVICES: [&str; 11] = [
    "lycos.com",
    "lycos.co.uk",
    "hotmail.com",
    "localhost.com",
    "excite.com",
    "caramail.com",
    "cs.com",
    "aol.com",
    "msn.com",
    "yahoo.com",
    "drizzle.com",
];

/// `check_all_trusted`: there are hops, and every one of them can be believed.
pub fn all_trusted(relays: &Relays) -> bool {
    !relays.all.is_empty() && relays.untrusted().next().is_none() && relays.unparseable == 0
}

/// `check_no_relays`: nothing that could be a hop.
pub fn no_relays(relays: &Relays) -> bool {
    relays.all.is_empty() && relays.unparseable == 0
}

/// `check_relays_unparseable`: a Received field that nobody understands.
pub fn relays_unparseable(relays: &Relays) -> bool {
    relays.unparseable > 0
}

/// `check_for_illegal_ip`: kept for old rules, never true since SpamAssassin 3.4.
pub const fn illegal_ip(_relays: &Relays) -> bool {
    false
}

/// `check_for_numeric_helo`: the first HELO that is a bare IPv4 address is a public one.
pub fn numeric_helo(relays: &Relays) -> bool {
    relays
        .untrusted()
        .filter_map(|relay| relay.helo.split([',', ';']).next())
        .find(|helo| is_four(helo))
        .is_some_and(|helo| !is_private(helo))
}

/// `helo_ip_mismatch`: HELO is a public IPv4 address, and not one of the same /24.
pub fn helo_ip_mismatch(relays: &Relays) -> bool {
    relays.untrusted().any(|relay| match (public_four(&relay.helo), public_four(&relay.ip)) {
        (Some(helo), Some(ip)) => helo.octets().get(..3) != ip.octets().get(..3),
        (Some(_) | None, _) => false,
    })
}

fn public_four(text: &str) -> Option<Ipv4Addr> {
    text.parse().ok().filter(|_| !is_private(text))
}

/// `check_for_sender_no_reverse`: the first hop of all has a name with a dot and a public
/// address.
pub fn sender_no_reverse(relays: &Relays) -> bool {
    relays
        .untrusted()
        .next_back()
        .is_some_and(|relay| relay.rdns.contains('.') && !relay.ip_private)
}

/// `check_for_no_rdns_dotcom_helo`: the first hop from a public address says HELO as a big
/// mail service and has no name in DNS.
pub fn no_rdns_dotcom_helo(relays: &Relays) -> bool {
    relays.untrusted().rfind(|relay| !relay.ip_private).is_some_and(|relay| {
        let helo = relay.helo.to_ascii_lowercase();
        let service = SERVICES.iter().any(|service| {
            helo.strip_suffix(service).is_some_and(|head| head.is_empty() || head.ends_with('.'))
        });
        service && relay.no_reverse_dns
    })
}

/// `check_for_forged_received_trail`: more than once, the host that passed the mail on is of
/// another domain than the one that had received it.
pub fn forged_received_trail(relays: &Relays) -> bool {
    let hops: Vec<&Relay> = relays.untrusted().collect();
    let mut mismatches = 0_usize;
    for pair in hops.windows(2) {
        let [after, before] = pair else {
            continue;
        };
        let by = domain_of(&before.by);
        let from = domain_of(&after.rdns);
        // The mail went round inside one machine.
        let looped = ["localhost", "localhost.localdomain"].contains(&from.as_str())
            && after.ip == "127.0.0.1";
        let famous = by == "msn.com" && from == "hotmail.com";
        if is_full_name(&by) && is_full_name(&from) && !looped && by != from && !famous {
            mismatches += 1;
        }
    }
    mismatches > 1
}

/// `check_for_forged_received_ip_helo`: HELO is a public IPv4 address of another /16.
pub fn forged_received_ip_helo(relays: &Relays) -> bool {
    relays.untrusted().any(|relay| {
        let four = |text: &str| text.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4);
        let (Some(IpAddr::V4(helo)), Some(IpAddr::V4(ip))) = (four(&relay.helo), four(&relay.ip))
        else {
            return false;
        };
        is_full_name(&domain_of(&relay.by))
            && helo.octets().get(..2) != ip.octets().get(..2)
            && !is_private(&relay.helo)
    })
}

/// `check_for_fake_aol_relay_in_rcvd`: a host named as AOL once named its relays, without
/// the other signs of them. `received` are all Received fields, decoded.
pub fn fake_aol_relay(received: &[u8]) -> bool {
    let mut line: Vec<u8> = Vec::with_capacity(received.len());
    for byte in received {
        if !is_space(*byte) {
            line.push(*byte);
        } else if !line.ends_with(b" ") {
            line.push(b' ');
        }
    }
    let lower = line.to_ascii_lowercase();
    let relay = memmem::find_iter(&lower, b" rly-").any(|at| {
        matches!(lower.get(at + 5..at + 10), Some([a, b, c, d, b'.'])
            if a.is_ascii_lowercase() && b.is_ascii_lowercase()
                && c.is_ascii_digit() && d.is_ascii_digit())
    });
    let genuine = ["ESMTP id RELAY", "ESMTP id MAILRELAY", "ESMTP id MAILIN"]
        .iter()
        .any(|mark| memmem::find(&line, mark.as_bytes()).is_some())
        || memmem::find_iter(&line, b"/AOL-").any(|at| {
            let rest = line.get(at + 5..).unwrap_or_default();
            let end = rest.iter().position(|b| !b.is_ascii_digit() && *b != b'.');
            let version = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let parts: Vec<&[u8]> = version.split(|byte| *byte == b'.').collect();
            parts.len() == 3
                && parts.iter().all(|part| !part.is_empty())
                && end.is_some_and(|end| rest.get(end) == Some(&b')'))
        });
    relay && !genuine
}

/// The domain of a host, guessed by the length of its last label; an address stays as it is.
fn domain_of(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if !host.bytes().any(|byte| byte.is_ascii_alphabetic()) {
        return host;
    }
    // Empty labels at the end do not count.
    let labels: Vec<&str> = host.trim_end_matches('.').split('.').collect();
    let long = |label: &&str| {
        label.len() >= 3 || ["ie", "fr", "de"].iter().any(|short| label.contains(short))
    };
    let kept = match labels.len() {
        0 | 1 => return host,
        _ if labels.last().is_some_and(long) => 2,
        2 => return host,
        _ => 3,
    };
    labels.get(labels.len() - kept..).unwrap_or_default().join(".")
}

/// A name of two labels at least, the first of two octets at least.
fn is_full_name(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(head, last)| {
        head.len() >= 2
            && head.bytes().next().is_some_and(is_word)
            && head.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
            && !last.is_empty()
            && last.bytes().all(is_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hops as `ip/rdns/helo/by`, the last one first; `+` in front: trusted.
    fn relays(hops: &[&str]) -> Relays {
        let all = hops
            .iter()
            .map(|hop| {
                let (trusted, hop) = hop.strip_prefix('+').map_or((false, *hop), |hop| (true, hop));
                let mut parts = hop.split('/').map(str::to_owned);
                let mut next = || parts.next().unwrap_or_default();
                let (ip, rdns) = (next(), next());
                Relay {
                    ip_private: is_private(&ip),
                    no_reverse_dns: rdns.is_empty(),
                    ip,
                    rdns,
                    helo: next(),
                    by: next(),
                    trusted,
                    ..Relay::default()
                }
            })
            .collect();
        Relays { all, ..Relays::default() }
    }

    #[track_caller]
    fn check(function: fn(&Relays) -> bool, hops: &[&str], expected: bool) {
        assert_eq!(function(&relays(hops)), expected, "{hops:?}");
    }

    #[test]
    fn what_is_trusted() {
        check(all_trusted, &["+10.0.0.1"], true);
        check(all_trusted, &["+10.0.0.1", "192.0.2.1"], false);
        check(all_trusted, &[], false);
        check(no_relays, &[], true);
        check(no_relays, &["+10.0.0.1"], false);
        let unread = Relays { unparseable: 1, ..relays(&["+10.0.0.1"]) };
        assert!(!all_trusted(&unread) && !no_relays(&unread) && relays_unparseable(&unread));
        check(illegal_ip, &["300.1.1.1"], false);
    }

    #[test]
    fn helo_that_is_an_address() {
        check(numeric_helo, &["192.0.2.1//192.0.2.1"], true);
        check(numeric_helo, &["192.0.2.1//10.0.0.1", "192.0.2.1//192.0.2.1"], false);
        check(numeric_helo, &["192.0.2.1//!192.0.2.1!"], false);
        check(numeric_helo, &["+192.0.2.1//192.0.2.1"], false);
        check(helo_ip_mismatch, &["192.0.2.1//198.51.100.1"], true);
        check(helo_ip_mismatch, &["192.0.2.1//192.0.2.9"], false);
        check(helo_ip_mismatch, &["192.0.2.1//10.0.0.1"], false);
        check(helo_ip_mismatch, &["10.0.0.1//192.0.2.1"], false);
        check(forged_received_ip_helo, &["192.0.2.1//198.51.100.1/m.example.com"], true);
        check(forged_received_ip_helo, &["192.0.2.1//192.0.9.1/m.example.com"], false);
        check(forged_received_ip_helo, &["192.0.2.1//198.51.100.1/m"], false);
    }

    #[test]
    fn names() {
        check(no_rdns_dotcom_helo, &["192.0.2.1//mx.AOL.com"], true);
        check(no_rdns_dotcom_helo, &["192.0.2.1/r.example/mx.aol.com"], false);
        check(no_rdns_dotcom_helo, &["192.0.2.1//xaol.com"], false);
        check(no_rdns_dotcom_helo, &["192.0.2.1//aol.com", "192.0.2.2//h.example"], false);
        check(no_rdns_dotcom_helo, &["192.0.2.1//aol.com", "10.0.0.2//h.example"], true);
        check(sender_no_reverse, &["192.0.2.1/r.example"], true);
        check(sender_no_reverse, &["10.0.0.1/r.example"], false);
        let forged = [
            "192.0.2.1/a.one.example//m.zero.example",
            "192.0.2.2/b.two.example//x.other.example",
            "192.0.2.3/c.three.example//y.another.example",
        ];
        check(forged_received_trail, &forged, true);
        check(forged_received_trail, forged.get(..2).unwrap(), false);
        check(
            forged_received_trail,
            &[
                "192.0.2.1/a.one.example//m",
                "192.0.2.2/b.one.example//x.one.example",
                "192.0.2.3///y.one.example",
            ],
            false,
        );
    }

    #[test]
    fn relays_of_aol() {
        for (received, expected) in [
            ("from x by rly-xw01.mx.aol.example\n with QMQP", true),
            ("from x by rly-xw01.mx.aol.example (8.8.8/8.8.8/AOL-5.0.0)\n", false),
            ("from rly-xj02.mx.example by y with ESMTP id RELAYIN7-05", false),
            ("from x by rly-x1.mx.example", false),
        ] {
            assert_eq!(fake_aol_relay(received.as_bytes()), expected, "{received}");
        }
    }
}
