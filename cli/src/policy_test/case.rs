//! One test of a policy: who calls, under which delegation, and what became of it.
//!
//! Whoever calls counts as Active and reviewed, since a test is about rules and not about the state of an agent. All
//! else is as in a sidecar.

use aegis_crds::api::agent::Lifecycle;
use aegis_crds::api::policy::PolicyTest;
use aegis_crds::api::{Agent, Delegation, ToolPolicy};
use aegis_crds::load::Resources;
use aegis_crds::{gather, lower};
use aegis_decision::agent::{self, Review, Standing};
use aegis_decision::contract::DecisionInput;
use aegis_decision::decision::DecisionOutput;
use aegis_decision::delegation::{self, Grant};
use aegis_decision::json::{self, Value};
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::json;

use crate::resources::{Judge, home};

/// Name of what is made up for tests: agent, delegation, delegator.
const MADE_UP: &str = "policy-test";

/// What a test's call became.
pub(super) struct Judged {
    /// Name of the agent.
    pub(super) agent: String,
    /// The whole explanation.
    pub(super) output: DecisionOutput,
}

/// Judges the call of one test.
pub(super) fn judge(policy: &ToolPolicy, test: &PolicyTest, resources: &Resources, at: Timestamp) -> Result<Judged> {
    let named = named_delegation(policy, test, resources)?;
    let agent = caller(policy, test, named, resources)?;
    let Judge { bundle, .. } = Judge::of(&agent, resources)?;
    let delegation = match named {
        Some(named) => lower::delegation(named).with_context(|| format!("Delegation {}", named.name_any()))?,
        None => unbounded(&agent, bundle.source().tools.iter().map(|tool| tool.name.clone())),
    };
    let input = DecisionInput {
        agent: format!("{}/{}", bundle.agent().namespace, bundle.agent().name),
        tool: test.call.tool.clone(),
        http: None,
        operation: Some(test.call.operation.clone()),
        arguments: Some(tree(&test.call.arguments).context("arguments")?),
        delegation: Some(delegation.name.clone()),
        run: None,
        facts: test
            .call
            .facts
            .iter()
            .map(|(name, fact)| Ok((name.clone(), tree(fact).with_context(|| format!("facts.{name}"))?)))
            .collect::<Result<_>>()?,
        at,
    };
    let standing = in_good_standing(bundle.agent(), at);
    let output = bundle.judge_input(&input, &standing, &[delegation]);
    Ok(Judged { agent: agent.name_any(), output })
}

fn named_delegation<'a>(
    policy: &ToolPolicy,
    test: &PolicyTest,
    resources: &'a Resources,
) -> Result<Option<&'a Delegation>> {
    let Some(name) = &test.call.delegation else { return Ok(None) };
    let mut local = resources.delegations.iter().filter(|one| home(*one) == home(policy));
    let found = local.find(|one| one.name_any() == *name);
    Ok(Some(found.with_context(|| format!("call.delegation: names {name}, which is not among the resources"))?))
}

/// The agent that the test names; else the one that its delegation is lent to; else the first that the policy selects;
/// else one made up, by the name that was given, if any.
fn caller(
    policy: &ToolPolicy,
    test: &PolicyTest,
    delegation: Option<&Delegation>,
    resources: &Resources,
) -> Result<Agent> {
    let wanted = test.call.agent.clone().or_else(|| delegation.map(|one| one.spec.agent.clone()));
    if let Some(name) = &wanted {
        ensure!(gather::selects(policy, name), "call.agent: the policy does not select {name}");
    }
    let mut selected = resources.agents.iter().filter(|one| {
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

/// An agent that may use every class of operation.
fn made_up(namespace: &str, name: &str) -> Result<Agent> {
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
    serde_json::from_value(agent).context("cannot make up an agent")
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
        grants: tools.map(|tool| Grant { tool, operations: vec!["*".to_owned()] }).collect(),
        not_before: Timestamp::MIN,
        expires_at: Timestamp::MAX,
        revoked: false,
    }
}

/// By way of its text, so that a test's numbers pass the parser that a call's numbers pass.
fn tree<T: serde::Serialize>(written: &T) -> Result<Value> {
    Ok(json::parse(&serde_json::to_vec(written)?)?)
}
