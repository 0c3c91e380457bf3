//! One message, whatever dialect brought it: scanned, counted and logged.
//!
//! Comes in: a message and what is asked. Goes out: the outcome; a mistake of ours becomes one that
//! says "not scanned", and the mail goes on.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::State;
use super::current::Current;
use super::history::Scanned;
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

/// Longest text of a caller in a log line, in characters: an address may have so many.
const LOGGED_CHARACTERS: usize = 254;

/// Recipients in a log line.
const LOGGED_RECIPIENTS: usize = 20;

/// Scans with what was in force when the request came, counts under the dialect's name, and logs.
pub(super) fn perform(
    (state, current): (&State, &Current),
    message: &[u8],
    request: &Request,
    protocol: &'static str,
    told: Told<'_>,
) -> Outcome {
    let _in_flight = state.metrics.in_flight();
    let started = Instant::now();
    let number = state.scans.fetch_add(1, Ordering::Relaxed);
    let id = told.log_tag.map_or_else(|| format!("{number:08x}"), str::to_owned);
    // What goes wrong on the way is logged with the same id.
    let span = tracing::error_span!("scan", id).entered();
    // The state behind the references is atomics and things that nobody changes: a panic
    // cannot leave it half written.
    let scanned = catch_unwind(AssertUnwindSafe(|| {
        (state.scan)(message, request, &current.rules, &current.scan)
    }));
    let outcome = scanned.unwrap_or_else(|_| {
        state.metrics.panicked();
        not_scanned(message.len(), started.elapsed())
    });
    drop(span);
    state.metrics.observe(&outcome, &current.hits, protocol);
    let now = super::now();
    if !told.no_stat {
        state.journal.count(&outcome, now);
    }
    if !told.no_log {
        log(&outcome, &Line { id: &id, protocol, request, with_addresses: current.verbose_ids });
        let profile = request.profile.as_deref();
        let thresholds = &*current.scan.verdict.thresholds_under(profile);
        let (outcome, subject) = (&outcome, told.subject);
        let scanned = Scanned { id, outcome, request, thresholds, subject, now };
        state.journal.keep(scanned, current.verbose_ids);
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
pub(super) fn subject(current: &Current, message: &[u8], mut request: Request) -> Option<Subject> {
    // A user's name says who reports, and not that he has sent the mail.
    request.envelope.user = None;
    request.forget = true;
    scan::observe(message, &request, &current.rules, &current.scan).1.map(Subject::Seen)
}

/// The answer when our own mistake ended the scan: the mail goes on, nothing is inserted.
fn not_scanned(size: usize, total: Duration) -> Outcome {
    let reasons = vec![scan::INTERNAL_ERROR.to_owned()];
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

/// What a log line says beside the outcome.
struct Line<'r> {
    id: &'r str,
    protocol: &'static str,
    request: &'r Request,
    /// Whoever runs the service has asked for them.
    with_addresses: bool,
}

/// One line a scan. Symbols and numbers only: addresses, subjects and text are nobody's
/// business but the recipient's.
fn log(outcome: &Outcome, line: &Line<'_>) {
    let milliseconds = |time: Duration| (time.as_secs_f64() * 1e6).round() / 1e3;
    let timings = &outcome.timings;
    let symbols: Vec<&str> =
        outcome.verdict.symbols.iter().map(|symbol| &*symbol.hit.symbol).collect();
    let envelope = &line.request.envelope;
    let shown = |value: Option<String>| value.filter(|_| line.with_addresses);
    tracing::info!(
        id = line.id,
        queue_id = cut(envelope.queue_id.as_deref().unwrap_or_default()),
        protocol = line.protocol,
        message_id = shown(outcome.message_id.as_deref().map(cut)),
        from = shown(envelope.sender.as_deref().map(cut)),
        rcpt = shown(Some(some_of(&envelope.recipients))),
        size = outcome.size,
        calendar = outcome.has_calendar,
        action = outcome.verdict.action.name(),
        score = (outcome.verdict.score * 1e3).round() / 1e3,
        symbols = symbols.join(","),
        partial = outcome.partial.join(","),
        message_ms = milliseconds(timings.message),
        calendar_ms = milliseconds(timings.calendar),
        facts_ms = milliseconds(timings.facts),
        authentication_ms = milliseconds(timings.authentication),
        reputation_ms = milliseconds(timings.reputation),
        lists_ms = milliseconds(timings.lists),
        rules_ms = milliseconds(timings.rules),
        verdict_ms = milliseconds(timings.verdict),
        total_ms = milliseconds(timings.total),
        "scanned"
    );
}

/// A caller's text, short enough for a log line.
fn cut(text: &str) -> String {
    text.chars().take(LOGGED_CHARACTERS).collect()
}

/// The first few, with a comma between them.
fn some_of(addresses: &[String]) -> String {
    let some: Vec<String> =
        addresses.iter().take(LOGGED_RECIPIENTS).map(|address| cut(address)).collect();
    some.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::rspamd;
    use crate::verdict::Thresholds;

    #[test]
    fn log_lines_stay_short() {
        let many: Vec<String> = (0..1_000).map(|n| format!("{n}@{}", "ü".repeat(1_000))).collect();
        let shown = some_of(&many);
        assert_eq!(shown.matches(',').count(), LOGGED_RECIPIENTS - 1);
        assert_eq!(shown.chars().count(), LOGGED_RECIPIENTS * (LOGGED_CHARACTERS + 1) - 1);
    }

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
