//! Compiles the files under `rules/lists/` into sets that `in FILE` tests ask.
//!
//! Comes in: list files. Goes out: [`WordList`]s, swapped together with the rules.
//!
//! A list file has one entry a line, `#` starts a comment. An entry may name the domains it
//! belongs to after a bar: `paypal | paypal.com paypal.me`; a test `in brands.txt unless
//! organizer.domain` does not hold for an entry whose own domains cover that fact.
//!
//! How an entry is compared depends on the kind of the fact: as a phrase on word boundaries
//! in texts, as a name with everything below it for domains, as an address (or its domain)
//! for addresses.
//!
//! Not an error: anything in a file; every line is an entry or a comment.

use std::collections::HashMap;
use std::fmt;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use unicode_script::{Script, UnicodeScript};

use crate::facts::text;

/// One compiled list.
pub struct WordList {
    entries: Vec<Entry>,
    /// Names and addresses, for facts that are such.
    index: HashMap<String, usize>,
    /// Phrases, for texts; `None` for an empty list.
    phrases: Option<AhoCorasick>,
}

#[derive(Debug)]
struct Entry {
    text: String,
    owners: Vec<String>,
}

impl fmt::Debug for WordList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordList").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

/// Where an entry was found in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Index of the entry.
    pub entry: usize,
    /// Byte range in the folded text.
    pub start: usize,
    /// End of the range.
    pub end: usize,
}

impl WordList {
    /// Compiles a list file's text. Never fails: every line is an entry or a comment.
    pub fn compile(_name: &str, content: &str) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        let mut index = HashMap::new();
        for line in content.lines() {
            let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
            if line.is_empty() {
                continue;
            }
            let (text, owners) = line.split_once('|').unwrap_or((line, ""));
            let text = fold(text.trim());
            if text.is_empty() || index.contains_key(&text) {
                continue;
            }
            let owners = owners
                .split([' ', ',', '\t'])
                .map(|owner| owner.trim().to_lowercase())
                .filter(|owner| !owner.is_empty())
                .collect();
            index.insert(text.clone(), entries.len());
            entries.push(Entry { text, owners });
        }
        let phrases = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            // Lists are many and long: the compact automaton keeps a service with all of
            // them small, and event texts are short.
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(entries.iter().map(|entry| entry.text.as_str()))
            .ok()
            .filter(|_| !entries.is_empty());
        Self { entries, index, phrases }
    }

    /// Finds entries as phrases in a folded (lower-case, normalised) text, on word boundaries.
    pub fn phrases<'t>(&'t self, folded: &'t str) -> impl Iterator<Item = Found> + 't {
        self.phrases.iter().flat_map(move |phrases| {
            phrases
                .find_overlapping_iter(folded)
                .filter(|found| on_boundaries(folded, found.start(), found.end()))
                .map(|found| Found {
                    entry: found.pattern().as_usize(),
                    start: found.start(),
                    end: found.end(),
                })
        })
    }

    /// Finds the entry that is the domain or stands above it.
    pub fn domain(&self, domain: &str) -> Option<usize> {
        let mut rest = domain;
        loop {
            if let Some(entry) = self.index.get(rest) {
                return Some(*entry);
            }
            rest = rest.split_once('.')?.1;
        }
    }

    /// Finds the entry that is the address, or a domain that covers its host.
    pub fn address(&self, address: &str) -> Option<usize> {
        if let Some(entry) = self.index.get(address) {
            return Some(*entry);
        }
        self.domain(address.rsplit_once('@')?.1)
    }

    /// The entry's text.
    pub fn entry(&self, entry: usize) -> &str {
        self.entries.get(entry).map_or("", |entry| &entry.text)
    }

    /// True when one of the entry's own domains is the domain or stands above it.
    pub fn owns(&self, entry: usize, domain: &str) -> bool {
        self.entries.get(entry).is_some_and(|entry| {
            entry.owners.iter().any(|owner| {
                domain
                    .strip_suffix(owner.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
        })
    }

    /// True when entries of the list name domains of their own.
    pub fn has_owners(&self) -> bool {
        self.entries.iter().any(|entry| !entry.owners.is_empty())
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Folds an entry as texts are folded, so that both sides agree.
fn fold(entry: &str) -> String {
    text::normalise(entry).0.to_lowercase()
}

/// True when no letter or digit of a script that separates words runs on over the ends.
/// Chinese, Japanese and Thai write without spaces, so their words end anywhere.
fn on_boundaries(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let first = text.get(start..).and_then(|text| text.chars().next());
    let last = text.get(..end).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    !(runs_on(before, first) || runs_on(last, after))
}

fn runs_on(left: Option<char>, right: Option<char>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => is_word(left) && is_word(right),
        _ => false,
    }
}

fn is_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    c.is_alphanumeric()
        && !matches!(
            c.script(),
            Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Thai
                | Script::Lao
                | Script::Khmer
                | Script::Myanmar
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phrases(list: &str, text: &str) -> Vec<String> {
        let list = WordList::compile("test.txt", list);
        list.phrases(&text.to_lowercase()).map(|found| list.entry(found.entry).to_owned()).collect()
    }

    #[test]
    fn phrases_stand_on_word_boundaries() {
        assert_eq!(
            phrases("gift card\nsale # comment\n", "A Gift Card for sale!"),
            ["gift card", "sale"]
        );
        assert!(phrases("sale\n", "wholesale salesman").is_empty());
        assert_eq!(phrases("paypal\n", "call PayPal, now"), ["paypal"]);
        assert_eq!(phrases("größe\n", "die Größe zählt"), ["größe"]);
        assert_eq!(phrases("пароль\n", "Ваш пароль истёк"), ["пароль"]);
        assert_eq!(
            phrases("当選\nパスワード\n", "おめでとう当選です、パスワードを"),
            ["当選", "パスワード"]
        );
        assert_eq!(phrases("密码\n", "请更新您的密码以继续"), ["密码"]);
    }

    #[test]
    fn domains_cover_what_is_below() {
        let list = WordList::compile("d.txt", "example.com\nco.test | a\n");
        assert_eq!(list.domain("www.example.com"), Some(0));
        assert_eq!(list.domain("example.com"), Some(0));
        assert_eq!(list.domain("badexample.com"), None);
        assert_eq!(list.domain("com"), None);
        assert_eq!(list.address("a@mail.example.com"), Some(0));
        assert_eq!(list.address("nobody"), None);
    }

    #[test]
    fn entries_own_domains() {
        let list = WordList::compile("b.txt", "PayPal | paypal.com, paypal.me\nother\n");
        assert!(list.has_owners());
        assert!(list.owns(0, "mail.paypal.com"));
        assert!(!list.owns(0, "paypal.com.evil.test"));
        assert!(!list.owns(1, "paypal.com"));
        assert!(!list.owns(9, "x"));
    }

    #[test]
    fn any_file_compiles() {
        for text in ["", "#\n|||\n \n", "\u{0}\n\u{feff}x", "a\na\n"] {
            let _ = WordList::compile("x", text).phrases("a").count();
        }
    }
}
