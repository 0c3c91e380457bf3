//! Reads jCal (RFC 7265): turns it into iCalendar text, which then goes the way of all
//! calendars.
//!
//! Not an error: missing pieces, unknown types, components without a VCALENDAR around them.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::content::component_name;
use super::json::{compact, escape, plain, quote};

/// Components nested in jCal that are followed.
const DEPTH: usize = 32;
/// Properties with several values on one line.
const LISTS: [&str; 5] = ["CATEGORIES", "RESOURCES", "RDATE", "EXDATE", "FREEBUSY"];

/// Reads a jCal document; `None` when it holds no component.
pub(super) fn read(text: &str) -> Option<String> {
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
    let name = component_name(name);
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
    let name = component_name(name);
    if name.is_empty() || name == "BEGIN" || name == "END" {
        return;
    }
    let parameters = array.get(1).and_then(Value::as_object);
    let kind = array.get(2).and_then(Value::as_str).unwrap_or("unknown").to_ascii_lowercase();
    let mut values = array.iter().skip(3).map(|value| written(value, &kind)).collect::<Vec<_>>();
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
        let name = component_name(name);
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
            quote(&plain(value), out);
        }
    }
}

/// A value as iCalendar writes it.
fn written(value: &Value, kind: &str) -> String {
    match (kind, value) {
        ("recur", Value::Object(parts)) => {
            let parts = parts.iter().map(|(name, value)| {
                let name = component_name(name);
                let value = plain(value);
                let value = if name == "UNTIL" { compact(&value) } else { value };
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
            let parts = parts.iter().map(|part| escape(&plain(part), kind == "text"));
            parts.collect::<Vec<_>>().join(";")
        }
        ("text" | "unknown", value) => escape(&plain(value), true),
        (_, value) => escape(&plain(value), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let found = read(text).unwrap_or_default();
        assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{text}");
    }

    /// An event with one property.
    fn property(written: &str, expected: &str) {
        let text = format!(r#"["vcalendar",[],[["vevent",[{written}],[]]]]"#);
        let found = read(&text).unwrap();
        assert_eq!(found.lines().nth(2), Some(expected), "{written}");
    }

    #[test]
    fn values_of_every_type() {
        property(r#"["summary",{},"text","a, b; c\nd\\e"]"#, r"SUMMARY:a\, b\; c\nd\\e");
        property(r#"["categories",{},"text","a,b","c"]"#, r"CATEGORIES:a\,b,c");
        property(r#"["dtstart",{},"date","2025-01-31"]"#, "DTSTART;VALUE=DATE:20250131");
        property(
            r#"["dtstart",{"tzid":"Europe/Berlin"},"date-time","2025-01-31T10:00:00"]"#,
            "DTSTART;TZID=\"Europe/Berlin\":20250131T100000",
        );
        property(r#"["geo",{},"float",[1.5,-2]]"#, "GEO:1.5;-2");
        property(r#"["sequence",{},"integer",3]"#, "SEQUENCE:3");
        property(r#"["trigger",{},"duration","-PT15M"]"#, "TRIGGER:-PT15M");
        property(
            r#"["freebusy",{},"period",["2025-01-31T10:00:00Z","PT1H"]]"#,
            "FREEBUSY;VALUE=PERIOD:20250131T100000Z/PT1H",
        );
        property(
            r#"["rrule",{},"recur",{"freq":"WEEKLY","byday":["MO","TU"]}]"#,
            "RRULE:BYDAY=MO,TU;FREQ=WEEKLY",
        );
        property(
            r#"["attendee",{"cn":"A \"b\" ^","member":["x","y"]},"cal-address","mailto:a@b.c"]"#,
            "ATTENDEE;CN=\"A ^'b^' ^^\";MEMBER=\"x\",\"y\":mailto:a@b.c",
        );
        property(r#"["attach",{},"binary","QUJD"]"#, "ATTACH;ENCODING=BASE64;VALUE=BINARY:QUJD");
        property(r#"["x-a",{},"unknown","1\r\n2"]"#, r"X-A:1\n2");
    }

    #[test]
    fn pieces_may_be_missing() {
        let whole = ["BEGIN:VCALENDAR", "BEGIN:VEVENT", "END:VEVENT", "END:VCALENDAR"];
        check(r#"["vcalendar",[],[["vevent",[],[]]]]"#, &whole);
        check(r#"["vevent"]"#, &whole);
        check(r#"[["vevent",[],[]]]"#, &whole);
        check(r#"[["vevent",[["end",{},"text","VEVENT"]],[]]]"#, &whole);
        check(r#"[["vevent",[7,[],[7]],[]]]"#, &whole);
        check("[]", &[]);
        check("{}", &[]);
        check("[", &[]);
        check(&format!("{}{}", "[".repeat(60), "]".repeat(60)), &[]);
    }
}
