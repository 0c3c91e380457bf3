//! Counts what the service does, for Prometheus.
//!
//! Comes in: [`Outcome`]s, and what the server refuses. Goes out: the text format 0.0.4, and
//! the list of all metrics for the documentation.
//! Not an error: a symbol or a reason that was not announced. Label values come from closed
//! lists only, so that no message can make the number of time series grow.
//!
//! Everything that can be counted exists from the start with the value 0: an alert on a rate
//! needs the counter before its first event.
//!
//! The only module that knows prometheus.

mod declared;
mod register;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::{Metric, MetricFamily};
use prometheus::{
    Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry,
    TextEncoder,
};

use crate::lists::{CacheReport, Report};
use crate::message::DefectKind;
use crate::reputation::{Operation, OperationResult};
use crate::scan::{DNS_BUDGET, INTERNAL_ERROR, Known, LISTS, Outcome, STORE, Timings};
use crate::verdict::Action;
use declared::{
    AUTHENTICATION, BODY_BYTES, BUILD, DECLARATIONS, DEFECTS, DNS_CACHE, DNS_QUESTIONS, HITS,
    IN_FLIGHT, LIST_UP, MESSAGE_BYTES, PANICS, PARTIAL, PROCESS, REJECTED, RELOAD_OK, RELOADS,
    SCAN_SECONDS, SCANS, STAGE_SECONDS, STORE_OPERATIONS, STORE_UP, SYMBOLS, WAITING,
};
use register::Register;

pub use declared::{Declaration, Rejection};

/// Media type of what [`Metrics::render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Dialects a scan can come in by.
const PROTOCOLS: [&str; 2] = ["rspamd", "spamd"];

/// Reasons for a partial answer that are no defects of the input.
const REASONS: [&str; 4] = [INTERNAL_ERROR, DNS_BUDGET, LISTS, STORE];

/// Label value for what stands in no list.
const OTHER: &str = "other";

/// The metrics could not be set up, which is a mistake of ours.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up metrics: {0}")]
pub struct Error(#[from] prometheus::Error);

/// Results of a look into the cache of listings.
const CACHE_RESULTS: [&str; 3] = ["hit", "joined", "miss"];

/// Results of a reload.
const RESULTS: [&str; 2] = ["success", "failure"];

/// Counters of the symbols of one rule set.
#[derive(Debug, Default)]
pub struct HitCounters(HashMap<String, IntCounter>);

impl HitCounters {
    /// Messages in which a symbol has hit.
    pub fn count(&self, symbol: &str) -> u64 {
        self.0.get(symbol).map_or(0, IntCounter::get)
    }
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    scans: IntCounterVec,
    scan_seconds: Histogram,
    stage_seconds: HistogramVec,
    hits: IntCounterVec,
    symbols: IntGauge,
    reload_ok: IntGauge,
    reloads: IntCounterVec,
    defects: IntCounterVec,
    partial: HashMap<&'static str, IntCounter>,
    authentication: IntCounterVec,
    message_bytes: IntCounter,
    in_flight: IntGauge,
    waiting: IntGauge,
    body_bytes: IntGauge,
    panics: IntCounter,
    rejected: IntCounterVec,
    dns_questions: IntCounterVec,
    dns_cache: IntCounterVec,
    list_up: IntGaugeVec,
    store_operations: IntCounterVec,
    store_up: IntGauge,
}

impl Metrics {
    /// Sets up all metrics but those of symbols.
    pub fn new() -> Result<Self, Error> {
        let registry = Registry::new();
        let make = Register(&registry);

        let scans = make.counters(&SCANS)?;
        for protocol in PROTOCOLS {
            for action in Action::ALL {
                scans.with_label_values(&[action.name(), protocol]);
            }
        }
        let stage_seconds = make.seconds_by(&STAGE_SECONDS)?;
        for (stage, _) in Timings::default().stages() {
            stage_seconds.with_label_values(&[stage]);
        }

        let defects = make.counters_of(&DEFECTS, DefectKind::ALL.iter().map(|kind| kind.name()))?;
        let partial_counters = make.counters(&PARTIAL)?;
        let limits = DefectKind::ALL.iter().filter(|kind| kind.is_limit());
        let reasons = REASONS.into_iter().chain([OTHER]).chain(limits.map(|kind| kind.name()));
        let partial =
            reasons.map(|reason| (reason, partial_counters.with_label_values(&[reason]))).collect();

        let store_operations = make.counters(&STORE_OPERATIONS)?;
        for operation in Operation::ALL {
            for result in OperationResult::ALL {
                store_operations.with_label_values(&[operation.name(), result.name()]);
            }
        }
        let store_up = make.gauge(&STORE_UP)?;
        store_up.set(1);
        let reload_ok = make.gauge(&RELOAD_OK)?;
        reload_ok.set(1);
        make.gauges(&BUILD)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(ProcessCollector::for_self()))?;

        Ok(Self {
            scans,
            scan_seconds: make.seconds(&SCAN_SECONDS)?,
            stage_seconds,
            hits: make.counters(&HITS)?,
            symbols: make.gauge(&SYMBOLS)?,
            reload_ok,
            reloads: make.counters_of(&RELOADS, RESULTS)?,
            defects,
            partial,
            authentication: make.counters_of(&AUTHENTICATION, Known::ALL.map(Known::name))?,
            message_bytes: make.counter(&MESSAGE_BYTES)?,
            in_flight: make.gauge(&IN_FLIGHT)?,
            waiting: make.gauge(&WAITING)?,
            body_bytes: make.gauge(&BODY_BYTES)?,
            panics: make.counter(&PANICS)?,
            rejected: make.counters_of(&REJECTED, Rejection::ALL.map(Rejection::name))?,
            dns_questions: make.counters(&DNS_QUESTIONS)?,
            dns_cache: make.counters_of(&DNS_CACHE, CACHE_RESULTS)?,
            list_up: make.gauges(&LIST_UP)?,
            store_operations,
            store_up,
            registry,
        })
    }

    /// Every metric there is, for the documentation.
    pub fn documentation() -> impl Iterator<Item = Declaration> {
        DECLARATIONS.iter().copied().chain(PROCESS)
    }

    /// The values that the labels of a metric have so far, in order.
    pub fn values(&self, metric: &str, label: &str) -> BTreeSet<String> {
        let families = self.registry.gather();
        let metrics = families.iter().filter(|family| family.name() == metric);
        let labels = metrics.flat_map(MetricFamily::get_metric).flat_map(Metric::get_label);
        labels.filter(|pair| pair.name() == label).map(|pair| pair.value().to_owned()).collect()
    }

    /// Makes counters for the symbols of a rule set that takes the place of another. Only these
    /// are label values from now on; a symbol that stays goes on counting where it was.
    pub fn announce<'s>(
        &self,
        symbols: impl IntoIterator<Item = &'s str>,
        before: &HitCounters,
    ) -> HitCounters {
        let counter = |symbol: &str| (symbol.to_owned(), self.hits.with_label_values(&[symbol]));
        let counters = HitCounters(symbols.into_iter().map(counter).collect());
        for gone in before.0.keys().filter(|symbol| !counters.0.contains_key(*symbol)) {
            // What is not there any more needs no removal.
            drop(self.hits.remove_label_values(&[gone]));
        }
        self.symbols.set(i64::try_from(counters.0.len()).unwrap_or(i64::MAX));
        counters
    }

    /// Counts a reload.
    pub fn reloaded(&self, success: bool) {
        let [succeeded, failed] = RESULTS;
        self.reloads.with_label_values(&[if success { succeeded } else { failed }]).inc();
        self.reload_ok.set(i64::from(success));
    }

    /// Counts a scan made with the rules that the counters belong to.
    pub fn observe(&self, outcome: &Outcome, hits: &HitCounters, protocol: &'static str) {
        self.scans.with_label_values(&[outcome.verdict.action.name(), protocol]).inc();
        self.scan_seconds.observe(outcome.timings.total.as_secs_f64());
        for (stage, time) in outcome.timings.stages() {
            // A stage that did not run would only blur how long it takes when it does.
            if time > Duration::ZERO {
                self.stage_seconds.with_label_values(&[stage]).observe(time.as_secs_f64());
            }
        }
        for symbol in &outcome.verdict.symbols {
            if let Some(counter) = hits.0.get(&*symbol.hit.symbol) {
                counter.inc();
            }
        }
        for defect in &outcome.defects {
            self.defects.with_label_values(&[defect.kind.name()]).inc();
        }
        for reason in &outcome.partial {
            if let Some(counter) =
                self.partial.get(reason.as_str()).or_else(|| self.partial.get(OTHER))
            {
                counter.inc();
            }
        }
        if outcome.has_calendar {
            self.authentication.with_label_values(&[outcome.authentication.name()]).inc();
        }
        self.message_bytes.inc_by(u64::try_from(outcome.size).unwrap_or(u64::MAX));
    }

    /// Takes over what the lists have counted themselves, as of now.
    pub fn lists(&self, reports: &[Report], cache: CacheReport) {
        let raise =
            |counter: &IntCounter, to: u64| counter.inc_by(to.saturating_sub(counter.get()));
        let values = [cache.hits, cache.joined, cache.misses];
        for (result, value) in CACHE_RESULTS.iter().zip(values) {
            raise(&self.dns_cache.with_label_values(&[*result]), value);
        }
        self.list_up.reset();
        for report in reports {
            let name = &*report.list.name;
            self.list_up.with_label_values(&[name]).set(i64::from(report.off.is_none()));
            for (result, value) in &report.counts {
                raise(&self.dns_questions.with_label_values(&[name, result.name()]), *value);
            }
        }
    }

    /// Takes over what the memory has counted itself, as of now.
    pub fn store(&self, report: &[(Operation, OperationResult, u64)], is_off: bool) {
        for (operation, result, value) in report {
            let counter =
                self.store_operations.with_label_values(&[operation.name(), result.name()]);
            counter.inc_by(value.saturating_sub(counter.get()));
        }
        self.store_up.set(i64::from(!is_off));
    }

    /// Counts a scan as going on until the guard is dropped.
    pub fn in_flight(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    /// Takes over how many messages wait for their turn, and what bodies take, as of now.
    pub fn load(&self, waiting: usize, body_bytes: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.body_bytes.set(i64::try_from(body_bytes).unwrap_or(i64::MAX));
    }

    /// Counts a scan that panicked.
    pub fn panicked(&self) {
        self.panics.inc();
    }

    /// Counts a request that got no scan.
    pub fn rejected(&self, reason: Rejection) {
        self.rejected.with_label_values(&[reason.name()]).inc();
    }

    /// All metrics in the text format 0.0.4.
    pub fn render(&self) -> String {
        // Encoding fails for a family without metrics only, and gather leaves those out.
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }
}

/// A scan going on.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;
    use crate::lists::{AskResult, Kind, List};
    use crate::message::Defect;
    use crate::rules::{Flags, Hit};
    use crate::scan::Extracted;
    use crate::verdict::{Apply, Busy, Decision, ManualInsert, Symbol, Target, Verdict};

    fn outcome(symbols: &[&str], partial: &[&str]) -> Outcome {
        let symbol = |name: &&str| Symbol {
            hit: Hit {
                symbol: (*name).into(),
                score: 7.0,
                group: None,
                description: None,
                flags: Flags::default(),
                origin: Origin::Calendar,
                evidence: Vec::new(),
                events: Vec::new(),
            },
            score: 7.0,
        };
        Outcome {
            verdict: Verdict {
                score: 7.0,
                action: Action::AddHeader,
                decision: Decision {
                    auto_insert: false,
                    apply: Apply::Ignore,
                    target: Target::Junk,
                    busy: Busy::Free,
                    keep_alarms: false,
                    keep_attachments: false,
                    notify_organizer: false,
                    manual_insert: ManualInsert::Warn,
                    reasons: Vec::new(),
                },
                symbols: symbols.iter().map(symbol).collect(),
            },
            events: Vec::new(),
            defects: vec![Defect::new(DefectKind::Truncated, "", "")],
            extracted: Extracted::default(),
            listings: Vec::new(),
            partial: partial.iter().map(|&reason| reason.to_owned()).collect(),
            message_id: None,
            has_calendar: true,
            size: 1_000,
            authentication: Known::Nothing,
            remembered: crate::scan::Remembered::default(),
            timings: Timings {
                rules: Duration::from_micros(300),
                total: Duration::from_micros(900),
                ..Timings::default()
            },
        }
    }

    #[test]
    fn counts_a_scan() {
        let metrics = Metrics::new().unwrap();
        let hits = metrics.announce(["CAL_A", "CAL_B"], &HitCounters::default());
        let guard = metrics.in_flight();
        let scanned = outcome(&["CAL_A", "NOT_ANNOUNCED"], &["limit:urls", "odd"]);
        metrics.observe(&scanned, &hits, "rspamd");
        metrics.panicked();
        metrics.rejected(Rejection::TooLarge);
        let text = metrics.render();
        for line in [
            r#"calspamd_scans_total{action="add header",protocol="rspamd"} 1"#,
            r#"calspamd_scans_total{action="reject",protocol="rspamd"} 0"#,
            r#"calspamd_hits_total{symbol="CAL_A"} 1"#,
            r#"calspamd_hits_total{symbol="CAL_B"} 0"#,
            r#"calspamd_defects_total{kind="truncated"} 1"#,
            r#"calspamd_partial_total{reason="limit:urls"} 1"#,
            r#"calspamd_partial_total{reason="other"} 1"#,
            r#"calspamd_partial_total{reason="internal-error"} 0"#,
            r"calspamd_message_bytes_total 1000",
            r"calspamd_scans_in_flight 1",
            r"calspamd_panics_total 1",
            r#"calspamd_requests_rejected_total{reason="too-large"} 1"#,
            r#"calspamd_scan_duration_seconds_bucket{le="0.001"} 1"#,
            r#"calspamd_stage_duration_seconds_count{stage="rules"} 1"#,
            r#"calspamd_stage_duration_seconds_count{stage="message"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("NOT_ANNOUNCED"));
        assert!(text.lines().any(|line| line == "calspamd_symbols 2"));
        drop(guard);
        assert!(metrics.render().contains("calspamd_scans_in_flight 0"));
    }

    #[test]
    fn counters_follow_the_rules() {
        let metrics = Metrics::new().unwrap();
        let old = metrics.announce(["CAL_A", "CAL_B"], &HitCounters::default());
        let scanned = outcome(&["CAL_A", "CAL_B", "CAL_C"], &[]);
        metrics.observe(&scanned, &old, "rspamd");
        let new = metrics.announce(["CAL_B", "CAL_C", "CAL_D"], &old);
        // The first scan was still going on.
        metrics.observe(&scanned, &old, "rspamd");
        metrics.observe(&scanned, &new, "rspamd");
        metrics.reloaded(true);
        let text = metrics.render();
        for line in [
            r#"calspamd_hits_total{symbol="CAL_B"} 3"#,
            r#"calspamd_hits_total{symbol="CAL_C"} 1"#,
            r#"calspamd_hits_total{symbol="CAL_D"} 0"#,
            r#"calspamd_reloads_total{result="success"} 1"#,
            r#"calspamd_reloads_total{result="failure"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("CAL_A"), "{text}");
        assert!(text.contains("calspamd_symbols 3"), "{text}");
        assert!(text.contains("calspamd_last_reload_successful 1"), "{text}");
        metrics.reloaded(false);
        assert!(metrics.render().contains("calspamd_last_reload_successful 0"));
    }

    fn report(listed: u64) -> Report {
        let list = List::new("ZEN", "secret.zen.example", "zen.example", Kind::Ip);
        let counts = vec![(AskResult::Listed, listed)];
        Report { list: list.into(), off: None, check: None, counts }
    }

    #[test]
    fn lists_are_counted() {
        let metrics = Metrics::new().unwrap();
        let cache = |hits| CacheReport { hits, joined: 2, misses: 3 };
        metrics.lists(&[report(4)], cache(1));
        metrics.lists(&[Report { off: Some(("it does not answer", 9)), ..report(5) }], cache(7));
        let text = metrics.render();
        for line in [
            r#"calspamd_dns_questions_total{list="ZEN",result="listed"} 5"#,
            r#"calspamd_dns_cache_total{result="hit"} 7"#,
            r#"calspamd_dns_cache_total{result="joined"} 2"#,
            r#"calspamd_list_up{list="ZEN"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("secret"));
    }

    #[test]
    fn documentation_is_what_is_rendered() {
        let metrics = Metrics::new().unwrap();
        metrics.lists(&[report(1)], CacheReport::default());
        metrics.announce(["CAL_A"], &HitCounters::default());
        let text = metrics.render();
        let mut rendered: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let documented: Vec<String> = Metrics::documentation()
            .map(|metric| format!("{} {}", metric.name, metric.kind))
            .collect();
        let mut documented: Vec<&str> = documented.iter().map(String::as_str).collect();
        rendered.sort_unstable();
        documented.sort_unstable();
        assert_eq!(rendered, documented);
    }
}
