//! Turns addresses, hosts and mail addresses into the names that lists are asked for.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use blake2::Blake2b512;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::list::{Digest, Kind, List, NameForm};
use crate::facts::domain;

/// Longest name in DNS, as text.
const LONGEST: usize = 253;

/// Longest path that is hashed.
const LONGEST_PATH: usize = 2_048;

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
    /// A name that DNS takes, lower case, punycode.
    Host(String),
    /// Lower case.
    Address(String),
    /// Host and path.
    Link(String),
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

    /// A link: its host and path, without what comes before and behind them.
    pub(super) fn of_link(url: &str, host: &str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        let path = rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/");
        (path.len() <= LONGEST_PATH).then(|| Self::Link(format!("{host}{path}")))
    }
}

/// A value with what is worked out of it for all lists at once.
#[derive(Debug)]
pub(super) struct Named {
    value: Value,
    /// As people write it.
    pub(super) shown: Arc<str>,
    /// The registered domain of a host.
    registered: Option<Arc<str>>,
    /// An address as lists of hosts want it.
    reversed: Option<Arc<str>>,
}

impl Named {
    pub(super) fn new(value: Value) -> Self {
        let shown: Arc<str> = match &value {
            Value::Ip(ip) => ip.to_string().into(),
            Value::Host(text) | Value::Address(text) | Value::Link(text) => text.as_str().into(),
        };
        let registered = match &value {
            Value::Host(host) => Some(match domain::registered(host) {
                domain if *domain == *shown => Arc::clone(&shown),
                domain => domain.into(),
            }),
            Value::Ip(_) | Value::Address(_) | Value::Link(_) => None,
        };
        let reversed = match &value {
            Value::Ip(IpAddr::V4(ip)) => Some(reversed_four(*ip).into()),
            Value::Ip(IpAddr::V6(ip)) => Some(reversed_six(*ip).into()),
            Value::Host(_) | Value::Address(_) | Value::Link(_) => None,
        };
        Self { value, shown, registered, reversed }
    }

    /// True for a host that is one of these, or belongs to one.
    pub(super) fn is_among(&self, skipped: &BTreeSet<String>) -> bool {
        self.registered
            .as_ref()
            .is_some_and(|domain| skipped.contains(&*self.shown) || skipped.contains(&**domain))
    }

    /// The names that a list is asked for, without its zone: two at most.
    pub(super) fn names(&self, list: &List) -> impl Iterator<Item = Arc<str>> + use<> {
        let names = match (&self.value, list.kind) {
            (Value::Ip(ip), Kind::Ip) if list.knows(*ip) => [self.reversed.clone(), None],
            (Value::Ip(IpAddr::V4(_)), Kind::Name) if list.literals => {
                [self.reversed.clone(), None]
            }
            (Value::Host(_), Kind::Name) => {
                let (whole, domain) = (Some(Arc::clone(&self.shown)), self.registered.clone());
                let names = match list.form {
                    NameForm::Host => [whole, None],
                    NameForm::Registered => [domain, None],
                    NameForm::Both if domain == whole => [domain, None],
                    NameForm::Both => [domain, whole],
                };
                match list.digest {
                    None => names,
                    Some(digest) => names.map(|name| Some(digested(digest, &name?, list))),
                }
            }
            (Value::Host(_), Kind::Mail) => [Some(Arc::clone(&self.shown)), None],
            (Value::Address(address), Kind::Hash) => digests(address, list),
            (Value::Link(link), Kind::Link) => {
                [Some(digested(list.digest.unwrap_or(Digest::Sha256), link, list)), None]
            }
            (Value::Ip(_) | Value::Host(_) | Value::Address(_) | Value::Link(_), _) => [None, None],
        };
        let longest = list.longest();
        names.into_iter().flatten().filter(move |name| name.len() <= longest)
    }
}

/// True for a name of two labels or more that the Internet could know.
fn is_name(host: &str) -> bool {
    let Some((_, top)) = host.rsplit_once('.') else { return false };
    let is_local = LOCAL.iter().any(|local| local.eq_ignore_ascii_case(top));
    is_askable(host) && !is_local && top.bytes().any(|byte| !byte.is_ascii_digit())
}

impl List {
    fn knows(&self, ip: IpAddr) -> bool {
        let (four, six) = self.families;
        if ip.is_ipv4() { four } else { six }
    }

    /// Longest name that can stand before its zone.
    fn longest(&self) -> usize {
        LONGEST.saturating_sub(if self.zone.is_empty() { 0 } else { 1 + self.zone.len() })
    }
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
fn digests(address: &str, list: &List) -> [Option<Arc<str>>; 2] {
    let Some((user, host)) = address.rsplit_once('@') else { return [None, None] };
    if ROLES.contains(&user) || user.is_empty() || !is_name(host) {
        return [None, None];
    }
    let digest = list.digest.unwrap_or(Digest::Sha1);
    let folded = folded(user, host);
    let digested = |address: &str| match digest {
        Digest::Sha1 | Digest::Sha256 => digested(digest, address, list),
        // Rspamd writes no @ there.
        Digest::Blake2 => digested(digest, &address.replacen('@', ".", 1), list),
    };
    let as_written = (folded != address).then(|| digested(address));
    [Some(digested(&folded)), as_written]
}

fn digested(digest: Digest, text: &str, list: &List) -> Arc<str> {
    let hash = match digest {
        Digest::Sha1 => hexadecimal(&Sha1::digest(text)),
        Digest::Sha256 => base32(&Sha256::digest(text)),
        Digest::Blake2 => zbase32(&Blake2b512::digest(text)),
    };
    match &list.label {
        None => hash.into(),
        Some(label) => format!("{hash}.{label}").into(),
    }
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

/// The first 32 digits of the human-oriented base-32, least significant bits first.
fn zbase32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ybndrfg8ejkmcpqxot1uwisza345h769";
    let mut text = String::with_capacity(32);
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in bytes.iter().take(20) {
        bits |= u32::from(*byte) << held;
        held += 8;
        while held >= 5 {
            let digit = usize::try_from(bits & 31).ok().and_then(|index| DIGITS.get(index));
            text.extend(digit.map(|digit| char::from(*digit)));
            (bits, held) = (bits >> 5, held - 5);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(value: Option<Value>, list: &List) -> Vec<String> {
        let names = value.map(|value| Named::new(value).names(list).collect::<Vec<_>>());
        names.unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn list(kind: Kind) -> List {
        List::new("L", "l.example", "l.example", kind)
    }

    #[test]
    fn addresses_are_reversed() {
        #[track_caller]
        fn check(ip: &str, expected: &[&str]) {
            assert_eq!(names(Value::of_host(ip), &list(Kind::Ip)), expected);
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
            assert_eq!(names(Value::of_host(host), &list), expected);
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
        assert_eq!(names(Value::of_host("192.0.2.10"), &literals), ["10.2.0.192"]);
    }

    #[test]
    fn addresses_are_hashed() {
        #[track_caller]
        fn check(digest: Digest, address: &str, expected: &[&str]) {
            let list = List { digest: Some(digest), ..list(Kind::Hash) };
            assert_eq!(names(Some(Value::Address(address.to_owned())), &list), expected);
        }
        let sha1 = "79dd14cf9462b7094992287232d255e5e595be43";
        check(Digest::Sha1, "organizer@spam-shop.example", &[sha1]);
        check(
            Digest::Sha256,
            "organizer@spam-shop.example",
            &["5houvoucdtkbkqlau6c6axrty4gwo4facnmzwrj6d3lpogwccara"],
        );
        let tagged = Value::Address("organizer+x@spam-shop.example".to_owned());
        let found = names(Some(tagged), &list(Kind::Hash));
        assert_eq!((found.len(), found[0].as_str()), (2, sha1));
        let dotted = Value::Address("drop.box419@googlemail.com".to_owned());
        let found = names(Some(dotted), &list(Kind::Hash));
        assert_eq!(found[0], "1b39f09732c4d0040240c7921b53e8cac73a30e3");
        check(Digest::Blake2, "organizer@spam-shop.example", &["fzsqfx46x1p4ias6i7z3gtiowycdu5e9"]);
        check(Digest::Sha1, "abuse@spam-shop.example", &[]);
        check(Digest::Sha1, "nobody", &[]);
    }

    #[test]
    fn names_and_links_are_hashed() {
        let list = |kind, digest| List { digest: Some(digest), ..list(kind) };
        let found =
            names(Value::of_host("www.spam-shop.example"), &list(Kind::Name, Digest::Blake2));
        assert_eq!(found, ["adc543w9wnojimgn8srt4kfhhm6yn7kp"]);
        let links = List { label: Some("_url".into()), ..list(Kind::Link, Digest::Sha256) };
        for url in [
            "https://spam-shop.example/cal/win.html",
            "http://x@spam-shop.example:8080/cal/win.html?victim=1#top",
        ] {
            let found = names(Value::of_link(url, "spam-shop.example"), &links);
            assert_eq!(found, ["wf5uxul7gzjboqwlz5hsvv5t6hgo6vuh6di3c7vjix6dwifk3dva._url"]);
        }
        assert_eq!(Value::of_link("mailto:a@b.example", "b.example"), None);
        let long = format!("https://a.example/{}", "x".repeat(LONGEST_PATH));
        assert_eq!(Value::of_link(&long, "a.example"), None);
    }
}
