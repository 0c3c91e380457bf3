//! Makes keys and members from what they are about, with the installation's secret.

use super::campaign::Text;
use super::store::{KEY, Key, Kind, Member};
use crate::facts::history::{Mark, Marker, Sort};

/// What keys are made of beside a [`Kind`]; numbers that must never change.
const MEMBERS: u8 = 0x40;
const INDEX: u8 = 0x41;
const SKETCH: u8 = 0x42;

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

    /// The sketch of a text, of bits that nobody else can make: short texts can be guessed.
    pub(super) fn sketch(&self, text: &Text) -> Sketch {
        let mark = |value: u64| self.marker.pieces(SKETCH, &[&value.to_be_bytes()]);
        Sketch(text.sketch(|value| mark(value).0.last().is_some_and(|octet| octet & 1 == 1)))
    }

    /// The key of those who had or sent a text with this sketch.
    pub(super) fn crowd(&self, Sketch(sketch): Sketch) -> Key {
        self.key(Kind::Campaign, &[b"text", &sketch.to_be_bytes()])
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

/// What a text is compared by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sketch(pub(super) u64);

impl Sketch {
    /// As it stands under the keys of a text.
    pub(super) const fn member(self) -> Member {
        Member(self.0.to_be_bytes())
    }

    pub(super) const fn of(member: Member) -> Self {
        Self(u64::from_be_bytes(member.0))
    }
}

/// A mark cut short.
pub(super) fn short(mark: Mark) -> Member {
    let mut member = [0; 8];
    member.iter_mut().zip(mark.0).for_each(|(to, from)| *to = from);
    Member(member)
}
