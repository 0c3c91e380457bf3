//! Turns jCal (RFC 7265) and JSCalendar (RFC 8984) into iCalendar text, which then goes the
//! way of all calendars.
//!
//! Comes in: JSON text.
//! Goes out: iCalendar text, or `None` when the JSON holds no calendar.
//! Not an error: missing pieces, unknown types, components without a VCALENDAR around them.

use std::fmt::Write as _;

use calcard::jscalendar::JSCalendar;
use serde_json::{Map, Value};

/// Octets of JSON read: its values take many times their text in memory.
pub(super) const MOST: usize = 2 * 1024 * 1024;
/// Components nested in jCal that are followed.
const DEPTH: usize = 32;
/// Properties with several values on one line.
const LISTS: [&str; 5] = ["CATEGORIES", "RESOURCES", "RDATE", "EXDATE", "FREEBUSY"];

/// Reads jCal.
pub(super) fn jcal(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut found = String::new();
    let complete = name_of(&value).is_some_and(|name| name.eq_ignore_ascii_case("vcalendar"));
    if !complete {
        found.push_str("BEGIN:VCALENDAR\n");
    }
    let before = found.len();
    components(&value, &mut found, DEPTH);
    let any = found.len() > before;
    if !complete {
        found.push_str("END:VCALENDAR\n");
    }
    any.then_some(found)
}

/// Reads JSCalendar, which calcard knows how to convert.
pub(super) fn jscalendar(text: &str) -> Option<String> {
    let calendar = JSCalendar::<String, String>::parse(text)
        .ok()?
        .into_icalendar()?;
    let events = calendar
        .components
        .iter()
        .any(|component| !component.entries.is_empty());
    events.then(|| calendar.to_string())
}

/// The name of an array that is a component.
fn name_of(value: &Value) -> Option<&str> {
    value.as_array()?.first()?.as_str()
}

/// Writes a component, or every component of a list of them.
fn components(value: &Value, out: &mut String, depth: usize) {
    let (Some(array), Some(deeper)) = (value.as_array(), depth.checked_sub(1)) else {
        return;
    };
    let Some(name) = name_of(value) else {
        for inner in array {
            components(inner, out, deeper);
        }
        return;
    };
    let name = super::content::component_name(name);
    let _ = writeln!(out, "BEGIN:{name}");
    for property in array.get(1).and_then(Value::as_array).into_iter().flatten() {
        write_property(property, out);
    }
    for inner in array.get(2).and_then(Value::as_array).into_iter().flatten() {
        components(inner, out, deeper);
    }
    let _ = writeln!(out, "END:{name}");
}

/// Writes `[name, parameters, type, value…]`.
fn write_property(property: &Value, out: &mut String) {
    let Some(array) = property.as_array() else {
        return;
    };
    let Some(name) = array.first().and_then(Value::as_str) else {
        return;
    };
    let name = super::content::component_name(name);
    if name.is_empty() || name == "BEGIN" || name == "END" {
        return;
    }
    let parameters = array.get(1).and_then(Value::as_object);
    let kind = array
        .get(2)
        .and_then(Value::as_str)
        .unwrap_or("unknown")
        .to_ascii_lowercase();
    let mut values = array
        .iter()
        .skip(3)
        .map(|value| written(value, &kind))
        .collect::<Vec<_>>();
    if values.is_empty() {
        values.push(String::new());
    }
    if LISTS.contains(&name.as_str()) {
        values = vec![values.join(",")];
    }
    let mut head = name;
    if let Some(parameters) = parameters {
        write_parameters(parameters, &mut head);
    }
    match kind.as_str() {
        "date" | "period" | "uri" => {
            let _ = write!(head, ";VALUE={}", kind.to_ascii_uppercase());
        }
        "binary" => head.push_str(";ENCODING=BASE64;VALUE=BINARY"),
        _ => {}
    }
    for value in values {
        let _ = writeln!(out, "{head}:{value}");
    }
}

fn write_parameters(parameters: &Map<String, Value>, out: &mut String) {
    for (name, value) in parameters {
        let name = super::content::component_name(name);
        if name.is_empty() || name == "VALUE" || name == "ENCODING" {
            continue;
        }
        let _ = write!(out, ";{name}=");
        let single = std::slice::from_ref(value);
        let values = value.as_array().map_or(single, Vec::as_slice);
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push('"');
            for character in plain(value).chars() {
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
    }
}

/// A value's text before any escaping.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(_) => String::new(),
    }
}

/// A value as iCalendar writes it.
fn written(value: &Value, kind: &str) -> String {
    match (kind, value) {
        ("recur", Value::Object(parts)) => {
            let parts = parts.iter().map(|(name, value)| {
                let name = super::content::component_name(name);
                let value = plain(value);
                let value = if name == "UNTIL" {
                    compact(&value)
                } else {
                    value
                };
                format!("{name}={}", escape(&value, false))
            });
            parts.collect::<Vec<_>>().join(";")
        }
        ("period", Value::Array(ends)) => {
            let ends = ends.iter().map(|end| compact(&plain(end)));
            escape(&ends.collect::<Vec<_>>().join("/"), false)
        }
        ("period" | "date" | "date-time" | "time" | "utc-offset", value) => {
            escape(&compact(&plain(value)), false)
        }
        // Structured values: GEO and REQUEST-STATUS.
        (_, Value::Array(parts)) => {
            let parts = parts
                .iter()
                .map(|part| escape(&plain(part), kind == "text"));
            parts.collect::<Vec<_>>().join(";")
        }
        ("text" | "unknown", value) => escape(&plain(value), true),
        (_, value) => escape(&plain(value), false),
    }
}

/// `2025-01-01T12:00:00Z` becomes `20250101T120000Z`; durations keep their sign.
fn compact(text: &str) -> String {
    let is_date = text
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_digit());
    let mut characters = text.chars();
    let mut compact = String::with_capacity(text.len());
    if !is_date {
        compact.extend(characters.next());
    }
    compact.extend(characters.filter(|c| *c != ':' && !(is_date && *c == '-')));
    compact
}

/// Escapes what would end the line or be unescaped; in text also what separates values.
fn escape(text: &str, separators: bool) -> String {
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
