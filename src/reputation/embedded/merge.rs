//! Puts what stands in the journal into its place, and keeps the file as small as it has to be.
//!
//! Comes in: the changed entries, all in memory. Goes out: tables that have them, without what has
//! expired, and an empty journal. In order of their keys, so that neighbours share pages.

use std::fs;
use std::sync::Arc;

use redb::Database;

use super::super::entry::Entry;
use super::super::store::{Key, Trouble};
use super::fresh::Overlay;
use super::tables::{self, Written};
use super::{Embedded, MERGE, Writing, lock, transact};

/// The part of the largest size that the pages touched by one transaction may be.
const TRANSACTION: u64 = 16;

/// Entries looked at for each entry written, in search of what has expired; and where there is no
/// room.
const SWEEP: usize = 1;
const FULL: usize = 4;
/// ... and at least so many.
pub(super) const LEAST: usize = 500;

/// Of so many neighbours the first of a few to expire give way when there is no room.
const SAMPLE: usize = 64;
const GIVE_WAY: usize = 16;

/// Octets of pages that writing an entry touches.
const TOUCHED: u64 = 6 << 10;

impl Embedded {
    /// Puts what stands in the journal into its place, and cleans up.
    pub(super) fn merge(&self, writing: &mut Writing) -> Result<(), Trouble> {
        let file = self.file()?;
        writing.idle = 0;
        let kept = Arc::clone(&lock(&self.fresh).kept);
        if let Err(trouble) = self.put(&file, &kept, writing) {
            // The journal still has all of it.
            drop(file);
            self.give_up(writing, &trouble);
            return Err(trouble);
        }
        lock(&self.fresh).merged(Overlay::default());
        Ok(())
    }

    fn put(&self, file: &Database, kept: &Overlay, writing: &mut Writing) -> Result<(), Trouble> {
        let mut sorted: Vec<(&Key, &Option<Entry>)> = kept.iter().collect();
        sorted.sort_unstable_by_key(|(key, _)| **key);
        let mut left = sorted.as_slice();
        loop {
            let (some, rest) = left.split_at(left.len().min(self.chunk()));
            left = rest;
            let room = self.room(some.len());
            let (mut octets, mut cursor) = (writing.octets, writing.cursor);
            let mut journal = writing.journal;
            transact(file, |transaction| {
                let mut tables = tables::writing(transaction)?;
                for (key, entry) in some {
                    let (new, gone) = tables.put(key, entry.as_ref())?;
                    octets = octets.saturating_add(new).saturating_sub(gone);
                }
                clean_up(&mut tables, some.len(), room, &mut octets, &mut cursor, writing.now)?;
                drop(tables);
                if rest.is_empty() {
                    journal.clear(transaction)?;
                }
                Ok(octets)
            })?;
            (writing.octets, writing.cursor, writing.journal) = (octets, cursor, journal);
            if rest.is_empty() {
                return Ok(());
            }
        }
    }

    /// Entries written in one transaction.
    fn chunk(&self) -> usize {
        let fits = self.max_size / TRANSACTION / (2 * TOUCHED);
        usize::try_from(fits).map_or(MERGE, |fits| fits.clamp(1, MERGE))
    }

    /// Octets of entries that the file may hold while so many are written. It doubles when it is
    /// full; a tree is never full; a transaction needs a second place for each page that it
    /// touches, and so did the one before; and what the journal held until now is not free yet.
    pub(super) fn room(&self, written: usize) -> u64 {
        let size = fs::metadata(&self.path).map_or(0, |data| data.len());
        if size.saturating_mul(2) <= self.max_size {
            return self.max_size / 2;
        }
        let size = size.min(self.max_size);
        let touched = u64::try_from(written).unwrap_or(u64::MAX).saturating_mul(2 * TOUCHED);
        (size.saturating_sub(touched + 2 * self.longest()) / 2).max(size / 6)
    }
}

/// Takes out what has expired, and where there is no room what comes next; enough of it to keep up
/// with what comes in, however little room there is.
fn clean_up(
    tables: &mut Written<'_>,
    written: usize,
    room: u64,
    octets: &mut u64,
    cursor: &mut Option<Key>,
    now: i64,
) -> Result<(), Trouble> {
    let sweep = if *octets > room { FULL } else { SWEEP };
    let mut left = (written * sweep).max(LEAST);
    while left > 0 {
        let is_full = *octets > room;
        let mut sample = tables.next(cursor, SAMPLE)?;
        left = left.saturating_sub(SAMPLE);
        sample.sort_by_key(|(_, until)| *until);
        let expired = sample.iter().take_while(|(_, until)| *until < now).count();
        let going = if is_full { expired.max(GIVE_WAY) } else { expired };
        for (key, _) in sample.iter().take(going) {
            *octets = octets.saturating_sub(tables.put(key, None)?.1);
        }
        if sample.is_empty() {
            break;
        }
    }
    Ok(())
}
