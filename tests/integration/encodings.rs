//! Text and links are found however a calendar is wrapped: every transfer encoding, content
//! type, disposition and fold that senders use.

use calspamd::rules::RuleSet;
use calspamd::scan::Outcome;

use crate::support::{assert_none, messages, name, request_for, rule_set, scan, summary, symbols};

const RULES: &str = r"
body     BODY_WORD     /zqbodyword|zqsummaryword/
uri      URI_LINK      m{^http://(?:[a-z]+-)?calphish\.com/[a-z]}
calendar CALENDAR_WORD text =~ /zqbodyword|zqsummaryword/
calendar CALENDAR_LINK url =~ m{^http://(?:[a-z]+-)?calphish\.com/[a-z]}
calendar CALENDAR_HOST url.domain =~ /^(?:[a-z]+-)?calphish\.com$/
";

/// A rule written for the Subject, in a mail that does not say the word there.
const SUBJECT: &str = r"
header   SUBJECT_WORD  Subject =~ /zqsummaryword/
header   NO_WORD       Subject !~ /zqsummaryword/
";

/// The word in DESCRIPTION and the whole link there, which some encodings cut in two by a fold.
const WHOLE: &str = r"
body     BODY_WHOLE    /zqbodyword/
uri      URI_WHOLE     m{^http://calphish\.com/win}
calendar WORD_WHOLE    text =~ /zqbodyword/
calendar LINK_WHOLE    url =~ m{^http://calphish\.com/win}
";

fn missing<'s>(outcome: &Outcome, expected: &[&'s str]) -> Vec<&'s str> {
    let found = symbols(outcome);
    expected.iter().copied().filter(|symbol| !found.contains(symbol)).collect()
}

fn check(rules: &RuleSet, wanted: impl Fn(&str) -> Option<&'static [&'static str]>) {
    let mut failures = Vec::new();
    let mut checked = 0;
    for path in messages("encodings") {
        let name = name(&path);
        let Some(expected) = wanted(name.trim_end_matches(".eml")) else { continue };
        checked += 1;
        let bytes = std::fs::read(&path).unwrap();
        let outcome = scan(&bytes, &request_for(&path, &bytes), rules);
        let missing = missing(&outcome, expected);
        if !missing.is_empty() {
            failures.push(format!("{name}: {missing:?} missing, found {}", summary(&outcome)));
        }
        if !outcome.partial.is_empty() {
            failures.push(format!("{name}: partial {:?}", outcome.partial));
        }
    }
    assert!(checked > 0);
    assert_none(&failures);
}

#[test]
fn word_and_link_are_found_in_every_encoding() {
    check(&rule_set(RULES), |name| {
        Some(match name {
            // No calendar, so nothing that a calendar rule could ask.
            "control_textplain" => &["BODY_WORD", "URI_LINK"],
            // jCal with a link and no words.
            "appcaljson" => &["URI_LINK", "CALENDAR_LINK", "CALENDAR_HOST"],
            _ => &["BODY_WORD", "URI_LINK", "CALENDAR_WORD", "CALENDAR_LINK", "CALENDAR_HOST"],
        })
    });
}

#[test]
fn a_fold_does_not_hide_a_word_or_a_link() {
    check(&rule_set(WHOLE), |name| {
        let all: &[&str] = &["BODY_WHOLE", "URI_WHOLE", "WORD_WHOLE", "LINK_WHOLE"];
        name.contains("_fold_").then_some(all)
    });
}

#[test]
fn a_rule_for_the_subject_sees_the_summary() {
    let rules = rule_set(SUBJECT);
    let mut found = 0;
    for path in messages("encodings") {
        let bytes = std::fs::read(&path).unwrap();
        let outcome = scan(&bytes, &request_for(&path, &bytes), &rules);
        let symbols = symbols(&outcome);
        // What is asked of the mail stays true of the mail.
        assert!(symbols.contains(&"NO_WORD"), "{}", path.display());
        found += usize::from(symbols.contains(&"SUBJECT_WORD"));
    }
    assert!(found > 10, "only {found} of the recordings have the word in SUMMARY");
}

/// One word, in base64, folded and escaped, for rules of every kind written for mail.
#[test]
fn rules_written_for_mail_hit_the_calendar() {
    use crate::support::{calendar, mail};
    let rules = rule_set(
        r"
header  OWN_HEADER  Subject =~ /cheap, kwyjibo pills/
body    OWN_BODY    /cheap, kwyjibo pills/
rawbody OWN_RAW     /<b>kwyjibo/
uri     OWN_URI     m{^http://kwyjibo\.example/cheap$}
uri_detail OWN_DETAIL type =~ /^calendar$/ host =~ /^kwyjibo/
",
    );
    let lines = "SUMMARY:Get cheap\\, kwy\r\n jibo pills\r\nURL:http://kwyji\r\n bo.example/che\r\n ap\r\n\
                 DESCRIPTION:really cheap\\, \r\n kwyjibo pills\r\n\
                 X-ALT-DESC;FMTTYPE=text/html:<b>kwy\r\n jibo</b>";
    let text = mail("An invitation", &calendar("REQUEST", &[lines]));
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let encoded = format!(
        "{head}\r\nContent-Transfer-Encoding: base64\r\n\r\n{}",
        crate::support::base64(body.as_bytes())
    );
    for text in [&text, &encoded] {
        let request = request_for(std::path::Path::new("x.eml"), text.as_bytes());
        let outcome = scan(text.as_bytes(), &request, &rules);
        let expected = ["OWN_BODY", "OWN_DETAIL", "OWN_HEADER", "OWN_RAW", "OWN_URI"];
        assert_eq!(symbols(&outcome), expected, "{}", summary(&outcome));
        assert!(summary(&outcome).contains("VEVENT[0].SUMMARY"), "{}", summary(&outcome));
    }
}
