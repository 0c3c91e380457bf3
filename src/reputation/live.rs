//! Remembers behind the back of scans: a queue, a thread, and what became of it all.
//!
//! Comes in: what is to be remembered. Goes out: changes, many at a time, to the store.
//! Not an error: a store that does not take them, or a queue that is full. What cannot be
//! remembered is counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::keys::Keys;
use super::learn::Judgement;
use super::record;
use super::seen::Seen;
use super::settings::Settings;
use super::store::{Ask, Change, Found, Store, Trouble};

/// Messages that wait to be remembered.
const QUEUE: usize = 12_000;
/// Octets of them.
const QUEUE_OCTETS: usize = 64 << 20;
/// Messages taken from the queue at a time.
const BATCH: usize = 128;
/// How often the store is tended.
const TICK: Duration = Duration::from_millis(900);
/// Time that a report may take until it is saved.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Asked about a message.
    Recall,
    /// Told about a message.
    Record,
    /// Told what a user reports.
    Learn,
    /// Asked where an event came from, how large it is, and the like.
    Look,
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperationResult {
    /// Done.
    Ok,
    /// It did not answer in time.
    Late,
    /// Another process has it.
    Held,
    /// It failed.
    Failed,
    /// It was left alone after failures.
    Off,
    /// The queue was full.
    Dropped,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Recall, Self::Record, Self::Learn, Self::Look];

    /// Label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recall => "recall",
            Self::Record => "record",
            Self::Learn => "learn",
            Self::Look => "look",
        }
    }
}

impl OperationResult {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Late, Self::Held, Self::Failed, Self::Off, Self::Dropped];

    /// Label value in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Late => "late",
            Self::Held => "held",
            Self::Failed => "failed",
            Self::Off => "off",
            Self::Dropped => "dropped",
        }
    }

    fn of<T>(result: &Result<T, Trouble>) -> Self {
        match result {
            Ok(_) => Self::Ok,
            Err(Trouble::Late) => Self::Late,
            Err(Trouble::Held) => Self::Held,
            Err(Trouble::Failed(_)) => Self::Failed,
        }
    }
}

/// Counts what was done.
#[derive(Debug, Default)]
pub(super) struct Counters([[AtomicU64; OperationResult::ALL.len()]; Operation::ALL.len()]);

impl Counters {
    pub(super) fn add(&self, operation: Operation, result: OperationResult, number: u64) {
        if let Some(counter) =
            self.0.get(operation as usize).and_then(|row| row.get(result as usize))
        {
            counter.fetch_add(number, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Vec<(Operation, OperationResult, u64)> {
        let each = Operation::ALL.into_iter().zip(&self.0);
        each.flat_map(|(operation, row)| {
            let row = OperationResult::ALL.into_iter().zip(row);
            row.map(move |(result, n)| (operation, result, n.load(Ordering::Relaxed)))
        })
        .collect()
    }
}

type Done = SyncSender<Result<(), Trouble>>;

enum Job {
    /// A scan, and the settings it was done with.
    Seen(Box<Seen>, Judgement, Arc<Settings>),
    /// A report; whoever sent it waits until it is saved.
    Learn(Vec<Change>, Done),
    /// Somebody waits until all before it is done.
    Settle(Done),
    /// The service ends.
    Stop,
}

/// A store in use.
pub(super) struct Live {
    pub(super) keys: Keys,
    pub(super) store: Arc<dyn Store>,
    pub(super) counters: Arc<Counters>,
    breaker: Breaker,
    queue: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Live {
    /// Starts the thread. `clock` is the time in seconds since 1970 UTC.
    pub(super) fn start(store: Arc<dyn Store>, keys: Keys, clock: super::Clock) -> Self {
        let (queue, jobs) = mpsc::sync_channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let waiting = Arc::new(AtomicUsize::new(0));
        let worker = Worker {
            keys: keys.clone(),
            store: Arc::clone(&store),
            counters: Arc::clone(&counters),
            waiting: Arc::clone(&waiting),
            clock,
        };
        let thread = thread::Builder::new().name("calspamd-store".to_owned());
        let thread = thread.spawn(move || worker.run(&jobs)).ok();
        Self {
            keys,
            store,
            counters,
            breaker: Breaker::default(),
            queue,
            waiting,
            thread: Mutex::new(thread),
        }
    }

    /// Asks the store for a scan; it has not much time.
    pub(super) fn recall(&self, asks: &[Ask], budget: Duration) -> Result<Vec<Found>, Trouble> {
        let operation = Operation::Recall;
        if !self.breaker.allows(Instant::now()) {
            self.counters.add(operation, OperationResult::Off, 1);
            return Err(Trouble::Late);
        }
        let result = self.store.recall(asks, budget);
        self.counters.add(operation, OperationResult::of(&result), 1);
        // That somebody else has the file costs no time.
        let is_well = !matches!(result, Err(Trouble::Late | Trouble::Failed(_)));
        if self.breaker.note(is_well, Instant::now()) {
            if let Err(trouble) = &result {
                tracing::warn!("store: {trouble}; left alone for a while");
            } else {
                tracing::info!("store: it answers again");
            }
        }
        result
    }

    /// True while the store is left alone.
    pub(super) fn is_off(&self) -> bool {
        self.breaker.is_open()
    }

    /// Has a scan remembered, some time.
    pub(super) fn record(&self, seen: Box<Seen>, judgement: Judgement, settings: &Arc<Settings>) {
        let size = seen.size();
        let before = self.waiting.fetch_add(size, Ordering::Relaxed);
        let fits = before + size <= QUEUE_OCTETS;
        if fits && self.queue.try_send(Job::Seen(seen, judgement, Arc::clone(settings))).is_ok() {
            return;
        }
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        self.counters.add(Operation::Record, OperationResult::Dropped, 1);
    }

    /// Has changes made, and waits until they survive a crash.
    pub(super) fn learn(&self, changes: Vec<Change>) -> Result<(), Trouble> {
        let result = self.wait(|done| Job::Learn(changes, done));
        self.counters.add(Operation::Learn, OperationResult::of(&result), 1);
        result
    }

    /// Waits until all that was given before is done.
    pub(super) fn settle(&self) -> Result<(), Trouble> {
        self.wait(Job::Settle)
    }

    fn wait(&self, job: impl FnOnce(Done) -> Job) -> Result<(), Trouble> {
        let (done, result) = mpsc::sync_channel(1);
        match self.queue.try_send(job(done)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                return Err(Trouble::Late);
            }
        }
        result.recv_timeout(PATIENCE).unwrap_or(Err(Trouble::Late))
    }

    /// Saves everything and ends the thread.
    pub(super) fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        if self.queue.send(Job::Stop).is_ok() && thread.join().is_err() {
            tracing::error!("store: its thread ended before its time");
        }
    }
}

struct Worker {
    keys: Keys,
    store: Arc<dyn Store>,
    counters: Arc<Counters>,
    waiting: Arc<AtomicUsize>,
    clock: super::Clock,
}

impl Worker {
    fn run(&self, jobs: &Receiver<Job>) {
        let mut tended = Instant::now();
        loop {
            let left = TICK.saturating_sub(tended.elapsed());
            let first = match jobs.recv_timeout(left) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let more = std::iter::from_fn(|| jobs.try_recv().ok());
            let batch: Vec<Job> = first.into_iter().chain(more.take(BATCH)).collect();
            let is_last = batch.iter().any(|job| matches!(job, Job::Stop));
            self.guarded(|| self.work(batch));
            if tended.elapsed() >= TICK || is_last {
                tended = Instant::now();
                self.guarded(|| drop(self.store.tend((self.clock)())));
            }
            if is_last {
                break;
            }
        }
        self.guarded(|| drop(self.store.flush()));
    }

    /// A mistake of ours must not end remembering for good.
    fn guarded(&self, work: impl FnOnce()) {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            self.counters.add(Operation::Record, OperationResult::Failed, 1);
        }
    }

    fn work(&self, batch: Vec<Job>) {
        let mut changes: Vec<Change> = Vec::new();
        let (mut scans, mut size) = (0, 0);
        let (mut learners, mut waiters) = (Vec::new(), Vec::new());
        for job in batch {
            match job {
                Job::Seen(seen, judgement, settings) => {
                    scans += 1;
                    size += seen.size();
                    changes.extend(record::changes(&self.keys, &seen, &judgement, &settings));
                }
                Job::Learn(more, done) => {
                    changes.extend(more);
                    learners.push(done);
                }
                Job::Settle(done) => waiters.push(done),
                Job::Stop => {}
            }
        }
        let mut result = Ok(());
        if !changes.is_empty() {
            result = self.store.record(&changes);
            self.counters.add(Operation::Record, OperationResult::of(&result), scans);
        }
        self.waiting.fetch_sub(size, Ordering::Relaxed);
        if !learners.is_empty() && result.is_ok() {
            result = self.store.flush();
        }
        // Nobody may wait any more.
        for done in learners.into_iter().chain(waiters) {
            drop(done.try_send(result.clone()));
        }
    }
}
