//! Asks DNS for all scans at once: looks into the cache, asks what is missing once however many
//! want it, and gives up when the time is over.
//!
//! Not an error: anything that does not come back in time. A question goes on when nobody waits
//! for it any more; its answer is kept for the next who asks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Semaphore;

use super::cache::Cache;
use super::health::{AskResult, Counts, Health, Report};
use super::list::List;
use super::question::{Plan, Question};
use super::resolve::{Ask, Reply};
use super::{CacheReport, Listing, Silence, judged};

/// Questions in flight at a time; each has a socket of its own.
const IN_FLIGHT: usize = 256;
/// Questions that wait for their turn; more are not asked at all.
const WAITING: usize = 10_000;
/// Memory of the answers kept.
const CACHE: u64 = 64 * 1024 * 1024;
/// How often somebody looks whether a list's test points are due.
const TICK: Duration = Duration::from_secs(1);

/// Monotonic time since some start.
pub(super) type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Who waits for an answer: where to send it, and which of his questions it is.
type Waiter = (Sender<(usize, Arc<Reply>)>, usize);

/// Everything that asks.
pub(super) struct Live {
    /// Taken out when dropped.
    runtime: Option<Runtime>,
    resolver: Option<TokioResolver>,
    ask: Ask,
    clock: Clock,
    cache: Cache,
    flights: Mutex<HashMap<Arc<str>, Vec<Waiter>>>,
    registry: Mutex<HashMap<Arc<str>, Arc<Health>>>,
    slots: Semaphore,
    watching: AtomicBool,
    tally: Arc<Tally>,
}

/// Counts that outlive whoever asks, so that they never go back.
#[derive(Default)]
pub(super) struct Tally {
    hits: AtomicU64,
    joined: AtomicU64,
    misses: AtomicU64,
    /// By name of a list.
    lists: Mutex<HashMap<Arc<str>, Arc<Counts>>>,
}

impl Tally {
    pub(super) fn cache(&self) -> CacheReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheReport {
            hits: read(&self.hits),
            joined: read(&self.joined),
            misses: read(&self.misses),
        }
    }

    fn of(&self, list: &List) -> Arc<Counts> {
        Arc::clone(lock(&self.lists).entry(Arc::clone(&list.name)).or_default())
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops this may be a task himself, and must not wait.
            runtime.shutdown_background();
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(super) fn new(
        runtime: Runtime,
        resolver: Option<TokioResolver>,
        ask: Ask,
        clock: Clock,
        tally: Arc<Tally>,
    ) -> Self {
        Self {
            runtime: Some(runtime),
            resolver,
            ask,
            clock,
            cache: Cache::new(CACHE),
            flights: Mutex::default(),
            registry: Mutex::default(),
            slots: Semaphore::new(IN_FLIGHT),
            watching: false.into(),
            tally,
        }
    }

    pub(super) fn resolver(&self) -> Option<(TokioResolver, Handle)> {
        Some((self.resolver.clone()?, self.runtime.as_ref()?.handle().clone()))
    }

    /// How the lists are, in no order.
    pub(super) fn reports(&self) -> Vec<Report> {
        let now = (self.clock)();
        self.registry().values().map(|health| health.report(now)).collect()
    }

    /// Looks at the test points of these lists, and waits for what they say.
    pub(super) fn test(self: &Arc<Self>, lists: &[Arc<List>]) {
        let (send, receive) = mpsc::channel::<()>();
        for list in lists {
            let (live, send) = (Arc::clone(self), send.clone());
            let health = self.health(list);
            self.spawn(async move {
                live.check(&health, |_| true).await;
                drop(send);
            });
        }
        drop(send);
        let longest = lists.iter().map(|list| list.timeout).max().unwrap_or_default();
        let _ = receive.recv_timeout(longest * 2 + TICK);
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
                let health = Arc::new(Health::new(Arc::clone(list), self.tally.of(list)));
                registry.insert(Arc::clone(&list.name), Arc::clone(&health));
                health
            }
        }
    }

    pub(super) fn announce(&self, lists: &[Arc<List>]) {
        for list in lists {
            self.health(list);
        }
        self.registry().retain(|name, _| lists.iter().any(|list| list.name == *name));
    }

    /// Looks at test points in the background, until all others have let go.
    pub(super) fn watch(self: &Arc<Self>) {
        if self.watching.swap(true, Ordering::Relaxed) {
            return;
        }
        let weak = Arc::downgrade(self);
        self.spawn(async move {
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

    pub(super) fn look_up(
        self: &Arc<Self>,
        plan: &Plan<'_>,
        questions: &[Question<'_>],
        budget: Duration,
    ) -> Vec<Listing> {
        let deadline = Instant::now() + budget;
        let now = (self.clock)();
        let healths: Vec<Arc<Health>> = plan.lists.iter().map(|list| self.health(list)).collect();
        let off: Vec<bool> = healths.iter().map(|health| health.is_off()).collect();
        let mut slots: Vec<Slot> = Vec::with_capacity(questions.len());
        let (send, receive) = mpsc::channel();
        let (mut missing, mut hits) = (0_usize, 0);
        for (index, question) in questions.iter().enumerate() {
            let Some(health) = healths.get(question.list) else {
                slots.push(Slot::NotAsked);
                continue;
            };
            if off.get(question.list).is_some_and(|off| *off) {
                health.count(AskResult::Off);
                self.recheck(health, now);
                slots.push(Slot::NotAsked);
                continue;
            }
            let name = health.list.query(&question.name);
            slots.push(if let Some(reply) = self.cache.get(&name, now) {
                hits += 1;
                Slot::Answered(reply)
            } else if self.fly(name, health, (send.clone(), index)) {
                missing += 1;
                Slot::Waiting
            } else {
                Slot::NotAsked
            });
        }
        self.tally.hits.fetch_add(hits, Ordering::Relaxed);
        drop(send);
        let mut late = false;
        while missing > 0 && !late {
            let left = deadline.saturating_duration_since(Instant::now());
            match receive.recv_timeout(left) {
                Ok((index, reply)) => {
                    missing -= 1;
                    slots.get_mut(index).into_iter().for_each(|slot| {
                        *slot = Slot::Answered(Arc::clone(&reply));
                    });
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => late = true,
            }
        }
        let why: Vec<Option<&'static str>> = healths.iter().map(|h| h.why_off()).collect();
        let answers = questions.iter().zip(slots).map(|(question, slot)| {
            let Some(health) = healths.get(question.list) else { return Listing::NotListed };
            let why = why.get(question.list).copied().flatten();
            slot.listing(&health.list, why)
        });
        answers.collect()
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
            self.tally.hits.fetch_add(1, Ordering::Relaxed);
            let (send, index) = waiter;
            return send.send((index, reply)).is_ok();
        }
        if let Some(waiters) = flights.get_mut(&name) {
            self.tally.joined.fetch_add(1, Ordering::Relaxed);
            waiters.push(waiter);
            return true;
        }
        if flights.len() >= WAITING {
            return false;
        }
        self.tally.misses.fetch_add(1, Ordering::Relaxed);
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

/// What became of a question of one scan.
enum Slot {
    /// Its list is off, or too many wait.
    NotAsked,
    Waiting,
    Answered(Arc<Reply>),
}

impl Slot {
    /// In the words of the list, which may be switched off by now.
    fn listing(self, list: &List, off: Option<&'static str>) -> Listing {
        match (self, off) {
            (Self::Answered(reply), off) => match (&*reply, off) {
                (Reply::TimedOut, _) => Listing::Unanswered(Silence::TimedOut),
                (Reply::Failed, _) => Listing::Unanswered(Silence::Failed),
                // What a list said before it was switched off is worth no more than what it
                // would say now.
                (_, Some(why)) => Listing::Unanswered(Silence::Off(why)),
                (Reply::Addresses { addresses, .. }, None) => judged(list, addresses),
                (Reply::Nothing { .. }, None) => Listing::NotListed,
            },
            (Self::NotAsked | Self::Waiting, Some(why)) => Listing::Unanswered(Silence::Off(why)),
            (Self::NotAsked, None) => Listing::Unanswered(Silence::Busy),
            (Self::Waiting, None) => Listing::Unanswered(Silence::Late),
        }
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
