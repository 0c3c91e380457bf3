//! Answers to requests that change the service, in the manner of Rspamd's controller.

use std::collections::BTreeMap;

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

/// How a DNS list is.
#[derive(Debug, Clone, Serialize)]
pub struct ListState {
    /// Its name.
    pub name: String,
    /// Its zone, without a key.
    pub zone: String,
    /// Whether it is asked.
    pub up: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// For how many seconds more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<u64>,
    /// What became of questions.
    pub questions: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct Stat<'a> {
    version: &'static str,
    uptime: u64,
    scanned: u64,
    lists: &'a [ListState],
}

/// The body of the reply of `/stat`.
pub fn stat(scanned: u64, uptime: u64, lists: &[ListState]) -> Vec<u8> {
    let stat = Stat { version: env!("CARGO_PKG_VERSION"), uptime, scanned, lists };
    serde_json::to_vec(&stat).unwrap_or_default()
}
