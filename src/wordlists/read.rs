//! Reads the text of list files.
//!
//! ```text
//! # comment
//! your mailbox is full              a phrase
//! passwor*                          a stem: the word may run on; also *konto
//! paypal | paypal.com paypal.me     an entry with the domains it is at home at
//! @act = verify, confirm*           words under one name; a second line adds to them
//! @act + @account                   all of them near each other, in any order
//! @not ~ @made                      side by side, at most a few short words between
//! [lure-credentials]                what follows belongs to lure-credentials.txt
//! ```
//!
//! A list is the file of its name, up to its first section, and the sections of its name in all
//! files: so one file can hold the words of a language for many lists. A set belongs to its
//! section; one above the first section belongs to the whole file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Entry, Word, fold};

/// Pieces of one entry; more mean nothing.
pub(super) const PIECES: usize = 5;

/// Lines of one file that belong to one list.
#[derive(Debug)]
pub struct Source<'t> {
    file: &'t str,
    /// Number of the line and its text.
    lines: Vec<(usize, &'t str)>,
    /// Sets that the whole file knows.
    shared: Vec<(usize, &'t str)>,
}

/// The sources of the list `name` in files (name and text), in their order.
pub fn sources<'t>(
    name: &str,
    files: impl IntoIterator<Item = (&'t str, &'t str)>,
) -> Vec<Source<'t>> {
    let section = name.strip_suffix(".txt").unwrap_or(name);
    files.into_iter().filter_map(|(file, text)| Source::find(file, text, name, section)).collect()
}

impl<'t> Source<'t> {
    fn find(file: &'t str, text: &'t str, name: &str, section: &str) -> Option<Self> {
        let own = file == name;
        // Most files have no section of that name.
        let marker = memchr::memmem::find(text.as_bytes(), format!("[{section}]").as_bytes());
        if !own && marker.is_none() {
            return None;
        }
        let mut inside = own;
        let mut before_sections = true;
        let mut source = Self { file, lines: Vec::new(), shared: Vec::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split_once('#').map_or(line, |(before, _)| before).trim();
            if let Some(other) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                inside = other.trim() == section;
                before_sections = false;
            } else if before_sections && !own && definition(line).is_some() {
                source.shared.push((number, line));
            } else if inside && !line.is_empty() {
                source.lines.push((number, line));
            }
        }
        Some(source)
    }

    /// Hands over the entries, and says what is wrong.
    pub(super) fn read(&self, warnings: &mut Vec<String>, mut take: impl FnMut(Entry)) {
        let mut sets: BTreeMap<String, Vec<Word>> = BTreeMap::new();
        for (_, line) in self.shared.iter().chain(&self.lines) {
            if let Some((name, words)) = definition(line) {
                let set = sets.entry(name).or_default();
                set.extend(words.split(',').filter_map(Word::read));
            }
        }
        let sets: BTreeMap<String, Arc<[Word]>> =
            sets.into_iter().map(|(name, words)| (name, words.into())).collect();
        let mut told = BTreeSet::new();
        for (number, line) in &self.lines {
            if definition(line).is_some() {
                continue;
            }
            let (text, owners) = line.split_once('|').unwrap_or((line, ""));
            let text = text.trim();
            let mut pieces = Vec::new();
            let mut known = true;
            let mut close = 0_u8;
            for (at, piece) in text.split(" + ").flat_map(tied).take(PIECES) {
                // Tied to the piece before it.
                if at > 0 {
                    close |= 1 << pieces.len();
                }
                match piece.strip_prefix('@') {
                    Some(name) => {
                        if let Some(set) = sets.get(&fold(name)) {
                            pieces.push(Arc::clone(set));
                        } else {
                            known = false;
                            if told.insert(name) {
                                warnings.push(format!("{}:{number}: no set `@{name}`", self.file));
                            }
                        }
                    }
                    None => pieces.push(Word::read(piece).into_iter().collect()),
                }
            }
            let text = fold(text);
            if text.is_empty() || !known {
                continue;
            }
            let owners = owners
                .split([' ', ',', '\t'])
                .map(|owner| owner.trim().to_lowercase())
                .filter(|owner| !owner.is_empty())
                .collect();
            take(Entry { text, owners, pieces, close });
        }
    }
}

/// The pieces of `a ~ b`, numbered.
fn tied(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split(" ~ ").map(str::trim).enumerate()
}

/// `@name = words`
fn definition(line: &str) -> Option<(String, &str)> {
    let (name, words) = line.strip_prefix('@')?.split_once('=')?;
    Some((fold(name.trim()), words))
}

impl Word {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let (text, open_start) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
        let (text, open_end) = text.strip_suffix('*').map_or((text, false), |rest| (rest, true));
        let text = fold(text.trim());
        (!text.is_empty()).then_some(Self { text, open_start, open_end })
    }
}
