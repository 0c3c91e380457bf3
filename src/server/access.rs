//! Who may ask the service what: its own machine, networks that are named, and whoever knows a
//! password.
//!
//! Comes in: where a request comes from, and the password it brings. Goes out: what it may, or why
//! not. A request that another program on this machine brought for somebody else, a proxy or a
//! browser, is not this machine's own: it needs the password.
//! Who has sent wrong passwords is not listened to for a while, right ones included: the answer
//! tells nobody that he has found it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::web;
use tokio::sync::Mutex;

use super::Settings;
use super::password::Password;
use super::quota::{Client, Quota};
use crate::site::Allowed;

/// Headers by which proxies and browsers give themselves away.
pub(super) const BROUGHT: [&str; 7] =
    ["x-forwarded-for", "x-real-ip", "forwarded", "via", "origin", "referer", "sec-fetch-site"];

/// Wrong passwords of a client, and the time after which they are forgotten: Rspamd's numbers.
const FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);

/// What a request wants, or what it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Right {
    /// To scan, and to look at numbers.
    Read,
    /// To change the service or what it remembers, and to look at that.
    Change,
}

/// Why a request may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// It brings no password, or a wrong one.
    Unauthorized,
    /// There were too many wrong ones; seconds to wait.
    TooMany(u64),
}

/// The rules of the house; by default those of a house without passwords.
pub(super) struct Access {
    password: Option<Password>,
    enable_password: Option<Password>,
    secure: Allowed,
    failures: Arc<Quota>,
    /// Held while a hash is computed: one at a time, however many ask.
    verifying: Arc<Mutex<()>>,
}

impl Default for Access {
    fn default() -> Self {
        Self {
            password: None,
            enable_password: None,
            secure: Allowed::default(),
            failures: Arc::new(Quota::new(FAILURES, WINDOW)),
            verifying: Arc::default(),
        }
    }
}

impl Access {
    /// The same with other rules: `password` lets in for reading, `enable_password` for everything;
    /// the networks of `secure` need none. Wrong passwords of the past count on.
    pub(super) fn under(&self, settings: &Settings) -> Self {
        Self {
            password: kept(self.password.as_ref(), settings.password.as_ref()),
            enable_password: kept(self.enable_password.as_ref(), settings.enable_password.as_ref()),
            secure: settings.secure.clone(),
            failures: Arc::clone(&self.failures),
            verifying: Arc::clone(&self.verifying),
        }
    }

    /// True for a client of one of the named networks. This machine is none of them by itself:
    /// its programs need no password, but share what one client may have.
    pub(super) fn is_secure(&self, address: IpAddr) -> bool {
        self.secure.names(address)
    }

    /// What a request may, if that is enough. `peer` is `None` on a Unix socket, where the rights
    /// of the file have decided already.
    pub(super) async fn ask(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        argument: Option<&str>,
        wanted: Right,
    ) -> Result<Right, Denied> {
        let is_secure = peer.is_some_and(|address| self.is_secure(address));
        if is_near(peer, headers) || (is_secure && !is_brought(headers)) {
            return Ok(Right::Change);
        }
        if wanted == Right::Read && self.password.is_none() {
            return Ok(Right::Read);
        }
        let header = headers.get("password").map(HeaderValue::as_bytes);
        let Some(given) = header.or(argument.map(str::as_bytes)) else {
            return Err(Denied::Unauthorized);
        };
        let client = Client::from(peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let wait = |time: Duration| Denied::TooMany(time.as_secs() + 1);
        self.failures.look(client, Instant::now()).map_err(wait)?;
        let passwords = [
            (Right::Change, self.enable_password.as_ref()),
            (Right::Read, self.password.as_ref().filter(|_| wanted == Right::Read)),
        ];
        let passwords = passwords.into_iter().filter_map(|(right, kept)| Some((right, kept?)));
        // The quick ones first: who is known already must not pay for the other one.
        for (right, password) in passwords.clone() {
            if password.is_quick(given) == Some(true) {
                return Ok(right);
            }
        }
        for (right, password) in passwords.filter(|(_, kept)| kept.is_quick(given).is_none()) {
            let _one = self.verifying.lock().await;
            let (password, given) = (password.clone(), given.to_vec());
            if web::block(move || password.is(&given)).await.unwrap_or(false) {
                return Ok(right);
            }
        }
        self.failures.take(client, Instant::now()).map_err(wait)?;
        Err(Denied::Unauthorized)
    }
}

/// The new password; the old one where they are the same, which may know already who is right.
fn kept(old: Option<&Password>, new: Option<&Password>) -> Option<Password> {
    if old == new { old.cloned() } else { new.cloned() }
}

/// True for a request that a program of this machine sends for itself.
pub(super) fn is_near(peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
    peer.is_none_or(|address| address.to_canonical().is_loopback()) && !is_brought(headers)
}

fn is_brought(headers: &HeaderMap) -> bool {
    BROUGHT.iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use actix_web::rt::System;

    fn access(password: Option<&str>, enable: Option<&str>) -> Access {
        let parsed = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        Access::default().under(&Settings {
            password: parsed(password),
            enable_password: parsed(enable),
            secure: ["198.51.100.0/24".parse().unwrap()].into_iter().collect(),
            ..Settings::default()
        })
    }

    /// Asks with header lines, as `peer`; text that is no address is a Unix socket.
    fn ask(
        access: &Access,
        peer: &str,
        lines: &[(&'static str, &'static str)],
        wanted: Right,
    ) -> Result<Right, Denied> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        System::new().block_on(access.ask(peer.parse().ok(), &headers, None, wanted))
    }

    #[test]
    fn the_machine_itself_and_the_password() {
        #[track_caller]
        fn check(peer: &str, lines: &[(&'static str, &'static str)], expected: bool) {
            let change = |enable| ask(&access(None, enable), peer, lines, Right::Change).is_ok();
            assert_eq!(change(Some("let me in")), expected, "{peer:?}");
            let with_password = lines.iter().any(|(name, _)| *name == "password");
            assert_eq!(change(None), expected && !with_password, "{peer:?}");
        }
        check("127.0.0.1", &[], true);
        check("127.8.9.1", &[], true);
        check("::1", &[], true);
        check("::ffff:127.0.0.1", &[], true);
        check("198.51.100.7", &[], true);
        check("a Unix socket", &[], true);
        check("192.0.2.1", &[], false);
        check("2001:db8::1", &[("password", "let me i")], false);
        check("2001:db8::1", &[("password", "let me iN")], false);
        check("2001:db8::1", &[("password", "")], false);
        check("2001:db8::1", &[("password", "let me in")], true);
        for name in BROUGHT {
            check("127.0.0.1", &[(name, "192.0.2.1")], false);
            check("198.51.100.7", &[(name, "192.0.2.1")], false);
            check("a Unix socket", &[(name, "192.0.2.1")], false);
            check("::1", &[(name, "192.0.2.1"), ("password", "let me in")], true);
        }
    }

    #[test]
    fn networks_are_secure_by_name() {
        let access = access(None, None);
        for (address, expected) in [
            ("198.51.100.7", true),
            ("::ffff:198.51.100.7", true),
            ("198.51.101.7", false),
            ("127.0.0.1", false),
            ("::1", false),
        ] {
            assert_eq!(access.is_secure(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn there_are_two_levels() {
        let far = "192.0.2.1";
        let (read, change): (&[_], &[_]) = (&[("password", "read")], &[("password", "change")]);
        let both = access(Some("read"), Some("change"));
        assert_eq!(ask(&both, far, &[], Right::Read), Err(Denied::Unauthorized));
        assert_eq!(ask(&both, far, read, Right::Read), Ok(Right::Read));
        assert_eq!(ask(&both, far, read, Right::Change), Err(Denied::Unauthorized));
        assert_eq!(ask(&both, far, change, Right::Read), Ok(Right::Change));
        assert_eq!(ask(&both, far, change, Right::Change), Ok(Right::Change));
        let open = access(None, Some("change"));
        assert_eq!(ask(&open, far, &[], Right::Read), Ok(Right::Read));
        // One password alone does not let anybody change things.
        let one = access(Some("read"), None);
        assert_eq!(ask(&one, far, read, Right::Change), Err(Denied::Unauthorized));
    }

    #[test]
    fn guessing_ends_soon_and_tells_nothing() {
        let access = access(Some("read"), Some("change"));
        let (wrong, right): (&[_], &[_]) = (&[("password", "x")], &[("password", "change")]);
        for _ in 0..FAILURES {
            assert_eq!(ask(&access, "192.0.2.1", wrong, Right::Read), Err(Denied::Unauthorized));
            // Asking without any is no guess.
            assert_eq!(ask(&access, "192.0.2.1", &[], Right::Read), Err(Denied::Unauthorized));
        }
        for lines in [wrong, right] {
            let denied = ask(&access, "192.0.2.1", lines, Right::Change);
            assert!(matches!(denied, Err(Denied::TooMany(1..=7))), "{denied:?}");
        }
        assert_eq!(ask(&access, "192.0.2.2", right, Right::Change), Ok(Right::Change));
        assert_eq!(ask(&access, "127.0.0.1", &[], Right::Change), Ok(Right::Change));
    }

    #[test]
    fn wrong_passwords_count_on_under_other_rules() {
        let before = access(Some("read"), None);
        let (wrong, right): (&[_], &[_]) = (&[("password", "x")], &[("password", "other")]);
        for _ in 0..FAILURES {
            assert_eq!(ask(&before, "192.0.2.1", wrong, Right::Read), Err(Denied::Unauthorized));
        }
        let password = Some("other".parse().unwrap());
        let after = before.under(&Settings { password, ..Settings::default() });
        assert_eq!(ask(&after, "192.0.2.2", right, Right::Read), Ok(Right::Read));
        let denied = ask(&after, "192.0.2.1", right, Right::Read);
        assert!(matches!(denied, Err(Denied::TooMany(_))), "{denied:?}");
        // The network has been taken off the list.
        let read: &[_] = &[("password", "read")];
        assert_eq!(ask(&before, "198.51.100.7", &[], Right::Change), Ok(Right::Change));
        assert_eq!(ask(&after, "198.51.100.7", read, Right::Read), Err(Denied::Unauthorized));
    }
}
