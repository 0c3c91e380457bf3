//! Digests that events of one campaign share. To be replaced.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{EventFacts, Facts};

/// Keys of a text.
pub const BANDS: usize = 16;

/// Keys that two texts of one campaign have in common, at least.
pub const AGREEING: usize = 3;

/// What one event has in common with others of its campaign.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Digests {
    /// Keys of the text, in which two events agree [`AGREEING`] times or more.
    pub bands: Option<[u64; BANDS]>,
    /// All phone numbers.
    pub phones: Option<u64>,
    /// Registered domains of all links.
    pub links: Option<u64>,
}

/// Those who were seen under at least [`AGREEING`] of an event's keys.
pub fn agreeing<T: Ord + Copy>(
    bands: impl IntoIterator<Item = impl IntoIterator<Item = T>>,
) -> BTreeSet<T> {
    let mut seen: BTreeMap<T, usize> = BTreeMap::new();
    for band in bands {
        for who in band.into_iter().collect::<BTreeSet<T>>() {
            *seen.entry(who).or_default() += 1;
        }
    }
    seen.into_iter().filter(|(_, keys)| *keys >= AGREEING).map(|(who, _)| who).collect()
}

/// The digests of one event.
pub fn digest(_: &EventFacts<'_>, _: &Facts<'_>) -> Digests {
    Digests::default()
}
