//! What jCal and JSCalendar share: JSON values as iCalendar text.

use serde_json::Value;

/// Octets of JSON read: its values take many times their text in memory.
pub(super) const MOST: usize = 2 * 1024 * 1024;

/// A value's text before any escaping.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Null | Value::Object(_) => String::new(),
    }
}

/// `2025-01-01T12:00:00Z` becomes `20250101T120000Z`; durations keep their sign.
pub(super) fn compact(text: &str) -> String {
    let is_date = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit());
    let mut characters = text.chars();
    let mut compact = String::with_capacity(text.len());
    if !is_date {
        compact.extend(characters.next());
    }
    compact.extend(characters.filter(|c| *c != ':' && !(is_date && *c == '-')));
    compact
}

/// Escapes what would end the line or be unescaped; in text also what separates values.
pub(super) fn escape(text: &str, separators: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => {}
            ',' | ';' if separators => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// Writes a quoted parameter value (RFC 6868).
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '^' => out.push_str("^^"),
            '\n' => out.push_str("^n"),
            '"' => out.push_str("^'"),
            '\r' => {}
            '\\' => out.push_str("\\\\"),
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(compact(text), expected);
    }

    #[test]
    fn dates_lose_their_punctuation() {
        check("2025-01-01T12:00:00Z", "20250101T120000Z");
        check("2025-01-01", "20250101");
        check("-PT5M", "-PT5M");
        check("+01:00", "+0100");
    }

    #[test]
    fn text_cannot_end_a_line() {
        assert_eq!(escape("a\r\nb\\c,d", true), "a\\nb\\\\c\\,d");
        let mut quoted = String::new();
        quote("a\"b\nc^", &mut quoted);
        assert_eq!(quoted, "\"a^'b^nc^^\"");
    }
}
