//! Hosts of links, and the domains they are registered under.

use std::borrow::Cow;

use super::Hints;
use super::text::starts_with;
use crate::facts::domain;

/// The host of a link and its registered domain; `None` for a link without a host that could
/// be looked up.
pub(super) fn of(uri: &[u8], hints: Hints<'_>) -> Option<(String, String)> {
    if [&b"javascript:"[..], b"cid:", b"file:"].iter().any(|scheme| starts_with(uri, scheme)) {
        return None;
    }
    let host = if starts_with(uri, b"mailto:") { address_host(uri)? } else { web_host(uri) };
    if has_hidden_letter(host) {
        return None;
    }
    let host = to_ascii(host);
    if domain::is_address(&host) {
        return Some((host.clone(), host));
    }
    if !is_well_formed(host.as_bytes()) || !has_top_level(&host) {
        return None;
    }
    let registered = domain::registered_under(&host, hints.is_suffix).into_owned();
    Some((host, registered))
}

/// Host of an address; with two `@` nobody knows which one counts.
fn address_host(uri: &[u8]) -> Option<&[u8]> {
    let address = uri.get(b"mailto:".len()..)?;
    let end = memchr::memchr(b'?', address).unwrap_or(address.len());
    let address = address.get(..end)?;
    let sign = memchr::memchr(b'@', address)?;
    let host = address.get(sign + 1..)?;
    (!host.contains(&b'@')).then_some(host)
}

fn web_host(uri: &[u8]) -> &[u8] {
    let letters = uri.iter().take_while(|octet| octet.is_ascii_alphabetic()).count();
    let mut host = uri;
    if letters > 0 && uri.get(letters) == Some(&b':') {
        host = uri.get(letters + 1..).unwrap_or_default();
        for _ in 0..2 {
            host = host.strip_prefix(b"/").unwrap_or(host);
        }
    }
    let end = host.iter().position(|octet| matches!(octet, b'/' | b'?' | b'#'));
    host = host.get(..end.unwrap_or(host.len())).unwrap_or_default();
    if let Some(sign) = memchr::memrchr(b'@', host) {
        host = host.get(sign + 1..).unwrap_or_default();
    }
    let port = host.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    match host.len().checked_sub(port + 1) {
        Some(colon) if host.get(colon) == Some(&b':') => host.get(..colon).unwrap_or_default(),
        Some(_) | None => host,
    }
}

/// True when a printable character is percent-encoded: another form has it decoded.
fn has_hidden_letter(host: &[u8]) -> bool {
    host.windows(3).any(|window| match window {
        [b'%', high, low] => {
            super::escapes::octet(*high, *low).is_some_and(|octet| octet.is_ascii_graphic())
        }
        _ => false,
    })
}

/// Lower case and punycode. What cannot be converted stays as it is.
pub(super) fn to_ascii(host: &[u8]) -> String {
    let text = String::from_utf8_lossy(host);
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    idna::domain_to_ascii(&text).unwrap_or_else(|_| text.to_ascii_lowercase())
}

/// True for two or more labels of letters, digits, hyphens inside and, not in the last two,
/// underscores; dots at the end do not count.
pub(super) fn is_well_formed(host: &[u8]) -> bool {
    let end = host.iter().rposition(|octet| *octet != b'.').map_or(0, |last| last + 1);
    let host = host.get(..end).unwrap_or_default();
    let mut labels = 0;
    let every = host.len() <= 253
        && host.rsplit(|octet| *octet == b'.').all(|label| {
            labels += 1;
            let allowed =
                |octet: &u8| octet.is_ascii_alphanumeric() || (*octet == b'_' && labels > 2);
            (1..=63).contains(&label.len())
                && label.iter().all(|octet| allowed(octet) || *octet == b'-')
                && label.first().is_some_and(allowed)
                && label.last().is_some_and(allowed)
        });
    every && labels > 1
}

/// True when a host of two or more labels ends in a top-level domain.
pub(super) fn has_top_level(host: &str) -> bool {
    !host.contains(|c: char| c.is_ascii_whitespace())
        && host.rsplit_once('.').is_some_and(|(_, last)| is_top_level(last.as_bytes()))
}

/// True for a top-level domain.
pub(super) fn is_top_level(label: &[u8]) -> bool {
    if !(2..=63).contains(&label.len()) {
        return false;
    }
    // Asked with labels before it: some registries only sell names below a second level.
    let mut name = b"a.b.".to_vec();
    name.extend(label.iter().map(u8::to_ascii_lowercase));
    psl::suffix(&name).is_some_and(|suffix| suffix.is_known())
}

/// The registered domain of a host as it is written in a text: not a link's host.
pub(super) fn registered<'h>(host: &'h str, hints: Hints<'_>) -> Cow<'h, str> {
    domain::registered_under(host.trim_matches('.'), hints.is_suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(uri: &str, expected: Option<(&str, &str)>) {
        let found = of(uri.as_bytes(), Hints::NONE);
        let found = found.as_ref().map(|(host, domain)| (host.as_str(), domain.as_str()));
        assert_eq!(found, expected, "{uri}");
    }

    #[test]
    fn hosts_of_links() {
        check("http://WWW.Shop.com:80/x", Some(("www.shop.com", "shop.com")));
        check("http://a:b@www.shop.co.uk?x", Some(("www.shop.co.uk", "shop.co.uk")));
        check("http://192.0.2.7:8080/", Some(("192.0.2.7", "192.0.2.7")));
        check("mailto:me@mail.shop.com?subject=x@y", Some(("mail.shop.com", "shop.com")));
        check("http://münchen.de/", Some(("xn--mnchen-3ya.de", "xn--mnchen-3ya.de")));
        check("//shop.com/", None);
        check("mailto:a@b@shop.com", None);
        check("http://sh%6fp.com/", None);
        check("http://shop.invalid-tld/", None);
        check("javascript:shop.com", None);
        check("http://shop.com./", None);
        check("http://[2001:db8::1]/", None);
        check("http://my_shop.com/", None);
        check("http://my_shop.example.com/", Some(("my_shop.example.com", "example.com")));
    }

    #[test]
    fn rule_files_add_suffixes() {
        let hints = Hints { is_suffix: &|suffix| suffix == "hosting.com", ..Hints::NONE };
        let found = of(b"http://www.me.hosting.com/", hints);
        assert_eq!(found, Some(("www.me.hosting.com".to_owned(), "me.hosting.com".to_owned())));
    }
}
