use super::super::pattern::{Dialect, split};
use super::*;
use crate::facts::{Origin, Place};

fn texts<'f>(values: &[&'f str]) -> Answer<'f> {
    let datum = |text: &&'f str| {
        Datum::new(Value::Text((*text).into()), Place::Name("here"), Origin::Calendar)
    };
    Answer::Known(values.iter().map(datum).collect())
}

fn numbers(values: &[f64]) -> Answer<'static> {
    let datum =
        |number: &f64| Datum::new(Value::Number(*number), Place::Name("here"), Origin::Calendar);
    Answer::Known(values.iter().map(datum).collect())
}

fn flags(values: &[bool]) -> Answer<'static> {
    let datum = |flag: &bool| Datum::new(Value::Flag(*flag), Place::Name("here"), Origin::Calendar);
    Answer::Known(values.iter().map(datum).collect())
}

fn test(quantifier: Quantifier, check: Check) -> Test {
    Test { fact: FactId::find("summary").unwrap(), quantifier, check, most: 1 }
}

fn regex(text: &str, negated: bool) -> Check {
    let pattern = Pattern::compile(split(text).unwrap(), Dialect::Unicode).unwrap();
    Check::Match { negated, pattern: Arc::new(pattern) }
}

fn word(text: &str, negated: bool) -> Check {
    Check::Text { negated, text: text.into() }
}

fn number(comparison: &str, number: f64) -> Check {
    Check::Number { comparison: Comparison::read(comparison).unwrap(), number }
}

fn fact(comparison: &str) -> Check {
    let other = FactId::find("summary").unwrap();
    Check::Fact { comparison: Comparison::read(comparison).unwrap(), other }
}

fn find(pattern: &Pattern, text: &[u8]) -> Found {
    pattern.find(text)
}

fn result(test: &Test, answers: &[&Answer<'_>], other: Option<&Answer<'_>>) -> Option<bool> {
    let mut tally = Tally::default();
    for answer in answers {
        test.count(&mut tally, answer, other, 0..answer.values().len(), &mut find);
    }
    tally.result(test)
}

#[test]
fn any_and_all_of_many_values() {
    #[track_caller]
    fn check(make: impl Fn() -> Check, answer: &Answer<'_>, any: Option<bool>, all: Option<bool>) {
        for (quantifier, expected) in [(Quantifier::Any, any), (Quantifier::All, all)] {
            let test = test(quantifier, make());
            assert_eq!(result(&test, &[answer], None), expected, "{test:?} {answer:?}");
        }
    }
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);
    check(|| regex("/a/", false), &texts(&["a", "b"]), YES, NO);
    check(|| regex("/a/", false), &texts(&["a", "ba"]), YES, YES);
    check(|| regex("/a/", false), &texts(&["b"]), NO, NO);
    check(|| regex("/a/", false), &texts(&[]), NO, NO);
    check(|| regex("/a/", false), &Answer::Unknown, None, None);
    check(|| regex("/a/", true), &texts(&["a", "b"]), NO, NO);
    check(|| regex("/a/", true), &texts(&["b", "c"]), YES, YES);
    check(|| regex("/a/", true), &texts(&[]), NO, NO);
    check(|| regex("/a/", true), &Answer::Unknown, None, None);
    check(|| word("cancel", false), &texts(&["CANCEL", "x"]), YES, NO);
    check(|| word("cancel", true), &texts(&["CANCEL", "x"]), NO, NO);
    check(|| word("cancel", true), &texts(&["x"]), YES, YES);
    check(|| word("cancel", true), &texts(&[]), NO, NO);
    check(|| number("<", 3.0), &numbers(&[1.0, 5.0]), YES, NO);
    check(|| number("<=", 3.0), &numbers(&[1.0, 3.0]), YES, YES);
    check(|| number(">", 3.0), &numbers(&[3.0]), NO, NO);
    check(|| number(">=", 3.0), &numbers(&[3.0, 2.0]), YES, NO);
    check(|| number("==", 3.0), &numbers(&[3.0]), YES, YES);
    check(|| number("!=", 3.0), &numbers(&[3.0, 2.0]), NO, NO);
    check(|| number("!=", 3.0), &numbers(&[4.0, 2.0]), YES, YES);
    check(|| number("==", 3.0), &numbers(&[f64::NAN]), NO, NO);
    check(|| Check::Exists, &texts(&["a"]), YES, YES);
    check(|| Check::Exists, &texts(&[]), NO, NO);
    check(|| Check::Exists, &Answer::Unknown, None, None);
    check(|| Check::Truth, &flags(&[true, false]), YES, NO);
    check(|| Check::Truth, &flags(&[false]), NO, NO);
    check(|| Check::Truth, &numbers(&[2.0, 0.0]), YES, NO);
    check(|| Check::Truth, &numbers(&[0.0]), NO, NO);
    check(|| number("<", 3.0), &texts(&["1"]), NO, NO);
}

#[test]
fn facts_compare_with_each_other() {
    #[track_caller]
    fn check(comparison: &str, a: &Answer<'_>, b: &Answer<'_>, expected: Option<bool>) {
        let test = test(Quantifier::Any, fact(comparison));
        assert_eq!(result(&test, &[a], Some(b)), expected, "{a:?} {comparison} {b:?}");
    }
    check("==", &texts(&["a", "B"]), &texts(&["x", "b"]), Some(true));
    check("!=", &texts(&["a", "B"]), &texts(&["x", "b"]), Some(false));
    check("!=", &texts(&["a", "b"]), &texts(&["x", "y"]), Some(true));
    check("!=", &texts(&[]), &texts(&["x"]), Some(false));
    check("!=", &texts(&["x"]), &texts(&[]), Some(false));
    check("==", &texts(&["x"]), &Answer::Unknown, None);
    check("!=", &texts(&["x"]), &Answer::Unknown, None);
    check("!=", &Answer::Unknown, &texts(&["x"]), None);
    check("<", &numbers(&[5.0, 1.0]), &numbers(&[2.0]), Some(true));
    check(">=", &numbers(&[1.0]), &numbers(&[2.0]), Some(false));
    check("!=", &numbers(&[1.0]), &numbers(&[2.0]), Some(true));
}

#[test]
fn values_of_all_events_are_joined() {
    #[track_caller]
    fn check(make: Check, answers: &[&Answer<'_>], expected: Option<bool>) {
        assert_eq!(result(&test(Quantifier::Joined, make), answers, None), expected);
    }
    let (a, b, none) = (texts(&["a"]), texts(&["b"]), texts(&[]));
    check(regex("/a/", false), &[&b, &a], Some(true));
    check(regex("/a/", true), &[&b, &a], Some(false));
    check(regex("/a/", true), &[&b, &none], Some(true));
    check(regex("/a/", true), &[&none, &none], Some(false));
    check(regex("/a/", false), &[&Answer::Unknown, &a], Some(true));
    check(regex("/a/", false), &[&Answer::Unknown, &b], None);
    check(regex("/a/", true), &[&Answer::Unknown, &b], None);
    check(regex("/a/", false), &[], Some(false));
}

#[test]
fn evidence_shows_what_was_compared() {
    #[track_caller]
    fn check(make: Check, answer: &Answer<'_>, other: Option<&Answer<'_>>, expected: &[&str]) {
        let test = test(Quantifier::Any, make);
        let shown: Vec<String> = answer
            .values()
            .iter()
            .filter_map(|datum| test.shown(datum, other, &mut find))
            .collect();
        assert_eq!(shown, expected);
    }
    check(regex("/l+/", false), &texts(&["hello", "no"]), None, &["ll"]);
    check(regex("/l+/", true), &texts(&["no"]), None, &["no"]);
    check(word("cancel", false), &texts(&["CANCEL"]), None, &["CANCEL"]);
    check(number(">", 50.0), &numbers(&[80.0, 3.0]), None, &["summary 80 > 50"]);
    check(
        fact("!="),
        &texts(&["other.example"]),
        Some(&texts(&["mail.example"])),
        &["other.example != mail.example"],
    );
    check(fact("=="), &texts(&["a", "b"]), Some(&texts(&["x", "b"])), &["b == b"]);
    check(Check::Truth, &flags(&[true]), None, &["summary"]);
    check(Check::Exists, &texts(&["x"]), None, &["x"]);
}
