//! The store that is gone when the process is: for tests, and where nothing can be written.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::entry::Entry;
use super::store::{Ask, Change, Found, Key, Kind, Purge, Stats, Store, Trouble};

/// Entries looked at in one go of cleaning up.
const SWEEP: usize = 1_000;

/// Of so many neighbours the first of a few to expire give way when there is no room.
const SAMPLE: usize = 64;
const GIVE_WAY: usize = 16;

/// Entries in memory.
pub struct Memory {
    max_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: BTreeMap<Key, Entry>,
    bytes: usize,
    /// Where cleaning up goes on.
    cursor: Option<Key>,
}

impl State {
    fn set(&mut self, key: Key, entry: Option<Entry>) {
        self.bytes += entry.as_ref().map_or(0, Entry::size);
        let before = match entry {
            Some(entry) => self.entries.insert(key, entry),
            None => self.entries.remove(&key),
        };
        self.bytes = self.bytes.saturating_sub(before.as_ref().map_or(0, Entry::size));
    }

    /// The next entries, from the first again after the last.
    fn next(&mut self, most: usize) -> Vec<(Key, i64)> {
        let start = self.cursor.map_or(Bound::Unbounded, Bound::Excluded);
        let after = self.entries.range((start, Bound::Unbounded)).take(most);
        let found: Vec<(Key, i64)> = after.map(|(key, entry)| (*key, entry.until)).collect();
        self.cursor = if found.len() < most { None } else { found.last().map(|(key, _)| *key) };
        found
    }

    fn make_room(&mut self, max_bytes: usize) {
        while self.bytes > max_bytes && !self.entries.is_empty() {
            let mut sample = self.next(SAMPLE);
            sample.sort_by_key(|(_, until)| *until);
            for (key, _) in sample.into_iter().take(GIVE_WAY) {
                self.set(key, None);
            }
        }
    }
}

impl Memory {
    /// Nothing yet, and never more than this.
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Memory {
    fn recall(&self, asks: &[Ask], _: Duration) -> Result<Vec<Found>, Trouble> {
        let state = self.state();
        Ok(asks.iter().map(|ask| Entry::answer(state.entries.get(&ask.key()), ask)).collect())
    }

    fn record(&self, changes: &[Change]) -> Result<(), Trouble> {
        let mut state = self.state();
        for change in changes {
            let key = change.key();
            let before = state.entries.remove(&key);
            state.bytes = state.bytes.saturating_sub(before.as_ref().map_or(0, Entry::size));
            state.set(key, Entry::apply(before, change));
        }
        state.make_room(self.max_bytes);
        Ok(())
    }

    fn flush(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn tend(&self, now: i64) -> Result<(), Trouble> {
        let mut state = self.state();
        for (key, until) in state.next(SWEEP) {
            if until < now {
                state.set(key, None);
            }
        }
        Ok(())
    }

    fn stats(&self) -> Result<Stats, Trouble> {
        let state = self.state();
        let mut counts = BTreeMap::new();
        for kind in state.entries.keys().filter_map(Key::kind) {
            *counts.entry(kind).or_insert(0) += 1;
        }
        let size = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        Ok(Stats {
            backend: "memory",
            entries: counts.into_iter().collect::<Vec<(Kind, u64)>>(),
            bytes: size(state.bytes),
            max_bytes: size(self.max_bytes),
        })
    }

    fn visit(&self, see: &mut dyn FnMut(Key, Entry)) -> Result<(), Trouble> {
        // Not all at once, so that scans need not wait for whoever looks on.
        let mut from = Bound::Unbounded;
        loop {
            let page: Vec<(Key, Entry)> = {
                let state = self.state();
                let range = state.entries.range((from, Bound::Unbounded)).take(SWEEP);
                range.map(|(key, entry)| (*key, entry.clone())).collect()
            };
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = Bound::Excluded(*last);
            for (key, entry) in page {
                see(key, entry);
            }
        }
    }

    fn restore(&self, entries: Vec<(Key, Entry)>) -> Result<(), Trouble> {
        let mut state = self.state();
        for (key, entry) in entries {
            state.set(key, entry.remaining());
        }
        state.make_room(self.max_bytes);
        Ok(())
    }

    fn purge(&self, purge: &Purge) -> Result<u64, Trouble> {
        let mut state = self.state();
        let State { entries, bytes, .. } = &mut *state;
        let mut gone = 0;
        entries.retain(|key, entry| {
            *bytes = bytes.saturating_sub(entry.size());
            if purge.keys.contains(key) {
                gone += 1;
                return false;
            }
            gone += entry.purge(purge);
            let stays = entry.clone().remaining().is_some();
            *bytes += if stays { entry.size() } else { 0 };
            stays
        });
        Ok(gone)
    }

    fn may_wait(&self) -> bool {
        false
    }
}
