//! Asks DNS lists about what [`Facts`] name, and says what they answered.
//!
//! Comes in: [`Questions`], collected from facts and what rules want to know. Goes out:
//! [`Listings`] within a time budget.
//! Not an error: a list that is dead, refuses, lies or is too slow; a machine without any
//! network. What nobody has answered is unknown, and no rule scores it.
//!
//! Each answer is kept once, as long as it is good for, and asked for once however many scans
//! want it at a time: a question is a task of its own, which goes on when the scan that began
//! it has left. Lists that do not answer, refuse or answer wrongly are switched off for a
//! while, and a listing counts only when the list's test points were right a moment ago.
//!
//! The only door to hickory-resolver and moka.
//!
//! [`Facts`]: crate::facts::Facts

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::Semaphore;

mod cache;
mod health;
mod list;
mod names;
mod question;
mod resolve;

pub use health::{AskResult, Check, Report};
pub use list::{Codes, Digest, Kind, List, NameForm};
pub use question::{Plan, Question, Questions, Source, Subject, Subjects, questions};

use cache::Cache;
use health::Health;
use list::Judgement;
use resolve::{Ask, Reply};

/// Questions in flight at a time; each has a socket of its own.
const IN_FLIGHT: usize = 256;
/// Questions that wait for their turn; more are not asked at all.
const WAITING: usize = 10_000;
/// Memory of the answers kept.
const CACHE: u64 = 64 * 1024 * 1024;
/// How often somebody looks whether a list's test points are due.
const TICK: Duration = Duration::from_secs(1);

/// Settings of this stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether anybody is asked at all.
    pub enabled: bool,
    /// Resolvers; none: the system's.
    pub servers: Vec<SocketAddr>,
    /// Time that a scan waits for answers.
    pub budget: Duration,
    /// Questions of one message.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: false, servers: Vec::new(), budget: Duration::from_secs(2), most: 60 }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// The time budget of the scan ran out.
    Late,
    /// No answer in the list's own time.
    TimedOut,
    /// An error of DNS.
    Failed,
    /// The list refuses to answer, with this code.
    Refused(Ipv4Addr),
    /// An address that no list answers with.
    Hijacked(Ipv4Addr),
    /// The list is switched off for now.
    Off(&'static str),
    /// Too much is asked at a time.
    Busy,
}

/// What a list says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// It is in the list, for these reasons.
    Listed(Vec<Ipv4Addr>),
    /// It is not.
    NotListed,
    /// Nobody knows.
    Unanswered(Silence),
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listed(addresses) => f.write_str(&health::shown(addresses)),
            Self::NotListed => f.write_str("not listed"),
            Self::Unanswered(Silence::Late) => f.write_str("no answer within the time budget"),
            Self::Unanswered(Silence::TimedOut) => f.write_str("no answer"),
            Self::Unanswered(Silence::Failed) => f.write_str("the answer is an error"),
            Self::Unanswered(Silence::Refused(code)) => write!(f, "refused: {code}"),
            Self::Unanswered(Silence::Hijacked(code)) => write!(f, "not from the list: {code}"),
            Self::Unanswered(Silence::Off(why)) => write!(f, "switched off: {why}"),
            Self::Unanswered(Silence::Busy) => f.write_str("too many questions at a time"),
        }
    }
}

/// A question and what became of it.
#[derive(Debug)]
pub struct Asked<'f> {
    /// The question.
    pub question: Question<'f>,
    /// The answer.
    pub listing: Listing,
}

/// What lists say about a message.
#[derive(Debug, Default)]
pub struct Listings<'f> {
    /// False where nobody asks DNS: then no rule about lists holds.
    pub on: bool,
    /// The questions with their answers.
    pub all: Vec<Asked<'f>>,
    /// True when more would have been asked than may be.
    pub cut: bool,
}

impl Listings<'_> {
    /// True when the time budget ran out.
    pub fn is_late(&self) -> bool {
        self.all.iter().any(|asked| asked.listing == Listing::Unanswered(Silence::Late))
    }

    /// True when a list that is not known to be out of order has not answered, or was not
    /// asked everything.
    pub fn is_partial(&self) -> bool {
        let silent = |asked: &Asked<'_>| match asked.listing {
            Listing::Unanswered(why) => !matches!(why, Silence::Off(_)),
            Listing::Listed(_) | Listing::NotListed => false,
        };
        self.cut || self.all.iter().any(silent)
    }
}

/// What became of looks into the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheReport {
    /// Answers found.
    pub hits: u64,
    /// Questions that somebody else was asking already.
    pub joined: u64,
    /// Questions that went to DNS.
    pub misses: u64,
}

/// No resolver can be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask DNS: {0}")]
pub struct Error(String);

/// Asks DNS lists. Cheap to clone; all clones are one. The default asks nobody.
#[derive(Clone, Default)]
pub struct Lists(Backend);

#[derive(Clone, Default)]
enum Backend {
    #[default]
    Off,
    /// Answers that somebody has written down.
    Stated(Arc<HashMap<String, Vec<Ipv4Addr>>>),
    Live(Arc<Live>),
}

impl fmt::Debug for Lists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Backend::Off => "Lists(off)",
            Backend::Stated(_) => "Lists(stated)",
            Backend::Live(_) => "Lists(live)",
        })
    }
}

impl Lists {
    /// Asks DNS as the settings say; without a resolver nobody is asked.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        if !settings.enabled {
            return Ok(Self::default());
        }
        let runtime = runtime()?;
        // The resolver finds its runtime where it is made.
        let resolver = {
            let _inside = runtime.enter();
            resolve::resolver(&settings.servers).map_err(Error)?
        };
        let ask = resolve::through(resolver.clone());
        let started = Instant::now();
        let clock: Clock = Arc::new(move || started.elapsed());
        let live = Live::new(runtime, Some(resolver), ask, clock, settings);
        Ok(Self(Backend::Live(Arc::new(live))))
    }

    /// Answers from a table: the whole name asked for, and the addresses it has. What is not
    /// in the table is not listed.
    pub fn stated(answers: HashMap<String, Vec<Ipv4Addr>>) -> Self {
        Self(Backend::Stated(Arc::new(answers)))
    }

    /// Asks somebody else than DNS, by another clock.
    #[cfg(test)]
    fn fake(ask: Ask, clock: Clock) -> Self {
        let live = Live::new(runtime().unwrap(), None, ask, clock, &Settings::default());
        Self(Backend::Live(Arc::new(live)))
    }

    /// True when somebody answers.
    pub fn is_on(&self) -> bool {
        !matches!(self.0, Backend::Off)
    }

    /// True when an answer may take time.
    pub fn may_wait(&self) -> bool {
        matches!(self.0, Backend::Live(_))
    }

    /// Questions that one message may cost.
    pub fn most(&self) -> usize {
        match &self.0 {
            Backend::Off => 0,
            Backend::Stated(_) => Settings::default().most,
            Backend::Live(live) => live.most,
        }
    }

    /// Time that the questions of one message may take.
    pub fn budget(&self) -> Duration {
        match &self.0 {
            Backend::Off => Duration::ZERO,
            Backend::Stated(_) => Settings::default().budget,
            Backend::Live(live) => live.budget,
        }
    }

    /// The resolver that all of the service shares and the runtime it works on, where there is
    /// one.
    pub fn resolver(&self) -> Option<(TokioResolver, Handle)> {
        let Backend::Live(live) = &self.0 else { return None };
        Some((live.resolver.clone()?, live.runtime.as_ref()?.handle().clone()))
    }

    /// Watches these lists from now on, and no others: looks at their test points now and
    /// then.
    pub fn announce(&self, lists: &[Arc<List>]) {
        if let Backend::Live(live) = &self.0 {
            live.announce(lists);
            Live::watch(live);
        }
    }

    /// How the lists are that were asked or announced, by name.
    pub fn report(&self) -> Vec<Report> {
        let Backend::Live(live) = &self.0 else { return Vec::new() };
        let now = (live.clock)();
        let mut reports: Vec<Report> =
            live.registry().values().map(|health| health.report(now)).collect();
        reports.sort_by(|a, b| a.list.name.cmp(&b.list.name));
        reports
    }

    /// What became of looks into the cache.
    pub fn cache(&self) -> CacheReport {
        let Backend::Live(live) = &self.0 else { return CacheReport::default() };
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheReport {
            hits: read(&live.hits),
            joined: read(&live.joined),
            misses: read(&live.misses),
        }
    }

    /// Looks at the test points of these lists now, and waits for what they say.
    pub fn test(&self, lists: &[Arc<List>]) -> Vec<Report> {
        if let Backend::Live(live) = &self.0 {
            live.announce(lists);
            let (send, receive) = mpsc::channel::<()>();
            for list in lists {
                let (live, send) = (Arc::clone(live), send.clone());
                let health = live.health(list);
                live.clone().spawn(async move {
                    live.check(&health, |_| true).await;
                    drop(send);
                });
            }
            drop(send);
            let longest = lists.iter().map(|list| list.timeout).max().unwrap_or_default();
            let _ = receive.recv_timeout(longest * 2 + TICK);
        }
        self.report()
    }

    /// Asks, and waits for the answers at most as long as the settings and the caller allow.
    pub fn look_up<'f>(
        &self,
        plan: &Plan<'_>,
        questions: Questions<'f>,
        budget: Duration,
    ) -> Listings<'f> {
        let Questions { all, cut } = questions;
        let listings: Vec<Listing> = match &self.0 {
            Backend::Off => return Listings::default(),
            Backend::Stated(answers) => {
                let answer = |question: &Question<'_>| stated(plan, question, answers);
                all.iter().map(answer).collect()
            }
            Backend::Live(live) => live.look_up(plan, &all, budget.min(live.budget)),
        };
        let pairs = all.into_iter().zip(listings);
        let all = pairs.map(|(question, listing)| Asked { question, listing }).collect();
        Listings { on: true, all, cut }
    }
}

fn stated(
    plan: &Plan<'_>,
    question: &Question<'_>,
    answers: &HashMap<String, Vec<Ipv4Addr>>,
) -> Listing {
    let Some(list) = plan.lists.get(question.list) else { return Listing::NotListed };
    let name = if list.shown.is_empty() {
        question.name.clone()
    } else {
        format!("{}.{}", question.name, list.shown)
    };
    match answers.get(&name) {
        None => Listing::NotListed,
        Some(addresses) => judged(list, addresses),
    }
}

fn judged(list: &List, addresses: &[Ipv4Addr]) -> Listing {
    match list.judge(addresses) {
        Judgement::Listed(addresses) => Listing::Listed(addresses),
        Judgement::Unexpected => Listing::NotListed,
        Judgement::Refused(code) => Listing::Unanswered(Silence::Refused(code)),
        Judgement::Hijacked(code) => Listing::Unanswered(Silence::Hijacked(code)),
    }
}

fn runtime() -> Result<Runtime, Error> {
    runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("calspamd-dns")
        .enable_all()
        .build()
        .map_err(|error| Error(error.to_string()))
}

/// Monotonic time since some start.
type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Who waits for an answer: where to send it, and which of his questions it is.
type Waiter = (Sender<(usize, Arc<Reply>)>, usize);

/// Everything that asks.
struct Live {
    /// Taken out when dropped.
    runtime: Option<Runtime>,
    resolver: Option<TokioResolver>,
    ask: Ask,
    clock: Clock,
    budget: Duration,
    most: usize,
    cache: Cache,
    flights: Mutex<HashMap<Arc<str>, Vec<Waiter>>>,
    registry: Mutex<HashMap<Arc<str>, Arc<Health>>>,
    slots: Semaphore,
    watching: std::sync::atomic::AtomicBool,
    hits: AtomicU64,
    joined: AtomicU64,
    misses: AtomicU64,
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops this may be a task himself, and must not wait.
            runtime.shutdown_background();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    fn new(
        runtime: Runtime,
        resolver: Option<TokioResolver>,
        ask: Ask,
        clock: Clock,
        settings: &Settings,
    ) -> Self {
        Self {
            runtime: Some(runtime),
            resolver,
            ask,
            clock,
            budget: settings.budget,
            most: settings.most,
            cache: Cache::new(CACHE),
            flights: Mutex::default(),
            registry: Mutex::default(),
            slots: Semaphore::new(IN_FLIGHT),
            watching: false.into(),
            hits: AtomicU64::new(0),
            joined: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            drop(runtime.spawn(task));
        }
    }

    fn registry(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Health>>> {
        lock(&self.registry)
    }

    /// The health of a list; one whose definition has changed begins anew.
    fn health(&self, list: &Arc<List>) -> Arc<Health> {
        let mut registry = self.registry();
        match registry.get(&list.name) {
            Some(health) if Arc::ptr_eq(&health.list, list) || health.list == *list => {
                Arc::clone(health)
            }
            Some(_) | None => {
                let health = Arc::new(Health::new(Arc::clone(list)));
                registry.insert(Arc::clone(&list.name), Arc::clone(&health));
                health
            }
        }
    }

    fn announce(&self, lists: &[Arc<List>]) {
        for list in lists {
            self.health(list);
        }
        self.registry().retain(|name, _| lists.iter().any(|list| list.name == *name));
    }

    /// Looks at test points in the background, until all others have let go.
    fn watch(this: &Arc<Self>) {
        if this.watching.swap(true, Ordering::Relaxed) {
            return;
        }
        let weak = Arc::downgrade(this);
        this.spawn(async move {
            while let Some(live) = weak.upgrade() {
                let now = (live.clock)();
                let due: Vec<Arc<Health>> =
                    live.registry().values().filter(|health| health.is_due(now)).cloned().collect();
                for health in due {
                    let checking = Arc::clone(&live);
                    live.spawn(async move { checking.check_if_due(&health).await });
                }
                drop(live);
                tokio::time::sleep(TICK).await;
            }
        });
    }

    async fn check_if_due(&self, health: &Health) {
        let now = || (self.clock)();
        self.check(health, |health| health.is_due(now())).await;
    }

    async fn check(&self, health: &Health, wanted: impl Fn(&Health) -> bool) {
        let list = &health.list;
        let ask = |name| self.reply(list, name);
        health.check(wanted, &*self.clock, ask).await;
    }

    /// One answer of DNS, in the list's own time.
    async fn reply(&self, list: &List, name: Arc<str>) -> Reply {
        let Ok(_slot) = self.slots.acquire().await else { return Reply::Failed };
        let asking = (self.ask)(name, list.kind);
        tokio::time::timeout(list.timeout, asking).await.unwrap_or(Reply::TimedOut)
    }

    fn look_up(
        self: &Arc<Self>,
        plan: &Plan<'_>,
        questions: &[Question<'_>],
        budget: Duration,
    ) -> Vec<Listing> {
        let deadline = Instant::now() + budget;
        let now = (self.clock)();
        let healths: Vec<Arc<Health>> = plan.lists.iter().map(|list| self.health(list)).collect();
        let mut replies: Vec<Option<Arc<Reply>>> = vec![None; questions.len()];
        let (send, receive) = mpsc::channel();
        let mut missing = 0_usize;
        let mut off = vec![false; questions.len()];
        for (index, question) in questions.iter().enumerate() {
            let Some(health) = healths.get(question.list) else { continue };
            if health.is_off() {
                health.count(AskResult::Off);
                self.recheck(health, now);
                off.get_mut(index).into_iter().for_each(|off| *off = true);
                continue;
            }
            let name = health.list.query(&question.name);
            let reply = self.cache.get(&name, now);
            if reply.is_some() {
                self.hits.fetch_add(1, Ordering::Relaxed);
                replies.get_mut(index).into_iter().for_each(|slot| slot.clone_from(&reply));
            } else if self.fly(name, health, (send.clone(), index)) {
                missing += 1;
            } else {
                off.get_mut(index).into_iter().for_each(|off| *off = true);
            }
        }
        drop(send);
        let mut late = false;
        while missing > 0 && !late {
            let left = deadline.saturating_duration_since(Instant::now());
            match receive.recv_timeout(left) {
                Ok((index, reply)) => {
                    missing -= 1;
                    replies
                        .get_mut(index)
                        .into_iter()
                        .for_each(|slot| *slot = Some(Arc::clone(&reply)));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => late = true,
            }
        }
        let answers = questions.iter().zip(replies).zip(off);
        answers
            .map(|((question, reply), off)| {
                let Some(health) = healths.get(question.list) else { return Listing::NotListed };
                // What a list said before it was switched off is worth no more than what it
                // would say now.
                match (reply.as_deref(), health.why_off()) {
                    (Some(Reply::TimedOut | Reply::Failed), _) | (_, None) => {}
                    (_, Some(why)) => return Listing::Unanswered(Silence::Off(why)),
                }
                match reply.as_deref() {
                    None if off => Listing::Unanswered(Silence::Busy),
                    None => Listing::Unanswered(Silence::Late),
                    Some(Reply::Addresses { addresses, .. }) => judged(&health.list, addresses),
                    Some(Reply::Nothing { .. }) => Listing::NotListed,
                    Some(Reply::TimedOut) => Listing::Unanswered(Silence::TimedOut),
                    Some(Reply::Failed) => Listing::Unanswered(Silence::Failed),
                }
            })
            .collect()
    }

    /// Looks at the test points of a list that is off, when its pause is over.
    fn recheck(self: &Arc<Self>, health: &Arc<Health>, now: Duration) {
        if health.is_due(now) && health.begin_recheck(now) {
            let (live, health) = (Arc::clone(self), Arc::clone(health));
            self.spawn(async move { live.check_if_due(&health).await });
        }
    }

    /// Sees to it that a question is asked, once; false when too many wait already.
    fn fly(self: &Arc<Self>, name: Arc<str>, health: &Arc<Health>, waiter: Waiter) -> bool {
        let mut flights = lock(&self.flights);
        // It may have landed between the look into the cache and this lock.
        if let Some(reply) = self.cache.get(&name, (self.clock)()) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            let (send, index) = waiter;
            return send.send((index, reply)).is_ok();
        }
        if let Some(waiters) = flights.get_mut(&name) {
            self.joined.fetch_add(1, Ordering::Relaxed);
            waiters.push(waiter);
            return true;
        }
        if flights.len() >= WAITING {
            return false;
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        flights.insert(Arc::clone(&name), vec![waiter]);
        drop(flights);
        let (live, health) = (Arc::clone(self), Arc::clone(health));
        self.spawn(async move {
            // Lands whatever happens: nobody may wait for a question that nobody asks.
            let mut flight = Flight { live, name, reply: Reply::Failed };
            flight.reply = flight.live.fetch(&health, &flight.name).await;
        });
        true
    }

    /// Asks, notes what that says of the list, and makes sure that a listing can be believed.
    async fn fetch(&self, health: &Health, name: &Arc<str>) -> Reply {
        let reply = self.reply(&health.list, Arc::clone(name)).await;
        let result = AskResult::of(&health.list, &reply);
        let now = || (self.clock)();
        let suspicious = health.note(result, now());
        if result == AskResult::Listed {
            self.check(health, |health| health.is_stale(now())).await;
        } else if suspicious {
            self.check(health, |health| health.is_checkable(now())).await;
        }
        reply
    }
}

/// A question on its way.
struct Flight {
    live: Arc<Live>,
    name: Arc<str>,
    reply: Reply,
}

impl Drop for Flight {
    fn drop(&mut self) {
        let reply = Arc::new(std::mem::replace(&mut self.reply, Reply::Failed));
        let now = (self.live.clock)();
        let mut flights = lock(&self.live.flights);
        self.live.cache.keep(Arc::clone(&self.name), Arc::clone(&reply), now);
        for (send, index) in flights.remove(&self.name).unwrap_or_default() {
            // Whoever has left does not mind.
            drop(send.send((index, Arc::clone(&reply))));
        }
    }
}

#[cfg(test)]
mod tests;
