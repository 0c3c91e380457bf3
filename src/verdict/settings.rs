//! Profiles: other scores and thresholds for some of the requests, as Rspamd's settings.
//!
//! Comes in: what the configuration or a caller wants changed. Goes out: hits and thresholds with
//! the changes made. A request without a profile costs nothing.
//! Not an error: names of symbols and groups that do not exist. Rules come and go, settings stay.
//!
//! Symbols that a profile disables are taken away after the rules were asked: a meta rule over
//! them goes on to hit, unless it is disabled too.

use std::collections::{BTreeMap, BTreeSet};

use super::{Action, Thresholds};
use crate::rules::Hit;

/// Largest score of a profile, either way: with larger ones sums are no numbers any more.
const LARGEST: f64 = 10_000.0;

/// What is different for a request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Profile {
    /// Where actions begin; `None` switches one off. The others stay where they are.
    pub actions: BTreeMap<Action, Option<f64>>,
    /// Scores before caps, by symbol.
    pub scores: BTreeMap<String, f64>,
    /// Symbols that do not hit.
    pub symbols_disabled: BTreeSet<String>,
    /// Groups of which no symbol hits.
    pub groups_disabled: BTreeSet<String>,
    /// Where these two name anything, nothing else hits.
    pub symbols_enabled: BTreeSet<String>,
    /// The same by group.
    pub groups_enabled: BTreeSet<String>,
}

impl Profile {
    /// True when it changes nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Another profile with this one on top.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        let mut sum = base.clone();
        sum.actions.extend(self.actions);
        sum.scores.extend(self.scores);
        sum.symbols_disabled.extend(self.symbols_disabled);
        sum.groups_disabled.extend(self.groups_disabled);
        // "Only these" of the caller takes the place of "only those" below.
        if !self.symbols_enabled.is_empty() || !self.groups_enabled.is_empty() {
            sum.symbols_enabled = self.symbols_enabled;
            sum.groups_enabled = self.groups_enabled;
        }
        sum
    }

    /// Thresholds with the changes made.
    pub fn thresholds(&self, base: &Thresholds) -> Thresholds {
        let mut thresholds = base.clone();
        for (action, limit) in &self.actions {
            let place = match action {
                // What is done when nothing else is has no threshold.
                Action::NoAction => continue,
                Action::Greylist => &mut thresholds.greylist,
                Action::AddHeader => &mut thresholds.add_header,
                Action::Quarantine => &mut thresholds.quarantine,
                Action::Reject => &mut thresholds.reject,
                Action::Discard => &mut thresholds.discard,
            };
            *place = *limit;
        }
        thresholds
    }

    /// Takes hits away and gives others their score.
    pub(super) fn apply(&self, hits: &mut Vec<Hit>) {
        hits.retain(|hit| self.wants(hit));
        for hit in hits {
            if let Some(score) = self.scores.get(&*hit.symbol) {
                hit.score = score.clamp(-LARGEST, LARGEST);
            }
        }
    }

    fn wants(&self, hit: &Hit) -> bool {
        let named = |symbols: &BTreeSet<String>, groups: &BTreeSet<String>| {
            symbols.contains(&*hit.symbol)
                || hit.group.as_deref().is_some_and(|group| groups.contains(group))
        };
        let only = !self.symbols_enabled.is_empty() || !self.groups_enabled.is_empty();
        (!only || named(&self.symbols_enabled, &self.groups_enabled))
            && !named(&self.symbols_disabled, &self.groups_disabled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Origin;
    use crate::rules::Flags;

    fn hit(symbol: &str, group: Option<&str>, score: f64) -> Hit {
        Hit {
            symbol: symbol.into(),
            score,
            group: group.map(Into::into),
            description: None,
            flags: Flags::default(),
            origin: Origin::Calendar,
            evidence: Vec::new(),
            events: Vec::new(),
        }
    }

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn symbols_and_groups_come_and_go() {
        #[track_caller]
        fn check(profile: &Profile, expected: &[(&str, f64)]) {
            let mut hits = vec![
                hit("A", Some("content"), 1.0),
                hit("B", Some("links"), 2.0),
                hit("C", None, -3.0),
            ];
            profile.apply(&mut hits);
            let left: Vec<(&str, f64)> = hits.iter().map(|hit| (&*hit.symbol, hit.score)).collect();
            assert_eq!(left, expected);
        }
        check(&Profile::default(), &[("A", 1.0), ("B", 2.0), ("C", -3.0)]);
        let scores = BTreeMap::from([("A".to_owned(), 0.0), ("NO_SUCH".to_owned(), 9.0)]);
        check(&Profile { scores, ..Profile::default() }, &[("A", 0.0), ("B", 2.0), ("C", -3.0)]);
        let scores = BTreeMap::from([("A".to_owned(), 1e308), ("C".to_owned(), -1e308)]);
        check(
            &Profile { scores, ..Profile::default() },
            &[("A", 10_000.0), ("B", 2.0), ("C", -10_000.0)],
        );
        check(
            &Profile { symbols_disabled: names(&["C", "X"]), ..Profile::default() },
            &[("A", 1.0), ("B", 2.0)],
        );
        check(
            &Profile { groups_disabled: names(&["content"]), ..Profile::default() },
            &[("B", 2.0), ("C", -3.0)],
        );
        check(
            &Profile { groups_enabled: names(&["content"]), ..Profile::default() },
            &[("A", 1.0)],
        );
        check(
            &Profile {
                symbols_enabled: names(&["C", "B"]),
                symbols_disabled: names(&["B"]),
                ..Profile::default()
            },
            &[("C", -3.0)],
        );
    }

    #[test]
    fn a_profile_lies_on_another() {
        let base = Profile {
            actions: BTreeMap::from([(Action::Reject, Some(20.0)), (Action::Greylist, None)]),
            scores: BTreeMap::from([("A".to_owned(), 1.0), ("B".to_owned(), 1.0)]),
            groups_enabled: names(&["content"]),
            ..Profile::default()
        };
        let top = Profile {
            actions: BTreeMap::from([(Action::Reject, None), (Action::Discard, Some(30.0))]),
            scores: BTreeMap::from([("B".to_owned(), 2.0)]),
            symbols_enabled: names(&["B"]),
            ..Profile::default()
        };
        let sum = top.over(&base);
        assert_eq!(sum.scores.get("B"), Some(&2.0));
        assert_eq!(sum.scores.get("A"), Some(&1.0));
        assert!(sum.groups_enabled.is_empty());
        let expected = Thresholds {
            greylist: None,
            reject: None,
            discard: Some(30.0),
            ..Thresholds::default()
        };
        assert_eq!(sum.thresholds(&Thresholds::default()), expected);
        assert_eq!(Profile::default().over(&base), base);
        assert!(Profile::default().is_empty() && !base.is_empty());
    }
}
