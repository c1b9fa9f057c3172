//! Equality: a string, a decimal or a boolean with another. A number and a decimal string compare as decimals; there is
//! no other coercion, and a comparison of different kinds is indeterminate.

use std::borrow::Cow;

use super::exact::Exact;
use super::resolve::{Found, Subject};
use crate::decision::Truth;
use crate::json::Value;
use crate::policy::{Normalize, Scalar};

/// A scalar, ready to be compared.
#[derive(Debug, Clone)]
pub(super) enum Comparable<'a> {
    Text(Cow<'a, str>),
    Number(Exact),
    Bool(bool),
}

impl Comparable<'static> {
    /// A value of a rule.
    pub(super) fn of_rule(scalar: &Scalar, normalize: Normalize) -> Self {
        match scalar {
            Scalar::Integer(integer) => Self::Number((*integer).into()),
            Scalar::Text(text) => Self::Text(Cow::Owned(normalize.apply(text).into_owned())),
        }
    }
}

impl<'a> Comparable<'a> {
    /// A value of the call; none for null, arrays, objects and numbers out of range.
    pub(super) fn of(subject: Subject<'a>, normalize: Normalize) -> Option<Self> {
        match subject {
            Subject::Text(text) => Some(Self::Text(normalize.apply(text))),
            Subject::Json(Value::String(text)) => Some(Self::Text(normalize.apply(text))),
            Subject::Json(Value::Number(number)) => Exact::of_number(number).map(Self::Number),
            Subject::Json(Value::Bool(value)) => Some(Self::Bool(*value)),
            Subject::Json(Value::Null | Value::Array(_) | Value::Object(_)) => None,
        }
    }

    /// Whether both are the same.
    pub(super) fn equals(&self, other: &Self) -> Truth {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => (a == b).into(),
            (Self::Number(a), Self::Number(b)) => (a == b).into(),
            (Self::Bool(a), Self::Bool(b)) => (a == b).into(),
            (Self::Text(text), Self::Number(number)) | (Self::Number(number), Self::Text(text)) => {
                Exact::parse(text).map_or(Truth::Indeterminate, |parsed| (parsed == *number).into())
            }
            (Self::Bool(_), _) | (_, Self::Bool(_)) => Truth::Indeterminate,
        }
    }
}

/// Whether the value is one of these: Kleene OR.
pub(super) fn one_of(values: &[Comparable<'_>], subject: Subject<'_>, normalize: Normalize) -> Truth {
    let Some(value) = Comparable::of(subject, normalize) else {
        return Truth::Indeterminate;
    };
    values.iter().map(|expected| value.equals(expected)).fold(Truth::False, Truth::or)
}

/// The other side of `equalsField`, kept while it stays the same value: a long text beside a long list is normalised
/// once, not once for each element.
#[derive(Default)]
pub(super) struct Seen<'a> {
    last: Option<(&'a Value, Option<Comparable<'a>>)>,
}

impl<'a> Seen<'a> {
    /// Whether the value equals the one that the other path leads to.
    pub(super) fn equals(&mut self, subject: Subject<'_>, other: Found<'a>, normalize: Normalize) -> Truth {
        let Some(value) = Comparable::of(subject, normalize) else {
            return Truth::Indeterminate;
        };
        let compare = |other: &Comparable<'a>| value.equals(other);
        match other.there() {
            None => Truth::Indeterminate,
            Some(text @ Subject::Text(_)) => {
                Comparable::of(text, normalize).as_ref().map_or(Truth::Indeterminate, compare)
            }
            Some(Subject::Json(other)) => {
                let kept = match self.last.take() {
                    Some((last, kept)) if std::ptr::eq(last, other) => kept,
                    _ => Comparable::of(Subject::Json(other), normalize),
                };
                let truth = kept.as_ref().map_or(Truth::Indeterminate, compare);
                self.last = Some((other, kept));
                truth
            }
        }
    }
}
