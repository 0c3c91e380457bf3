//! Which lists are well: counts what becomes of questions, and switches a list off that does
//! not answer, refuses, or answers wrongly (RFC 5782 test points), with growing pauses.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::list::{Judgement, Kind, List};
use super::resolve::Reply;

/// Failures in a row that switch a list off.
const FAILURES: u32 = 5;
/// The first pause and the longest one.
const PAUSES: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(8));
/// Time after which the test points of a list that is well are looked at again.
const INTERVAL: Duration = Duration::from_mins(10);
/// A listing counts only when the test points were right not longer ago than this.
const FRESH: Duration = Duration::from_mins(1);
/// Test points are not asked for more often than this, whatever happens.
const AT_ONCE: Duration = Duration::from_secs(10);

/// What can become of a question, in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskResult {
    /// In the list.
    Listed,
    /// Not in the list.
    NotListed,
    /// An answer that the list's definition does not know.
    Unexpected,
    /// The list refuses to answer.
    Refused,
    /// Somebody else answers.
    Hijacked,
    /// No answer in time.
    TimedOut,
    /// SERVFAIL and the like.
    Failed,
    /// Not asked, because the list is switched off.
    Off,
}

impl AskResult {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Listed,
        Self::NotListed,
        Self::Unexpected,
        Self::Refused,
        Self::Hijacked,
        Self::TimedOut,
        Self::Failed,
        Self::Off,
    ];

    /// Label value.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::NotListed => "not-listed",
            Self::Unexpected => "unexpected",
            Self::Refused => "refused",
            Self::Hijacked => "hijacked",
            Self::TimedOut => "timeout",
            Self::Failed => "failed",
            Self::Off => "off",
        }
    }

    pub(super) fn of(list: &List, reply: &Reply) -> Self {
        match reply {
            Reply::Addresses { addresses, .. } => match list.judge(addresses) {
                Judgement::Listed(_) => Self::Listed,
                Judgement::Unexpected => Self::Unexpected,
                Judgement::Refused(_) => Self::Refused,
                Judgement::Hijacked(_) => Self::Hijacked,
            },
            Reply::Nothing { .. } => Self::NotListed,
            Reply::TimedOut => Self::TimedOut,
            Reply::Failed => Self::Failed,
        }
    }
}

/// What the test points of a list say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The point that must be in the list, and what was answered.
    pub listed: Option<AskResult>,
    /// The point that must not.
    pub clean: Option<AskResult>,
    /// Time of the slower answer.
    pub latency: Duration,
    /// What is wrong; none when all is well.
    pub wrong: Option<&'static str>,
}

impl Check {
    fn new(listed: Option<AskResult>, clean: Option<AskResult>, latency: Duration) -> Self {
        let wrong = match (listed, clean) {
            (Some(AskResult::Refused), _) | (_, Some(AskResult::Refused)) => {
                Some("it refuses to answer this resolver")
            }
            (Some(AskResult::Hijacked), _) | (_, Some(AskResult::Hijacked)) => {
                Some("somebody else answers for it")
            }
            (_, Some(AskResult::Listed | AskResult::Unexpected)) => Some("it lists everything"),
            (Some(AskResult::TimedOut), _) | (_, Some(AskResult::TimedOut)) => {
                Some("it does not answer")
            }
            (Some(AskResult::Failed), _) | (_, Some(AskResult::Failed)) => {
                Some("its answers are errors")
            }
            (Some(AskResult::NotListed), _) => {
                Some("its test entry is not listed; does the resolver drop 127.0.0.0/8?")
            }
            // Some lists have a code for their test entry that stands for nothing else.
            (
                None | Some(AskResult::Listed | AskResult::Unexpected | AskResult::Off),
                None | Some(AskResult::NotListed | AskResult::Off),
            ) => None,
        };
        Self { listed, clean, latency, wrong }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Up,
    Off { until: Duration, why: &'static str },
}

#[derive(Debug)]
struct State {
    phase: Phase,
    failures: u32,
    /// Length of the last pause; zero when the list was well for long.
    pause: Duration,
    /// When it was switched off last.
    opened: Duration,
    checked: Option<Duration>,
    /// When a scan last had it looked at.
    rechecked: Option<Duration>,
    last: Option<Check>,
}

/// How a list is.
#[derive(Debug, Clone)]
pub struct Report {
    /// The list.
    pub list: Arc<List>,
    /// Why it is switched off, and for how many seconds more.
    pub off: Option<(&'static str, u64)>,
    /// The last look at its test points.
    pub check: Option<Check>,
    /// What became of questions so far, in the order of [`AskResult::ALL`].
    pub counts: Vec<(AskResult, u64)>,
}

/// What became of questions to a list, in the order of [`AskResult::ALL`].
pub(super) type Counts = [AtomicU64; AskResult::ALL.len()];

/// The health of one list.
pub(super) struct Health {
    pub(super) list: Arc<List>,
    state: Mutex<State>,
    counts: Arc<Counts>,
    /// Held while the test points are asked for.
    checking: tokio::sync::Mutex<()>,
}

impl Health {
    /// A list that is well so far; `counts` go on from where they are.
    pub(super) fn new(list: Arc<List>, counts: Arc<Counts>) -> Self {
        Self {
            list,
            state: Mutex::new(State {
                phase: Phase::Up,
                failures: 0,
                pause: Duration::ZERO,
                opened: Duration::ZERO,
                checked: None,
                rechecked: None,
                last: None,
            }),
            counts,
            checking: tokio::sync::Mutex::new(()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self, result: AskResult) {
        let position = AskResult::ALL.iter().position(|known| *known == result);
        if let Some(counter) = position.and_then(|position| self.counts.get(position)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn report(&self, now: Duration) -> Report {
        let state = self.state();
        let off = match state.phase {
            Phase::Up => None,
            Phase::Off { until, why } => Some((why, until.saturating_sub(now).as_secs())),
        };
        let counts = AskResult::ALL.into_iter().zip(self.counts.iter());
        Report {
            list: Arc::clone(&self.list),
            off,
            check: state.last.clone(),
            counts: counts.map(|(result, n)| (result, n.load(Ordering::Relaxed))).collect(),
        }
    }

    pub(super) fn is_off(&self) -> bool {
        self.why_off().is_some()
    }

    /// Why it is switched off.
    pub(super) fn why_off(&self) -> Option<&'static str> {
        match self.state().phase {
            Phase::Up => None,
            Phase::Off { why, .. } => Some(why),
        }
    }

    /// True for the first who asks after a pause: others need not look as well.
    pub(super) fn begin_recheck(&self, now: Duration) -> bool {
        let mut state = self.state();
        let first = state.rechecked.is_none_or(|last| now >= last + AT_ONCE);
        if first {
            state.rechecked = Some(now);
        }
        first
    }

    /// True when somebody should look at the test points.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        let state = self.state();
        match state.phase {
            Phase::Off { until, .. } => now >= until,
            Phase::Up => state.checked.is_none_or(|checked| now >= checked + INTERVAL),
        }
    }

    /// True when what the test points said is too old to believe a listing.
    pub(super) fn is_stale(&self, now: Duration) -> bool {
        self.older_than(FRESH, now)
    }

    /// True when the test points may be asked for again.
    pub(super) fn is_checkable(&self, now: Duration) -> bool {
        self.older_than(AT_ONCE, now)
    }

    fn older_than(&self, age: Duration, now: Duration) -> bool {
        self.state().checked.is_none_or(|checked| now >= checked + age)
    }

    /// Notes what became of a question; true when the test points should be looked at.
    pub(super) fn note(&self, result: AskResult, now: Duration) -> bool {
        self.count(result);
        let mut state = self.state();
        match result {
            AskResult::Listed | AskResult::NotListed | AskResult::Unexpected => {
                state.failures = 0;
                false
            }
            AskResult::Off => false,
            AskResult::TimedOut | AskResult::Failed if self.list.kind == Kind::Mail => {
                // Any domain may be out of order; that says nothing of others.
                true
            }
            AskResult::Refused | AskResult::Hijacked | AskResult::TimedOut | AskResult::Failed => {
                state.failures += 1;
                if state.failures >= FAILURES && state.phase == Phase::Up {
                    let why = match result {
                        AskResult::TimedOut => "it does not answer",
                        AskResult::Refused => "it refuses to answer this resolver",
                        AskResult::Hijacked => "somebody else answers for it",
                        AskResult::Failed
                        | AskResult::Listed
                        | AskResult::NotListed
                        | AskResult::Unexpected
                        | AskResult::Off => "its answers are errors",
                    };
                    self.open(&mut state, why, now);
                }
                matches!(result, AskResult::Refused | AskResult::Hijacked)
            }
        }
    }

    fn open(&self, state: &mut State, why: &'static str, now: Duration) {
        let (first, longest) = PAUSES;
        let quiet = now.saturating_sub(state.opened) > 2 * longest;
        let doubled = if quiet { Duration::ZERO } else { state.pause * 2 };
        state.pause = doubled.clamp(first, longest);
        state.opened = now;
        state.phase = Phase::Off { until: now + state.pause, why };
        let (list, pause) = (&*self.list.name, state.pause.as_secs());
        tracing::warn!(list, why, pause, "DNS list switched off");
    }

    /// Notes what the test points said.
    fn checked(&self, check: &Check, now: Duration) {
        let mut state = self.state();
        state.checked = Some(now);
        state.last = Some(check.clone());
        match (check.wrong, state.phase) {
            (None, Phase::Off { .. }) => {
                state.failures = 0;
                state.phase = Phase::Up;
                tracing::info!(list = &*self.list.name, "DNS list is back");
            }
            // Without test points nothing was learnt.
            (None, Phase::Up) if check.listed.is_none() && check.clean.is_none() => {}
            (None, Phase::Up) => state.failures = 0,
            (Some(why), _) => self.open(&mut state, why, now),
        }
    }

    /// Looks at the test points, unless somebody else has meanwhile.
    pub(super) async fn check<F: Future<Output = Reply>>(
        &self,
        wanted: impl Fn(&Self) -> bool,
        clock: &(dyn Fn() -> Duration + Send + Sync),
        ask: impl Fn(Arc<str>) -> F,
    ) {
        let _one = self.checking.lock().await;
        if !wanted(self) {
            return;
        }
        let started = Instant::now();
        let point = async |name: &Option<Arc<str>>| match name {
            Some(name) => Some(AskResult::of(&self.list, &ask(self.list.query(name)).await)),
            None => None,
        };
        let (listed, clean) = tokio::join!(point(&self.list.listed), point(&self.list.clean));
        self.checked(&Check::new(listed, clean, started.elapsed()), clock());
    }
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").field("list", &self.list.name).finish_non_exhaustive()
    }
}

/// An address that a list answers with, for evidence.
pub(super) fn shown(addresses: &[Ipv4Addr]) -> String {
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    shown.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        let list = List::new("L", "l.example", "l.example", Kind::Ip);
        Health::new(Arc::new(list), Arc::default())
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_in_a_row_switch_a_list_off() {
        let health = health();
        for _ in 0..3 {
            for _ in 1..FAILURES {
                health.note(AskResult::TimedOut, at(0));
            }
            health.note(AskResult::NotListed, at(0));
        }
        assert!(!health.is_off());
        for _ in 0..FAILURES {
            health.note(AskResult::Failed, at(0));
        }
        assert_eq!(health.report(at(20)).off, Some(("its answers are errors", 40)));
    }

    #[test]
    fn pauses_grow_and_end() {
        let health = health();
        let check = |clean| Check::new(Some(AskResult::Listed), Some(clean), Duration::ZERO);
        let mut now = 0;
        for pause in [60, 120, 240, 480, 480] {
            health.checked(&check(AskResult::Listed), at(now));
            assert!(health.is_off());
            assert!(!health.is_due(at(now + pause - 1)), "{pause}");
            assert!(health.is_due(at(now + pause)), "{pause}");
            now += pause;
        }
        health.checked(&check(AskResult::NotListed), at(now));
        assert!(!health.is_off());
        assert!(!health.is_due(at(now + 599)));
        assert!(health.is_due(at(now + 600)));
        // After a long time without trouble the pauses begin anew.
        health.checked(&check(AskResult::Listed), at(now + 5_000));
        assert_eq!(health.report(at(now + 5_000)).off, Some(("it lists everything", 60)));
    }

    #[test]
    fn test_points_tell_what_is_wrong() {
        #[track_caller]
        fn check(listed: Option<AskResult>, clean: Option<AskResult>, wrong: Option<&str>) {
            let found = Check::new(listed, clean, Duration::ZERO).wrong;
            assert_eq!(found.map(|text| text.split(';').next().unwrap()), wrong);
        }
        use AskResult::{Failed, Hijacked, Listed, NotListed, Refused, TimedOut};
        check(Some(Listed), Some(NotListed), None);
        check(None, Some(NotListed), None);
        check(None, None, None);
        check(Some(Listed), Some(Listed), Some("it lists everything"));
        check(Some(NotListed), Some(NotListed), Some("its test entry is not listed"));
        check(Some(Refused), Some(NotListed), Some("it refuses to answer this resolver"));
        check(Some(Hijacked), Some(Hijacked), Some("somebody else answers for it"));
        check(Some(TimedOut), Some(NotListed), Some("it does not answer"));
        check(Some(Failed), Some(Failed), Some("its answers are errors"));
    }

    #[test]
    fn other_peoples_broken_domains_switch_nothing_off() {
        let health = Health::new(Arc::new(List::new("M", "", "", Kind::Mail)), Arc::default());
        for _ in 0..100 {
            assert!(health.note(AskResult::TimedOut, at(0)));
        }
        assert!(!health.is_off());
    }
}
