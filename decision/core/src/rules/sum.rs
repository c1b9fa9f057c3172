//! Sums over a list, exact.

use super::exact::Exact;
use super::number;
use super::resolve::{Found, Resolved, Scope, Subject};
use crate::decision::Truth;
use crate::json::Value;
use crate::path::Path;
use crate::policy::Normalize;

/// A sum and what it is compared with.
#[derive(Debug)]
pub(super) struct CompiledSum {
    pub(super) of: Path,
    pub(super) times: Option<Path>,
    pub(super) bound: SumLimit,
    /// `sumAtMost` rather than `sumEquals`.
    pub(super) at_most: bool,
}

/// What a sum is compared with.
#[derive(Debug)]
pub(super) enum SumLimit {
    OwnField,
    Field(Path),
    Value(Exact),
}

impl CompiledSum {
    /// The sum, or none where the list is missing or empty, an element is no number, the factors are more or fewer, or
    /// the result is out of range.
    pub(super) fn total<'a>(&'a self, scope: &'a Scope<'a>, normalize: Normalize) -> Option<Exact> {
        let terms = numbers(&self.of, scope, normalize)?;
        let Some(times) = &self.times else {
            return terms.into_iter().try_fold(Exact::ZERO, Exact::checked_add);
        };
        let factors = numbers(times, scope, normalize)?;
        if factors.len() != terms.len() {
            return None;
        }
        let mut pairs = terms.into_iter().zip(factors);
        pairs.try_fold(Exact::ZERO, |sum, (term, factor)| sum.checked_add(term.checked_mul(factor)?))
    }
}

/// Compares a sum with its limit, as seen from one value of the check's field.
pub(super) fn compare<'a>(
    sum: &'a CompiledSum,
    total: Option<Exact>,
    subject: Subject<'_>,
    normalize: Normalize,
    beside: impl Fn(&'a Path) -> Found<'a>,
) -> Truth {
    let limit = match &sum.bound {
        SumLimit::OwnField => number::of(subject, normalize),
        // The field itself is not compared, but it must be there, as for every predicate but `exists` and `absent`.
        SumLimit::Field(_) | SumLimit::Value(_) if matches!(subject, Subject::Json(Value::Null)) => None,
        SumLimit::Field(path) => beside(path).there().and_then(|subject| number::of(subject, normalize)),
        SumLimit::Value(value) => Some(*value),
    };
    match (total, limit) {
        (Some(total), Some(limit)) => (if sum.at_most { total <= limit } else { total == limit }).into(),
        _ => Truth::Indeterminate,
    }
}

/// The numbers of a list; none when it is missing or empty, or one of them is no number.
fn numbers<'a>(path: &'a Path, scope: &'a Scope<'a>, normalize: Normalize) -> Option<Vec<Exact>> {
    let path = Resolved::of(path, scope.names());
    if !path.is_list() {
        return None;
    }
    let mut numbers = Vec::new();
    let truth =
        scope.each(path, &mut |found, _| match found.there().and_then(|subject| number::of(subject, normalize)) {
            Some(number) => {
                numbers.push(number);
                Truth::True
            }
            None => Truth::False,
        });
    (truth == Truth::True).then_some(numbers)
}
