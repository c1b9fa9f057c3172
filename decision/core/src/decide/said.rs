//! What the Rego modules of a lineup's policies say about a call, as rules that hold.

use super::findings::Finding;
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::decision::Truth;
use crate::lineup::Lineup;
use crate::policy::{Effect, Policy, Rule};
use crate::rego::{Failure, OutOfTime, RULE, RegoInput, Unsaid, Verdict, Worker};
use crate::rules::{Inputs, RegistryRead};
use crate::tool::Operation;

/// Reason of the denial by a module that gave no verdicts.
const FAILED: &str = "rego_failed";

/// Who is asked, and how long.
pub(super) struct Asking<'w> {
    pub(super) worker: &'w mut Worker,
    pub(super) stop: &'w dyn Fn() -> bool,
}

/// One verdict of one policy's module.
#[derive(Debug)]
pub(super) struct Said<'a> {
    policy: &'a Policy,
    pub(super) rule: Rule,
}

impl Said<'_> {
    /// As a rule that holds.
    pub(super) fn finding(&self) -> Finding<'_> {
        Finding { policy: self.policy, rule: &self.rule, truth: Truth::True, checks: Vec::new(), failed: Vec::new() }
    }
}

/// Asks every module of the lineup. One that fails denies: what it would have said is not known.
pub(super) fn ask<'a>(
    bundle: &'a Bundle,
    lineup: &Lineup,
    call: &ToolCall,
    operation: &Operation,
    inputs: &Inputs<'_>,
    asking: &mut Asking<'_>,
) -> Result<Vec<Said<'a>>, OutOfTime> {
    let input = RegoInput { inputs, declared_facts: operation.facts.len(), run: call.run.as_deref() };
    let mut all = Vec::new();
    for (place, policy, module) in bundle.modules_of(lineup) {
        let verdicts = match asking.worker.ask(bundle, (place, module), &input, asking.stop) {
            Ok(verdicts) => verdicts,
            Err(Unsaid::Failed(failure)) => vec![failed(failure)],
            Err(Unsaid::OutOfTime) => return Err(OutOfTime),
        };
        // All that a module allows is one rule that allows; which of its reasons comes first does not matter.
        let mut allows = false;
        for verdict in verdicts {
            if verdict.effect != Effect::Allow || !std::mem::replace(&mut allows, true) {
                all.push(Said { policy, rule: rule(verdict) });
            }
        }
    }
    Ok(all)
}

/// The registries that the lineup's modules see.
pub(super) fn registry_reads(bundle: &Bundle, lineup: &Lineup) -> Vec<RegistryRead> {
    bundle.modules_of(lineup).flat_map(|(_, _, module)| module.registry_reads.iter().cloned()).collect()
}

fn failed(failure: Failure) -> Verdict {
    Verdict { effect: Effect::Deny, reason: FAILED.to_owned(), message: failure.to_string() }
}

fn rule(Verdict { effect, reason, message }: Verdict) -> Rule {
    Rule {
        name: RULE.to_owned(),
        operations: vec!["*".to_owned()],
        when: Vec::new(),
        effect,
        reason: Some(reason),
        message: Some(message),
    }
}
