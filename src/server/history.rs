//! What the service has done, for Rspamd's statistics, history and graphs.
//!
//! Comes in: each scan. Goes out: the last rows, counts, and scans over time. All of it is bounded
//! and gone with the process; what is to last is in `metrics`, which others collect.
//! Addresses and names are kept only where the log may have them too.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::protocol::rspamd::{self, ErrorRow, HistoryRow, HistorySymbol, POINTS, Point, TIMES};
use crate::scan::{Outcome, Request};
use crate::verdict::{Action, Thresholds};

/// Rows kept, as many as Rspamd keeps.
pub(super) const ROWS: usize = 200;

/// Errors kept.
const ERRORS: usize = 100;

/// Characters kept of a text that others have written.
const TEXT: usize = 256;

/// Recipients and symbols kept of a scan.
const RECIPIENTS: usize = 20;
const SYMBOLS: usize = 200;

/// Counts of the six actions.
type Counts = [u64; Action::ALL.len()];

/// The stretches of time that a graph shows, by its name: Rspamd's present ones, and those of its
/// older versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Graph {
    Day,
    Week,
    Month,
    Year,
}

impl Graph {
    const ALL: [Self; 4] = [Self::Day, Self::Week, Self::Month, Self::Year];

    pub(super) fn of(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "day" | "hourly" => Some(Self::Day),
            "week" | "daily" => Some(Self::Week),
            "month" | "weekly" => Some(Self::Month),
            "year" | "monthly" => Some(Self::Year),
            _ => None,
        }
    }

    const fn days(self) -> i64 {
        match self {
            Self::Day => 1,
            Self::Week => 7,
            Self::Month => 30,
            Self::Year => 365,
        }
    }
}

/// Points of a graph.
const KEPT: usize = 480;
const _: () = assert!(KEPT <= POINTS);

/// Scans over time: a ring of stretches of equal length.
struct Series {
    /// Seconds of a stretch.
    width: i64,
    /// Number of the newest stretch since 1970, and of the first one that was seen.
    newest: i64,
    first: i64,
    counts: Vec<[u32; Action::ALL.len()]>,
}

impl Series {
    fn new(graph: Graph, now: i64) -> Self {
        let width = graph.days() * 86_400 / 480;
        let newest = now.div_euclid(width);
        Self { width, newest, first: newest, counts: vec![Default::default(); KEPT] }
    }

    fn place(number: i64) -> usize {
        let kept = i64::try_from(KEPT).unwrap_or(i64::MAX);
        usize::try_from(number.rem_euclid(kept)).unwrap_or_default()
    }

    /// Empties what lies between the newest stretch and now.
    fn advance(&mut self, now: i64) {
        let number = now.div_euclid(self.width);
        for gone in 1..=number.saturating_sub(self.newest) {
            // One round empties all.
            if usize::try_from(gone).is_ok_and(|gone| gone > KEPT) {
                break;
            }
            if let Some(counts) = self.counts.get_mut(Self::place(self.newest + gone)) {
                *counts = Default::default();
            }
        }
        self.newest = self.newest.max(number);
    }

    /// A clock that goes back counts in the newest stretch.
    fn count(&mut self, action: usize, now: i64) {
        self.advance(now);
        let place = Self::place(self.newest);
        if let Some(count) = self.counts.get_mut(place).and_then(|counts| counts.get_mut(action)) {
            *count = count.saturating_add(1);
        }
    }

    fn points(&mut self, now: i64) -> Vec<Point> {
        self.advance(now);
        let kept = i64::try_from(KEPT).unwrap_or(i64::MAX);
        #[expect(clippy::cast_precision_loss, reason = "widths are days at most")]
        let width = self.width as f64;
        let numbers = self.newest.saturating_sub(kept - 1)..=self.newest;
        let point = |number: i64| Point {
            time: number * self.width,
            rates: (number >= self.first)
                .then(|| self.counts.get(Self::place(number)))
                .flatten()
                .map(|counts| counts.map(|count| f64::from(count) / width)),
        };
        numbers.map(point).collect()
    }
}

/// The numbers that `/statreset` sets back.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    pub(super) actions: Counts,
    pub(super) learned: u64,
    pub(super) connections: u64,
    pub(super) control_connections: u64,
    times: VecDeque<f64>,
}

impl Numbers {
    /// Seconds that the last scans took, the newest first.
    pub(super) fn times(&self) -> Vec<f64> {
        self.times.iter().rev().copied().collect()
    }
}

/// What was scanned and how often.
pub(super) struct Journal {
    rows: Mutex<VecDeque<Arc<HistoryRow>>>,
    numbers: Mutex<Numbers>,
    graphs: Mutex<[Series; 4]>,
}

/// A scan that is to be written down.
pub(super) struct Scanned<'s> {
    pub(super) id: String,
    pub(super) outcome: &'s Outcome,
    pub(super) request: &'s Request,
    pub(super) thresholds: &'s Thresholds,
    /// In the caller's words.
    pub(super) subject: Option<&'s str>,
    pub(super) now: i64,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Journal {
    pub(super) fn new(now: i64) -> Self {
        Self {
            rows: Mutex::default(),
            numbers: Mutex::default(),
            graphs: Mutex::new(Graph::ALL.map(|graph| Series::new(graph, now))),
        }
    }

    /// Counts a scan.
    pub(super) fn count(&self, outcome: &Outcome, now: i64) {
        let action = outcome.verdict.action;
        let Some(place) = Action::ALL.iter().position(|one| *one == action) else { return };
        for series in lock(&self.graphs).iter_mut() {
            series.count(place, now);
        }
        let mut numbers = lock(&self.numbers);
        if let Some(count) = numbers.actions.get_mut(place) {
            *count += 1;
        }
        if numbers.times.len() >= TIMES {
            numbers.times.pop_front();
        }
        numbers.times.push_back(outcome.timings.total.as_secs_f64());
    }

    /// Keeps a row about a scan; `verbose` says whether also who it was about.
    pub(super) fn keep(&self, scanned: Scanned<'_>, verbose: bool) {
        let row = Arc::new(row(scanned, verbose));
        let mut rows = lock(&self.rows);
        if rows.len() >= ROWS {
            rows.pop_front();
        }
        rows.push_back(row);
    }

    /// The rows of the last scans, from the `from`th newest to the `to`th, from 0.
    pub(super) fn rows(&self, from: usize, to: usize) -> Vec<Arc<HistoryRow>> {
        let rows = lock(&self.rows);
        let count = to.checked_sub(from).map_or(0, |more| more.saturating_add(1));
        rows.iter().rev().skip(from).take(count).cloned().collect()
    }

    pub(super) fn forget_rows(&self) {
        lock(&self.rows).clear();
    }

    pub(super) fn numbers(&self) -> Numbers {
        lock(&self.numbers).clone()
    }

    pub(super) fn reset_numbers(&self) {
        *lock(&self.numbers) = Numbers::default();
    }

    pub(super) fn learned(&self) {
        lock(&self.numbers).learned += 1;
    }

    pub(super) fn connected(&self) {
        lock(&self.numbers).connections += 1;
    }

    pub(super) fn controlled(&self) {
        lock(&self.numbers).control_connections += 1;
    }

    pub(super) fn graph(&self, graph: Graph, now: i64) -> Vec<Point> {
        let place = Graph::ALL.iter().position(|one| *one == graph).unwrap_or_default();
        lock(&self.graphs).get_mut(place).map(|series| series.points(now)).unwrap_or_default()
    }
}

fn short(text: &str) -> String {
    text.chars().take(TEXT).collect()
}

fn row(scanned: Scanned<'_>, verbose: bool) -> HistoryRow {
    let Scanned { id, outcome, request, thresholds, subject, now } = scanned;
    let envelope = &request.envelope;
    let who = |text: Option<&str>| text.filter(|_| verbose).map(short);
    let symbol = |symbol: &crate::verdict::Symbol| HistorySymbol {
        name: Arc::clone(&symbol.hit.symbol),
        score: symbol.score,
        metric_score: symbol.hit.score,
        description: symbol.hit.description.clone(),
    };
    let recipients = envelope.recipients.iter().filter(|_| verbose).take(RECIPIENTS);
    HistoryRow {
        id,
        unix_time: now,
        time_real: outcome.timings.total.as_secs_f64(),
        size: outcome.size,
        action: outcome.verdict.action,
        score: outcome.verdict.score,
        thresholds: thresholds.clone(),
        is_skipped: rspamd::is_skipped(outcome),
        symbols: outcome.verdict.symbols.iter().take(SYMBOLS).map(symbol).collect(),
        message_id: who(outcome.message_id.as_deref()),
        ip: who(envelope.client_ip.map(|ip| ip.to_string()).as_deref()),
        user: who(envelope.user.as_deref()),
        sender: who(envelope.sender.as_deref()),
        recipients: recipients.map(|address| short(address)).collect(),
        subject: who(subject),
    }
}

/// The last errors of the log. Cheap to clone; who writes the log puts them in.
#[derive(Debug, Clone, Default)]
pub struct Errors(Arc<Mutex<VecDeque<ErrorRow>>>);

impl Errors {
    /// Keeps an error in the place of the oldest one. `module` says what of the program had it.
    pub fn add(&self, module: &str, message: &str) {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        let ts = super::now() as f64;
        let row = ErrorRow {
            ts,
            pid: std::process::id(),
            kind: "normal",
            id: String::new(),
            module: short(module),
            message: short(message),
        };
        let mut rows = lock(&self.0);
        if rows.len() >= ERRORS {
            rows.pop_front();
        }
        rows.push_back(row);
    }

    /// The body of a reply with all of them.
    pub(super) fn reply(&self) -> Vec<u8> {
        rspamd::errors(&lock(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rates of all actions of the points that have any.
    fn busy(points: &[Point]) -> Vec<(i64, f64)> {
        let sum = |point: &Point| Some((point.time, point.rates?.iter().sum::<f64>()));
        points.iter().filter_map(sum).filter(|(_, rate)| *rate > 0.0).collect()
    }

    #[test]
    fn graphs_forget_what_is_too_old() {
        let start = 1_795_000_000 - 1_795_000_000 % 180;
        let mut series = Series::new(Graph::Day, start);
        assert_eq!(series.width, 180);
        for second in 0..90 {
            series.count(0, start + second);
        }
        series.count(5, start + 180);
        let points = series.points(start + 200);
        assert_eq!(points.len(), KEPT);
        assert_eq!(points.iter().filter(|point| point.rates.is_some()).count(), 2);
        assert_eq!(busy(&points), [(start, 0.5), (start + 180, 1.0 / 180.0)]);
        // A clock that goes back, and one that jumps.
        series.count(1, start - 1_000_000);
        assert_eq!(busy(&series.points(start)).len(), 2);
        assert_eq!(busy(&series.points(start + 86_400)).len(), 1);
        assert!(busy(&series.points(start + 3 * 86_400)).is_empty());
        series.count(1, i64::MAX - 1_000);
        assert_eq!(busy(&series.points(i64::MAX - 1_000)).len(), 1);
    }

    #[test]
    fn graphs_have_old_and_new_names() {
        for (old, new) in
            [("hourly", "day"), ("Daily", "week"), ("weekly", "month"), ("monthly", "YEAR")]
        {
            assert_eq!(Graph::of(old), Graph::of(new));
            assert!(Graph::of(old).is_some(), "{old}");
        }
        assert_eq!(Graph::of("century"), None);
    }

    #[test]
    fn errors_are_the_last_ones_and_short() {
        let errors = Errors::default();
        for number in 0..250 {
            errors.add("rules", &format!("{number} {}", "x".repeat(10_000)));
        }
        let rows: serde_json::Value = serde_json::from_slice(&errors.reply()).unwrap();
        let rows = rows.as_array().unwrap();
        assert_eq!(rows.len(), ERRORS);
        assert!(rows[0]["message"].as_str().unwrap().starts_with("249 "));
        assert_eq!(rows[0]["message"].as_str().unwrap().len(), TEXT);
        let mut keys: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["id", "message", "module", "pid", "ts", "type"]);
    }
}
