//! Host names and registered domains (public suffix list).

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Lower case, punycode, without the trailing dot; `None` for what is no host at all.
pub fn canonical_host(host: &str) -> Option<String> {
    let host = host.trim().trim_end_matches('.');
    if host.is_empty() || host.len() > 253 {
        return None;
    }
    if host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')) {
        return Some(host.to_ascii_lowercase());
    }
    if let Some(address) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|ip| ip.to_canonical().to_string());
    }
    idna::domain_to_ascii(host).ok().filter(|host| {
        !host.is_empty()
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    })
}

/// The registered domain of a host (`shop.example.co.uk` → `example.co.uk`), or the host
/// itself where it has none: an IP address, a bare suffix, `localhost`.
pub fn registered(host: &str) -> Cow<'_, str> {
    let host: Cow<'_, str> = if host.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    if is_address(&host) {
        return host;
    }
    match psl::domain_str(&host).map(str::len) {
        Some(length) if length < host.len() => match host {
            Cow::Borrowed(host) => Cow::Borrowed(host.get(host.len() - length..).unwrap_or(host)),
            Cow::Owned(host) => {
                Cow::Owned(host.get(host.len() - length..).unwrap_or(&host).to_owned())
            }
        },
        _ => host,
    }
}

/// True when the host is an IP address.
pub fn is_address(host: &str) -> bool {
    host.parse::<Ipv4Addr>().is_ok() || (host.contains(':') && host.parse::<Ipv6Addr>().is_ok())
}

/// True when the last label is a suffix of the public list (not only its `*` rule).
pub fn has_known_suffix(host: &str) -> bool {
    psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known())
        && psl::domain_str(host).is_some()
}

/// True for a label that is a top-level domain of the public list, in any case.
pub fn is_top_level(label: &str) -> bool {
    // Asked with a label in front: `*` rules know no suffix without one.
    let host = format!("x.{}", label.to_ascii_lowercase());
    psl::suffix(host.as_bytes()).is_some_and(|suffix| suffix.is_known())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_domains() {
        for (host, expected) in [
            ("www.Example.co.uk", "example.co.uk"),
            ("example.com", "example.com"),
            ("a.b.foo.github.io", "foo.github.io"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("localhost", "localhost"),
            ("co.uk", "co.uk"),
            ("", ""),
        ] {
            assert_eq!(registered(host), expected, "{host}");
        }
    }

    #[test]
    fn top_level_domains() {
        for (label, expected) in
            [("com", true), ("DE", true), ("ck", true), ("exe", false), ("", false)]
        {
            assert_eq!(is_top_level(label), expected, "{label}");
        }
    }

    #[test]
    fn canonical_hosts() {
        for (host, expected) in [
            ("WWW.Example.COM.", Some("www.example.com")),
            ("münchen.example", Some("xn--mnchen-3ya.example")),
            ("ｅｘａｍｐｌｅ。com", Some("example.com")),
            ("[::ffff:192.0.2.1]", Some("192.0.2.1")),
            ("", None),
            ("a b", None),
        ] {
            assert_eq!(canonical_host(host).as_deref(), expected, "{host}");
        }
    }
}
