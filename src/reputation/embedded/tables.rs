//! Entries in the tables of a file, short ones apart from long ones.
//!
//! Most entries are sets of one member, all of one length. A page of such has no list of where each
//! begins, which would have to be written anew for each that is added: that costs more than all
//! the rest. What is longer has its place in a second table, and a sign in the first.

use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition,
    WriteTransaction,
};

use super::super::entry::{Entry, SHORT};
use super::super::store::{KEY, Key, Kind, Trouble};
use super::failed;

type Name = &'static [u8; KEY];
type Slot = &'static [u8; SHORT];
type Octets = &'static [u8];

/// Version of keys and entries in the file.
const SLOTS: TableDefinition<'_, Name, Slot> = TableDefinition::new("slots-2");
/// Entries that are longer.
const LONG: TableDefinition<'_, Name, Octets> = TableDefinition::new("long-2");

/// First octet of a slot whose entry stands in the other table.
const ELSEWHERE: u8 = 0;

/// Octets of a page that an entry takes beside its own.
const SLACK: u64 = 40;

/// The tables.
pub(super) struct Tables<S, L> {
    slots: S,
    long: L,
}

/// The tables of a file that is only read.
type Read = Tables<ReadOnlyTable<Name, Slot>, ReadOnlyTable<Name, Octets>>;

/// The tables of a file that a transaction changes.
pub(super) type Written<'t> = Tables<Table<'t, Name, Slot>, Table<'t, Name, Octets>>;

/// The file as it is now.
pub(super) fn reading(file: &Database) -> Result<Read, Trouble> {
    let transaction = file.begin_read().map_err(failed)?;
    Ok(Tables {
        slots: transaction.open_table(SLOTS).map_err(failed)?,
        long: transaction.open_table(LONG).map_err(failed)?,
    })
}

/// The file as a transaction leaves it; makes the tables.
pub(super) fn writing(transaction: &WriteTransaction) -> Result<Written<'_>, Trouble> {
    Ok(Tables {
        slots: transaction.open_table(SLOTS).map_err(failed)?,
        long: transaction.open_table(LONG).map_err(failed)?,
    })
}

fn length(octets: &[u8]) -> u64 {
    u64::try_from(octets.len()).unwrap_or(u64::MAX).saturating_add(SLACK)
}

impl<S: ReadableTable<Name, Slot>, L: ReadableTable<Name, Octets>> Tables<S, L> {
    pub(super) fn read(&self, key: &Key) -> Result<Option<Entry>, Trouble> {
        let Some(slot) = self.slots.get(&key.0).map_err(failed)? else { return Ok(None) };
        if is_elsewhere(slot.value()) {
            let octets = self.long.get(&key.0).map_err(failed)?;
            return Ok(octets.and_then(|octets| Entry::decode(octets.value())));
        }
        Ok(Entry::decode(slot.value()))
    }

    /// The next keys with how long each is kept, from the first again after the last.
    pub(super) fn next(
        &self,
        cursor: &mut Option<Key>,
        most: usize,
    ) -> Result<Vec<(Key, i64)>, Trouble> {
        let start = cursor.and_then(successor).unwrap_or([0; KEY]);
        let range = self.slots.range::<&[u8; KEY]>(&start..).map_err(failed)?;
        let mut found = Vec::with_capacity(most);
        for item in range.take(most) {
            let (key, slot) = item.map_err(failed)?;
            found.push((Key(*key.value()), Entry::until_of(slot.value()).unwrap_or(i64::MIN)));
        }
        *cursor = if found.len() < most { None } else { found.last().map(|(key, _)| *key) };
        Ok(found)
    }

    /// How many entries of a kind there are.
    pub(super) fn count(&self, kind: Kind) -> Result<u64, Trouble> {
        let (mut low, mut high) = ([0; KEY], [0xff; KEY]);
        (low[0], high[0]) = (kind as u8, kind as u8);
        let range = self.slots.range::<&[u8; KEY]>(&low..=&high).map_err(failed)?;
        Ok(u64::try_from(range.count()).unwrap_or(u64::MAX))
    }
}

impl Written<'_> {
    /// Writes an entry, or takes it away; the octets that this adds, and those that it frees.
    pub(super) fn put(&mut self, key: &Key, entry: Option<&Entry>) -> Result<(u64, u64), Trouble> {
        let octets = entry.map(Entry::encode);
        let slot = entry.zip(octets.as_deref()).map(|(entry, octets)| match octets.try_into() {
            Ok(slot) => slot,
            Err(_) => elsewhere(entry),
        });
        let before = match &slot {
            Some(slot) => self.slots.insert(&key.0, slot).map_err(failed)?,
            None => self.slots.remove(&key.0).map_err(failed)?,
        };
        let mut gone = before.as_ref().map_or(0, |slot| length(slot.value()));
        let was_elsewhere = before.is_some_and(|slot| is_elsewhere(slot.value()));
        let mut new = slot.as_ref().map_or(0, |slot| length(slot));
        let long = match octets.filter(|_| slot.is_some_and(|slot| is_elsewhere(&slot))) {
            Some(octets) => {
                new += length(&octets);
                self.long.insert(&key.0, octets.as_slice()).map_err(failed)?
            }
            None if was_elsewhere => self.long.remove(&key.0).map_err(failed)?,
            None => None,
        };
        gone += long.map_or(0, |octets| length(octets.value()));
        Ok((new, gone))
    }
}

fn is_elsewhere(slot: &[u8; SHORT]) -> bool {
    slot.first() == Some(&ELSEWHERE)
}

/// The sign of an entry in the other table: how long it is kept stands in the same place.
fn elsewhere(entry: &Entry) -> [u8; SHORT] {
    let mut slot = [ELSEWHERE; SHORT];
    let until = entry.until.to_be_bytes();
    slot.iter_mut().skip(1).zip(until).for_each(|(to, from)| *to = from);
    slot
}

/// The next larger key.
fn successor(key: Key) -> Option<[u8; KEY]> {
    let mut key = key.0;
    for octet in key.iter_mut().rev() {
        let (next, carry) = octet.overflowing_add(1);
        *octet = next;
        if !carry {
            return Some(key);
        }
    }
    None
}
