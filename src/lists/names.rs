//! Turns addresses, hosts and mail addresses into the names that lists are asked for.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::list::{Digest, Kind, List, NameForm};
use crate::facts::domain;

/// Longest name in DNS, as text.
const LONGEST: usize = 253;

/// Top-level names that mean something in one network only, or nothing at all.
const LOCAL: [&str; 11] = [
    "localhost",
    "local",
    "internal",
    "lan",
    "home",
    "corp",
    "intranet",
    "localdomain",
    "arpa",
    "invalid",
    "onion",
];

/// Mailboxes that every domain has; nobody lists them.
const ROLES: [&str; 6] =
    ["abuse", "postmaster", "hostmaster", "webmaster", "noreply", "mailer-daemon"];

/// Something that lists can be asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Value {
    Ip(IpAddr),
    /// Lower case, punycode.
    Host(String),
    /// Lower case.
    Address(String),
}

impl Value {
    /// A host as links have it: a name, or an address.
    pub(super) fn of_host(host: &str) -> Option<Self> {
        let host = host.trim_end_matches('.');
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return is_public(ip.to_canonical()).then_some(Self::Ip(ip.to_canonical()));
        }
        is_name(host).then(|| Self::Host(host.to_ascii_lowercase()))
    }

    /// The names that a list is asked for, without its zone.
    pub(super) fn names(&self, list: &List) -> Vec<String> {
        let mut names = match (self, list.kind) {
            (Self::Ip(ip), Kind::Ip) => reversed(*ip, list.families).into_iter().collect(),
            (Self::Ip(ip), Kind::Name) if list.literals => {
                reversed(*ip, (true, false)).into_iter().collect()
            }
            (Self::Host(host), Kind::Name) => {
                let registered = domain::registered(host).into_owned();
                match list.form {
                    NameForm::Host => vec![host.clone()],
                    NameForm::Registered => vec![registered],
                    NameForm::Both if registered == *host => vec![registered],
                    NameForm::Both => vec![registered, host.clone()],
                }
            }
            (Self::Host(host), Kind::Mail) => vec![host.clone()],
            (Self::Address(address), Kind::Hash) => digests(address, list),
            (Self::Ip(_) | Self::Host(_) | Self::Address(_), _) => Vec::new(),
        };
        names.retain(|name| is_askable(name) && list.query(name).len() <= LONGEST);
        names
    }

    /// As people write it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Ip(ip) => ip.to_string(),
            Self::Host(text) | Self::Address(text) => text.clone(),
        }
    }
}

/// True for a name of two labels or more that the Internet could know.
fn is_name(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let Some((_, top)) = host.rsplit_once('.') else { return false };
    is_askable(&host) && !LOCAL.contains(&top) && top.bytes().any(|byte| !byte.is_ascii_digit())
}

/// True when DNS takes the name.
fn is_askable(name: &str) -> bool {
    name.len() <= LONGEST
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        })
}

/// True for addresses that somebody on the Internet can have. Those kept for examples count:
/// no mail comes from them, and whoever tries a list out needs some.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && b & 0xC0 == 64)
                || (a == 192 && b == 0 && c == 0)
                || (a == 198 && b & 0xFE == 18))
        }
        IpAddr::V6(ip) => {
            // Global unicast; the rest is local, multicast or nobody's.
            ip.segments().first().is_some_and(|first| first & 0xE000 == 0x2000)
        }
    }
}

fn reversed(ip: IpAddr, (four, six): (bool, bool)) -> Option<String> {
    match ip {
        IpAddr::V4(ip) => four.then(|| reversed_four(ip)),
        IpAddr::V6(ip) => six.then(|| reversed_six(ip)),
    }
}

fn reversed_four(ip: Ipv4Addr) -> String {
    let [a, b, c, d] = ip.octets();
    format!("{d}.{c}.{b}.{a}")
}

fn reversed_six(ip: Ipv6Addr) -> String {
    let mut name = String::with_capacity(63);
    for byte in ip.octets().iter().rev() {
        let dot = if name.is_empty() { "" } else { "." };
        let _ = write!(name, "{dot}{:x}.{:x}", byte & 15, byte >> 4);
    }
    name
}

/// Digests of an address: as the list's owners fold it, and as written where that differs.
fn digests(address: &str, list: &List) -> Vec<String> {
    let Some((user, host)) = address.rsplit_once('@') else { return Vec::new() };
    if ROLES.contains(&user) || user.is_empty() || !is_name(host) {
        return Vec::new();
    }
    let mut forms = vec![folded(user, host)];
    if forms.first().is_some_and(|form| form != address) {
        forms.push(address.to_owned());
    }
    let (digest, label) = &list.digest;
    forms
        .iter()
        .map(|form| {
            let hash = match digest {
                Digest::Sha1 => hexadecimal(&Sha1::digest(form.as_bytes())),
                Digest::Sha256 => base32(&Sha256::digest(form.as_bytes())),
            };
            label.as_ref().map_or_else(|| hash.clone(), |label| format!("{hash}.{label}"))
        })
        .collect()
}

/// One mailbox has one form: without a tag, and without the dots that Gmail ignores.
fn folded(user: &str, host: &str) -> String {
    let plain = user.split('+').next().filter(|plain| !plain.is_empty()).unwrap_or(user);
    match host {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", plain.replace('.', "")),
        _ => format!("{plain}@{host}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// RFC 4648 without padding, in lower case: DNS does not mind.
fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut text = String::new();
    let (mut bits, mut held) = (0_u32, 0_u32);
    let mut digit = |value: u32| {
        let digit = usize::try_from(value & 31).ok().and_then(|index| DIGITS.get(index));
        text.extend(digit.map(|digit| char::from(*digit)));
    };
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            digit(bits >> held);
        }
        bits &= (1 << held) - 1;
    }
    if held > 0 {
        digit(bits << (5 - held));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(kind: Kind) -> List {
        List::new("L", "l.example", "l.example", kind)
    }

    #[test]
    fn addresses_are_reversed() {
        #[track_caller]
        fn check(ip: &str, expected: &[&str]) {
            let value = Value::of_host(ip);
            let names = value.map(|value| value.names(&list(Kind::Ip))).unwrap_or_default();
            assert_eq!(names, expected);
        }
        check("192.0.2.10", &["10.2.0.192"]);
        check("[::ffff:192.0.2.10]", &["10.2.0.192"]);
        check("2001:db8::25", &["5.2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"]);
        for private in [
            "10.1.2.3",
            "127.0.0.2",
            "100.64.0.1",
            "169.254.1.1",
            "192.168.1.1",
            "172.20.0.1",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.8",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "::",
        ] {
            check(private, &[]);
        }
    }

    #[test]
    fn names_take_the_form_of_the_list() {
        #[track_caller]
        fn check(form: NameForm, host: &str, expected: &[&str]) {
            let list = List { form, ..list(Kind::Name) };
            let names = Value::of_host(host).map(|value| value.names(&list)).unwrap_or_default();
            assert_eq!(names, expected);
        }
        check(NameForm::Host, "WWW.Shop.example.co.uk.", &["www.shop.example.co.uk"]);
        check(NameForm::Registered, "www.shop.example.co.uk", &["example.co.uk"]);
        check(NameForm::Both, "www.a.example", &["a.example", "www.a.example"]);
        check(NameForm::Both, "a.example", &["a.example"]);
        for wrong in [
            "localhost",
            "printer.local",
            "host",
            "a..b.example",
            "-a.example",
            "a.b.invalid",
            "1.2.3.4.5",
            "4.3.2.1.in-addr.arpa",
            "a b.example",
            "",
        ] {
            check(NameForm::Host, wrong, &[]);
        }
        check(NameForm::Host, &format!("{}.example", "a".repeat(64)), &[]);
        check(NameForm::Host, &format!("{}example", "abcdefghi.".repeat(24)), &[]);
        // A list of names is asked about an address only where it knows some.
        check(NameForm::Host, "192.0.2.10", &[]);
        let literals = List { literals: true, ..list(Kind::Name) };
        assert_eq!(Value::of_host("192.0.2.10").unwrap().names(&literals), ["10.2.0.192"]);
    }

    #[test]
    fn addresses_are_hashed() {
        #[track_caller]
        fn check(digest: Digest, address: &str, expected: &[&str]) {
            let list = List { digest: (digest, None), ..list(Kind::Hash) };
            assert_eq!(Value::Address(address.to_owned()).names(&list), expected);
        }
        let sha1 = "79dd14cf9462b7094992287232d255e5e595be43";
        check(Digest::Sha1, "organizer@spam-shop.example", &[sha1]);
        check(
            Digest::Sha256,
            "organizer@spam-shop.example",
            &["5houvoucdtkbkqlau6c6axrty4gwo4facnmzwrj6d3lpogwccara"],
        );
        let tagged = Value::Address("organizer+x@spam-shop.example".to_owned());
        let names = tagged.names(&list(Kind::Hash));
        assert_eq!((names.len(), names[0].as_str()), (2, sha1));
        let dotted = Value::Address("drop.box419@googlemail.com".to_owned());
        let names = dotted.names(&list(Kind::Hash));
        assert_eq!(names[0], "1b39f09732c4d0040240c7921b53e8cac73a30e3");
        check(Digest::Sha1, "abuse@spam-shop.example", &[]);
        check(Digest::Sha1, "nobody", &[]);
    }
}
