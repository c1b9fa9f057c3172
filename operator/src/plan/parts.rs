//! Statuses of everything that agents are judged with: each resource is lowered, and its condition says what came out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aegis_crds::api::{
    ApprovalTier, ApprovalTierStatus, DelegationStatus, RegistryStatus, ToolPolicyStatus, ToolStatus,
};
use aegis_crds::gather::{Names, Problem};
use aegis_crds::lowered::Lower as _;
use aegis_crds::{compiles, lower};
use aegis_decision::delegation::DelegationState;
use aegis_decision::digest::Digest;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt as _};

use super::frozen::{Frozen, unserved};
use super::given::{Given, Selection};
use super::lent::{Beyond, ByAgent};
use super::{Gathered, Plan};
use crate::conditions::{self, Wanted};

/// Lowers everything but agents.
pub fn plan(gathered: &Gathered, now: Timestamp, plan: &mut Plan) {
    delegations(gathered, now, plan);
    let lowered = Arc::clone(&plan.known.lowered);
    let frozen: Vec<(&Frozen, Given<'_>)> =
        plan.frozen.iter().map(|frozen| (frozen, Given::to(&frozen.agent, &gathered.policies))).collect();
    for tool in &gathered.tools {
        let compile = || lowered.tool(tool).map_err(Problem::from).and_then(compiles::tool);
        let result = plan.known.part(&gathered.known, &("Tool", tool.name_any(), &tool.spec), compile);
        let unserved = result.as_ref().ok().and_then(|()| {
            let core = lowered.tool(tool).ok()?;
            let given = frozen.iter().filter(|(_, given)| given.has_tool(&core.name));
            unserved(given.map(|(frozen, _)| *frozen).filter(|frozen| !frozen.has_tool(&core)))
        });
        let current = tool.status.clone().unwrap_or_default();
        let generation = tool.metadata.generation;
        let status = ToolStatus {
            observed_generation: generation,
            conditions: accepted(&current.conditions, result.as_ref().err(), unserved, generation, now),
            operations: u32::try_from(tool.spec.operations.len()).ok(),
        };
        plan.tools.push((tool.clone(), status));
    }
    let names = names(gathered);
    let (tools, registries) = (Named::of(&gathered.tools), Named::of(&gathered.registries));
    for policy in &gathered.policies {
        let selection = Selection::of(policy);
        let result = lowered.policy(policy).map_err(Problem::from).and_then(|core| {
            // Git applies in any order, so what is missing is a condition, not a refusal.
            names.missing(&core).into_iter().next().map_or(Ok(()), Err)?;
            let (tools, registries) = (tools.all(&core.tools), registries.all(&core.registries));
            let tiers: Vec<&ApprovalTier> = gathered.tiers.iter().map(Arc::as_ref).collect();
            let specs = (
                specs(&tools, |tool| &tool.spec),
                specs(&registries, |registry| &registry.spec),
                specs(&tiers, |tier| &tier.spec),
            );
            let compile = || compiles::policy_by(&*lowered, &core, tools, registries, tiers);
            plan.known.part(&gathered.known, &("ToolPolicy", &core, specs), compile)?;
            Ok(core)
        });
        let current = policy.status.clone().unwrap_or_default();
        let generation = policy.metadata.generation;
        let unserved = result.as_ref().ok().and_then(|core| {
            let selected = plan.frozen.iter().filter(|frozen| selection.has(&frozen.agent));
            unserved(selected.filter(|frozen| !frozen.has_policy(core)))
        });
        let agents = gathered.agents.iter().filter_map(|agent| agent.metadata.name.as_deref());
        let selected = agents.filter(|agent| selection.has(agent)).count();
        let status = ToolPolicyStatus {
            observed_generation: generation,
            conditions: accepted(&current.conditions, result.as_ref().err(), unserved, generation, now),
            digest: result.as_ref().ok().map(|core| Digest::of(core).to_string()),
            rules: u32::try_from(policy.spec.rules.len()).ok(),
            agents: u32::try_from(selected).ok(),
            trial: None,
        };
        plan.policies.push((policy.clone(), status));
    }
    for registry in &gathered.registries {
        let result = lowered.registry(registry).map_err(Problem::from);
        let unserved = result.as_ref().ok().and_then(|core| {
            let given = frozen.iter().filter(|(_, given)| given.has_registry(&core.name));
            unserved(given.map(|(frozen, _)| *frozen).filter(|frozen| !frozen.has_registry(core)))
        });
        let current = registry.status.clone().unwrap_or_default();
        let generation = registry.metadata.generation;
        let status = RegistryStatus {
            observed_generation: generation,
            conditions: accepted(&current.conditions, result.as_ref().err(), unserved, generation, now),
            entries: u32::try_from(registry.spec.entries.len()).ok(),
        };
        plan.registries.push((registry.clone(), status));
    }
    for tier in &gathered.tiers {
        let result = lowered.tier(tier).map_err(Problem::from);
        let current = tier.status.clone().unwrap_or_default();
        let generation = tier.metadata.generation;
        let status = ApprovalTierStatus {
            observed_generation: generation,
            conditions: accepted(&current.conditions, result.as_ref().err(), None, generation, now),
        };
        plan.tiers.push((tier.clone(), status));
    }
}

fn delegations(gathered: &Gathered, now: Timestamp, plan: &mut Plan) {
    let by_agent = ByAgent::of(&gathered.delegations);
    let agents = gathered.agents.iter().filter_map(|agent| agent.metadata.name.as_deref());
    let agents: BTreeMap<&str, Beyond<'_>> = agents.map(|agent| (agent, by_agent.beyond(agent, now))).collect();
    for delegation in &gathered.delegations {
        let current = delegation.status.clone().unwrap_or_default();
        let generation = delegation.metadata.generation;
        let beyond = agents.get(delegation.spec.agent.as_str());
        let too_large = beyond.and_then(|beyond| beyond.of(&delegation.name_any()));
        let ready = match (lower::delegation(delegation).map(|core| core.state(now)), too_large) {
            (Err(invalid), _) => Wanted::new("Ready", false, "Invalid", invalid.to_string()),
            (Ok(_), _) if beyond.is_none() => {
                Wanted::new("Ready", false, "AgentNotFound", "spec.agent names no Agent of this namespace")
            }
            (Ok(_), Some(text)) => Wanted::new("Ready", false, "TooLarge", text),
            (Ok(DelegationState::Effective), None) => Wanted::new("Ready", true, "Effective", "in force"),
            (Ok(DelegationState::NotYet), None) => Wanted::new("Ready", false, "NotYet", "spec.notBefore lies ahead"),
            (Ok(DelegationState::Expired), None) => Wanted::new("Ready", false, "Expired", "spec.expiresAt has passed"),
            (Ok(DelegationState::Revoked), None) => Wanted::new("Ready", false, "Revoked", "spec.revoked is true"),
        };
        let status = DelegationStatus {
            observed_generation: generation,
            conditions: conditions::set(&current.conditions, with_kstatus(ready), generation, now),
        };
        plan.delegations.push((delegation.clone(), status));
    }
}

/// Names and specs of objects of one kind: what else they have has no part in what they are lowered to.
fn specs<'a, K: Resource, S>(objects: &[&'a K], spec: impl Fn(&'a K) -> &'a S) -> Vec<(String, &'a S)> {
    objects.iter().copied().map(|object| (object.name_any(), spec(object))).collect()
}

/// What policies can name.
fn names(gathered: &Gathered) -> Names {
    let Gathered { policies, tools, registries, tiers, .. } = gathered;
    let (policies, tools) = (policies.iter().map(Arc::as_ref), tools.iter().map(Arc::as_ref));
    Names::of(policies, tools, registries.iter().map(Arc::as_ref), tiers.iter().map(Arc::as_ref))
}

/// Objects of one kind by name.
struct Named<'a, K>(BTreeMap<&'a str, &'a K>);

impl<'a, K: Resource> Named<'a, K> {
    fn of(objects: &'a [Arc<K>]) -> Self {
        let named = |object: &'a Arc<K>| Some((object.meta().name.as_deref()?, object.as_ref()));
        Self(objects.iter().filter_map(named).collect())
    }

    /// Those that have one of these names, each once.
    fn all(&self, names: &[String]) -> Vec<&'a K> {
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        names.into_iter().filter_map(|name| self.0.get(name).copied()).collect()
    }
}

/// Whether a part is valid, and in use wherever it should be: what it says of agents that are not served it.
fn accepted(
    current: &[Condition],
    invalid: Option<&Problem>,
    unserved: Option<String>,
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    let ready = |ok, reason, message: String| Wanted::new("Ready", ok, reason, message);
    let accepted = |ok, reason, message: String| Wanted::new("Accepted", ok, reason, message);
    let (ready, accepted) = match (invalid, unserved) {
        (None, None) => {
            let message = "in use".to_owned();
            (ready(true, "Accepted", message.clone()), accepted(true, "Accepted", message))
        }
        (None, Some(unserved)) => {
            let message = "valid, and not in use everywhere: see Ready".to_owned();
            (ready(false, "NotServed", unserved), accepted(true, "Accepted", message))
        }
        (Some(invalid), _) => {
            let (reason, message) = (invalid.reason(), invalid.to_string());
            (ready(false, reason, message.clone()), accepted(false, reason, message))
        }
    };
    let mut wanted = with_kstatus(ready);
    wanted.push(accepted);
    conditions::set(current, wanted, generation, now)
}

/// Ready with kstatus' abnormal conditions: what is not ready here waits for a person, so it is stalled.
pub fn with_kstatus(ready: Wanted) -> Vec<Wanted> {
    let stalled = ready.status == Some(false);
    let stalled = Wanted::new("Stalled", stalled, ready.reason, ready.message.clone());
    let reconciling = Wanted::new("Reconciling", false, "Observed", "");
    vec![ready, reconciling, stalled]
}
