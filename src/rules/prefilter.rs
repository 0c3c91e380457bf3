//! Finds, in one pass over a text, which of many regexes could match it at all.
//!
//! From each regex a set of literals is derived, one of which must stand in every text that
//! matches. All literals of all regexes that look at the same thing go into one Aho-Corasick
//! automaton; only regexes with a literal in the text, and those without literals, are run.
//! That is what keeps two thousand rules affordable.

use std::collections::BTreeMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::pattern::{Dialect, Pattern, Switches};

/// Shorter literals are in almost every text.
const SHORTEST: usize = 3;
/// More alternatives than this cost more than they save.
const MOST: usize = 2_000;

/// Sets of literals kept for one regex.
const CHOICES: usize = 4;

/// Literals of which one stands in every match.
pub(super) type Set = Vec<Vec<u8>>;

/// Parses a regex in the linear engine's syntax.
pub(super) fn parse(
    text: &str,
    switches: Switches,
    dialect: Dialect,
    nest_limit: u32,
) -> Result<Hir, Box<regex_syntax::Error>> {
    regex_syntax::ParserBuilder::new()
        .unicode(dialect == Dialect::Unicode)
        .utf8(false)
        .case_insensitive(switches.caseless)
        .dot_matches_new_line(switches.dot_all)
        .nest_limit(nest_limit)
        .build()
        .parse(text)
        .map_err(Box::new)
}

/// About how many states a regex compiles to; saturates.
pub(super) fn size(hir: &Hir) -> u32 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => u32::try_from(literal.0.len()).unwrap_or(u32::MAX),
        HirKind::Class(Class::Unicode(class)) => count(class.ranges().len()),
        HirKind::Class(Class::Bytes(class)) => count(class.ranges().len()),
        HirKind::Capture(capture) => size(&capture.sub),
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min).max(1);
            size(&repetition.sub).saturating_mul(times)
        }
        HirKind::Concat(children) | HirKind::Alternation(children) => {
            children.iter().map(size).fold(0, u32::saturating_add)
        }
    }
}

fn count(ranges: usize) -> u32 {
    u32::try_from(ranges).unwrap_or(u32::MAX).max(1)
}

/// Derives sets of literals in lower case, the most telling one first. Of each set one stands
/// in every match; there are none when nothing useful can be said.
pub(super) fn literals(hir: &Hir) -> Vec<Set> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) => {
            exact(hir).and_then(usable).into_iter().collect()
        }
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Repetition(repetition) if repetition.min > 0 => literals(&repetition.sub),
        HirKind::Alternation(branches) => {
            let mut set = Set::new();
            for branch in branches {
                let Some(best) = literals(branch).into_iter().next() else {
                    return Vec::new();
                };
                set.extend(best);
                if set.len() > MOST {
                    return Vec::new();
                }
            }
            vec![set]
        }
        HirKind::Concat(children) => {
            let mut sets: Vec<Set> = Vec::new();
            let mut run = Vec::new();
            for child in children {
                match (exact(child), child.kind()) {
                    (Some(bytes), _) => run.extend(bytes),
                    // They take no room: what stands before and after is adjacent.
                    (None, HirKind::Empty | HirKind::Look(_)) => {}
                    (
                        None,
                        HirKind::Literal(_)
                        | HirKind::Class(_)
                        | HirKind::Repetition(_)
                        | HirKind::Capture(_)
                        | HirKind::Concat(_)
                        | HirKind::Alternation(_),
                    ) => {
                        sets.extend(usable(std::mem::take(&mut run)));
                        sets.extend(literals(child));
                    }
                }
            }
            sets.extend(usable(run));
            // Longer literals are rarer; among equals the smaller set wins.
            sets.sort_by_cached_key(|set| {
                let shortest = set.iter().map(Vec::len).min().unwrap_or(0);
                (std::cmp::Reverse(shortest.min(8)), set.len())
            });
            sets.truncate(CHOICES);
            sets
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => Vec::new(),
    }
}

fn usable(literal: Vec<u8>) -> Option<Set> {
    (literal.len() >= SHORTEST).then(|| vec![literal])
}

/// The bytes of an expression that matches nothing but them, apart from ASCII case.
fn exact(hir: &Hir) -> Option<Vec<u8>> {
    match hir.kind() {
        HirKind::Literal(literal) => Some(literal.0.to_ascii_lowercase()),
        HirKind::Class(class) => letter(class).map(|letter| vec![letter]),
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Concat(children) => {
            let parts: Option<Vec<_>> = children.iter().map(exact).collect();
            parts.map(|parts| parts.concat())
        }
        HirKind::Repetition(repetition)
            if repetition.max == Some(repetition.min) && (1..=8).contains(&repetition.min) =>
        {
            let times = usize::try_from(repetition.min).unwrap_or(1);
            exact(&repetition.sub).map(|bytes| bytes.repeat(times))
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => {
            None
        }
    }
}

/// The letter whose cases make up the class. `ſ` and the Kelvin sign fold to `s` and `k`:
/// texts that hold them skip the filter ([`Filter::candidates`]).
fn letter(class: &Class) -> Option<u8> {
    let mut letters = Vec::new();
    match class {
        Class::Unicode(class) => {
            for range in class.ranges() {
                if range.len() > 2 {
                    return None;
                }
                letters.extend((range.start()..=range.end()).map(|c| match c {
                    '\u{17f}' => 's',
                    '\u{212a}' => 'k',
                    other => other,
                }));
            }
        }
        Class::Bytes(class) => {
            for range in class.ranges() {
                if range.len() > 2 || !range.end().is_ascii() {
                    return None;
                }
                letters.extend((range.start()..=range.end()).map(char::from));
            }
        }
    }
    let first = letters.first()?.to_ascii_lowercase();
    let same = first.is_ascii() && letters.iter().all(|c| c.to_ascii_lowercase() == first);
    if same { u8::try_from(first).ok() } else { None }
}

/// All regexes that look at the same thing, a header or a fact or the body.
#[derive(Debug, Default)]
pub(super) struct Filter {
    patterns: Vec<Arc<Pattern>>,
    /// Slots of patterns without literals, ascending.
    always: Vec<u32>,
    automaton: Option<AhoCorasick>,
    /// For each literal the slots that need it.
    needed_by: Vec<Vec<u32>>,
    unicode: bool,
}

/// Which slots could match which texts; reused from event to event.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// `(slot, text)`, sorted. Patterns without literals are not in it.
    pairs: Vec<(u32, u32)>,
    /// For each literal the last text it was seen in, from 1.
    seen: Vec<u32>,
    texts: u32,
}

impl Filter {
    /// Collects patterns; the slot of each is its index.
    pub(super) fn new(patterns: Vec<Arc<Pattern>>, dialect: Dialect, enabled: bool) -> Self {
        let uses = uses(&patterns);
        let mut by_literal: BTreeMap<&[u8], Vec<u32>> = BTreeMap::new();
        let mut always = Vec::new();
        for (slot, pattern) in (0_u32..).zip(&patterns) {
            let cheapest = pattern.literals.iter().min_by_key(|set| cost(set, &uses));
            match cheapest.filter(|_| enabled) {
                Some(set) => {
                    for literal in set {
                        by_literal.entry(literal).or_default().push(slot);
                    }
                }
                None => always.push(slot),
            }
        }
        for slots in by_literal.values_mut() {
            slots.dedup();
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .ascii_case_insensitive(true)
            .build(by_literal.keys())
            .ok()
            .filter(|_| !by_literal.is_empty());
        let needed_by: Vec<Vec<u32>> = by_literal.into_values().collect();
        if automaton.is_none() {
            always = (0_u32..).zip(&patterns).map(|(slot, _)| slot).collect();
        }
        Self { patterns, always, automaton, needed_by, unicode: dialect == Dialect::Unicode }
    }

    /// The pattern of a slot.
    pub(super) fn pattern(&self, slot: u32) -> Option<&Arc<Pattern>> {
        self.patterns.get(usize::try_from(slot).ok()?)
    }

    /// Goes once over each text.
    pub(super) fn sweep<'t>(
        &self,
        texts: impl Iterator<Item = &'t [u8]>,
        candidates: &mut Candidates,
    ) {
        candidates.pairs.clear();
        candidates.seen.clear();
        candidates.seen.resize(self.needed_by.len(), 0);
        candidates.texts = 0;
        for text in texts {
            let number = candidates.texts;
            candidates.texts = candidates.texts.saturating_add(1);
            let Some(automaton) = &self.automaton else {
                continue;
            };
            if self.unicode && folds_to_ascii(text) {
                let slots = (0_u32..).zip(&self.patterns);
                candidates.pairs.extend(slots.map(|(slot, _)| (slot, number)));
                continue;
            }
            for found in automaton.find_overlapping_iter(text) {
                let literal = found.pattern().as_usize();
                let Some(seen) = candidates.seen.get_mut(literal) else {
                    continue;
                };
                if *seen == number + 1 {
                    continue;
                }
                *seen = number + 1;
                let slots = self.needed_by.get(literal).map_or(&[][..], Vec::as_slice);
                candidates.pairs.extend(slots.iter().map(|slot| (*slot, number)));
            }
        }
        candidates.pairs.sort_unstable();
        candidates.pairs.dedup();
    }

    /// Texts that the pattern of a slot could match, ascending.
    pub(super) fn candidates<'c>(
        &self,
        slot: u32,
        candidates: &'c Candidates,
    ) -> impl Iterator<Item = usize> + use<'c> {
        let all = self.always.binary_search(&slot).is_ok();
        let start = candidates.pairs.partition_point(|pair| *pair < (slot, 0));
        let some = candidates.pairs.get(start..).unwrap_or(&[]);
        let some = some.iter().take_while(move |pair| pair.0 == slot).map(|pair| pair.1);
        let texts = if all { candidates.texts } else { 0 };
        let some = some.take(if all { 0 } else { usize::MAX });
        (0..texts).chain(some).filter_map(|text| usize::try_from(text).ok())
    }
}

/// How many patterns could do with each literal.
fn uses(patterns: &[Arc<Pattern>]) -> BTreeMap<&[u8], usize> {
    let mut uses: BTreeMap<&[u8], usize> = BTreeMap::new();
    for literal in patterns.iter().flat_map(|pattern| &pattern.literals).flatten() {
        *uses.entry(literal).or_default() += 1;
    }
    uses
}

/// How often a set would call its pattern in vain: words that many rules look for are likely
/// to be in many texts, and so are short ones.
fn cost(set: &Set, uses: &BTreeMap<&[u8], usize>) -> usize {
    set.iter()
        .map(|literal| {
            let weight = match literal.len() {
                0..=3 => 16,
                4 => 4,
                _ => 1,
            };
            uses.get(literal.as_slice()).copied().unwrap_or(1) * weight
        })
        .sum()
}

/// True when `/i` may match a character of the text with an ASCII letter.
fn folds_to_ascii(text: &[u8]) -> bool {
    memchr::memmem::find(text, "\u{17f}".as_bytes()).is_some()
        || memchr::memmem::find(text, "\u{212a}".as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::pattern::{Found, split};
    use super::*;

    fn compile(text: &str, dialect: Dialect) -> Arc<Pattern> {
        Arc::new(Pattern::compile(split(text).unwrap(), dialect).unwrap())
    }

    #[test]
    fn literals_of_a_regex() {
        #[track_caller]
        fn check(regex: &str, expected: Option<&[&str]>) {
            for dialect in [Dialect::Bytes, Dialect::Unicode] {
                let literals = compile(regex, dialect).literals.first().cloned();
                let literals: Option<Vec<String>> = literals.map(|literals| {
                    literals.into_iter().map(|l| String::from_utf8(l).unwrap()).collect()
                });
                let expected =
                    expected.map(|e| e.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>());
                assert_eq!(literals, expected, "{regex} {dialect:?}");
            }
        }
        check("/PayPal/", Some(&["paypal"]));
        check("/skype kelvin/i", Some(&["skype kelvin"]));
        check("/ab/", None);
        check("/abc|de/", None);
        check("/abc|defg/", Some(&["abc", "defg"]));
        check("/(abc)?d+/", None);
        check("/(?:abc)+x/", Some(&["abc"]));
        check(r"/\d+longer.*abc/", Some(&["longer"]));
        check(r"/\bfoo\b bar/", Some(&["foo bar"]));
        check(r"/fo{3}bar/", Some(&["fooobar"]));
        check(r"/fo(o)bar/", Some(&["foobar"]));
        check(r"/a[bc]d/", None);
        check(r"/a[bB]c/", Some(&["abc"]));
        check(r"/free(?!dom)/", Some(&["free"]));
        check(r"/(free|gratis) \1 money/", Some(&[" money"]));
        check(r"/(free|gratis).\1/", Some(&["free", "gratis"]));
        check(r"/(?:a|b)(?R)?longer/", None);
        check(r"/.*/", None);
    }

    #[test]
    fn rules_that_share_words_are_told_apart() {
        let patterns = (100..400)
            .map(|number| compile(&format!("/invoice.*no{number}|renewal\\d+/"), Dialect::Bytes))
            .chain((100..400).map(|n| compile(&format!("/invoice\\w* no{n}/"), Dialect::Bytes)))
            .collect();
        let filter = Filter::new(patterns, Dialect::Bytes, true);
        let mut candidates = Candidates::default();
        let text = "an invoices no123 for the invoice";
        filter.sweep(std::iter::once(text.as_bytes()), &mut candidates);
        let called = |slots: std::ops::Range<u32>| {
            slots.filter(|slot| filter.candidates(*slot, &candidates).next().is_some()).count()
        };
        // An alternation has one set only, its best; a sequence has several to choose from.
        assert_eq!((called(0..300), called(300..600)), (300, 1));
    }

    #[test]
    fn unicode_folds_are_not_lost() {
        let patterns =
            vec![compile("/pass/i", Dialect::Unicode), compile("/€uro/", Dialect::Unicode)];
        let filter = Filter::new(patterns, Dialect::Unicode, true);
        let mut candidates = Candidates::default();
        filter
            .sweep(["no", "paſs", "a €URO", "PASS"].iter().map(|t| t.as_bytes()), &mut candidates);
        assert_eq!(filter.candidates(0, &candidates).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(filter.candidates(1, &candidates).collect::<Vec<_>>(), [1, 2]);
    }

    const REGEXES: &[&str] = &[
        "/abc/",
        "/ABC/i",
        "/ab|c/",
        "/abc|bca/i",
        "/a(?:bc)+/",
        "/(a)\\1b/",
        "/abc(?!a)/",
        "/ab{3}/",
        "/^abc$/",
        "/cab?c/",
        "/k[sS]k/i",
        "/(?:ksk|sks)+/i",
        "/c.c/s",
    ];

    proptest! {
        #[test]
        fn the_filter_never_hides_a_match(texts in prop::collection::vec("[abcABCksKSſ\u{212a}\n ]{0,12}", 0..6)) {
            for dialect in [Dialect::Bytes, Dialect::Unicode] {
                let patterns: Vec<_> = REGEXES.iter().map(|r| compile(r, dialect)).collect();
                let filter = Filter::new(patterns.clone(), dialect, true);
                let mut candidates = Candidates::default();
                filter.sweep(texts.iter().map(String::as_bytes), &mut candidates);
                for (slot, pattern) in (0_u32..).zip(&patterns) {
                    let expected: Vec<usize> = texts
                        .iter()
                        .enumerate()
                        .filter(|(_, t)| matches!(pattern.find(t.as_bytes()), Found::At(..)))
                        .map(|(index, _)| index)
                        .collect();
                    let found: Vec<usize> = filter
                        .candidates(slot, &candidates)
                        .filter(|t| matches!(pattern.find(texts[*t].as_bytes()), Found::At(..)))
                        .collect();
                    prop_assert_eq!(found, expected, "{:?}", REGEXES.get(slot as usize));
                }
            }
        }
    }
}
