//! `uri_detail` rules: several conditions on one link.
//!
//! As in SpamAssassin a rule holds when all its conditions hold for the same link, and a
//! condition holds when it holds for any of the link's values of that kind.

use std::sync::Arc;

use crate::facts::{Facts, Origin, Place, mail};

use super::line::{Line, Token};
use super::load::{Compiler, Refusal};
use super::pattern::{Dialect, Found, Pattern};

/// What of a link is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    /// As written.
    Raw,
    /// Where it stands: `a`, `img`, `parsed`, `calendar`.
    Kind,
    /// Every form once encodings are undone.
    Cleaned,
    /// Text of the anchor.
    Text,
    /// Registered domain.
    Domain,
    /// Host.
    Host,
}

const KEYS: [(&str, Key); 6] = [
    ("raw", Key::Raw),
    ("type", Key::Kind),
    ("cleaned", Key::Cleaned),
    ("text", Key::Text),
    ("domain", Key::Domain),
    ("host", Key::Host),
];

/// `key =~ /re/`
#[derive(Debug)]
pub(super) struct Condition {
    key: Key,
    negated: bool,
    pattern: Arc<Pattern>,
}

/// Reads `key =~ /re/ key !~ /re/ …`.
pub(super) fn read(
    compiler: &mut Compiler<'_>,
    line: &Line<'_>,
    text: Token<'_>,
) -> Result<Vec<Condition>, Refusal> {
    let mut conditions = Vec::new();
    let mut rest = text;
    while !rest.text.is_empty() {
        let (word, after) = rest.split_word();
        let Some((_, key)) = KEYS.iter().find(|(name, _)| *name == word.text) else {
            let guess = super::diagnostic::closest(word.text, KEYS.iter().map(|(name, _)| *name));
            let error = line.error(word, format!("`{}` is nothing that a link has", word.text));
            return Err(error.with_guess(guess).into());
        };
        let (operator, after) = after.split_word();
        if !matches!(operator.text, "=~" | "!~") {
            let error = line.error(operator, format!("`{}` is not an operator", operator.text));
            return Err(error.with_hint("`uri_detail` rules know =~ and !~").into());
        }
        let end = end_of_regex(after.text);
        let pattern = compiler.pattern(line, after.part(0, end), Dialect::Bytes)?;
        conditions.push(Condition { key: *key, negated: operator.text == "!~", pattern });
        rest = after.from(end).trimmed();
    }
    if conditions.is_empty() {
        return Err(line.error(text, "a `uri_detail` rule needs a condition").into());
    }
    Ok(conditions)
}

/// A regex ends where the next condition begins: at a key and an operator after white space.
fn end_of_regex(text: &str) -> usize {
    let mut from = 0;
    while let Some(space) = text.get(from..).and_then(|rest| rest.find(char::is_whitespace)) {
        let at = from + space;
        let rest = text.get(at..).unwrap_or("").trim_start();
        let (word, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let operator = after.trim_start();
        if KEYS.iter().any(|(name, _)| *name == word)
            && (operator.starts_with("=~") || operator.starts_with("!~"))
        {
            return at;
        }
        from = text.len() - text.get(at..).unwrap_or("").trim_start().len();
    }
    text.len()
}

/// A link that fits all conditions: its place, its origin, its event and itself.
pub(super) struct Fitting<'f> {
    pub(super) place: Place<'f>,
    pub(super) origin: Origin,
    pub(super) event: Option<usize>,
    pub(super) url: String,
}

/// Links that fit all conditions; those of calendars first, then those of the mail.
pub(super) fn fitting<'f>(
    conditions: &[Condition],
    facts: &'f Facts<'f>,
    mail: &'f [mail::Uri],
    wanted: &dyn Fn(Origin) -> bool,
    find: &mut dyn FnMut(&Pattern, &[u8]) -> Found,
) -> Vec<Fitting<'f>> {
    let mut found = Vec::new();
    for link in facts.links.all.iter().filter(|link| link.origin == Origin::Calendar) {
        if !wanted(link.origin) {
            break;
        }
        let host = link.host.clone().unwrap_or_default();
        let domain = link.domain().unwrap_or_default().into_owned();
        let uri = mail::Uri {
            raw: link.url.clone(),
            types: vec!["calendar".to_owned()],
            cleaned: vec![link.url.clone()],
            hosts: vec![(host, domain)],
            ..mail::Uri::default()
        };
        if fits(conditions, &uri, find) {
            let (place, origin, event) = (link.place, link.origin, link.event);
            found.push(Fitting { place, origin, event, url: uri.raw });
        }
    }
    if wanted(Origin::Mail) {
        for uri in mail {
            if fits(conditions, uri, find) {
                let place = Place::Part(uri.part.unwrap_or(0));
                let url = uri.raw.clone();
                found.push(Fitting { place, origin: Origin::Mail, event: None, url });
            }
        }
    }
    found
}

fn fits(
    conditions: &[Condition],
    uri: &mail::Uri,
    find: &mut dyn FnMut(&Pattern, &[u8]) -> Found,
) -> bool {
    conditions.iter().all(|condition| {
        let mut holds = |text: &str| match find(&condition.pattern, text.as_bytes()) {
            Found::At(..) => !condition.negated,
            Found::Nowhere => condition.negated,
            Found::Exhausted => false,
        };
        match condition.key {
            Key::Raw => holds(&uri.raw),
            Key::Kind => uri.types.iter().any(|text| holds(text)),
            Key::Cleaned => uri.cleaned.iter().any(|text| holds(text)),
            Key::Text => uri.anchor_texts.iter().any(|text| holds(text)),
            Key::Domain => uri.hosts.iter().any(|(_, domain)| holds(domain)),
            Key::Host => uri.hosts.iter().any(|(host, _)| holds(host)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_end_where_the_next_begins() {
        #[track_caller]
        fn check(text: &str, expected: &str) {
            assert_eq!(text.get(..end_of_regex(text)), Some(expected), "{text}");
        }
        check("/a b/i", "/a b/i");
        check("/a/ text !~ /b/", "/a/");
        check("/a text/ type =~ /b/", "/a text/");
        check("/a raw b/", "/a raw b/");
        check("", "");
    }
}
