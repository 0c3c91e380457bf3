//! The store in a file of this machine, by redb: one process has it at a time.
//!
//! Changes are in memory first, within a second in the file's journal, and later, very many at a
//! time, in their places in its tables; until then memory has them too, and they are seen all the
//! same. A crash loses what is not in the file, and never anything that is: redb writes into free
//! places and changes over in one step.
//! Not an error: a file that another process has, a full or read-only disk. The store says so,
//! looks again every now and then, and takes over when it can.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redb::{
    Database, DatabaseError, ReadableTable, TableDefinition, TableHandle, WriteTransaction,
};

use super::entry::Entry;
use super::store::{Ask, Change, Found, Key, Purge, Stats, Store, Trouble};

mod fresh;
mod journal;
mod merge;
mod tables;

use fresh::{Fresh, Overlay};
use journal::Journal;
use merge::LEAST;
use tables::reading;

/// Name of the file.
const FILE: &str = "memory.redb";

/// Numbers about the file; the version is that of keys and entries.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers-2");
/// Of earlier versions: nothing in there is found any more, so they only take room.
const EARLIER: [&str; 2] = ["entries-1", "numbers-1"];
/// Octets of all entries.
const OCTETS: &str = "octets";

/// Pages of the file kept in memory.
const CACHE: usize = 32 << 20;

/// Changed entries that wait for the file; with more, recording waits too.
const WAITING: usize = 50_000;

/// Entries of the journal that are put into their places at once: with 100,000 in the file some
/// thirty to a page, and some ten megabytes of memory.
const MERGE: usize = 1 << 16;

/// Octets of the journal after which they are too, and the part of the largest size that they may
/// be: long entries that change each second stand there many times.
const JOURNAL: u64 = 8 << 20;
const PART: u64 = 32;

/// Times that the store is tended and nothing has changed, after which they are too.
const IDLE: u32 = 60;

/// Entries read at a time by whoever looks on.
const PAGE: usize = 1_000;

/// What one writer at a time has to know.
#[derive(Default)]
struct Writing {
    /// Octets of all entries in their places.
    octets: u64,
    /// What stands in the journal.
    journal: Journal,
    /// How often nothing had changed.
    idle: u32,
    /// Where cleaning up goes on.
    cursor: Option<Key>,
    /// Latest time that the caller's clock has shown.
    now: i64,
    /// What was wrong last, to be said once.
    told: Option<Trouble>,
}

/// Entries in a file.
pub struct Embedded {
    path: PathBuf,
    max_size: u64,
    file: Mutex<Result<Arc<Database>, Trouble>>,
    fresh: Mutex<Fresh>,
    writing: Mutex<Writing>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(error: impl Into<redb::Error>) -> Trouble {
    Trouble::Failed(error.into().to_string())
}

fn open(path: &Path) -> Result<Database, Trouble> {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    match builder.create(path) {
        Ok(database) => Ok(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(Trouble::Held),
        Err(error) => Err(failed(error)),
    }
}

/// One transaction that says how many octets all entries take then.
fn transact(
    file: &Database,
    work: impl FnOnce(&WriteTransaction) -> Result<u64, Trouble>,
) -> Result<u64, Trouble> {
    let mut transaction = file.begin_write().map_err(failed)?;
    // Opening after a crash takes milliseconds with this, and minutes without it.
    transaction.set_quick_repair(true);
    let octets = work(&transaction)?;
    let mut numbers = transaction.open_table(NUMBERS).map_err(failed)?;
    numbers.insert(OCTETS, octets).map_err(failed)?;
    drop(numbers);
    transaction.commit().map_err(failed)?;
    Ok(octets)
}

/// Appends changed entries to the journal.
fn append(file: &Database, entries: &Overlay, writing: &mut Writing) -> Result<(), Trouble> {
    let mut journal = writing.journal;
    transact(file, |transaction| {
        journal.append(transaction, entries)?;
        Ok(writing.octets)
    })?;
    writing.journal = journal;
    Ok(())
}

impl Embedded {
    /// Opens the file in this directory, or makes it. An error: nothing can be written there.
    pub fn open(directory: &Path, max_size: u64) -> io::Result<Self> {
        let path = directory.join(FILE);
        // Whether the directory can be written at all decides here; a file that is in use or
        // broken comes right later, or somebody mends it.
        let probe = directory.join(format!(".probe.{}", std::process::id()));
        fs::write(&probe, b"")?;
        drop(fs::remove_file(&probe));
        let store = Self {
            path,
            max_size,
            file: Mutex::new(Err(Trouble::Held)),
            fresh: Mutex::default(),
            writing: Mutex::default(),
        };
        store.take_over(&mut lock(&store.writing));
        Ok(store)
    }

    /// Why it cannot be used now.
    pub fn trouble(&self) -> Option<Trouble> {
        lock(&self.file).as_ref().err().cloned()
    }

    fn file(&self) -> Result<Arc<Database>, Trouble> {
        lock(&self.file).clone()
    }

    /// Opens the file, if nobody else has it.
    fn take_over(&self, writing: &mut Writing) {
        // Reads it once: what is wrong with it shows now, and not in the middle of a scan.
        let opened = open(&self.path).and_then(|database| {
            let transaction = database.begin_write().map_err(failed)?;
            let tables = transaction.list_tables().map_err(failed)?;
            for table in tables.filter(|table| EARLIER.contains(&table.name())) {
                transaction.delete_table(table).map_err(failed)?;
            }
            drop(tables::writing(&transaction)?);
            let (journal, kept) = Journal::read(&transaction)?;
            let numbers = transaction.open_table(NUMBERS).map_err(failed)?;
            let octets = numbers.get(OCTETS).map_err(failed)?.map_or(0, |number| number.value());
            drop(numbers);
            transaction.commit().map_err(failed)?;
            Ok((Arc::new(database), octets, journal, kept))
        });
        let result = opened.map(|(database, octets, journal, kept)| {
            (writing.octets, writing.journal) = (octets, journal);
            lock(&self.fresh).merged(kept);
            database
        });
        let trouble = result.as_ref().err().cloned();
        if trouble != writing.told {
            let path = self.path.display();
            match &trouble {
                Some(trouble) => tracing::warn!("{path}: {trouble}; nothing is remembered for now"),
                None if writing.told.is_some() => tracing::info!("{path}: taken over"),
                None => {}
            }
            writing.told = trouble;
        }
        *lock(&self.file) = result;
    }

    /// Gives the file up after it failed: redb trusts nothing that it has read before.
    fn give_up(&self, writing: &mut Writing, trouble: &Trouble) {
        if writing.told.as_ref() != Some(trouble) {
            tracing::error!("{}: {trouble}; nothing is remembered for now", self.path.display());
            writing.told = Some(trouble.clone());
        }
        *lock(&self.file) = Err(trouble.clone());
    }

    /// Appends what waits to the journal.
    fn save(&self, writing: &mut Writing) -> Result<(), Trouble> {
        let file = self.file()?;
        let saving = lock(&self.fresh).begin();
        if saving.is_empty() {
            return Ok(());
        }
        if let Err(trouble) = append(&file, &saving, writing) {
            lock(&self.fresh).wait_again(WAITING);
            drop(file);
            self.give_up(writing, &trouble);
            return Err(trouble);
        }
        let mut fresh = lock(&self.fresh);
        fresh.keep(saving);
        let is_due = fresh.kept.len() >= MERGE || writing.journal.octets >= self.longest();
        drop(fresh);
        if is_due { self.merge(writing) } else { Ok(()) }
    }

    /// Octets of the journal with which it is due to be put into its places.
    fn longest(&self) -> u64 {
        JOURNAL.min(self.max_size / PART)
    }

    /// Everything in its place, for whoever looks at the tables alone.
    fn settle(&self, writing: &mut Writing) -> Result<(), Trouble> {
        self.save(writing)?;
        self.merge(writing)
    }

    /// Waits for the file where too much waits for it.
    fn relieve(&self, writing: &mut Writing) -> Result<(), Trouble> {
        if lock(&self.fresh).waiting.len() < WAITING {
            return Ok(());
        }
        self.save(writing)
    }
}

impl Store for Embedded {
    fn recall(&self, asks: &[Ask], _: Duration) -> Result<Vec<Found>, Trouble> {
        let file = self.file()?;
        let fresh = lock(&self.fresh);
        let answer =
            |ask: &Ask| fresh.get(&ask.key()).map(|entry| Entry::answer(entry.as_ref(), ask));
        let mut answers: Vec<Option<Found>> = asks.iter().map(answer).collect();
        let merges = fresh.merges();
        drop(fresh);
        // What is saved meanwhile is in both places, or in the file alone, and never nowhere:
        // the look into memory came first.
        let tables = reading(&file)?;
        let mut absent = Vec::new();
        for (ask, answer) in asks.iter().zip(&mut answers) {
            if answer.is_none() {
                let entry = tables.read(&ask.key())?;
                absent.extend(entry.is_none().then(|| ask.key()));
                *answer = Some(Entry::answer(entry.as_ref(), ask));
            }
        }
        lock(&self.fresh).are_absent(&absent, merges);
        Ok(answers.into_iter().flatten().collect())
    }

    fn record(&self, changes: &[Change]) -> Result<(), Trouble> {
        let mut writing = lock(&self.writing);
        let file = self.file()?;
        self.relieve(&mut writing)?;
        // Only this thread changes entries now, so what is read stays true. Each entry is read once,
        // whatever happens to it.
        let mut sorted: Vec<&Change> = changes.iter().collect();
        sorted.sort_by_key(|change| change.key());
        let known: Vec<Option<Option<Entry>>> = {
            let fresh = lock(&self.fresh);
            let same_key = sorted.chunk_by(|one, other| one.key() == other.key());
            same_key.map(|of| fresh.get(&of.first()?.key()).cloned()).collect()
        };
        let tables = reading(&file)?;
        let mut current = Vec::with_capacity(known.len());
        for (of, known) in sorted.chunk_by(|one, other| one.key() == other.key()).zip(known) {
            let Some(key) = of.first().map(|change| change.key()) else { continue };
            let before = match known {
                Some(entry) => entry,
                None => tables.read(&key)?,
            };
            current
                .push((key, of.iter().fold(before, |entry, change| Entry::apply(entry, change))));
        }
        lock(&self.fresh).waiting.extend(current);
        Ok(())
    }

    fn flush(&self) -> Result<(), Trouble> {
        let mut writing = lock(&self.writing);
        self.save(&mut writing)
    }

    fn tend(&self, now: i64) -> Result<(), Trouble> {
        let mut writing = lock(&self.writing);
        writing.now = now;
        if self.trouble().is_some() {
            self.take_over(&mut writing);
        }
        let file = self.file()?;
        let fresh = lock(&self.fresh);
        let (is_idle, is_merged) = (fresh.waiting.is_empty(), fresh.kept.is_empty());
        drop(fresh);
        if !is_idle {
            writing.idle = 0;
            return self.save(&mut writing);
        }
        writing.idle = writing.idle.saturating_add(1);
        if !is_merged && writing.idle >= IDLE {
            return self.merge(&mut writing);
        }
        // Nothing to write: look only, and write when something has expired.
        let mut cursor = writing.cursor;
        let found = reading(&file)?.next(&mut cursor, LEAST)?;
        if found.iter().any(|(_, until)| *until < now) || writing.octets > self.room(0) {
            return self.merge(&mut writing);
        }
        writing.cursor = cursor;
        Ok(())
    }

    fn stats(&self) -> Result<Stats, Trouble> {
        self.settle(&mut lock(&self.writing))?;
        let bytes = fs::metadata(&self.path).map_or(0, |data| data.len());
        let mut counts = std::collections::BTreeMap::new();
        let file = self.file()?;
        let tables = reading(&file)?;
        for kind in super::store::Kind::ALL {
            let count = tables.count(kind)?;
            if count > 0 {
                counts.insert(kind, count);
            }
        }
        Ok(Stats {
            backend: "embedded",
            entries: counts.into_iter().collect(),
            bytes,
            max_bytes: self.max_size,
        })
    }

    fn visit(&self, see: &mut dyn FnMut(Key, Entry)) -> Result<(), Trouble> {
        self.settle(&mut lock(&self.writing))?;
        let file = self.file()?;
        let mut cursor = None;
        loop {
            // A long look at one state of the file would keep it from being cleaned up.
            let tables = reading(&file)?;
            for (key, _) in tables.next(&mut cursor, PAGE)? {
                if let Some(entry) = tables.read(&key)? {
                    see(key, entry);
                }
            }
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    fn restore(&self, entries: Vec<(Key, Entry)>) -> Result<(), Trouble> {
        let mut writing = lock(&self.writing);
        self.file()?;
        for entries in entries.chunks(PAGE) {
            let new = entries.iter().map(|(key, entry)| (*key, entry.clone().remaining()));
            lock(&self.fresh).waiting.extend(new);
            self.relieve(&mut writing)?;
        }
        self.settle(&mut writing)
    }

    fn purge(&self, purge: &Purge) -> Result<u64, Trouble> {
        let mut writing = lock(&self.writing);
        self.settle(&mut writing)?;
        let file = self.file()?;
        let mut gone = 0;
        let mut cursor = None;
        loop {
            // Nothing else writes, so pages are what they were when they were read.
            let tables = reading(&file)?;
            let page = tables.next(&mut cursor, PAGE)?;
            for (key, _) in page {
                if purge.keys.contains(&key) {
                    gone += 1;
                    lock(&self.fresh).waiting.insert(key, None);
                } else if let Some(mut entry) = tables.read(&key)? {
                    let less = entry.purge(purge);
                    if less > 0 {
                        gone += less;
                        lock(&self.fresh).waiting.insert(key, entry.remaining());
                    }
                }
            }
            if cursor.is_none() {
                break;
            }
        }
        self.settle(&mut writing)?;
        Ok(gone)
    }

    fn may_wait(&self) -> bool {
        false
    }
}
