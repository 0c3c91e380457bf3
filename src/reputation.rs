//! Remembers what scans have seen and users have reported, and says it of the next message.
//!
//! Comes in: [`Facts`] of a message, and later what became of it; reports. Goes out:
//! [`History`], so that rules can ask how many invitations a sender has sent, who has had this
//! text before, whose event it is and who knows the organizer; records of where events came from.
//! Not an error: a store that is down, slow, full or held by another process. The scan goes on,
//! what nobody can look up is unknown, and it is counted.
//!
//! What is remembered stands under keyed hashes: without the installation's secret nobody can
//! read or try out an address, a subject or a text. Recording happens behind the back of a scan
//! and never delays its answer.
//!
//! The only door to redb and redis.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

mod breaker;
pub mod campaign;
mod embedded;
pub mod entry;
mod event;
mod keys;
mod learn;
mod live;
mod memory;
mod portable;
mod provenance;
mod recall;
mod record;
mod redis;
mod secret;
mod seen;
mod settings;
pub mod store;

use crate::facts::history::Correspondent;
use crate::facts::{Facts, History};
use crate::message::{Envelope, Message};

use keys::{Keys, short};
use live::Live;
use recall::Answers;
use seen::Seen;
use store::{Ask, Found, Kind, Member};

pub use embedded::Embedded;
pub use keys::By;
pub use learn::{Judgement, Report, Reporter};
pub use live::{Operation, OperationResult};
pub use memory::Memory;
pub use portable::BadLine;
pub use provenance::{Record, RecordedEvent};
pub use redis::Redis;
pub use settings::{Lifetimes, Limit, Place, Provenance, Rates, Settings};
pub use store::{Stats, Store, Trouble};

/// The time, in seconds since 1970 UTC. Only cleaning up asks for it; a scan is told its time.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How far a caller's time may be ahead of the clock.
const AHEAD: i64 = 86_400;

/// Addresses taken over from one address book.
const CONTACTS: usize = 5_000;

/// Records shown at a time.
const SHOWN: usize = 1_000;

/// A length of time as stores count it.
fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// The memory cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The secret cannot be read.
    #[error("reputation.secret_file: cannot use {}: {source}", path.display())]
    Secret {
        /// Its file.
        path: std::path::PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no secret to be had.
    #[error("reputation: no random numbers: {0}")]
    Random(io::Error),
    /// The store cannot be set up.
    #[error("reputation.store: {0}")]
    Store(String),
}

/// Remembers. Cheap to clone; all clones are one. The default knows nothing, and nothing is
/// remembered.
#[derive(Clone, Default)]
pub struct Reputation {
    /// The store and what belongs to it: one for all clones, whatever their settings.
    shared: Option<Arc<Shared>>,
    settings: Arc<Settings>,
}

struct Shared {
    /// None: nothing has ever been seen.
    live: Option<Live>,
    clock: Clock,
    /// For numbers of records.
    nonce: [u8; 32],
    count: AtomicU64,
    keys: Keys,
}

impl fmt::Debug for Reputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shared {
            None => f.write_str("Reputation(off)"),
            Some(shared) if shared.live.is_none() => f.write_str("Reputation(none)"),
            Some(_) => f.debug_tuple("Reputation").field(&self.settings).finish(),
        }
    }
}

/// What is to be remembered of a message, once it is judged.
#[derive(Debug)]
pub struct Observation(Box<Seen>, bool);

impl Observation {
    /// True when a record of it is kept.
    pub fn is_kept(&self) -> bool {
        !self.0.events.is_empty()
    }

    /// The number of its record, as text.
    pub fn record(&self) -> String {
        self.0.id.to_string()
    }

    /// The name of its campaign, where the text says enough.
    pub fn campaign(&self) -> Option<String> {
        provenance::campaign(&self.0)
    }
}

/// What was seen before.
#[derive(Debug, Default)]
pub struct Recalled {
    /// For the facts; `None`: as the caller has it.
    pub history: Option<History>,
    /// To be given back with the judgement.
    pub observation: Option<Observation>,
    /// The store could not be asked.
    pub failed: bool,
}

/// What somebody reports.
#[derive(Debug)]
pub enum Subject {
    /// A message that is there.
    Seen(Observation),
    /// The messages with this Message-ID.
    MessageId(String),
    /// The messages with this UID.
    Uid(String),
}

impl Reputation {
    /// Opens the store that the settings name. Where its directory cannot be written the memory
    /// is this process's own, and the second value says so.
    pub fn start(settings: &Settings, clock: Clock) -> Result<(Self, Option<String>), Error> {
        let place = settings.store.clone();
        let place = place.unwrap_or_else(|| Place::Embedded(settings.state.clone()));
        let bytes = usize::try_from(settings.max_size).unwrap_or(usize::MAX);
        let mut warning = None;
        let in_memory = || Arc::new(Memory::new(bytes / 4)) as Arc<dyn Store>;
        let store: Option<Arc<dyn Store>> = match &place {
            Place::Nowhere => None,
            Place::Memory => Some(in_memory()),
            Place::Embedded(directory) => {
                let opened = make_directory(directory)
                    .and_then(|()| Embedded::open(directory, settings.max_size));
                Some(match opened {
                    Ok(store) => Arc::new(store),
                    Err(error) => {
                        let directory = directory.display();
                        warning = Some(format!(
                            "cannot write to {directory}: {error}; what is seen is forgotten when \
                             the service ends"
                        ));
                        in_memory()
                    }
                })
            }
            Place::Redis(url) => Some(Arc::new(Redis::open(url).map_err(Error::Store)?)),
        };
        let keys = Keys::new(&secret(settings, &place, warning.is_some())?);
        Ok((Self::with(store, keys, settings, clock)?, warning))
    }

    /// With a store of the caller's, and this secret: for tests.
    pub fn over(
        store: Arc<dyn Store>,
        secret: &[u8],
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, Error> {
        Self::with(Some(store), Keys::new(secret), settings, clock)
    }

    fn with(
        store: Option<Arc<dyn Store>>,
        keys: Keys,
        settings: &Settings,
        clock: Clock,
    ) -> Result<Self, Error> {
        let nonce = secret::random().map_err(Error::Random)?;
        let live = store.map(|store| Live::start(store, keys.clone(), Arc::clone(&clock)));
        let shared = Shared { live, clock, nonce, count: AtomicU64::new(0), keys };
        Ok(Self { shared: Some(Arc::new(shared)), settings: Arc::new(settings.clone()) })
    }

    /// The same memory under other settings. Where it is and how large it may grow was decided at
    /// the start.
    #[must_use]
    pub fn under(&self, settings: &Settings) -> Self {
        Self { shared: self.shared.clone(), settings: Arc::new(settings.clone()) }
    }

    /// True when both are one memory.
    #[cfg(test)]
    pub(crate) fn shares(&self, other: &Self) -> bool {
        let (one, two) = (self.shared.as_ref(), other.shared.as_ref());
        one.zip(two).is_some_and(|(one, two)| Arc::ptr_eq(one, two))
    }

    fn live(&self) -> Option<&Live> {
        self.shared.as_ref()?.live.as_ref()
    }

    fn alive(&self) -> Result<&Live, Trouble> {
        self.live().ok_or_else(|| Trouble::Failed("nothing is remembered here".to_owned()))
    }

    /// False for the default, which knows nothing.
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// True when the store may take longer to answer than a look into a file.
    pub fn may_wait(&self) -> bool {
        self.live().is_some_and(|live| live.store.may_wait())
    }

    /// True when a message without a calendar says something too: whom our users write to.
    pub fn wants_letters(&self) -> bool {
        self.settings.learn && self.live().is_some()
    }

    /// Looks up what is known about a message.
    pub fn recall(&self, facts: &Facts<'_>, left: Duration) -> Recalled {
        let Some(shared) = &self.shared else { return Recalled::default() };
        let settings = &*self.settings;
        // Who says it himself knows better.
        let stated = !facts.history.is_unknown();
        let mut seen = Box::new(Seen::of(&shared.keys, facts, shared.id()));
        seen.now = shared.possible(facts.now);
        let is_empty = seen.events.is_empty();
        let (questions, mut plan) = recall::plan(&shared.keys, &seen, settings);
        let begun = Instant::now();
        let ask = |asks: &[Ask]| match &shared.live {
            _ if asks.is_empty() || is_empty => Ok(Vec::new()),
            Some(live) => {
                let left = left.min(settings.budget).saturating_sub(begun.elapsed());
                live.recall(asks, left)
            }
            None => Ok(asks.iter().map(nothing).collect()),
        };
        let found = ask(&questions.asks).and_then(|found| {
            let mut answers = Answers(found);
            let more = plan.follow(&answers, &mut seen, &shared.keys, settings);
            answers.0.extend(ask(&more)?);
            Ok(answers)
        });
        let failed = found.is_err();
        let history =
            found.ok().map(|answers| plan.read(&answers, &mut seen, &shared.keys, settings));
        let is_stranger = |who: &Correspondent| who.first_seen.is_none() && !who.prior;
        let organizers = history.iter().filter_map(|history| history.organizers.as_ref());
        let stranger = organizers.flatten().any(is_stranger);
        let says = !seen.events.is_empty() || seen.user.is_some();
        let remembers = shared.live.is_some() && says;
        Recalled {
            history: history.filter(|_| !stated),
            observation: remembers.then_some(Observation(seen, stranger)),
            failed,
        }
    }

    /// Has a message remembered, some time.
    pub fn record(&self, observation: Observation, mut judgement: Judgement) {
        let Observation(seen, stranger) = observation;
        if let Some(live) = self.live().filter(|_| self.settings.learn) {
            judgement.stranger = stranger;
            live.record(seen, judgement, &self.settings);
        }
    }

    /// Has it remembered whom a user of ours writes to, in a mail without a calendar.
    pub fn letter(&self, message: &Message<'_>, envelope: &Envelope, now: i64) {
        let (Some(shared), true) = (&self.shared, self.wants_letters()) else { return };
        let seen = Seen::letter(&shared.keys, message, envelope, shared.possible(now), shared.id());
        if seen.user.is_some()
            && let Some(live) = &shared.live
        {
            live.record(Box::new(seen), Judgement::default(), &self.settings);
        }
    }

    /// Keeps a report, and comes back when it survives a crash. The number of messages that it
    /// is about; 0 where nothing of them is known.
    pub fn learn(
        &self,
        subject: Subject,
        reporter: &Reporter,
        report: Report,
        now: i64,
    ) -> Result<usize, Trouble> {
        let live = self.alive()?;
        let keys = &live.keys;
        let now = self.shared.as_ref().map_or(now, |shared| shared.possible(now));
        let messages = match subject {
            Subject::Seen(Observation(seen, _)) => vec![seen.targets(keys)],
            Subject::MessageId(id) => self.targets(By::MessageId, &id, now)?,
            Subject::Uid(uid) => self.targets(By::Uid, &uid, now)?,
        };
        let who = match reporter {
            Reporter::User(name) => short(keys.address(name)),
            Reporter::Administrator => keys.member(&[b"administrator"]),
            Reporter::Unnamed => keys.member(&[b"unnamed"]),
        };
        let mut targets: Vec<store::Key> = messages.iter().flatten().copied().collect();
        targets.sort_unstable();
        targets.dedup();
        if !targets.is_empty() {
            let keep = self.settings.keep.reports;
            live.learn(learn::changes(&targets, who, reporter, report, now, keep))?;
        }
        Ok(messages.iter().filter(|targets| !targets.is_empty()).count())
    }

    fn targets(&self, by: By, text: &str, now: i64) -> Result<Vec<Vec<store::Key>>, Trouble> {
        let found = self.find(by, text, now)?;
        Ok(found.iter().map(|fields| provenance::targets(fields)).collect())
    }

    /// Has it remembered that a user knows these people; the number of them.
    pub fn contacts(&self, user: &str, addresses: &[String], now: i64) -> Result<usize, Trouble> {
        let live = self.alive()?;
        let now = self.shared.as_ref().map_or(now, |shared| shared.possible(now));
        let keep = seconds(self.settings.keep.contacts);
        let key = Keys::of(Kind::Contacts, live.keys.address(user));
        let note = |address: &String| store::Change::Note {
            key,
            member: short(live.keys.address(address)),
            at: now,
            window: keep,
            most: CONTACTS,
            life: keep,
        };
        let changes: Vec<store::Change> = addresses.iter().take(CONTACTS).map(note).collect();
        let count = changes.len();
        live.learn(changes)?;
        Ok(count)
    }

    /// Records of where events came from, the newest first.
    pub fn provenance(&self, by: By, text: &str, now: i64) -> Result<Vec<Record>, Trouble> {
        let found = self.find(by, text, now)?;
        Ok(found.iter().filter_map(|fields| provenance::read(fields)).collect())
    }

    /// The fields of records.
    fn find(&self, by: By, text: &str, now: i64) -> Result<Vec<Vec<store::Field>>, Trouble> {
        let live = self.alive()?;
        let text = match by {
            By::Organizer => text.trim().to_lowercase(),
            By::MessageId => text.trim().trim_matches(['<', '>']).to_owned(),
            By::Uid | By::Campaign => text.trim().to_owned(),
        };
        let keep = seconds(self.settings.keep.records);
        let since = now.saturating_sub(keep);
        let key = live.keys.index(by, &text);
        let ask =
            |asks: &[Ask]| self.look(|live| live.store.recall(asks, self.settings.budget * 10));
        let index = ask(&[Ask::List { key, since, most: SHOWN }])?;
        let Some(Found::List(records)) = index.into_iter().next() else { return Ok(Vec::new()) };
        let asks: Vec<Ask> = records
            .iter()
            .map(|(record, _)| Ask::Read { key: provenance::key(&live.keys, *record), since })
            .collect();
        let found = ask(&asks)?.into_iter().filter_map(|found| match found {
            Found::Fields(fields) => Some(fields),
            Found::Count { .. } | Found::List(_) => None,
        });
        Ok(found.collect())
    }

    fn look<T>(&self, look: impl FnOnce(&Live) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let live = self.alive()?;
        let result = look(live);
        let outcome = match &result {
            Ok(_) => OperationResult::Ok,
            Err(Trouble::Late) => OperationResult::Late,
            Err(Trouble::Held) => OperationResult::Held,
            Err(Trouble::Failed(_)) => OperationResult::Failed,
        };
        live.counters.add(Operation::Look, outcome, 1);
        result
    }

    /// How large the memory is.
    pub fn stats(&self) -> Result<Stats, Trouble> {
        self.look(|live| live.store.stats())
    }

    /// Forgets whatever is about an address; the number of things forgotten.
    pub fn purge(&self, address: &str) -> Result<u64, Trouble> {
        let live = self.alive()?;
        live.settle()?;
        let address = address.trim().to_lowercase();
        let mark = live.keys.address(&address);
        let kinds =
            [Kind::ByOrganizer, Kind::ByRecipient, Kind::Seen, Kind::Contacts, Kind::Reports];
        let mut keys: Vec<store::Key> = kinds.iter().map(|kind| Keys::of(*kind, mark)).collect();
        keys.push(live.keys.key(Kind::ByAccount, &[address.as_bytes()]));
        keys.push(live.keys.index(By::Organizer, &address));
        let purge = store::Purge {
            keys,
            members: record::members(mark),
            needles: vec![
                mark.0.to_vec(),
                provenance::hashed(mark).into_bytes(),
                address.into_bytes(),
            ],
        };
        self.look(|live| live.store.purge(&purge))
    }

    /// Writes everything out, a line an entry.
    pub fn export(&self, write: &mut dyn FnMut(String)) -> Result<(), Trouble> {
        self.look(|live| {
            live.settle()?;
            live.store.visit(&mut |key, entry| write(portable::line(&key, &entry)))
        })
    }

    /// Takes over what [`Reputation::export`] has written, by an installation with the same
    /// secret; the number of entries.
    pub fn import<'l>(
        &self,
        lines: impl Iterator<Item = &'l str>,
    ) -> Result<Result<usize, BadLine>, Trouble> {
        let entries = match portable::read(lines) {
            Ok(entries) => entries,
            Err(bad) => return Ok(Err(bad)),
        };
        let count = entries.len();
        self.look(|live| live.store.restore(entries))?;
        Ok(Ok(count))
    }

    /// A name that stands for another one in what leaves the house: always the same, and only
    /// this installation could tell whose.
    pub fn pseudonym(&self, name: &str) -> Option<String> {
        let shared = self.shared.as_ref()?;
        Some(shared.keys.member(&[b"pseudonym", name.as_bytes()]).to_string())
    }

    /// What was done so far, and how often.
    pub fn report(&self) -> Vec<(Operation, OperationResult, u64)> {
        self.live().map(|live| live.counters.read()).unwrap_or_default()
    }

    /// True while the store is left alone because it does not answer.
    pub fn is_off(&self) -> bool {
        self.live().is_some_and(Live::is_off)
    }

    /// Waits until all scans before have been remembered: for tests, and before the end.
    pub fn settle(&self) -> Result<(), Trouble> {
        self.live().map_or(Ok(()), Live::settle)
    }

    /// Saves everything; nothing is remembered after this.
    pub fn stop(&self) {
        if let Some(live) = self.live() {
            live.stop();
        }
    }
}

impl Shared {
    /// A number that nothing else has.
    fn id(&self) -> Member {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        self.keys.member(&[&self.nonce, &count.to_be_bytes()])
    }

    /// A caller may not tell us of times to come: what is noted there would stay for ever.
    fn possible(&self, now: i64) -> i64 {
        now.min((self.clock)().saturating_add(AHEAD))
    }
}

fn nothing(ask: &Ask) -> Found {
    entry::Entry::answer(None, ask)
}

fn make_directory(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

/// The secret: from its file, or for this process alone where nothing outlives it.
fn secret(settings: &Settings, place: &Place, is_lost: bool) -> Result<Vec<u8>, Error> {
    let own = match place {
        Place::Embedded(directory) if !is_lost => Some(directory.join("secret")),
        Place::Redis(_) => Some(settings.state.join("secret")),
        Place::Embedded(_) | Place::Memory | Place::Nowhere => None,
    };
    let Some(path) = settings.secret_file.clone().or(own) else {
        return Ok(secret::random().map_err(Error::Random)?.to_vec());
    };
    secret::open(&path).map_err(|source| Error::Secret { path, source })
}
