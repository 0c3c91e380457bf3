//! Asks a store what it knows about a message, and says it as [`History`].
//!
//! Comes in: [`Seen`]. Goes out: questions, all of one round trip, and of one more where the text
//! is known; with their answers, what was seen before.
//! Not an error: a store that has never seen anything of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::History;
use crate::facts::history::{
    By, Campaign, Correspondent, Mark, Rate, Reports, Shared as SharedUid, Stored,
};

use super::campaign::{agreeing, are_near};
use super::event;
use super::keys::{Keys, Sketch, short};
use super::record::{LinkedBy, class};
use super::seconds;
use super::seen::{Seen, SeenEvent, reports_on};
use super::settings::{Limit, Settings};
use super::store::{Ask, Field, Found, Key, Kind, Member};

/// Members of a campaign that are looked at, the newest; more say nothing more.
pub(super) const CROWD: usize = 32;

/// Texts that are looked at: under one key, and of one campaign; the newest.
const TEXTS: usize = 32;

/// A text is noted anew under its keys when a part of their lifetime has passed.
const RENEW: i64 = 16;

/// Domains of clean organizers that link to a domain which is therefore nobody's in particular.
const COMMON: u64 = 3;

/// Time for which outbound mail has to be seen before it says something that a message answers
/// to nothing.
const RIPE: i64 = 30 * 86_400;

/// Organizers of one message that are looked up.
const ORGANIZERS: usize = 5;

/// Questions with the places of their answers.
#[derive(Default)]
pub(super) struct Questions {
    pub(super) asks: Vec<Ask>,
}

/// The answers.
pub(super) struct Answers(pub(super) Vec<Found>);

/// Place of an answer.
type Slot = usize;

impl Questions {
    fn ask(&mut self, ask: Ask) -> Slot {
        self.asks.push(ask);
        self.asks.len() - 1
    }
}

impl Answers {
    fn count(&self, slot: Slot) -> (u64, &[Option<i64>]) {
        match self.0.get(slot) {
            Some(Found::Count { count, of }) => (*count, of),
            Some(Found::List(_) | Found::Fields(_)) | None => (0, &[]),
        }
    }

    fn list(&self, slot: Slot) -> &[(Member, i64)] {
        match self.0.get(slot) {
            Some(Found::List(members)) => members,
            Some(Found::Count { .. } | Found::Fields(_)) | None => &[],
        }
    }

    fn fields(&self, slot: Slot) -> &[Field] {
        match self.0.get(slot) {
            Some(Found::Fields(fields)) => fields,
            Some(Found::Count { .. } | Found::List(_)) | None => &[],
        }
    }
}

/// What is asked about one event.
struct OfEvent {
    /// The event itself and its series, for each domain.
    spots: Vec<(Slot, Option<Slot>)>,
    uid: Slot,
    /// Texts under each key of the text.
    bands: Vec<Slot>,
    /// Who had them; of the second round.
    texts: Vec<Slot>,
    exact: Vec<Slot>,
    /// Reports that count as they are.
    reports: Vec<Slot>,
    /// Reports on each key of the text.
    band_reports: Vec<Slot>,
    /// Reports on a link's domain, and who links there.
    links: Vec<(Slot, Slot)>,
}

/// Everything that is asked about a message.
pub(super) struct Plan {
    events: Vec<OfEvent>,
    /// For each organizer: his address, and for each recipient who knows him and who wrote to him.
    organizers: Vec<(String, Mark)>,
    known: Vec<(Slot, Slot)>,
    rates: Vec<(By, Limit, Slot)>,
    /// Strangers of each recipient.
    strangers: Vec<Slot>,
    outbound: Vec<Slot>,
}

/// What is counted about senders, with the key that it is counted under.
pub(super) fn rates(seen: &Seen, settings: &Settings) -> Vec<(By, Limit, Key)> {
    let organizer = seen
        .events
        .iter()
        .filter(|event| event.role == super::seen::Role::Invites)
        .find_map(|event| event.organizer.as_ref());
    if !seen.invites() {
        return Vec::new();
    }
    let limits = &settings.rates;
    [
        (
            By::Organizer,
            limits.organizer,
            organizer.map(|who| Keys::of(Kind::ByOrganizer, who.mark)),
        ),
        (
            By::Domain,
            limits.domain,
            organizer.and_then(|who| who.domain).map(|domain| Keys::of(Kind::ByDomain, domain)),
        ),
        (By::Account, limits.account, seen.account),
        (By::Client, limits.client, seen.client),
    ]
    .into_iter()
    .filter_map(|(by, limit, key)| Some((by, limit, key?)))
    .filter(|(_, limit, _)| limit.count > 0)
    .collect()
}

/// What to ask about a message.
pub(super) fn plan(keys: &Keys, seen: &Seen, settings: &Settings) -> (Questions, Plan) {
    let mut questions = Questions::default();
    let q = &mut questions;
    let now = seen.now;
    let since = |life| now.saturating_sub(seconds(life));
    let keep = &settings.keep;
    let events = seen.events.iter().map(|event| of_event(q, keys, event, now, settings)).collect();

    let mut organizers: Vec<(String, Mark)> = Vec::new();
    for event in &seen.events {
        if let Some(who) = &event.organizer
            && organizers.len() < ORGANIZERS
            && !organizers.iter().any(|(_, mark)| *mark == who.mark)
        {
            organizers.push((who.address.clone(), who.mark));
        }
    }
    let of: Vec<Member> = organizers.iter().map(|(_, mark)| short(*mark)).collect();
    // Who our own people write to is not theirs to be warned of.
    let inbound = seen.user.is_none() && !organizers.is_empty();
    let known = seen
        .recipients
        .iter()
        .filter(|_| inbound)
        .map(|recipient| {
            let mut ask = |kind| {
                let key = Keys::of(kind, *recipient);
                q.ask(Ask::Count { key, since: since(keep.contacts), of: of.clone() })
            };
            (ask(Kind::Seen), ask(Kind::Contacts))
        })
        .collect();

    let window = |limit: Limit| now.saturating_sub(i64::try_from(limit.window).unwrap_or(0) - 1);
    let counted = rates(seen, settings);
    let rates = counted
        .into_iter()
        .map(|(by, limit, key)| {
            (by, limit, q.ask(Ask::Count { key, since: window(limit), of: Vec::new() }))
        })
        .collect();
    let limit = settings.rates.recipient;
    let strangers = seen
        .recipients
        .iter()
        .filter(|_| inbound && limit.count > 0 && seen.invites())
        .map(|recipient| {
            let key = Keys::of(Kind::ByRecipient, *recipient);
            q.ask(Ask::Count { key, since: window(limit), of: of.clone() })
        })
        .collect();
    let outbound = if seen.events.iter().any(|event| event.is_answer) {
        let read = |domain: &Mark| {
            q.ask(Ask::Read { key: Keys::of(Kind::Outbound, *domain), since: i64::MIN })
        };
        seen.domains.iter().map(read).collect()
    } else {
        Vec::new()
    };
    (questions, Plan { events, organizers, known, rates, strangers, outbound })
}

fn of_event(
    q: &mut Questions,
    keys: &Keys,
    event: &SeenEvent,
    now: i64,
    settings: &Settings,
) -> OfEvent {
    let since = |life| now.saturating_sub(seconds(life));
    let keep = &settings.keep;
    let spots = event
        .spots
        .iter()
        .map(|spot| {
            let since = since(keep.events);
            let series = spot.series;
            (
                q.ask(Ask::Read { key: spot.key, since }),
                series.map(|key| q.ask(Ask::Read { key, since })),
            )
        })
        .collect();
    let domain = event.organizer.as_ref().and_then(|who| who.domain);
    let uid = q.ask(Ask::Count {
        key: event.uid_key,
        since: since(keep.events),
        of: domain.map(short).into_iter().collect(),
    });
    let mut list = |keys: &[Key], most: usize| -> Vec<Slot> {
        let list = |key: &Key| Ask::List { key: *key, since: since(keep.campaigns), most };
        keys.iter().map(|key| q.ask(list(key))).collect()
    };
    let (bands, exact) = (list(&event.bands, TEXTS), list(&event.exact, CROWD));
    let mut read = |key: Key| q.ask(Ask::Read { key, since: since(keep.reports) });
    let band_reports = event.bands.iter().map(|key| read(reports_on(key))).collect();
    let links: BTreeSet<Key> =
        event.links.iter().map(|link| Keys::of(Kind::Reports, *link)).collect();
    let texts: BTreeSet<Key> = event.bands.iter().map(reports_on).collect();
    let targets = event.targets(keys);
    let plain = targets.into_iter().filter(|key| !links.contains(key) && !texts.contains(key));
    let reports = plain.map(&mut read).collect();
    let links = event
        .links
        .iter()
        .map(|link| {
            let reports = Keys::of(Kind::Reports, *link);
            let linked = Keys::of(Kind::Linked, *link);
            (
                q.ask(Ask::Read { key: reports, since: since(keep.reports) }),
                q.ask(Ask::Count { key: linked, since: since(keep.reports), of: Vec::new() }),
            )
        })
        .collect();
    OfEvent { spots, uid, bands, texts: Vec::new(), exact, reports, band_reports, links }
}

impl Plan {
    /// What is left to ask once the first answers are there: who had texts like this one. Nothing
    /// for what nobody has seen before. Notes in `seen` which texts need not be noted.
    pub(super) fn follow(
        &mut self,
        answers: &Answers,
        seen: &mut Seen,
        keys: &Keys,
        settings: &Settings,
    ) -> Vec<Ask> {
        let keep = seconds(settings.keep.campaigns);
        let (since, fresh) = (seen.now.saturating_sub(keep), seen.now.saturating_sub(keep / RENEW));
        let mut asks = Vec::new();
        for (of, event) in self.events.iter_mut().zip(&mut seen.events) {
            let Some(own) = event.sketch else { continue };
            let lists = || of.bands.iter().map(|slot| answers.list(*slot));
            event.is_noted = lists()
                .all(|texts| texts.iter().any(|(text, at)| *text == own.member() && *at >= fresh));
            let near = |(text, _): &&(Member, i64)| are_near(own.0, Sketch::of(*text).0);
            let mut texts: Vec<(i64, Member)> =
                lists().flatten().filter(near).map(|(text, at)| (*at, *text)).collect();
            // The newest first, and of each text the newest time only.
            texts.sort_unstable_by(|one, other| other.cmp(one));
            let mut found: Vec<Member> = Vec::new();
            for (_, text) in texts {
                if found.len() < TEXTS && !found.contains(&text) {
                    found.push(text);
                }
            }
            for text in found {
                of.texts.push(answers.0.len() + asks.len());
                asks.push(Ask::List { key: keys.crowd(Sketch::of(text)), since, most: CROWD });
            }
        }
        asks
    }

    /// What the answers say. Notes in `seen` which events the message may change.
    pub(super) fn read(
        self,
        answers: &Answers,
        seen: &mut Seen,
        keys: &Keys,
        settings: &Settings,
    ) -> History {
        let events = self.stored(answers, seen);
        let is_ripe = self.is_ripe(answers, seen.now);
        // What nobody could have seen proves nothing by not having been seen.
        let knows = !events.is_empty() || is_ripe || !seen.events.iter().any(|e| e.is_answer);
        let organizers = self.correspondents(answers);
        let count =
            |by, limit: Limit, count| Rate { by, window: limit.window, count, limit: limit.count };
        // This message is one more.
        let mut rates: Vec<Rate> = self
            .rates
            .iter()
            .map(|(by, limit, slot)| count(*by, *limit, answers.count(*slot).0 + 1))
            .collect();
        let limit = settings.rates.recipient;
        let is_stranger =
            organizers.iter().flatten().any(|who| who.first_seen.is_none() && !who.prior);
        let most = self.strangers.iter().map(|slot| {
            let (count, of) = answers.count(*slot);
            let is_in = of.iter().any(Option::is_some);
            count + u64::from(is_stranger && !is_in)
        });
        rates.extend(most.max().map(|most| count(By::Recipient, limit, most)));
        let each = || self.events.iter().zip(&seen.events);
        History {
            marker: keys.marker.clone(),
            events: knows.then_some(events),
            uids: Some(each().map(|(of, event)| of.uid(answers, event)).collect()),
            campaigns: Some(each().map(|(of, event)| of.campaign(answers, event, seen)).collect()),
            reports: Some(
                each().map(|(of, event)| of.reports(answers, event, seen, settings)).collect(),
            ),
            organizers,
            rates: Some(rates),
            people: None,
            feed: None,
        }
    }

    /// What is kept of the events.
    fn stored(&self, answers: &Answers, seen: &mut Seen) -> Vec<Stored> {
        let mut found: Vec<Stored> = Vec::new();
        let Seen { events, recipients, user, .. } = seen;
        let nobody = Vec::new();
        let people = user.as_ref().map_or(&*recipients, |user| &user.addresses);
        let people = if people.is_empty() { &nobody } else { people };
        for (of, event) in self.events.iter().zip(events) {
            for ((exact, series), spot) in of.spots.iter().zip(&mut event.spots) {
                let instance = event::read(answers.fields(*exact), people);
                let series = series.and_then(|slot| event::read(answers.fields(slot), people));
                let owner = instance.as_ref().or(series.as_ref());
                spot.may_change = owner.is_none_or(|owner| {
                    let who = event.organizer.as_ref();
                    let is_his =
                        who.is_some_and(|who| owner.organizer == Some(who.mark) && who.aligned);
                    !owner.proven || is_his
                });
                let uid = &event.uid;
                let named = |stored: Option<Stored>, recurrence_id: Option<&String>| {
                    let is_new = |known: &Vec<Stored>| {
                        !known
                            .iter()
                            .any(|k| k.uid == *uid && k.recurrence_id.as_ref() == recurrence_id)
                    };
                    stored.filter(|_| is_new(&found)).map(|stored| Stored {
                        uid: uid.clone(),
                        recurrence_id: recurrence_id.cloned(),
                        ..stored
                    })
                };
                let instance_id = event.stored.recurrence_id.as_ref();
                let both = [named(instance, instance_id), named(series, None)];
                found.extend(both.into_iter().flatten());
            }
        }
        found
    }

    fn is_ripe(&self, answers: &Answers, now: i64) -> bool {
        self.outbound.iter().flat_map(|slot| answers.fields(*slot)).any(|field| {
            let first = field.value.first_chunk().copied().map(i64::from_be_bytes);
            first.is_some_and(|first| first <= now.saturating_sub(RIPE))
        })
    }

    fn correspondents(&self, answers: &Answers) -> Option<Vec<Correspondent>> {
        if self.known.is_empty() {
            return None;
        }
        let time = |slot: Slot, index: usize| answers.count(slot).1.get(index).copied().flatten();
        let all = self.organizers.iter().enumerate().map(|(index, (address, _))| Correspondent {
            address: address.clone(),
            first_seen: self.known.iter().filter_map(|(seen, _)| time(*seen, index)).min(),
            prior: self.known.iter().any(|(_, wrote)| time(*wrote, index).is_some()),
        });
        Some(all.collect())
    }
}

impl OfEvent {
    fn uid(&self, answers: &Answers, event: &SeenEvent) -> SharedUid {
        let (count, of) = answers.count(self.uid);
        let mine = event.organizer.as_ref().is_some_and(|who| who.domain.is_some());
        let is_new = mine && !of.iter().any(Option::is_some);
        let organizers = u32::try_from(count).unwrap_or(u32::MAX).saturating_add(is_new.into());
        SharedUid { uid: event.uid.clone(), organizers }
    }

    fn campaign(&self, answers: &Answers, event: &SeenEvent, seen: &Seen) -> Campaign {
        // As numbers they are compared in one step.
        let members =
            |slot: &Slot| answers.list(*slot).iter().map(|(who, _)| u64::from_be_bytes(who.0));
        let slots = self.texts.iter().chain(&self.exact);
        let mut crowd: Vec<u64> = slots.flat_map(members).collect();
        if !crowd.is_empty() || !self.bands.is_empty() || !self.exact.is_empty() {
            crowd.extend(seen.crowd(event).into_iter().map(|who| u64::from_be_bytes(who.0)));
        }
        crowd.sort_unstable();
        crowd.dedup();
        let number = |wanted: LinkedBy| {
            let of_class = crowd.iter().filter(|who| class(Member(who.to_be_bytes())) == wanted);
            u32::try_from(of_class.count()).unwrap_or(u32::MAX)
        };
        Campaign {
            uid: event.uid.clone(),
            recipients: number(LinkedBy::Recipient),
            organizers: number(LinkedBy::Organizer),
            domains: number(LinkedBy::Domain),
        }
    }

    fn reports(
        &self,
        answers: &Answers,
        event: &SeenEvent,
        seen: &Seen,
        settings: &Settings,
    ) -> Reports {
        let names = |slot: &Slot| answers.fields(*slot).iter().map(|field| field.name);
        let of_text = agreeing(self.band_reports.iter().map(names));
        let text = self.band_reports.iter().flat_map(|slot| answers.fields(*slot));
        let text = text.filter(|field| of_text.binary_search(&field.name).is_ok());
        let own = self.links.iter().filter(|(_, linked)| answers.count(*linked).0 <= COMMON);
        let own = own.flat_map(|(reports, _)| answers.fields(*reports));
        let plain = self.reports.iter().flat_map(|slot| answers.fields(*slot));
        // Each user counts once, with what he said last.
        let mut last: BTreeMap<Member, &Field> = BTreeMap::new();
        for field in plain.chain(text).chain(own) {
            let place = last.entry(field.name).or_insert(field);
            if place.at < field.at {
                *place = field;
            }
        }
        let half_life = settings.half_life.as_secs_f64().max(1.0);
        let weight = |field: &&Field| {
            let age = u32::try_from((seen.now - field.at).max(0)).unwrap_or(u32::MAX);
            super::learn::weight(&field.value) * 0.5_f64.powf(f64::from(age) / half_life)
        };
        Reports { uid: event.uid.clone(), weight: last.values().map(weight).sum::<f64>() + 0.0 }
    }
}
