//! The changes that remember a message once it is judged.
//!
//! Comes in: [`Seen`], and what became of it. Goes out: [`Change`]s.

use std::time::Duration;

use crate::facts::history::Mark;

use super::event;
use super::keys::{Keys, short};
use super::learn::Judgement;
use super::provenance;
use super::recall::rates;
use super::seconds;
use super::seen::{Role, Seen, SeenEvent, User};
use super::settings::Settings;
use super::store::{Change, Key, Kind, Member, Wins};

/// Texts kept under a key: as many as are looked at, and room for those that have it by chance.
const TEXTS: usize = 48;
/// Members kept of a campaign: as many as are looked at.
const CROWD: usize = super::recall::CROWD;
/// Organizers' domains of a UID.
const OWNERS: usize = 32;
/// Organizers known of a recipient, people that a user wrote to.
const ACQUAINTANCES: usize = 5_000;
/// Domains known to link to another.
const LINKERS: usize = 8;
/// Records found by one key.
pub(super) const RECORDS: usize = 1_000;

/// What a member of a campaign is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LinkedBy {
    Recipient,
    Organizer,
    Domain,
}

/// What it is.
pub(super) const fn class(member: Member) -> LinkedBy {
    match member.0[0] {
        b'r' => LinkedBy::Recipient,
        b'o' => LinkedBy::Organizer,
        _ => LinkedBy::Domain,
    }
}

fn member(class: LinkedBy, mark: Mark) -> Member {
    let mut member = short(mark);
    member.0[0] = match class {
        LinkedBy::Recipient => b'r',
        LinkedBy::Organizer => b'o',
        LinkedBy::Domain => b'd',
    };
    member
}

/// Everything that stands for somebody in a set.
pub(super) fn members(mark: Mark) -> Vec<Member> {
    let classes = [LinkedBy::Recipient, LinkedBy::Organizer];
    let mut members: Vec<Member> = classes.into_iter().map(|class| member(class, mark)).collect();
    members.push(short(mark));
    members
}

impl Seen {
    /// True when somebody invites somebody.
    pub(super) fn invites(&self) -> bool {
        self.events.iter().any(|event| event.role == Role::Invites)
    }

    /// Who is added to an event's campaign.
    pub(super) fn crowd(&self, event: &SeenEvent) -> Vec<Member> {
        let organizer = event.organizer.as_ref();
        let recipients = self.recipients.iter().map(|who| member(LinkedBy::Recipient, *who));
        let domain = organizer.and_then(|who| who.domain);
        recipients
            .chain(organizer.map(|who| member(LinkedBy::Organizer, who.mark)))
            .chain(domain.map(|domain| member(LinkedBy::Domain, domain)))
            .collect()
    }
}

struct Changes<'s> {
    all: Vec<Change>,
    at: i64,
    settings: &'s Settings,
}

impl Changes<'_> {
    fn note(&mut self, key: Key, member: Member, keep: Duration, most: usize) {
        let (at, life) = (self.at, seconds(keep));
        self.all.push(Change::Note { key, member, at, window: life, most, life });
    }
}

/// What is to be remembered.
pub(super) fn changes(
    keys: &Keys,
    seen: &Seen,
    judgement: &Judgement,
    settings: &Settings,
) -> Vec<Change> {
    let mut changes = Changes { all: Vec::new(), at: seen.now, settings };
    if let Some(user) = &seen.user {
        changes.letter(seen, user);
    }
    for (_, limit, key) in rates(seen, settings) {
        // Five times the limit and one is all that anybody asks about.
        let most = usize::try_from(limit.count.saturating_mul(5) + 1).unwrap_or(usize::MAX);
        changes.note(key, seen.id, Duration::from_secs(limit.window), most);
    }
    for event in &seen.events {
        changes.event(keys, seen, event, judgement);
    }
    if !seen.events.is_empty() {
        changes.all.extend(provenance::changes(keys, seen, judgement, settings));
    }
    changes.all
}

impl Changes<'_> {
    /// Whom a user of ours writes to.
    fn letter(&mut self, seen: &Seen, user: &User) {
        let keep = self.settings.keep.contacts;
        for address in &user.addresses {
            let key = Keys::of(Kind::Contacts, *address);
            for recipient in &seen.recipients {
                self.note(key, short(*recipient), keep, ACQUAINTANCES);
            }
        }
        if let Some(domain) = user.domain {
            let at = self.at;
            self.all.push(Change::Put {
                key: Keys::of(Kind::Outbound, domain),
                name: Member([0; 8]),
                at,
                // The earliest wins.
                order: u128::from(u64::MAX - u64::try_from(at.max(0)).unwrap_or(0)),
                wins: Wins::Above,
                value: at.to_be_bytes().to_vec(),
                most: 1,
                life: seconds(keep),
            });
        }
    }

    fn event(&mut self, keys: &Keys, seen: &Seen, event: &SeenEvent, judgement: &Judgement) {
        let keep = self.settings.keep.clone();
        let life = seconds(keep.events);
        for spot in &event.spots {
            for answer in &event.answers {
                self.all.push(event::keep_answer(spot.key, *answer, self.at, life));
            }
        }
        if !event.role.is_organizers() {
            return;
        }
        let organizer = event.organizer.as_ref();
        let stored = crate::facts::history::Stored {
            proven: organizer.is_some_and(|who| who.aligned),
            clean: judgement.clean,
            ..event.stored.clone()
        };
        // What must not change a calendar must not change what is known of it.
        for spot in event.spots.iter().filter(|spot| spot.may_change && judgement.applies) {
            self.all.extend(event::keep(spot.key, &stored, self.at, life));
        }
        if let Some(domain) = organizer.and_then(|who| who.domain) {
            self.note(event.uid_key, short(domain), keep.events, OWNERS);
        }
        if let Some(sketch) = event.sketch.filter(|_| !event.is_noted) {
            for key in &event.bands {
                self.note(*key, sketch.member(), keep.campaigns, TEXTS);
            }
        }
        let crowd = seen.crowd(event);
        let text = event.sketch.map(|sketch| keys.crowd(sketch));
        for key in event.exact.iter().copied().chain(text) {
            for who in &crowd {
                self.note(key, *who, keep.campaigns, CROWD);
            }
        }
        let Some(organizer) = organizer.filter(|_| event.role == Role::Invites) else { return };
        if seen.user.is_none() {
            let limit = self.settings.rates.recipient;
            let window = Duration::from_secs(limit.window);
            let most = usize::try_from(limit.count.saturating_mul(5) + 1).unwrap_or(usize::MAX);
            for recipient in &seen.recipients {
                if judgement.stranger && limit.count > 0 {
                    let key = Keys::of(Kind::ByRecipient, *recipient);
                    self.note(key, short(organizer.mark), window, most);
                }
                // Spam makes nobody an acquaintance.
                if judgement.clean {
                    let key = Keys::of(Kind::Seen, *recipient);
                    self.note(key, short(organizer.mark), keep.contacts, ACQUAINTANCES);
                }
            }
        }
        if let Some(domain) = organizer.domain.filter(|_| judgement.clean && organizer.aligned) {
            for link in &event.links {
                self.note(Keys::of(Kind::Linked, *link), short(domain), keep.reports, LINKERS);
            }
        }
    }
}
