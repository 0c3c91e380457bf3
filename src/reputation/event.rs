//! An event's entry: who owns it, how it is now, and what our users have answered.
//!
//! Comes in: what a message says of an event, or fields of a store. Goes out: the changes that
//! keep it, or [`Stored`].
//! Not an error: fields that make no sense; nothing is known then.

use crate::facts::history::{Mark, Stored};

use super::seen::Answer;
use super::store::{Change, Field, Key, Member, Wins};

/// Who organizes it: from the first sighting, or from the first that was authenticated.
const OWNER: Member = Member(*b"\0owner\0\0");
/// How it is now.
const STATE: Member = Member(*b"\0state\0\0");
/// First octets of the names of answers; the rest says whose they are.
const ACCEPTED: u8 = b'A';
const COUNTERED: u8 = b'C';

/// Fields of an entry: the two above, and answers.
const MOST: usize = 200;

/// Version of the values.
const VERSION: u8 = 1;

fn answer(answer: Answer, who: Member) -> Member {
    let mut name = who.0;
    name[0] = match answer {
        Answer::Accepted => ACCEPTED,
        Answer::Countered => COUNTERED,
    };
    Member(name)
}

/// The changes that remember an event as it is in a message.
pub(super) fn keep(key: Key, stored: &Stored, at: i64, life: i64) -> [Change; 2] {
    let put = |name, order, wins, value| Change::Put {
        key,
        name,
        at,
        order,
        wins,
        value,
        most: MOST,
        life,
    };
    // What is proven goes over what is not: who squats a UID must not make the real organizer
    // look forged, and a SEQUENCE of his must not make the real one's look old.
    let proven = u128::from(stored.proven);
    let unsigned = |n: i64| u128::from(u64::try_from(n.max(0)).unwrap_or(0));
    let order = proven << 127
        | (unsigned(stored.sequence) & 0xffff_ffff) << 64
        | unsigned(stored.dtstamp.unwrap_or(0));
    [
        put(OWNER, proven, Wins::Above, owner(stored)),
        put(STATE, order, Wins::NotBelow, state(stored)),
    ]
}

/// The change that remembers an answer.
pub(super) fn keep_answer(key: Key, given: (Member, Answer), at: i64, life: i64) -> Change {
    let (who, what) = given;
    Change::Put {
        key,
        name: answer(what, who),
        at,
        order: 0,
        wins: Wins::NotBelow,
        value: Vec::new(),
        most: MOST,
        life,
    }
}

fn owner(stored: &Stored) -> Vec<u8> {
    let mut octets = vec![VERSION, u8::from(stored.proven)];
    for mark in [stored.organizer, stored.organizer_domain] {
        octets.push(u8::from(mark.is_some()));
        octets.extend(mark.map_or([0; 16], |mark| mark.0));
    }
    octets
}

fn state(stored: &Stored) -> Vec<u8> {
    let mut octets = vec![VERSION, u8::from(stored.clean)];
    octets.extend(stored.sequence.to_be_bytes());
    for time in [stored.dtstamp, stored.start] {
        octets.push(u8::from(time.is_some()));
        octets.extend(time.unwrap_or(0).to_be_bytes());
    }
    for marks in
        [&stored.attendees, &stored.links, &stored.phones, &stored.attachments, &stored.properties]
    {
        let count = u16::try_from(marks.len()).unwrap_or(u16::MAX);
        octets.extend(count.to_be_bytes());
        octets.extend(marks.iter().take(usize::from(count)).flat_map(|mark| mark.0));
    }
    octets
}

struct Octets<'o>(&'o [u8]);

impl Octets<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn flag(&mut self) -> Option<bool> {
        self.take::<1>().map(|[octet]| octet != 0)
    }

    fn number(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    /// Reads what may be missing, into its place.
    fn maybe<T>(
        &mut self,
        place: &mut Option<T>,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<()> {
        let is_there = self.flag()?;
        *place = Some(read(self)?).filter(|_| is_there);
        Some(())
    }

    fn mark(&mut self) -> Option<Mark> {
        self.take().map(Mark)
    }

    fn marks(&mut self) -> Option<Vec<Mark>> {
        let count = u16::from_be_bytes(self.take()?);
        (0..count).map(|_| self.mark()).collect()
    }
}

/// Reads what is kept of an event, for these recipients; `None` where nothing is.
pub(super) fn read(fields: &[Field], recipients: &[Mark]) -> Option<Stored> {
    let mut stored = Stored::default();
    let mut is_known = false;
    for field in fields {
        let mut octets = Octets(&field.value);
        match field.name {
            OWNER => is_known |= read_owner(&mut octets, &mut stored).is_some(),
            STATE => drop(read_state(&mut octets, &mut stored)),
            name => {
                let is = |what| {
                    recipients.iter().any(|who| answer(what, super::keys::short(*who)) == name)
                };
                stored.accepted |= is(Answer::Accepted);
                stored.countered |= is(Answer::Countered);
            }
        }
    }
    is_known.then_some(stored)
}

fn read_owner(octets: &mut Octets<'_>, stored: &mut Stored) -> Option<()> {
    if octets.take()? != [VERSION] {
        return None;
    }
    stored.proven = octets.flag()?;
    octets.maybe(&mut stored.organizer, Octets::mark)?;
    octets.maybe(&mut stored.organizer_domain, Octets::mark)?;
    Some(())
}

fn read_state(octets: &mut Octets<'_>, stored: &mut Stored) -> Option<()> {
    if octets.take()? != [VERSION] {
        return None;
    }
    stored.clean = octets.flag()?;
    stored.sequence = octets.number()?;
    octets.maybe(&mut stored.dtstamp, Octets::number)?;
    octets.maybe(&mut stored.start, Octets::number)?;
    stored.attendees = octets.marks()?;
    stored.links = octets.marks()?;
    stored.phones = octets.marks()?;
    stored.attachments = octets.marks()?;
    stored.properties = octets.marks()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::super::entry::{Content, Entry};
    use super::*;

    fn stored(organizer: u8, proven: bool, sequence: i64) -> Stored {
        Stored {
            organizer: Some(Mark([organizer; 16])),
            organizer_domain: Some(Mark([organizer + 1; 16])),
            proven,
            sequence,
            dtstamp: Some(5),
            clean: true,
            attendees: vec![Mark([7; 16]); 3],
            phones: vec![Mark([8; 16])],
            ..Stored::default()
        }
    }

    /// Keeps one after the other; what is known in the end.
    fn kept(all: &[Stored]) -> Stored {
        let key = Key([1; 17]);
        let changes = all.iter().flat_map(|stored| keep(key, stored, 10, 100));
        let entry = changes.fold(None, |entry, change| Entry::apply(entry, &change));
        let entry = Entry::decode(&entry.unwrap().encode()).unwrap();
        let Content::Fields(fields) = entry.content else { panic!("no fields") };
        read(&fields, &[]).unwrap()
    }

    #[test]
    fn the_first_owner_stays_unless_somebody_proves_more() {
        #[track_caller]
        fn check(all: &[Stored], organizer: u8, sequence: i64) {
            let found = kept(all);
            assert_eq!(found.organizer, Some(Mark([organizer; 16])));
            assert_eq!(found.sequence, sequence);
        }
        check(&[stored(1, true, 2)], 1, 2);
        check(&[stored(1, true, 2), stored(3, true, 3)], 1, 3);
        check(&[stored(1, false, 2), stored(3, false, 1)], 1, 2);
        // Whoever squats a UID loses it, with his SEQUENCE.
        check(&[stored(1, false, 9_999), stored(3, true, 1)], 3, 1);
        check(&[stored(3, true, 1), stored(1, false, 9_999)], 3, 1);
    }

    #[test]
    fn what_is_kept_comes_back() {
        let found = kept(&[stored(1, true, 4)]);
        assert_eq!(found.organizer_domain, Some(Mark([2; 16])));
        assert_eq!(found.attendees.len(), 3);
        assert_eq!(found.phones, [Mark([8; 16])]);
        assert_eq!((found.dtstamp, found.start), (Some(5), None));
        assert!(found.clean && found.proven && !found.accepted);
    }

    #[test]
    fn answers_are_those_of_the_recipient() {
        let (bob, eve) = (Mark([20; 16]), Mark([30; 16]));
        let key = Key([1; 17]);
        let mut changes: Vec<Change> = keep(key, &stored(1, true, 0), 1, 10).into();
        changes.push(keep_answer(key, (super::super::keys::short(bob), Answer::Accepted), 1, 10));
        let entry = changes.iter().fold(None, Entry::apply).unwrap();
        let Content::Fields(fields) = entry.content else { panic!("no fields") };
        assert!(read(&fields, &[bob]).unwrap().accepted);
        assert!(!read(&fields, &[bob]).unwrap().countered);
        assert!(!read(&fields, &[eve]).unwrap().accepted);
        assert!(read(&fields[1..2], &[]).is_none());
    }
}
