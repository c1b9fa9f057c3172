//! What policies give to agents, by name: found once for each agent and each policy, and not again for each resource.

use std::collections::BTreeSet;
use std::sync::Arc;

use aegis_crds::api::ToolPolicy;
use aegis_crds::gather::selects;

/// Names of what the policies that select an agent name.
#[derive(Debug, Default)]
pub struct Given<'a> {
    tools: BTreeSet<&'a str>,
    registries: BTreeSet<&'a str>,
}

impl<'a> Given<'a> {
    /// What these policies give to an agent of their namespace.
    pub fn to(agent: &str, policies: &'a [Arc<ToolPolicy>]) -> Self {
        let mut given = Self::default();
        for policy in policies.iter().filter(|policy| selects(policy, agent)) {
            given.tools.extend(policy.spec.tools.iter().map(String::as_str));
            given.registries.extend(policy.spec.registries.iter().map(String::as_str));
        }
        given
    }

    /// Whether one of them names the tool.
    pub fn has_tool(&self, name: &str) -> bool {
        self.tools.contains(name)
    }

    /// Whether one of them names the registry.
    pub fn has_registry(&self, name: &str) -> bool {
        self.registries.contains(name)
    }
}

/// Which agents of its namespace a policy selects: these, or all.
#[derive(Debug)]
pub struct Selection<'a>(Option<BTreeSet<&'a str>>);

impl<'a> Selection<'a> {
    /// Of this policy.
    pub fn of(policy: &'a ToolPolicy) -> Self {
        Self(policy.spec.agents.as_ref().map(|names| names.iter().map(String::as_str).collect()))
    }

    /// Whether it selects the agent.
    pub fn has(&self, agent: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(agent))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(agents: &Value, tool: &str, registry: &str) -> Arc<ToolPolicy> {
        let mut policy = json!({
            "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": tool, "namespace": "shop"},
            "spec": {"tools": [tool], "registries": [registry], "rules": []},
        });
        if !agents.is_null() {
            policy["spec"]["agents"] = agents.clone();
        }
        Arc::new(serde_json::from_value(policy).unwrap())
    }

    #[test]
    fn an_agent_is_given_what_the_policies_that_select_it_name() {
        let policies = [policy(&Value::Null, "till", "payees"), policy(&json!(["buyer"]), "erp", "suppliers")];
        let (buyer, seller) = (Given::to("buyer", &policies), Given::to("seller", &policies));
        for given in [&buyer, &seller] {
            assert!(given.has_tool("till") && given.has_registry("payees"));
            assert!(!given.has_tool("payees") && !given.has_registry("till"));
        }
        assert!(buyer.has_tool("erp") && buyer.has_registry("suppliers"));
        assert!(!seller.has_tool("erp") && !seller.has_registry("suppliers"));
    }

    #[test]
    fn a_selection_has_whom_the_policy_selects() {
        for agents in [Value::Null, json!(["buyer"]), json!([])] {
            let policy = policy(&agents, "till", "payees");
            for agent in ["buyer", "seller"] {
                assert_eq!(Selection::of(&policy).has(agent), selects(&policy, agent), "{agents} {agent}");
            }
        }
    }
}
