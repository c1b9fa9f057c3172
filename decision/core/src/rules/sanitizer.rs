//! What a `Sanitize` rule may say, as far as it can be told without knowing the operation.

use super::error::{RuleProblem, Wrong};
use crate::path::{Path, Root, Step};
use crate::policy::transform::{
    Action, Constant, MAX_CHARACTERS, MAX_KEPT, MAX_SCALE, MAX_SET_BYTES, MAX_SET_INTEGER, MAX_TRANSFORMS,
};
use crate::policy::{Check, Predicate, Transform};

/// Checks a rule's `when` and its transforms.
pub(super) fn check(when: &[Check], transforms: &[Transform]) -> Result<(), Wrong> {
    for (place, check) in when.iter().enumerate() {
        asks_only_the_request(check).map_err(|reason| wrong(format!("when[{place}]"), reason))?;
    }
    if transforms.is_empty() {
        return Err(wrong("sanitize".to_owned(), "needs at least one transform"));
    }
    if transforms.len() > MAX_TRANSFORMS {
        return Err(wrong("sanitize".to_owned(), "has more than 16 transforms"));
    }
    for (place, transform) in transforms.iter().enumerate() {
        of_the_arguments(&transform.field).map_err(|reason| wrong(format!("sanitize[{place}].field"), reason))?;
        let name = transform.action.name();
        fits(transform).map_err(|reason| wrong(format!("sanitize[{place}].{name}"), reason))?;
    }
    Ok(())
}

fn wrong(field: String, reason: &'static str) -> Wrong {
    (field, RuleProblem::NotSanitizing(reason))
}

/// What is sent must follow from the request and the bundle alone, or an approval for it would end with the clock; facts
/// are read with sanitized arguments, so no fact is there yet.
fn asks_only_the_request(check: &Check) -> Result<(), &'static str> {
    if matches!(check.predicate, Predicate::Document { .. }) {
        return Err("asks for the time of the call; a Sanitize rule looks at the request only");
    }
    if check.paths().into_iter().all(is_known_with_the_request) { Ok(()) } else { Err(NOT_OF_THE_REQUEST) }
}

/// What is wrong with a check that looks elsewhere.
pub(crate) const NOT_OF_THE_REQUEST: &str =
    "looks at a fact, a delegation or the time of the call; a Sanitize rule looks at the request only";

/// Whether a path leads to something that the request and the bundle give. An alias of another input is found where the
/// operation is known.
pub(crate) fn is_known_with_the_request(path: &Path) -> bool {
    match &path.root {
        Root::Arguments => true,
        Root::Input(input) => match input.as_str() {
            "agent" => true,
            "call" => path.first_key() != Some("time"),
            _ => false,
        },
    }
}

/// Whether a path names places in the arguments, or in an answer.
pub(crate) fn of_the_arguments(path: &Path) -> Result<(), &'static str> {
    if path.root != Root::Arguments {
        return Err("is no path into the arguments; only what is sent can be changed");
    }
    if path.steps.contains(&Step::Any) {
        return Err("must not have [?]; write [*] for every element");
    }
    Ok(())
}

/// Whether an action is within its bounds and has a place to act on.
pub(crate) fn fits(Transform { field, action }: &Transform) -> Result<(), &'static str> {
    match action {
        Action::Remove if matches!(field.steps.last(), Some(Step::Index(_))) => {
            Err("must not take one element out of a list, since the others would move; use [*] or set")
        }
        Action::Mask { keep, .. } if *keep > MAX_KEPT => Err("keeps at most 8 characters"),
        Action::Truncate { characters } if *characters > MAX_CHARACTERS => Err("leaves at most 1000000 characters"),
        Action::Round { scale, .. } if *scale > MAX_SCALE => Err("leaves at most 12 fraction digits"),
        Action::Set(Constant::Text(text)) if text.len() > MAX_SET_BYTES => Err("is longer than 256 bytes"),
        Action::Set(Constant::Integer(integer)) if integer.unsigned_abs() > MAX_SET_INTEGER.unsigned_abs() => {
            Err("is beyond 2^53")
        }
        Action::Remove | Action::Mask { .. } | Action::Set(_) | Action::Truncate { .. } | Action::Round { .. } => {
            Ok(())
        }
    }
}
