//! Answers to requests that change the service, in the manner of Rspamd's controller.

use serde::Serialize;

use crate::rules::Diagnostic;

#[derive(Serialize)]
struct Reloaded {
    success: bool,
    symbols: usize,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct NotReloaded<'a> {
    success: bool,
    error: &'a str,
}

/// The body of the reply when new rules are in force.
pub fn reloaded(symbols: usize, warnings: &[Diagnostic]) -> Vec<u8> {
    let warning = |d: &Diagnostic| format!("{}: {}", d.place(), d.message);
    let warnings = warnings.iter().map(warning).collect();
    serde_json::to_vec(&Reloaded { success: true, symbols, warnings }).unwrap_or_default()
}

/// The body of the reply when the old ones stay.
pub fn not_reloaded(error: &str) -> Vec<u8> {
    serde_json::to_vec(&NotReloaded { success: false, error }).unwrap_or_default()
}
