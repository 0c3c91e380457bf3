//! What a message scores under given weights, as the verdict would have it.
//!
//! Comes in: symbols with their groups and bounds, caps of groups. Goes out: scores, and which
//! symbols could change them.

use std::collections::BTreeMap;

use crate::rules::GroupCap;

/// Symbols that hit a message, by index.
pub(super) type Pattern = Vec<usize>;

/// A symbol.
#[derive(Debug, Clone)]
pub(super) struct Feature {
    /// The score in force.
    pub score: f64,
    /// Least and greatest score; equal where it stays.
    pub bounds: (f64, f64),
    /// Index of its group's cap, if the group has one.
    pub group: Option<usize>,
    /// Good signs do not count beside it.
    pub active: bool,
}

/// Everything but the weights.
#[derive(Debug)]
pub(super) struct Model {
    pub features: Vec<Feature>,
    /// Least and greatest sum of each group.
    caps: Vec<(f64, f64)>,
    pub threshold: f64,
}

impl Model {
    /// `features` gets a function from a group's name to its index.
    pub(super) fn new(
        caps: &[GroupCap],
        threshold: f64,
        features: impl FnOnce(&dyn Fn(&str) -> Option<usize>) -> Vec<Feature>,
    ) -> Self {
        let indexes: BTreeMap<&str, usize> =
            caps.iter().enumerate().map(|(index, cap)| (&*cap.group, index)).collect();
        let features = features(&|group| indexes.get(group).copied());
        Self { features, caps: caps.iter().map(|cap| (cap.min, cap.max)).collect(), threshold }
    }

    /// The score of a message.
    pub(super) fn score(&self, weights: &[f64], pattern: &Pattern) -> f64 {
        self.score_and_movers(weights, pattern, &mut |_| {})
    }

    /// The score, and every symbol whose weight the score would follow: not those of a group at
    /// its cap, nor good signs beside active content.
    pub(super) fn score_and_movers(
        &self,
        weights: &[f64],
        pattern: &Pattern,
        mover: &mut dyn FnMut(usize),
    ) -> f64 {
        let features = || {
            pattern.iter().filter_map(|index| {
                Some((*index, self.features.get(*index)?, *weights.get(*index)?))
            })
        };
        let has_active = features().any(|(_, feature, _)| feature.active);
        let counts = |weight: f64| weight > 0.0 || !has_active;
        let mut score = 0.0;
        // Bad and good signs of each group, as far as they count.
        let mut sums: Vec<(usize, f64, f64)> = Vec::new();
        for (_, feature, weight) in features().filter(|(_, _, weight)| counts(*weight)) {
            let Some(group) = feature.group else {
                score += weight;
                continue;
            };
            let (bad, good) = (weight.max(0.0), weight.min(0.0));
            match sums.iter_mut().find(|(known, _, _)| *known == group) {
                Some((_, all_bad, all_good)) => {
                    *all_bad += bad;
                    *all_good += good;
                }
                None => sums.push((group, bad, good)),
            }
        }
        let capped = |(group, bad, good): &(usize, f64, f64)| {
            let (min, max) = self.caps.get(*group)?;
            let sum = bad + good;
            if sum > *max && *bad > 0.0 {
                Some(max.max(*good))
            } else if sum < *min && *good < 0.0 {
                Some(min.min(*bad))
            } else {
                None
            }
        };
        score += sums.iter().map(|sum| capped(sum).unwrap_or(sum.1 + sum.2)).sum::<f64>();
        for (index, feature, weight) in features() {
            let is_capped =
                sums.iter().any(|sum| Some(sum.0) == feature.group && capped(sum).is_some());
            if counts(weight) && !is_capped {
                mover(index);
            }
        }
        score
    }
}
