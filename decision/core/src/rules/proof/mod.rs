//! What can be said of rules without a call: that one is never truer than another, that one is never true.
//!
//! Truths are ordered *false* < *indeterminate* < *true*. A rule is the least of its checks, `[*]` the least and `[?]` the
//! greatest of its elements, and `not` turns the order round. So whatever holds of one value of a field holds of the
//! whole check, and whatever holds of checks holds of rules.
//!
//! Every answer is a proof: "yes" is true of every call, "no" only means that none was found. Looked at are checks of the
//! *same* path with the *same* normalisation: equal ones, `equals` and `in`, bounds, `prefix`, `suffix`, `contains`,
//! `format`, `length`, `isTrue`, `exists`, `absent`. Not looked at: what several rules say together, what a schema or a
//! registry's entries leave over, patterns (but for [`Breadth`]), hosts, windows, sums.

mod compare;
mod conflict;
mod pattern;
mod shadow;

use super::equal::Comparable;
use super::exact::Exact;
use super::format;
use super::number::Side;
use super::resolve::{Names, Resolved};
use crate::path::{Path, Step};
use crate::policy::{Amount, Check, Currency, Format, Normalize, Predicate, Scalar, Sum, SumBound};
use crate::tool::Operation;

pub use pattern::Breadth;
pub use shadow::{Place, Shadow, shadow};

/// Whether `lower` is never truer than `upper`, in any call of an operation of this declaration.
pub fn at_most(lower: &[Check], upper: &[Check], operation: &Operation) -> bool {
    upper.iter().all(|upper| lower.iter().any(|lower| compare::at_most(lower, upper, operation)))
}

/// Whether `upper` is true whenever `lower` is. Weaker than [`at_most`], which also says what happens where `lower` cannot
/// be told.
pub fn implies(lower: &[Check], upper: &[Check], operation: &Operation) -> bool {
    upper.iter().all(|upper| lower.iter().any(|lower| compare::implies(lower, upper, operation)))
}

/// Two checks that are never true together, by their places. None: no such two were found.
pub fn never_true(when: &[Check], operation: &Operation) -> Option<(usize, usize)> {
    when.iter().enumerate().find_map(|(at, check)| {
        let mut before = when.iter().take(at).enumerate();
        before.find(|(_, other)| conflict::excludes(other, check, operation)).map(|(earlier, _)| (earlier, at))
    })
}

/// Whether the check is true only of a number, or a sum, that a constant bounds from above.
pub fn bounds_from_above(check: &Check) -> bool {
    let numbers =
        |scalars: &[Scalar]| scalars.iter().all(|one| number(&Comparable::of_rule(one, check.normalize)).is_some());
    match &check.predicate {
        Predicate::AtMost(_)
        | Predicate::LessThan(_)
        | Predicate::SumAtMost(Sum { bound: SumBound::Value(_), .. })
        | Predicate::SumEquals(Sum { bound: SumBound::Value(_), .. }) => !check.not,
        Predicate::AtLeast(_) | Predicate::GreaterThan(_) => check.not,
        Predicate::Equals(scalar) => !check.not && numbers(std::slice::from_ref(scalar)),
        Predicate::In(scalars) => !check.not && numbers(scalars),
        _ => false,
    }
}

/// Whether the check is true of every number, or every sum, above a constant: what a rule asks that denies or holds
/// amounts which are too large.
pub fn catches_from_above(check: &Check) -> bool {
    match &check.predicate {
        Predicate::AtLeast(_) | Predicate::GreaterThan(_) => !check.not,
        Predicate::AtMost(_) | Predicate::LessThan(_) | Predicate::SumAtMost(Sum { bound: SumBound::Value(_), .. }) => {
            check.not
        }
        _ => false,
    }
}

/// What a check asks of one value, as far as proofs know it.
enum Asked<'a> {
    OneOf(Vec<Comparable<'static>>),
    OnSide {
        side: Side,
        value: Exact,
        currency: Option<&'a Currency>,
    },
    Text(Text<'a>),
    Length {
        min: u32,
        max: u32,
    },
    IsTrue(bool),
    Exists,
    Absent,
    /// Known by being equal only.
    Other(&'a Predicate),
}

/// Questions about a text, which cannot be told of anything else.
enum Text<'a> {
    Prefix(String),
    Suffix(String),
    Contains(String),
    Format(&'a Format),
}

impl Text<'_> {
    fn holds(&self, normal: &str) -> bool {
        match self {
            Self::Prefix(prefix) => normal.starts_with(prefix.as_str()),
            Self::Suffix(suffix) => normal.ends_with(suffix.as_str()),
            Self::Contains(part) => normal.contains(part.as_str()),
            Self::Format(format) => format::is(**format, normal),
        }
    }
}

/// A check in the form that proofs compare: a bound of one value is never negated.
struct View<'a> {
    field: &'a Path,
    normalize: Normalize,
    not: bool,
    asked: Asked<'a>,
    /// How its path ranges over lists.
    range: Range,
}

/// How a path ranges over lists.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Range {
    One,
    All,
    /// `[?]` somewhere: two checks may be true of different elements.
    Any,
}

impl<'a> View<'a> {
    fn of(check: &'a Check, operation: &'a Operation) -> Self {
        let mut view = Self {
            field: &check.field,
            normalize: check.normalize,
            not: check.not,
            asked: Asked::of(check),
            range: range(&check.field, operation),
        };
        if let (Range::One, true, Asked::OnSide { side, .. }) = (view.range, view.not, &mut view.asked) {
            *side = side.opposite();
            view.not = false;
        }
        view
    }

    /// Whether both ask about the same values, read in the same way.
    fn beside(&self, other: &Self) -> bool {
        self.field == other.field && self.normalize == other.normalize
    }
}

impl<'a> Asked<'a> {
    fn of(check: &'a Check) -> Self {
        let normal = |text: &str| check.normalize.apply(text).into_owned();
        let scalar = |scalar| Comparable::of_rule(scalar, check.normalize);
        let on_side = |side, amount: &'a Amount| {
            let currency = amount.currency.as_ref();
            Exact::parse(&amount.value).map(|value| Self::OnSide { side, value, currency })
        };
        let known = match &check.predicate {
            Predicate::Equals(one) => Some(Self::OneOf(vec![scalar(one)])),
            Predicate::In(scalars) => Some(Self::OneOf(scalars.iter().map(scalar).collect())),
            Predicate::AtMost(amount) => on_side(Side::AtMost, amount),
            Predicate::AtLeast(amount) => on_side(Side::AtLeast, amount),
            Predicate::LessThan(amount) => on_side(Side::LessThan, amount),
            Predicate::GreaterThan(amount) => on_side(Side::GreaterThan, amount),
            Predicate::Prefix(text) => Some(Self::Text(Text::Prefix(normal(text)))),
            Predicate::Suffix(text) => Some(Self::Text(Text::Suffix(normal(text)))),
            Predicate::Contains(text) => Some(Self::Text(Text::Contains(normal(text)))),
            Predicate::Format(format) => Some(Self::Text(Text::Format(format))),
            Predicate::Length { min, max } => {
                Some(Self::Length { min: min.unwrap_or_default(), max: max.unwrap_or(u32::MAX) })
            }
            Predicate::IsTrue(value) => Some(Self::IsTrue(*value)),
            Predicate::Exists => Some(Self::Exists),
            Predicate::Absent => Some(Self::Absent),
            _ => None,
        };
        known.unwrap_or(Self::Other(&check.predicate))
    }
}

fn range(path: &Path, operation: &Operation) -> Range {
    let resolved = Resolved::of(path, Names::of(operation));
    resolved.steps().fold(Range::One, |range, step| match (range, step) {
        (Range::Any, _) | (_, Step::Any) => Range::Any,
        (Range::All, _) | (_, Step::All) => Range::All,
        (Range::One, Step::Key(_) | Step::Index(_)) => Range::One,
    })
}

/// The number that a value of a rule stands for, where it is one.
fn number(scalar: &Comparable<'_>) -> Option<Exact> {
    match scalar {
        Comparable::Number(number) => Some(*number),
        Comparable::Text(text) => Exact::parse(text),
        Comparable::Bool(_) => None,
    }
}
