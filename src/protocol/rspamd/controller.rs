//! What Rspamd's controller answers: statistics, history, graphs.
//!
//! Comes in: numbers and rows that the server has collected. Goes out: JSON with Rspamd's keys, so
//! that what reads Rspamd's statistics reads these. Numbers that Rspamd has of itself and we have not
//! (memory pools, Bayes) are zeros and empty lists.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use super::ListState;
use super::reply::Float;
use crate::verdict::{Action, Thresholds};

/// Times of scans shown by `/stat`.
pub const TIMES: usize = 31;

/// Points of a graph at most, as many as Rspamd sends.
pub const POINTS: usize = 500;

/// What `/stat` and `/auth` tell.
#[derive(Debug, Clone, Default)]
pub struct Stat {
    /// Fingerprint of the rules in force.
    pub config_id: String,
    /// Seconds since the start.
    pub uptime: u64,
    /// The caller may not change anything.
    pub read_only: bool,
    /// Messages a user has reported.
    pub learned: u64,
    /// Scans by action, from the mildest on, as in [`Action::ALL`].
    pub actions: [u64; Action::ALL.len()],
    /// Seconds that the last scans took, the newest first.
    pub scan_times: Vec<f64>,
    /// Connections so far.
    pub connections: u64,
    /// Requests other than scans so far.
    pub control_connections: u64,
    /// How each DNS list is.
    pub lists: Vec<ListState>,
}

impl Stat {
    fn of(&self, wanted: Action) -> u64 {
        let counts = Action::ALL.into_iter().zip(self.actions);
        counts.filter(|(action, _)| *action == wanted).map(|(_, count)| count).sum()
    }

    /// Everything that is refused, one way or another.
    fn refused(&self) -> u64 {
        self.of(Action::Reject) + self.of(Action::Quarantine) + self.of(Action::Discard)
    }

    fn scanned(&self) -> u64 {
        self.actions.iter().sum()
    }
}

/// Scans by action under Rspamd's names. Those that Rspamd does not always have are there when
/// there is something to tell.
struct Actions<'a>(&'a Stat);

impl Serialize for Actions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stat = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("reject", &stat.of(Action::Reject))?;
        map.serialize_entry("soft reject", &0)?;
        map.serialize_entry("rewrite subject", &0)?;
        map.serialize_entry("add header", &stat.of(Action::AddHeader))?;
        map.serialize_entry("greylist", &stat.of(Action::Greylist))?;
        map.serialize_entry("no action", &stat.of(Action::NoAction))?;
        for action in [Action::Quarantine, Action::Discard] {
            if stat.of(action) > 0 {
                map.serialize_entry(action.name(), &stat.of(action))?;
            }
        }
        map.end()
    }
}

#[derive(Serialize)]
struct WireStat<'a> {
    version: &'static str,
    config_id: &'a str,
    uptime: u64,
    read_only: bool,
    scanned: u64,
    learned: u64,
    actions: Actions<'a>,
    scan_times: Vec<Option<Float>>,
    spam_count: u64,
    ham_count: u64,
    connections: u64,
    control_connections: u64,
    pools_allocated: u64,
    pools_freed: u64,
    bytes_allocated: u64,
    chunks_allocated: u64,
    shared_chunks_allocated: u64,
    chunks_freed: u64,
    chunks_oversized: u64,
    fragmented: u64,
    total_learns: u64,
    statfiles: [(); 0],
    fuzzy_hashes: BTreeMap<String, u64>,
    lists: &'a [ListState],
}

/// The body of the reply of `/stat`.
pub fn stat(stat: &Stat) -> Vec<u8> {
    let known = stat.scan_times.iter().map(|seconds| Some(Float(*seconds)));
    let spam_count = stat.refused() + stat.of(Action::AddHeader);
    let wire = WireStat {
        version: env!("CARGO_PKG_VERSION"),
        config_id: &stat.config_id,
        uptime: stat.uptime,
        read_only: stat.read_only,
        scanned: stat.scanned(),
        learned: stat.learned,
        actions: Actions(stat),
        scan_times: known.chain(std::iter::repeat_with(|| None)).take(TIMES).collect(),
        spam_count,
        ham_count: stat.scanned() - spam_count,
        connections: stat.connections,
        control_connections: stat.control_connections,
        pools_allocated: 0,
        pools_freed: 0,
        bytes_allocated: 0,
        chunks_allocated: 0,
        shared_chunks_allocated: 0,
        chunks_freed: 0,
        chunks_oversized: 0,
        fragmented: 0,
        total_learns: stat.learned,
        statfiles: [],
        fuzzy_hashes: BTreeMap::new(),
        lists: &stat.lists,
    };
    serde_json::to_vec(&wire).unwrap_or_default()
}

#[derive(Serialize)]
struct Auth<'a> {
    version: &'static str,
    #[serde(rename = "auth")]
    word: &'static str,
    uptime: u64,
    clean: u64,
    probable: u64,
    greylist: u64,
    reject: u64,
    soft_reject: u64,
    scanned: u64,
    learned: u64,
    read_only: bool,
    config_id: &'a str,
}

/// The body of the reply of `/auth`: the caller is let in, and the numbers in short.
pub fn auth(stat: &Stat) -> Vec<u8> {
    let auth = Auth {
        version: env!("CARGO_PKG_VERSION"),
        word: "ok",
        uptime: stat.uptime,
        clean: stat.of(Action::NoAction),
        probable: stat.of(Action::AddHeader),
        greylist: stat.of(Action::Greylist),
        reject: stat.refused(),
        soft_reject: 0,
        scanned: stat.scanned(),
        learned: stat.learned,
        read_only: stat.read_only,
        config_id: &stat.config_id,
    };
    serde_json::to_vec(&auth).unwrap_or_default()
}

#[derive(Serialize)]
struct Slice {
    color: &'static str,
    label: &'static str,
    data: Float,
    value: Float,
}

/// The body of the reply of `/pie`.
pub fn pie(stat: &Stat) -> Vec<u8> {
    #[expect(clippy::cast_precision_loss, reason = "nobody counts scans beyond 2^52")]
    let slice = |color, label, count: u64| {
        let count = Float(count as f64);
        Slice { color, label, data: count, value: count }
    };
    let slices = [
        slice("#66cc00", "Clean", stat.of(Action::NoAction)),
        slice("#cc9966", "Temporarily rejected", 0),
        slice("#FFD700", "Probable spam", stat.of(Action::AddHeader)),
        slice("#436EEE", "Greylisted", stat.of(Action::Greylist)),
        slice("#FF0000", "Rejected", stat.refused()),
    ];
    serde_json::to_vec(&slices).unwrap_or_default()
}

#[derive(Serialize)]
struct Limit {
    action: &'static str,
    value: Option<Float>,
}

/// The body of the reply of `/actions`: where each begins, null for those that are off.
pub fn actions(thresholds: &Thresholds) -> Vec<u8> {
    let limit = |action, value: Option<f64>| Limit { action, value: value.map(Float) };
    let mut limits = vec![
        limit("soft reject", None),
        limit("rewrite subject", None),
        limit("no action", None),
        limit("greylist", thresholds.greylist),
        limit("add header", thresholds.add_header),
        limit("reject", thresholds.reject),
    ];
    let more = [("quarantine", thresholds.quarantine), ("discard", thresholds.discard)];
    let on = more.into_iter().filter(|(_, value)| value.is_some());
    limits.extend(on.map(|(action, value)| limit(action, value)));
    serde_json::to_vec(&limits).unwrap_or_default()
}

/// A symbol of a row.
#[derive(Debug, Clone, PartialEq)]
pub struct HistorySymbol {
    /// Its name.
    pub name: Arc<str>,
    /// Score after caps.
    pub score: f64,
    /// Score before them.
    pub metric_score: f64,
    /// Description.
    pub description: Option<Arc<str>>,
}

impl Serialize for HistorySymbol {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &*self.name)?;
        map.serialize_entry("score", &Float(self.score))?;
        map.serialize_entry("metric_score", &Float(self.metric_score))?;
        if let Some(description) = &self.description {
            map.serialize_entry("description", &**description)?;
        }
        map.end()
    }
}

/// A scan of the past. What is not known, or is not to be kept, is `unknown` as in Rspamd.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRow {
    /// The id in the log.
    pub id: String,
    /// When, in seconds since 1970 UTC.
    pub unix_time: i64,
    /// Seconds it took.
    pub time_real: f64,
    /// Octets of the message.
    pub size: usize,
    /// What was answered.
    pub action: Action,
    /// Its score.
    pub score: f64,
    /// The thresholds that held.
    pub thresholds: Thresholds,
    /// Not scanned.
    pub is_skipped: bool,
    /// The symbols that hit.
    pub symbols: Vec<HistorySymbol>,
    /// Message-ID.
    pub message_id: Option<String>,
    /// The SMTP client.
    pub ip: Option<String>,
    /// The authenticated user.
    pub user: Option<String>,
    /// Envelope sender.
    pub sender: Option<String>,
    /// Envelope recipients.
    pub recipients: Vec<String>,
    /// Subject, where the caller has told it.
    pub subject: Option<String>,
}

impl Serialize for HistoryRow {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let limits = super::reply::Limits(&self.thresholds);
        let required = super::reply::required_score(&self.thresholds);
        let symbols: BTreeMap<&str, &HistorySymbol> =
            self.symbols.iter().map(|symbol| (&*symbol.name, symbol)).collect();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("is_skipped", &self.is_skipped)?;
        map.serialize_entry("score", &Float(self.score))?;
        map.serialize_entry("required_score", &Float(required))?;
        map.serialize_entry("action", self.action.name())?;
        map.serialize_entry("thresholds", &limits)?;
        map.serialize_entry("symbols", &symbols)?;
        map.serialize_entry("message-id", &self.message_id.as_deref().unwrap_or("undef"))?;
        map.serialize_entry("time_real", &Float(self.time_real))?;
        map.serialize_entry("unix_time", &self.unix_time)?;
        map.serialize_entry("size", &self.size)?;
        map.serialize_entry("ip", &known(&self.ip))?;
        map.serialize_entry("user", &known(&self.user))?;
        map.serialize_entry("sender_smtp", &known(&self.sender))?;
        map.serialize_entry("sender_mime", "unknown")?;
        map.serialize_entry("rcpt_smtp", &self.recipients)?;
        map.serialize_entry("rcpt_mime", &[(); 0])?;
        map.serialize_entry("subject", &known(&self.subject))?;
        map.end()
    }
}

/// The body of the reply of `/history`, the newest row first.
pub fn history(rows: &[Arc<HistoryRow>]) -> Vec<u8> {
    #[derive(Serialize)]
    struct History<'a> {
        version: u8,
        rows: Vec<&'a HistoryRow>,
    }
    let history = History { version: 2, rows: rows.iter().map(|row| &**row).collect() };
    serde_json::to_vec(&history).unwrap_or_default()
}

/// An error of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorRow {
    /// When, in seconds since 1970 UTC.
    pub ts: f64,
    /// The process.
    pub pid: u32,
    /// Kind of the process; ours is of one kind.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The scan; empty where it is about none.
    pub id: String,
    /// What of the program had the trouble.
    pub module: String,
    /// The trouble.
    pub message: String,
}

/// The body of the reply of `/errors`, the newest first.
pub fn errors(rows: &VecDeque<ErrorRow>) -> Vec<u8> {
    let newest: Vec<&ErrorRow> = rows.iter().rev().collect();
    serde_json::to_vec(&newest).unwrap_or_default()
}

/// How often a symbol has hit.
#[derive(Debug, Clone)]
pub struct Counter<'a> {
    /// Its name.
    pub symbol: &'a str,
    /// Its score.
    pub weight: f64,
    /// Hits since the start.
    pub hits: u64,
}

/// The body of the reply of `/counters`.
pub fn counters<'a>(counters: &'a [Counter<'a>], uptime: u64) -> Vec<u8> {
    #[derive(Serialize)]
    struct Wire<'w> {
        symbol: &'w str,
        weight: Float,
        frequency: Float,
        hits: u64,
        time: Float,
    }
    #[expect(clippy::cast_precision_loss, reason = "a frequency is rounded anyway")]
    let wire = |counter: &'a Counter<'a>| Wire {
        symbol: counter.symbol,
        weight: Float(counter.weight),
        frequency: Float(counter.hits as f64 / uptime.max(1) as f64),
        hits: counter.hits,
        time: Float(0.0),
    };
    let all: Vec<Wire<'_>> = counters.iter().map(wire).collect();
    serde_json::to_vec(&all).unwrap_or_default()
}

/// Scans in a stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its begin, in seconds since 1970 UTC.
    pub time: i64,
    /// Scans a second by action, as in [`Action::ALL`]; none before the service began.
    pub rates: Option<[f64; Action::ALL.len()]>,
}

/// The body of the reply of `/graph`: a list of points for each action, in Rspamd's order.
/// Quarantine and discard count as reject.
pub fn graph(points: &[Point]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Wire {
        x: i64,
        y: Option<Float>,
    }
    let line = |wanted: &[Action]| -> Vec<Wire> {
        let rate = |rates: [f64; Action::ALL.len()]| {
            let all = Action::ALL.into_iter().zip(rates);
            Float(all.filter(|(action, _)| wanted.contains(action)).map(|(_, rate)| rate).sum())
        };
        points.iter().map(|point| Wire { x: point.time, y: point.rates.map(rate) }).collect()
    };
    let lines = [
        line(&[Action::Reject, Action::Quarantine, Action::Discard]),
        // Soft reject and rewrite subject: nothing of ours.
        line(&[]),
        line(&[]),
        line(&[Action::AddHeader]),
        line(&[Action::Greylist]),
        line(&[Action::NoAction]),
    ];
    serde_json::to_vec(&lines).unwrap_or_default()
}

/// The body of a reply that says no more than that it was done.
pub const fn done() -> &'static str {
    r#"{"success":true}"#
}
