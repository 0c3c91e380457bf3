//! An entry by itself: what changes do to it, what it answers, and its octets in a file.
//!
//! Comes in: [`Change`]s and [`Ask`]s about one key. Goes out: the entry, the answer.
//! Not an error: octets that make no sense; they are no entry.

use super::store::{Ask, Change, Field, Found, Key, Member, Purge, Wins};

/// What stands under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// It may be thrown away after this, seconds since 1970 UTC.
    pub until: i64,
    /// Its content.
    pub content: Content,
}

/// The two forms of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A set of members with times, by time and then by member.
    Times(Vec<(i64, Member)>),
    /// Fields, by name.
    Fields(Vec<Field>),
}

/// Octets of an entry besides its members: key, tree, allocation.
const OVERHEAD: usize = 64;

/// Octets in a file of a set with one member, and of nothing else.
pub(super) const SHORT: usize = 9 + 16;

/// First octet of an entry in a file: its form, and the version of these rules. Never 0.
const TIMES: u8 = 1;
const FIELDS: u8 = 2;

impl Entry {
    fn new(change: &Change) -> Option<Self> {
        let content = match change {
            Change::Note { .. } => Content::Times(Vec::new()),
            Change::Put { .. } => Content::Fields(Vec::new()),
            Change::Remove { .. } => return None,
        };
        Some(Self { until: i64::MIN, content })
    }

    /// Applies a change to what stands under its key; an entry without content is none.
    pub fn apply(entry: Option<Self>, change: &Change) -> Option<Self> {
        let mut entry = entry.or_else(|| Self::new(change))?;
        match change {
            Change::Note { member, at, window, most, life, .. } => {
                if !matches!(entry.content, Content::Times(_)) {
                    entry = Self::new(change)?;
                }
                if let Content::Times(times) = &mut entry.content {
                    note(times, (*at, *member), *window, *most);
                }
                entry.until = entry.until.max(at.saturating_add(*life));
            }
            Change::Put { name, at, order, wins, value, most, life, .. } => {
                if !matches!(entry.content, Content::Fields(_)) {
                    entry = Self::new(change)?;
                }
                if let Content::Fields(fields) = &mut entry.content {
                    let new = Field { name: *name, at: *at, order: *order, value: value.clone() };
                    put(fields, new, *wins, *most);
                }
                entry.until = entry.until.max(at.saturating_add(*life));
            }
            Change::Remove { name, .. } => match &mut entry.content {
                Content::Times(times) => times.retain(|(_, member)| member != name),
                Content::Fields(fields) => fields.retain(|field| field.name != *name),
            },
        }
        (!entry.is_empty()).then_some(entry)
    }

    fn is_empty(&self) -> bool {
        match &self.content {
            Content::Times(times) => times.is_empty(),
            Content::Fields(fields) => fields.is_empty(),
        }
    }

    /// Answers a question from what stands under its key.
    pub fn answer(entry: Option<&Self>, ask: &Ask) -> Found {
        let content = entry.map(|entry| &entry.content);
        let times: &[(i64, Member)] = match content {
            Some(Content::Times(times)) => times,
            Some(Content::Fields(_)) | None => &[],
        };
        match ask {
            Ask::Count { since, of, .. } => {
                let first = times.partition_point(|(time, _)| time < since);
                let recent = times.get(first..).unwrap_or_default();
                let time = |wanted: &Member| {
                    recent.iter().find(|(_, member)| member == wanted).map(|(time, _)| *time)
                };
                let count = u64::try_from(recent.len()).unwrap_or(u64::MAX);
                Found::Count { count, of: of.iter().map(time).collect() }
            }
            Ask::List { since, most, .. } => {
                let newest = times.iter().rev().take_while(|(time, _)| time >= since);
                Found::List(newest.take(*most).map(|(time, member)| (*member, *time)).collect())
            }
            Ask::Read { since, .. } => match content {
                Some(Content::Fields(fields)) => Found::Fields(
                    fields.iter().filter(|field| field.at >= *since).cloned().collect(),
                ),
                Some(Content::Times(_)) | None => Found::Fields(Vec::new()),
            },
        }
    }

    /// Takes away what is to be forgotten; the number of members and fields gone.
    pub fn purge(&mut self, purge: &Purge) -> u64 {
        let named = |name: &Member| purge.members.contains(name);
        let holds = |value: &[u8]| {
            purge.needles.iter().any(|needle| memchr::memmem::find(value, needle).is_some())
        };
        let (before, after) = match &mut self.content {
            Content::Times(times) => {
                let before = times.len();
                times.retain(|(_, member)| !named(member));
                (before, times.len())
            }
            Content::Fields(fields) => {
                let before = fields.len();
                fields.retain(|field| !named(&field.name) && !holds(&field.value));
                (before, fields.len())
            }
        };
        u64::try_from(before - after).unwrap_or(u64::MAX)
    }

    /// What is left after [`Entry::purge`], if anything.
    pub fn remaining(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }

    /// Octets that it takes, about.
    pub fn size(&self) -> usize {
        OVERHEAD
            + match &self.content {
                Content::Times(times) => times.len() * 16,
                Content::Fields(fields) => {
                    fields.iter().map(|field| 36 + field.value.len()).sum::<usize>()
                }
            }
    }

    /// Its octets in a file.
    pub fn encode(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(self.size());
        match &self.content {
            Content::Times(times) => {
                octets.push(TIMES);
                octets.extend(self.until.to_be_bytes());
                for (time, member) in times {
                    octets.extend(time.to_be_bytes());
                    octets.extend(member.0);
                }
            }
            Content::Fields(fields) => {
                octets.push(FIELDS);
                octets.extend(self.until.to_be_bytes());
                for field in fields {
                    octets.extend(field.name.0);
                    octets.extend(field.at.to_be_bytes());
                    octets.extend(field.order.to_be_bytes());
                    octets.extend(u32::try_from(field.value.len()).unwrap_or(0).to_be_bytes());
                    octets.extend(&field.value);
                }
            }
        }
        octets
    }

    /// Reads an entry; `None` for anything else.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let mut rest = octets;
        let [form] = take(&mut rest)?;
        let until = i64::from_be_bytes(take(&mut rest)?);
        let content = match form {
            TIMES => {
                let mut times = Vec::with_capacity(rest.len() / 16);
                while !rest.is_empty() {
                    let time = i64::from_be_bytes(take(&mut rest)?);
                    times.push((time, Member(take(&mut rest)?)));
                }
                Content::Times(times)
            }
            FIELDS => {
                let mut fields = Vec::new();
                while !rest.is_empty() {
                    let name = Member(take(&mut rest)?);
                    let at = i64::from_be_bytes(take(&mut rest)?);
                    let order = u128::from_be_bytes(take(&mut rest)?);
                    let length = u32::from_be_bytes(take(&mut rest)?);
                    let (value, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                    rest = after;
                    fields.push(Field { name, at, order, value: value.to_vec() });
                }
                Content::Fields(fields)
            }
            _ => return None,
        };
        Some(Self { until, content })
    }

    /// `until` of an entry in a file, without reading the rest.
    pub fn until_of(octets: &[u8]) -> Option<i64> {
        let mut rest = octets.get(1..)?;
        take(&mut rest).map(i64::from_be_bytes)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

fn note(times: &mut Vec<(i64, Member)>, new: (i64, Member), window: i64, most: usize) {
    let (at, member) = new;
    let present = times.iter().position(|(_, known)| *known == member);
    let is_later = present.and_then(|index| times.get(index)).is_none_or(|(time, _)| *time < at);
    if is_later {
        if let Some(index) = present {
            times.remove(index);
        }
        // Nearly always at the end.
        let place = times.partition_point(|known| *known < new);
        times.insert(place, new);
    }
    let first = times.partition_point(|(time, _)| *time < at.saturating_sub(window));
    let excess = times.len().saturating_sub(most.max(1));
    times.drain(..first.max(excess));
}

fn put(fields: &mut Vec<Field>, new: Field, wins: Wins, most: usize) {
    match fields.binary_search_by_key(&new.name, |field| field.name) {
        Ok(index) => {
            if let Some(field) = fields.get_mut(index) {
                let wins = match wins {
                    Wins::Above => new.order > field.order,
                    Wins::NotBelow => new.order >= field.order,
                };
                let at = field.at.max(new.at);
                if wins {
                    *field = new;
                }
                field.at = at;
            }
        }
        Err(index) => fields.insert(index, new),
    }
    while fields.len() > most.max(1) {
        let oldest = fields.iter().enumerate().min_by_key(|(_, field)| (field.at, field.name));
        let Some((index, _)) = oldest else { break };
        fields.remove(index);
    }
}

impl Ask {
    /// The entry asked about.
    pub const fn key(&self) -> Key {
        match self {
            Self::Count { key, .. } | Self::List { key, .. } | Self::Read { key, .. } => *key,
        }
    }
}
