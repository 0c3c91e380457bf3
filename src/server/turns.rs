//! Whose turn it is to compute: as many scans at a time as there are processors, and among those
//! that wait one client after the other, however many connections each has.
//!
//! Comes in: work, and whose it is. Goes out: what came of it.
//! Not an error: a client that goes away. It leaves the line, and a turn that it had or was about
//! to get goes to the next; so does the turn of work that panics.

mod line;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;

use actix_web::{rt, web};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::quota::Client;
use crate::scan::Waits;
use line::Line;

/// Whose work it is; nobody's in particular on a Unix socket.
pub(super) type Who = Option<Client>;

/// Threads for each processor: of their work one computes, the others wait for their turn or for
/// somebody's answer.
const WAITING: usize = 64;

/// Threads of a worker for what is no scan: files, reloads, exports.
const SPARE_THREADS: usize = 64;

/// Processors that the system lets the process have.
pub(super) fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// A worker of the service, which serves many connections on one thread.
#[derive(Debug, Default)]
pub(super) struct Worker {
    /// It has computed since it last looked at its connections.
    has_computed: Cell<bool>,
    computed: Notify,
    looks_around: Cell<bool>,
}

impl Worker {
    /// Remembers that the worker has computed, until everything else was looked at that is ready
    /// now: what is woken last comes last.
    fn computes(self: &Rc<Self>) {
        self.has_computed.set(true);
        self.computed.notify_one();
        if !self.looks_around.replace(true) {
            let worker = Rc::clone(self);
            drop(rt::spawn(async move {
                loop {
                    worker.computed.notified().await;
                    worker.has_computed.set(false);
                }
            }));
        }
    }
}

/// What work of all clients passes through.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    /// Work that computes.
    turns: Turns,
    /// Work that has a thread, where it may wait.
    threads: Turns,
}

/// The threads were taken away: the service stops without mercy.
#[derive(Debug)]
pub(super) struct Stopping;

impl Gate {
    pub(super) fn new(processors: usize) -> Self {
        Self { turns: Turns::new(processors), threads: Turns::new(processors * WAITING) }
    }

    /// Threads that each worker should be able to have.
    pub(super) fn threads(processors: usize) -> usize {
        processors * WAITING + SPARE_THREADS
    }

    /// How much work waits for its turn.
    pub(super) fn waiting(&self) -> usize {
        self.turns.waiting() + self.threads.waiting()
    }

    /// A turn for computing on the worker itself, which costs the least. Only while nobody
    /// computes, and only once before the worker looks at its other connections again: a row of
    /// requests of one client must not go before another's that has come meanwhile.
    pub(super) fn alone(&self, worker: &Rc<Worker>) -> Option<Turn> {
        let turn = (!worker.has_computed.get()).then(|| self.turns.alone()).flatten()?;
        worker.computes();
        Some(turn)
    }

    /// Does work on a thread of its own when it is its client's turn. Work that may wait for
    /// somebody's answer gives its turn away meanwhile, as long as it says so.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        who: Who,
        may_wait: bool,
        work: impl FnOnce(Option<Arc<dyn Waits>>) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        let thread = self.threads.take(who).await;
        let turns = self.turns.clone();
        let asker = Arc::new(());
        let waits_still = Arc::downgrade(&asker);
        let done = web::block(move || {
            let _thread = thread;
            // Taken here: a turn must not wait for a thread that waits for a turn, nor for a worker
            // that is busy.
            let shift = Arc::new(Shift::begin(turns, who));
            waits_still.upgrade()?;
            Some(work(may_wait.then(|| Arc::clone(&shift) as Arc<dyn Waits>)))
        })
        .await;
        drop(asker);
        done.ok().flatten().ok_or(Stopping)
    }
}

/// A thread's work with breaks.
#[derive(Debug)]
struct Shift {
    turns: Turns,
    who: Who,
    turn: Mutex<Option<Turn>>,
}

impl Shift {
    fn begin(turns: Turns, who: Who) -> Self {
        let shift = Self { turns, who, turn: Mutex::default() };
        shift.end();
        shift
    }

    fn turn(&self) -> MutexGuard<'_, Option<Turn>> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waits for Shift {
    fn begin(&self) {
        drop(self.turn().take());
    }

    fn end(&self) {
        let turn = Handle::current().block_on(self.turns.take(self.who));
        *self.turn() = Some(turn);
    }
}

/// So many at a time.
#[derive(Debug, Clone)]
struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: usize,
    /// Nobody waits while there is a free place.
    state: Mutex<(Free, Line<oneshot::Sender<Turn>>)>,
}

type Free = usize;

/// One of the places, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Shared>);

impl Turns {
    fn new(places: usize) -> Self {
        Self(Arc::new(Shared { places, state: Mutex::new((places, Line::default())) }))
    }

    /// A place while nobody has any.
    fn alone(&self) -> Option<Turn> {
        let mut state = self.0.state();
        let (free, _) = &mut *state;
        (*free == self.0.places).then(|| {
            *free -= 1;
            Turn(Arc::clone(&self.0))
        })
    }

    /// A place when it is the client's turn.
    async fn take(&self, who: Who) -> Turn {
        loop {
            let mut place = match self.ask(who) {
                Ok(turn) => return turn,
                Err(place) => place,
            };
            // Who hands turns out lets nobody go without one.
            if let Ok(turn) = (&mut place.turn).await {
                return turn;
            }
        }
    }

    fn ask(&self, who: Who) -> Result<Turn, Place> {
        let mut state = self.0.state();
        let (free, line) = &mut *state;
        if let Some(left) = free.checked_sub(1) {
            *free = left;
            return Ok(Turn(Arc::clone(&self.0)));
        }
        let (send, turn) = oneshot::channel();
        let number = line.join(who, send);
        Err(Place { shared: Arc::clone(&self.0), who, number, turn })
    }

    fn waiting(&self) -> usize {
        self.0.state().1.length
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, (Free, Line<oneshot::Sender<Turn>>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let next = {
            let (free, line) = &mut *self.0.state();
            let next = line.next();
            *free += usize::from(next.is_none());
            next
        };
        if let Some(next) = next {
            // Who has gone at this very moment drops it, and so on.
            drop(next.send(Self(Arc::clone(&self.0))));
        }
    }
}

/// A place in the line, given up when dropped.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    who: Who,
    number: u64,
    turn: oneshot::Receiver<Turn>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let gone = self.shared.state().1.leave(self.who, self.number);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use actix_web::rt::System;
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;

    fn client(last: u8) -> Client {
        Client::from(IpAddr::from([192, 0, 2, last]))
    }

    /// Nobody has a place and nobody waits.
    #[track_caller]
    fn assert_idle(turns: &Turns) {
        let state = turns.0.state();
        assert_eq!((state.0, state.1.length), (turns.0.places, 0));
    }

    #[test]
    fn places_come_back_whatever_happens() {
        System::new().block_on(async {
            let gate = Gate::new(1);
            let first = gate.turns.take(Some(client(1))).await;
            assert!(gate.alone(&Rc::default()).is_none());
            // One waits and goes away before it gets its turn, one after it was handed one.
            let mut early = gate.turns.ask(Some(client(2))).unwrap_err();
            let late = gate.turns.ask(Some(client(2))).unwrap_err();
            assert_eq!(gate.waiting(), 2);
            assert!(early.turn.try_recv().is_err());
            drop(early);
            assert_eq!(gate.waiting(), 1);
            drop(first);
            assert_eq!(gate.waiting(), 0);
            assert!(gate.turns.alone().is_none());
            drop(late);
            assert_idle(&gate.turns);
            // Work that panics.
            for may_wait in [false, true] {
                let panics = gate.run(None, may_wait, |_| -> () { panic!("as the test wants it") });
                assert!(panics.await.is_err());
                assert_idle(&gate.turns);
                assert_idle(&gate.threads);
            }
        });
    }

    #[test]
    fn a_worker_computes_once_before_it_looks_around() {
        System::new().block_on(async {
            let (gate, worker) = (Gate::new(2), Rc::default());
            for _ in 0..3 {
                drop(gate.alone(&worker).unwrap());
                assert!(gate.alone(&worker).is_none());
                // Another worker may, and nobody else while it does.
                let other = gate.alone(&Rc::default());
                assert!(other.is_some() && gate.alone(&Rc::default()).is_none());
                drop(other);
                assert_idle(&gate.turns);
                yield_now().await;
            }
        });
    }

    /// With one processor, more wait at once than compute.
    #[test]
    fn who_waits_lets_others_compute() {
        const MANY: usize = 20;
        System::new().block_on(async {
            let gate = Gate::new(1);
            let (inside, computing) =
                (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let all = (0..MANY).map(|number| {
                let (gate, inside) = (gate.clone(), Arc::clone(&inside));
                let computing = Arc::clone(&computing);
                rt::spawn(async move {
                    let who = Some(client(u8::try_from(number % 3).unwrap()));
                    gate.run(who, true, move |waits| {
                        let waits = waits.unwrap();
                        let alone = || assert_eq!(computing.fetch_add(1, Ordering::SeqCst), 0);
                        alone();
                        computing.fetch_sub(1, Ordering::SeqCst);
                        waits.begin();
                        inside.fetch_add(1, Ordering::SeqCst);
                        // Goes on when all of them are here.
                        for _ in 0..10_000 {
                            if inside.load(Ordering::SeqCst) == MANY {
                                break;
                            }
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        waits.end();
                        alone();
                        computing.fetch_sub(1, Ordering::SeqCst);
                        inside.load(Ordering::SeqCst)
                    })
                    .await
                    .unwrap()
                })
            });
            let all: Vec<_> = all.collect();
            for one in all {
                let seen = timeout(Duration::from_mins(1), one).await.unwrap().unwrap();
                assert_eq!(seen, MANY);
            }
            assert_idle(&gate.turns);
            assert_idle(&gate.threads);
        });
    }
}
