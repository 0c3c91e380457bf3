//! One automaton over the phrases of every list, so that a text is read once, however many
//! lists ask about it.
//!
//! Comes in: the lists, then texts in lower case. Goes out: for each text the entries that stand
//! in it, each once, with the place.
//! Time grows with the text and the phrases that stand in it; memory with the entries.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use unicode_script::{Script, UnicodeScript};

use super::WordList;
use super::read::PIECES;
use crate::facts::Note;
use crate::facts::text;

/// Widest gap between pieces of one entry, in letters; a Chinese or Japanese one counts twice.
const GAP: usize = 64;

/// The same for pieces that stand side by side.
const CLOSE: usize = 24;

/// Octets of phrases for which a table of every step takes less than a megabyte.
const FEW: usize = 8 * 1024;

/// Where each piece of an entry stands.
type Places = [Option<(u32, u32)>; PIECES];

/// The phrases of lists that share one automaton.
#[derive(Debug, Default)]
pub struct Book {
    lists: AtomicU32,
    phrases: OnceLock<Option<Phrases>>,
}

#[derive(Debug)]
struct Phrases {
    automaton: AhoCorasick,
    /// For each text of the automaton its uses: a range of `uses`.
    texts: Vec<(u32, u32)>,
    uses: Vec<Use>,
    /// Entries of several pieces.
    groups: Vec<Group>,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    pieces: u32,
    /// Bit n is set when piece n stands side by side with the one before it.
    close: u8,
}

/// Where a text is used.
#[derive(Debug, Clone, Copy)]
struct Use {
    list: u32,
    entry: u32,
    /// Number among all entries.
    number: u32,
    /// For an entry of several pieces its group, and which piece.
    piece: Option<(u32, u32)>,
    open_start: bool,
    open_end: bool,
}

impl Book {
    /// A number for another list.
    pub(super) fn number(&self) -> u32 {
        self.lists.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes the phrases of lists that texts are asked about. Only the first call counts.
    pub fn close(&self, lists: &[&WordList]) {
        self.phrases.get_or_init(|| Phrases::build(lists));
    }

    /// Finds the entries of all lists in a text in lower case.
    pub fn read(&self, folded: &str) -> Vec<Note> {
        self.phrases().map_or_else(Vec::new, |phrases| phrases.read(&text::plain(folded)))
    }

    /// The same in what [`text::plain`] has made of it.
    pub fn read_plain(&self, plain: &str) -> Vec<Note> {
        self.phrases().map_or_else(Vec::new, |phrases| phrases.read(plain))
    }

    fn phrases(&self) -> Option<&Phrases> {
        self.phrases.get()?.as_ref()
    }
}

impl Phrases {
    fn build(lists: &[&WordList]) -> Option<Self> {
        let mut texts: Vec<String> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        let mut by_text: Vec<Vec<Use>> = Vec::new();
        let mut groups = Vec::new();
        let mut number = 0_u32;
        for list in lists {
            for (entry, content) in (0_u32..).zip(&list.entries) {
                let group = (content.pieces.len() > 1).then(|| {
                    let pieces = u32::try_from(content.pieces.len()).unwrap_or(u32::MAX);
                    groups.push(Group { pieces, close: content.close });
                    u32::try_from(groups.len() - 1).unwrap_or(u32::MAX)
                });
                for (piece, words) in (0_u32..).zip(&content.pieces) {
                    for word in words.iter() {
                        let plain = text::plain(&word.text).trim().to_owned();
                        if plain.is_empty() {
                            continue;
                        }
                        let at = *index.entry(plain).or_insert_with_key(|plain| {
                            texts.push(plain.clone());
                            by_text.push(Vec::new());
                            texts.len() - 1
                        });
                        if let Some(uses) = by_text.get_mut(at) {
                            uses.push(Use {
                                list: list.number,
                                entry,
                                number,
                                piece: group.map(|group| (group, piece)),
                                open_start: word.open_start,
                                open_end: word.open_end,
                            });
                        }
                    }
                }
                number += 1;
            }
        }
        // Where the words are many, the compact automaton keeps the service small; event texts
        // are short.
        let octets: usize = texts.iter().map(String::len).sum();
        let kind =
            if octets <= FEW { AhoCorasickKind::DFA } else { AhoCorasickKind::ContiguousNFA };
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .kind(Some(kind))
            .build(&texts)
            .ok()
            .filter(|_| !texts.is_empty())?;
        let mut uses = Vec::new();
        let mut ranges = Vec::with_capacity(by_text.len());
        for some in by_text {
            let first = u32::try_from(uses.len()).unwrap_or(u32::MAX);
            uses.extend(some);
            ranges.push((first, u32::try_from(uses.len()).unwrap_or(u32::MAX)));
        }
        Some(Self { automaton, texts: ranges, uses, groups })
    }

    fn read(&self, plain: &str) -> Vec<Note> {
        let mut found = Vec::new();
        // Tables of all entries and pieces would cost each of the many short texts more than
        // reading it does.
        let mut seen: HashSet<u32> = HashSet::new();
        // The last place of every piece, by group.
        let mut places: HashMap<u32, Places> = HashMap::new();
        for hit in self.automaton.find_overlapping_iter(plain) {
            let Some((first, last)) = self.texts.get(hit.pattern().as_usize()) else { continue };
            let range = *first as usize..*last as usize;
            let (begins_inside, ends_inside) = runs_over(plain, hit.start(), hit.end());
            let at = (
                u32::try_from(hit.start()).unwrap_or(u32::MAX),
                u32::try_from(hit.end()).unwrap_or(u32::MAX),
            );
            for one in self.uses.get(range).unwrap_or_default() {
                if (begins_inside && !one.open_start)
                    || (ends_inside && !one.open_end)
                    || seen.contains(&one.number)
                {
                    continue;
                }
                let whole = match one.piece {
                    None => Some(at),
                    Some((number, piece)) => self.groups.get(number as usize).and_then(|group| {
                        let places = places.entry(number).or_default();
                        together(plain, *group, piece, at, places)
                    }),
                };
                let Some((start, end)) = whole else { continue };
                seen.insert(one.number);
                found.push(Note { list: one.list, entry: one.entry, start, end });
            }
        }
        found
    }
}

/// Notes the place of a piece, and says where the whole entry stands if the others are near.
fn together(
    plain: &str,
    group: Group,
    piece: u32,
    at: (u32, u32),
    places: &mut Places,
) -> Option<(u32, u32)> {
    let places = places.get_mut(..group.pieces as usize)?;
    *places.get_mut(piece as usize)? = Some(at);
    let mut all = [(0_u32, 0_u32); PIECES];
    let all = all.get_mut(..places.len())?;
    for (to, from) in all.iter_mut().zip(places.iter()) {
        *to = (*from)?;
    }
    let tied = (1..places.len()).filter(|piece| group.close >> piece & 1 == 1);
    for piece in tied {
        let (one, other) = (all.get(piece - 1)?, all.get(piece)?);
        let (first, second) = if one < other { (one, other) } else { (other, one) };
        if !is_near(plain, *first, *second, CLOSE) {
            return None;
        }
    }
    all.sort_unstable();
    let near = all.windows(2).all(|pair| match pair {
        [one, other] => is_near(plain, *one, *other, GAP),
        _ => false,
    });
    near.then_some((all.first()?.0, all.last()?.1))
}

/// True when two places do not overlap, and few letters and no end of a paragraph stand between.
fn is_near(plain: &str, one: (u32, u32), other: (u32, u32), most: usize) -> bool {
    let (from, to) = (one.1 as usize, other.0 as usize);
    if to < from || to - from > 3 * most {
        return false;
    }
    let width = |c: char| match c {
        // The end of a paragraph.
        '\n' => GAP + 1,
        c if c >= '\u{2e80}' => 2,
        _ => 1,
    };
    plain.get(from..to).is_some_and(|gap| gap.chars().map(width).sum::<usize>() <= most)
}

/// Whether a word runs on over the start, and over the end. Only letters and digits of scripts
/// that separate words do: Chinese, Japanese and Thai write without spaces, so their words end
/// anywhere.
fn runs_over(text: &str, start: usize, end: usize) -> (bool, bool) {
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let first = text.get(start..).and_then(|text| text.chars().next());
    let last = text.get(..end).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    (runs_on(before, first), runs_on(last, after))
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
