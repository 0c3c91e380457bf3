//! Scans that are remembered in a file. What a save costs does not depend on how fast the
//! machine is: there is one after so many messages, and not after so much time. What is put into
//! its place later, very much at a time, is measured by itself, by the entry.

use std::hint::black_box;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use calspamd::message::Envelope;
use calspamd::reputation::entry::{Content, Entry};
use calspamd::reputation::store::{
    Ask, Change, Found, Key, Kind, Member, Purge, Stats, Store, Trouble,
};
use calspamd::reputation::{Embedded, Reputation, Settings as Keeping};
use calspamd::rules::RuleSet;
use calspamd::scan::{self, Request, Settings};

use crate::messages;

/// Recipients of the site.
const PEOPLE: usize = 300;

/// Largest size of the store.
const OCTETS: u64 = 1 << 28;

/// Messages between two saves: a second of one busy core.
const SAVE: usize = 200;

/// Ordinary messages built, whether they are scanned or not: building them must not count.
const MAIL: usize = 220;

/// What the store holds before ordinary mail comes: some 3,000 messages' worth.
const BEFORE: u64 = 100_000;

/// A folder that goes when it is not needed any more.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Saves when the benchmark says so, and not when the clock does.
struct Paced(Embedded);

impl Store for Paced {
    fn recall(&self, asks: &[Ask], budget: Duration) -> Result<Vec<Found>, Trouble> {
        self.0.recall(asks, budget)
    }

    fn record(&self, changes: &[Change]) -> Result<(), Trouble> {
        self.0.record(changes)
    }

    fn flush(&self) -> Result<(), Trouble> {
        self.0.flush()
    }

    fn tend(&self, _: i64) -> Result<(), Trouble> {
        Ok(())
    }

    fn stats(&self) -> Result<Stats, Trouble> {
        self.0.stats()
    }

    fn visit(&self, see: &mut dyn FnMut(Key, Entry)) -> Result<(), Trouble> {
        self.0.visit(see)
    }

    fn restore(&self, entries: Vec<(Key, Entry)>) -> Result<(), Trouble> {
        self.0.restore(entries)
    }

    fn purge(&self, purge: &Purge) -> Result<u64, Trouble> {
        self.0.purge(purge)
    }

    fn may_wait(&self) -> bool {
        self.0.may_wait()
    }
}

/// Entries as others have left them, all over the file.
fn before(now: i64) -> Vec<(Key, Entry)> {
    others(0..BEFORE, now)
}

fn others(numbers: Range<u64>, now: i64) -> Vec<(Key, Entry)> {
    numbers
        .map(|number| {
            let kind = if number % 3 == 0 { Kind::Index } else { Kind::Campaign };
            let mut key = [kind as u8; 17];
            let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            key[1..9].copy_from_slice(&spread.to_be_bytes());
            key[9..17].copy_from_slice(&spread.rotate_left(23).to_be_bytes());
            let times = vec![(now, Member(spread.to_be_bytes()))];
            (Key(key), Entry { until: now + 86_400, content: Content::Times(times) })
        })
        .collect()
}

/// Scans with a memory, or without.
struct Scanner<'r> {
    rules: &'r RuleSet,
    settings: Settings,
    store: Option<Arc<Paced>>,
    scanned: usize,
    now: i64,
    // The last to go.
    _folder: Folder,
}

impl<'r> Scanner<'r> {
    fn new(rules: &'r RuleSet, remembers: bool, now: i64, before: Vec<(Key, Entry)>) -> Self {
        let folder =
            Folder(std::env::temp_dir().join(format!("calspamd-bench-{}", std::process::id())));
        let mut settings = Settings::default();
        let store = remembers.then(|| {
            std::fs::create_dir_all(&folder.0).unwrap();
            Arc::new(Paced(Embedded::open(&folder.0, OCTETS).unwrap()))
        });
        if let Some(store) = &store {
            store.restore(before).unwrap();
            let store: Arc<dyn Store> = store.clone();
            let clock = Arc::new(move || now);
            settings.reputation =
                Reputation::over(store, b"secret", &Keeping::default(), clock).unwrap();
        }
        Self { rules, settings, store, scanned: 0, now, _folder: folder }
    }

    fn scan(&mut self, bytes: &[u8], request: &Request) {
        black_box(scan::scan(bytes, request, self.rules, &self.settings));
        self.scanned += 1;
        if self.scanned.is_multiple_of(SAVE) {
            self.save();
        }
    }

    fn save(&self) {
        if let Some(store) = &self.store {
            self.settings.reputation.settle().unwrap();
            store.0.tend(self.now).unwrap();
        }
    }
}

/// One campaign, the worst that can happen: each of another event, for another recipient, so that
/// nothing of it is known but who sends it and what it says.
pub(crate) fn campaign(
    bytes: &[u8],
    request: &Request,
    rules: &RuleSet,
    remembers: bool,
    runs: usize,
) {
    let text = String::from_utf8_lossy(bytes);
    let mut scanner = Scanner::new(rules, remembers, request.now, Vec::new());
    for number in 0..runs {
        let mut request = request.clone();
        request.envelope.recipients.push(format!("user{}@dest.test", number % PEOPLE));
        let text = text.replace("UID:", &format!("UID:{number}-"));
        scanner.scan(text.as_bytes(), &request);
    }
    scanner.save();
}

/// Entries that come into their places at once: as many as the store lets come together, nearly.
const MERGED: u64 = 65_000;

/// So many entries in the journal, beside those of others; `merges` puts them into their places.
/// Prints how many they are.
pub(crate) fn merge(now: i64, merges: bool) {
    let folder =
        Folder(std::env::temp_dir().join(format!("calspamd-merge-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let store = Embedded::open(&folder.0, OCTETS).unwrap();
    store.restore(before(now)).unwrap();
    let new = others(BEFORE..BEFORE + MERGED, now);
    for (key, entry) in &new {
        let Content::Times(times) = &entry.content else { continue };
        let notes: Vec<Change> = times
            .iter()
            .map(|(at, member)| Change::Note {
                key: *key,
                member: *member,
                at: *at,
                window: 86_400,
                most: 9,
                life: 86_400,
            })
            .collect();
        store.record(&notes).unwrap();
    }
    store.flush().unwrap();
    if merges {
        store.restore(Vec::new()).unwrap();
    }
    println!("{}", new.len());
}

/// A morning's mail: everybody invites somebody else to something else, and the senders' servers
/// have vouched for them. `kind`: `small` or `typical` messages only, `mixed` by turns. `remembers`:
/// `on`, `off`, or `entries`, which prints how many entries a message has left.
pub(crate) fn ordinary(kind: &str, now: i64, rules: &RuleSet, remembers: &str, runs: usize) {
    let (remembers, counts) = (remembers != "off", remembers == "entries");
    let is_typical = |number: usize| kind == "typical" || (kind == "mixed" && number % 2 == 1);
    let mail: Vec<(Vec<u8>, Request)> = (0..MAIL)
        .map(|number| {
            let (bytes, sender) = messages::ordinary(number, is_typical(number));
            let house = sender.rsplit('@').next().unwrap();
            let envelope = Envelope {
                client_ip: format!("192.0.2.{}", number % 200 + 1).parse().ok(),
                helo: Some(format!("mail.{house}")),
                recipients: vec![format!("user{}@dest.test", number * 7 % PEOPLE)],
                authentication_results: vec![format!("mx.dest.test; dkim=pass header.d={house}")],
                sender: Some(sender),
                ..Envelope::default()
            };
            (bytes, Request { envelope, now, ..Request::default() })
        })
        .collect();
    let mut scanner = Scanner::new(rules, remembers, now, before(now));
    assert!(runs <= mail.len(), "there is not so much mail");
    for (bytes, request) in mail.iter().take(runs) {
        scanner.scan(bytes, request);
    }
    scanner.save();
    if let (true, Some(store)) = (counts, &scanner.store) {
        let all: u64 = store.0.stats().unwrap().entries.iter().map(|(_, count)| count).sum();
        println!("{}", (all - BEFORE) / u64::try_from(runs).unwrap());
    }
}
