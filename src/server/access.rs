//! Who may change a running service: its own machine, and whoever knows the password.
//!
//! Comes in: where a request comes from, and its headers. Goes out: yes or no.
//! A request that another program on this machine brought for somebody else, a proxy or a
//! browser, is not this machine's own: it needs the password.

use std::net::IpAddr;

use actix_web::http::header::HeaderMap;

/// Headers by which proxies and browsers give themselves away.
pub(super) const BROUGHT: [&str; 5] = ["x-forwarded-for", "x-real-ip", "forwarded", "via", "origin"];

/// True when the request may change the service. `peer` is `None` on a Unix socket, where the
/// rights of the file have decided already.
pub(super) fn is_allowed(
    peer: Option<IpAddr>,
    headers: &HeaderMap,
    password: Option<&str>,
) -> bool {
    let is_near = peer.is_none_or(|address| address.to_canonical().is_loopback());
    if is_near && !BROUGHT.iter().any(|name| headers.contains_key(*name)) {
        return true;
    }
    match (password, headers.get("password")) {
        (Some(expected), Some(given)) => is_same(expected.as_bytes(), given.as_bytes()),
        (Some(_) | None, _) => false,
    }
}

/// Compares without telling by the time it takes where the difference is.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    #[test]
    fn the_machine_itself_and_the_password() {
        #[track_caller]
        fn check(peer: &str, lines: &[(&'static str, &'static str)], expected: bool) {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                let value = HeaderValue::from_static(value);
                headers.insert(HeaderName::from_static(name), value);
            }
            let peer = peer.parse().ok();
            assert_eq!(is_allowed(peer, &headers, Some("let me in")), expected, "{peer:?}");
            if lines.iter().any(|(name, _)| *name == "password") {
                headers.remove("password");
                let alone = is_allowed(peer, &headers, Some("let me in"));
                assert_eq!(is_allowed(peer, &headers, None), alone, "{peer:?}");
            }
        }
        check("127.0.0.1", &[], true);
        check("127.8.9.1", &[], true);
        check("::1", &[], true);
        check("::ffff:127.0.0.1", &[], true);
        check("a Unix socket", &[], true);
        check("192.0.2.1", &[], false);
        check("2001:db8::1", &[("password", "let me i")], false);
        check("2001:db8::1", &[("password", "let me iN")], false);
        check("2001:db8::1", &[("password", "")], false);
        check("2001:db8::1", &[("password", "let me in")], true);
        for name in BROUGHT {
            check("127.0.0.1", &[(name, "192.0.2.1")], false);
            check("a Unix socket", &[(name, "192.0.2.1")], false);
            check("::1", &[(name, "192.0.2.1"), ("password", "let me in")], true);
        }
    }
}
