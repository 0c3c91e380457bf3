//! IP addresses inside text, and which of them are nobody's on the Internet.
//!
//! Comes in: octets of a header field. Goes out: where an address stands and what it is.
//! Not an error: anything; what is no address is not found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the longest written address, prefix included.
const LONGEST: usize = 64;

/// True for `\w`.
pub(super) const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// White space as SpamAssassin sees it in octets.
pub(crate) const fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0B
}

/// Ends of the addresses that start at `start`, the best reading first.
///
/// An address does not begin or end inside a longer word. IPv6 may carry the prefix `IPv6:`
/// and may end in the dotted form.
pub(super) fn ends_at(text: &[u8], start: usize) -> impl Iterator<Item = usize> {
    let before = start.checked_sub(1).and_then(|index| text.get(index)).copied();
    let rest = text.get(start..).unwrap_or_default();
    let rest = rest.get(..LONGEST).unwrap_or(rest);
    let four = match before {
        Some(byte) if is_word(byte) || byte == b':' => None,
        Some(_) | None => four(rest),
    };
    let prefix =
        if rest.get(..5).is_some_and(|p| p.eq_ignore_ascii_case(b"ipv6:")) { 5 } else { 0 };
    let inside = prefix == 0 && before.is_some_and(|byte| byte.is_ascii_hexdigit() || byte == b':');
    let six = rest.get(prefix..).filter(|_| !inside).unwrap_or_default();
    let run = six.iter().take_while(|b| b.is_ascii_hexdigit() || **b == b':').count();
    let mixed = mixed(six, run).map(|length| length + prefix);
    let pure = six
        .get(..run)
        .filter(|run| run.len() >= 2 && parse_six(run).is_some())
        .map(|run| run.len() + prefix);
    [four, mixed, pure].into_iter().flatten().map(move |length| start + length)
}

/// Length of a dotted address that ends at the end of a word.
fn four(text: &[u8]) -> Option<usize> {
    let mut length = 0;
    for part in 0..4 {
        if part > 0 {
            if text.get(length) != Some(&b'.') {
                return None;
            }
            length += 1;
        }
        let digits = text
            .get(length..)
            .unwrap_or_default()
            .iter()
            .take(4)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let number = std::str::from_utf8(text.get(length..length + digits)?).ok()?;
        if (digits > 1 && number.starts_with('0')) || number.parse::<u8>().is_err() {
            return None;
        }
        length += digits;
    }
    match text.get(length) {
        Some(byte) if is_word(*byte) => None,
        Some(_) | None => Some(length),
    }
}

/// Length of an IPv6 address whose last 32 bits are dotted.
fn mixed(text: &[u8], run: usize) -> Option<usize> {
    if text.get(run) != Some(&b'.') {
        return None;
    }
    let colon = text.get(..run)?.iter().rposition(|byte| *byte == b':')?;
    let tail = text.get(colon + 1..)?;
    let dotted = tail.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let mut length = colon + 1 + dotted;
    if text.get(length - 1) == Some(&b'.') {
        length -= 1;
    }
    if text.get(length).is_some_and(|b| b.is_ascii_hexdigit() || *b == b':') {
        return None;
    }
    parse_six(text.get(..length)?).map(|_| length)
}

fn parse_six(text: &[u8]) -> Option<Ipv6Addr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The first address in a text.
pub(crate) fn first_in(text: &[u8]) -> Option<&[u8]> {
    first_where(text, |_, _| true)
}

/// The first address for which `fits` holds, asked with its start and end.
pub(crate) fn first_where(text: &[u8], fits: impl Fn(usize, usize) -> bool) -> Option<&[u8]> {
    (0..text.len())
        .filter(|start| {
            text.get(*start)
                .is_some_and(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'i' | b'I'))
        })
        .find_map(|start| {
            ends_at(text, start).find(|end| fits(start, *end)).map(|end| (start, end))
        })
        .and_then(|(start, end)| text.get(start..end))
}

/// The address a text is, without prefix, brackets and zone; IPv4 written as IPv6 is IPv4.
pub fn parse(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let text = match text.get(..5) {
        Some(prefix) if prefix.eq_ignore_ascii_case("ipv6:") => text.get(5..)?,
        Some(_) | None => text,
    };
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

/// True for an address that is not routed on the Internet: private use, loopback, link-local
/// and carrier-grade NAT. Unique local IPv6 addresses do not count, as in SpamAssassin 4.0.
pub fn is_private(ip: &str) -> bool {
    match parse(ip) {
        Some(IpAddr::V4(ip)) => is_private_four(ip),
        Some(IpAddr::V6(ip)) => {
            ip.is_loopback() || ip.segments().first().is_some_and(|s| s & 0xFFC0 == 0xFE80)
        }
        None => false,
    }
}

fn is_private_four(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    ip.is_private() || ip.is_loopback() || ip.is_link_local() || (a == 100 && b & 0xC0 == 64)
}

/// True for a dotted address and nothing else.
pub(super) fn is_four(text: &str) -> bool {
    four(text.as_bytes()) == Some(text.len())
}

/// Length of a name or address of this very host that starts at `start`.
pub(super) fn localhost_at(text: &[u8], start: usize) -> impl Iterator<Item = usize> {
    let rest = text.get(start..).unwrap_or_default();
    let name = |name: &str| {
        rest.get(..name.len())
            .filter(|found| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|found| start + found.len())
    };
    let address = ends_at(text, start).find(|end| {
        text.get(start..*end)
            .and_then(|found| std::str::from_utf8(found).ok())
            .and_then(parse)
            .is_some_and(|ip| {
                ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
            })
    });
    [name("localhost.localdomain"), name("localhost"), address].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let found = first_in(text.as_bytes()).map(|ip| std::str::from_utf8(ip).unwrap());
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn addresses_in_text() {
        check("x [192.0.2.1] y", Some("192.0.2.1"));
        check("x 192.0.2.1.5", Some("192.0.2.1"));
        check("a192.0.2.1", None);
        check("192.0.2.256", None);
        check("192.0.02.1", None);
        check("[IPv6:2001:db8::1]", Some("IPv6:2001:db8::1"));
        check("(2001:DB8::1)", Some("2001:DB8::1"));
        check("::ffff:192.0.2.1 x", Some("::ffff:192.0.2.1"));
        check("2001:db8:::1", None);
        check("", None);
        check("1.2.3", None);
        check(&"1:".repeat(10_000), None);
    }

    #[test]
    fn private_addresses() {
        for (ip, expected) in [
            ("10.1.2.3", true),
            ("172.15.0.1", false),
            ("172.31.255.1", true),
            ("192.168.0.1", true),
            ("127.0.0.1", true),
            ("169.254.1.1", true),
            ("100.64.0.1", true),
            ("100.128.0.1", false),
            ("192.0.2.1", false),
            ("::1", true),
            ("fe80::1", true),
            ("fd00::1", false),
            ("::ffff:10.0.0.1", true),
            ("IPv6:fe80::2%eth0", true),
            ("", false),
            ("rubbish", false),
        ] {
            assert_eq!(is_private(ip), expected, "{ip}");
        }
    }

    #[test]
    fn this_host() {
        let ends = |text: &str| localhost_at(text.as_bytes(), 0).collect::<Vec<_>>();
        assert_eq!(ends("localhost)"), [9]);
        assert_eq!(ends("LOCALHOST.localdomain"), [21, 9]);
        assert_eq!(ends("127.0.0.1]"), [9]);
        assert_eq!(ends("::1"), [3]);
        assert_eq!(ends("127.0.0.2"), [0_usize; 0]);
    }
}
