//! The collection of real mails: all of it is read, good mail stays good, and its calendar spam is
//! found. Where the collection is not at hand there is nothing to test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use calspamd::mass_check::{Clock, delivery};
use calspamd::rules::{self, RuleSet};
use calspamd::scan::{self, Outcome};

use crate::support::{
    Service, assert_none, corpus, load, post, request_for, scan, seconds, stock, summary,
};

/// Files of the whole collection.
const FILES: usize = 675;

/// Where good mail ends.
const SUSPICIOUS: f64 = 4.0;

/// Where spam begins.
const SPAM: f64 = 6.0;

/// Time of a scan whose message has none.
const TODAY: &str = "2026-11-20T12:00:00Z";

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
            Entry { path: folder.join(&file), file, kind: field("kind"), note: field("note") }
        })
        .collect();
    assert_eq!(entries.len(), FILES);
    Some(entries)
}

/// Scans as `mass-check` does: at the time and for the recipients of the mail's own delivery.
fn scan_entry(entry: &Entry, rules: &RuleSet) -> Outcome {
    let bytes = std::fs::read(&entry.path).unwrap();
    let bare = entry.path.extension().is_some_and(|ending| ending == "ics");
    let settings = scan::Settings::default();
    let request = delivery::request(&bytes, bare, Clock::Mail(seconds(TODAY)), &settings);
    scan(&bytes, &request, rules)
}

/// The stock rules without what collecting has damaged.
fn without_damage() -> RuleSet {
    let mut files = rules::built_in();
    let off = MADE_BY_COLLECTING.map(|symbol| format!("score {symbol} 0\n")).concat();
    files.rules.push(rules::File { name: "undamaged.cf".to_owned(), text: off });
    load(&files)
}

/// Files of a kind, and how many of them may, or must, reach a score.
struct Line {
    kind: &'static [&'static str],
    /// What the note says, if that chooses among them.
    note: &'static str,
    files: usize,
    /// At most so many reach it (good mail), or all do (spam).
    at_most: Option<usize>,
    threshold: f64,
}

/// What the collection must give.
const LINES: [Line; 6] = [
    Line {
        kind: &["ham-mail", "ham-wrapped"],
        note: "",
        files: 154,
        at_most: Some(0),
        threshold: SPAM,
    },
    Line {
        kind: &["ham-mail", "ham-wrapped"],
        note: "",
        files: 154,
        at_most: Some(1),
        threshold: SUSPICIOUS,
    },
    Line { kind: &["ham-ics"], note: "", files: 403, at_most: Some(0), threshold: SPAM },
    Line { kind: &["spam"], note: "callback scam", files: 4, at_most: None, threshold: SPAM },
    Line { kind: &["spam"], note: "THIN ICS", files: 6, at_most: None, threshold: SPAM },
    Line { kind: &["spam"], note: "EMPTY", files: 11, at_most: None, threshold: SUSPICIOUS },
];

#[test]
fn the_collection_is_told_apart() {
    let Some(entries) = entries() else { return };
    let undamaged = without_damage();
    let mut failures = Vec::new();
    for (what, rules) in [("all symbols", stock()), ("without four damaged ones", &undamaged)] {
        let outcomes: Vec<Outcome> = entries.iter().map(|entry| scan_entry(entry, rules)).collect();
        for line in &LINES {
            let is_meant = |entry: &Entry| {
                line.kind.contains(&entry.kind.as_str()) && entry.note.contains(line.note)
            };
            let chosen: Vec<(&Entry, &Outcome)> =
                entries.iter().zip(&outcomes).filter(|(entry, _)| is_meant(entry)).collect();
            assert_eq!(chosen.len(), line.files, "{:?} {}", line.kind, line.note);
            let (above, below): (Vec<_>, Vec<_>) = chosen
                .into_iter()
                .partition(|(_, outcome)| outcome.verdict.score >= line.threshold);
            println!(
                "{what}: {:?} {}: {} of {} at {:.1} or more",
                line.kind,
                line.note,
                above.len(),
                line.files,
                line.threshold
            );
            let wrong = match line.at_most {
                Some(most) if above.len() > most => above,
                Some(_) => Vec::new(),
                None => below,
            };
            failures.extend(wrong.iter().map(|(entry, outcome)| {
                format!("{what}: {} {}: {}", entry.file, line.note, summary(outcome))
            }));
        }
        for (entry, outcome) in entries.iter().zip(&outcomes) {
            if entry.kind == "plain-mail" && !outcome.verdict.symbols.is_empty() {
                failures.push(format!("{}: no calendar, but {}", entry.file, summary(outcome)));
            }
            if !outcome.partial.is_empty() {
                failures.push(format!("{}: partial {:?}", entry.file, outcome.partial));
            }
        }
    }
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
    let service = Service::start(load(&rules::built_in()));
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
