//! A `calendar` test: what it asks of the values of a fact, and whether they answer.
//!
//! Comes in: a [`Test`] and the [`Answer`]s of its facts. Goes out: true, false or unknown,
//! and for a test that holds the values that made it hold.
//! Not an error: a fact without values. Nothing holds for it, not even `!=`.
//!
//! The relation is looked at value by value (`relation`); how many values must be related,
//! and what a negated operator makes of it, is counted in a [`Tally`]. A tally can be fed
//! from many events, which is all that `message(FACT)` is.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::facts::{Answer, Datum, FactId, Kind, Place, Value, text};
use crate::wordlists::WordList;

use super::domain::Known;
use super::pattern::{Found, Pattern};
use super::units;

/// How many values have to be related.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// At least one.
    Any,
    /// At least one exists, and every one is.
    All,
    /// At least one of all events' values together.
    Joined,
}

/// `== != < <= > >=`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Reads an operator.
    pub(super) fn read(text: &str) -> Option<Self> {
        Some(match text {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The operator as written.
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// True for the two that strings know.
    pub(super) const fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }

    /// Whether it holds between two numbers.
    pub(super) fn holds(self, a: f64, b: f64) -> bool {
        self.related(a, b) != (self == Self::NotEqual)
    }

    /// The relation between two numbers; `!=` is counted as a negated `==`.
    pub(super) fn related(self, a: f64, b: f64) -> bool {
        match (self, a.partial_cmp(&b)) {
            (_, None) => false,
            (Self::Equal | Self::NotEqual, Some(order)) => order == Ordering::Equal,
            (Self::Less, Some(order)) => order == Ordering::Less,
            (Self::LessOrEqual, Some(order)) => order != Ordering::Greater,
            (Self::Greater, Some(order)) => order == Ordering::Greater,
            (Self::GreaterOrEqual, Some(order)) => order != Ordering::Less,
        }
    }
}

/// What is asked of each value.
#[derive(Debug)]
pub(super) enum Check {
    /// `exists:FACT`
    Exists,
    /// A bare fact: true, or a number other than 0.
    Truth,
    /// `=~` and `!~`
    Match {
        /// `!~`
        negated: bool,
        /// The regex.
        pattern: Arc<Pattern>,
    },
    /// `==` and `!=` with text, in lower case.
    Text {
        /// `!=`
        negated: bool,
        /// The text.
        text: String,
    },
    /// A comparison with a number, duration or size.
    Number {
        /// The operator.
        comparison: Comparison,
        /// The number, in seconds or bytes.
        number: f64,
    },
    /// `in FILE`
    List {
        /// The list.
        list: Arc<WordList>,
        /// `unless FACT`: entries that own one of its values do not count.
        unless: Option<FactId>,
    },
    /// A comparison with another fact.
    Fact {
        /// The operator.
        comparison: Comparison,
        /// The other fact.
        other: FactId,
    },
}

/// A `calendar` test.
#[derive(Debug)]
pub(super) struct Test {
    /// The fact asked.
    pub(super) fact: FactId,
    /// How many of its values.
    pub(super) quantifier: Quantifier,
    /// What of each.
    pub(super) check: Check,
    /// Related values that are counted (`tflags multiple`); the rest is not looked at.
    pub(super) most: usize,
}

impl Test {
    /// Every fact the test reads.
    pub(super) fn facts(&self) -> impl Iterator<Item = FactId> {
        std::iter::once(self.fact).chain(self.other())
    }

    /// The second fact, if there is one.
    pub(super) fn other(&self) -> Option<FactId> {
        match &self.check {
            Check::Fact { other, .. } => Some(*other),
            Check::List { unless, .. } => *unless,
            Check::Exists
            | Check::Truth
            | Check::Match { .. }
            | Check::Text { .. }
            | Check::Number { .. } => None,
        }
    }

    /// True for `!=` and `!~`: they hold when a value exists and none is related.
    pub(super) fn is_negated(&self) -> bool {
        match &self.check {
            Check::Match { negated, .. } | Check::Text { negated, .. } => *negated,
            Check::Number { comparison, .. } | Check::Fact { comparison, .. } => {
                *comparison == Comparison::NotEqual
            }
            Check::Exists | Check::Truth | Check::List { .. } => false,
        }
    }

    /// Counts the values of one answer. `other` is the answer of [`Self::other`]. `indexes`
    /// are the values worth looking at; the rest are known not to be related.
    /// `find` runs a regex.
    pub(super) fn count(
        &self,
        tally: &mut Tally,
        answer: &Answer<'_>,
        other: Option<&Answer<'_>>,
        indexes: impl Iterator<Item = usize>,
        find: &mut dyn FnMut(&Pattern, &[u8]) -> Found,
    ) {
        let Answer::Known(values) = answer else {
            tally.unknown = true;
            return;
        };
        if let (Check::Fact { .. }, Some(other)) = (&self.check, other) {
            match other {
                Answer::Unknown => tally.unknown = true,
                // Nothing to compare with: as if there was no value at all.
                Answer::Known(others) if others.is_empty() => return,
                Answer::Known(_) => {}
            }
        }
        tally.values += values.len();
        for datum in indexes.filter_map(|index| values.get(index)) {
            match self.relation(datum, other, find) {
                Relation::No => {}
                Relation::Unknown => tally.unknown = true,
                Relation::Yes(_) => {
                    tally.related += 1;
                    if self.quantifier != Quantifier::All && tally.related >= self.most {
                        return;
                    }
                }
            }
        }
    }

    /// Whether one value is related to the operand. A negated operator is not looked at here.
    fn relation(
        &self,
        datum: &Datum<'_>,
        other: Option<&Answer<'_>>,
        find: &mut dyn FnMut(&Pattern, &[u8]) -> Found,
    ) -> Relation {
        match (&self.check, &datum.value) {
            (Check::Exists, _) => Relation::Yes(Shown::Value),
            (Check::Truth, Value::Flag(flag)) => Relation::when(*flag, Shown::Value),
            (Check::Truth, Value::Number(number)) => {
                Relation::when(Comparison::Equal.related(*number, 0.0), Shown::Value).not()
            }
            (Check::Match { pattern, negated }, Value::Text(text)) => {
                match find(pattern, text.as_bytes()) {
                    Found::At(start, end) => Relation::Yes(Shown::Part(start, end)),
                    // A search cut short is no match, and no proof that there is none.
                    Found::Exhausted if *negated => Relation::Unknown,
                    Found::Nowhere | Found::Exhausted => Relation::No,
                }
            }
            (Check::Text { text, .. }, Value::Text(_)) => {
                Relation::when(datum.folded() == text, Shown::Value)
            }
            (Check::Number { comparison, number }, Value::Number(value)) => {
                Relation::when(comparison.related(*value, *number), Shown::Value)
            }
            (Check::List { list, .. }, Value::Text(text)) => {
                let other = other.unwrap_or(NOTHING);
                let itself = self.other() == Some(self.fact);
                listed(list, self.fact.fact().kind, datum, text, other, itself)
            }
            (Check::Fact { comparison, .. }, _) => {
                let others = other.map_or(&[][..], Answer::values);
                let found = others.iter().position(|other| match (&datum.value, &other.value) {
                    (Value::Number(a), Value::Number(b)) => comparison.related(*a, *b),
                    (Value::Text(_), Value::Text(_)) => datum.folded() == other.folded(),
                    (Value::Flag(a), Value::Flag(b)) => a == b,
                    (Value::Number(_) | Value::Text(_) | Value::Flag(_), _) => false,
                });
                found.map_or(Relation::No, |index| Relation::Yes(Shown::Against(index)))
            }
            // The loader has compared kinds; a value of another kind is related to nothing.
            (
                Check::Truth
                | Check::Match { .. }
                | Check::Text { .. }
                | Check::Number { .. }
                | Check::List { .. },
                Value::Text(_) | Value::Number(_) | Value::Flag(_),
            ) => Relation::No,
        }
    }

    /// What to show of a value that made the test hold; `None` when this one did not.
    pub(super) fn shown(
        &self,
        datum: &Datum<'_>,
        other: Option<&Answer<'_>>,
        find: &mut dyn FnMut(&Pattern, &[u8]) -> Found,
    ) -> Option<String> {
        let shown = match (self.relation(datum, other, find), self.is_negated()) {
            (Relation::Yes(shown), false) => shown,
            (Relation::No, true) if matches!(self.check, Check::Fact { .. }) => Shown::Against(0),
            (Relation::No, true) => Shown::Value,
            (Relation::Yes(_), true) | (Relation::No, false) | (Relation::Unknown, _) => {
                return None;
            }
        };
        let fact = self.fact.fact();
        let mut value = units::show(fact.kind, fact.name, &datum.value);
        // A number beside the property it stands in explains itself; that of a whole event or
        // mail does not.
        let explained = matches!(datum.place, Place::Property(..) | Place::Calendar(_));
        if matches!(datum.value, Value::Number(_)) && !explained {
            value = format!("{} {value}", fact.name);
        }
        Some(match (&self.check, shown) {
            (_, Shown::Part(start, end)) => match &datum.value {
                Value::Text(text) => text.get(start..end).unwrap_or(text).to_owned(),
                Value::Number(_) | Value::Flag(_) => value,
            },
            (_, Shown::Phrase(start, end)) => {
                text::part_of_plain(datum.folded(), start, end).to_owned()
            }
            (Check::Fact { comparison, other: id }, Shown::Against(index)) => {
                let operand = other.and_then(|other| other.values().get(index));
                let operand = operand
                    .map(|other| units::show(id.fact().kind, id.fact().name, &other.value))
                    .unwrap_or_default();
                format!("{value} {} {operand}", comparison.text())
            }
            (Check::Number { comparison, number }, _) => {
                let operand = units::show(fact.kind, fact.name, &Value::Number(*number));
                format!("{value} {} {operand}", comparison.text())
            }
            (
                Check::Exists
                | Check::Truth
                | Check::Match { .. }
                | Check::Text { .. }
                | Check::List { .. }
                | Check::Fact { .. },
                Shown::Value | Shown::Against(_),
            ) => value,
        })
    }
}

const NOTHING: &Answer<'_> = &Answer::Known(Vec::new());

/// Looks a value up in a list; entries that own one of the other fact's values, or with `itself`
/// the value looked up, do not count.
fn listed(
    list: &WordList,
    kind: Kind,
    datum: &Datum<'_>,
    text: &str,
    unless: &Answer<'_>,
    itself: bool,
) -> Relation {
    let owned = |entry: usize| {
        if itself {
            return list.owns(entry, text);
        }
        unless.values().iter().any(|value| match &value.value {
            Value::Text(domain) => {
                let host = domain.rsplit_once('@').map_or(&**domain, |(_, host)| host);
                list.owns(entry, host)
            }
            Value::Number(_) | Value::Flag(_) => false,
        })
    };
    let found = match kind {
        Kind::Domain => list.domain(text).filter(|e| !owned(*e)).map(|_| Shown::Value),
        Kind::Address => list.address(text).filter(|e| !owned(*e)).map(|_| Shown::Value),
        Kind::Text => list
            .phrases(datum.notes(|text| list.book().read(text)))
            .find(|found| !owned(found.entry as usize))
            .map(|found| Shown::Phrase(found.start as usize, found.end as usize)),
        Kind::Number | Kind::Duration | Kind::Size | Kind::Flag => None,
    };
    match (found, unless) {
        (None, _) => Relation::No,
        (Some(_), Answer::Unknown) => Relation::Unknown,
        (Some(shown), Answer::Known(_)) => Relation::Yes(shown),
    }
}

/// Whether one value is related to the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    No,
    Unknown,
    Yes(Shown),
}

impl Relation {
    fn when(related: bool, shown: Shown) -> Self {
        if related { Self::Yes(shown) } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes(Shown::Value),
            Self::Unknown => Self::Unknown,
            Self::Yes(_) => Self::No,
        }
    }
}

/// What of a related value is worth showing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// All of it.
    Value,
    /// A byte range of the text.
    Part(usize, usize),
    /// A byte range of the plain text.
    Phrase(usize, usize),
    /// The value, and the one of the other fact it was compared with.
    Against(usize),
}

/// Values counted, of one event or of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    values: usize,
    related: usize,
    unknown: bool,
}

impl Tally {
    /// True, false or (`None`) unknown.
    pub(super) fn result(self, test: &Test) -> Option<bool> {
        let negated = test.is_negated();
        if test.quantifier == Quantifier::All && !negated {
            return if self.unknown {
                None
            } else {
                Some(self.values > 0 && self.related == self.values)
            };
        }
        match (self.related > 0, self.unknown) {
            (true, _) => Some(!negated),
            (false, true) => None,
            (false, false) => Some(negated && self.values > 0),
        }
    }

    /// The same as the value of the rule: with `tflags multiple` the number of values.
    pub(super) fn value(self, test: &Test) -> Known {
        let counts = test.quantifier != Quantifier::All && !test.is_negated();
        self.result(test).map(|holds| match (holds, counts) {
            (false, _) => 0.0,
            (true, false) => 1.0,
            (true, true) => {
                f64::from(u32::try_from(self.related.min(test.most)).unwrap_or(u32::MAX))
            }
        })
    }
}

#[cfg(test)]
#[path = "test_tests.rs"]
mod tests;
