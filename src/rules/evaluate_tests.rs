use std::fmt::Write as _;

use super::super::link::How;
use super::super::{File, Files, load, load_with};
use super::*;
use crate::calendar::{self, Event, Property, Reading};
use crate::facts::{self, Link, Links};
use crate::message::{Envelope, Header, Message};

/// The one place where tests put facts together.
pub(in crate::rules) fn facts<'f>(
    message: &'f Message<'f>,
    reading: &'f Reading,
    envelope: &'f Envelope,
    links: Links<'f>,
) -> Facts<'f> {
    let mut facts = facts::gather(message, reading, envelope, 0, 500);
    facts.links = links;
    facts
}

/// What a test puts into a message; the rest is empty.
#[derive(Default)]
pub(in crate::rules) struct Case<'c> {
    /// SUMMARY and number of attendees of each event.
    events: &'c [(&'c str, usize)],
    headers: &'c [(&'c str, &'c str)],
    paragraphs: &'c [(&'c str, Origin, Option<usize>)],
    links: &'c [(&'c str, Origin, Option<usize>)],
    /// A link in the Subject, which is where a mail's links are looked for first.
    mail_link: Option<&'c str>,
    sender: Option<&'c str>,
    scope: EvidenceScope,
}

fn event(summary: &str, attendee_count: usize) -> Event {
    let property = Property {
        name: "SUMMARY".into(),
        within: 0,
        parameters: Vec::new(),
        value: calendar::Value::Text(summary.to_owned()),
    };
    Event {
        attendee_count,
        properties: if summary.is_empty() { Vec::new() } else { vec![property] },
        components: vec!["VEVENT[0]".to_owned()],
        ..Event::default()
    }
}

pub(in crate::rules) fn rule_set(rules: &str, filtered: bool) -> RuleSet {
    let file = File { name: "x.cf".to_owned(), text: rules.to_owned() };
    load_with(&Files { rules: vec![file], ..Files::default() }, How { filtered, whole: false })
        .unwrap()
        .rules
}

fn outcome(set: &RuleSet, case: &Case<'_>, expired: &dyn Fn() -> bool) -> Evaluation {
    let message = Message {
        headers: case
            .headers
            .iter()
            .map(|(name, raw)| Header { name: (*name).into(), raw: raw.as_bytes().into() })
            .collect(),
        subject: case.mail_link.map(str::to_owned),
        ..Message::default()
    };
    let reading = Reading {
        events: case.events.iter().map(|(summary, count)| event(summary, *count)).collect(),
        ..Reading::default()
    };
    let envelope = Envelope { sender: case.sender.map(str::to_owned), ..Envelope::default() };
    let all = case
        .links
        .iter()
        .map(|(url, origin, event)| Link {
            url: (*url).to_owned(),
            scheme: String::new(),
            host: None,
            place: facts::Place::Name("link"),
            origin: *origin,
            event: *event,
            unwrapped: false,
            opened: false,
            disguise: None,
            shown: None,
        })
        .collect();
    let facts = facts(&message, &reading, &envelope, Links { all, cut: false });
    let paragraphs: Vec<Paragraph<'_>> = case
        .paragraphs
        .iter()
        .map(|(text, origin, event)| Paragraph {
            text: text.as_bytes().into(),
            place: facts::Place::Name("text"),
            origin: *origin,
            event: *event,
        })
        .collect();
    let shared = Memo::new();
    let view = View::new(&facts, &shared, None);
    run(set, &view, &shared, &|| &paragraphs, &Listings::default(), case.scope, expired)
}

/// One line a hit: `SYMBOL [events] origin: place=text; …`.
pub(in crate::rules) fn shown(evaluation: &Evaluation) -> Vec<String> {
    evaluation
        .hits
        .iter()
        .map(|hit| {
            let evidence: Vec<String> =
                hit.evidence.iter().map(|e| format!("{}={}", e.place, e.text)).collect();
            let origin = hit.origin.name();
            format!("{} {:?} {origin}: {}", hit.symbol, hit.events, evidence.join("; "))
        })
        .collect()
}

/// The same with and without the filter.
#[track_caller]
fn check(rules: &str, case: &Case<'_>, expected: &[&str]) {
    for filtered in [true, false] {
        let evaluation = outcome(&rule_set(rules, filtered), case, &|| false);
        assert_eq!(shown(&evaluation), expected, "{rules}\nfiltered: {filtered}");
        assert!(evaluation.complete);
    }
}

const THREE: &[(&str, usize)] = &[("Call +1 555", 3), ("Pay $300", 80), ("", 0)];

#[test]
fn events_are_asked_one_by_one() {
    let case = Case { events: THREE, ..Case::default() };
    check(
        "calendar A summary =~ /\\+\\d/\ncalendar B attendees > 50",
        &case,
        &["A [0] calendar: VEVENT[0].SUMMARY=+1", "B [1] calendar: VEVENT[0]=attendees 80 > 50"],
    );
    // The phone number of one event and the amount of another are nothing together.
    let both = "calendar __P summary =~ /\\+\\d/\ncalendar __M summary =~ /\\$\\d/\n";
    check(&format!("{both}meta X __P && __M"), &case, &[]);
    check(
        &format!("{both}meta X __P || __M"),
        &case,
        &["X [0, 1] calendar: VEVENT[0].SUMMARY=+1; VEVENT[0].SUMMARY=$3"],
    );
    let one = Case { events: &[("Call +1 pay $3", 1)], ..Case::default() };
    check(
        &format!("{both}meta X __P && __M"),
        &one,
        &["X [0] calendar: VEVENT[0].SUMMARY=+1; VEVENT[0].SUMMARY=$3"],
    );
    check(
        "calendar X summary !~ /pay/i",
        &case,
        &["X [0] calendar: VEVENT[0].SUMMARY=Call +1 555"],
    );
    check(
        "calendar X exists:summary",
        &case,
        &["X [0, 1] calendar: VEVENT[0].SUMMARY=Call +1 555; VEVENT[0].SUMMARY=Pay $300"],
    );
    check(
        "calendar X summary == \"pay $300\"",
        &case,
        &["X [1] calendar: VEVENT[0].SUMMARY=Pay $300"],
    );
    check(
        "calendar X attendees",
        &case,
        &["X [0, 1] calendar: VEVENT[0]=attendees 3; VEVENT[0]=attendees 80"],
    );
    check("calendar X attendees == 0", &case, &["X [2] calendar: VEVENT[0]=attendees 0 == 0"]);
}

#[test]
fn all_events_can_be_joined() {
    let case = Case { events: THREE, ..Case::default() };
    check(
        "calendar X message(summary) =~ /pay/i",
        &case,
        &["X [] calendar: VEVENT[0].SUMMARY=Pay"],
    );
    check("calendar X message(summary) !~ /pay/i", &case, &[]);
    check(
        "calendar X message(summary) !~ /gold/",
        &case,
        &["X [] calendar: VEVENT[0].SUMMARY=Call +1 555; VEVENT[0].SUMMARY=Pay $300"],
    );
    let joined =
        "calendar __P message(summary) =~ /\\+\\d/\ncalendar __M message(summary) =~ /\\$/\n";
    check(
        &format!("{joined}meta X __P && __M"),
        &case,
        &["X [] calendar: VEVENT[0].SUMMARY=+1; VEVENT[0].SUMMARY=$"],
    );
    check(
        "calendar X message(attendees) > 50",
        &case,
        &["X [] calendar: VEVENT[0]=attendees 80 > 50"],
    );
}

#[test]
fn without_events_everything_is_asked_once() {
    let case = Case { headers: &[("Subject", " hello\r\n")], ..Case::default() };
    check("calendar __C exists:summary\nmeta X !__C", &case, &["X [] calendar: "]);
    check("calendar X summary !~ /a/", &case, &[]);
    check("calendar X message(summary) !~ /a/", &case, &[]);
    check("calendar X attendees < 5", &case, &[]);
    check(
        "calendar __C exists:summary\nheader __S Subject:raw =~ /hell/\nmeta X __S && !__C",
        &case,
        &["X [] mail: Subject=hell"],
    );
}

#[test]
fn headers_mean_what_they_mean_elsewhere() {
    #[track_caller]
    fn check_header(rule: &str, expected: &[&str]) {
        let headers = [("Subject", " Free money\r\n"), ("X-A", " one\r\n"), ("x-a", " two\r\n")];
        let case = Case { headers: &headers, sender: Some("a@b.example"), ..Case::default() };
        check(&format!("header X {rule}"), &case, expected);
    }
    check_header("Subject:raw =~ /money$/", &["X [] mail: Subject=money"]);
    check_header("Subject:raw =~ /money\\z/", &[]);
    check_header("X-A:raw =~ /one\\n two\\n\\z/", &["X [] mail: X-A=one  two"]);
    check_header("X-None =~ /^$/", &["X [] mail: X-None=missing"]);
    check_header("X-None !~ /a/", &["X [] mail: X-None=missing"]);
    check_header("X-None =~ /^none$/ [if-unset: none]", &["X [] mail: X-None=missing"]);
    check_header("exists:X-None", &[]);
    check_header("EnvelopeFrom =~ /b\\.example$/", &["X [] network: EnvelopeFrom=b.example"]);
    check_header("Subject:raw =~ /(m)one\\b(?!.*\\1)/", &[]);
    check_header("Subject:raw =~ /(e)\\1/", &["X [] mail: Subject=ee"]);
}

#[test]
fn texts_of_mail_and_calendar_are_searched_and_calendars_preferred() {
    let case = Case {
        paragraphs: &[
            ("Subject gold\n", Origin::Mail, None),
            ("gold and silver", Origin::Mail, None),
            ("gold in one", Origin::Calendar, Some(1)),
            ("gold in zero", Origin::Calendar, Some(0)),
        ],
        links: &[
            ("http://a.example/gold", Origin::Calendar, Some(2)),
            ("http://b.example/silver", Origin::Mail, None),
        ],
        mail_link: Some("http://192.0.2.7:80/silver"),
        ..Case::default()
    };
    check(
        "body X /gold( in \\w+)?/",
        &case,
        &["X [0, 1] calendar: text=gold in one; text=gold in zero"],
    );
    check("body X /silver/", &case, &["X [] mail: text=silver"]);
    check("body X /gold\\n/", &case, &["X [] mail: text=gold"]);
    check("body X /gold\\n/\ntflags X nosubject", &case, &[]);
    check("body X /silver.*gold/s", &case, &[]);
    check("uri X /gold$/", &case, &["X [2] calendar: link=gold"]);
    check("uri X m{^http://192}", &case, &["X [] mail: Subject=http://192"]);
    // Each form of the mail's links is looked at.
    check("uri X m{7/silver}", &case, &["X [] mail: Subject=7/silver"]);
    check("uri X m{^http://b}", &case, &[]);
    let only = Case { scope: EvidenceScope::Calendar, ..case };
    check(
        "body X /gold( in \\w+)?/",
        &only,
        &["X [0, 1] calendar: text=gold in one; text=gold in zero"],
    );
    check("body X /silver/", &only, &[]);
    check("uri X m{^http://192}", &only, &[]);
}

#[test]
fn only_calendar_evidence_counts_when_asked() {
    let case = Case {
        events: &[("gold", 1)],
        headers: &[("Subject", " gold\r\n")],
        scope: EvidenceScope::Calendar,
        ..Case::default()
    };
    let rules = "header __H Subject:raw =~ /gold/\ncalendar __C summary =~ /gold/\n";
    check(&format!("{rules}header H Subject:raw =~ /gold/"), &case, &[]);
    check(
        &format!("{rules}meta X __H && __C"),
        &case,
        &["X [0] calendar: Subject=gold; VEVENT[0].SUMMARY=gold"],
    );
    check(&format!("{rules}meta X __H && !__N\nheader __N exists:X-None"), &case, &[]);
    check(&format!("{rules}meta X !__N\nheader __N exists:X-None"), &case, &[]);
    check(
        &format!("{rules}meta X !__N\ncalendar __N summary =~ /none/"),
        &case,
        &["X [0] calendar: "],
    );
}

#[test]
fn scores_switch_rules_off_and_helpers_are_not_listed() {
    let case = Case { events: &[("gold", 1)], ..Case::default() };
    let rules = "calendar A summary =~ /gold/\ncalendar __B summary =~ /gold/\nmeta C A + __B\n";
    check(
        rules,
        &case,
        &[
            "A [0] calendar: VEVENT[0].SUMMARY=gold",
            "C [0] calendar: symbol=A; VEVENT[0].SUMMARY=gold",
        ],
    );
    check(&format!("{rules}score A 0"), &case, &["C [0] calendar: VEVENT[0].SUMMARY=gold"]);
    check(&format!("{rules}score A 0\nscore __B 0"), &case, &[]);
    check(
        &format!("{rules}meta D C == 2\nscore C 0"),
        &case,
        &["A [0] calendar: VEVENT[0].SUMMARY=gold"],
    );
    // The value of a meta is the number it came to.
    check(
        &format!("{rules}meta D C == 2"),
        &case,
        &[
            "A [0] calendar: VEVENT[0].SUMMARY=gold",
            "C [0] calendar: symbol=A; VEVENT[0].SUMMARY=gold",
            "D [0] calendar: symbol=C",
        ],
    );
    check(
        "meta X __Z > __Y\nmeta __Z __A * 3\ncalendar __A attendees == 1\nmeta __Y 2",
        &case,
        &["X [0] calendar: VEVENT[0]=attendees 1 == 1"],
    );
    check("meta X UNDEFINED || 0", &case, &[]);
}

#[test]
fn a_regex_that_takes_too_long_is_no_match_and_is_reported() {
    let rules = "calendar X summary =~ /^(a+)+\\1$/\ncalendar Y summary !~ /^(a+)+\\1$/\n\
                 calendar Z summary =~ /a/\nheader H A:raw !~ /(a+)+\\1$/";
    let summary = format!("{}b", "a".repeat(60));
    let header = format!(" {summary}\r\n");
    let case = Case { events: &[(&summary, 1)], headers: &[("A", &header)], ..Case::default() };
    let evaluation = outcome(&rule_set(rules, true), &case, &|| false);
    assert_eq!(shown(&evaluation), ["Z [0] calendar: VEVENT[0].SUMMARY=a"]);
    assert!(!evaluation.complete);
    let exhausted: Vec<&str> = evaluation.exhausted.iter().map(|s| &**s).collect();
    assert_eq!(exhausted, ["H", "X", "Y"]);
}

#[test]
fn when_time_is_up_what_was_found_is_returned() {
    let set = rule_set("calendar X attendees\ncalendar Y summary =~ /(?=a)a/", true);
    let events: Vec<(&str, usize)> = vec![("a", 1); 5_000];
    let case = Case { events: &events, ..Case::default() };
    for (looks, complete) in [(0, false), (1, false), (10, false), (100_000, true)] {
        let left = std::cell::Cell::new(looks);
        let evaluation = outcome(&set, &case, &|| {
            let now = left.get();
            left.set(usize::saturating_sub(now, 1));
            now == 0
        });
        assert_eq!(evaluation.complete, complete, "{looks}");
        let hit = evaluation.hits.iter().find(|hit| &*hit.symbol == "X");
        let events = hit.map_or(0, |hit| hit.events.len());
        assert!(complete == (events == 5_000) && events <= looks, "{looks}: {events}");
        let evidence = hit.map_or(0, |hit| hit.evidence.len());
        assert!(evidence <= 5);
    }
}

#[test]
fn shared_metas_are_computed_once() {
    // Each level names the one below twice: without memory this would take 2^50 steps.
    let mut rules = "calendar __L0 attendees\n".to_owned();
    for level in 1..50 {
        let below = level - 1;
        let _ = writeln!(rules, "meta __L{level} __L{below} + __L{below} > 0");
    }
    rules.push_str("meta X __L49\n");
    let case = Case { events: &[("a", 7)], ..Case::default() };
    check(&rules, &case, &["X [0] calendar: VEVENT[0]=attendees 7"]);
}

#[test]
fn hits_carry_what_the_files_say() {
    let set = rule_set(
        "calendar X attendees\ndescribe X many # guests\nscore X -2\ngroup X crowd\n\
         group_cap crowd -3 4\ntflags X known\nsource X a report",
        true,
    );
    let case = Case { events: &[("a", 7)], ..Case::default() };
    let evaluation = outcome(&set, &case, &|| false);
    let hit = &evaluation.hits[0];
    assert_eq!(hit.description.as_deref(), Some("many"));
    assert_eq!(hit.group.as_deref(), Some("crowd"));
    assert!((hit.score + 2.0).abs() < f64::EPSILON);
    assert!(hit.flags.known && hit.flags.nice && !hit.flags.forged);
    assert_eq!(set.get("X").unwrap().source.as_deref(), Some("a report"));
}

#[test]
fn the_stock_entry_points_agree() {
    let file = File { name: "x.cf".into(), text: "calendar X attendees > 1".into() };
    let loaded = load(&Files { rules: vec![file], ..Files::default() }).unwrap();
    let reading = Reading { events: vec![event("a", 2)], ..Reading::default() };
    let (message, envelope) = (Message::default(), Envelope::default());
    let facts = facts(&message, &reading, &envelope, Links::default());
    let evaluation = super::super::evaluate(
        &loaded.rules,
        &facts,
        &Listings::default(),
        EvidenceScope::Message,
        &|| false,
    );
    assert_eq!(shown(&evaluation), ["X [0] calendar: VEVENT[0]=attendees 2 > 1"]);
}

mod equivalence {
    use proptest::prelude::*;

    use super::*;

    const RULES: &str = "calendar A summary =~ /abc/i\ncalendar B summary !~ /abc|bca/\n\
        calendar C all(summary) =~ /cab/\nbody D /abc?a/\nbody E /(a)b\\1/i\nuri F /bcb/\n\
        header G S:raw =~ /abc$/\nheader H S:raw !~ /cba/i\nmeta I A + B + D + E >= 2\n\
        calendar J message(summary) =~ /aaa/\nmeta K (A || !D) && !J";

    proptest! {
        #[test]
        fn the_filter_changes_nothing(
            summaries in prop::collection::vec("[abcABC]{0,7}", 0..4),
            texts in prop::collection::vec(("[abcABC ]{0,9}", any::<bool>()), 0..4),
        ) {
            let events: Vec<(&str, usize)> = summaries.iter().map(|s| (s.as_str(), 1)).collect();
            let origin = |calendar: &bool| if *calendar { Origin::Calendar } else { Origin::Mail };
            let paragraphs: Vec<_> =
                texts.iter().map(|(t, c)| (t.as_str(), origin(c), c.then_some(0))).collect();
            let headers: Vec<_> = texts.iter().map(|(t, _)| ("S", t.as_str())).collect();
            for scope in [EvidenceScope::Message, EvidenceScope::Calendar] {
                let case = Case {
                    events: &events,
                    headers: &headers,
                    paragraphs: &paragraphs,
                    links: &paragraphs,
                    mail_link: None,
                    sender: None,
                    scope,
                };
                let with = outcome(&rule_set(RULES, true), &case, &|| false);
                let without = outcome(&rule_set(RULES, false), &case, &|| false);
                prop_assert_eq!(shown(&with), shown(&without));
            }
        }
    }
}
