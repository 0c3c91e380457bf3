//! What the site itself knows: its own domains and networks, organizers it welcomes, addresses
//! and links it has been warned of.
//!
//! Comes in: the text of block lists, one entry a line, and the values of the settings. Goes
//! out: sets that answer whether an address or a link is in them.
//! An error: a line that is no entry, with its number. A list with a mistake is not used at all,
//! because nobody knows what else is missing from it.

use std::collections::HashSet;
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use url::Url;

use super::mail::Networks;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{text}` is no {expected}")]
pub struct BadEntry {
    /// Number of the line, from 1.
    pub line: usize,
    /// Its beginning.
    pub text: String,
    /// What should stand there.
    pub expected: &'static str,
}

/// What the site knows.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Domains whose mail comes from inside, with all below them.
    pub domains: Addresses,
    /// Hosts that do not lie about where mail came from.
    pub networks: Networks,
    /// Organizers who are welcome when they are who they say.
    pub welcome: Addresses,
    /// Addresses and domains that advisories warn of.
    pub block_addresses: Addresses,
    /// Links, hosts and hashes of links that advisories warn of.
    pub block_urls: BlockedUrls,
}

impl Site {
    /// True when the address is one of the site's own servers.
    pub fn is_trusted(&self, ip: IpAddr) -> bool {
        self.networks.holds(ip)
    }
}

/// Entries of a list: text without its comment and white space, and the number of the line.
fn entries(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    lines.filter_map(|(index, line)| {
        // `#` also begins the fragment of a link: a comment stands at the start or after a space.
        let comment = line.match_indices('#').map(|(at, _)| at).find(|at| {
            line.get(..*at).is_some_and(|before| {
                before.chars().all(char::is_whitespace) || before.ends_with([' ', '\t'])
            })
        });
        let entry = line.get(..comment.unwrap_or(line.len())).unwrap_or(line).trim();
        (!entry.is_empty()).then_some((index + 1, entry))
    })
}

fn bad(line: usize, text: &str, expected: &'static str) -> BadEntry {
    BadEntry { line, text: text.chars().take(60).collect(), expected }
}

/// Addresses, and domains with all below them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(HashSet<Box<str>>);

impl Addresses {
    /// Reads `ann@corp.example`, `corp.example` or `@corp.example`, one a line.
    pub fn read(text: &str) -> Result<Self, BadEntry> {
        Self::read_all([text]).map_err(|(_, error)| error)
    }

    /// The same from several texts; a mistake comes with the index of its text.
    pub fn read_all<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, (usize, BadEntry)> {
        let mut found = Self::default();
        for (index, text) in texts.into_iter().enumerate() {
            found.add(text.as_ref()).map_err(|error| (index, error))?;
        }
        Ok(found)
    }

    fn add(&mut self, text: &str) -> Result<(), BadEntry> {
        for (line, entry) in entries(text) {
            let error = || bad(line, entry, "mail address or domain");
            let (local, domain) = entry.rsplit_once('@').unwrap_or(("", entry));
            let domain = host_name(domain).ok_or_else(error)?;
            if local.chars().any(|c| c.is_whitespace() || c.is_control()) || local.len() > 256 {
                return Err(error());
            }
            let entry = match local {
                "" => domain,
                local => format!("{}@{domain}", local.to_lowercase()),
            };
            self.0.insert(entry.into_boxed_str());
        }
        Ok(())
    }

    /// True for an entry, and for an address or domain under one.
    pub fn holds(&self, address: &str) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let address = address.to_lowercase();
        let (local, domain) = address.rsplit_once('@').unwrap_or(("", &address));
        let Some(domain) = host_name(domain) else { return false };
        let whole = !local.is_empty() && self.0.contains(format!("{local}@{domain}").as_str());
        whole || holds_name(&self.0, &domain)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether the set has the name or one above it.
fn holds_name(set: &HashSet<Box<str>>, name: &str) -> bool {
    let mut rest = name;
    loop {
        if set.contains(rest) {
            return true;
        }
        match rest.split_once('.') {
            Some((_, above)) => rest = above,
            None => return false,
        }
    }
}

/// A domain as registries compare it, if it is one.
fn host_name(name: &str) -> Option<String> {
    let name = name.trim_end_matches('.').trim_start_matches("*.");
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 253 || !name.contains('.') || !name.chars().all(plain) {
        return None;
    }
    super::domain::canonical_host(name)
}

/// Links, hosts with all below them, and hashes of links and files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockedUrls {
    hosts: HashSet<Box<str>>,
    /// Host, path and query: `evil.example/login?x=1`.
    urls: HashSet<Box<str>>,
    /// SHA-256 of such a text, of the whole link, or of a file.
    hashes: HashSet<[u8; 32]>,
}

impl BlockedUrls {
    /// Reads `https://evil.example/login`, `evil.example/login`, `evil.example`, an IP address or
    /// a SHA-256 in hex, one a line.
    pub fn read(text: &str) -> Result<Self, BadEntry> {
        Self::read_all([text]).map_err(|(_, error)| error)
    }

    /// The same from several texts; a mistake comes with the index of its text.
    pub fn read_all<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Self, (usize, BadEntry)> {
        let mut found = Self::default();
        for (index, text) in texts.into_iter().enumerate() {
            found.add(text.as_ref()).map_err(|error| (index, error))?;
        }
        Ok(found)
    }

    fn add(&mut self, text: &str) -> Result<(), BadEntry> {
        for (line, entry) in entries(text) {
            let error = || bad(line, entry, "link, host or SHA-256 of a link or file");
            if let Some(hash) = hash(entry) {
                self.hashes.insert(hash);
            } else if entry.contains('/') {
                // A host without a dot is a slip: `https:///path`.
                let has_dot = |key: &String| {
                    key.split('/').next().is_some_and(|host| host.contains(['.', ':']))
                };
                let key = key(entry).filter(has_dot).ok_or_else(error)?;
                // A link to a host's front page warns of that page only.
                self.urls.insert(key.into_boxed_str());
            } else {
                let ip = entry.trim_matches(['[', ']']).parse::<IpAddr>().ok();
                let name = ip.map(|ip| ip.to_string()).or_else(|| host_name(entry));
                self.hosts.insert(name.ok_or_else(error)?.into_boxed_str());
            }
        }
        Ok(())
    }

    /// True when the link, its host, or a hash of it is listed.
    pub fn holds(&self, url: &str, host: Option<&str>) -> bool {
        if self.is_empty() {
            return false;
        }
        if host.is_some_and(|host| holds_name(&self.hosts, host.trim_matches(['[', ']']))) {
            return true;
        }
        let Some(key) = key(url) else { return false };
        let page = key.split_once('?').map_or(&*key, |(page, _)| page);
        let is_hashed = |text: &str| {
            !self.hashes.is_empty() && self.hashes.contains(&<[u8; 32]>::from(Sha256::digest(text)))
        };
        self.urls.contains(&*key)
            || self.urls.contains(page)
            || is_hashed(&key)
            || is_hashed(page)
            || is_hashed(url)
    }

    /// True when the SHA-256 of a file's content is listed.
    pub fn holds_file(&self, content: &[u8]) -> bool {
        !self.hashes.is_empty()
            && !content.is_empty()
            && self.hashes.contains(&<[u8; 32]>::from(Sha256::digest(content)))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.hosts.len() + self.urls.len() + self.hashes.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Host, port, path and query of a link, as browsers understand it: no scheme, no user, no
/// fragment, no slash at the end of the path.
fn key(url: &str) -> Option<String> {
    let with_scheme;
    let text = if url.contains("://") {
        url
    } else {
        with_scheme = format!("http://{url}");
        &with_scheme
    };
    let url = Url::parse(text).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?.trim_end_matches('.');
    let mut key = host.to_lowercase();
    if let Some(port) = url.port() {
        key.push(':');
        key.push_str(&port.to_string());
    }
    key.push('/');
    key.push_str(url.path().trim_matches('/'));
    if let Some(query) = url.query().filter(|query| !query.is_empty()) {
        key.push('?');
        key.push_str(query);
    }
    Some(key)
}

/// 64 hex digits.
fn hash(text: &str) -> Option<[u8; 32]> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_domains() {
        let list = "# advisory 7\n\nBad@Evil.example # note\n@mail.test\n*.wild.test\nxn--mnchen-3ya.test\n";
        let list = Addresses::read(list).unwrap();
        assert_eq!(list.len(), 4);
        for (address, holds) in [
            ("bad@evil.example", true),
            ("BAD@evil.Example.", true),
            ("good@evil.example", false),
            ("anybody@mail.test", true),
            ("anybody@sub.mail.test", true),
            ("sub.mail.test", true),
            ("anybody@badmail.test", false),
            ("a@wild.test", true),
            ("a@münchen.test", true),
            ("nobody", false),
            ("", false),
            ("@", false),
        ] {
            assert_eq!(list.holds(address), holds, "{address}");
        }
        assert!(!Addresses::default().holds("a@b.example"));
    }

    #[test]
    fn what_is_no_address_is_a_mistake() {
        for (text, line) in [
            ("a@b.example\nno domain\n", 2),
            ("localhost", 1),
            ("a b@c.example", 1),
            ("https://a.example/", 1),
            ("a@", 1),
        ] {
            assert_eq!(Addresses::read(text).unwrap_err().line, line, "{text}");
        }
        let error = Addresses::read("\n\u{feff}nonsense").unwrap_err().to_string();
        assert!(error.starts_with("line 2: "), "{error}");
    }

    #[test]
    fn links_hosts_and_hashes() {
        let hash = |text: &str| -> String {
            let digits = Sha256::digest(text).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
            digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
        };
        let list = format!(
            "# feed\nevil.example\n192.0.2.7\nhttps://shared.test/login/#top\n\
             shared.test/form?id=7 # comment\nhttp://shared.test:8080/x\n{}\nsha256:{}\n",
            hash("hashed.test/pay"),
            hash("https://hashed.test/Whole?a=b"),
        );
        let list = BlockedUrls::read(&list).unwrap();
        assert_eq!(list.len(), 7);
        for (url, host, holds) in [
            ("https://evil.example/", "evil.example", true),
            ("https://www.evil.example/a", "www.evil.example", true),
            ("https://notevil.example/a", "notevil.example", false),
            ("http://192.0.2.7/a", "192.0.2.7", true),
            ("http://SHARED.test/login?victim=1", "shared.test", true),
            ("http://shared.test/login/", "shared.test", true),
            ("http://shared.test/login/more", "shared.test", false),
            ("http://shared.test/", "shared.test", false),
            ("http://user@shared.test/form?id=7#x", "shared.test", true),
            ("http://shared.test/form?id=8", "shared.test", false),
            ("http://shared.test:8080/x", "shared.test", true),
            ("http://shared.test/x", "shared.test", false),
            ("https://hashed.test/pay", "hashed.test", true),
            ("https://hashed.test/pay?x", "hashed.test", true),
            ("https://hashed.test/Whole?a=b", "hashed.test", true),
            ("https://hashed.test/other", "hashed.test", false),
        ] {
            assert_eq!(list.holds(url, Some(host)), holds, "{url}");
        }
        assert!(!list.holds("mailto:a@evil.example", None));
        assert!(!list.holds("::", None));
        for text in ["two words", "evil", "https:///path", "é"] {
            assert!(BlockedUrls::read(text).is_err(), "{text}");
        }
    }
}
