//! What any back-end of the memory can do: a handful of operations on entries under keyed hashes.
//!
//! Comes in: [`Ask`]s, answered in one go, and [`Change`]s, applied in one go. Goes out:
//! [`Found`], one for each ask. An entry is a set of members with times ([`Ask::Count`],
//! [`Ask::List`], [`Change::Note`]) or a few named fields ([`Ask::Read`], [`Change::Put`]).
//! Each change is complete in itself and says by itself what wins, so that two processes that
//! record at once lose nothing, and a change that is applied twice counts once.
//! Not an error: an entry that is not there; it is empty.
//!
//! Times are seconds since 1970 UTC as the scan was told them, never a back-end's own clock:
//! reading leaves out what is too old for the asker (`since`). How long an entry is kept beyond
//! its last change (`life`) is housekeeping, and a back-end may use its own clock for it.

use std::fmt;
use std::time::Duration;

use super::entry::Entry;

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    /// Fields: an event as a domain's recipients know it.
    Event = 1,
    /// Set: organizers' domains of a UID.
    Uid = 2,
    /// Set: invitations of an organizer.
    ByOrganizer = 3,
    /// Set: invitations of an organizer's domain.
    ByDomain = 4,
    /// Set: invitations of an authenticated user.
    ByAccount = 5,
    /// Set: invitations of an SMTP client.
    ByClient = 6,
    /// Set: strangers who invited a recipient.
    ByRecipient = 7,
    /// Set: organizers that a recipient was invited by.
    Seen = 8,
    /// Set: people that a user wrote to.
    Contacts = 9,
    /// Set: recipients and organizers of near-identical events.
    Campaign = 10,
    /// Fields: who reported what the key stands for.
    Reports = 11,
    /// Set: organizers' domains that link to a domain and were clean.
    Linked = 12,
    /// Fields: where an event came from.
    Record = 13,
    /// Set: records of a Message-ID, a UID, an organizer or a campaign.
    Index = 14,
    /// Fields: since when the outbound mail of a domain is seen.
    Outbound = 15,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Event,
        Self::Uid,
        Self::ByOrganizer,
        Self::ByDomain,
        Self::ByAccount,
        Self::ByClient,
        Self::ByRecipient,
        Self::Seen,
        Self::Contacts,
        Self::Campaign,
        Self::Reports,
        Self::Linked,
        Self::Record,
        Self::Index,
        Self::Outbound,
    ];

    /// Name in statistics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Uid => "uid",
            Self::ByOrganizer => "by-organizer",
            Self::ByDomain => "by-domain",
            Self::ByAccount => "by-account",
            Self::ByClient => "by-client",
            Self::ByRecipient => "by-recipient",
            Self::Seen => "seen",
            Self::Contacts => "contacts",
            Self::Campaign => "campaign",
            Self::Reports => "reports",
            Self::Linked => "linked",
            Self::Record => "record",
            Self::Index => "index",
            Self::Outbound => "outbound",
        }
    }

    /// The kind with this number.
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Octets of a key.
pub const KEY: usize = 17;

/// Where an entry stands: its kind, then a keyed hash of what it is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub [u8; KEY]);

impl Key {
    /// What the entry is about; `None` for a key that nobody has made.
    pub fn kind(&self) -> Option<Kind> {
        Kind::of(self.0[0])
    }
}

fn hex(f: &mut fmt::Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

/// A member of a set, or the name of a field: a number of ours, or a keyed hash cut short.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member(pub [u8; 8]);

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex(f, &self.0)
    }
}

/// A named value of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Member,
    /// When it was put last.
    pub at: i64,
    /// What decides between two values.
    pub order: u128,
    /// The value.
    pub value: Vec<u8>,
}

/// A question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// How many members have a time of `since` or later, and when each of `of` was noted.
    Count {
        /// The entry.
        key: Key,
        /// The oldest time that counts.
        since: i64,
        /// Members asked about by name.
        of: Vec<Member>,
    },
    /// The members with a time of `since` or later, the newest first, at most `most`.
    List {
        /// The entry.
        key: Key,
        /// The oldest time that counts.
        since: i64,
        /// How many.
        most: usize,
    },
    /// The fields put at `since` or later, in the order of their names.
    Read {
        /// The entry.
        key: Key,
        /// The oldest time that counts.
        since: i64,
    },
}

/// An answer, in the place of its question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Of [`Ask::Count`].
    Count {
        /// How many.
        count: u64,
        /// The time of each member asked about; `None`: not there, or too old.
        of: Vec<Option<i64>>,
    },
    /// Of [`Ask::List`].
    List(Vec<(Member, i64)>),
    /// Of [`Ask::Read`].
    Fields(Vec<Field>),
}

/// When a field takes a new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wins {
    /// Only over a lower order. An equal or lower one leaves value and order as they are.
    Above,
    /// Over a lower or equal order. A lower one changes nothing.
    NotBelow,
}

/// Something to remember, or to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds a member to a set. A member that is there keeps the later one of both times.
    Note {
        /// The entry.
        key: Key,
        /// The member.
        member: Member,
        /// When.
        at: i64,
        /// Members older than `at - window` leave the set.
        window: i64,
        /// The newest so many stay; of equal times the lower members leave first.
        most: usize,
        /// The entry is kept at least until `at + life`.
        life: i64,
    },
    /// Gives a field a value. Whoever wins, the field's time becomes the later one of both.
    Put {
        /// The entry.
        key: Key,
        /// Its name.
        name: Member,
        /// When.
        at: i64,
        /// What decides between this value and the one that is there.
        order: u128,
        /// How it decides.
        wins: Wins,
        /// The value.
        value: Vec<u8>,
        /// The so many fields put last stay; of equal times the lower names leave first.
        most: usize,
        /// The entry is kept at least until `at + life`.
        life: i64,
    },
    /// Takes a member or a field away.
    Remove {
        /// The entry.
        key: Key,
        /// The member, or the name of the field.
        name: Member,
    },
}

impl Change {
    /// The entry that it changes.
    pub const fn key(&self) -> Key {
        match self {
            Self::Note { key, .. } | Self::Put { key, .. } | Self::Remove { key, .. } => *key,
        }
    }
}

/// What somebody wants to be forgotten.
#[derive(Debug, Clone, Default)]
pub struct Purge {
    /// Entries that go as a whole.
    pub keys: Vec<Key>,
    /// Members and fields that go wherever they are.
    pub members: Vec<Member>,
    /// Fields whose value holds one of these go.
    pub needles: Vec<Vec<u8>>,
}

/// How large the memory is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// What holds it: `embedded`, `memory`, `redis`.
    pub backend: &'static str,
    /// Entries of each kind; empty where counting would take too long.
    pub entries: Vec<(Kind, u64)>,
    /// Octets taken: of the file, of the memory.
    pub bytes: u64,
    /// What it may take; 0 where somebody else sees to it.
    pub max_bytes: u64,
}

/// Why a back-end did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Not within the time it was given.
    #[error("it does not answer in time")]
    Late,
    /// Somebody else has it: another process holds the file.
    #[error("another process holds it")]
    Held,
    /// It cannot be reached, or says no.
    #[error("{0}")]
    Failed(String),
}

/// A place where entries are kept. All methods may be called from any thread at once.
pub trait Store: Send + Sync {
    /// Answers all questions, in their order: in one round trip, or with nothing at all.
    fn recall(&self, asks: &[Ask], budget: Duration) -> Result<Vec<Found>, Trouble>;

    /// Applies all changes in their order, in one round trip. What follows sees them; a crash
    /// of this process may lose those of the last second, unless [`Store::flush`] came after.
    fn record(&self, changes: &[Change]) -> Result<(), Trouble>;

    /// Comes back when everything recorded so far survives a crash.
    fn flush(&self) -> Result<(), Trouble>;

    /// Called about once a second by one thread: to save, to clean up, to connect again. `now` is
    /// the time of the clock.
    fn tend(&self, now: i64) -> Result<(), Trouble>;

    /// How large it is.
    fn stats(&self) -> Result<Stats, Trouble>;

    /// Shows all entries, in no order. Entries that change meanwhile may be shown or not.
    fn visit(&self, see: &mut dyn FnMut(Key, Entry)) -> Result<(), Trouble>;

    /// Takes over entries as they are, in the place of those under the same keys.
    fn restore(&self, entries: Vec<(Key, Entry)>) -> Result<(), Trouble>;

    /// Forgets; says how many entries, members and fields are gone.
    fn purge(&self, purge: &Purge) -> Result<u64, Trouble>;

    /// True when an answer may take longer than a look into a file.
    fn may_wait(&self) -> bool;
}
