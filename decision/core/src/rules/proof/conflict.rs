//! Two checks that are never true together.

use super::{Asked, Range, Text, View, compare, number};
use crate::policy::Check;
use crate::rules::equal::Comparable;
use crate::tool::Operation;

/// Whether no call makes both true.
pub(super) fn excludes(one: &Check, other: &Check, operation: &Operation) -> bool {
    if denies(one, other, operation) || denies(other, one, operation) {
        return true;
    }
    let (one, other) = (View::of(one, operation), View::of(other, operation));
    // Over `[?]` each may be true of an element of its own.
    if one.not || other.not || one.field != other.field || one.range == Range::Any {
        return false;
    }
    match (&one.asked, &other.asked) {
        (Asked::Absent, asked) | (asked, Asked::Absent) => !matches!(asked, Asked::Absent),
        _ if one.normalize != other.normalize => false,
        (one, other) => values_exclude(one, other) || values_exclude(other, one),
    }
}

/// Whether the first is a negation of something that is true whenever the second is.
fn denies(negated: &Check, check: &Check, operation: &Operation) -> bool {
    negated.not && compare::implies(check, &Check { not: false, ..negated.clone() }, operation)
}

/// Whether one value, read in one way, never makes both true.
fn values_exclude(one: &Asked<'_>, other: &Asked<'_>) -> bool {
    match (one, other) {
        (Asked::OneOf(some), Asked::OneOf(others)) => {
            !some.iter().any(|one| others.iter().any(|other| meet(one, other)))
        }
        (Asked::OneOf(values), Asked::OnSide { side, value: bound, .. }) => {
            !values.iter().any(|one| number(one).is_some_and(|number| side.holds(number.cmp(bound))))
        }
        (Asked::OneOf(values), Asked::Text(text)) => !values.iter().any(|one| match one {
            Comparable::Text(normal) => text.holds(normal),
            // Many texts are this number.
            Comparable::Number(_) | Comparable::Bool(_) => true,
        }),
        (Asked::OnSide { side, value, .. }, Asked::OnSide { side: other, value: bound, .. })
            if side.is_upper() && !other.is_upper() =>
        {
            value < bound || (value == bound && (side.is_strict() || other.is_strict()))
        }
        (Asked::Text(Text::Prefix(one)), Asked::Text(Text::Prefix(other))) => {
            !one.starts_with(other.as_str()) && !other.starts_with(one.as_str())
        }
        (Asked::Text(Text::Suffix(one)), Asked::Text(Text::Suffix(other))) => {
            !one.ends_with(other.as_str()) && !other.ends_with(one.as_str())
        }
        (Asked::Length { min, .. }, Asked::Length { max, .. }) => min > max,
        (Asked::IsTrue(one), Asked::IsTrue(other)) => one != other,
        // Nothing else can be told of a boolean.
        (Asked::IsTrue(_), Asked::OneOf(_) | Asked::OnSide { .. } | Asked::Text(_) | Asked::Length { .. }) => true,
        _ => false,
    }
}

/// Whether some value equals both: texts equal theirs, and a number every text that reads as it.
fn meet(one: &Comparable<'_>, other: &Comparable<'_>) -> bool {
    let same_text = matches!((one, other), (Comparable::Text(one), Comparable::Text(other)) if one == other);
    let same_number = number(one).is_some_and(|one| number(other) == Some(one));
    same_text || same_number
}
