//! The networks an administrator names: `trusted_networks`, `internal_networks`,
//! `msa_networks`.
//!
//! Comes in: their text. Goes out: whether an address is in them.
//! An error: a network that cannot be read; the message says which.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::address;

/// Networks of one list; the first entry that holds an address decides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct List {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// IPv4 stands in `::ffff:0:0/96`, so that one comparison does for both.
    bits: u128,
    prefix: u32,
    excluded: bool,
}

impl List {
    fn add(&mut self, text: &str) -> Result<(), String> {
        let entries = text.split_whitespace().map(Entry::read).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err("a network is missing".to_owned());
        }
        self.entries.extend(entries);
        Ok(())
    }

    fn contains(&self, bits: u128) -> bool {
        self.entries.iter().find(|entry| entry.contains(bits)).is_some_and(|entry| !entry.excluded)
    }
}

impl Entry {
    /// Reads `192.0.2.0/24`, `192.0.2.`, `10/8`, `[2001:db8::]/32`, `!192.0.2.1`.
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a network");
        let (excluded, rest) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let (base, mask) = rest.split_once('/').map_or((rest, None), |(b, m)| (b, Some(m)));
        let mask = mask.map(prefix).transpose().map_err(|()| wrong())?;
        let base = base.strip_prefix('[').and_then(|b| b.strip_suffix(']')).unwrap_or(base);
        let base = base.split_once('%').map_or(base, |(base, _)| base);
        let (bits, longest, offset, given) = if let Ok(six) = base.parse::<Ipv6Addr>() {
            (six.to_bits(), 128, 0, 128)
        } else {
            let (four, octets) = short_four(base).ok_or_else(wrong)?;
            (four.to_ipv6_mapped().to_bits(), 32, 96, 8 * octets)
        };
        let prefix = mask.unwrap_or(given);
        if prefix > longest {
            return Err(wrong());
        }
        Ok(Self { bits, prefix: prefix + offset, excluded })
    }

    fn contains(&self, bits: u128) -> bool {
        let shift = 128 - self.prefix.min(128);
        (bits ^ self.bits).checked_shr(shift).unwrap_or(0) == 0
    }
}

/// Length of a prefix, also of one written as a mask.
fn prefix(text: &str) -> Result<u32, ()> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let bits = mask.to_bits();
        let ones = bits.leading_ones();
        return if ones == bits.count_ones() { Ok(ones) } else { Err(()) };
    }
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().map_err(|_| ()) } else { Err(()) }
}

/// An IPv4 address whose last octets may be left out, and how many there are.
fn short_four(text: &str) -> Option<(Ipv4Addr, u32)> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut octets = [0_u8; 4];
    let mut given = 0;
    for part in text.split('.') {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let slot = octets.get_mut(usize::try_from(given).ok()?).filter(|_| digits)?;
        *slot = part.parse().ok()?;
        given += 1;
    }
    Some((Ipv4Addr::from(octets), given))
}

/// Networks the administrator named. Nothing named means that trust is inferred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Networks {
    trusted: List,
    internal: List,
    msa: List,
}

impl Networks {
    /// Adds the networks of a `trusted_networks` line: hosts that do not lie in Received.
    ///
    /// # Errors
    ///
    /// Says which network cannot be read; then none of the line is added.
    pub fn add_trusted(&mut self, text: &str) -> Result<(), String> {
        self.trusted.add(text)
    }

    /// Adds the networks of an `internal_networks` line: our own hosts.
    ///
    /// # Errors
    ///
    /// Says which network cannot be read; then none of the line is added.
    pub fn add_internal(&mut self, text: &str) -> Result<(), String> {
        self.internal.add(text)
    }

    /// Adds the networks of an `msa_networks` line: hosts that take mail from users.
    ///
    /// # Errors
    ///
    /// Says which network cannot be read; then none of the line is added.
    pub fn add_msa(&mut self, text: &str) -> Result<(), String> {
        self.msa.add(text)
    }

    /// Forgets the trusted networks (`clear_trusted_networks`).
    pub fn clear_trusted(&mut self) {
        self.trusted = List::default();
    }

    /// Forgets the internal networks (`clear_internal_networks`).
    pub fn clear_internal(&mut self) {
        self.internal = List::default();
    }

    /// Forgets the MSA networks (`clear_msa_networks`).
    pub fn clear_msa(&mut self) {
        self.msa = List::default();
    }

    /// These, and the trusted ones of somebody else.
    #[must_use]
    pub fn with_trusted(&self, others: &Self) -> Self {
        let mut all = self.clone();
        if all.trusted.entries.is_empty() {
            // Until now the internal ones stood for them.
            all.trusted = all.internal.clone();
        }
        all.trusted.entries.extend(others.trusted.entries.iter().cloned());
        all
    }

    /// True when the address is in the trusted networks, or is this host itself.
    pub fn holds(&self, ip: IpAddr) -> bool {
        self.is_trusted(&ip.to_canonical().to_string())
    }

    /// True when the address is in the trusted networks as they are written: this host itself
    /// only where it is named.
    pub fn names(&self, ip: IpAddr) -> bool {
        let bits = match ip.to_canonical() {
            IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
            IpAddr::V6(six) => six.to_bits(),
        };
        self.trusted.contains(bits)
    }

    /// True when trusted or internal networks are named, so that nothing is inferred.
    pub(in crate::facts) fn is_configured(&self) -> bool {
        !(self.trusted.entries.is_empty() && self.internal.entries.is_empty())
    }

    /// Where only one of both lists is given, it stands for the other as well.
    pub(super) fn is_trusted(&self, ip: &str) -> bool {
        let list = if self.trusted.entries.is_empty() { &self.internal } else { &self.trusted };
        is_in(list, ip, true)
    }

    pub(super) fn is_internal(&self, ip: &str) -> bool {
        let list = if self.internal.entries.is_empty() { &self.trusted } else { &self.internal };
        is_in(list, ip, true)
    }

    pub(super) fn is_msa(&self, ip: &str) -> bool {
        is_in(&self.msa, ip, false)
    }
}

/// This host itself is trusted and internal whatever the list says.
fn is_in(list: &List, ip: &str, with_loopback: bool) -> bool {
    address::parse(ip).is_some_and(|ip| {
        let bits = match ip {
            IpAddr::V4(four) => four.to_ipv6_mapped().to_bits(),
            IpAddr::V6(six) => six.to_bits(),
        };
        (with_loopback && ip.is_loopback()) || list.contains(bits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[&str], ip: &str, expected: bool) {
        let mut networks = Networks::default();
        for line in lines {
            networks.add_trusted(line).unwrap();
        }
        assert_eq!(networks.is_trusted(ip), expected, "{lines:?} {ip}");
    }

    #[test]
    fn trusted_ones_add_up() {
        let networks = |trusted: &str, internal: &str| {
            let mut networks = Networks::default();
            drop(networks.add_trusted(trusted));
            drop(networks.add_internal(internal));
            networks
        };
        let site = networks("198.51.100.0/24", "");
        for own in [networks("192.0.2.0/24", ""), networks("", "192.0.2.0/24")] {
            let all = own.with_trusted(&site);
            assert!(all.is_trusted("192.0.2.1") && all.is_trusted("198.51.100.1"));
            assert!(!all.is_trusted("203.0.113.1"));
        }
        // What a rule file excludes stays out.
        let all = networks("!198.51.100.9", "").with_trusted(&site);
        assert!(!all.is_trusted("198.51.100.9") && all.is_trusted("198.51.100.8"));
        // Who is trusted need not be one of ours.
        assert!(!networks("", "192.0.2.0/24").with_trusted(&site).is_internal("198.51.100.1"));
    }

    #[test]
    fn members() {
        check(&["192.0.2.0/24"], "192.0.2.200", true);
        check(&["192.0.2.0/24"], "192.0.3.1", false);
        check(&["192.0.2.0/24"], "::ffff:192.0.2.1", true);
        check(&["192.0.2."], "192.0.2.9", true);
        check(&["192.0.2.7"], "192.0.2.9", false);
        check(&["10/8 198.51.100.0/255.255.255.0"], "198.51.100.3", true);
        check(&["10"], "10.9.8.7", true);
        check(&["0/0"], "203.0.113.1", true);
        check(&["0/0"], "2001:db8::1", false);
        check(&["!192.0.2.1", "192.0.2.0/24"], "192.0.2.1", false);
        check(&["!192.0.2.1", "192.0.2.0/24"], "192.0.2.2", true);
        check(&["192.0.2.0/24 !192.0.2.1"], "192.0.2.1", true);
        check(&["[2001:db8::]/32"], "2001:db8:1::1", true);
        check(&["2001:db8:1::1 !2001:db8:1::/64 2001:db8::/32"], "2001:db8:1::2", false);
        check(&["::/0"], "2001:db8::1", true);
        check(&["192.0.2.1"], "127.0.0.1", true);
        check(&[], "::1", true);
        check(&["192.0.2.0/24"], "", false);
    }

    #[test]
    fn what_is_no_network() {
        for text in ["", "x", "192.0.2.0/33", "1.2.3.4.5", "2001:db8::/129", "10/x", "300.1", "10/"]
        {
            assert!(Networks::default().add_trusted(text).is_err(), "{text}");
        }
        let mut networks = Networks::default();
        assert_eq!(networks.add_msa("10/8 nonsense").unwrap_err(), "`nonsense` is not a network");
        assert_eq!(networks, Networks::default());
    }

    #[test]
    fn one_list_stands_for_both() {
        let mut networks = Networks::default();
        assert!(!networks.is_configured());
        networks.add_internal("192.0.2.0/24").unwrap();
        assert!(networks.is_configured() && networks.is_trusted("192.0.2.1"));
        networks.add_trusted("198.51.100.0/24").unwrap();
        assert!(!networks.is_trusted("192.0.2.1") && !networks.is_internal("198.51.100.1"));
        assert!(!networks.is_msa("127.0.0.1"));
    }
}
