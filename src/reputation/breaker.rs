//! Leaves a store alone for a while that does not answer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Failures in a row after which it is left alone.
const FAILURES: u32 = 3;
/// The first pause and the longest one: somebody who has mended his store waits for no more.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

#[derive(Debug, Default)]
struct State {
    failures: u32,
    pause: Duration,
    until: Option<Instant>,
}

/// Counts failures.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<State>);

impl Breaker {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to ask now. After a pause one asks, and the others go on when he got an answer.
    pub(super) fn allows(&self, now: Instant) -> bool {
        let mut state = self.state();
        match state.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                state.until = Some(now + state.pause);
                true
            }
        }
    }

    /// True while it is left alone.
    pub(super) fn is_open(&self) -> bool {
        self.state().until.is_some()
    }

    /// Notes what became of a question; true when that changed something.
    pub(super) fn note(&self, success: bool, now: Instant) -> bool {
        let mut state = self.state();
        if success {
            let was_open = state.until.is_some();
            *state = State::default();
            return was_open;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures < FAILURES {
            return false;
        }
        let (first, longest) = PAUSES;
        let is_new = state.until.is_none();
        state.pause = (state.pause * 2).clamp(first, longest);
        state.until = Some(now + state.pause);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_with_an_answer() {
        let breaker = Breaker::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        assert!(!breaker.note(false, at(0)));
        assert!(!breaker.note(false, at(0)));
        assert!(breaker.allows(at(0)));
        assert!(breaker.note(false, at(0)));
        assert!(!breaker.allows(at(999)));
        // One may try; the others wait for him.
        assert!(breaker.allows(at(1_000)));
        assert!(!breaker.allows(at(1_001)));
        assert!(!breaker.note(false, at(1_100)));
        assert!(!breaker.allows(at(3_000)));
        assert!(breaker.allows(at(3_101)));
        for _ in 0..9 {
            breaker.note(false, at(4_000));
        }
        assert!(!breaker.allows(at(11_999)));
        assert!(breaker.allows(at(12_001)));
        assert!(breaker.note(true, at(12_002)));
        assert!(breaker.allows(at(12_002)));
        assert!(!breaker.is_open());
    }
}
