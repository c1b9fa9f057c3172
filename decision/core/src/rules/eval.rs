//! Asking the rules about a call.

use super::compile::CompiledPolicy;
use super::predicate::CompiledCheck;
use super::resolve::Scope;
use super::{Inputs, RegistryRead, RuleEvaluation, explain, registry};
use crate::decision::Truth;

impl CompiledPolicy {
    /// Judges every rule about the operation, in the policy's order. Empty when the policy does not select the agent or
    /// the tool.
    ///
    /// Every check is asked, also after one that settled the rule: the explanation names them all.
    pub fn evaluate<'p>(&'p self, operation: &str, inputs: &Inputs<'_>) -> Vec<RuleEvaluation<'p>> {
        let scope = Scope::new(inputs);
        self.selected(operation, inputs).filter_map(|index| self.evaluate_rule(index, &scope)).collect()
    }

    /// Judges one rule, whatever operation it is about.
    pub(crate) fn evaluate_one<'p>(&'p self, index: usize, inputs: &Inputs<'_>) -> Option<RuleEvaluation<'p>> {
        self.evaluate_rule(index, &Scope::new(inputs))
    }

    fn evaluate_rule<'p>(&'p self, index: usize, scope: &Scope<'_>) -> Option<RuleEvaluation<'p>> {
        let (rule, checks) = (self.policy.rules.get(index)?, self.rules.get(index)?);
        let mut evaluation = RuleEvaluation {
            index,
            rule,
            truth: Truth::True,
            checks: Vec::with_capacity(checks.len()),
            failed: Vec::new(),
        };
        for check in checks {
            let truth = check.ask(scope);
            evaluation.truth = evaluation.truth.and(truth);
            evaluation.checks.push(check.outcome(truth));
            if truth != Truth::True {
                evaluation.failed.push(explain::failed(check, truth, scope));
            }
        }
        Some(evaluation)
    }

    /// The registry entries that the checks of the operation's rules name for this call, ordered, each once.
    pub fn registry_reads(&self, operation: &str, inputs: &Inputs<'_>) -> Vec<RegistryRead> {
        let scope = Scope::new(inputs);
        let mut reads = Vec::new();
        for check in self.checks(operation, inputs) {
            registry::reads(check, &scope, &mut reads);
        }
        reads.sort_unstable();
        reads.dedup();
        reads
    }

    fn checks(&self, operation: &str, inputs: &Inputs<'_>) -> impl Iterator<Item = &CompiledCheck> {
        self.selected(operation, inputs).filter_map(|index| self.rules.get(index)).flatten()
    }

    fn selected(&self, operation: &str, inputs: &Inputs<'_>) -> impl Iterator<Item = usize> {
        let applies = self.policy.applies_to(&inputs.agent.name, inputs.call.tool);
        let indexes = if applies { self.indexes(operation) } else { &[] };
        indexes.iter().copied()
    }
}
