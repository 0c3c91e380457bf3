//! What a DNS list is: where it is asked, about what, and which of its answers mean something.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

/// What a list is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Addresses of hosts, reversed.
    Ip,
    /// Names of hosts.
    Name,
    /// Digests of mail addresses.
    Hash,
    /// Digests of links: host and path.
    Link,
    /// No list: whether a domain can receive mail. Answers `127.0.0.2` where the name does not
    /// exist, `127.0.0.3` for a null MX (RFC 7505), `127.0.0.4` without MX and address.
    Mail,
}

/// Which form of a name a list is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameForm {
    /// The whole host.
    Host,
    /// The registered domain.
    Registered,
    /// Both.
    Both,
}

/// How an address, name or link is turned into a name that does not show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1 in hexadecimal digits.
    Sha1,
    /// SHA-256 in base32.
    Sha256,
    /// `BLAKE2b` as Rspamd's lists have it: 32 digits of zbase32, `user.domain` for an address.
    Blake2,
}

/// Which answers are meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Codes(Vec<Code>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    /// All from one address to another.
    Range(u32, u32),
    /// 127.0.0.0/8 with one of these bits.
    Bits(u32),
    /// These bits where the mask has ones.
    Masked(u32, u32),
}

/// 127.0.0.0/8 holds all that lists say.
fn is_loopback(address: u32) -> bool {
    address >> 24 == 127
}

impl Codes {
    /// Reads `127.0.0.2`, `127.0.1.2-127.0.1.6`, `127.0.0.0/255.255.0.255`, `127.0.1.0/24`,
    /// `8` (a bit), `0x48`; several with commas between.
    pub fn parse(text: &str) -> Result<Self, String> {
        text.split(',').map(|word| code(word.trim())).collect::<Result<_, _>>().map(Self)
    }

    /// True when an answer is one of these.
    pub fn contain(&self, address: Ipv4Addr) -> bool {
        let address = address.to_bits();
        self.0.iter().any(|code| match *code {
            Code::Range(first, last) => (first..=last).contains(&address),
            Code::Bits(bits) => is_loopback(address) && address & bits != 0,
            Code::Masked(value, mask) => address & mask == value & mask,
        })
    }

    /// True when nothing is meant.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn code(word: &str) -> Result<Code, String> {
    let wrong = || format!("`{word}` is no answer of a list");
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text
            .parse::<u32>()
            .ok()
            .or_else(|| text.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits)),
    };
    if let Some((first, last)) = word.split_once('-') {
        let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
        return if first <= last { Ok(Code::Range(first, last)) } else { Err(wrong()) };
    }
    if let Some((value, mask)) = word.split_once('/') {
        let value = number(value).ok_or_else(wrong)?;
        let mask = match mask.parse::<u32>() {
            Ok(length @ 0..=32) => u32::MAX.checked_shl(32 - length).unwrap_or(0),
            Ok(_) | Err(_) => number(mask).ok_or_else(wrong)?,
        };
        return Ok(Code::Masked(value, mask));
    }
    let value = number(word).ok_or_else(wrong)?;
    // A number without dots is a set of bits.
    Ok(if word.contains('.') { Code::Range(value, value) } else { Code::Bits(value) })
}

/// One DNS list.
#[derive(Clone, PartialEq, Eq)]
pub struct List {
    /// Its name in metrics, logs and evidence.
    pub name: Arc<str>,
    /// Zone without the final dot. It may hold a key, so nobody is shown it.
    pub(super) zone: Arc<str>,
    /// The zone without the key.
    pub shown: Arc<str>,
    /// What it is asked about.
    pub kind: Kind,
    /// Whether it knows IPv4 and IPv6 addresses.
    pub families: (bool, bool),
    /// The form of names.
    pub form: NameForm,
    /// A list of names knows addresses too (links without a name), reversed.
    pub literals: bool,
    /// How what is asked about is hidden; a list of names may do without.
    pub digest: Option<Digest>,
    /// The label behind the digest.
    pub label: Option<Arc<str>>,
    /// Answers that mean something; empty: all in 127.0.0.0/8.
    pub codes: Codes,
    /// Answers that refuse an answer.
    pub errors: Codes,
    /// Who is in it is good.
    pub allow: bool,
    /// Name that is always in it.
    pub listed: Option<Arc<str>>,
    /// Name that never is.
    pub clean: Option<Arc<str>>,
    /// Time for one answer.
    pub timeout: Duration,
    /// Under what condition its owner answers.
    pub policy: Option<Arc<str>>,
}

impl std::fmt::Debug for List {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("List")
            .field("name", &self.name)
            .field("zone", &self.shown)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl List {
    /// A list with what holds for most.
    pub fn new(name: &str, zone: &str, shown: &str, kind: Kind) -> Self {
        let (listed, clean) = match kind {
            Kind::Ip => (Some("2.0.0.127"), Some("1.0.0.127")),
            Kind::Name => (Some("test"), Some("invalid")),
            // No digest looks like that; a zone that has it has everything.
            Kind::Hash | Kind::Link => (None, Some("invalid")),
            Kind::Mail => (None, None),
        };
        Self {
            name: name.into(),
            zone: zone.into(),
            shown: shown.into(),
            kind,
            families: (true, true),
            form: NameForm::Registered,
            literals: false,
            digest: None,
            label: None,
            codes: Codes::default(),
            errors: Codes(vec![
                Code::Masked(0x7F00_0001, u32::MAX),
                Code::Masked(0x7FFF_FF00, 0xFFFF_FF00),
            ]),
            allow: false,
            listed: listed.map(Arc::from),
            clean: clean.map(Arc::from),
            timeout: Duration::from_millis(1_500),
            policy: None,
        }
    }

    /// The name to ask DNS for.
    pub(super) fn query(&self, name: &str) -> Arc<str> {
        if self.zone.is_empty() { name.into() } else { [name, ".", &self.zone].concat().into() }
    }

    /// What an answer means.
    pub(super) fn judge(&self, addresses: &[Ipv4Addr]) -> Judgement {
        // An error beside a listing is an error: nobody knows which of them is true.
        if let Some(error) = addresses.iter().find(|address| self.errors.contain(**address)) {
            return Judgement::Refused(*error);
        }
        if let Some(stray) = addresses.iter().find(|address| !is_loopback(address.to_bits())) {
            return Judgement::Hijacked(*stray);
        }
        let meant = |address: &&Ipv4Addr| self.codes.is_empty() || self.codes.contain(**address);
        let listed: Vec<Ipv4Addr> = addresses.iter().filter(meant).copied().collect();
        if listed.is_empty() { Judgement::Unexpected } else { Judgement::Listed(listed) }
    }
}

/// What an answer with addresses means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is in the list, for these reasons.
    Listed(Vec<Ipv4Addr>),
    /// Nothing that the list's definition knows: no hit.
    Unexpected,
    /// The list refuses to answer.
    Refused(Ipv4Addr),
    /// Somebody else answers.
    Hijacked(Ipv4Addr),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        #[track_caller]
        fn check(codes: &str, address: &str, expected: bool) {
            let codes = Codes::parse(codes).unwrap();
            assert_eq!(codes.contain(address.parse().unwrap()), expected);
        }
        check("127.0.0.2", "127.0.0.2", true);
        check("127.0.0.2", "127.0.0.3", false);
        check("127.0.0.2, 127.0.0.9", "127.0.0.9", true);
        check("127.0.1.4-127.0.1.6", "127.0.1.6", true);
        check("127.0.1.4-127.0.1.6", "127.0.1.7", false);
        check("127.0.0.3/255.255.0.255", "127.0.9.3", true);
        check("127.0.0.3/255.255.0.255", "127.0.9.2", false);
        check("127.255.255.0/24", "127.255.255.254", true);
        check("127.255.255.0/24", "127.255.254.254", false);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("72", "127.0.0.8", true);
        check("0x48", "127.0.0.64", true);
        check("72", "127.0.0.4", false);
        check("72", "1.2.3.72", false);
        for wrong in ["", "127.0.0", "127.0.0.3-127.0.0.2", "a", "127.0.0.1/a", "1,,2"] {
            assert!(Codes::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn answers_are_judged() {
        #[track_caller]
        fn check(addresses: &[&str], expected: &Judgement) {
            let mut list = List::new("L", "l.example", "l.example", Kind::Ip);
            list.codes = Codes::parse("127.0.0.2-127.0.0.11").unwrap();
            let addresses: Vec<Ipv4Addr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(&list.judge(&addresses), expected);
        }
        let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
        check(
            &["127.0.0.2", "127.0.0.4"],
            &Judgement::Listed(vec![ip("127.0.0.2"), ip("127.0.0.4")]),
        );
        check(&["127.0.0.2", "127.0.0.77"], &Judgement::Listed(vec![ip("127.0.0.2")]));
        check(&["127.0.0.77"], &Judgement::Unexpected);
        check(&["127.0.0.1"], &Judgement::Refused(ip("127.0.0.1")));
        check(&["127.0.0.2", "127.255.255.254"], &Judgement::Refused(ip("127.255.255.254")));
        check(&["1.2.3.4"], &Judgement::Hijacked(ip("1.2.3.4")));
        check(&["127.0.0.2", "1.2.3.4"], &Judgement::Hijacked(ip("1.2.3.4")));
    }

    #[test]
    fn keys_are_not_shown() {
        let list = List::new("L", "sesame.l.example", "l.example", Kind::Ip);
        assert!(!format!("{list:?}").contains("sesame"));
        assert_eq!(&*list.query("2.0.0.127"), "2.0.0.127.sesame.l.example");
    }
}
