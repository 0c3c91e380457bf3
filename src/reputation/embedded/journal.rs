//! The changes of the last minutes, one after the other, in a table of their own.
//!
//! Putting an entry into its place among millions copies a page of the file, and another one for
//! each level above it. Most entries are new, their keys lie anywhere, and a second's worth of them
//! shares few pages. So what has changed is appended here, which costs little more than its
//! octets, and is put into its place when there is so much of it that pages are shared.
//! Comes in: changed entries. Goes out: the same after a restart, the last state of each.
//! Not an error: octets that make no sense; what stands behind them is left out.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::super::entry::Entry;
use super::super::store::{KEY, Key, Trouble};
use super::failed;
use super::fresh::Overlay;

/// Rows in order, with the version of keys and entries.
const ROWS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("journal-2");

/// Octets of a row, unless one entry has more: with what the tree needs, a page of the file. For
/// more there might be no place side by side.
const ROW: usize = 4_000;

/// Length of an entry that is gone.
const GONE: u32 = u32::MAX;

/// What stands in the journal.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Journal {
    next: u64,
    /// Octets of all rows.
    pub(super) octets: u64,
}

impl Journal {
    /// What another process, or this one before, has left.
    pub(super) fn read(transaction: &WriteTransaction) -> Result<(Self, Overlay), Trouble> {
        let rows = transaction.open_table(ROWS).map_err(failed)?;
        let (mut journal, mut entries) = (Self::default(), Overlay::default());
        for row in rows.iter().map_err(failed)? {
            let (number, octets) = row.map_err(failed)?;
            journal.next = number.value().saturating_add(1);
            journal.octets = journal.octets.saturating_add(length(octets.value()));
            decode(octets.value(), &mut entries);
        }
        Ok((journal, entries))
    }

    /// Appends changed entries.
    pub(super) fn append(
        &mut self,
        transaction: &WriteTransaction,
        entries: &Overlay,
    ) -> Result<(), Trouble> {
        let mut rows = transaction.open_table(ROWS).map_err(failed)?;
        let mut add = |row: &[u8]| {
            rows.insert(self.next, row).map_err(failed)?;
            self.next = self.next.saturating_add(1);
            self.octets = self.octets.saturating_add(length(row));
            Ok(())
        };
        let mut row = Vec::with_capacity(2 * ROW);
        for (key, entry) in entries {
            let before = row.len();
            encode(key, entry.as_ref(), &mut row);
            if row.len() > ROW && before > 0 {
                add(row.get(..before).unwrap_or_default())?;
                row.drain(..before);
            }
        }
        add(&row)
    }

    /// Takes everything out: it stands in its place.
    pub(super) fn clear(&mut self, transaction: &WriteTransaction) -> Result<(), Trouble> {
        transaction.delete_table(ROWS).map_err(failed)?;
        *self = Self::default();
        Ok(())
    }
}

fn length(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX)
}

fn encode(key: &Key, entry: Option<&Entry>, row: &mut Vec<u8>) {
    row.extend(key.0);
    let Some(octets) = entry.map(Entry::encode) else {
        row.extend(GONE.to_be_bytes());
        return;
    };
    row.extend(u32::try_from(octets.len()).unwrap_or(GONE).to_be_bytes());
    row.extend(octets);
}

fn decode(row: &[u8], entries: &mut Overlay) {
    let mut rest = row;
    while let Some((key, after)) = rest.split_first_chunk::<KEY>()
        && let Some((length, after)) = after.split_first_chunk()
    {
        let length = u32::from_be_bytes(*length);
        let (octets, after) = match usize::try_from(length).ok().filter(|_| length != GONE) {
            None => (None, after),
            Some(length) => {
                let Some((octets, after)) = after.split_at_checked(length) else { return };
                (Some(octets), after)
            }
        };
        entries.insert(Key(*key), octets.and_then(Entry::decode));
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::entry::Content;
    use super::super::super::store::Member;
    use super::*;

    #[test]
    fn rows_come_back_and_broken_ones_end_there() {
        let entry = |number: u8| Entry {
            until: i64::from(number),
            content: Content::Times(vec![(7, Member([number; 8])); usize::from(number)]),
        };
        let mut row = Vec::new();
        encode(&Key([1; KEY]), Some(&entry(1)), &mut row);
        encode(&Key([2; KEY]), None, &mut row);
        encode(&Key([3; KEY]), Some(&entry(3)), &mut row);
        let whole = row.clone();
        let mut entries = Overlay::default();
        decode(&whole, &mut entries);
        let found = |number: u8| entries.get(&Key([number; KEY])).cloned();
        assert_eq!(found(1), Some(Some(entry(1))));
        assert_eq!(found(2), Some(None));
        assert_eq!(found(3), Some(Some(entry(3))));
        assert_eq!(entries.len(), 3);
        for end in 0..whole.len() {
            let mut some = Overlay::default();
            decode(&whole[..end], &mut some);
            assert!(some.iter().all(|(key, entry)| entries.get(key) == Some(entry)), "{end}");
            assert!(some.len() < 3, "{end}");
        }
    }
}
