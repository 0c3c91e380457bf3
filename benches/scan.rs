//! What a scan costs, and how that compares with the bare parse of the same message.
//!
//! `make bench` prints times by stage, and the ratio of a whole scan to mail-parser plus
//! calcard in instructions, which no other load on the machine can change.
//! With `--count STAGE SAMPLE RUNS` the program runs one stage only, for `benches/ratio.sh`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::format_push_string,
    clippy::wildcard_enum_match_arm,
    reason = "a benchmark prints, and may stop where it stands"
)]

mod dns;
mod memory;
mod messages;

use std::hint::black_box;
use std::time::{Duration, Instant};

use calspamd::lists::Listings;
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
    black_box(rules::evaluate(
        rules,
        &facts,
        &Listings::default(),
        EvidenceScope::Message,
        &|| false,
    ));
}

fn whole(bytes: &[u8], rules: &RuleSet) {
    let request = Request { now: NOW, ..Request::default() };
    black_box(scan::scan(bytes, &request, rules, &Settings::default()));
}

/// Words that invitations and spam are made of; rules look for pairs of them.
const WORDS: [&str; 40] = [
    "meeting",
    "invoice",
    "agenda",
    "account",
    "weekly",
    "refund",
    "project",
    "payment",
    "review",
    "password",
    "please",
    "winner",
    "calendar",
    "transfer",
    "budget",
    "urgent",
    "planning",
    "crypto",
    "customer",
    "verify",
    "training",
    "support",
    "schedule",
    "delivery",
    "travel",
    "subscription",
    "document",
    "renewal",
    "conference",
    "security",
    "update",
    "prize",
    "release",
    "wallet",
    "customers",
    "charged",
    "quarter",
    "deposit",
    "interview",
    "helpdesk",
];

/// Rules as an administrator collects them over the years: of every kind, most of them for
/// words that this message has not.
fn many_rules(number: usize) -> RuleSet {
    let mut text = String::new();
    for index in 0..number {
        let one = WORDS[index % WORDS.len()];
        let other = WORDS[(index / WORDS.len() * 7 + index + 3) % WORDS.len()];
        let rule = match index % 8 {
            0 => format!("body R{index} /\\b{one}\\W{{1,3}}{other} no{index}\\b/i"),
            1 => format!("header R{index} Subject =~ /{one} (?:and|or) {other}{index}/i"),
            2 => format!("calendar R{index} text =~ /\\b{one} {other}(?:s|ed){index}?\\b/i"),
            3 => format!("calendar R{index} summary =~ /^{one}.*{other}-{index}$/i"),
            4 => format!("uri R{index} m{{://{one}-{other}{index}\\.example/}}i"),
            5 => format!("rawbody R{index} /<{one}{index} [^>]*{other}/i"),
            6 => format!("calendar R{index} url.host == {one}{index}.{other}.example"),
            _ => {
                let (a, b, c) = (index - 7, index - 5, index - 3);
                format!("meta R{index} (R{a} || R{b}) && !R{c}")
            }
        };
        text.push_str(&format!("{rule}\nscore R{index} 0.1\n"));
    }
    let file = rules::File { name: "many.cf".to_owned(), text };
    rules::load(&rules::Files { rules: vec![file], ..rules::Files::default() }).unwrap().rules
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
        let runs = arguments[at + 3].parse().unwrap();
        if let Some(kind) = stage.strip_prefix("mail-") {
            memory::ordinary(&arguments[at + 2], NOW, &rules, kind, runs);
            return;
        }
        if let Some(kind) = stage.strip_prefix("merge-") {
            memory::merge(NOW, kind == "on");
            return;
        }
        let sample = samples().into_iter().find(|sample| sample.name == arguments[at + 2]).unwrap();
        // `rules:100` scans with so many rules in the place of the stock ones.
        let rules = match stage.strip_prefix("rules:") {
            Some(number) => many_rules(number.parse().unwrap()),
            None => rules,
        };
        let delivery = dns::delivery(NOW);
        let settings = dns::settings(stage == "dns-cached");
        if stage == "dns-cached" {
            dns::warm(&sample.bytes, &delivery, &rules, &settings);
        }
        if let Some(kind) = stage.strip_prefix("store-") {
            memory::campaign(&sample.bytes, &delivery, &rules, kind == "on", runs);
            return;
        }
        for _ in 0..runs {
            match stage {
                "dns-off" | "dns-cached" => {
                    black_box(scan::scan(&sample.bytes, &delivery, &rules, &settings));
                }
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
