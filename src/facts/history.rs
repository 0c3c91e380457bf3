//! What was seen before this message: [`History`].
//!
//! Comes in: what a store or a calendar server knows of the message's UIDs, organizers,
//! senders, texts and people. Goes out: that, for facts to compare the message with.
//! Not an error: knowing nothing. Every field of [`History`] is `None` until somebody who
//! knows fills it, and then each fact of it is unknown and no rule scores it. An
//! empty list is knowledge: it was looked up, and there is nothing.
//!
//! Whoever remembers need not remember in clear text. Addresses, names, domains and numbers of
//! earlier messages stand here as [`Mark`]s, which are made from the text with a secret, and
//! are compared with the marks of what the message says.

use std::fmt;
use std::hash::Hasher as _;

use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::{domain, text};

pub use super::remembered::snapshot;

/// What is remembered in place of a text: equal texts have equal marks under one secret, and
/// nobody without the secret can tell or try out the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mark(pub [u8; 16]);

/// What a mark is made of. The same text of two sorts has two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A mail address.
    Address,
    /// A registered domain, of an address or of a link.
    Domain,
    /// A person's display name, in whatever order its words stand.
    Name,
    /// A phone number, digits only.
    Phone,
    /// An attachment: its URI, or its octets as hex of SHA-256.
    Attachment,
    /// A property's value: `NAME:value`.
    Property,
    /// A PRODID.
    Product,
    /// What stands behind the `@` of UIDs; of a UID without one, nothing.
    Namespace,
}

/// Makes marks. The default has no secret: for tests, and for callers who state everything in
/// one request.
///
/// A scan makes a hundred of them, all of short texts: SipHash-2-4 with 128 bits is made for that,
/// and takes a thirtieth of what SHA-256 does. Who does not know its key, which is as long, can
/// neither tell a mark from chance nor try out a text.
#[derive(Clone, Default)]
pub struct Marker {
    /// Has read its key, and nothing else.
    start: SipHasher24,
}

impl fmt::Debug for Marker {
    /// The secret is shown nowhere.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marker")
    }
}

impl Marker {
    /// Marks that only holders of the secret can make.
    pub fn new(secret: &[u8]) -> Self {
        // Secrets are of any length and form; whatever is in them counts.
        let digest = Sha256::new().chain_update(b"calspamd marks\0").chain_update(secret);
        let mut key = [0; 16];
        key.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Self { start: SipHasher24::new_with_key(&key) }
    }

    /// The mark of a text; case and white space around it do not count.
    pub fn mark(&self, sort: Sort, text: &str) -> Mark {
        let text = text.trim().to_lowercase();
        let text = match sort {
            Sort::Name => {
                let folded = text::normalise(&text).0.to_lowercase();
                let mut words: Vec<&str> = folded
                    .split(|c: char| !c.is_alphanumeric())
                    .filter(|word| !word.is_empty())
                    .collect();
                words.sort_unstable();
                words.join(" ")
            }
            Sort::Phone => text.chars().filter(char::is_ascii_digit).collect(),
            Sort::Domain => domain::registered(&text).into_owned(),
            Sort::Address | Sort::Attachment | Sort::Property | Sort::Product | Sort::Namespace => {
                text
            }
        };
        self.hash(sort as u8, &[text.as_bytes()])
    }

    /// The mark of pieces that belong together, for purposes that no [`Sort`] is for: equal only
    /// for the same purpose and the same pieces, letter by letter.
    pub fn pieces(&self, purpose: u8, pieces: &[&[u8]]) -> Mark {
        // Far from the numbers of sorts.
        self.hash(purpose | 0x80, pieces)
    }

    fn hash(&self, label: u8, pieces: &[&[u8]]) -> Mark {
        let mut hash = self.start;
        hash.write(&[label]);
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 || pieces.len() > 1 {
                hash.write(&(piece.len() as u64).to_be_bytes());
            }
            hash.write(piece);
        }
        Mark(hash.finish128().as_bytes())
    }
}

/// What is known of the past. `None` anywhere: not known.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Makes the marks that all of this is written in.
    pub marker: Marker,
    /// Events that the recipient's calendar or the store holds under UIDs of this message. A UID
    /// without an entry has never been seen.
    pub events: Option<Vec<Stored>>,
    /// How many organizers have used each UID of this message, over all recipients.
    pub uids: Option<Vec<Shared>>,
    /// What connects the recipients with organizers of this message. One without an entry is a
    /// stranger.
    pub organizers: Option<Vec<Correspondent>>,
    /// Invitations counted in windows that end now, this message included.
    pub rates: Option<Vec<Rate>>,
    /// Near-identical events seen elsewhere.
    pub campaigns: Option<Vec<Campaign>>,
    /// What users have reported.
    pub reports: Option<Vec<Reports>>,
    /// The site's people and the recipient's contacts whose names occur in the message.
    pub people: Option<Vec<Person>>,
    /// The feed when it was fetched last; known for feeds only.
    pub feed: Option<Snapshot>,
}

/// An event as it was last seen.
#[expect(clippy::struct_excessive_bools, reason = "each is known or not by itself")]
#[derive(Debug, Clone, Default)]
pub struct Stored {
    /// UID as written.
    pub uid: String,
    /// RECURRENCE-ID as written; the whole series without one.
    pub recurrence_id: Option<String>,
    /// Address of the organizer.
    pub organizer: Option<Mark>,
    /// Registered domain of the organizer.
    pub organizer_domain: Option<Mark>,
    /// The first sighting was authenticated in alignment with the organizer, or the event came
    /// from the calendar server. Otherwise somebody may have squatted the UID, and nothing
    /// follows from who organized it.
    pub proven: bool,
    /// The recipient organizes it, under whatever address.
    pub own: bool,
    /// The recipient has accepted it.
    pub accepted: bool,
    /// The recipient has sent a COUNTER to it.
    pub countered: bool,
    /// It was judged clean.
    pub clean: bool,
    /// SEQUENCE, the highest seen.
    pub sequence: i64,
    /// DTSTAMP, the newest of that SEQUENCE; seconds since 1970 UTC.
    pub dtstamp: Option<i64>,
    /// First start, seconds since 1970 UTC.
    pub start: Option<i64>,
    /// Addresses of the attendees.
    pub attendees: Vec<Mark>,
    /// Registered domains of its links.
    pub links: Vec<Mark>,
    /// Its phone numbers.
    pub phones: Vec<Mark>,
    /// Its attachments.
    pub attachments: Vec<Mark>,
    /// Its values of properties that a COUNTER may not change ([`FIXED`]).
    pub properties: Vec<Mark>,
}

/// Properties that the store remembers to tell what a COUNTER changes.
pub const FIXED: [&str; 4] = ["SUMMARY", "URL", "ATTACH", "CONFERENCE"];

/// Who has used a UID.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// UID as written.
    pub uid: String,
    /// Distinct organizers' registered domains, this message's included.
    pub organizers: u32,
}

/// What connects recipients and an organizer.
#[derive(Debug, Clone, Default)]
pub struct Correspondent {
    /// The organizer's address in lower case, as this message has it.
    pub address: String,
    /// When an invitation of his was seen first, seconds since 1970 UTC.
    pub first_seen: Option<i64>,
    /// The recipient wrote to him, or accepted an invitation of his, before.
    pub prior: bool,
}

/// What invitations are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The organizer's address.
    Organizer,
    /// The organizer's registered domain.
    Domain,
    /// The authenticated user who sends.
    Account,
    /// The SMTP client.
    Client,
    /// The recipient, of organizers who are new to him.
    Recipient,
}

impl By {
    /// Name in facts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organizer => "organizer",
            Self::Domain => "domain",
            Self::Account => "account",
            Self::Client => "client",
            Self::Recipient => "recipient",
        }
    }
}

/// A count in a window.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// What is counted by.
    pub by: By,
    /// Length of the window in seconds.
    pub window: u64,
    /// Invitations in it.
    pub count: u64,
    /// What the configuration allows.
    pub limit: u64,
}

/// Near-identical events.
#[derive(Debug, Clone, Default)]
pub struct Campaign {
    /// UID of this message's event, as written.
    pub uid: String,
    /// Distinct recipients, this message's included.
    pub recipients: u32,
    /// Distinct organizers, this message's included.
    pub organizers: u32,
    /// Distinct registered domains of theirs, this message's included.
    pub domains: u32,
}

/// What users have reported of an event: its UID, its campaign, its organizer or its links.
#[derive(Debug, Clone, Default)]
pub struct Reports {
    /// UID of this message's event, as written.
    pub uid: String,
    /// Distinct users, each with the weight that time and role have left him: 1 for a fresh
    /// report of a user. Reports of "not spam" are subtracted.
    pub weight: f64,
}

/// Somebody whose name is worth stealing.
#[derive(Debug, Clone)]
pub struct Person {
    /// The name ([`Sort::Name`]).
    pub name: Mark,
    /// The person's own addresses.
    pub addresses: Vec<Mark>,
}

/// A subscribed calendar as it was.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// PRODID.
    pub product: Option<Mark>,
    /// Registered domains of its links.
    pub links: Vec<Mark>,
    /// What stood behind the `@` of its UIDs.
    pub namespaces: Vec<Mark>,
}

impl History {
    /// The mark of an address.
    pub fn address(&self, address: &str) -> Mark {
        self.marker.mark(Sort::Address, address)
    }

    /// True when nobody has said anything of the past.
    pub const fn is_unknown(&self) -> bool {
        self.events.is_none()
            && self.uids.is_none()
            && self.organizers.is_none()
            && self.rates.is_none()
            && self.campaigns.is_none()
            && self.reports.is_none()
            && self.people.is_none()
            && self.feed.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_equal_for_the_same_and_differ_for_others() {
        let marker = Marker::new(b"secret");
        let same = |sort, one, other| marker.mark(sort, one) == marker.mark(sort, other);
        for (sort, one, other, expected) in [
            (Sort::Address, "Ann@Corp.example", " ann@corp.example", true),
            (Sort::Address, "ann@corp.example", "bob@corp.example", false),
            (Sort::Name, "Example, Ann", "ann example", true),
            (Sort::Name, "Ann Example", "Ann Sample", false),
            (Sort::Phone, "+1 202 555-0143", "12025550143", true),
            (Sort::Domain, "www.corp.example", "corp.example", true),
            (Sort::Product, "-//A//EN", "-//B//EN", false),
        ] {
            assert_eq!(same(sort, one, other), expected, "{sort:?} {one} {other}");
        }
        assert_eq!(format!("{marker:?}"), "Marker");
        let mark = |marker: &Marker, sort| marker.mark(sort, "corp.example");
        assert_ne!(mark(&marker, Sort::Domain), mark(&marker, Sort::Address));
        assert_ne!(mark(&marker, Sort::Domain), mark(&Marker::default(), Sort::Domain));
    }
}
