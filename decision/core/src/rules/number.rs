//! Comparisons with a bound, which may have a currency.

use std::cmp::Ordering;

use super::exact::Exact;
use super::resolve::{Found, Subject};
use crate::decision::Truth;
use crate::json::Value;
use crate::policy::{Currency, Normalize};

/// Which side of the bound a number must be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    AtMost,
    AtLeast,
    LessThan,
    GreaterThan,
}

impl Side {
    /// What is asked when the question is negated. What cannot be told stays so.
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::AtMost => Self::GreaterThan,
            Self::AtLeast => Self::LessThan,
            Self::LessThan => Self::AtLeast,
            Self::GreaterThan => Self::AtMost,
        }
    }

    /// Whether it bounds from above.
    pub(super) fn is_upper(self) -> bool {
        matches!(self, Self::AtMost | Self::LessThan)
    }

    /// Whether the bound itself is excluded.
    pub(super) fn is_strict(self) -> bool {
        matches!(self, Self::LessThan | Self::GreaterThan)
    }

    /// Whether a number that compares so with the bound is on the right side.
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::AtMost => ordering.is_le(),
            Self::AtLeast => ordering.is_ge(),
            Self::LessThan => ordering.is_lt(),
            Self::GreaterThan => ordering.is_gt(),
        }
    }
}

/// A bound, parsed.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) side: Side,
    pub(super) value: Exact,
    pub(super) currency: Option<Currency>,
}

impl Bound {
    /// Whether the number is on the right side. An amount in another currency, or in none, cannot be compared.
    pub(super) fn holds(
        &self,
        subject: Subject<'_>,
        normalize: Normalize,
        currency: Option<(&Currency, Found<'_>)>,
    ) -> Truth {
        if let Some((currency, found)) = currency
            && found.there().and_then(Subject::text) != Some(&currency.code)
        {
            return Truth::Indeterminate;
        }
        of(subject, normalize).map_or(Truth::Indeterminate, |number| self.side.holds(number.cmp(&self.value)).into())
    }
}

/// The number that a value stands for: a number, or a decimal written as a string.
pub(super) fn of(subject: Subject<'_>, normalize: Normalize) -> Option<Exact> {
    match subject {
        Subject::Json(Value::Number(number)) => Exact::of_number(number),
        _ => Exact::parse(&normalize.apply(subject.text()?)),
    }
}
