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

/// A host as browsers show it: punycode decoded, as far as it decodes.
pub fn shown(host: &str) -> String {
    idna::domain_to_unicode(host).0
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

/// The registered domain as rule files count it: suffixes of registries, and those of two or
/// three labels that `is_suffix` adds. Suffixes of hosting services are not known otherwise
/// (`me.github.io` → `github.io`).
pub fn registered_under(host: &str, is_suffix: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if is_address(host) {
        return Cow::Borrowed(host);
    }
    let mut starts = host.rmatch_indices('.').map(|(dot, _)| dot + 1).chain([0]).skip(1).take(3);
    let (two, three, four) = (starts.next(), starts.next(), starts.next());
    for (suffix, longer) in [(three, four), (two, three)] {
        if let Some(name) = suffix.and_then(|start| host.get(start..))
            && is_suffix(name)
        {
            let longer = longer.or(suffix).and_then(|start| host.get(start..));
            return Cow::Borrowed(longer.unwrap_or(host));
        }
    }
    let mut name = host;
    let suffix = loop {
        let Some(suffix) = psl::suffix(name.as_bytes()) else { return Cow::Borrowed(host) };
        let length = suffix.as_bytes().len();
        let private = suffix.typ() == Some(psl::Type::Private);
        let suffix = name.len().checked_sub(length).and_then(|start| name.get(start..));
        match suffix.and_then(|suffix| suffix.split_once('.')) {
            Some((_, shorter)) if private => name = shorter,
            Some(_) | None => break length,
        }
    };
    let before = host.len().checked_sub(suffix + 1).and_then(|dot| host.get(..dot));
    match before {
        Some(before) if !before.is_empty() => {
            let start = before.rfind('.').map_or(0, |dot| dot + 1);
            Cow::Borrowed(host.get(start..).unwrap_or(host))
        }
        Some(_) | None => Cow::Borrowed(host),
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
    fn suffixes_may_be_added() {
        let is_suffix = |name: &str| matches!(name, "pages.test" | "a.b.test");
        for (host, expected) in [
            ("x.me.pages.test", "me.pages.test"),
            ("pages.test", "pages.test"),
            ("x.y.a.b.test", "y.a.b.test"),
            ("y.b.test", "b.test"),
            ("www.example.co.uk", "example.co.uk"),
            ("co.uk", "co.uk"),
            ("a.me.github.io", "github.io"),
            ("x.s3.us-west-1.amazonaws.com", "amazonaws.com"),
            ("192.0.2.1", "192.0.2.1"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(registered_under(host, is_suffix), expected, "{host}");
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
