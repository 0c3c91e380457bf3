//! Makes keys and members from what they are about, with the installation's secret.

use super::store::{KEY, Key, Kind, Member};
use crate::facts::history::{Mark, Marker, Sort};

/// What keys are made of beside a [`Kind`]; numbers that must never change.
const MEMBERS: u8 = 0x40;
const INDEX: u8 = 0x41;

/// By what a record is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Message-ID.
    MessageId,
    /// UID.
    Uid,
    /// Organizer's address.
    Organizer,
    /// Campaign.
    Campaign,
}

/// Makes keys.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys {
    /// Makes marks, for what is compared by facts.
    pub(super) marker: Marker,
}

impl Keys {
    /// With this secret.
    pub(super) fn new(secret: &[u8]) -> Self {
        Self { marker: Marker::new(secret) }
    }

    /// The key of an entry about these pieces.
    pub(super) fn key(&self, kind: Kind, pieces: &[&[u8]]) -> Key {
        let Mark(mark) = self.marker.pieces(kind as u8, pieces);
        let mut key = [kind as u8; KEY];
        key.iter_mut().skip(1).zip(mark).for_each(|(to, from)| *to = from);
        Key(key)
    }

    /// The key of an entry about somebody or something that has a mark already.
    pub(super) fn of(kind: Kind, mark: Mark) -> Key {
        let mut key = [kind as u8; KEY];
        key.iter_mut().skip(1).zip(mark.0).for_each(|(to, from)| *to = from);
        Key(key)
    }

    /// The key of the records that are found by this.
    pub(super) fn index(&self, by: By, text: &str) -> Key {
        Self::of(Kind::Index, self.marker.pieces(INDEX, &[&[by as u8], text.as_bytes()]))
    }

    /// A member about these pieces.
    pub(super) fn member(&self, pieces: &[&[u8]]) -> Member {
        short(self.marker.pieces(MEMBERS, pieces))
    }

    /// The mark of an address.
    pub(super) fn address(&self, address: &str) -> Mark {
        self.marker.mark(Sort::Address, address)
    }

    /// The mark of a host's registered domain.
    pub(super) fn domain(&self, host: &str) -> Mark {
        self.marker.mark(Sort::Domain, host)
    }
}

/// A mark cut short.
pub(super) fn short(mark: Mark) -> Member {
    let mut member = [0; 8];
    member.iter_mut().zip(mark.0).for_each(|(to, from)| *to = from);
    Member(member)
}
