//! Scans that are remembered: each of another event, for another recipient, so that nothing of it
//! is known but who sends it and what it says.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use calspamd::reputation::{Embedded, Reputation};
use calspamd::rules::RuleSet;
use calspamd::scan::{self, Request, Settings};

/// Recipients of the site.
const PEOPLE: usize = 300;

/// Largest size of the store.
const OCTETS: u64 = 1 << 28;

/// A folder that goes when it is not needed any more.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Scans so often, and waits until everything is in the store.
pub(crate) fn scan(bytes: &[u8], request: &Request, rules: &RuleSet, remembers: bool, runs: usize) {
    let text = String::from_utf8_lossy(bytes);
    let folder =
        Folder(std::env::temp_dir().join(format!("calspamd-bench-{}", std::process::id())));
    let mut settings = Settings::default();
    if remembers {
        std::fs::create_dir_all(&folder.0).unwrap();
        let store = Arc::new(Embedded::open(&folder.0, OCTETS).unwrap());
        let now = request.now;
        let keeping = calspamd::reputation::Settings::default();
        settings.reputation =
            Reputation::over(store, b"secret", &keeping, Arc::new(move || now)).unwrap();
    }
    for number in 0..runs {
        let mut request = request.clone();
        request.envelope.recipients.push(format!("user{}@dest.test", number % PEOPLE));
        let text = text.replace("UID:", &format!("UID:{number}-"));
        black_box(scan::scan(text.as_bytes(), &request, rules, &settings));
    }
    settings.reputation.settle().unwrap();
}
