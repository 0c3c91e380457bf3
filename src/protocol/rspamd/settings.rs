//! Settings of a request: a profile by its name, and one written out as JSON.
//!
//! Comes in: `Settings-ID` and `Settings`. Goes out: the [`Profile`] they come to, and notes for the
//! log. Not an error: a name that nobody knows, broken JSON, keys of Rspamd's that mean nothing here.
//! As in Rspamd the message is scanned all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::Options;
use crate::verdict::{self, Action, Profile};

/// Longest `Settings` looked at, in octets.
const LONGEST: usize = 64 * 1024;

/// Notes about one request.
const NOTES: usize = 5;

/// Characters of a name shown in a note.
const SHOWN: usize = 64;

/// What holds for a request: the named profile with the written one on top. `inline` says whether
/// callers may write their own. The notes say what was passed over, and quote no text of the caller
/// but the name.
pub fn profile(
    options: &Options,
    settings: &verdict::Settings,
    inline: bool,
) -> (Option<Arc<Profile>>, Vec<String>) {
    let mut notes = Vec::new();
    let named = options.settings_id.as_deref().and_then(|id| {
        let found = settings.profiles.get(id);
        if found.is_none() {
            let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            let shown: String = id.chars().filter(plain).take(SHOWN).collect();
            notes.push(format!("Settings-ID: there are no settings {shown}"));
        }
        found
    });
    let written = match options.settings.as_deref() {
        None => None,
        Some(_) if !inline => {
            notes.push("Settings: not taken from requests".to_owned());
            None
        }
        Some(text) => read(text, &mut notes),
    };
    let profile = match (named, written) {
        (named, None) => named.map(Arc::clone),
        (None, Some(written)) => Some(Arc::new(written)),
        (Some(named), Some(written)) => Some(Arc::new(written.over(named))),
    };
    notes.truncate(NOTES);
    (profile, notes)
}

/// Reads the JSON of a `Settings` header; none where it changes nothing.
fn read(text: &str, notes: &mut Vec<String>) -> Option<Profile> {
    if text.len() > LONGEST {
        notes.push(format!("Settings: longer than {LONGEST} octets"));
        return None;
    }
    let Ok(Value::Object(object)) = serde_json::from_str(text) else {
        notes.push("Settings: no JSON object".to_owned());
        return None;
    };
    let mut names = |key: &str| names(&object, key, notes);
    let mut profile = Profile {
        symbols_disabled: names("symbols_disabled"),
        groups_disabled: names("groups_disabled"),
        symbols_enabled: names("symbols_enabled"),
        groups_enabled: names("groups_enabled"),
        ..Profile::default()
    };
    if let Some(scores) = table(&object, "scores", notes) {
        profile.scores = scores
            .iter()
            .filter_map(|(name, score)| Some((name.clone(), score.as_f64()?)))
            .collect();
    }
    if let Some(actions) = table(&object, "actions", notes) {
        profile.actions = limits(actions, notes);
    }
    (!profile.is_empty()).then_some(profile)
}

/// Thresholds by action; null switches one off.
fn limits(actions: &Map<String, Value>, notes: &mut Vec<String>) -> BTreeMap<Action, Option<f64>> {
    let mut limits = BTreeMap::new();
    for (name, limit) in actions {
        let name = name.to_ascii_lowercase().replace('_', " ");
        let action = Action::ALL.into_iter().find(|action| action.name() == name);
        match (action, limit) {
            (Some(action), Value::Null | Value::Bool(false)) => {
                limits.insert(action, None);
            }
            (Some(action), Value::Number(limit)) => {
                limits.insert(action, limit.as_f64());
            }
            // Rspamd has more actions than we give.
            (None, _) => {}
            (Some(action), _) => {
                notes.push(format!("Settings: actions: {} is no number", action.name()));
            }
        }
    }
    limits
}

fn table<'o>(
    object: &'o Map<String, Value>,
    key: &str,
    notes: &mut Vec<String>,
) -> Option<&'o Map<String, Value>> {
    let value = object.get(key)?;
    if value.as_object().is_none() {
        notes.push(format!("Settings: {key} is no object"));
    }
    value.as_object()
}

/// A list of names; one alone may stand without its brackets, as in Rspamd's language.
fn names(object: &Map<String, Value>, key: &str, notes: &mut Vec<String>) -> BTreeSet<String> {
    match object.get(key) {
        None => BTreeSet::new(),
        Some(Value::String(name)) => BTreeSet::from([name.clone()]),
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            notes.push(format!("Settings: {key} is no list"));
            BTreeSet::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> verdict::Settings {
        let profile = Profile {
            scores: BTreeMap::from([("A".to_owned(), 1.0), ("B".to_owned(), 1.0)]),
            ..Profile::default()
        };
        let profiles = BTreeMap::from([("outbound".to_owned(), Arc::new(profile))]);
        verdict::Settings { profiles, ..verdict::Settings::default() }
    }

    fn ask(id: Option<&str>, text: Option<&str>, inline: bool) -> (Option<Profile>, Vec<String>) {
        let options = Options {
            settings_id: id.map(str::to_owned),
            settings: text.map(str::to_owned),
            ..Options::default()
        };
        let (profile, notes) = profile(&options, &settings(), inline);
        (profile.map(|profile| (*profile).clone()), notes)
    }

    #[test]
    fn the_shape_of_rspamd_is_read() {
        let text = r#"{"actions":{"reject":1,"add header":null,"greylist":false,"soft reject":3,
            "no_action":7,"quarantine":"high"},"scores":{"A":-2.5,"B":"x"},"symbols_disabled":["C",7],
            "groups_disabled":"links","symbols_enabled":[],"flags":["skip"],"subject":"x"}"#;
        let (profile, notes) = ask(None, Some(text), true);
        let profile = profile.unwrap();
        assert_eq!(
            profile.actions,
            BTreeMap::from([
                (Action::Reject, Some(1.0)),
                (Action::AddHeader, None),
                (Action::Greylist, None),
                (Action::NoAction, Some(7.0)),
            ])
        );
        assert_eq!(profile.scores, BTreeMap::from([("A".to_owned(), -2.5)]));
        assert_eq!(profile.symbols_disabled, BTreeSet::from(["C".to_owned()]));
        assert_eq!(profile.groups_disabled, BTreeSet::from(["links".to_owned()]));
        assert_eq!(notes, ["Settings: actions: quarantine is no number"]);
    }

    #[test]
    fn names_and_texts_come_together() {
        let (profile, notes) = ask(Some("outbound"), Some(r#"{"scores":{"B":5}}"#), true);
        let scores = profile.unwrap().scores;
        assert_eq!((scores.get("A"), scores.get("B")), (Some(&1.0), Some(&5.0)));
        assert!(notes.is_empty());
        let (profile, notes) = ask(Some("outbound"), Some(r#"{"scores":{"B":5}}"#), false);
        assert_eq!(profile.unwrap().scores.get("B"), Some(&1.0));
        assert_eq!(notes, ["Settings: not taken from requests"]);
        let (profile, notes) = ask(Some("no\n such"), None, true);
        assert_eq!(profile, None);
        assert_eq!(notes, ["Settings-ID: there are no settings nosuch"]);
    }

    #[test]
    fn hostile_settings_change_nothing() {
        for (text, note) in [
            ("{bad", Some("Settings: no JSON object")),
            ("", Some("Settings: no JSON object")),
            ("[1]", Some("Settings: no JSON object")),
            ("{}", None),
            (r#"{"scores":7}"#, Some("Settings: scores is no object")),
            (r#"{"scores":{"A":1e999}}"#, Some("Settings: no JSON object")),
            (r#"{"symbols_disabled":{"A":1}}"#, Some("Settings: symbols_disabled is no list")),
            (&"[".repeat(60_000), Some("Settings: no JSON object")),
            (
                &format!("{{\"x\":\"{}\"}}", "x".repeat(LONGEST)),
                Some("Settings: longer than 65536 octets"),
            ),
        ] {
            let (profile, notes) = ask(None, Some(text), true);
            assert_eq!(profile, None, "{text:.40}");
            assert_eq!(notes.first().map(String::as_str), note, "{text:.40}");
        }
        let bad: String =
            Action::ALL.map(|action| format!("\"{}\":\"x\"", action.name())).join(",");
        let (_, notes) = ask(None, Some(&format!("{{\"actions\":{{{bad}}}}}")), true);
        assert_eq!(notes.len(), NOTES);
    }
}
