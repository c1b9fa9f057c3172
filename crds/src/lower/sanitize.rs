//! Transforms and redactions to core values. Whether paths, patterns and operations fit is found when they are compiled.

use aegis_decision::policy::Transform;
use aegis_decision::policy::transform::{Action, Constant, End, MAX_TRANSFORMS, Rounding};
use aegis_decision::sanitize::Redactor;
use aegis_decision::tool::{Redaction, ResponseRules};

use super::{Invalid, text};
use crate::api::sanitize as api;

/// The transforms of a rule.
pub(super) fn transforms(transforms: &[api::Transform], field: &str) -> Result<Vec<Transform>, Invalid> {
    if transforms.is_empty() {
        return Err(Invalid::new(field, "is missing; Sanitize says what it changes"));
    }
    if transforms.len() > MAX_TRANSFORMS {
        return Err(Invalid::new(field, format!("has more than {MAX_TRANSFORMS} transforms")));
    }
    transforms.iter().enumerate().map(|(at, one)| transform(one, &format!("{field}[{at}]"))).collect()
}

fn transform(one: &api::Transform, at: &str) -> Result<Transform, Invalid> {
    let api::Transform { field, remove, mask, set, truncate, round } = one;
    let set = set.as_ref().map(|constant| lower_constant(constant, &format!("{at}.set"))).transpose()?;
    let given = [
        removal(*remove, at)?,
        mask.as_ref().map(lower_mask),
        set.map(Action::Set),
        truncate.as_ref().map(lower_truncate),
        round.as_ref().map(lower_round),
    ];
    let action = exactly_one(given)
        .ok_or_else(|| Invalid::new(at, "has not exactly one of remove, mask, set, truncate and round"))?;
    Ok(Transform { field: text::path(field, &format!("{at}.field"))?, action })
}

/// What becomes of an operation's answers.
pub(super) fn response(response: Option<&api::Response>, field: &str) -> Result<ResponseRules, Invalid> {
    let Some(api::Response { redact }) = response else { return Ok(ResponseRules::default()) };
    let field = format!("{field}.redact");
    let redact: Vec<_> = redact
        .iter()
        .enumerate()
        .map(|(at, one)| redaction(one, &format!("{field}[{at}]")))
        .collect::<Result<_, _>>()?;
    // The error begins with the place and field of the redaction.
    Redactor::compile(&redact).map_err(|error| {
        let text = error.to_string();
        let (place, reason) = text.split_once(": ").unwrap_or(("", &text));
        Invalid::new(format!("{field}{place}"), reason)
    })?;
    Ok(ResponseRules { redact })
}

fn redaction(one: &api::Redaction, at: &str) -> Result<Redaction, Invalid> {
    let api::Redaction { path, pattern, remove, mask, truncate } = one;
    let path = path.as_deref().map(|path| text::path(path, &format!("{at}.path"))).transpose()?;
    let given = [removal(*remove, at)?, mask.as_ref().map(lower_mask), truncate.as_ref().map(lower_truncate)];
    let none = given.iter().all(Option::is_none);
    match (pattern, exactly_one(given), path) {
        (Some(pattern), _, field) if none => Ok(Redaction::Pattern { pattern: pattern.clone(), field }),
        (None, Some(action), Some(field)) => Ok(Redaction::At(Transform { field, action })),
        (None, Some(_), None) => Err(Invalid::new(format!("{at}.path"), "is missing; only a pattern needs none")),
        _ => Err(Invalid::new(at, "has not exactly one of pattern, remove, mask and truncate")),
    }
}

fn exactly_one<const N: usize>(given: [Option<Action>; N]) -> Option<Action> {
    let mut given = given.into_iter().flatten();
    given.next().filter(|_| given.next().is_none())
}

fn removal(remove: Option<bool>, at: &str) -> Result<Option<Action>, Invalid> {
    match remove {
        Some(false) => Err(Invalid::new(format!("{at}.remove"), "is false; leave it out")),
        Some(true) => Ok(Some(Action::Remove)),
        None => Ok(None),
    }
}

fn lower_mask(api::Mask { keep, end }: &api::Mask) -> Action {
    let end = match end {
        api::End::Start => End::Start,
        api::End::End => End::End,
    };
    Action::Mask { keep: *keep, end }
}

fn lower_truncate(api::Truncate { characters }: &api::Truncate) -> Action {
    Action::Truncate { characters: *characters }
}

fn lower_round(api::Round { scale, mode }: &api::Round) -> Action {
    let mode = match mode {
        api::Rounding::HalfEven => Rounding::HalfEven,
        api::Rounding::Down => Rounding::Down,
    };
    Action::Round { scale: *scale, mode }
}

fn lower_constant(constant: &api::Constant, field: &str) -> Result<Constant, Invalid> {
    match constant {
        api::Constant { text: Some(text), integer: None, boolean: None } => Ok(Constant::Text(text.clone())),
        api::Constant { text: None, integer: Some(integer), boolean: None } => Ok(Constant::Integer(*integer)),
        api::Constant { text: None, integer: None, boolean: Some(value) } => Ok(Constant::Boolean(*value)),
        _ => Err(Invalid::new(field, "has not exactly one of text, integer and boolean")),
    }
}
