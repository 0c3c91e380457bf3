use super::super::domain::{Known, Range};
use super::*;

fn token(text: &str) -> Token<'_> {
    Token { at: 0, text }
}

/// A, B, C hit; N does not; U is unknown; T has the value 2.
fn known(token: &Token<'_>) -> Known {
    match token.text {
        "A" | "B" | "C" => Some(1.0),
        "T" => Some(2.0),
        "U" => None,
        _ => Some(0.0),
    }
}

fn value(text: &str) -> Known {
    let expression = parse(token(text)).unwrap();
    expression.value(&mut Vec::new(), |name, _| known(name))
}

#[test]
fn precedence_and_arithmetic() {
    #[track_caller]
    fn check(text: &str, expected: f64) {
        assert_eq!(value(text), Some(expected), "{text}");
    }
    check("A", 1.0);
    check("N", 0.0);
    check("!A", 0.0);
    check("!N && A", 1.0);
    check("!(N && A)", 1.0);
    check("A + B + C >= 3", 1.0);
    check("A + B * 3 - 4 / 2", 2.0);
    check("1 - 2 - 3", -4.0);
    check("12 / 3 / 2", 2.0);
    check("-A + 2", 1.0);
    check("A - -1", 2.0);
    check("+A", 1.0);
    check("!!T", 1.0);
    check("A || N && N", 1.0);
    check("(A || N) && N", 0.0);
    check("N || T", 2.0);
    check("A && T", 2.0);
    check("A ^ B", 0.0);
    check("A ^ N", 1.0);
    check("5 ^ 1", 4.0);
    check("A ^ B == B", 0.0);
    check("A && B == 1", 1.0);
    check("1 < 2 == 1", 1.0);
    check("A ? 5 : 6", 5.0);
    check("N ? 5 : A ? 7 : 8", 7.0);
    check("A!=B", 0.0);
    check("T > 1 && T >= 2 && T <= 2 && T < 3 && T == 2 && T != 1", 1.0);
    check("(A&&B)||(C&&!N)", 1.0);
    check(".5 + 0.25", 0.75);
    check("and + or", 0.0);
    check("local_tests_only", 0.0);
}

#[test]
fn unknown_follows_kleene() {
    #[track_caller]
    fn check(text: &str, expected: Known) {
        assert_eq!(value(text), expected, "{text}");
    }
    check("U", None);
    check("!U", None);
    check("-U", None);
    check("U || A", Some(1.0));
    check("A || U", Some(1.0));
    check("U || N", None);
    check("N || U", None);
    check("U && N", Some(0.0));
    check("N && U", Some(0.0));
    check("U && A", None);
    check("A && U", None);
    check("U + A", None);
    check("A + U >= 1", None);
    check("U == U", None);
    check("U ? A : B", None);
    check("A ? B : U", Some(1.0));
    check("U || U || A", Some(1.0));
    check("A / N", None);
    check("!(A / N)", None);
}

#[test]
fn the_second_operand_is_asked_only_when_it_matters() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let mut asked = Vec::new();
        let expression = parse(token(text)).unwrap();
        expression.value(&mut Vec::new(), |name, _| {
            asked.push(name.text);
            known(name)
        });
        assert_eq!(asked, expected, "{text}");
    }
    check("A && B", &["A", "B"]);
    check("N && B", &["N"]);
    check("A || B", &["A"]);
    check("N || B", &["N", "B"]);
    check("U || B", &["U", "B"]);
    check("N && B || C", &["N", "C"]);
    check("(A || B) && (N && C) && B", &["A", "N"]);
    check("A || B || C", &["A"]);
}

#[test]
fn ranges_hold_every_value() {
    /// M may hit, everything else does not.
    #[track_caller]
    fn check(text: &str, expected: bool) {
        let expression = parse(token(text)).unwrap();
        let range: Range = expression.value(&mut Vec::new(), |name, _| match name.text {
            "M" => Range::MAYBE,
            _ => Range::NEVER,
        });
        assert_eq!(range.can_hit(), expected, "{text}: {range:?}");
    }
    check("M", true);
    check("X", false);
    check("!X", true);
    check("!M", true);
    check("!!X", false);
    check("M && X", false);
    check("X && M", false);
    check("M || X", true);
    check("X || X", false);
    check("M && !X", true);
    check("M + X >= 2", false);
    check("M + M >= 2", true);
    check("X < 1", true);
    check("X > 0", false);
    check("X == 0", true);
    check("X != 0", false);
    check("M == 2", false);
    check("X * 3", false);
    check("M * X", false);
    check("X - M", true);
    check("X ? M : X", false);
    check("M ? X : X", false);
    check("X / 2", false);
    check("2 / M", true);
    check("M ^ X", true);
    check("-X", false);
}

#[test]
fn what_is_wrong_and_where() {
    #[track_caller]
    fn check(text: &str, at: usize, message: &str) {
        let wrong = parse(token(text)).unwrap_err();
        assert_eq!((wrong.token.at, wrong.message.as_str()), (at, message), "{text}");
    }
    check("", 0, "the expression ends too early");
    check("A &&", 4, "the expression ends too early");
    check("A B", 2, "unexpected `B`");
    check("A & B", 2, "unexpected `&`");
    check("A | B", 2, "unexpected `|`");
    check("A = B", 2, "unexpected `=`");
    check("(A && B", 0, "this `(` is never closed");
    check("A)", 1, "unexpected `)`");
    check("A && )", 5, "unexpected `)`");
    check("A ? B", 5, "the expression ends too early");
    check("1.2.3", 0, "`1.2.3` is not a number");
    check("A && $B", 5, "unexpected `$`");
    check("A::B", 1, "unexpected `:`");
    check("É", 0, "unexpected `É`");
    check("rules_matching X", 15, "`rules_matching` needs a pattern of names");
    check("1 + rules_matching(A-B)", 18, "`rules_matching` needs a pattern of names");
    check("rules_matching(A*", 14, "`rules_matching` needs a pattern of names");
    let deep = "(".repeat(101);
    assert_eq!(
        parse(token(&deep)).unwrap_err().message,
        "the expression is nested deeper than 100 levels"
    );
    let signs = "!".repeat(100_000);
    assert_eq!(
        parse(token(&signs)).unwrap_err().message,
        "the expression is nested deeper than 100 levels"
    );
    let long = vec!["A"; 50_000].join(" + ");
    assert_eq!(value(&long), Some(50_000.0));
}
