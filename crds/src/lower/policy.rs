//! `ToolPolicy` to the core's policy. Its tests are not part of it: they are run against a bundle that holds it.

use aegis_decision::policy::{Effect, MAX_HOLD_SECONDS, Mode, Policy, Rollout, Rule};
use aegis_decision::rego::{Module, ModuleSource, RULE};
use kube::ResourceExt as _;

use super::{Invalid, check, duration, provenance, sanitize, text};
use crate::api;
use crate::api::policy::{ApprovalBy, PolicyRule, RegoModule};

/// Most tiers that a module may ask.
const MAX_TIERS: usize = 8;

/// The policy.
pub fn policy(resource: &api::ToolPolicy) -> Result<Policy, Invalid> {
    let api::ToolPolicySpec { tools, agents, mode, rollout, rules, registries, provenance: entries, rego, tests } =
        &resource.spec;
    if tools.is_empty() {
        return Err(Invalid::new("spec.tools", "is empty"));
    }
    if agents.as_ref().is_some_and(Vec::is_empty) {
        return Err(Invalid::new("spec.agents", "is empty; leave it out for every agent of the namespace"));
    }
    if rules.is_empty() {
        return Err(Invalid::new("spec.rules", "is empty"));
    }
    text::unique(rules.iter().enumerate().map(|(at, rule)| (rule.name.as_str(), format!("spec.rules[{at}].name"))))?;
    text::unique(tests.iter().enumerate().map(|(at, test)| (test.name.as_str(), format!("spec.tests[{at}].name"))))?;
    let mode = match mode {
        api::policy::Mode::Enforce => Mode::Enforce,
        api::policy::Mode::Audit => Mode::Audit,
    };
    let name = resource.name_any();
    let rollout = rollout.as_ref().map(|rollout| lower_rollout(rollout, &name, mode)).transpose()?;
    if rollout.is_some() && rules.iter().any(|rule| rule.effect == api::policy::Effect::Sanitize) {
        let reason = "is given beside Sanitize rules, which have effect on all runs or none";
        return Err(Invalid::new("spec.rollout", reason));
    }
    Ok(Policy {
        name,
        tools: labels(tools, "spec.tools")?,
        agents: agents.as_ref().map(|agents| labels(agents, "spec.agents")).transpose()?,
        rules: rules.iter().enumerate().map(|(at, rule)| lower_rule(rule, at)).collect::<Result<_, _>>()?,
        provenance: provenance::provenance(entries, registries)?,
        registries: registries.clone(),
        mode,
        rollout,
        rego: rego.as_ref().map(|module| lower_rego(module, rules)).transpose()?,
    })
}

fn lower_rollout(rollout: &api::policy::Rollout, policy: &str, mode: Mode) -> Result<Rollout, Invalid> {
    let api::policy::Rollout { percent, replaces } = rollout;
    if mode == Mode::Audit {
        let reason = "is given for mode Audit, which has effect on no share; take mode Enforce and percent 0";
        return Err(Invalid::new("spec.rollout", reason));
    }
    if *percent > 100 {
        return Err(Invalid::new("spec.rollout.percent", "is not 0 to 100"));
    }
    if replaces.as_deref() == Some(policy) {
        return Err(Invalid::new("spec.rollout.replaces", "names the policy itself"));
    }
    let replaces = replaces.as_deref().map(|name| text::bounded(name, 253, "spec.rollout.replaces")).transpose()?;
    Ok(Rollout { percent: *percent, replaces })
}

/// Tier and seconds to wait.
pub(super) fn approval(by: &ApprovalBy, field: &str) -> Result<(String, u32), Invalid> {
    let ApprovalBy { tier, hold } = by;
    let tier = text::label(tier, &format!("{field}.approval.tier"))?;
    Ok((tier, duration::seconds(hold, 0..=MAX_HOLD_SECONDS, &format!("{field}.approval.hold"))?))
}

fn lower_rego(rego: &RegoModule, rules: &[PolicyRule]) -> Result<ModuleSource, Invalid> {
    let RegoModule { module, tiers } = rego;
    if let Some(at) = rules.iter().position(|rule| rule.name == RULE) {
        let reason = "is the name of what the policy's Rego module says; give the rule another one";
        return Err(Invalid::new(format!("spec.rules[{at}].name"), reason));
    }
    if tiers.len() > MAX_TIERS {
        return Err(Invalid::new("spec.rego.tiers", format!("has more than {MAX_TIERS} entries")));
    }
    Module::check(module).map_err(|error| Invalid::new("spec.rego.module", error.to_string()))?;
    Ok(ModuleSource { module: module.clone().into(), tiers: labels(tiers, "spec.rego.tiers")? })
}

fn labels(names: &[String], field: &str) -> Result<Vec<String>, Invalid> {
    names.iter().enumerate().map(|(at, name)| text::label(name, &format!("{field}[{at}]"))).collect()
}

fn lower_rule(rule: &PolicyRule, at: usize) -> Result<Rule, Invalid> {
    let PolicyRule { name, operations, when, unconditional, effect, reason, message, approval, sanitize: changes } =
        rule;
    let field = format!("spec.rules[{at}]");
    match (when.is_empty(), unconditional) {
        (false, None) | (true, Some(true)) => {}
        _ => {
            let reason = "has not exactly one of checks in when and unconditional: true";
            return Err(Invalid::new(format!("{field}.when"), reason));
        }
    }
    if *effect != api::policy::Effect::Sanitize && !changes.is_empty() {
        return Err(Invalid::new(format!("{field}.sanitize"), "is given for an effect that is not Sanitize"));
    }
    let effect = match (effect, approval) {
        (api::policy::Effect::Sanitize, None) => {
            Effect::Sanitize(sanitize::transforms(changes, &format!("{field}.sanitize"))?)
        }
        (api::policy::Effect::Allow, None) => Effect::Allow,
        (api::policy::Effect::Deny, None) => Effect::Deny,
        (api::policy::Effect::RequireApproval, Some(by)) => {
            let (tier, hold_seconds) = self::approval(by, &field)?;
            Effect::RequireApproval { tier, hold_seconds }
        }
        (api::policy::Effect::RequireApproval, None) => {
            return Err(Invalid::new(format!("{field}.approval"), "is missing; RequireApproval names a tier"));
        }
        (api::policy::Effect::Allow | api::policy::Effect::Deny | api::policy::Effect::Sanitize, Some(_)) => {
            return Err(Invalid::new(
                format!("{field}.approval"),
                "is given for an effect that is not RequireApproval",
            ));
        }
    };
    if reason.as_deref().is_some_and(|code| !is_code(code)) {
        return Err(Invalid::new(format!("{field}.reason"), "is no code in snake case"));
    }
    Ok(Rule {
        name: text::label(name, &format!("{field}.name"))?,
        operations: text::operations(operations, &format!("{field}.operations"))?,
        when: when
            .iter()
            .enumerate()
            .map(|(at, one)| check::check(one, &format!("{field}.when[{at}]")))
            .collect::<Result<_, _>>()?,
        effect,
        reason: reason.clone(),
        message: message.as_deref().map(|text| text::bounded(text, 256, &format!("{field}.message"))).transpose()?,
    })
}

fn is_code(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.len() <= 63
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
