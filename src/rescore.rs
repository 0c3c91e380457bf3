//! Proposes scores for a site's own mail, from logs of mass-checks.
//!
//! Comes in: which symbols hit which spam and ham, and the rules with the scores in force. Goes
//! out: a score for each symbol, why some stay as they are, and the mistakes before and after,
//! where "after" is counted on messages that had no part in choosing the scores.
//! Not an error: symbols that no rule has. An error: too few messages to learn from.
//!
//! A message is spam when its score reaches the threshold, so the model is a logistic
//! regression whose constant is the threshold: a score's distance from it says how sure we are.
//! One wrong alarm weighs [`LAMBDA`](crate::mass_check::LAMBDA) misses. The scores in force
//! pull like evidence of their own, so where the mail says little, little changes. Caps of
//! groups hold while it learns. The result depends on the logs and the seed alone.

mod fit;
mod model;

use std::collections::{BTreeMap, BTreeSet};

use crate::mass_check::{Class, Entry, Summary, ratio};
use crate::rules::{RuleSet, Symbol};
use model::{Feature, Model, Pattern};

/// Scores move in steps of this size.
const STEP: f64 = 0.1;

/// A symbol below this score is there to be seen.
const NOTICE: f64 = 0.1;

/// A score grows at most by this factor.
const GROWTH: f64 = 2.0;

/// What a single symbol stays below the threshold, unless it stood above that before: one sign
/// is no proof.
const SHORT_OF_PROOF: f64 = 1.0;

/// Part of its hits that must be of the right class before a score may grow, both classes taken
/// as equally large; SpamAssassin asks the same of a new rule.
const PURITY: f64 = 0.95;

/// A sum this close to the threshold has reached it: adding in another order rounds otherwise.
const ROUNDING: f64 = 1e-9;

/// How to learn.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// From this score on a message counts as spam.
    pub threshold: f64,
    /// Parts that are held back in turn.
    pub folds: usize,
    /// Decides which message is in which part.
    pub seed: u64,
    /// Messages that a symbol must have hit.
    pub min_hits: usize,
    /// Symbols that somebody wants to stay as they are.
    pub keep: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { threshold: 6.0, folds: 5, seed: 1, min_hits: 10, keep: BTreeSet::new() }
    }
}

/// Why a score stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stays {
    /// The rule is off; that was somebody's decision.
    Off,
    /// It reaches the threshold alone: an exact test.
    Certain,
    /// It is there to be seen.
    Notice,
    /// It means more than its score (`tflags known`, `forged`).
    Decides,
    /// Somebody asked for it.
    Kept,
    /// It hit too seldom to tell.
    FewHits,
}

impl Stays {
    /// A few words for a table.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Certain => "certain",
            Self::Notice => "notice only",
            Self::Decides => "decides by itself",
            Self::Kept => "kept",
            Self::FewHits => "few hits",
        }
    }
}

/// What is proposed for a symbol.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Its name.
    pub symbol: String,
    /// The score in force.
    pub old: f64,
    /// The score proposed.
    pub new: f64,
    /// The least of the scores that the folds found.
    pub low: f64,
    /// The greatest of them.
    pub high: f64,
    /// Spam that it hit.
    pub spam: usize,
    /// Ham that it hit.
    pub ham: usize,
    /// Why it stays, if it must.
    pub stays: Option<Stays>,
    /// It hits too much of the other class to weigh more than it does.
    pub impure: bool,
}

impl Proposal {
    /// True when there is something new.
    pub fn changes(&self) -> bool {
        (self.new - self.old).abs() >= STEP / 2.0
    }
}

/// Scores, and what they are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// For each symbol of the rules, by name.
    pub proposals: Vec<Proposal>,
    /// Mistakes of the scores in force.
    pub before: Summary,
    /// Mistakes of the scores learnt, each on a fold that was held back.
    pub validated: Summary,
    /// Mistakes of the scores proposed on the mail they were learnt from: too good to be true.
    pub fitted: Summary,
    /// Symbols of the logs that no rule has, by name; helpers are not among them.
    pub unknown: Vec<String>,
}

impl Outcome {
    /// True when the scores learnt cost less than those in force, on mail held back.
    pub fn is_better(&self) -> bool {
        self.validated.cost() < self.before.cost()
    }
}

/// Why nothing can be proposed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a message for each fold.
    #[error("{found} {} in the logs, and at least {needed} are needed", .class.name())]
    TooFew {
        /// Of which there are too few.
        class: Class,
        /// Messages there are.
        found: usize,
        /// One for each fold.
        needed: usize,
    },
}

/// A message of the logs: which pattern, which class, which fold.
struct Case {
    pattern: usize,
    is_spam: bool,
    fold: usize,
}

/// Learns scores from the entries of logs.
///
/// # Errors
///
/// [`Error::TooFew`].
pub fn propose(
    spam: &[Entry],
    ham: &[Entry],
    rules: &RuleSet,
    settings: &Settings,
) -> Result<Outcome, Error> {
    let folds = settings.folds.max(2);
    for (class, entries) in [(Class::Spam, spam), (Class::Ham, ham)] {
        if entries.len() < folds {
            return Err(Error::TooFew { class, found: entries.len(), needed: folds });
        }
    }
    let symbols: Vec<&Symbol> = rules.symbols().collect();
    let mut reading = Reading::default();
    let mut cases = reading.cases(spam, true, &symbols, folds, settings.seed);
    cases.extend(reading.cases(ham, false, &symbols, folds, settings.seed));

    let stays: Vec<Option<Stays>> = symbols
        .iter()
        .enumerate()
        .map(|(index, symbol)| {
            let (spam, ham) = reading.hits.get(&index).copied().unwrap_or_default();
            stays(symbol, spam + ham, settings)
        })
        .collect();
    let impure: Vec<bool> = symbols
        .iter()
        .enumerate()
        .map(|(index, symbol)| {
            let hits = reading.hits.get(&index).copied().unwrap_or_default();
            is_impure(symbol.score, hits, (spam.len(), ham.len()))
        })
        .collect();
    let model = Model::new(rules.group_caps(), settings.threshold, |group| {
        let feature = |((symbol, stays), impure): ((&&Symbol, &Option<Stays>), &bool)| Feature {
            score: symbol.score,
            bounds: match stays {
                Some(_) => (symbol.score, symbol.score),
                None => bounds(symbol.score, *impure, settings.threshold),
            },
            group: symbol.group.as_deref().and_then(&group),
            active: symbol.flags.active,
        };
        symbols.iter().zip(&stays).zip(&impure).map(feature).collect()
    });
    let patterns = reading.patterns();
    let learn = |held_back: Option<usize>| {
        let counts = counts(&cases, patterns.len(), held_back);
        let weights = fit::fit(&model, &patterns, &counts);
        weights.iter().zip(&model.features).map(|(w, f)| rounded(*w, f)).collect::<Vec<f64>>()
    };
    let per_fold: Vec<Vec<f64>> = (0..folds).map(|fold| learn(Some(fold))).collect();
    let proposed = learn(None);
    let in_force: Vec<f64> = model.features.iter().map(|feature| feature.score).collect();

    let summary =
        |weights_of: &dyn Fn(usize) -> Option<Vec<f64>>| {
            let mut messages = Vec::new();
            for fold in 0..folds {
                let Some(weights) = weights_of(fold) else { continue };
                let scores: Vec<f64> =
                    patterns.iter().map(|p| model.score(&weights, p) + ROUNDING).collect();
                let held_back = cases.iter().filter(|case| case.fold == fold);
                messages.extend(held_back.filter_map(|case| {
                    scores.get(case.pattern).map(|score| (case.is_spam, *score))
                }));
            }
            Summary::of(settings.threshold, messages)
        };
    let before = summary(&|_| Some(in_force.clone()));
    let validated = summary(&|fold| per_fold.get(fold).cloned());
    let fitted = summary(&|_| Some(proposed.clone()));

    let proposals = symbols.iter().zip(&stays).zip(impure).zip(&proposed).enumerate();
    let proposals = proposals.map(|(index, (((symbol, stays), impure), new))| {
        let learnt = || per_fold.iter().filter_map(|weights| weights.get(index).copied());
        let (spam, ham) = reading.hits.get(&index).copied().unwrap_or_default();
        Proposal {
            symbol: symbol.name.to_string(),
            old: symbol.score,
            new: *new,
            low: learnt().fold(f64::INFINITY, f64::min),
            high: learnt().fold(f64::NEG_INFINITY, f64::max),
            spam,
            ham,
            stays: *stays,
            impure,
        }
    });
    let proposals = proposals.collect();
    let unknown = reading.unknown.into_iter().collect();
    Ok(Outcome { proposals, before, validated, fitted, unknown })
}

/// What the logs hold, by index of the symbol.
#[derive(Default)]
struct Reading {
    /// Messages with the same symbols are one pattern.
    patterns: BTreeMap<Vec<usize>, usize>,
    /// Spam and ham that each symbol hit.
    hits: BTreeMap<usize, (usize, usize)>,
    unknown: BTreeSet<String>,
}

impl Reading {
    fn cases(
        &mut self,
        entries: &[Entry],
        is_spam: bool,
        symbols: &[&Symbol],
        folds: usize,
        seed: u64,
    ) -> Vec<Case> {
        let mut cases = Vec::with_capacity(entries.len());
        for (entry, fold) in entries.iter().zip(fold_of_each(entries.len(), folds, seed)) {
            let mut pattern = Vec::new();
            for test in &entry.tests {
                match symbols.binary_search_by(|symbol| (*symbol.name).cmp(test)) {
                    Ok(index) => pattern.push(index),
                    Err(_) if test.starts_with("__") => {}
                    Err(_) => {
                        self.unknown.insert(test.clone());
                    }
                }
            }
            pattern.sort_unstable();
            pattern.dedup();
            for index in &pattern {
                let (spam, ham) = self.hits.entry(*index).or_default();
                if is_spam { *spam += 1 } else { *ham += 1 }
            }
            let next = self.patterns.len();
            let pattern = *self.patterns.entry(pattern).or_insert(next);
            cases.push(Case { pattern, is_spam, fold });
        }
        cases
    }

    /// In the order of their numbers.
    fn patterns(&self) -> Vec<Pattern> {
        let mut patterns: Vec<(usize, Pattern)> =
            self.patterns.iter().map(|(key, number)| (*number, key.clone())).collect();
        patterns.sort_unstable_by_key(|(number, _)| *number);
        patterns.into_iter().map(|(_, pattern)| pattern).collect()
    }
}

/// Deals numbers of folds like shuffled cards: each as often as the others.
fn fold_of_each(messages: usize, folds: usize, seed: u64) -> Vec<usize> {
    let mut dealt: Vec<usize> = (0..messages).map(|index| index % folds).collect();
    // SplitMix64, which every seed serves.
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for last in (1..messages).rev() {
        let below = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        let other = usize::try_from(random() % below).unwrap_or_default();
        dealt.swap(last, other);
    }
    dealt
}

/// Spam and ham of each pattern, without the fold that is held back.
fn counts(cases: &[Case], patterns: usize, held_back: Option<usize>) -> Vec<(f64, f64)> {
    let mut counts = vec![(0.0, 0.0); patterns];
    for case in cases.iter().filter(|case| Some(case.fold) != held_back) {
        if let Some((spam, ham)) = counts.get_mut(case.pattern) {
            *(if case.is_spam { spam } else { ham }) += 1.0;
        }
    }
    counts
}

fn stays(symbol: &Symbol, hits: usize, settings: &Settings) -> Option<Stays> {
    let size = symbol.score.abs();
    if symbol.score == 0.0 {
        Some(Stays::Off)
    } else if settings.keep.contains(&*symbol.name) {
        Some(Stays::Kept)
    } else if size < NOTICE {
        Some(Stays::Notice)
    } else if symbol.flags.known || symbol.flags.forged {
        Some(Stays::Decides)
    } else if size >= settings.threshold {
        Some(Stays::Certain)
    } else if hits < settings.min_hits {
        Some(Stays::FewHits)
    } else {
        None
    }
}

/// Where a score may go: never to the other side of nothing, nor to nothing, which would switch
/// the rule off.
fn bounds(score: f64, impure: bool, threshold: f64) -> (f64, f64) {
    let size = score.abs();
    let growth = if impure { 1.0 } else { GROWTH };
    let most = (size * growth).min(threshold - SHORT_OF_PROOF).max(size);
    let least = STEP.min(size);
    if score > 0.0 { (least, most) } else { (-most, -least) }
}

/// True where too many hits are of the class that the score does not mean.
fn is_impure(score: f64, hits: (usize, usize), all: (usize, usize)) -> bool {
    let spam = ratio(hits.0, all.0);
    let ham = ratio(hits.1, all.1);
    let right = if score < 0.0 { ham } else { spam };
    right < PURITY * (spam + ham)
}

/// To a whole step, unless it is hardly a change.
fn rounded(weight: f64, feature: &Feature) -> f64 {
    let steps = (1.0 / STEP).round();
    let rounded = (weight * steps).round() / steps;
    let (low, high) = feature.bounds;
    let rounded = rounded.clamp(low, high);
    if (rounded - feature.score).abs() < STEP { feature.score } else { rounded }
}

#[cfg(test)]
mod tests;
