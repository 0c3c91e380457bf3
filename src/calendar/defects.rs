//! Collects defects: one per kind and place, and never more than a hundred.
//!
//! A hostile calendar can hold a million broken lines. The first hundred defects say all a
//! rule can use, so later ones are dropped before their place is even put into words.

use crate::message::{Defect, DefectKind};

/// Defects kept per message.
const MOST: usize = 100;

/// The defects of one reading.
#[derive(Debug, Default)]
pub(super) struct Defects {
    list: Vec<Defect>,
}

impl Defects {
    /// Adds a defect unless the same kind was already met at the same place.
    pub(super) fn add(
        &mut self,
        kind: DefectKind,
        place: impl Into<String>,
        detail: impl Into<String>,
    ) {
        if !self.takes(kind) {
            return;
        }
        let place = place.into();
        if self.list.iter().any(|known| known.kind == kind && known.place == place) {
            return;
        }
        if self.list.len() >= MOST {
            let ordinary = self.list.iter().rposition(|known| !known.kind.is_limit());
            if let Some(ordinary) = ordinary {
                self.list.remove(ordinary);
            }
        }
        self.list.push(Defect::new(kind, place, detail));
    }

    /// False when the defect would not be kept, so that callers need not describe a place.
    ///
    /// A limit is kept once even when the list is full: it says that the answer is partial,
    /// and rubbish must not be able to hide that.
    pub(super) fn takes(&self, kind: DefectKind) -> bool {
        self.list.len() < MOST
            || (kind.is_limit() && !self.list.iter().any(|known| known.kind == kind))
    }

    /// The defects in order of discovery.
    pub(super) fn into_list(self) -> Vec<Defect> {
        self.list
    }
}

/// A set of defect kinds already reported for one component, so that the same trouble on a
/// hundred thousand lines costs a bit test each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reported(u64);

impl Reported {
    /// True the first time it is asked for this kind.
    pub(super) fn first(&mut self, kind: DefectKind) -> bool {
        let bit = 1_u64 << (kind as u32 % u64::BITS);
        let first = self.0 & bit == 0;
        self.0 |= bit;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(added: &[(DefectKind, &str)], expected: usize) {
        let mut defects = Defects::default();
        for (kind, place) in added {
            defects.add(*kind, *place, "");
        }
        assert_eq!(defects.into_list().len(), expected, "{added:?}");
    }

    #[test]
    fn one_per_kind_and_place() {
        check(&[], 0);
        check(&[(DefectKind::BadValue, "a"), (DefectKind::BadValue, "a")], 1);
        check(&[(DefectKind::BadValue, "a"), (DefectKind::BadValue, "b")], 2);
        check(&[(DefectKind::BadValue, "a"), (DefectKind::Unclosed, "a")], 2);
    }

    #[test]
    fn never_more_than_a_hundred() {
        let mut defects = Defects::default();
        for number in 0..1_000 {
            defects.add(DefectKind::GarbageLine, format!("VEVENT[{number}]"), "");
        }
        assert!(!defects.takes(DefectKind::GarbageLine));
        defects.add(DefectKind::LimitTime, "", "");
        defects.add(DefectKind::LimitTime, "elsewhere", "");
        let list = defects.into_list();
        assert_eq!(list.len(), MOST);
        assert_eq!(list.iter().filter(|defect| defect.kind.is_limit()).count(), 1);
    }

    #[test]
    fn a_component_reports_a_kind_once() {
        let mut reported = Reported::default();
        assert!(reported.first(DefectKind::GarbageLine));
        assert!(!reported.first(DefectKind::GarbageLine));
        assert!(reported.first(DefectKind::LimitTime));
    }
}
