//! One message, whatever dialect brought it: scanned, counted and logged.
//!
//! Comes in: a message and what is asked. Goes out: the outcome; a mistake of ours becomes one that
//! says "not scanned", and the mail goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::State;
use super::history::Scanned;
use crate::metrics;
use crate::protocol::rspamd::SKIPPED;
use crate::reputation::Subject;
use crate::scan::{self, Extracted, Known, Outcome, Remembered, Request, Timings};
use crate::verdict::{Action, Apply, Busy, Decision, ManualInsert, Target, Verdict};

/// What a caller says of the log and the counts.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Told<'t> {
    /// His own id.
    pub(super) log_tag: Option<&'t str>,
    /// The mail's subject.
    pub(super) subject: Option<&'t str>,
    /// No line in the log and no row in the history.
    pub(super) no_log: bool,
    /// No statistics. What monitoring collects has it all the same.
    pub(super) no_stat: bool,
}

/// Scans, counts under the dialect's name, and logs.
pub(super) fn perform(
    state: &State,
    message: &[u8],
    request: &Request,
    protocol: &'static str,
    told: Told<'_>,
) -> Outcome {
    let _in_flight = state.metrics.in_flight();
    // The scan keeps this set, also when another takes its place meanwhile.
    let current = state.current.load_full();
    let started = Instant::now();
    // The state behind the references is atomics and things that nobody changes: a panic
    // cannot leave it half written.
    let scanned = catch_unwind(AssertUnwindSafe(|| {
        (state.scan)(message, request, &current.rules, &state.settings)
    }));
    let outcome = scanned.unwrap_or_else(|_| {
        state.metrics.panicked();
        not_scanned(message.len(), started.elapsed())
    });
    state.metrics.observe(&outcome, &current.hits, protocol);
    let number = state.scans.fetch_add(1, Ordering::Relaxed);
    let now = super::now();
    if !told.no_stat {
        state.journal.count(&outcome, now);
    }
    if !told.no_log {
        let id = told.log_tag.map_or_else(|| format!("{number:08x}"), str::to_owned);
        log(&id, &outcome, request);
        let profile = request.profile.as_deref();
        let thresholds = &*state.settings.verdict.thresholds_under(profile);
        let (outcome, subject) = (&outcome, told.subject);
        let scanned = Scanned { id, outcome, request, thresholds, subject, now };
        state.journal.keep(scanned, state.verbose_ids);
    }
    outcome
}

/// The answer to who wants no scan: nothing was found, and nothing is inserted.
pub(super) fn skipped(size: usize) -> Outcome {
    let mut outcome = not_scanned(size, Duration::ZERO);
    outcome.partial = vec![SKIPPED.to_owned()];
    outcome.verdict.decision.reasons.clone_from(&outcome.partial);
    outcome
}

/// What a report about a message is about; none for a message that no calendar is in.
pub(super) fn subject(state: &State, message: &[u8], mut request: Request) -> Option<Subject> {
    // A user's name says who reports, and not that he has sent the mail.
    request.envelope.user = None;
    request.forget = true;
    let rules = &state.current.load_full().rules;
    scan::observe(message, &request, rules, &state.settings).1.map(Subject::Seen)
}

/// The answer when our own mistake ended the scan: the mail goes on, nothing is inserted.
fn not_scanned(size: usize, total: Duration) -> Outcome {
    let reasons = vec![metrics::INTERNAL_ERROR.to_owned()];
    Outcome {
        verdict: Verdict {
            score: 0.0,
            action: Action::NoAction,
            decision: Decision {
                auto_insert: false,
                apply: Apply::Ignore,
                target: Target::None,
                busy: Busy::Free,
                keep_alarms: false,
                keep_attachments: false,
                notify_organizer: false,
                manual_insert: ManualInsert::Warn,
                reasons: reasons.clone(),
            },
            symbols: Vec::new(),
        },
        events: Vec::new(),
        defects: Vec::new(),
        extracted: Extracted::default(),
        listings: Vec::new(),
        partial: reasons,
        message_id: None,
        has_calendar: false,
        size,
        authentication: Known::Nothing,
        remembered: Remembered::default(),
        timings: Timings { total, ..Timings::default() },
    }
}

/// One line a scan. Symbols and numbers only: addresses, subjects and text are nobody's
/// business but the recipient's.
fn log(id: &str, outcome: &Outcome, request: &Request) {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let timings = &outcome.timings;
    let symbols: Vec<&str> =
        outcome.verdict.symbols.iter().map(|symbol| &*symbol.hit.symbol).collect();
    tracing::info!(
        id,
        queue_id = request.envelope.queue_id.as_deref().unwrap_or_default(),
        size = outcome.size,
        calendar = outcome.has_calendar,
        action = outcome.verdict.action.name(),
        score = (outcome.verdict.score * 1e3).round() / 1e3,
        symbols = symbols.join(","),
        partial = outcome.partial.join(","),
        message_ms = milliseconds(timings.message),
        calendar_ms = milliseconds(timings.calendar),
        facts_ms = milliseconds(timings.facts),
        reputation_ms = milliseconds(timings.reputation),
        lists_ms = milliseconds(timings.lists),
        rules_ms = milliseconds(timings.rules),
        verdict_ms = milliseconds(timings.verdict),
        total_ms = milliseconds(timings.total),
        "scanned"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rspamd;
    use crate::verdict::Thresholds;

    #[test]
    fn a_scan_that_failed_inserts_nothing() {
        let outcome = not_scanned(7, Duration::ZERO);
        let (request, options) = (Request::default(), rspamd::Options::default());
        let reply = rspamd::reply(&outcome, &request, &options, &Thresholds::default());
        let reply: serde_json::Value = serde_json::from_slice(&reply).unwrap();
        assert_eq!(reply["is_skipped"], true);
        assert_eq!(reply["action"], "no action");
        assert_eq!(reply["score"], 0.0);
        assert_eq!(reply["calendar"]["partial"][0], "internal-error");
        assert_eq!(reply["calendar"]["decision"]["auto_insert"], false);
        assert_eq!(reply["calendar"]["decision"]["target"], "none");
    }
}
