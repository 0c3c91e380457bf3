//! Reads JSCalendar (RFC 8984): turns it into iCalendar text, which then goes the way of all
//! calendars.
//!
//! Calcard can convert JSCalendar too, but follows a later draft: of an RFC 8984 event it
//! loses the start, the organizer and the recurrence.
//!
//! Not an error: missing or unknown properties; unknown texts become X- properties, so that
//! nothing a client might show goes unread.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::content::component_name;
use super::json::{compact, escape, plain, quote};

/// Properties that are written by their own function or say nothing to a reader.
const HANDLED: [&str; 25] = [
    "@type",
    "uid",
    "title",
    "description",
    "descriptionContentType",
    "start",
    "timeZone",
    "duration",
    "due",
    "showWithoutTime",
    "status",
    "progress",
    "freeBusyStatus",
    "privacy",
    "updated",
    "created",
    "sequence",
    "priority",
    "color",
    "method",
    "prodId",
    "locale",
    "organizerCalendarAddress",
    "recurrenceId",
    "recurrenceIdTimeZone",
];

/// Reads a JSCalendar document; `None` when it holds no event.
pub(super) fn read(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let group = value.as_object()?;
    let mut writer = Writer(String::from("BEGIN:VCALENDAR\n"));
    for (key, name) in [("method", "METHOD"), ("prodId", "PRODID")] {
        writer.text(group, key, name);
    }
    let mut any = false;
    match group.get("entries") {
        Some(entries) => {
            writer.text(group, "title", "NAME");
            writer.text(group, "description", "DESCRIPTION");
            let entries = match entries {
                Value::Array(list) => list.iter().collect::<Vec<_>>(),
                Value::Object(map) => map.values().collect(),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
            };
            for entry in entries.into_iter().filter_map(Value::as_object) {
                any = true;
                writer.event(entry);
            }
        }
        None if group.contains_key("uid") || group.contains_key("start") => {
            any = true;
            writer.event(group);
        }
        None => {}
    }
    writer.0.push_str("END:VCALENDAR\n");
    any.then_some(writer.0)
}

type Object = Map<String, Value>;

fn string<'v>(object: &'v Object, key: &str) -> Option<&'v str> {
    object.get(key).and_then(Value::as_str)
}

fn flag(object: &Object, key: &str) -> bool {
    object.get(key).and_then(Value::as_bool).unwrap_or(false)
}

/// The objects of a map such as `participants`.
fn objects<'v>(object: &'v Object, key: &str) -> impl Iterator<Item = &'v Object> {
    object
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_object)
}

struct Writer(String);

impl Writer {
    /// Writes one content line; the value is escaped as text.
    fn line(&mut self, head: &str, value: &str) {
        let _ = writeln!(self.0, "{head}:{}", escape(value, true));
    }

    /// Writes one content line whose value is no text.
    fn raw(&mut self, head: &str, value: &str) {
        let _ = writeln!(self.0, "{head}:{}", escape(value, false));
    }

    fn text(&mut self, object: &Object, key: &str, name: &str) {
        if let Some(value) = object.get(key) {
            self.line(name, &plain(value));
        }
    }

    fn word(&mut self, object: &Object, key: &str, name: &str) {
        if let Some(value) = string(object, key) {
            self.raw(name, &value.to_uppercase());
        }
    }

    fn date(&mut self, name: &str, value: &str, zone: Option<&str>, date_only: bool) {
        let mut head = name.to_owned();
        if date_only {
            head.push_str(";VALUE=DATE");
        } else if let Some(zone) = zone.filter(|_| !value.ends_with('Z')) {
            head.push_str(";TZID=");
            quote(zone, &mut head);
        }
        let value = if date_only { value.split('T').next().unwrap_or_default() } else { value };
        self.raw(&head, &compact(value));
    }

    fn event(&mut self, event: &Object) {
        let task = string(event, "@type") == Some("Task");
        let name = if task { "VTODO" } else { "VEVENT" };
        let _ = writeln!(self.0, "BEGIN:{name}");
        self.text(event, "uid", "UID");
        self.properties(event, event);
        self.people(event);
        self.recurrence(event);
        for alert in objects(event, "alerts") {
            self.alert(alert);
        }
        let _ = writeln!(self.0, "END:{name}");
        let overrides = event.get("recurrenceOverrides").and_then(Value::as_object);
        for (start, patch) in overrides.into_iter().flatten() {
            let Some(patch) = patch.as_object().filter(|patch| !patch.is_empty()) else {
                continue;
            };
            if flag(patch, "excluded") {
                continue;
            }
            let _ = writeln!(self.0, "BEGIN:{name}");
            self.text(event, "uid", "UID");
            self.date("RECURRENCE-ID", start, string(event, "timeZone"), false);
            if !patch.contains_key("start") {
                self.date(
                    "DTSTART",
                    start,
                    string(event, "timeZone"),
                    flag(event, "showWithoutTime"),
                );
            }
            self.properties(patch, event);
            let _ = writeln!(self.0, "END:{name}");
        }
    }

    /// Properties that an event and an override of it may have.
    fn properties(&mut self, event: &Object, whole: &Object) {
        self.text(event, "title", "SUMMARY");
        let html = string(event, "descriptionContentType")
            .is_some_and(|kind| kind.to_ascii_lowercase().starts_with("text/html"));
        let description =
            if html { "STYLED-DESCRIPTION;VALUE=TEXT;FMTTYPE=text/html" } else { "DESCRIPTION" };
        self.text(event, "description", description);
        let zone = string(event, "timeZone").or_else(|| string(whole, "timeZone"));
        let date_only = flag(event, "showWithoutTime") || flag(whole, "showWithoutTime");
        for (key, name) in [("start", "DTSTART"), ("due", "DUE"), ("recurrenceId", "RECURRENCE-ID")]
        {
            if let Some(value) = string(event, key) {
                self.date(name, value, zone, date_only);
            }
        }
        for (key, name) in [("updated", "DTSTAMP"), ("created", "CREATED")] {
            if let Some(value) = string(event, key) {
                self.date(name, value, None, false);
            }
        }
        for (key, name) in [("status", "STATUS"), ("progress", "STATUS"), ("privacy", "CLASS")] {
            self.word(event, key, name);
        }
        for (key, name) in [
            ("duration", "DURATION"),
            ("sequence", "SEQUENCE"),
            ("priority", "PRIORITY"),
            ("color", "COLOR"),
        ] {
            if let Some(value) = event.get(key) {
                self.raw(name, &plain(value));
            }
        }
        if string(event, "freeBusyStatus") == Some("free") {
            self.raw("TRANSP", "TRANSPARENT");
        }
        for keyword in
            event.get("keywords").and_then(Value::as_object).into_iter().flat_map(Map::keys)
        {
            self.line("CATEGORIES", keyword);
        }
        self.places(event);
        for (key, value) in event {
            if let Some(text) = value.as_str().filter(|_| !HANDLED.contains(&key.as_str())) {
                self.line(&format!("X-{}", component_name(key)), text);
            }
        }
    }

    fn places(&mut self, event: &Object) {
        for location in objects(event, "locations") {
            self.text(location, "name", "LOCATION");
            self.text(location, "description", "COMMENT");
            self.links(location);
        }
        for location in objects(event, "virtualLocations") {
            let mut head = String::from("CONFERENCE;VALUE=URI");
            if let Some(label) = string(location, "name") {
                head.push_str(";LABEL=");
                quote(label, &mut head);
            }
            self.raw(&head, string(location, "uri").unwrap_or_default());
            self.text(location, "description", "COMMENT");
        }
        self.links(event);
    }

    fn links(&mut self, object: &Object) {
        for link in objects(object, "links") {
            let Some(target) = string(link, "href") else {
                continue;
            };
            let relation = string(link, "rel").unwrap_or_default();
            let mut head = String::from(match relation {
                "enclosure" => "ATTACH",
                "icon" => "IMAGE;VALUE=URI",
                _ => "LINK;VALUE=URI",
            });
            for (key, name) in [("contentType", "FMTTYPE"), ("title", "LABEL")] {
                if let Some(value) = string(link, key) {
                    let _ = write!(head, ";{name}=");
                    quote(value, &mut head);
                }
            }
            self.raw(&head, target);
        }
    }

    /// Participants, and the organizer among or beside them.
    fn people(&mut self, event: &Object) {
        let reply_to = event.get("replyTo").and_then(Value::as_object);
        let mut organizer = reply_to
            .and_then(|methods| string(methods, "imip"))
            .or_else(|| string(event, "organizerCalendarAddress"))
            .map(str::to_owned);
        for participant in objects(event, "participants") {
            let methods = participant.get("sendTo").and_then(Value::as_object);
            let email = string(participant, "email");
            let address = methods
                .and_then(|methods| string(methods, "imip"))
                .or_else(|| string(participant, "calendarAddress"))
                .map(str::to_owned)
                .or_else(|| email.map(|email| format!("mailto:{email}")))
                .unwrap_or_default();
            let roles = participant.get("roles").and_then(Value::as_object);
            let has = |role: &str| roles.is_some_and(|roles| flag(roles, role));
            let mut parameters = String::new();
            for (key, name) in [("name", "CN"), ("email", "EMAIL"), ("sentBy", "SENT-BY")] {
                if let Some(value) = string(participant, key) {
                    let _ = write!(parameters, ";{name}=");
                    quote(value, &mut parameters);
                }
            }
            if has("owner") {
                let value = organizer.take().unwrap_or_else(|| address.clone());
                self.raw(&format!("ORGANIZER{parameters}"), &value);
            }
            for (key, name) in [("participationStatus", "PARTSTAT"), ("kind", "CUTYPE")] {
                if let Some(value) = string(participant, key) {
                    let _ = write!(parameters, ";{name}=");
                    quote(&value.to_uppercase(), &mut parameters);
                }
            }
            let role = ["chair", "optional", "informational"].into_iter().find(|role| has(role));
            parameters.push_str(match role {
                Some("chair") => ";ROLE=CHAIR",
                Some("optional") => ";ROLE=OPT-PARTICIPANT",
                Some(_) => ";ROLE=NON-PARTICIPANT",
                None => "",
            });
            if has("attendee") || !has("owner") {
                self.raw(&format!("ATTENDEE{parameters}"), &address);
            }
        }
        if let Some(organizer) = organizer {
            self.raw("ORGANIZER", &organizer);
        }
    }

    fn recurrence(&mut self, event: &Object) {
        let several = event.get("recurrenceRules").and_then(Value::as_array);
        let rules = several.into_iter().flatten().chain(event.get("recurrenceRule"));
        for rule in rules.filter_map(Value::as_object) {
            let parts = rule.iter().filter_map(|(key, value)| {
                let name = match key.as_str() {
                    "@type" => return None,
                    "frequency" => String::from("FREQ"),
                    "bySetPosition" => String::from("BYSETPOS"),
                    "firstDayOfWeek" => String::from("WKST"),
                    _ => component_name(key),
                };
                let value = match (key.as_str(), value) {
                    ("byDay", Value::Array(days)) => {
                        days.iter().map(week_day).collect::<Vec<_>>().join(",")
                    }
                    ("until", value) => compact(&plain(value)),
                    (_, value) => plain(value),
                };
                Some(format!("{name}={}", value.to_uppercase()))
            });
            let parts = parts.collect::<Vec<_>>().join(";");
            self.raw("RRULE", &parts);
        }
        let zone = string(event, "timeZone");
        let date_only = flag(event, "showWithoutTime");
        let overrides = event.get("recurrenceOverrides").and_then(Value::as_object);
        for (start, patch) in overrides.into_iter().flatten() {
            let excluded = patch.as_object().is_some_and(|patch| flag(patch, "excluded"));
            self.date(if excluded { "EXDATE" } else { "RDATE" }, start, zone, date_only);
        }
    }

    fn alert(&mut self, alert: &Object) {
        self.0.push_str("BEGIN:VALARM\n");
        self.raw("ACTION", &string(alert, "action").unwrap_or("display").to_uppercase());
        if let Some(trigger) = alert.get("trigger").and_then(Value::as_object) {
            if let Some(when) = string(trigger, "when") {
                self.raw("TRIGGER;VALUE=DATE-TIME", &compact(when));
            } else {
                self.raw("TRIGGER", string(trigger, "offset").unwrap_or("PT0S"));
            }
        }
        self.0.push_str("END:VALARM\n");
    }
}

/// `{"day": "mo", "nthOfPeriod": 2}` becomes `2mo`.
fn week_day(day: &Value) -> String {
    let Some(day) = day.as_object() else {
        return plain(day);
    };
    let nth = day.get("nthOfPeriod").map(plain).unwrap_or_default();
    format!("{nth}{}", string(day, "day").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines that must be among those of an event.
    fn check(event: &str, expected: &[&str]) {
        let found = read(event).unwrap_or_default();
        let lines: Vec<_> = found.lines().collect();
        for line in expected {
            assert!(lines.contains(line), "{line} not in {found}");
        }
    }

    #[test]
    fn an_event() {
        check(
            r#"{"@type":"Event","uid":"1","title":"a, b","start":"2025-01-15T13:00:00",
                "timeZone":"America/New_York","duration":"PT1H","updated":"2025-01-01T00:00:00Z",
                "links":{"1":{"href":"https://example.org/l","rel":"enclosure"}},
                "virtualLocations":{"v":{"uri":"https://meet.example.com","name":"Join"}},
                "locations":{"l":{"name":"Room 1"}},"keywords":{"work":true},
                "freeBusyStatus":"free","example.com:note":"hi",
                "recurrenceRules":[{"frequency":"weekly","byDay":[{"day":"mo","nthOfPeriod":1}],
                    "until":"2025-06-01T00:00:00"}],
                "recurrenceOverrides":{"2025-01-22T13:00:00":{"excluded":true},
                    "2025-01-29T13:00:00":{"title":"moved"}},
                "alerts":{"1":{"trigger":{"offset":"-PT5M"}}}}"#,
            &[
                "UID:1",
                "SUMMARY:a\\, b",
                "DTSTART;TZID=\"America/New_York\":20250115T130000",
                "DURATION:PT1H",
                "DTSTAMP:20250101T000000Z",
                "ATTACH:https://example.org/l",
                "CONFERENCE;VALUE=URI;LABEL=\"Join\":https://meet.example.com",
                "LOCATION:Room 1",
                "CATEGORIES:work",
                "TRANSP:TRANSPARENT",
                "X-EXAMPLE.COMNOTE:hi",
                "RRULE:BYDAY=1MO;FREQ=WEEKLY;UNTIL=20250601T000000",
                "EXDATE;TZID=\"America/New_York\":20250122T130000",
                "RECURRENCE-ID;TZID=\"America/New_York\":20250129T130000",
                "SUMMARY:moved",
                "TRIGGER:-PT5M",
            ],
        );
    }

    #[test]
    fn people() {
        check(
            r#"{"@type":"Group","method":"request","entries":[{"@type":"Event","uid":"1",
                "replyTo":{"imip":"mailto:org@example.com"},"participants":{
                "a":{"name":"Ann","email":"ann@example.com","roles":{"owner":true}},
                "b":{"name":"Bob","sendTo":{"imip":"mailto:bob@example.com"},
                    "roles":{"attendee":true,"chair":true},"participationStatus":"accepted"}}}]}"#,
            &[
                "METHOD:request",
                "ORGANIZER;CN=\"Ann\";EMAIL=\"ann@example.com\":mailto:org@example.com",
                "ATTENDEE;CN=\"Bob\";PARTSTAT=\"ACCEPTED\";ROLE=CHAIR:mailto:bob@example.com",
            ],
        );
    }

    #[test]
    fn dates_without_time_and_tasks() {
        check(
            r#"{"@type":"Task","uid":"1","due":"2025-01-15T00:00:00","showWithoutTime":true}"#,
            &["BEGIN:VTODO", "DUE;VALUE=DATE:20250115"],
        );
    }

    #[test]
    fn no_calendar() {
        for text in ["{}", "[]", "1", "{\"@type\":\"Event\"", "{\"entries\":7}"] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
