//! Sentences of lures in twelve languages: how many are recognised, and whether an honest
//! sentence is taken for one.
//!
//! The sentences below `tests/lures/` were written before the word files and without them.

use std::collections::BTreeMap;

use calspamd::scan::{self, Request, Settings};

use crate::support::{assert_none, repository, seconds, stock, symbols};

/// The families, with the symbol each is recognised by.
const FAMILIES: [(&str, &str); 11] = [
    ("callback", "CAL_CALLBACK"),
    ("credentials", "CAL_LURE_CRED"),
    ("finance", "CAL_LURE_FINANCE"),
    ("prize", "CAL_LURE_PRIZE"),
    ("sale", "CAL_LURE_SALE"),
    ("parcel", "CAL_LURE_PARCEL"),
    ("scare", "CAL_LURE_SCARE"),
    ("crypto", "CAL_LURE_CRYPTO"),
    ("adult", "CAL_LURE_ADULT"),
    ("advance", "CAL_LURE_ADVANCE"),
    ("urgency", "CAL_URGENT"),
];

/// The languages of the word files.
const LANGUAGES: [&str; 12] =
    ["en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "tr", "ja", "zh"];

/// Lures of each family that must be recognised, in parts of a hundred.
const LEAST: usize = 80;

/// An invitation with the sentence as its description and, but for callbacks, a link.
fn invitation(family: &str, sentence: &str) -> String {
    let text = sentence.replace('\\', "\\\\").replace(';', "\\;").replace(',', "\\,");
    let link = if family == "callback" { "" } else { "\\nhttps://start.page-nine.example/x" };
    [
        "Message-ID: <4711@mail.events-now.example>",
        "Date: Fri, 20 Nov 2026 11:59:00 +0000",
        "From: Events <events@events-now.example>",
        "To: vic@dest.example",
        "Subject: Event",
        "MIME-Version: 1.0",
        "Content-Type: text/calendar; charset=utf-8; method=REQUEST",
        "Content-Transfer-Encoding: 8bit",
        "",
        "BEGIN:VCALENDAR",
        "PRODID:-//Events//Planner 2.1//EN",
        "VERSION:2.0",
        "METHOD:REQUEST",
        "BEGIN:VEVENT",
        "UID:9b1d0f3e-4c55-4a58-8f4e-2f1f4bb0a0c1",
        "DTSTAMP:20261120T115900Z",
        "DTSTART:20261123T100000Z",
        "DTEND:20261123T103000Z",
        "ORGANIZER;CN=Events:mailto:events@events-now.example",
        "ATTENDEE;RSVP=TRUE:mailto:vic@dest.example",
        "SUMMARY:Event",
        &format!("DESCRIPTION:{text}{link}"),
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]
    .join("\r\n")
}

#[test]
fn lures_are_recognised_in_twelve_languages() {
    let request = Request { now: seconds("2026-11-20T12:00:00Z"), ..Request::default() };
    let mut failures = Vec::new();
    let mut shares: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut of_all, mut found) = (0, 0);
    let mut totals: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let all: Vec<&str> = FAMILIES.iter().map(|(_, symbol)| *symbol).collect();
    for (family, symbol) in FAMILIES {
        for language in LANGUAGES {
            let path = repository("tests/lures").join(format!("{family}.{language}.txt"));
            let text = std::fs::read_to_string(&path).unwrap();
            let (mut lures, mut recognised) = (0, 0);
            let mut missed = Vec::new();
            for line in text.lines() {
                let (sign, sentence) = line.split_at(2);
                let mail = invitation(family, sentence);
                let outcome = scan::scan(mail.as_bytes(), &request, stock(), &Settings::default());
                let hits = symbols(&outcome);
                match sign {
                    "+ " => {
                        lures += 1;
                        let hit = hits.contains(&symbol);
                        recognised += usize::from(hit);
                        if !hit {
                            missed.push(format!("{family}.{language} missed: {sentence}"));
                        }
                    }
                    "- " => {
                        for wrong in all.iter().filter(|symbol| hits.contains(symbol)) {
                            failures.push(format!("{family}.{language} {wrong}: {sentence}"));
                        }
                    }
                    other => panic!("{}: {other:?}", path.display()),
                }
            }
            assert!(lures >= 3, "{}: {lures} lures", path.display());
            of_all += lures;
            found += recognised;
            let total = totals.entry(family).or_default();
            *total = (total.0 + recognised, total.1 + lures);
            shares.entry(family).or_default().push(format!("{language} {recognised}/{lures}"));
            // With three sentences, 80 % is all of them; the languages of a family share the rest.
            if recognised * 10 < lures * 6 {
                failures.append(&mut missed);
            } else if !missed.is_empty() {
                println!("{}", missed.join("\n"));
            }
        }
    }
    for (family, shares) in &shares {
        println!("{family:<12} {}", shares.join("  "));
    }
    println!("{found} of {of_all} lures");
    assert!(found * 100 >= of_all * LEAST, "{found} of {of_all} lures are recognised");
    for (family, (found, all)) in &totals {
        assert!(found * 100 >= all * LEAST, "{family}: {found} of {all} lures are recognised");
    }
    assert_none(&failures);
}
