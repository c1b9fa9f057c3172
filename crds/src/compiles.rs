//! Whether a tool or policy that reads well also compiles. What is wrong then is its author's to mend, so it stands in the
//! condition of that resource, with the field, and not only in those of the agents that it keeps from a new bundle.

use aegis_decision::agent::Agent;
use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::naming::BindingError;
use aegis_decision::policy::{Effect, Policy};
use aegis_decision::tool::{Class, Tool};
use kube::{Resource, ResourceExt as _};

use crate::api;
use crate::gather::Problem;
use crate::lower::{self, Invalid};

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
        // A tool alone names nothing, and is one.
        Err(
            AssembleError::Rule { .. }
            | AssembleError::Provenance { .. }
            | AssembleError::Rollout { .. }
            | AssembleError::Sanitize { .. }
            | AssembleError::Rego { .. }
            | AssembleError::TooLarge { .. }
            | AssembleError::Duplicate { .. }
            | AssembleError::Missing { .. },
        )
        | Ok(_) => Ok(()),
    }
}

/// A policy with what it names, which is looked for among the resources of its namespace. Where that is itself missing or
/// invalid, it is left out.
pub fn policy<'a>(
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
        tools: lowered(tools, |name| policy.tools.contains(name), lower::tool),
        // For whom its rules are makes no difference to whether they fit its tools and each other.
        policies: vec![Policy { agents: None, ..policy.clone() }],
        registries: lowered(registries, |name| policy.registries.contains(name), lower::registry),
        tiers: lowered(tiers, |name| wanted.contains(&name), lower::tier),
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
        Err(_) | Ok(_) => Ok(()),
    }
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
