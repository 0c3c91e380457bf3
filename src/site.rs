//! Keeps what the site knows up to date: block lists are files, and files change.
//!
//! Comes in: [`Settings`] with the names of files. Goes out: [`facts::Site`] as the files are
//! now, looked at again once a second at most, when somebody asks.
//! An error: a file that cannot be read or used at the start. Later the old content stays in
//! force, and the log says so once.
//!
//! The only place where a scan may touch files.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::facts;
use crate::facts::mail::Networks;
use crate::facts::site::{Addresses, BadEntry, BlockedUrls};

/// Largest block list.
const LARGEST: u64 = 64 * 1024 * 1024;

/// Files are looked at again after this.
const PAUSE: Duration = Duration::from_secs(1);

/// What the configuration says about the site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The site's own domains, with all below them.
    pub domains: Vec<Who>,
    /// Its own servers.
    pub trusted_networks: Vec<Network>,
    /// Organizers who are welcome when they are authenticated.
    pub welcome_organizers: Vec<Who>,
    /// Files with addresses and domains of advisories.
    pub block_addresses: Vec<PathBuf>,
    /// Files with links, hosts and hashes of links.
    pub block_urls: Vec<PathBuf>,
}

/// A mail address, or a domain with all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who(String);

impl FromStr for Who {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Addresses::read(text) {
            Ok(read) if read.len() == 1 => Ok(Self(text.trim().to_owned())),
            Ok(_) | Err(_) => Err(format!("`{text}` is no mail address or domain")),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An address, or a network: `192.0.2.0/24`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network(String);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Networks::default().add_trusted(text).map(|()| Self(text.to_owned()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Networks that may do something.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    /// As written.
    pub written: Vec<Network>,
    networks: Networks,
}

impl Allowed {
    /// True for an address in one of them.
    pub fn covers(&self, ip: IpAddr) -> bool {
        self.networks.holds(ip)
    }

    /// The same for those that are written; this machine only where it is.
    pub fn names(&self, ip: IpAddr) -> bool {
        self.networks.names(ip)
    }
}

impl FromIterator<Network> for Allowed {
    fn from_iter<I: IntoIterator<Item = Network>>(all: I) -> Self {
        let written: Vec<Network> = all.into_iter().collect();
        let mut networks = Networks::default();
        for network in &written {
            // Whoever made a `Network` has read it already.
            drop(networks.add_trusted(&network.0));
        }
        Self { written, networks }
    }
}

/// A block list that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line makes no sense.
    #[error("{}: {source}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which line, and why.
        source: BadEntry,
    },
}

/// What a file looked like: when it was written, how long it is, and which one it is.
type Stamp = (i64, i64, u64, u64);

/// The site; cheap to clone.
#[derive(Clone, Default)]
pub struct Site(Arc<Shared>);

#[derive(Default)]
struct Shared {
    settings: Settings,
    current: RwLock<Arc<facts::Site>>,
    looked: Mutex<Looked>,
}

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    stamps: Vec<Option<Stamp>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Site").field(&self.0.settings).finish()
    }
}

impl Site {
    /// Reads everything once.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        let stamps = stamps(&settings);
        let site = read(&settings)?;
        let looked = Looked { at: Some(Instant::now()), stamps };
        Ok(Self(Arc::new(Shared {
            settings,
            current: RwLock::new(Arc::new(site)),
            looked: Mutex::new(looked),
        })))
    }

    /// What the site knows now.
    pub fn current(&self) -> Arc<facts::Site> {
        let shared = &*self.0;
        if !(shared.settings.block_addresses.is_empty() && shared.settings.block_urls.is_empty()) {
            // Who finds another one looking takes what there is.
            if let Ok(mut looked) = shared.looked.try_lock() {
                shared.look_again(&mut looked, Instant::now());
            }
        }
        Arc::clone(&shared.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shared {
    fn look_again(&self, looked: &mut Looked, now: Instant) {
        if looked.at.is_some_and(|at| now.saturating_duration_since(at) < PAUSE) {
            return;
        }
        looked.at = Some(now);
        let stamps = stamps(&self.settings);
        if stamps == looked.stamps {
            return;
        }
        // Also after a mistake: the same file need not be read and complained of every second.
        looked.stamps = stamps;
        match read(&self.settings) {
            Ok(site) => {
                tracing::info!(
                    addresses = site.block_addresses.len(),
                    urls = site.block_urls.len(),
                    "block lists reloaded"
                );
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
            }
            Err(error) => {
                tracing::error!("block list: {error}; the old ones stay in force");
            }
        }
    }
}

fn stamps(settings: &Settings) -> Vec<Option<Stamp>> {
    let paths = settings.block_addresses.iter().chain(&settings.block_urls);
    paths
        .map(|path| {
            let data = fs::metadata(path).ok()?;
            Some((data.mtime(), data.mtime_nsec(), data.len(), data.ino()))
        })
        .collect()
}

fn read(settings: &Settings) -> Result<facts::Site, Error> {
    let Allowed { networks, .. } = settings.trusted_networks.iter().cloned().collect();
    let named_here =
        |names: &[Who]| Addresses::read_all(names.iter().map(|name| &*name.0)).unwrap_or_default();
    let addresses = Addresses::read_all(texts(&settings.block_addresses)?);
    let urls = BlockedUrls::read_all(texts(&settings.block_urls)?);
    let named = |paths: &[PathBuf], (file, source): (usize, BadEntry)| Error::Entry {
        path: paths.get(file).cloned().unwrap_or_default(),
        source,
    };
    Ok(facts::Site {
        domains: named_here(&settings.domains),
        networks,
        welcome: named_here(&settings.welcome_organizers),
        block_addresses: addresses.map_err(|error| named(&settings.block_addresses, error))?,
        block_urls: urls.map_err(|error| named(&settings.block_urls, error))?,
    })
}

fn texts(paths: &[PathBuf]) -> Result<Vec<String>, Error> {
    let read =
        |path: &PathBuf| text(path).map_err(|source| Error::Read { path: path.clone(), source });
    paths.iter().map(read).collect()
}

fn text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over {LARGEST} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("calspamd-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    /// Asks as if the pause were over.
    fn blocks(site: &Site, address: &str) -> bool {
        site.0.looked.lock().unwrap().at = None;
        site.current().block_addresses.holds(address)
    }

    #[test]
    fn files_are_read_again_when_they_change() {
        let folder = Folder::new("site");
        let addresses = folder.write("addresses", "bad@evil.example\n");
        let urls = folder.write("urls", "evil.example\n");
        let settings = Settings {
            block_addresses: vec![addresses.clone()],
            block_urls: vec![urls],
            ..Settings::default()
        };
        let site = Site::open(settings).unwrap();
        assert!(blocks(&site, "bad@evil.example"));
        assert!(!blocks(&site, "worse@evil.example"));

        folder.write("addresses", "worse@evil.example\nevil.test\n");
        assert!(blocks(&site, "worse@evil.example"));
        assert!(!blocks(&site, "bad@evil.example"));

        // A broken file, or none, keeps the old content.
        folder.write("addresses", "good@evil.example\nno address at all\n");
        assert!(blocks(&site, "worse@evil.example"));
        assert!(!blocks(&site, "good@evil.example"));
        fs::remove_file(&addresses).unwrap();
        assert!(blocks(&site, "worse@evil.example"));
        folder.write("addresses", "");
        assert!(!blocks(&site, "worse@evil.example"));
    }

    #[test]
    fn files_are_looked_at_once_a_second() {
        let folder = Folder::new("pause");
        let path = folder.write("addresses", "a@evil.example\n");
        let settings = Settings { block_addresses: vec![path], ..Settings::default() };
        let site = Site::open(settings).unwrap();
        folder.write("addresses", "another@evil.example\n");
        let start = site.0.looked.lock().unwrap().at.unwrap();
        let holds = |after: u64| {
            let now = start + Duration::from_millis(after);
            site.0.look_again(&mut site.0.looked.lock().unwrap(), now);
            site.0.current.read().unwrap().block_addresses.holds("another@evil.example")
        };
        assert!(!holds(999));
        assert!(holds(1_000));
    }

    #[test]
    fn mistakes_end_the_start() {
        let folder = Folder::new("mistake");
        let broken = folder.write("broken", "a@b.example\nnonsense\n");
        let open = |settings| Site::open(settings).unwrap_err().to_string();
        let error = open(Settings { block_addresses: vec![broken.clone()], ..Settings::default() });
        assert!(
            error.ends_with("broken: line 2: `nonsense` is no mail address or domain"),
            "{error}"
        );
        let missing = folder.0.join("missing");
        let error = open(Settings { block_urls: vec![broken, missing], ..Settings::default() });
        assert!(error.starts_with("cannot read "), "{error}");
    }

    #[test]
    fn settings_are_read_and_used() {
        assert!("192.0.2.0/99".parse::<Network>().is_err());
        for text in ["", "localhost", "a b@c.example", "# corp.example", "a.example\nb.example"] {
            assert!(text.parse::<Who>().is_err(), "{text}");
        }
        let who = |text: &str| vec![text.parse::<Who>().unwrap()];
        let settings = Settings {
            domains: who("corp.example"),
            trusted_networks: vec!["192.0.2.0/24".parse().unwrap()],
            welcome_organizers: who("ann@partner.example"),
            ..Settings::default()
        };
        let site = Site::open(settings).unwrap().current();
        assert!(site.domains.holds("bob@sub.corp.example"));
        assert!(site.welcome.holds("ann@partner.example"));
        assert!(!site.welcome.holds("bob@partner.example"));
        assert!(site.is_trusted("192.0.2.7".parse().unwrap()));
        assert!(site.is_trusted("::ffff:192.0.2.7".parse().unwrap()));
        assert!(site.is_trusted("127.0.0.1".parse().unwrap()));
        assert!(!site.is_trusted("198.51.100.7".parse().unwrap()));
    }
}
