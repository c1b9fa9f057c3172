//! Rules that never decide, since another one does wherever they would.

use super::{at_most, implies};
use crate::policy::{Check, Effect, Policy, Rule};
use crate::tool::Operation;

/// A rule with its place in the order in which rules are named: by policy, then as written.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Its policy.
    pub policy: &'a Policy,
    /// Its index in the policy.
    pub index: usize,
    /// The rule.
    pub rule: &'a Rule,
}

/// Why a rule never decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shadow {
    /// The other one, of the same effect, comes first wherever this one holds.
    Earlier,
    /// The other one denies wherever this one holds.
    Denied,
}

impl Place<'_> {
    fn is_before(&self, other: &Self) -> bool {
        (&self.policy.name, self.index) < (&other.policy.name, other.index)
    }

    /// Whether it takes part wherever the other does, as far as agents go.
    pub fn covers_agents_of(&self, other: &Self) -> bool {
        self.policy.covers_agents_of(other.policy)
    }

    /// Whether it is a rule on that operation of that tool.
    pub fn is_about(&self, tool: &str, operation: &str) -> bool {
        self.policy.tools.iter().any(|name| name == tool) && self.rule.applies_to(operation)
    }
}

/// Whether `rule` never decides about calls of that operation because of `other`.
///
/// - An `Allow` rule decides only where it is true, no `Deny` rule is true or indeterminate, and no `Allow` rule before it
///   is true.
/// - A `Deny` rule decides where it is true or indeterminate, and none before it is so; of those that are true the first.
/// - A `RequireApproval` rule is the one named where it is true or indeterminate, and none before it is so. One that asks
///   another tier, or for a longer wait, has its effect nevertheless.
pub fn shadow(rule: &Place<'_>, other: &Place<'_>, tool: &str, operation: &Operation) -> Option<Shadow> {
    let is_same = rule.policy.name == other.policy.name && rule.index == other.index;
    if is_same || !other.covers_agents_of(rule) || !other.is_about(tool, &operation.name) {
        return None;
    }
    let (when, wider): (&[Check], &[Check]) = (&rule.rule.when, &other.rule.when);
    let first = other.is_before(rule);
    match (&rule.rule.effect, &other.rule.effect) {
        (Effect::Allow, Effect::Allow) => (first && implies(when, wider, operation)).then_some(Shadow::Earlier),
        (Effect::Deny, Effect::Deny) => (first && at_most(when, wider, operation)).then_some(Shadow::Earlier),
        (
            Effect::RequireApproval { tier, hold_seconds },
            Effect::RequireApproval { tier: other_tier, hold_seconds: other_hold },
        ) => {
            let asks_the_same = tier == other_tier && hold_seconds <= other_hold;
            (first && asks_the_same && at_most(when, wider, operation)).then_some(Shadow::Earlier)
        }
        (Effect::Allow, Effect::Deny) => implies(when, wider, operation).then_some(Shadow::Denied),
        (Effect::RequireApproval { .. }, Effect::Deny) => at_most(when, wider, operation).then_some(Shadow::Denied),
        _ => None,
    }
}
