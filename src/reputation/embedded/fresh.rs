//! What has changed and does not stand in the tables of the file yet.
//!
//! Three layers, the newest first: what waits for the next second's save, what is being saved, and
//! what is safe in the journal. Whoever looks into memory first, and then into the tables, misses
//! nothing: an entry leaves a layer when it stands in the next one.
//! Known besides: keys that were looked for in the tables and stand nowhere. Whoever asks about a
//! message has it remembered next, and most of its keys are new.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::super::entry::Entry;
use super::super::store::Key;

/// Entries as they are now; `None` for one that is gone.
pub(super) type Overlay = HashMap<Key, Option<Entry>, BuildHasherDefault<OfKey>>;

/// Keys are keyed hashes: a part of one is as good as any hash of it.
#[derive(Default)]
pub(super) struct OfKey(u64);

impl Hasher for OfKey {
    fn write(&mut self, octets: &[u8]) {
        if let Some(last) = octets.last_chunk() {
            self.0 ^= u64::from_ne_bytes(*last);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Keys that stand nowhere of which that is known, at most.
const ABSENT: usize = 1 << 17;

/// What is not in the tables yet.
#[derive(Default)]
pub(super) struct Fresh {
    /// Changed since the last save began.
    pub(super) waiting: Overlay,
    /// In the save going on.
    pub(super) saving: Arc<Overlay>,
    /// In the journal.
    pub(super) kept: Arc<Overlay>,
    /// Not in the tables, since these were changed last.
    absent: HashSet<Key, BuildHasherDefault<OfKey>>,
    /// How often they were changed.
    merges: u64,
}

impl Fresh {
    pub(super) fn get(&self, key: &Key) -> Option<&Option<Entry>> {
        let older = || self.saving.get(key).or_else(|| self.kept.get(key));
        let nowhere = || self.absent.contains(key).then_some(&None);
        self.waiting.get(key).or_else(older).or_else(nowhere)
    }

    /// How often the tables were changed: whoever looks into them afterwards has to say it.
    pub(super) fn merges(&self) -> u64 {
        self.merges
    }

    /// These keys do not stand in the tables, as they were after so many changes.
    pub(super) fn are_absent(&mut self, keys: &[Key], merges: u64) {
        if merges == self.merges && self.absent.len() + keys.len() <= ABSENT {
            self.absent.extend(keys);
        }
    }

    /// The tables were changed, and the journal has this.
    pub(super) fn merged(&mut self, kept: Overlay) {
        self.kept = Arc::new(kept);
        self.absent.clear();
        self.merges += 1;
    }

    /// A save begins.
    pub(super) fn begin(&mut self) -> Arc<Overlay> {
        self.saving = Arc::new(std::mem::take(&mut self.waiting));
        Arc::clone(&self.saving)
    }

    /// The save has come to its end: all of `saved` stands in the journal.
    pub(super) fn keep(&mut self, saved: Arc<Overlay>) {
        self.saving = Arc::default();
        let saved = Arc::unwrap_or_clone(saved);
        if self.kept.is_empty() {
            self.kept = Arc::new(saved);
        } else {
            Arc::make_mut(&mut self.kept).extend(saved);
        }
    }

    /// The save has failed: its entries wait again, unless more than `most` would.
    pub(super) fn wait_again(&mut self, most: usize) {
        let saving = std::mem::take(&mut self.saving);
        if saving.len() + self.waiting.len() <= most {
            for (key, entry) in saving.iter() {
                self.waiting.entry(*key).or_insert_with(|| entry.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::Content;
    use super::super::super::store::{KEY, Member};
    use super::*;

    fn entry(until: i64) -> Entry {
        Entry { until, content: Content::Times(vec![(1, Member([1; 8]))]) }
    }

    #[test]
    fn the_newest_layer_answers() {
        let (one, other) = (Key([1; KEY]), Key([2; KEY]));
        let mut fresh = Fresh::default();
        assert_eq!(fresh.get(&one), None);
        fresh.waiting.insert(one, Some(entry(1)));
        let saved = fresh.begin();
        assert_eq!(fresh.get(&one), Some(&Some(entry(1))));
        fresh.waiting.insert(one, Some(entry(2)));
        fresh.keep(saved);
        assert_eq!(fresh.get(&one), Some(&Some(entry(2))));
        // A save that failed does not undo what came after it.
        let saved = fresh.begin();
        fresh.waiting.insert(one, None);
        fresh.waiting.insert(other, Some(entry(3)));
        drop(saved);
        fresh.wait_again(10);
        assert_eq!((fresh.get(&one), fresh.get(&other)), (Some(&None), Some(&Some(entry(3)))));
        fresh.begin();
        fresh.wait_again(1);
        assert_eq!((fresh.get(&one), fresh.get(&other)), (Some(&Some(entry(1))), None));
        fresh.merged(Overlay::default());
        assert_eq!(fresh.get(&one), None);
    }

    #[test]
    fn what_stands_nowhere_is_known_until_the_tables_change() {
        let key = Key([1; KEY]);
        let mut fresh = Fresh::default();
        let before = fresh.merges();
        fresh.are_absent(&[key], before);
        assert_eq!(fresh.get(&key), Some(&None));
        fresh.waiting.insert(key, Some(entry(1)));
        assert_eq!(fresh.get(&key), Some(&Some(entry(1))));
        let saved = fresh.begin();
        fresh.keep(saved);
        fresh.merged(Overlay::default());
        assert_eq!(fresh.get(&key), None);
        // Whoever looked before the change says nothing of what is now.
        fresh.are_absent(&[key], before);
        assert_eq!(fresh.get(&key), None);
        let many: Vec<Key> = (0..2 * ABSENT as u64)
            .map(|number| {
                let mut key = [0; KEY];
                let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                key[9..].copy_from_slice(&spread.to_be_bytes());
                Key(key)
            })
            .collect();
        many.chunks(1_000).for_each(|some| fresh.are_absent(some, fresh.merges()));
        assert!(fresh.absent.len() <= ABSENT);
    }
}
