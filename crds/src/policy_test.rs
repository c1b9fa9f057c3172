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
    /// It would take one more bundle than the suite may make.
    #[error("tests name more than {most} agents in turn; put the tests of one agent one behind the other")]
    TooManyAgents {
        /// Bundles that the suite may make.
        most: usize,
    },
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

/// Runs tests against resources. Tests of one agent that stand one behind the other share a bundle. Only the one that was
/// used last is kept: a bundle may be large, and tests may name any number of agents.
#[derive(Debug)]
pub struct Suite<'a> {
    resources: &'a Resources,
    /// Bundles that it may make.
    most: usize,
    /// Bundles that it made, or tried to.
    made: usize,
    last: Option<Made>,
}

/// What came of making the bundle that was asked for last. A fault is kept as well: the next test has it too.
#[derive(Debug)]
struct Made {
    whose: String,
    bundle: Result<Bundle, Fault>,
}

/// Why a bundle cannot be made.
#[derive(Debug, Clone)]
enum Fault {
    Gather(Box<Ungathered>),
    Assemble(Box<AssembleError>),
}

impl<'a> Suite<'a> {
    /// For the policies among `resources`.
    pub fn new(resources: &'a Resources) -> Self {
        Self::making(usize::MAX, resources)
    }

    /// As [`new`](Self::new), for whoever must bound what tests that others wrote may cost: it makes at most so many
    /// bundles. A test that needs one more is [not run](CaseError::TooManyAgents).
    pub fn making(most: usize, resources: &'a Resources) -> Self {
        Self { resources, most, made: 0, last: None }
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
        let known = self.last.as_ref().is_some_and(|last| last.whose == whose);
        if !known {
            if self.made >= self.most {
                return Err(CaseError::TooManyAgents { most: self.most });
            }
            self.made = self.made.saturating_add(1);
        }
        // Another one goes before this one is made.
        let last = self.last.take().filter(|_| known);
        let last = last.unwrap_or_else(|| Made { whose, bundle: made(self.resources, agent, &policy) });
        let Made { whose, bundle } = self.last.insert(last);
        match bundle {
            Ok(bundle) => Ok(bundle),
            Err(Fault::Gather(fault)) => Err(CaseError::Gather(whose.clone(), fault.clone())),
            Err(Fault::Assemble(fault)) => Err(CaseError::Assemble(whose.clone(), fault.clone())),
        }
    }
}

fn made(resources: &Resources, agent: &Agent, policy: &str) -> Result<Bundle, Fault> {
    let Resources { tools, policies, registries, tiers, .. } = resources;
    let source = gather::bundle_source(agent, tools, policies, registries, tiers);
    let source = source.map_err(|fault| Fault::Gather(Box::new(fault)))?;
    Bundle::assemble(enforcing(source, policy)).map_err(|fault| Fault::Assemble(Box::new(fault)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load;

    /// A policy of which each test names the agent at its place. There is a tool, unless it is missing.
    fn desk(tool: &str, agents: &[&str]) -> Resources {
        let tests = agents.iter().enumerate().map(|(at, agent)| {
            format!(
                "  - {{name: t{at}, call: {{agent: {agent}, tool: desk, operation: look}}, expect: {{verdict: Allow}}}}\n"
            )
        });
        let text = format!(
            "
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {{name: {tool}}}
spec:
  endpoint: https://desk.example
  operations: [{{name: look, class: Read, http: {{method: GET, path: /}}}}]
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {{name: looks}}
spec:
  tools: [desk]
  rules: [{{name: all, operations: [look], unconditional: true, effect: Allow}}]
  tests:
{}",
            tests.collect::<Vec<_>>().concat()
        );
        load::load("desk.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    /// What came of each test, and the bundles that were made for them.
    fn run(most: usize, resources: &Resources) -> (Vec<Result<String, String>>, usize) {
        let mut suite = Suite::making(most, resources);
        let policy = &resources.policies[0];
        let judged = policy.spec.tests.iter().map(|test| {
            let judged = suite.judge(policy, test, Timestamp::UNIX_EPOCH);
            judged.map(|judged| judged.found.words()).map_err(|error| error.to_string())
        });
        let judged = judged.collect();
        (judged, suite.made)
    }

    #[test]
    fn tests_of_one_agent_share_a_bundle_while_they_stand_together() {
        let goes = || Ok("Allow by looks/all".to_owned());
        let resources = desk("desk", &["a", "a", "b", "b", "b", "a"]);
        assert_eq!(run(usize::MAX, &resources), (vec![goes(); 6], 3));
    }

    #[test]
    fn a_suite_makes_no_more_bundles_than_it_may_and_runs_what_needs_none() {
        let (judged, made) = run(2, &desk("desk", &["a", "b", "c", "b", "a", "b"]));
        let refused: Vec<bool> = judged.iter().map(Result::is_err).collect();
        assert_eq!((refused, made), (vec![false, false, true, false, true, false], 2));
        let said = "tests name more than 2 agents in turn; put the tests of one agent one behind the other";
        assert_eq!(judged[2], Err(said.to_owned()));
    }

    #[test]
    fn a_bundle_that_cannot_be_made_is_tried_once_for_tests_that_stand_together() {
        let (judged, made) = run(1, &desk("another", &["a", "a", "a"]));
        assert_eq!(judged, vec![Err("agent default/a cannot be judged".to_owned()); 3]);
        assert_eq!(made, 1);
    }
}
