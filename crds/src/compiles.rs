//! Whether a tool or policy that reads well also compiles. What is wrong then is its author's to mend, so it stands in the
//! condition of that resource, with the field, and not only in those of the agents that it keeps from a new bundle.

use aegis_decision::agent::Agent;
use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::naming::BindingError;
use aegis_decision::policy::{Effect, Policy};
use aegis_decision::tool::{Class, Tool};
use kube::{Resource, ResourceExt as _};

use crate::api;
use crate::gather::{self, Problem};
use crate::lower::Invalid;
use crate::lowered::{Anew, Lower};

/// A tool by itself: its operations can be told apart, its schemas can be used.
pub fn tool(tool: Tool) -> Result<(), Problem> {
    let alone = BundleSource {
        agent: nobody(),
        tools: vec![tool],
        policies: Vec::new(),
        registries: Vec::new(),
        tiers: Vec::new(),
    };
    let invalid = |field: String, reason: String| Err(Problem::Invalid(Invalid { field, reason }));
    match Bundle::assemble(alone) {
        Err(AssembleError::Binding { error: error @ BindingError::Ambiguous { .. }, .. }) => {
            invalid("spec.operations".to_owned(), error.to_string())
        }
        Err(AssembleError::Binding { error, .. }) => {
            let text = error.to_string();
            let (field, reason) = text.split_once(": ").unwrap_or(("operations", &text));
            invalid(format!("spec.{field}"), reason.to_owned())
        }
        Err(AssembleError::Schema { operation, error, .. }) => {
            invalid(format!("spec.operations[{operation}].arguments"), error.to_string())
        }
        Err(AssembleError::MissingSchema { operation, .. }) => {
            invalid(format!("spec.operations[{operation}].arguments"), "a Commit needs a JSON Schema".to_owned())
        }
        Err(AssembleError::Redaction { operation, error, .. }) => {
            invalid(format!("spec.operations[{operation}].response.redact"), error.to_string())
        }
        Err(
            error @ (AssembleError::TooLarge { .. } | AssembleError::TooManyPlaces | AssembleError::NotCanonical(_)),
        ) => Err(unfit(error)),
        // A tool alone names nothing, and is one.
        Err(
            AssembleError::Rule { .. }
            | AssembleError::Provenance { .. }
            | AssembleError::Rollout { .. }
            | AssembleError::Sanitize { .. }
            | AssembleError::Rego { .. }
            | AssembleError::Duplicate { .. }
            | AssembleError::Missing { .. },
        )
        | Ok(_) => Ok(()),
    }
}

/// A policy with what it names, which is looked for among the resources of its namespace. Where that is itself missing or
/// invalid, it is left out. One that alone is more than a bundle may be can be served to no agent; whether it fits beside
/// an agent's other policies is said by [`for_agent`].
pub fn policy<'a>(
    policy: &Policy,
    tools: impl IntoIterator<Item = &'a api::Tool>,
    registries: impl IntoIterator<Item = &'a api::Registry>,
    tiers: impl IntoIterator<Item = &'a api::ApprovalTier>,
) -> Result<(), Problem> {
    policy_by(&Anew, policy, tools, registries, tiers)
}

/// As [`policy`], with resources that are lowered `how` the caller says.
pub fn policy_by<'a>(
    how: &impl Lower,
    policy: &Policy,
    tools: impl IntoIterator<Item = &'a api::Tool>,
    registries: impl IntoIterator<Item = &'a api::Registry>,
    tiers: impl IntoIterator<Item = &'a api::ApprovalTier>,
) -> Result<(), Problem> {
    let wanted: Vec<&String> = policy
        .rules
        .iter()
        .filter_map(|rule| match &rule.effect {
            Effect::RequireApproval { tier, .. } => Some(tier),
            Effect::Allow | Effect::Deny | Effect::Sanitize(_) => None,
        })
        .chain(policy.rego.iter().flat_map(|rego| &rego.tiers))
        .collect();
    let source = BundleSource {
        agent: nobody(),
        tools: lowered(tools, |name| policy.tools.contains(name), |tool| how.tool(tool)),
        // For whom its rules are makes no difference to whether they fit its tools and each other.
        policies: vec![Policy { agents: None, ..policy.clone() }],
        registries: lowered(registries, |name| policy.registries.contains(name), |registry| how.registry(registry)),
        tiers: lowered(tiers, |name| wanted.contains(&name), |tier| how.tier(tier)),
    };
    match Bundle::assemble(source) {
        Err(AssembleError::Rule { error, .. }) => Err(Problem::Invalid(Invalid {
            field: format!("spec.rules[{}].{}", error.index, error.field),
            reason: error.problem.to_string(),
        })),
        Err(AssembleError::Provenance { error, .. }) => Err(Problem::Invalid(Invalid {
            field: format!("spec.provenance[{}].{}", error.index, error.field),
            reason: error.problem.to_string(),
        })),
        Err(AssembleError::Rollout { problem, .. }) => {
            Err(Problem::Invalid(Invalid { field: "spec.rollout".to_owned(), reason: problem.to_string() }))
        }
        Err(AssembleError::Sanitize { tool, operation, error }) => Err(Problem::Invalid(Invalid {
            field: "spec.rules".to_owned(),
            reason: format!("for operation {operation} of Tool {tool}: {error}"),
        })),
        Err(AssembleError::Rego { error, .. }) => {
            Err(Problem::Invalid(Invalid { field: "spec.rego.module".to_owned(), reason: error.to_string() }))
        }
        Err(
            error @ (AssembleError::TooLarge { .. } | AssembleError::TooManyPlaces | AssembleError::NotCanonical(_)),
        ) => Err(unfit(error)),
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Whether all that concerns one agent is together as small as a bundle must be. Nothing is compiled, and what cannot be
/// gathered is not looked at: that is a fault of the resource that keeps it from being gathered.
pub fn for_agent(
    agent: &api::Agent,
    tools: &[api::Tool],
    policies: &[api::ToolPolicy],
    registries: &[api::Registry],
    tiers: &[api::ApprovalTier],
) -> Result<(), Problem> {
    let Ok(source) = gather::bundle_source(agent, tools, policies, registries, tiers) else { return Ok(()) };
    source.fits().map_err(unfit)
}

/// What is wrong where all of it together makes no bundle, whatever its parts are.
fn unfit(error: AssembleError) -> Problem {
    if error.is_too_large() {
        return Problem::TooLarge(Box::new(error));
    }
    Problem::Invalid(Invalid { field: "spec".to_owned(), reason: error.to_string() })
}

fn lowered<'a, K: Resource + 'a, C>(
    objects: impl IntoIterator<Item = &'a K>,
    named: impl Fn(&String) -> bool,
    lower: impl Fn(&K) -> Result<C, Invalid>,
) -> Vec<C> {
    let named = objects.into_iter().filter(|object| named(&object.name_any()));
    named.filter_map(|object| lower(object).ok()).collect()
}

/// An agent that only gives a bundle its shape: rules and operations compile the same for all.
fn nobody() -> Agent {
    Agent {
        namespace: String::new(),
        name: String::new(),
        uid: String::new(),
        tenant: String::new(),
        business_unit: String::new(),
        owner: String::new(),
        version: String::new(),
        ceiling: Class::Commit,
        service_account: String::new(),
        max_staleness_seconds: 1,
        token_ttl_seconds: 60,
        level: aegis_decision::egress::Level::Mediated,
        egress: Vec::new(),
        mode: aegis_decision::agent::Mode::Enforce,
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::lower;

    fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> K {
        let metadata = json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}")});
        let object = json!({"apiVersion": "aegis.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    /// A tool of 500 operations.
    fn wide() -> api::Tool {
        let operation = |at| {
            let http = json!({"method": "GET", "path": format!("/things/{at}")});
            json!({"name": format!("things.{at}"), "class": "Read", "http": http})
        };
        let operations: Vec<Value> = (0..500).map(operation).collect();
        object("Tool", "wide", &json!({"endpoint": "https://wide.example/", "operations": operations}))
    }

    /// A policy that takes so many places in the table of each operation.
    fn policy_of(name: &str, places: usize) -> api::ToolPolicy {
        let values: Vec<String> = (0..places).map(|at| format!("v{at}")).collect();
        let rule = json!({"name": "known", "operations": ["*"], "effect": "Allow",
            "when": [{"field": "payee", "in": values}]});
        object("ToolPolicy", name, &json!({"tools": ["wide"], "rules": [rule]}))
    }

    #[test]
    fn a_policy_that_no_bundle_has_room_for_is_a_problem_by_itself() {
        let judged = |places| policy(&lower::policy(&policy_of("p", places)).unwrap(), [&wide()], [], []);
        assert_eq!(judged(100), Ok(()));
        let problem = judged(501).unwrap_err();
        assert_eq!(problem.reason(), "TooLarge");
        assert!(problem.to_string().starts_with("spec: is too large for a bundle: "), "{problem}");
    }

    #[test]
    fn policies_that_fit_alone_may_be_too_large_for_an_agent_together() {
        let agent = json!({"tenant": "acme", "businessUnit": "office", "owner": {"name": "Ana"}, "version": "1",
            "lifecycle": "Registered", "workload": {"serviceAccountName": "buyer"}});
        let agent: api::Agent = object("Agent", "buyer", &agent);
        let both = [policy_of("a", 300), policy_of("b", 300)];
        let judged = |policies: &[api::ToolPolicy]| for_agent(&agent, &[wide()], policies, &[], &[]);
        for one in &both {
            assert_eq!(judged(std::slice::from_ref(one)), Ok(()));
        }
        assert_eq!(judged(&both), Err(Problem::TooLarge(Box::new(AssembleError::TooManyPlaces))));
    }
}
