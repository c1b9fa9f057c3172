//! What the rules say about a call: every rule of every policy that counts for it, in order.

use jiff::Timestamp;

use super::said::Said;
use crate::bundle::Bundle;
use crate::call::ToolCall;
use crate::decision::{CheckOutcome, FailedCheck, RuleOutcome, RuleRef, Truth};
use crate::delegation::Delegation;
use crate::facts::FactSet;
use crate::lineup::Lineup;
use crate::policy::{Effect, Policy, Rule};
use crate::rego::RULE;
use crate::rules::{Allowing, CallInputs, Inputs};
use crate::run::RunView;
use crate::tool::Operation;

/// One rule with what became of it.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    pub(super) policy: &'a Policy,
    pub(super) rule: &'a Rule,
    pub(super) truth: Truth,
    pub(super) checks: Vec<CheckOutcome>,
    /// Its checks that are not true.
    pub(super) failed: Vec<FailedCheck>,
}

impl Finding<'_> {
    pub(super) fn reference(&self) -> RuleRef {
        RuleRef { policy: self.policy.name.clone(), rule: self.rule.name.clone(), reason: self.rule.reason.clone() }
    }

    /// `policy/rule`.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.policy.name, self.rule.name)
    }

    /// For the output.
    pub(super) fn outcome(&self) -> RuleOutcome {
        // No rule has that name beside a module.
        let is_said = self.policy.rego.is_some() && self.rule.name == RULE;
        RuleOutcome {
            policy: self.policy.name.clone(),
            rule: self.rule.name.clone(),
            effect: self.rule.effect.name().to_owned(),
            truth: self.truth,
            reason: self.rule.reason.clone().filter(|_| is_said),
            checks: self.checks.clone(),
        }
    }
}

impl<'a> From<Allowing<'a>> for Finding<'a> {
    fn from(Allowing { policy, rule, checks }: Allowing<'a>) -> Self {
        Self { policy, rule, truth: Truth::True, checks, failed: Vec::new() }
    }
}

/// All rules of one call.
#[derive(Debug)]
pub(super) struct Findings<'a>(Vec<Finding<'a>>);

impl<'a> Findings<'a> {
    /// Judges every rule of the lineup's policies about the call's operation; what modules say comes last.
    pub(super) fn evaluate(
        bundle: &'a Bundle,
        lineup: &Lineup,
        call: &ToolCall,
        inputs: &Inputs<'_>,
        said: &'a [Said<'a>],
    ) -> Self {
        let mut findings = Vec::new();
        for (policy, compiled) in bundle.policies_of(lineup) {
            let evaluated = compiled.map(|compiled| compiled.evaluate(&call.operation, inputs)).unwrap_or_default();
            let mut evaluations = evaluated.into_iter().peekable();
            // What sanitizes was asked about the arguments as they came, when the call was named.
            let judging = |rule: &Rule| rule.applies_to(&call.operation) && rule.effect.transforms().is_none();
            for (index, rule) in policy.rules.iter().enumerate().filter(|(_, rule)| judging(rule)) {
                // A rule that was not evaluated cannot be told, which denies or holds, and never allows.
                let evaluation = evaluations.next_if(|evaluation| evaluation.index == index);
                let (truth, checks, failed) = evaluation.map_or_else(
                    || (Truth::Indeterminate, Vec::new(), Vec::new()),
                    |evaluation| (evaluation.truth, evaluation.checks, evaluation.failed),
                );
                findings.push(Finding { policy, rule, truth, checks, failed });
            }
        }
        findings.extend(said.iter().map(Said::finding));
        Self(findings)
    }

    /// All of them, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Finding<'a>> {
        self.0.iter()
    }

    /// The `Deny` rule that decides: the first that is true, else the first that cannot be told.
    pub(super) fn denying(&self) -> Option<&Finding<'a>> {
        let denying = || self.0.iter().filter(|finding| finding.rule.effect == Effect::Deny);
        denying()
            .find(|finding| finding.truth == Truth::True)
            .or_else(|| denying().find(|finding| finding.truth == Truth::Indeterminate))
    }

    /// The first `Allow` rule that is true.
    pub(super) fn allowing(&self) -> Option<&Finding<'a>> {
        self.allow_rules().find(|finding| finding.truth == Truth::True)
    }

    /// All `Allow` rules.
    pub(super) fn allow_rules(&self) -> impl Iterator<Item = &Finding<'a>> {
        self.0.iter().filter(|finding| finding.rule.effect == Effect::Allow)
    }

    /// `RequireApproval` rules that ask: true, or cannot be told.
    pub(super) fn asking(&self) -> impl Iterator<Item = &Finding<'a>> {
        self.0.iter().filter(|finding| {
            matches!(finding.rule.effect, Effect::RequireApproval { .. }) && finding.truth != Truth::False
        })
    }

    /// For the output.
    pub(super) fn outcomes(&self) -> Vec<RuleOutcome> {
        self.0.iter().map(Finding::outcome).collect()
    }
}

/// What rules may look at.
pub(super) fn inputs<'a>(
    bundle: &'a Bundle,
    call: &'a ToolCall,
    operation: &'a Operation,
    delegation: Option<&'a Delegation>,
    facts: &'a FactSet,
    run: Option<&'a RunView>,
    now: Timestamp,
) -> Inputs<'a> {
    Inputs {
        arguments: &call.arguments,
        aliases: &operation.aliases,
        dimensions: &operation.dimensions,
        run,
        agent: bundle.agent(),
        delegation,
        call: CallInputs { time: now, class: operation.class, tool: &call.tool, operation: &call.operation },
        facts,
        registries: &bundle.source.registries,
        record_clear: &operation.record_clear,
    }
}
