//! Sentences for the agent: what failed, at which field, against which limit, and what would pass.
//!
//! A value of the call stands in a sentence only where the check carries it, which is so for fields that the tool
//! declares clear.

use std::collections::BTreeMap;

use super::effect;
use super::findings::{Finding, Findings};
use super::refusal::Refusal;
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::codes::Code;
use crate::decision::{DecisionOutput, FailedCheck, Requirement, Truth, Verdict};
use crate::delegation::Delegation;
use crate::policy::Rule;
use crate::rules::explain::limit;
use crate::tool::Operation;

/// Version of the output's shape.
pub(super) const VERSION: &str = "aegis.dev/decision/v1";
/// Most Allow rules that are named when none allowed.
const NEAREST: usize = 3;
/// Most checks that a sentence tells.
const TOLD_AT_MOST: usize = 4;

/// The output of a call before anything is decided: refused, so that what is forgotten is refused.
pub(super) fn blank(bundle: &Bundle, tool: &str) -> DecisionOutput {
    DecisionOutput {
        v: VERSION.to_owned(),
        verdict: Verdict::Deny,
        code: None,
        detail: None,
        tool: tool.to_owned(),
        operation: None,
        class: None,
        rule: None,
        failed: Vec::new(),
        allowed: None,
        sanitized: Vec::new(),
        rules: Vec::new(),
        rules_omitted: 0,
        nearest: Vec::new(),
        requirements: Vec::new(),
        unknown_origins: Vec::new(),
        delegation: None,
        effect_digest: None,
        context_digest: None,
        context_parts: None,
        facts: BTreeMap::new(),
        would: None,
        bundle: bundle.digest(),
    }
}

/// [`blank`] for a call that was named.
pub(super) fn undecided(bundle: &Bundle, call: &ToolCall) -> DecisionOutput {
    DecisionOutput {
        operation: Some(call.operation.clone()),
        class: Some(call.class),
        sanitized: call.sanitation.changed.clone(),
        effect_digest: effect::digest(bundle.agent(), call),
        ..blank(bundle, &call.tool)
    }
}

/// A `Deny` rule that is true, or that cannot be told.
pub(super) fn rule_denies(operation: &Operation, rule: &Finding<'_>) -> Refusal {
    let mut parts = vec![format!("{}: refused by rule {}", operation.name, rule.title())];
    if let Some(message) = &rule.rule.message {
        parts.push(format!(": {message}"));
    }
    if rule.truth == Truth::Indeterminate {
        let unknown = rule.failed.iter().filter(|check| check.indeterminate).map(|check| check.field.as_str());
        let unknown = unknown.collect::<Vec<_>>().join(", ");
        let what = if unknown.is_empty() { "a check" } else { &unknown };
        parts.push(format!(
            "; it cannot be told whether the rule holds, because {what} is missing or cannot be compared"
        ));
    }
    Refusal {
        rule: Some(rule.reference()),
        failed: rule.failed.clone(),
        allowed: lifted(rule.rule),
        ..Refusal::plain(Code::RuleDenies, parts.concat())
    }
}

/// No `Allow` rule is true: the nearest ones, with what they miss.
pub(super) fn no_rule_allows(operation: &Operation, findings: &Findings<'_>) -> Refusal {
    let mut nearest: Vec<&Finding<'_>> = findings.allow_rules().collect();
    // Stable: of equally near rules the first stays first.
    nearest.sort_by_key(|finding| finding.failed.len());
    nearest.truncate(NEAREST);
    let Some(first) = nearest.first() else {
        let detail = format!("{}: no Allow rule of any policy is about this operation for this agent", operation.name);
        return Refusal::plain(Code::NoRuleAllows, detail);
    };
    let misses = first.failed.iter().take(TOLD_AT_MOST).map(sentence).collect::<Vec<_>>().join("; ");
    let detail = format!("{}: no rule allows this call; for rule {}: {misses}", operation.name, first.title());

    let mut failed: Vec<FailedCheck> = Vec::new();
    for check in nearest.iter().flat_map(|finding| &finding.failed) {
        if !failed.contains(check) {
            failed.push(check.clone());
        }
    }
    let ways: Vec<_> = nearest
        .iter()
        .map(|finding| finding.failed.iter().map(wanted).collect::<Vec<_>>().join(" and "))
        .filter(|way| !way.is_empty())
        .collect();
    Refusal {
        failed,
        allowed: (!ways.is_empty()).then(|| ways.join("; or ")),
        nearest: nearest.iter().map(|finding| finding.reference()).collect(),
        ..Refusal::plain(Code::NoRuleAllows, detail)
    }
}

/// The call is not within a bound of its delegation.
pub(super) fn outside_delegation(operation: &Operation, delegation: &Delegation, failed: Vec<FailedCheck>) -> Refusal {
    let misses = failed.iter().take(TOLD_AT_MOST).map(sentence).collect::<Vec<_>>().join("; ");
    let detail = format!("{}: outside the data bounds of delegation {}: {misses}", operation.name, delegation.name);
    Refusal {
        allowed: Some(failed.iter().map(wanted).collect::<Vec<_>>().join(" and ")),
        failed,
        ..Refusal::plain(Code::OutsideDelegation, detail)
    }
}

/// The call waits for people: for rules that ask, and for values of unknown origin.
pub(super) fn held(
    operation: &Operation,
    findings: &Findings<'_>,
    requirements: &[Requirement],
    unknown: Vec<String>,
) -> String {
    let tiers: Vec<&str> = requirements.iter().map(|needed| needed.tier.name.as_str()).collect();
    let why: Vec<_> = findings.asking().map(|finding| asks(finding)).chain(unknown).take(TOLD_AT_MOST).collect();
    format!(
        "{}: needs the approval of {}, asked by {}; repeat the identical call once it is given",
        operation.name,
        tiers.join(" and "),
        why.join("; ")
    )
}

fn asks(finding: &Finding<'_>) -> String {
    match &finding.rule.message {
        Some(message) => format!("{} ({message})", finding.title()),
        None => finding.title(),
    }
}

/// `amount is 7200.00 and must be at most 5000.00 EUR`.
fn sentence(check: &FailedCheck) -> String {
    let must = must(check);
    match (&check.value, check.indeterminate) {
        (Some(value), false) => format!("{} is {value} and {must}", check.field),
        (None, false) => format!("{} {must}", check.field),
        // Also a value of another currency, or an entry that a registry does not have.
        (_, true) => format!("{} is missing or cannot be compared, and {must}", check.field),
    }
}

fn must(check: &FailedCheck) -> String {
    let limit = check.limit.as_deref().unwrap_or(&check.check);
    match limit.strip_prefix("not ") {
        Some(rest) => format!("must not {}", be(rest)),
        None => format!("must {}", be(limit)),
    }
}

fn be(limit: &str) -> String {
    if limit.starts_with("with ") { format!("come {limit}") } else { format!("be {limit}") }
}

/// `amount at most 5000.00 EUR`.
fn wanted(check: &FailedCheck) -> String {
    format!("{} {}", check.field, check.limit.as_deref().unwrap_or(&check.check))
}

/// What would lift a `Deny` rule: one of its checks not being so. None for a rule without checks.
fn lifted(rule: &Rule) -> Option<String> {
    let ways: Vec<_> = rule
        .when
        .iter()
        .map(|check| {
            let limit = limit(check);
            match limit.strip_prefix("not ") {
                Some(rest) => format!("{} {rest}", check.field),
                None => format!("{} not {limit}", check.field),
            }
        })
        .collect();
    (!ways.is_empty()).then(|| ways.join("; or "))
}
