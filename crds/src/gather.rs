//! All that concerns one agent, gathered from the resources of its namespace into the source of its bundle.
//!
//! Operator, command line and tests gather with this one function, so they judge by the same bundle. Nothing is left
//! out silently: a resource that a policy names and that is missing or invalid refuses the whole.

use std::collections::BTreeSet;

use aegis_decision::bundle::{AssembleError, BundleSource};
use aegis_decision::policy::{Effect, Policy, UnknownOrigin};
use kube::{Resource, ResourceExt as _};

use crate::api::{Agent, ApprovalTier, Registry, Tool, ToolPolicy};
use crate::lower::{self, Invalid};
use crate::lowered::{Anew, Lower};

/// Why an agent's bundle cannot be gathered: which resource is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {name}: {problem}")]
pub struct Ungathered {
    /// Kind of the resource that is wrong.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a resource.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A field cannot be used.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A field names a resource that does not exist.
    #[error("{field}: names {kind} {name}, which does not exist in this namespace")]
    ReferenceNotFound {
        /// The field.
        field: String,
        /// Kind of what it names.
        kind: &'static str,
        /// Name of what it names.
        name: String,
    },
    /// All of it together is more than a bundle may be, though nothing of it is wrong. No agent can be served it.
    #[error("spec: is too large for a bundle: {0}")]
    TooLarge(Box<AssembleError>),
}

impl Problem {
    /// Reason of a condition, of a closed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "Invalid",
            Self::ReferenceNotFound { .. } => "ReferenceNotFound",
            Self::TooLarge(_) => "TooLarge",
        }
    }
}

/// Whether a policy selects an agent of its namespace.
pub fn selects(policy: &ToolPolicy, agent: &str) -> bool {
    policy.spec.agents.as_ref().is_none_or(|names| names.iter().any(|name| name == agent))
}

/// The tools that an agent has: those of its namespace that the policies which select it name, ordered by name. Unlike
/// [`bundle_source`], what is missing or invalid takes nothing away from the rest.
pub fn tools_of<'a, 'b>(
    agent: &Agent,
    policies: impl IntoIterator<Item = &'a ToolPolicy>,
    tools: impl IntoIterator<Item = &'b Tool>,
) -> Vec<&'b Tool> {
    let home = home(agent);
    let selecting = local(&home, policies).into_iter().filter(|policy| selects(policy, &agent.name_any()));
    let named: BTreeSet<&String> = selecting.flat_map(|policy| &policy.spec.tools).collect();
    local(&home, tools).into_iter().filter(|tool| named.contains(&tool.name_any())).collect()
}

/// What a policy names and what does not exist among the resources of its namespace, in the order of its fields.
pub fn missing<'a>(
    policy: &Policy,
    policies: impl IntoIterator<Item = &'a ToolPolicy>,
    tools: impl IntoIterator<Item = &'a Tool>,
    registries: impl IntoIterator<Item = &'a Registry>,
    tiers: impl IntoIterator<Item = &'a ApprovalTier>,
) -> Vec<Problem> {
    Names::of(policies, tools, registries, tiers).missing(policy)
}

/// Names of the resources of a namespace that policies can name. Found once, they serve for all of its policies.
#[derive(Debug)]
pub struct Names {
    policies: BTreeSet<String>,
    tools: BTreeSet<String>,
    registries: BTreeSet<String>,
    tiers: BTreeSet<String>,
}

impl Names {
    /// Of these resources.
    pub fn of<'a>(
        policies: impl IntoIterator<Item = &'a ToolPolicy>,
        tools: impl IntoIterator<Item = &'a Tool>,
        registries: impl IntoIterator<Item = &'a Registry>,
        tiers: impl IntoIterator<Item = &'a ApprovalTier>,
    ) -> Self {
        Self { policies: names(policies), tools: names(tools), registries: names(registries), tiers: names(tiers) }
    }

    /// What a policy names and what is not among them, in the order of its fields.
    pub fn missing(&self, policy: &Policy) -> Vec<Problem> {
        let Self { policies, tools, registries, tiers } = self;
        let mut missing = Vec::new();
        let mut check = |known: &BTreeSet<String>, field: String, kind, name: &String| {
            if !known.contains(name) {
                missing.push(Problem::ReferenceNotFound { field, kind, name: name.clone() });
            }
        };
        for (at, name) in policy.tools.iter().enumerate() {
            check(tools, format!("spec.tools[{at}]"), "Tool", name);
        }
        for (at, name) in policy.registries.iter().enumerate() {
            check(registries, format!("spec.registries[{at}]"), "Registry", name);
        }
        for (at, rule) in policy.rules.iter().enumerate() {
            if let Effect::RequireApproval { tier, .. } = &rule.effect {
                check(tiers, format!("spec.rules[{at}].approval.tier"), "ApprovalTier", tier);
            }
        }
        for (at, entry) in policy.provenance.iter().enumerate() {
            if let UnknownOrigin::Hold { tier, .. } = &entry.unknown {
                check(tiers, format!("spec.provenance[{at}].approval.tier"), "ApprovalTier", tier);
            }
        }
        if let Some(name) = policy.rollout.as_ref().and_then(|rollout| rollout.replaces.as_ref()) {
            check(policies, "spec.rollout.replaces".to_owned(), "ToolPolicy", name);
        }
        for (at, name) in policy.rego.iter().flat_map(|rego| &rego.tiers).enumerate() {
            check(tiers, format!("spec.rego.tiers[{at}]"), "ApprovalTier", name);
        }
        missing
    }
}

fn names<'a, K: Resource + 'a>(objects: impl IntoIterator<Item = &'a K>) -> BTreeSet<String> {
    objects.into_iter().map(K::name_any).collect()
}

/// Gathers what judges the calls of one agent: the policies of its namespace that select it, and the tools, registries
/// and tiers that these name. Resources of other namespaces are not looked at (an object without a namespace counts as
/// in `default`). The parts are ordered by name.
pub fn bundle_source<'a>(
    agent: &Agent,
    tools: impl IntoIterator<Item = &'a Tool>,
    policies: impl IntoIterator<Item = &'a ToolPolicy>,
    registries: impl IntoIterator<Item = &'a Registry>,
    tiers: impl IntoIterator<Item = &'a ApprovalTier>,
) -> Result<BundleSource, Ungathered> {
    bundle_source_by(&Anew, agent, tools, policies, registries, tiers)
}

/// As [`bundle_source`], of resources that are lowered `how` the caller says.
pub fn bundle_source_by<'a>(
    how: &impl Lower,
    agent: &Agent,
    tools: impl IntoIterator<Item = &'a Tool>,
    policies: impl IntoIterator<Item = &'a ToolPolicy>,
    registries: impl IntoIterator<Item = &'a Registry>,
    tiers: impl IntoIterator<Item = &'a ApprovalTier>,
) -> Result<BundleSource, Ungathered> {
    let home = home(agent);
    let (lowered, _standing) = lower::agent(agent).map_err(|invalid| ungathered("Agent", agent, invalid))?;
    let policies = local(&home, policies);
    let tools = local(&home, tools);
    let registries = local(&home, registries);
    let tiers = local(&home, tiers);

    let known =
        Names::of(policies.iter().copied(), tools.iter().copied(), registries.iter().copied(), tiers.iter().copied());
    let mut named = Named::default();
    let mut selected = Vec::new();
    for policy in policies.iter().filter(|policy| selects(policy, &lowered.name)) {
        let policy = how.policy(policy).map_err(|invalid| ungathered("ToolPolicy", *policy, invalid))?;
        named.require(&policy, &known)?;
        selected.push(policy);
    }
    Ok(BundleSource {
        agent: lowered,
        tools: lowered_named(&tools, &named.tools, "Tool", |tool| how.tool(tool))?,
        policies: selected,
        registries: lowered_named(&registries, &named.registries, "Registry", |registry| how.registry(registry))?,
        tiers: lowered_named(&tiers, &named.tiers, "ApprovalTier", |tier| how.tier(tier))?,
    })
}

/// Names of resources that policies refer to, each known to exist.
#[derive(Default)]
struct Named {
    tools: BTreeSet<String>,
    registries: BTreeSet<String>,
    tiers: BTreeSet<String>,
}

impl Named {
    fn require(&mut self, policy: &Policy, known: &Names) -> Result<(), Ungathered> {
        if let Some(problem) = known.missing(policy).into_iter().next() {
            return Err(Ungathered { kind: "ToolPolicy", name: policy.name.clone(), problem });
        }
        self.tools.extend(policy.tools.iter().cloned());
        self.registries.extend(policy.registries.iter().cloned());
        self.tiers.extend(policy.rego.iter().flat_map(|rego| &rego.tiers).cloned());
        self.tiers.extend(policy.rules.iter().filter_map(|rule| match &rule.effect {
            Effect::RequireApproval { tier, .. } => Some(tier.clone()),
            Effect::Allow | Effect::Deny | Effect::Sanitize(_) => None,
        }));
        self.tiers.extend(policy.provenance.iter().filter_map(|entry| match &entry.unknown {
            UnknownOrigin::Hold { tier, .. } => Some(tier.clone()),
            UnknownOrigin::Deny | UnknownOrigin::Allow => None,
        }));
        Ok(())
    }
}

fn lowered_named<K: Resource, V>(
    objects: &[&K],
    names: &BTreeSet<String>,
    kind: &'static str,
    lower: impl Fn(&K) -> Result<V, Invalid>,
) -> Result<Vec<V>, Ungathered> {
    objects
        .iter()
        .filter(|object| names.contains(&object.name_any()))
        .map(|object| lower(object).map_err(|invalid| ungathered(kind, *object, invalid)))
        .collect()
}

/// The objects of one namespace, ordered by name.
fn local<'a, K: Resource>(home: &str, objects: impl IntoIterator<Item = &'a K>) -> Vec<&'a K> {
    let mut local: Vec<&K> = objects.into_iter().filter(|object| self::home(*object) == home).collect();
    local.sort_by_key(|object| object.name_any());
    local
}

fn home<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}

fn ungathered<K: Resource>(kind: &'static str, object: &K, invalid: Invalid) -> Ungathered {
    Ungathered { kind, name: object.name_any(), problem: invalid.into() }
}
