//! Where events came from: one record a message with events, found by what one already knows of
//! it (CC/R 18003 §7.1c).
//!
//! Comes in: [`Seen`] and the judgement. Goes out: changes that keep a record, and records.
//! In the default form a record holds hashes in the place of names and addresses: who knows an
//! address can find it, and nobody can read it.

use serde::{Deserialize, Serialize};

use crate::facts::history::Mark;

use super::keys::Keys;
use super::learn::Judgement;
use super::record::RECORDS;
use super::seconds;
use super::seen::Seen;
use super::settings::{Provenance, Settings};
use super::store::{Change, Field, KEY, Key, Kind, Member, Wins};

/// Fields of a record.
const TEXT: Member = Member(*b"\0text\0\0\0");
const TARGETS: Member = Member(*b"\0target\0");

/// Longest text of a record's value.
const LONGEST: usize = 300;

/// What is remembered of one message. Addresses and ids are hashes, written as hex behind `#`,
/// unless the configuration asks for more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its number.
    pub record: String,
    /// Message-ID.
    pub message_id: Option<String>,
    /// When it came, seconds since 1970 UTC.
    pub received_at: i64,
    /// The SMTP client.
    pub source_ip: Option<String>,
    /// `imip` or `itip`.
    pub via: String,
    /// METHOD.
    pub method: Option<String>,
    /// Results of authentication: `dkim=pass`.
    pub authentication: Vec<String>,
    /// Its events.
    pub events: Vec<RecordedEvent>,
    /// Whom it went to.
    pub recipients: Vec<String>,
    /// The campaign, where the text says enough.
    pub campaign: Option<String>,
    /// What the rules made of it.
    pub action: String,
    /// Their score.
    pub score: f64,
}

/// One event of a record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordedEvent {
    /// UID.
    pub uid: String,
    /// Organizer's address.
    pub organizer: Option<String>,
    /// SEQUENCE.
    pub sequence: i64,
}

pub(super) fn hashed(Mark(mark): Mark) -> String {
    std::iter::once('#').chain(digits(&mark)).collect()
}

/// Octets as hexadecimal digits.
fn digits(octets: &[u8]) -> impl Iterator<Item = char> {
    let halves = octets.iter().flat_map(|octet| [octet >> 4, octet & 15]);
    halves.filter_map(|digit| char::from_digit(digit.into(), 16))
}

/// The name of an event's campaign.
pub(super) fn campaign(seen: &Seen) -> Option<String> {
    let key = seen.events.iter().find_map(|event| event.bands.iter().chain(&event.exact).min());
    key.map(|key| digits(&key.0).skip(2).take(16).collect())
}

/// The record of a message.
pub(super) fn record(
    keys: &Keys,
    seen: &Seen,
    judgement: &Judgement,
    settings: &Settings,
) -> Record {
    let show = |purpose: u8, text: &str| match settings.provenance {
        Provenance::Full => text.chars().take(LONGEST).collect(),
        Provenance::Hashed => hashed(keys.marker.pieces(purpose, &[text.as_bytes()])),
    };
    let address = |text: &str, mark: Mark| match settings.provenance {
        Provenance::Full => text.chars().take(LONGEST).collect(),
        Provenance::Hashed => hashed(mark),
    };
    Record {
        record: seen.id.to_string(),
        message_id: seen.message_id.as_deref().map(|id| show(0x51, id)),
        received_at: seen.now,
        source_ip: seen.source_ip.as_deref().map(|ip| show(0x52, ip)),
        via: seen.via.to_owned(),
        method: seen.method.as_deref().map(|method| method.chars().take(20).collect()),
        authentication: seen
            .authentication
            .iter()
            .map(|result| result.chars().take(20).collect())
            .collect(),
        events: seen
            .events
            .iter()
            .map(|event| RecordedEvent {
                uid: show(0x53, &event.uid),
                organizer: event.organizer.as_ref().map(|who| address(&who.address, who.mark)),
                sequence: event.stored.sequence,
            })
            .collect(),
        recipients: seen
            .rcpt
            .iter()
            .zip(&seen.recipients)
            .map(|(text, mark)| address(text, *mark))
            .collect(),
        campaign: campaign(seen),
        action: judgement.action.to_owned(),
        score: judgement.score,
    }
}

/// The key of a record.
pub(super) fn key(keys: &Keys, record: Member) -> Key {
    keys.key(Kind::Record, &[&record.0])
}

/// The changes that keep a record.
pub(super) fn changes(
    keys: &Keys,
    seen: &Seen,
    judgement: &Judgement,
    settings: &Settings,
) -> Vec<Change> {
    let life = seconds(settings.keep.records);
    let at = seen.now;
    let own = key(keys, seen.id);
    let put = |name, value| Change::Put {
        key: own,
        name,
        at,
        order: 0,
        wins: Wins::NotBelow,
        value,
        most: 2,
        life,
    };
    let record = record(keys, seen, judgement, settings);
    let text = serde_json::to_vec(&record).unwrap_or_default();
    let targets: Vec<u8> = seen.targets(keys).iter().flat_map(|key| key.0).collect();
    let mut changes = vec![put(TEXT, text), put(TARGETS, targets)];
    let mut indexes = seen.indexes(keys);
    indexes.extend(record.campaign.map(|name| keys.index(super::keys::By::Campaign, &name)));
    changes.extend(indexes.into_iter().map(|key| Change::Note {
        key,
        member: seen.id,
        at,
        window: life,
        most: RECORDS,
        life,
    }));
    changes
}

/// Reads a record.
pub(super) fn read(fields: &[Field]) -> Option<Record> {
    let text = fields.iter().find(|field| field.name == TEXT)?;
    serde_json::from_slice(&text.value).ok()
}

/// What somebody who reports the record's message reports.
pub(super) fn targets(fields: &[Field]) -> Vec<Key> {
    let targets = fields.iter().filter(|field| field.name == TARGETS);
    targets.flat_map(|field| field.value.as_chunks::<KEY>().0).map(|key| Key(*key)).collect()
}
