//! What holds for any input: a scan comes to an end, its score is a number and the sum of its
//! symbols, and the order of rule files that do not override each other does not matter.

use calspamd::message::Envelope;
use calspamd::rules::{self, File, Files, RuleSet};
use calspamd::scan::{Outcome, Request};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::{load, scan, seconds, stock};

fn request(bare: bool) -> Request {
    let envelope =
        Envelope { recipients: vec!["bob@rcpt.example".to_owned()], ..Envelope::default() };
    Request { envelope, bare, now: seconds("2026-11-20T12:00:00Z"), ..Request::default() }
}

fn check(outcome: &Outcome) -> Result<(), TestCaseError> {
    let score = outcome.verdict.score;
    prop_assert!(score.is_finite(), "{score}");
    let sum: f64 = outcome.verdict.symbols.iter().map(|symbol| symbol.score).sum();
    prop_assert!((sum - score).abs() < 1e-9, "{sum} is not {score}");
    Ok(())
}

/// A content line that may mean something, or any text.
fn line() -> impl Strategy<Value = String> {
    let names = prop::sample::select(vec![
        "SUMMARY",
        "DESCRIPTION",
        "LOCATION",
        "URL",
        "ATTACH",
        "ORGANIZER;CN=x",
        "ATTENDEE",
        "DTSTART",
        "DTEND;TZID=Nowhere",
        "DURATION",
        "RRULE",
        "RDATE",
        "EXDATE",
        "RECURRENCE-ID",
        "SEQUENCE",
        "UID",
        "TRIGGER",
        "X-ALT-DESC;FMTTYPE=text/html",
        "BEGIN",
        "END",
        "METHOD",
    ]);
    let values = prop_oneof![
        any::<String>(),
        "[0-9TZ:+-]{0,20}",
        "(FREQ|COUNT|INTERVAL|UNTIL|BYDAY|BYSECOND|=|;|,|DAILY|SECONDLY|[0-9]){0,12}",
        "(mailto:|https?://|file://|\\\\\\\\|data:)[ -~]{0,40}",
        "(VEVENT|VALARM|VTODO|VCALENDAR|VTIMEZONE|STANDARD)",
        "<[a-z]{1,6} [a-z]{1,6}=[ -~]{0,30}>",
    ];
    prop_oneof![
        4 => (names, values).prop_map(|(name, value)| format!("{name}:{value}")),
        1 => any::<String>(),
    ]
}

/// Two files that share no rule.
fn files(order: [usize; 3]) -> RuleSet {
    let parts = [
        "calendar __A summary =~ /a/i\ncalendar A_ONE attendees > 1\nscore A_ONE 1.25\n",
        "meta B_BOTH __A && C_URL\nscore B_BOTH 2.5\ncalendar B_E summary =~ /e/\nscore B_E -0.5\n",
        "calendar C_URL exists:url\nscore C_URL 0.75\ngroup C_URL g\ngroup B_E g\ngroup_cap g 0 1\n",
    ];
    let file = |index: usize| File {
        name: format!("{index}.cf"),
        text: parts.get(index).copied().unwrap_or_default().to_owned(),
    };
    load(&Files { rules: order.map(file).into(), ..Files::default() })
}

fn calendar(lines: &[String]) -> String {
    crate::support::calendar("REQUEST", &[&lines.join("\n")])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_scanned(bytes in vec(any::<u8>(), 0..4096), bare in any::<bool>()) {
        check(&scan(&bytes, &request(bare), stock()))?;
    }

    #[test]
    fn any_lines_in_an_event_are_scanned(lines in vec(line(), 0..20)) {
        check(&scan(calendar(&lines).as_bytes(), &request(true), stock()))?;
    }

    #[test]
    fn the_order_of_files_does_not_matter(lines in vec(line(), 0..12)) {
        let text = calendar(&lines);
        let scores: Vec<f64> = [[0, 1, 2], [2, 1, 0], [1, 2, 0]]
            .map(|order| scan(text.as_bytes(), &request(true), &files(order)).verdict.score)
            .into();
        prop_assert!(scores.iter().all(|score| (score - scores[0]).abs() < 1e-9), "{scores:?}");
    }
}

#[test]
fn the_order_of_the_stock_files_does_not_matter() {
    let mut backwards = rules::built_in();
    backwards.rules.reverse();
    let backwards = load(&backwards);
    for path in crate::support::messages("spam") {
        let bytes = std::fs::read(&path).unwrap();
        let request = crate::support::request_for(&path, &bytes);
        let (a, b) = (scan(&bytes, &request, stock()), scan(&bytes, &request, &backwards));
        assert!((a.verdict.score - b.verdict.score).abs() < 1e-9, "{}", path.display());
    }
}
