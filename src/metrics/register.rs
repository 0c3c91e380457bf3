//! Makes metrics out of their declarations, and keeps them for whoever collects.
//!
//! Comes in: declarations. Goes out: what is counted with, known to the registry already.

use prometheus::core::Collector;
use prometheus::{
    Error, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

use super::declared::Declaration;

/// Upper bounds for times, in seconds. A mail without a calendar takes some 50 µs, an
/// invitation about a millisecond, and the time budget ends a scan at 4 s: five steps a decade
/// where scans usually end, fewer towards the budget, and one bound above it for overruns.
const SECONDS: [f64; 17] = [
    0.000_05, 0.000_1, 0.000_2, 0.000_4, 0.000_7, 0.001, 0.002, 0.004, 0.007, 0.01, 0.025, 0.05,
    0.1, 0.5, 1.0, 4.0, 8.0,
];

/// Where metrics are made.
pub(super) struct Register<'r>(pub(super) &'r Registry);

impl Register<'_> {
    /// Takes in what was made already.
    pub(super) fn add<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, Error> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    pub(super) fn counter(&self, declaration: &Declaration) -> Result<IntCounter, Error> {
        self.add(IntCounter::with_opts(options(declaration))?)
    }

    pub(super) fn counters(&self, declaration: &Declaration) -> Result<IntCounterVec, Error> {
        self.add(IntCounterVec::new(options(declaration), declaration.labels)?)
    }

    /// Counters by one label, all of whose values are there from the start.
    pub(super) fn counters_of(
        &self,
        declaration: &Declaration,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Result<IntCounterVec, Error> {
        let counters = self.counters(declaration)?;
        for value in values {
            counters.with_label_values(&[value]);
        }
        Ok(counters)
    }

    pub(super) fn gauge(&self, declaration: &Declaration) -> Result<IntGauge, Error> {
        self.add(IntGauge::with_opts(options(declaration))?)
    }

    pub(super) fn gauges(&self, declaration: &Declaration) -> Result<IntGaugeVec, Error> {
        self.add(IntGaugeVec::new(options(declaration), declaration.labels)?)
    }

    pub(super) fn seconds(&self, declaration: &Declaration) -> Result<Histogram, Error> {
        self.add(Histogram::with_opts(times(declaration))?)
    }

    pub(super) fn seconds_by(&self, declaration: &Declaration) -> Result<HistogramVec, Error> {
        self.add(HistogramVec::new(times(declaration), declaration.labels)?)
    }
}

fn options(declaration: &Declaration) -> Opts {
    Opts::new(declaration.name, declaration.help)
}

fn times(declaration: &Declaration) -> HistogramOpts {
    HistogramOpts::new(declaration.name, declaration.help).buckets(SECONDS.to_vec())
}
