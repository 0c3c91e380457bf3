//! Answers to requests that change the service, in the manner of Rspamd's controller.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::reputation::{Record, Stats};
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

/// The body of the reply when new rules and settings are in force; `note` says what is not.
pub fn reloaded(symbols: usize, warnings: &[Diagnostic], note: Option<String>) -> Vec<u8> {
    let warning = |d: &Diagnostic| format!("{}: {}", d.place(), d.message);
    let warnings = warnings.iter().map(warning).chain(note).collect();
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
struct Learned {
    success: bool,
    count: usize,
}

/// The body of the reply to a report: the number of messages that it is about. The same for
/// contacts and entries.
pub fn learned(count: usize) -> Vec<u8> {
    serde_json::to_vec(&Learned { success: true, count }).unwrap_or_default()
}

#[derive(Serialize)]
struct Records<'a> {
    records: &'a [Record],
}

/// The body of the reply to a question where events came from.
pub fn records(records: &[Record]) -> Vec<u8> {
    serde_json::to_vec(&Records { records }).unwrap_or_default()
}

#[derive(Serialize)]
struct StoreStats<'a> {
    store: &'a str,
    bytes: u64,
    max_bytes: u64,
    entries: BTreeMap<&'static str, u64>,
}

/// The body of the reply to a question how large the store is.
pub fn store_stats(stats: &Stats) -> Vec<u8> {
    let entries = stats.entries.iter().map(|(kind, count)| (kind.name(), *count)).collect();
    let stats = StoreStats {
        store: stats.backend,
        bytes: stats.bytes,
        max_bytes: stats.max_bytes,
        entries,
    };
    serde_json::to_vec(&stats).unwrap_or_default()
}

/// Longest line of an address book looked at.
const LONGEST: usize = 1_000;

/// The addresses of an address book: vCards (RFC 6350), or a text with one address a line.
pub fn contacts(text: &str) -> Vec<String> {
    let mut addresses: Vec<String> = text.lines().filter_map(contact).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

fn contact(line: &str) -> Option<String> {
    let line = line.trim();
    if line.is_empty() || line.len() > LONGEST || line.starts_with('#') {
        return None;
    }
    let value = match line.split_once(':') {
        // `EMAIL;TYPE=work:ann@corp.example`, also with a group in front.
        Some((name, value)) => {
            let name = name.split(';').next().unwrap_or_default();
            let name = name.rsplit('.').next().unwrap_or_default();
            if !name.eq_ignore_ascii_case("EMAIL") {
                return None;
            }
            value.trim().trim_start_matches("mailto:")
        }
        None => line.rsplit_once('<').map_or(line, |(_, rest)| rest.trim_end_matches('>')),
    };
    let is_address = value.split_once('@').is_some_and(|(local, host)| {
        !local.is_empty() && host.contains('.') && !value.contains(char::is_whitespace)
    });
    is_address.then(|| value.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::contacts;

    #[test]
    fn address_books_are_read() {
        let book = "BEGIN:VCARD\r\nFN:Ann\r\nEMAIL;TYPE=work:Ann@corp.example\r\n\
                    item1.EMAIL:mailto:ann@home.example\r\nTEL:+1 202 555 0100\r\nEND:VCARD\r\n";
        assert_eq!(contacts(book), ["ann@corp.example", "ann@home.example"]);
        let list = "# friends\nbob@corp.example\nBob <bob@corp.example>\nnobody\n@x.example\n";
        assert_eq!(contacts(list), ["bob@corp.example"]);
        assert!(contacts(&format!("{}@corp.example", "a".repeat(2_000))).is_empty());
    }
}
