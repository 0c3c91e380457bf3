//! What a meta computes with: a value that may be unknown at a scan, a range of possible
//! values at load.

use super::meta::{Domain, Operator};
use super::test::Comparison;

/// A number, or unknown.
pub(super) type Known = Option<f64>;

/// What a truth counts.
pub(super) fn flag(value: bool) -> f64 {
    if value { 1.0 } else { 0.0 }
}

fn is_true(number: f64) -> bool {
    number != 0.0
}

/// Perl's integers; a float out of range is cut to the nearest one.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
#[expect(clippy::cast_precision_loss, reason = "metas count hits; nobody has 2^53 of them")]
fn exclusive_or(a: f64, b: f64) -> f64 {
    ((a as i64) ^ (b as i64)) as f64
}

impl Domain for Known {
    fn number(number: f64) -> Self {
        Some(number)
    }

    fn truth(self) -> Option<bool> {
        self.map(is_true)
    }

    fn negate(self) -> Self {
        self.map(|number| -number)
    }

    fn not(self) -> Self {
        self.map(|number| flag(!is_true(number)))
    }

    fn binary(operator: Operator, a: Self, b: Self) -> Self {
        let (a, b) = (a?, b?);
        let number = match operator {
            Operator::Add => a + b,
            Operator::Subtract => a - b,
            Operator::Multiply => a * b,
            Operator::Divide => a / b,
            Operator::Compare(comparison) => flag(comparison.holds(a, b)),
            Operator::ExclusiveOr => exclusive_or(a, b),
        };
        // A division by zero has no value, and nothing may score on it.
        number.is_finite().then_some(number)
    }

    fn and(a: Self, b: Self) -> Self {
        match (a.truth(), b.truth()) {
            (Some(false), _) => a,
            (Some(true), _) | (None, Some(false)) => b,
            (None, Some(true) | None) => None,
        }
    }

    fn or(a: Self, b: Self) -> Self {
        match (a.truth(), b.truth()) {
            (Some(true), _) => a,
            (Some(false), _) | (None, Some(true)) => b,
            (None, Some(false) | None) => None,
        }
    }

    fn choose(condition: Self, a: Self, b: Self) -> Self {
        if condition.truth()? { a } else { b }
    }
}

/// Every value an expression may have lies between the two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// Never hits.
    pub(super) const NEVER: Self = Self { low: 0.0, high: 0.0 };
    /// May hit or not.
    pub(super) const MAYBE: Self = Self { low: 0.0, high: 1.0 };
    const ANYTHING: Self = Self { low: f64::NEG_INFINITY, high: f64::INFINITY };

    /// True when a value other than 0 is possible.
    pub(super) fn can_hit(self) -> bool {
        self.truth() != Some(false)
    }

    fn around(values: [f64; 4]) -> Self {
        if values.iter().any(|value| value.is_nan()) {
            return Self::ANYTHING;
        }
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { low, high }
    }

    fn hull(self, other: Self) -> Self {
        Self { low: self.low.min(other.low), high: self.high.max(other.high) }
    }

    fn of(truth: Option<bool>) -> Self {
        truth.map_or(Self::MAYBE, |truth| Self::number(flag(truth)))
    }
}

impl Domain for Range {
    fn number(number: f64) -> Self {
        Self { low: number, high: number }
    }

    fn truth(self) -> Option<bool> {
        if self.low > 0.0 || self.high < 0.0 {
            Some(true)
        } else if self.low == 0.0 && self.high == 0.0 {
            Some(false)
        } else {
            None
        }
    }

    fn negate(self) -> Self {
        Self { low: -self.high, high: -self.low }
    }

    fn not(self) -> Self {
        Self::of(self.truth().map(|truth| !truth))
    }

    fn binary(operator: Operator, a: Self, b: Self) -> Self {
        let less = |a: Self, b: Self| {
            if a.high < b.low {
                Some(true)
            } else if a.low >= b.high {
                Some(false)
            } else {
                None
            }
        };
        let equal = if a.high < b.low || b.high < a.low {
            Some(false)
        } else if a == b && a.low >= a.high {
            Some(true)
        } else {
            None
        };
        match operator {
            Operator::Add => Self { low: a.low + b.low, high: a.high + b.high },
            Operator::Subtract => Self { low: a.low - b.high, high: a.high - b.low },
            Operator::Multiply => {
                Self::around([a.low * b.low, a.low * b.high, a.high * b.low, a.high * b.high])
            }
            Operator::Divide if b.truth() == Some(true) => {
                Self::around([a.low / b.low, a.low / b.high, a.high / b.low, a.high / b.high])
            }
            Operator::Divide | Operator::ExclusiveOr => Self::ANYTHING,
            Operator::Compare(comparison) => Self::of(match comparison {
                Comparison::Equal => equal,
                Comparison::NotEqual => equal.map(|equal| !equal),
                Comparison::Less => less(a, b),
                Comparison::Greater => less(b, a),
                Comparison::LessOrEqual => less(b, a).map(|less| !less),
                Comparison::GreaterOrEqual => less(a, b).map(|less| !less),
            }),
        }
    }

    fn and(a: Self, b: Self) -> Self {
        match a.truth() {
            Some(false) => a,
            Some(true) => b,
            None if b.truth() == Some(false) => b,
            None => b.hull(Self::NEVER),
        }
    }

    fn or(a: Self, b: Self) -> Self {
        match a.truth() {
            Some(true) => a,
            Some(false) => b,
            None => a.hull(b),
        }
    }

    fn choose(condition: Self, a: Self, b: Self) -> Self {
        match condition.truth() {
            Some(true) => a,
            Some(false) => b,
            None => a.hull(b),
        }
    }
}
