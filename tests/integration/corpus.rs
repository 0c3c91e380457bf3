//! The collection of real mails: all of it is read, good mail stays good, and the callback
//! scams are found. Where the collection is not at hand there is nothing to test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use calspamd::scan::Outcome;

use crate::support::{Service, assert_none, corpus, load, post, request_for, scan, stock, summary};

/// Files of the whole collection.
const FILES: usize = 675;

/// Where good mail ends.
const SUSPICIOUS: f64 = 4.0;

/// Where spam begins.
const SPAM: f64 = 6.0;

/// Symbols that speak of how the collectors stored or sent on a mail.
const MADE_BY_COLLECTING: [&str; 4] =
    ["CAL_PAST", "CAL_RCPT_NOT_ATT", "CAL_PARTS_DIFFER", "CAL_UID_PLACEHOLDER"];

/// A scan is measured this often; the fastest one counts.
const MEASURED: usize = 5;

/// The slowest mail in a hundred may cost this many times what an ordinary one does.
const SPREAD: f64 = 20.0;

/// One line of `index.tsv`.
struct Entry {
    path: PathBuf,
    file: String,
    label: String,
    kind: String,
    note: String,
}

/// The collection's index; `None` where there is none.
fn entries() -> Option<Vec<Entry>> {
    let folder = corpus()?;
    let index = std::fs::read_to_string(folder.join("index.tsv")).unwrap();
    let mut lines = index.lines();
    let names: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let entries: Vec<Entry> = lines
        .map(|line| {
            let fields: BTreeMap<&str, &str> =
                names.iter().copied().zip(line.split('\t')).collect();
            let field = |name: &str| fields.get(name).copied().unwrap_or_default().to_owned();
            let file = field("file");
            Entry {
                path: folder.join(&file),
                file,
                label: field("label"),
                kind: field("kind"),
                note: field("note"),
            }
        })
        .collect();
    assert_eq!(entries.len(), FILES);
    Some(entries)
}

fn scan_entry(entry: &Entry) -> Outcome {
    let bytes = std::fs::read(&entry.path).unwrap();
    scan(&bytes, &request_for(&entry.path, &bytes), stock())
}

#[test]
fn good_mail_stays_good_and_callback_scams_are_found() {
    let Some(entries) = entries() else { return };
    let mut failures = Vec::new();
    let mut scams = 0;
    for entry in &entries {
        let outcome = scan_entry(entry);
        let mut fail = |what: &str| {
            failures.push(format!("{}: {what}: {}", entry.file, summary(&outcome)));
        };
        if !outcome.partial.is_empty() {
            fail(&format!("partial {:?}", outcome.partial));
        }
        let score = outcome.verdict.score;
        match entry.kind.as_str() {
            "ham-mail" | "ham-wrapped" if score >= SUSPICIOUS => fail("good mail is suspicious"),
            "plain-mail" if !outcome.verdict.symbols.is_empty() => fail("no calendar, but symbols"),
            "spam" if entry.label == "spam" && entry.note.contains("ABUSIVE INVITE") => {
                if entry.note.contains("callback") {
                    scams += 1;
                    let kept = |symbol: &&calspamd::verdict::Symbol| {
                        !MADE_BY_COLLECTING.contains(&&*symbol.hit.symbol)
                    };
                    let symbols = outcome.verdict.symbols.iter().filter(kept);
                    if symbols.map(|symbol| symbol.score).sum::<f64>() < SPAM {
                        fail("a callback scam is not found");
                    }
                } else {
                    println!("{}: {}: {}", entry.file, entry.note, summary(&outcome));
                }
            }
            _ => {}
        }
    }
    assert_eq!(scams, 4, "callback scams in the index");
    assert_none(&failures);
}

/// Median and 99th percentile, with the file it belongs to.
fn spread(mut costs: Vec<(Duration, &str)>, what: &str) -> f64 {
    costs.sort();
    let median = costs[costs.len() / 2].0;
    let (p99, file) = costs[costs.len() * 99 / 100];
    let spread = p99.as_secs_f64() / median.as_secs_f64();
    println!("{what}: median {median:?}, p99 {p99:?} ({file}), {spread:.1} times");
    spread
}

/// What a caller pays for a scan: a connection of its own, as Rspamd's protocol has it, the
/// request and the answer. The mails differ in size as 1 to 48 at the same percentiles, so the
/// scan alone, which is linear in its input, is printed beside it.
#[test]
fn no_mail_costs_much_more_than_others() {
    let Some(entries) = entries() else { return };
    let service = Service::start(load(&calspamd::rules::built_in()));
    let mut answers = Vec::new();
    let mut scans = Vec::new();
    for entry in &entries {
        let bytes = std::fs::read(&entry.path).unwrap();
        let request = request_for(&entry.path, &bytes);
        let kind = if request.bare { "Content-Type: text/calendar\r\n" } else { "" };
        let sent = post("/checkv2", &format!("{kind}Connection: close\r\n"), &bytes);
        let mut answer = Duration::MAX;
        let mut alone = Duration::MAX;
        for _ in 0..MEASURED {
            let start = Instant::now();
            assert_eq!(service.ask(&sent).status, 200, "{}", entry.file);
            answer = answer.min(start.elapsed());
            alone = alone.min(scan(&bytes, &request, stock()).timings.total);
        }
        answers.push((answer, entry.file.as_str()));
        scans.push((alone, entry.file.as_str()));
    }
    spread(scans, "the scan alone");
    let found = spread(answers, "an answer");
    service.stop();
    assert!(found <= SPREAD, "{found:.1} times");
}
