//! The resources as core values, by namespace. What cannot be lowered or compiled is a finding and takes no further part.

use std::collections::BTreeMap;

use aegis_decision::policy::Policy;
use aegis_decision::registry::Registry;
use aegis_decision::tool::{Operation, Tool};
use kube::Resource;

use super::finding::{Finding, Lint, Subject, home};
use crate::gather::{self, Problem};
use crate::load::Resources;
use crate::lower::Invalid;
use crate::{compiles, lower};

/// What works of one namespace, in the order of names.
#[derive(Default)]
pub(super) struct Space {
    pub(super) tools: Vec<Tool>,
    pub(super) policies: Vec<Policy>,
    pub(super) registries: Vec<Registry>,
}

impl Space {
    /// Tools and operations that a policy's rules can be about.
    pub(super) fn operations<'a>(&'a self, policy: &'a Policy) -> impl Iterator<Item = (&'a Tool, &'a Operation)> {
        let tools = self.tools.iter().filter(|tool| policy.tools.contains(&tool.name));
        tools.flat_map(|tool| tool.operations.iter().map(move |operation| (tool, operation)))
    }

    /// Whether every tool of the policy is here, so that what no tool declares is declared nowhere.
    pub(super) fn knows_tools_of(&self, policy: &Policy) -> bool {
        policy.tools.iter().all(|name| self.tools.iter().any(|tool| tool.name == *name))
    }
}

/// All namespaces by name.
pub(super) struct World(pub(super) BTreeMap<String, Space>);

impl World {
    pub(super) fn of(resources: &Resources, findings: &mut Vec<Finding>) -> Self {
        let mut world = Self(BTreeMap::new());
        world.tools(resources, findings);
        world.registries(resources, findings);
        world.policies(resources, findings);
        for agent in &resources.agents {
            let Resources { tools, policies, registries, tiers, .. } = resources;
            let lowered = lower::agent(agent).map_err(Problem::from);
            let fits = || compiles::for_agent(agent, tools, policies, registries, tiers);
            keep("Agent", agent, lowered.and_then(|_| fits()), findings);
        }
        for delegation in &resources.delegations {
            keep("Delegation", delegation, lower::delegation(delegation).map_err(Problem::from), findings);
        }
        for tier in &resources.tiers {
            keep("ApprovalTier", tier, lower::tier(tier).map_err(Problem::from), findings);
        }
        for space in world.0.values_mut() {
            space.tools.sort_by(|a, b| a.name.cmp(&b.name));
            space.registries.sort_by(|a, b| a.name.cmp(&b.name));
            space.policies.sort_by(|a, b| a.name.cmp(&b.name));
        }
        world
    }

    fn space(&mut self, namespace: String) -> &mut Space {
        self.0.entry(namespace).or_default()
    }

    fn tools(&mut self, resources: &Resources, findings: &mut Vec<Finding>) {
        for tool in &resources.tools {
            let compiled = lower::tool(tool)
                .map_err(Problem::from)
                .and_then(|lowered| compiles::tool(lowered.clone()).map(|()| lowered));
            if let Some(lowered) = keep("Tool", tool, compiled, findings) {
                self.space(home(tool)).tools.push(lowered);
            }
        }
    }

    fn registries(&mut self, resources: &Resources, findings: &mut Vec<Finding>) {
        for registry in &resources.registries {
            if let Some(lowered) =
                keep("Registry", registry, lower::registry(registry).map_err(Problem::from), findings)
            {
                self.space(home(registry)).registries.push(lowered);
            }
        }
    }

    fn policies(&mut self, resources: &Resources, findings: &mut Vec<Finding>) {
        let Resources { policies, tools, registries, tiers, .. } = resources;
        for policy in &resources.policies {
            let namespace = home(policy);
            let tools: Vec<_> = tools.iter().filter(|one| home(*one) == namespace).collect();
            let registries: Vec<_> = registries.iter().filter(|one| home(*one) == namespace).collect();
            let tiers: Vec<_> = tiers.iter().filter(|one| home(*one) == namespace).collect();
            let Some(lowered) = keep("ToolPolicy", policy, lower::policy(policy).map_err(Problem::from), findings)
            else {
                continue;
            };
            let local = || (tools.iter().copied(), registries.iter().copied(), tiers.iter().copied());
            let (all_tools, all_registries, all_tiers) = local();
            let all_policies = policies.iter().filter(|one| home(*one) == namespace);
            for problem in gather::missing(&lowered, all_policies, all_tools, all_registries, all_tiers) {
                keep("ToolPolicy", policy, Err::<(), _>(problem), findings);
            }
            let (all_tools, all_registries, all_tiers) = local();
            let compiled = compiles::policy(&lowered, all_tools, all_registries, all_tiers);
            if keep("ToolPolicy", policy, compiled, findings).is_some() {
                self.space(namespace).policies.push(lowered);
            }
        }
    }
}

fn keep<K: Resource, T>(
    kind: &'static str,
    object: &K,
    result: Result<T, Problem>,
    findings: &mut Vec<Finding>,
) -> Option<T> {
    let (field, message) = match result {
        Ok(kept) => return Some(kept),
        Err(Problem::Invalid(Invalid { field, reason })) => (field, reason),
        Err(Problem::ReferenceNotFound { field, kind, name }) => {
            (field, format!("names {kind} {name}, which does not exist in this namespace"))
        }
        Err(Problem::TooLarge(error)) => ("spec".to_owned(), error.to_string()),
    };
    findings.push(Finding::new(Lint::InvalidResource, Subject::of(kind, object), field, message));
    None
}
