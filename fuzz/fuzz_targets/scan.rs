//! A whole scan with the stock rules: the score is a number and the sum of its symbols.

#![no_main]

use std::sync::LazyLock;

use calspamd::rules::{self, RuleSet};
use calspamd::scan::{self, Request, Settings};
use libfuzzer_sys::fuzz_target;

static STOCK: LazyLock<RuleSet> = LazyLock::new(|| match rules::load(&rules::built_in()) {
    Ok(loaded) => loaded.rules,
    Err(diagnostics) => panic!("{diagnostics:?}"),
});

fuzz_target!(|bytes: &[u8]| {
    let request = Request { now: 1_795_000_000, ..Request::default() };
    let outcome = scan::scan(bytes, &request, &STOCK, &Settings::default());
    let sum: f64 = outcome.verdict.symbols.iter().map(|symbol| symbol.score).sum();
    assert!(outcome.verdict.score.is_finite());
    assert!((sum - outcome.verdict.score).abs() < 1e-6);
});
