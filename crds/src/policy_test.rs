//! The tests that a policy carries: who calls, under which delegation, and what became of it.
//!
//! Command line and webhook run them with this one code. Whoever calls counts as Active and reviewed, since a test is
//! about rules and not about the state of an agent. All else is as in a sidecar.

use std::collections::BTreeMap;

use aegis_decision::agent::{self, Review, Standing};
use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::codes::Code;
use aegis_decision::contract::DecisionInput;
use aegis_decision::decision::{DecisionOutput, Verdict};
use aegis_decision::delegation::{self, Grant};
use aegis_decision::json::{self, Value};
use aegis_decision::run::{Returned, RunIndex};
use jiff::Timestamp;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::json;

use crate::api::agent::Lifecycle;
use crate::api::policy::{EarlierCall, Expectation, ExpectedVerdict, Mode, PolicyTest};
use crate::api::{Agent, Delegation, ToolPolicy};
use crate::gather::{self, Ungathered};
use crate::load::Resources;
use crate::lower::{self, Invalid};

/// Name of what is made up for tests: agent, delegation, delegator.
const MADE_UP: &str = "policy-test";

/// Why a test cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum CaseError {
    /// Its delegation is unknown.
    #[error("call.delegation: names {0}, which is not among the resources")]
    UnknownDelegation(String),
    /// Its delegation cannot be used.
    #[error("Delegation {0}")]
    Delegation(String, #[source] Invalid),
    /// Its agent is none of the policy's.
    #[error("call.agent: the policy does not select {0}")]
    NotSelected(String),
    /// A value of the call is none that a call can have.
    #[error("{0}")]
    Value(String, #[source] json::ParseError),
    /// What judges the agent has a fault, here or elsewhere.
    #[error("agent {0} cannot be judged")]
    Gather(String, #[source] Box<Ungathered>),
    /// As before.
    #[error("agent {0} cannot be judged")]
    Assemble(String, #[source] Box<AssembleError>),
    /// A fault of ours.
    #[error("cannot make up an agent")]
    MadeUp(#[from] serde_json::Error),
}

/// What a test's call became.
#[derive(Debug)]
pub struct Judged {
    /// Name of the agent.
    pub agent: String,
    /// What was found, in the terms of an expectation.
    pub found: Found,
    /// Whether that is what the test expects.
    pub passed: bool,
    /// The whole explanation.
    pub output: DecisionOutput,
}

/// What a test found, in the terms of its expectation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    verdict: &'static str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

/// Runs tests against resources. A bundle is made once for each agent.
#[derive(Debug)]
pub struct Suite<'a> {
    resources: &'a Resources,
    bundles: BTreeMap<String, Bundle>,
}

impl<'a> Suite<'a> {
    /// For the policies among `resources`.
    pub fn new(resources: &'a Resources) -> Self {
        Self { resources, bundles: BTreeMap::new() }
    }

    /// Judges the call of one test of `policy`, which is among the resources, as if it were made `at`.
    pub fn judge(&mut self, policy: &ToolPolicy, test: &PolicyTest, at: Timestamp) -> Result<Judged, CaseError> {
        let named = self.named_delegation(policy, test)?;
        let agent = self.caller(policy, test, named)?;
        let bundle = self.bundle(&agent, policy)?;
        let delegation = match named {
            Some(named) => {
                lower::delegation(named).map_err(|invalid| CaseError::Delegation(named.name_any(), invalid))?
            }
            None => unbounded(&agent, bundle.source().tools.iter().map(|tool| tool.name.clone())),
        };
        let fact = |(name, fact): (&String, _)| Ok((name.clone(), tree(fact, || format!("facts.{name}"))?));
        let mut input = DecisionInput {
            operation: Some(test.call.operation.clone()),
            arguments: Some(tree(&test.call.arguments, || "arguments".to_owned())?),
            delegation: Some(delegation.name.clone()),
            run: Some(MADE_UP.to_owned()),
            facts: test.call.facts.iter().map(fact).collect::<Result<_, CaseError>>()?,
            ..DecisionInput::new(bundle.agent().full_name(), &test.call.tool, at)
        };
        let mut runs = RunIndex::unkeyed();
        for (index, earlier) in test.call.earlier.iter().enumerate() {
            runs.returned(MADE_UP, &returned(earlier, index)?, at);
        }
        // A call that cannot be named is refused before its run is looked at.
        input.run_view = bundle.call_of_input(&input).ok().and_then(|call| bundle.run_view(&call, &runs, at));
        let standing = in_good_standing(bundle.agent(), at);
        // Which rules held is part of the report, also where the call was simply allowed.
        let output = bundle.decide_input_in_full(&input, &standing, &[delegation], &[]).output;
        let found = Found::of(&output);
        let passed = found.is(&test.expect, &policy.name_any());
        Ok(Judged { agent: agent.name_any(), found, passed, output })
    }

    fn named_delegation(&self, policy: &ToolPolicy, test: &PolicyTest) -> Result<Option<&'a Delegation>, CaseError> {
        let Some(name) = &test.call.delegation else { return Ok(None) };
        let mut local = self.resources.delegations.iter().filter(|one| home(*one) == home(policy));
        let found = local.find(|one| one.name_any() == *name);
        found.map(Some).ok_or_else(|| CaseError::UnknownDelegation(name.clone()))
    }

    /// The agent that the test names; else the one that its delegation is lent to; else the first that the policy
    /// selects; else one made up, by the name that was given, if any.
    fn caller(
        &self,
        policy: &ToolPolicy,
        test: &PolicyTest,
        delegation: Option<&Delegation>,
    ) -> Result<Agent, CaseError> {
        let wanted = test.call.agent.clone().or_else(|| delegation.map(|one| one.spec.agent.clone()));
        if let Some(name) = &wanted
            && !gather::selects(policy, name)
        {
            return Err(CaseError::NotSelected(name.clone()));
        }
        let mut selected = self.resources.agents.iter().filter(|one| {
            let name = one.name_any();
            home(*one) == home(policy) && gather::selects(policy, &name) && wanted.as_ref().is_none_or(|it| *it == name)
        });
        if let Some(found) = selected.next() {
            let mut agent = found.clone();
            // Its state in the file does not matter, nor may a review that is missing there refuse the test.
            agent.spec.lifecycle = Lifecycle::Registered;
            agent.spec.review = None;
            return Ok(agent);
        }
        let first = policy.spec.agents.as_ref().and_then(|names| names.first().cloned());
        made_up(&home(policy), &wanted.or(first).unwrap_or_else(|| MADE_UP.to_owned()))
    }

    /// What judges the agent's calls once `policy` is enforced.
    fn bundle(&mut self, agent: &Agent, policy: &ToolPolicy) -> Result<&Bundle, CaseError> {
        let policy = policy.name_any();
        let on_trial = |one: &ToolPolicy| one.spec.mode != Mode::Enforce || one.spec.rollout.is_some();
        // Without trials all policies are judged by one bundle.
        let trials = self.resources.policies.iter().any(on_trial);
        let whose = format!("{}/{}", home(agent), agent.name_any());
        let whose = if trials { format!("{whose}/{policy}") } else { whose };
        match self.bundles.entry(whose) {
            std::collections::btree_map::Entry::Occupied(made) => Ok(made.into_mut()),
            std::collections::btree_map::Entry::Vacant(empty) => {
                let Resources { tools, policies, registries, tiers, .. } = self.resources;
                let source = gather::bundle_source(agent, tools, policies, registries, tiers)
                    .map_err(|fault| CaseError::Gather(empty.key().clone(), Box::new(fault)))?;
                let bundle = Bundle::assemble(enforcing(source, &policy))
                    .map_err(|fault| CaseError::Assemble(empty.key().clone(), Box::new(fault)))?;
                Ok(empty.insert(bundle))
            }
        }
    }
}

/// The policy enforced for all runs, and of what else is tried out only what has effect on all runs already.
fn enforcing(mut source: BundleSource, policy: &str) -> BundleSource {
    source.agent.mode = aegis_decision::agent::Mode::Enforce;
    for one in &mut source.policies {
        let itself = one.name == policy;
        if itself {
            one.mode = aegis_decision::policy::Mode::Enforce;
        }
        if let Some(rollout) = &mut one.rollout {
            let whole = itself || (rollout.percent == 100 && rollout.replaces.as_deref() != Some(policy));
            rollout.percent = if whole { 100 } else { 0 };
        }
    }
    source
}

impl Found {
    fn of(output: &DecisionOutput) -> Self {
        Self {
            verdict: match output.verdict {
                Verdict::Allow => "Allow",
                Verdict::AllowOnce => "AllowOnce",
                Verdict::Hold => "Hold",
                Verdict::Deny => "Deny",
                Verdict::Propose => "Propose",
            },
            policy: output.rule.as_ref().map(|rule| rule.policy.clone()),
            rule: output.rule.as_ref().map(|rule| rule.rule.clone()),
            code: output.code.map(Code::as_str),
        }
    }

    /// Whether it is what the test of `policy` expects. A rule that is expected is one of that policy.
    fn is(&self, expected: &Expectation, policy: &str) -> bool {
        let Expectation { verdict, rule, code } = expected;
        self.verdict == verdict_name(*verdict)
            && rule
                .as_ref()
                .is_none_or(|rule| self.rule.as_ref() == Some(rule) && self.policy.as_deref() == Some(policy))
            && code.as_ref().is_none_or(|code| self.code == Some(code))
    }

    /// In words, such as `Deny by payments/ceiling (amount_over_limit)`.
    pub fn words(&self) -> String {
        let rule = self.policy.iter().zip(&self.rule).map(|(policy, rule)| format!("by {policy}/{rule}"));
        let code = self.code.iter().map(|code| format!("({code})"));
        std::iter::once(self.verdict.to_owned()).chain(rule).chain(code).collect::<Vec<_>>().join(" ")
    }
}

/// An expectation in the words of [`Found::words`].
pub fn expected_words(expected: &Expectation) -> String {
    let Expectation { verdict, rule, code } = expected;
    let rule = rule.iter().map(|rule| format!("by {rule}"));
    let code = code.iter().map(|code| format!("({code})"));
    std::iter::once(verdict_name(*verdict).to_owned()).chain(rule).chain(code).collect::<Vec<_>>().join(" ")
}

fn verdict_name(verdict: ExpectedVerdict) -> &'static str {
    match verdict {
        ExpectedVerdict::Allow => "Allow",
        ExpectedVerdict::Hold => "Hold",
        ExpectedVerdict::Deny => "Deny",
    }
}

/// An agent that may use every class of operation.
fn made_up(namespace: &str, name: &str) -> Result<Agent, CaseError> {
    let agent = json!({
        "apiVersion": "aegis.dev/v1alpha1",
        "kind": "Agent",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "tenant": MADE_UP,
            "businessUnit": MADE_UP,
            "owner": {"name": MADE_UP},
            "version": "1",
            "ceiling": "Commit",
            "workload": {"serviceAccountName": MADE_UP},
        },
    });
    Ok(serde_json::from_value(agent)?)
}

fn in_good_standing(agent: &agent::Agent, at: Timestamp) -> Standing {
    let review = Review { by: MADE_UP.to_owned(), at, expires: None, digest: agent.review_digest() };
    Standing { lifecycle: agent::Lifecycle::Active, review: Some(review) }
}

/// A delegation that grants everything, always.
fn unbounded(agent: &Agent, tools: impl Iterator<Item = String>) -> delegation::Delegation {
    delegation::Delegation {
        name: MADE_UP.to_owned(),
        uid: String::new(),
        generation: 0,
        agent: agent.name_any(),
        requested_by: MADE_UP.to_owned(),
        delegator: MADE_UP.to_owned(),
        requester: None,
        workflow: MADE_UP.to_owned(),
        purpose: "tests of policies".to_owned(),
        request: None,
        inputs: BTreeMap::new(),
        grants: tools.map(|tool| Grant { tool, operations: vec!["*".to_owned()] }).collect(),
        data: Vec::new(),
        not_before: Timestamp::MIN,
        expires_at: Timestamp::MAX,
        revoked: false,
    }
}

fn returned(call: &EarlierCall, index: usize) -> Result<Returned, CaseError> {
    let field = |name: &str| format!("earlier[{index}].{name}");
    let content = call.content.as_ref().map(|content| tree(content, || field("content"))).transpose()?;
    let arguments = Some(tree(&call.arguments, || field("arguments"))?);
    Ok(Returned { tool: call.tool.clone(), operation: call.operation.clone(), content, arguments })
}

/// By way of its text, so that a test's numbers pass the parser that a call's numbers pass.
fn tree<T: Serialize>(written: &T, field: impl Fn() -> String) -> Result<Value, CaseError> {
    let text = serde_json::to_vec(written)?;
    json::parse(&text).map_err(|error| CaseError::Value(field(), error))
}

fn home<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}
