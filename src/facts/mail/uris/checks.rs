//! Questions about the links of a mail that stock rules ask by name (`eval:`).
//!
//! Comes in: the links. Goes out: yes or no, or the link that is the reason. What is in
//! lists (hosts, shorteners) is asked of the caller, who has read the rule files.

use std::collections::HashSet;

use super::text::starts_with;
use super::{Hints, Uri, distinct, host};
use crate::facts::domain;

/// True when a link leads to another host by a link inside it (`check_for_http_redirector`):
/// the registered domains differ.
pub fn has_http_redirection(uris: &[Uri], hints: Hints<'_>) -> bool {
    distinct(uris).any(|(_, form)| redirects(form.as_bytes(), hints))
}

fn redirects(link: &[u8], hints: Hints<'_>) -> bool {
    let registered = |name: &[u8]| {
        let name = name.to_ascii_lowercase();
        host::of(&name, hints)
            .map_or_else(|| String::from_utf8_lossy(&name).into_owned(), |(_, domain)| domain)
    };
    let Some(mut after) = web(link, true) else { return false };
    loop {
        let from = name_length(after);
        let name = after.get(..from).unwrap_or_default();
        if from == 0 {
            return false;
        }
        // At least one octet stands between the host and the link inside.
        let inner = after.get(from + 1..).and_then(next_web);
        let Some(inner) = inner else { return false };
        let target = inner.get(..name_length(inner)).unwrap_or_default();
        if registered(name) != registered(target) {
            return true;
        }
        match inner_with_slashes(after, inner) {
            Some(next) => after = next,
            None => return false,
        }
    }
}

/// The rest of the link inside, when it has both slashes: only then it is looked into.
fn inner_with_slashes<'u>(link: &'u [u8], inner: &'u [u8]) -> Option<&'u [u8]> {
    let at = link.len().checked_sub(inner.len() + 2)?;
    (link.get(at..at + 2) == Some(b"//")).then_some(inner)
}

/// Octets up to the end of a host.
fn name_length(text: &[u8]) -> usize {
    text.iter().position(|octet| matches!(octet, b'/' | b':' | b'?')).unwrap_or(text.len())
}

/// What stands behind the `http://` or `https://` at the start of a link.
fn web(link: &[u8], with_slashes: bool) -> Option<&[u8]> {
    let schemes = [&b"https:"[..], b"http:"];
    let scheme = schemes.iter().find(|scheme| starts_with(link, scheme))?;
    let after = link.get(scheme.len()..)?;
    if with_slashes { after.strip_prefix(b"//") } else { Some(after) }
}

/// What stands behind the next `http:` and up to two slashes, if a host can start there.
fn next_web(text: &[u8]) -> Option<&[u8]> {
    memchr::memchr2_iter(b'h', b'H', text).find_map(|at| {
        let mut after = web(text.get(at..)?, false)?;
        for _ in 0..2 {
            after = after.strip_prefix(b"/").unwrap_or(after);
        }
        (name_length(after) > 0).then_some(after)
    })
}

/// True when an anchor shows an `https:` link by name and leads to a bare IPv4 address
/// (`check_https_ip_mismatch`).
pub fn has_https_address_mismatch(uris: &[Uri]) -> bool {
    let to_address = |uri: &&Uri| web(uri.raw.as_bytes(), false).is_some_and(leads_to_address);
    uris.iter().filter(to_address).flat_map(|uri| &uri.anchor_texts).any(|text| {
        let text = text.as_bytes();
        let shows_address = starts_with(text, b"https:")
            && text.get(b"https:".len()..).is_some_and(leads_to_address);
        !shows_address && find_https(text).is_some()
    })
}

/// True for slashes, perhaps a user name, and four numbers with dots between.
fn leads_to_address(after_scheme: &[u8]) -> bool {
    let slashes = after_scheme.iter().take_while(|octet| **octet == b'/').count();
    let rest = after_scheme.get(slashes..).unwrap_or_default();
    let user = memchr::memchr2(b'@', b'/', rest)
        .filter(|at| *at > 0 && rest.get(*at) == Some(&b'@'))
        .and_then(|at| rest.get(at + 1..));
    user.is_some_and(starts_with_address) || starts_with_address(rest)
}

fn starts_with_address(text: &[u8]) -> bool {
    let mut numbers = text.splitn(4, |octet| *octet == b'.');
    let mut digits = 0;
    let first_three = numbers
        .by_ref()
        .take(3)
        .filter(|number| {
            digits += 1;
            !number.is_empty() && number.iter().all(u8::is_ascii_digit)
        })
        .count();
    digits == 3
        && first_three == 3
        && numbers.next().and_then(<[u8]>::first).is_some_and(u8::is_ascii_digit)
}

/// The text behind the first `https:`.
fn find_https(text: &[u8]) -> Option<&[u8]> {
    memchr::memchr2_iter(b'h', b'H', text).find_map(|at| {
        let rest = text.get(at..)?;
        if starts_with(rest, b"https:") { rest.get(b"https:".len()..) } else { None }
    })
}

/// True when an anchor shows an `https://` link and leads to another registered domain
/// (`check_https_http_mismatch`), and there are at least `least` anchors that lead to
/// named hosts, and fewer than `limit`.
pub fn has_https_mismatch(
    uris: &[Uri],
    least: usize,
    limit: Option<usize>,
    hints: Hints<'_>,
) -> bool {
    let mut anchors = 0;
    let mut found = false;
    for uri in uris.iter().filter(|uri| !uri.anchor_texts.is_empty()) {
        let Some(target) = anchored_domain(&uri.raw, hints) else { continue };
        anchors += 1;
        found |= uri
            .anchor_texts
            .iter()
            .filter_map(|text| shown_domain(text, hints))
            .any(|shown| shown != target);
    }
    found && anchors >= least.max(1) && limit.is_none_or(|limit| anchors < limit)
}

/// The registered domain that an anchor leads to; nothing for IP addresses.
fn anchored_domain(raw: &str, hints: Hints<'_>) -> Option<String> {
    let after = web(raw.as_bytes(), true)?;
    let end = after.iter().position(|octet| matches!(octet, b'/' | b':' | b'?' | b'#'));
    let name = host::to_ascii(after.get(..end.unwrap_or(after.len()))?);
    if name.is_empty() || domain::is_address(&name) {
        return None;
    }
    let registered = host::registered(&name, hints).into_owned();
    host::of(registered.as_bytes(), hints).map(|_| registered)
}

/// The registered domain, or the address, of the first `https://` link that a text shows.
fn shown_domain(text: &str, hints: Hints<'_>) -> Option<String> {
    let mut rest = text.as_bytes();
    loop {
        rest = find_https(rest)?;
        let Some(after) = rest.strip_prefix(b"//") else { continue };
        let ends =
            |octet: &u8| octet.is_ascii_whitespace() || matches!(octet, b'/' | b':' | b'?' | b'#');
        let length = after.iter().position(ends).unwrap_or(after.len());
        if length == 0 {
            continue;
        }
        let name = host::to_ascii(after.get(..length)?);
        if domain::is_address(&name) {
            return Some(name);
        }
        let registered = host::registered(&name, hints).into_owned();
        return host::has_top_level(&registered).then_some(registered);
    }
}

/// True when a link was longer than what is kept of it (`check_uri_truncated`).
pub fn has_truncated(uris: &[Uri]) -> bool {
    uris.iter().any(|uri| uri.truncated)
}

/// The first host that a list of hosts and domains names (`check_uri_host_listed`).
///
/// `list` tells for a name in lower case whether it is listed (`Some(true)`), excepted with
/// `!` (`Some(false)`) or not mentioned. The most specific name decides: `a.b.example`, then
/// `b.example`, then `example`. Addresses are asked as they are; mail links are not asked.
pub fn listed_host(uris: &[Uri], list: impl Fn(&str) -> Option<bool>) -> Option<&str> {
    let mut seen = HashSet::new();
    uris.iter()
        .filter(|uri| !starts_with(uri.raw.as_bytes(), b"mailto:"))
        .flat_map(|uri| &uri.hosts)
        .map(|(host, _)| host.as_str())
        .find(|host| seen.insert(*host) && verdict(host, &list) == Some(true))
}

/// Names of a host that are looked up; of longer ones the last.
const NAMES: usize = 11;

fn verdict(host: &str, list: impl Fn(&str) -> Option<bool>) -> Option<bool> {
    if domain::is_address(host) {
        return list(host);
    }
    let parents = host.match_indices('.').filter_map(|(dot, _)| host.get(dot + 1..));
    let names: Vec<&str> = std::iter::once(host).chain(parents).collect();
    let skipped = names.len().saturating_sub(NAMES);
    names.into_iter().skip(skipped).find_map(list)
}

/// The first link of a shortening service, without query and fragment (`short_url`).
///
/// `is_shortener` is asked for the host in lower case; for `www.name.example` also for
/// `name.example`, for other hosts of three labels for `.name.example`, as such lists have it.
/// A bare `http://name.example` without a path is no short link.
pub fn shortened(uris: &[Uri], is_shortener: impl Fn(&str) -> bool) -> Option<&str> {
    uris.iter().filter(|uri| !uri.hosts.is_empty() && !uri.cleaned.is_empty()).find_map(|uri| {
        let link = uri.raw.split(['#', '?']).next()?;
        is_short(link.as_bytes(), &is_shortener).then_some(link)
    })
}

fn is_short(link: &[u8], is_shortener: impl Fn(&str) -> bool) -> bool {
    let Some(mut after) = web(link, true) else { return false };
    if let Some(sign) = memchr::memchr2(b'@', b'/', after)
        && after.get(sign) == Some(&b'@')
    {
        after = after.get(sign + 1..).unwrap_or_default();
    }
    let length = after.iter().position(|octet| matches!(octet, b'/' | b':'));
    let (name, rest) = after.split_at_checked(length.unwrap_or(after.len())).unwrap_or_default();
    let path = rest.strip_prefix(b":").map_or(rest, |rest| {
        let digits = rest.iter().take_while(|octet| octet.is_ascii_digit()).count();
        rest.get(digits..).unwrap_or_default()
    });
    let has_path = path.iter().any(|octet| octet.is_ascii_alphanumeric() || *octet == b'_');
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let dots = name.matches('.').count();
    if name.is_empty() || (dots == 1 && !has_path) {
        return false;
    }
    if is_shortener(&name) {
        return true;
    }
    if dots != 2 {
        return false;
    }
    match name.strip_prefix("www.") {
        Some(rest) => is_shortener(rest),
        None if name.starts_with("www") => false,
        None => name.find('.').and_then(|dot| name.get(dot..)).is_some_and(is_shortener),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::mail::uris::canonical;

    fn uri(raw: &str, texts: &[&str]) -> Uri {
        let forms = canonical::forms(raw.as_bytes(), Hints::NONE).all;
        Uri {
            raw: raw.to_owned(),
            hosts: forms.iter().filter_map(|form| host::of(form, Hints::NONE)).collect(),
            cleaned: forms.into_iter().map(|form| String::from_utf8(form).unwrap()).collect(),
            anchor_texts: texts.iter().map(|text| (*text).to_owned()).collect(),
            ..Uri::default()
        }
    }

    #[test]
    fn redirections() {
        for (link, expected) in [
            ("http://a.com/r?http://b.com/", true),
            ("http://a.com/r?https:b.com/", true),
            ("http://a.com/r?http://www.a.com/", false),
            ("http://a.com/r?http://www.a.com/http://c.com", true),
            ("http://a.com/r?u=b.com", false),
            ("ftp://a.com/http://b.com", false),
        ] {
            assert_eq!(has_http_redirection(&[uri(link, &[])], Hints::NONE), expected, "{link}");
        }
        let long = "http://a.com/".repeat(100_000);
        assert!(!redirects(long.as_bytes(), Hints::NONE));
    }

    #[test]
    fn anchors_with_addresses() {
        for (link, text, expected) in [
            ("http://192.0.2.7/x", "https://bank.com", true),
            ("http://me@192.0.2.7/x", "see https://bank.com", true),
            ("http://192.0.2.7/x", "https://192.0.2.7/", false),
            ("http://192.0.2.7/x", "http://bank.com", false),
            ("http://bank.com/x", "https://bank.com", false),
        ] {
            assert_eq!(
                has_https_address_mismatch(&[uri(link, &[text])]),
                expected,
                "{link} {text}"
            );
        }
    }

    #[test]
    fn anchors_that_lead_elsewhere() {
        for (link, text, expected) in [
            ("http://shop.com/x", "https://bank.com", true),
            ("http://www.bank.com/x", "go to HTTPS://login.bank.com/ now", false),
            ("http://192.0.2.7/x", "https://bank.com", false),
            ("http://shop.com/x", "https://192.0.2.7/", true),
            ("http://shop.com/x", "https://bank", false),
            ("http://shop.com/x", "http://bank.com", false),
        ] {
            let uris = [uri(link, &[text])];
            assert_eq!(has_https_mismatch(&uris, 1, None, Hints::NONE), expected, "{link} {text}");
        }
        let uris = [uri("http://shop.com/x", &["https://bank.com"]), uri("http://a.com/", &[""])];
        assert!(has_https_mismatch(&uris, 2, Some(3), Hints::NONE));
        assert!(!has_https_mismatch(&uris, 3, None, Hints::NONE));
        assert!(!has_https_mismatch(&uris, 1, Some(2), Hints::NONE));
    }

    #[test]
    fn listed_hosts() {
        let list = |name: &str| match name {
            "shop.com" | "192.0.2.7" => Some(true),
            "good.shop.com" => Some(false),
            _ => None,
        };
        for (link, expected) in [
            ("http://a.shop.com/", Some("a.shop.com")),
            ("http://x.good.shop.com/", None),
            ("http://192.0.2.7/", Some("192.0.2.7")),
            ("mailto:me@shop.com", None),
            ("http://othershop.com/", None),
        ] {
            assert_eq!(listed_host(&[uri(link, &[])], list), expected, "{link}");
        }
    }

    #[test]
    fn short_links() {
        let list = |name: &str| matches!(name, "sho.rt" | ".sub.rt" | "t.co");
        for (link, expected) in [
            ("http://t.co/x?y#z", Some("http://t.co/x")),
            ("https://www.t.co:443/x", Some("https://www.t.co:443/x")),
            ("http://t.co/", None),
            ("http://a.t.co/x", None),
            ("http://wwwt.co/x", None),
        ] {
            assert_eq!(shortened(&[uri(link, &[])], list), expected, "{link}");
        }
        assert!(is_short(b"http://a.sub.rt/x", list));
    }

    #[test]
    fn cut_links() {
        assert!(!has_truncated(&[uri("http://a.com", &[])]));
        assert!(has_truncated(&[Uri { truncated: true, ..Uri::default() }]));
    }
}
