//! The data bounds of a delegation, asked as checks on dimensions.

use super::equal::Comparable;
use super::exact::Exact;
use super::number;
use super::predicate::{CompiledCheck, Question};
use super::resolve::Scope;
use super::{Inputs, explain};
use crate::decision::{FailedCheck, Truth};
use crate::delegation::{Bound, DataBound};
use crate::path::{Path, Root, Step};
use crate::policy::{Amount, Check, Currency, Normalize, Predicate, Scalar};
use crate::tool::{Class, Dimension};

/// The bounds that a call is not within, each as a check that failed.
///
/// A call is within a bound when the bound's dimension says so: not knowing is outside. A Read of an operation without that
/// dimension is within it; a Draft or Commit is not, since nobody could tell what it is about.
pub(crate) fn outside(bounds: &[DataBound], inputs: &Inputs<'_>) -> Vec<FailedCheck> {
    let scope = Scope::new(inputs);
    let mut failed = Vec::new();
    for bound in bounds {
        if inputs.call.class == Class::Read && !inputs.dimensions.contains_key(&bound.dimension) {
            continue;
        }
        let written = written(bound);
        let check = CompiledCheck {
            question: question(bound, &written),
            negated: false,
            normalize: written.normalize,
            field_text: written.field.to_string().into(),
            label: explain::label(&written).into(),
            limit: explain::limit(&written).into(),
            field: written.field,
        };
        let truth = check.ask(&scope);
        if truth != Truth::True {
            failed.push(explain::failed(&check, truth, &scope));
        }
    }
    failed
}

/// The bound as a rule would write it.
pub(crate) fn written(bound: &DataBound) -> Check {
    let predicate = match &bound.bound {
        Bound::In(values) => Predicate::In(values.iter().cloned().map(Scalar::Text).collect()),
        Bound::AtMost { value, currency } => Predicate::AtMost(Amount {
            value: value.clone(),
            currency: currency.clone().map(|code| Currency { code, field: path(Dimension::Currency) }),
        }),
    };
    let normalize = if bound.dimension == Dimension::Account { Normalize::Spaces } else { Normalize::Trim };
    Check { field: path(bound.dimension), not: false, normalize, predicate }
}

fn question(bound: &DataBound, written: &Check) -> Question {
    match (&bound.bound, &written.predicate) {
        (Bound::AtMost { value, .. }, Predicate::AtMost(amount)) => match Exact::parse(value) {
            Some(value) => {
                let (side, currency) = (number::Side::AtMost, amount.currency.clone());
                Question::OnSide(Box::new(number::Bound { side, value, currency }))
            }
            // No decimal, though lowering lets none pass: nothing is at most that.
            None => Question::OneOf(Vec::new()),
        },
        (_, Predicate::In(values)) => {
            Question::OneOf(values.iter().map(|scalar| Comparable::of_rule(scalar, written.normalize)).collect())
        }
        _ => Question::OneOf(Vec::new()),
    }
}

fn path(dimension: Dimension) -> Path {
    Path { root: Root::Input("dim".to_owned()), steps: vec![Step::Key(dimension.as_str().to_owned())] }
}
