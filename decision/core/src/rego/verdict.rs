//! The verdicts of a module: a set of objects, read strictly.

use std::collections::BTreeSet;

use regorus::Value;

use super::compile::Module;
use super::error::Failure;
use crate::policy::{Effect, MAX_HOLD_SECONDS};

/// Most verdicts of one module for one call.
pub const MAX_VERDICTS: usize = 32;
/// Most characters of a reason.
pub const MAX_REASON: usize = 64;
/// Most characters of a message.
pub const MAX_MESSAGE: usize = 256;

/// One verdict: counts as a rule that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it means.
    pub effect: Effect,
    /// Stable reason code, snake case.
    pub reason: String,
    /// Sentence for the agent and the approver.
    pub message: String,
}

/// Reads a set of `{effect, reason, message, approval?}`. Anything else is a failure: a verdict that cannot be read might
/// have been a denial.
pub(super) fn read(value: &Value, module: &Module) -> Result<Vec<Verdict>, Failure> {
    let set = match value {
        Value::Undefined => return Err(Failure::Undefined),
        Value::Set(set) => set,
        _ => return Err(Failure::Malformed("verdicts is no set")),
    };
    if set.len() > MAX_VERDICTS {
        return Err(Failure::Malformed("more than 32 verdicts"));
    }
    set.iter().map(|value| one(value, module)).collect()
}

fn one(value: &Value, module: &Module) -> Result<Verdict, Failure> {
    let [effect, reason, message, approval] =
        members(value, ["effect", "reason", "message", "approval"]).map_err(|NotAsked { is_object }| {
            Failure::Malformed(if is_object {
                "a verdict has a member that is none of effect, reason, message, approval"
            } else {
                "a verdict is no object"
            })
        })?;
    let reason = literal(reason, &module.texts).filter(|reason| is_reason(reason));
    let reason = reason.ok_or(Failure::Malformed("a reason is no snake case text of the module"))?;
    let message = literal(message, &module.texts).filter(|message| is_message(message));
    let message = message.ok_or(Failure::Malformed("a message is no text of the module, or too long"))?;
    let Some(Value::String(effect)) = effect else { return Err(Failure::Malformed("an effect is no text")) };
    let effect = match (&**effect, approval) {
        ("Allow", None) => Effect::Allow,
        ("Deny", None) => Effect::Deny,
        ("RequireApproval", Some(approval)) => asks(approval, module)?,
        ("RequireApproval", None) => return Err(Failure::Malformed("RequireApproval without approval")),
        ("Allow" | "Deny", Some(_)) => return Err(Failure::Malformed("an approval without RequireApproval")),
        _ => return Err(Failure::Malformed("an effect is none of Allow, Deny, RequireApproval")),
    };
    Ok(Verdict { effect, reason, message })
}

/// `{tier, holdSeconds?}`.
fn asks(approval: &Value, module: &Module) -> Result<Effect, Failure> {
    let [tier, hold_seconds] = members(approval, ["tier", "holdSeconds"]).map_err(|NotAsked { is_object }| {
        Failure::Malformed(if is_object {
            "an approval has a member that is neither tier nor holdSeconds"
        } else {
            "an approval is no object"
        })
    })?;
    let Some(Value::String(tier)) = tier else { return Err(Failure::Malformed("a tier is no text")) };
    if !module.tiers.iter().any(|known| **known == **tier) {
        return Err(Failure::Malformed("a tier is none of the policy's rego.tiers"));
    }
    let hold_seconds = match hold_seconds {
        None => 0,
        Some(Value::Number(seconds)) => seconds
            .as_u64()
            .and_then(|seconds| u32::try_from(seconds).ok())
            .filter(|seconds| *seconds <= MAX_HOLD_SECONDS)
            .ok_or(Failure::Malformed("holdSeconds is no integer from 0 to 300"))?,
        Some(_) => return Err(Failure::Malformed("holdSeconds is no integer from 0 to 300")),
    };
    Ok(Effect::RequireApproval { tier: (**tier).to_owned(), hold_seconds })
}

/// A value that is no object of the members that were asked for.
struct NotAsked {
    is_object: bool,
}

/// The members of these names, of an object that has no other. Looked up by name they would each cost a new text.
fn members<'v, const N: usize>(value: &'v Value, names: [&str; N]) -> Result<[Option<&'v Value>; N], NotAsked> {
    let Value::Object(object) = value else { return Err(NotAsked { is_object: false }) };
    let mut found = [None; N];
    for (key, member) in object.iter() {
        let Value::String(key) = key else { return Err(NotAsked { is_object: true }) };
        let asked = names.iter().zip(&mut found).find(|(name, _)| ***name == **key);
        let (_, place) = asked.ok_or(NotAsked { is_object: true })?;
        *place = Some(member);
    }
    Ok(found)
}

/// A text that stands in the module. So no value of the call gets into answers and records by way of a message.
fn literal(value: Option<&Value>, texts: &BTreeSet<String>) -> Option<String> {
    match value {
        Some(Value::String(text)) if texts.contains(&**text) => Some((**text).to_owned()),
        _ => None,
    }
}

fn is_reason(text: &str) -> bool {
    let of_code = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.len() <= MAX_REASON && text.bytes().all(of_code)
}

fn is_message(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_MESSAGE && !text.chars().any(char::is_control)
}
