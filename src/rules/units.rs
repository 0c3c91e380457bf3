//! Durations and sizes as they are written in rules and shown in evidence.

use crate::facts::{Kind, Value};

const DURATIONS: [(&str, f64); 5] =
    [("w", 604_800.0), ("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0)];
const SIZES: [(&str, f64); 4] =
    [("GB", 1_073_741_824.0), ("MB", 1_048_576.0), ("KB", 1_024.0), ("B", 1.0)];

/// Reads a number of a kind of fact. The error says what is wrong, and what to write.
pub(super) fn read(kind: Kind, text: &str) -> Result<f64, (String, &'static str)> {
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits).unwrap_or((text, ""));
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite());
    let Some(number) = number else {
        return Err((format!("`{text}` is not a number"), example(kind)));
    };
    let duration = DURATIONS.iter().find(|(name, _)| *name == unit);
    let size =
        SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit) || without_b(name, unit));
    match (kind, unit) {
        (Kind::Duration, "") if number == 0.0 => Ok(0.0),
        (Kind::Duration, "") => {
            Err((format!("`{text}` has no unit, the fact is a duration"), example(kind)))
        }
        (Kind::Number | Kind::Size, "") => Ok(number),
        (Kind::Duration, _) if duration.is_some() => {
            Ok(duration.map_or(number, |(_, factor)| number * factor))
        }
        (Kind::Size, _) if size.is_some() => Ok(size.map_or(number, |(_, factor)| number * factor)),
        (Kind::Number, _) if duration.is_some() => {
            Err((format!("`{text}` is a duration, the fact is a number"), example(kind)))
        }
        (Kind::Number, _) if size.is_some() => {
            Err((format!("`{text}` is a size, the fact is a number"), example(kind)))
        }
        (
            Kind::Text
            | Kind::Address
            | Kind::Domain
            | Kind::Number
            | Kind::Duration
            | Kind::Size
            | Kind::Flag,
            _,
        ) => Err((format!("`{text}` is not a {}", kind.name()), example(kind))),
    }
}

/// `K` and `KiB` stand for `KB`.
fn without_b(name: &str, unit: &str) -> bool {
    let stem = unit.strip_suffix("iB").unwrap_or(unit);
    !stem.is_empty() && name.strip_suffix('B').is_some_and(|n| n.eq_ignore_ascii_case(stem))
}

const fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Duration => "durations are written `90s`, `15m`, `48h`, `730d` or `2w`",
        Kind::Size => "sizes are written `100`, `10KB` or `1MB`",
        Kind::Number | Kind::Text | Kind::Address | Kind::Domain | Kind::Flag => {
            "numbers are written `50` or `0.5`"
        }
    }
}

/// Writes a value the way a rule would.
pub(super) fn show(kind: Kind, fact: &str, value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Flag(true) => fact.to_owned(),
        Value::Flag(false) => format!("not {fact}"),
        Value::Number(number) => match kind {
            // Weeks are left out: `21d` says more than `3w` beside a `20d`.
            Kind::Duration => with_unit(*number, DURATIONS.get(1..).unwrap_or(&DURATIONS)),
            Kind::Size => with_unit(*number, &SIZES),
            Kind::Number | Kind::Text | Kind::Address | Kind::Domain | Kind::Flag => {
                number.to_string()
            }
        },
    }
}

/// The largest unit that leaves a whole number.
fn with_unit(number: f64, units: &[(&str, f64)]) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    units
        .iter()
        .find(|(_, factor)| number % factor == 0.0)
        .map_or_else(|| number.to_string(), |(unit, factor)| format!("{}{unit}", number / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_units() {
        #[track_caller]
        fn check(kind: Kind, text: &str, expected: Result<f64, &str>) {
            assert_eq!(
                read(kind, text),
                expected.map_err(|e| (e.to_owned(), example(kind))),
                "{text}"
            );
        }
        check(Kind::Duration, "90s", Ok(90.0));
        check(Kind::Duration, "15m", Ok(900.0));
        check(Kind::Duration, "-48h", Ok(-172_800.0));
        check(Kind::Duration, "730d", Ok(63_072_000.0));
        check(Kind::Duration, "2w", Ok(1_209_600.0));
        check(Kind::Duration, "0", Ok(0.0));
        check(Kind::Duration, "3600", Err("`3600` has no unit, the fact is a duration"));
        check(Kind::Duration, "3y", Err("`3y` is not a duration"));
        check(Kind::Size, "100", Ok(100.0));
        check(Kind::Size, "10KB", Ok(10_240.0));
        check(Kind::Size, "1mb", Ok(1_048_576.0));
        check(Kind::Size, "1MiB", Ok(1_048_576.0));
        check(Kind::Size, "2G", Ok(2_147_483_648.0));
        check(Kind::Number, "50", Ok(50.0));
        check(Kind::Number, "0.5", Ok(0.5));
        check(Kind::Number, "48h", Err("`48h` is a duration, the fact is a number"));
        check(Kind::Number, "1MB", Err("`1MB` is a size, the fact is a number"));
        check(Kind::Number, "many", Err("`many` is not a number"));
        check(Kind::Number, "1-2", Err("`1-2` is not a number"));
        check(Kind::Number, "", Err("`` is not a number"));
    }

    #[test]
    fn values_are_shown_as_a_rule_would_write_them() {
        #[track_caller]
        fn check(kind: Kind, value: f64, expected: &str) {
            assert_eq!(show(kind, "x", &Value::Number(value)), expected);
        }
        check(Kind::Duration, 172_800.0, "2d");
        check(Kind::Duration, 90.0, "90s");
        check(Kind::Duration, -3_600.0, "-1h");
        check(Kind::Duration, 0.0, "0");
        check(Kind::Duration, 0.5, "0.5");
        check(Kind::Size, 1_536.0, "1536B");
        check(Kind::Size, 10_240.0, "10KB");
        check(Kind::Number, 3.0, "3");
        assert_eq!(show(Kind::Flag, "recurring", &Value::Flag(true)), "recurring");
    }
}
