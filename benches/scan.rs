//! What a scan costs, and how that compares with the bare parse of the same message.
//!
//! `make bench` prints times by stage, and the ratio of a whole scan to mail-parser plus
//! calcard in instructions, which no other load on the machine can change.
//! With `--count STAGE SAMPLE RUNS` the program runs one stage only, for `benches/ratio.sh`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark prints, and may stop where it stands"
)]

mod messages;

use std::hint::black_box;
use std::time::{Duration, Instant};

use calspamd::message::{Envelope, Message};
use calspamd::rules::{EvidenceScope, RuleSet};
use calspamd::scan::{self, Request, Settings};
use calspamd::{calendar, facts, message, rules};
use messages::samples;

/// Time of the scans: shortly after the messages' Date.
const NOW: i64 = 1_795_165_260;

/// What every scanner must do at least: parse the mail, parse each calendar part.
fn bare(bytes: &[u8]) {
    let parsed = mail_parser::MessageParser::default().parse(bytes).unwrap();
    for part in &parsed.parts {
        let text = match &part.body {
            mail_parser::PartType::Text(text) => text.as_ref(),
            mail_parser::PartType::Binary(data) | mail_parser::PartType::InlineBinary(data) => {
                std::str::from_utf8(data).unwrap_or_default()
            }
            _ => continue,
        };
        if text.contains("BEGIN:VCALENDAR") {
            black_box(calcard::Parser::new(text).entry());
        }
    }
}

fn parse(bytes: &[u8]) -> (Message<'_>, calendar::Reading) {
    let message = message::parse(bytes, false, &Envelope::default(), &message::Settings::default());
    let reading = calendar::read(&message, &calendar::Settings::default(), &|| false);
    (message, reading)
}

fn gather_and_evaluate(message: &Message<'_>, reading: &calendar::Reading, rules: &RuleSet) {
    let envelope = Envelope::default();
    let facts = facts::gather(message, reading, &envelope, NOW, 500);
    black_box(rules::evaluate(rules, &facts, EvidenceScope::Message, &|| false));
}

fn whole(bytes: &[u8], rules: &RuleSet) {
    let request = Request { now: NOW, ..Request::default() };
    black_box(scan::scan(bytes, &request, rules, &Settings::default()));
}

/// Median time of a run; a fixed number of runs, so that a bench ends.
fn median(runs: usize, mut run: impl FnMut()) -> Duration {
    run();
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[runs / 2]
}

fn print_times(rules: &RuleSet) {
    println!(
        "{:<10}{:>9}{:>13}{:>15}{:>13}{:>11}",
        "message", "bytes", "parse only", "facts + rules", "whole scan", "bare parse"
    );
    for sample in samples() {
        let bytes = &sample.bytes;
        let runs = if sample.name == "hostile" { 11 } else { 201 };
        let parsed = median(runs, || {
            black_box(parse(bytes));
        });
        let (message, reading) = parse(bytes);
        let evaluated = median(runs, || gather_and_evaluate(&message, &reading, rules));
        let scanned = median(runs, || whole(bytes, rules));
        let least = median(runs, || bare(bytes));
        println!(
            "{:<10}{:>9}{parsed:>13.1?}{evaluated:>15.1?}{scanned:>13.1?}{least:>11.1?}",
            sample.name,
            bytes.len()
        );
    }
}

fn main() {
    let rules = rules::load(&rules::built_in()).unwrap().rules;
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--count") {
        let stage = arguments[at + 1].as_str();
        let sample = samples().into_iter().find(|sample| sample.name == arguments[at + 2]).unwrap();
        for _ in 0..arguments[at + 3].parse::<usize>().unwrap() {
            match stage {
                "bare" => bare(&sample.bytes),
                "parse" => {
                    black_box(parse(&sample.bytes));
                }
                _ => whole(&sample.bytes, &rules),
            }
        }
        return;
    }
    print_times(&rules);
}
