//! `dnslist NAME key=value …`: lists that SpamAssassin's directives cannot describe.
//!
//! Lines for one name add up, so a site changes one thing with one line: its key, a time-out,
//! `on=no`. Keys stay inside the list's zone and are shown to nobody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::line::{Line, Token};
use super::load::Refusal;
use super::units;
use crate::facts::Kind as FactKind;
use crate::lists::{Codes, Digest, Kind, List, NameForm};

/// Everything that may be said of a list.
const KEYS: [&str; 18] = [
    "zone", "keyed", "account", "key", "kind", "ip", "form", "literals", "hash", "label", "codes",
    "errors", "use", "listed", "clean", "timeout", "on", "policy",
];

/// Lists as described so far: values by key.
#[derive(Debug, Default)]
pub(super) struct Described(BTreeMap<String, BTreeMap<&'static str, String>>);

impl Described {
    /// Reads a line, `dnslist` and the name cut off.
    pub(super) fn read(
        &mut self,
        line: &Line<'_>,
        name: &str,
        text: Token<'_>,
    ) -> Result<(), Refusal> {
        let list = self.0.entry(name.to_owned()).or_default();
        let mut rest = text;
        while !rest.text.is_empty() {
            let Some((written, _)) = rest.text.split_once('=') else {
                let error = line.error(rest, "a setting of a list is written `key=value`");
                return Err(error.with_hint("for example `zone=l.example`").into());
            };
            let Some(key) = KEYS.into_iter().find(|key| *key == written) else {
                let guess = super::diagnostic::closest(written, KEYS);
                let token = rest.part(0, written.len().max(1));
                let error = line.error(token, format!("a list has no `{written}`"));
                return Err(error.with_guess(guess).into());
            };
            let value = rest.from(written.len() + 1);
            let (inner, end) = if let Some(quoted) = value.text.strip_prefix('"') {
                let Some((inner, _)) = quoted.split_once('"') else {
                    return Err(line.error(value, "the closing quote is missing").into());
                };
                (value.part(1, 1 + inner.len()), inner.len() + 2)
            } else {
                let end = value.text.find(char::is_whitespace).unwrap_or(value.text.len());
                (value.part(0, end), end)
            };
            if let Err(message) = checked(key, inner.text) {
                // What is wrong with a key must not show the key.
                return Err(line.error(inner, message).into());
            }
            list.insert(key, inner.text.to_owned());
            rest = value.from(end).trimmed();
        }
        Ok(())
    }

    /// A list that is switched on; the error says why it is not.
    pub(super) fn list(&self, name: &str) -> Result<List, Missing> {
        let described = self.0.get(name).ok_or(Missing::Unknown)?;
        let get = |key: &str| described.get(key).map(String::as_str);
        let flag = |key: &str, otherwise: bool| get(key).map_or(otherwise, |text| text == "yes");
        if !flag("on", true) {
            return Err(Missing::Off);
        }
        let account = get("account").and_then(|account| self.0.get(account));
        let key = get("key").or_else(|| account?.get("key").map(String::as_str));
        let kind = kind(get("kind").unwrap_or("name")).unwrap_or(Kind::Name);
        let keyed = key.and_then(|key| Some((get("keyed")?, key)));
        let (zone, shown) = match (keyed, get("zone")) {
            (Some((zone, key)), _) => (zone.replace("{key}", key), without_key(zone)),
            (None, Some(zone)) => (zone.to_owned(), zone.to_owned()),
            (None, None) if kind == Kind::Mail => (String::new(), String::new()),
            (None, None) => return Err(Missing::Off),
        };
        let trimmed = |zone: String| zone.trim_matches('.').to_ascii_lowercase();
        let mut list = List::new(name, &trimmed(zone), &trimmed(shown), kind);
        let ip = get("ip").unwrap_or("both");
        list.families = (ip != "v6", ip != "v4");
        list.form = form(get("form").unwrap_or("registered")).unwrap_or(NameForm::Registered);
        list.literals = flag("literals", false);
        let digest = if get("hash") == Some("sha256") { Digest::Sha256 } else { Digest::Sha1 };
        list.digest = (digest, get("label").map(Arc::from));
        let codes = |key: &str| get(key).and_then(|text| Codes::parse(text).ok());
        list.codes = codes("codes").unwrap_or_default();
        list.errors = codes("errors").unwrap_or(list.errors);
        list.allow = get("use") == Some("allow");
        let point = |key: &str, usual: Option<Arc<str>>| match get(key) {
            None => usual,
            Some("-") => None,
            Some(name) => Some(Arc::from(name)),
        };
        list.listed = point("listed", list.listed);
        list.clean = point("clean", list.clean);
        list.timeout = get("timeout").and_then(|text| time(text).ok()).unwrap_or(list.timeout);
        list.policy = get("policy").map(Arc::from);
        Ok(list)
    }

    /// Names of lists that are switched off or lack a key.
    pub(super) fn off(&self) -> Vec<Arc<str>> {
        let names = self.0.iter().filter(|(name, list)| {
            let is_list = list.contains_key("zone") || list.contains_key("keyed");
            is_list && self.list(name).is_err()
        });
        names.map(|(name, _)| Arc::from(name.as_str())).collect()
    }

    /// The list of a zone, if one is described.
    pub(super) fn of_zone(&self, zone: &str) -> Option<List> {
        let mut lists = self.0.keys().filter_map(|name| self.list(name).ok());
        lists.find(|list| list.shown.eq_ignore_ascii_case(zone))
    }
}

/// Why there is no list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nobody has described it.
    Unknown,
    /// It is switched off, or lacks its key.
    Off,
}

/// `{key}.zen.example` without the key.
fn without_key(zone: &str) -> String {
    let labels: Vec<&str> = zone.split('.').filter(|label| !label.contains("{key}")).collect();
    labels.join(".")
}

fn kind(text: &str) -> Option<Kind> {
    Some(match text {
        "ip" => Kind::Ip,
        "name" => Kind::Name,
        "hash" => Kind::Hash,
        "mail" => Kind::Mail,
        _ => return None,
    })
}

fn form(text: &str) -> Option<NameForm> {
    Some(match text {
        "host" => NameForm::Host,
        "registered" => NameForm::Registered,
        "both" => NameForm::Both,
        _ => return None,
    })
}

fn time(text: &str) -> Result<Duration, String> {
    let milliseconds = match text.strip_suffix("ms") {
        Some(number) => number.parse::<f64>().map_err(|_| format!("`{text}` is no time"))? / 1e3,
        None => units::read(FactKind::Duration, text).map_err(|(message, _)| message)?,
    };
    if (0.01..=10.0).contains(&milliseconds) {
        Ok(Duration::from_secs_f64(milliseconds))
    } else {
        Err("a list's time is from 10ms to 10s".to_owned())
    }
}

fn one_of(text: &str, words: &[&str]) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    Err(format!("`{text}` is none of {}", words.join(", ")))
}

fn is_zone(text: &str) -> bool {
    let sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    !text.is_empty() && text.chars().all(sign)
}

/// What is wrong with a value.
fn checked(key: &str, text: &str) -> Result<(), String> {
    match key {
        "zone" if !is_zone(text) => Err(format!("`{text}` is no zone")),
        "keyed" if !text.contains("{key}") || !is_zone(&text.replace("{key}", "k")) => {
            Err(format!("`{text}` is no zone with `{{key}}` in it"))
        }
        "key" if !is_zone(text) => Err("this is no key".to_owned()),
        "kind" => one_of(text, &["ip", "name", "hash", "mail"]),
        "ip" => one_of(text, &["v4", "v6", "both"]),
        "form" => one_of(text, &["host", "registered", "both"]),
        "hash" => one_of(text, &["sha1", "sha256"]),
        "use" => one_of(text, &["block", "allow"]),
        "literals" | "on" => one_of(text, &["yes", "no"]),
        "codes" | "errors" => Codes::parse(text).map(drop),
        "timeout" => time(text).map(drop),
        _ => Ok(()),
    }
}
