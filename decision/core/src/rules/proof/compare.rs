//! Which of two checks is never truer than the other.

use super::{Asked, Range, Text, View, number};
use crate::policy::Check;
use crate::rules::equal::Comparable;
use crate::rules::exact::Exact;
use crate::rules::number::Side;
use crate::tool::Operation;

/// Whether `lower` is never truer than `upper`.
pub(super) fn at_most(lower: &Check, upper: &Check, operation: &Operation) -> bool {
    if lower == upper {
        return true;
    }
    let (lower, upper) = (View::of(lower, operation), View::of(upper, operation));
    lower.beside(&upper)
        && match (lower.not, upper.not) {
            (false, false) => asked_at_most(&lower.asked, &upper.asked),
            (true, true) => asked_at_most(&upper.asked, &lower.asked),
            _ => false,
        }
}

/// Whether `upper` is true whenever `lower` is.
pub(super) fn implies(lower: &Check, upper: &Check, operation: &Operation) -> bool {
    if at_most(lower, upper, operation) {
        return true;
    }
    let (lower, upper) = (View::of(lower, operation), View::of(upper, operation));
    if upper.not || lower.field != upper.field {
        return false;
    }
    match (&lower.asked, &upper.asked) {
        // Whatever is true of a value is true of one that is there.
        (asked, Asked::Exists) if lower.not => lower.range == Range::One && !matches!(asked, Asked::Exists),
        (asked, Asked::Exists) => !matches!(asked, Asked::Absent),
        // In its currency, so in any.
        (Asked::OnSide { side, value, .. }, Asked::OnSide { side: other, value: bound, currency: None }) => {
            !lower.not && lower.normalize == upper.normalize && side_at_most(*side, *value, *other, *bound)
        }
        _ => false,
    }
}

/// For every value: if the first is true so is the second, and if the second is false so is the first.
fn asked_at_most(lower: &Asked<'_>, upper: &Asked<'_>) -> bool {
    match (lower, upper) {
        (Asked::OneOf(some), Asked::OneOf(more)) => {
            some.iter().all(|one| more.iter().any(|other| scalar_at_most(one, other)))
        }
        // Values that are all numbers can be told wherever the bound can.
        (Asked::OneOf(values), Asked::OnSide { side, value: bound, currency: None }) => {
            values.iter().all(|one| number(one).is_some_and(|number| side.holds(number.cmp(bound))))
        }
        // Values that are all texts, and no numbers, can be told wherever a question about texts can.
        (Asked::OneOf(values), Asked::Text(text)) => values.iter().all(|one| match one {
            Comparable::Text(normal) => Exact::parse(normal).is_none() && text.holds(normal),
            Comparable::Number(_) | Comparable::Bool(_) => false,
        }),
        (
            Asked::OnSide { side, value, currency },
            Asked::OnSide { side: other, value: bound, currency: other_currency },
        ) => currency == other_currency && side_at_most(*side, *value, *other, *bound),
        (Asked::Text(lower), Asked::Text(upper)) => text_at_most(lower, upper),
        (Asked::Length { min, max }, Asked::Length { min: least, max: most }) => min >= least && max <= most,
        (Asked::IsTrue(one), Asked::IsTrue(other)) => one == other,
        (Asked::Exists, Asked::Exists) | (Asked::Absent, Asked::Absent) => true,
        (Asked::Other(one), Asked::Other(other)) => one == other,
        _ => false,
    }
}

fn scalar_at_most(lower: &Comparable<'_>, upper: &Comparable<'_>) -> bool {
    match (lower, upper) {
        (Comparable::Text(one), Comparable::Text(other)) => one == other,
        (Comparable::Number(one), Comparable::Number(other)) => one == other,
        // A text of other spelling is no equal of the text, but of the number.
        (Comparable::Text(text), Comparable::Number(number)) => Exact::parse(text) == Some(*number),
        _ => false,
    }
}

fn side_at_most(side: Side, value: Exact, other: Side, bound: Exact) -> bool {
    let loosened = other.is_strict() && !side.is_strict();
    match (side.is_upper(), other.is_upper()) {
        (true, true) => {
            if loosened {
                value < bound
            } else {
                value <= bound
            }
        }
        (false, false) => {
            if loosened {
                value > bound
            } else {
                value >= bound
            }
        }
        _ => false,
    }
}

fn text_at_most(lower: &Text<'_>, upper: &Text<'_>) -> bool {
    match (lower, upper) {
        (Text::Prefix(long), Text::Prefix(short)) => long.starts_with(short.as_str()),
        (Text::Suffix(long), Text::Suffix(short)) => long.ends_with(short.as_str()),
        (Text::Prefix(long) | Text::Suffix(long) | Text::Contains(long), Text::Contains(short)) => {
            long.contains(short.as_str())
        }
        (Text::Format(one), Text::Format(other)) => one == other,
        _ => false,
    }
}
