//! What should be, from what is there: a pure function of one namespace's resources and the time.

mod agents;
mod known;
mod parts;
mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_crds::api::{
    Agent, AgentStatus, ApprovalTier, ApprovalTierStatus, Delegation, DelegationStatus, Registry, RegistryStatus, Tool,
    ToolPolicy, ToolPolicyStatus, ToolStatus,
};
use aegis_crds::mesh::Settings;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::hub::View;
use crate::owned::Fence;

pub use agents::views;
pub use known::Known;
pub use pods::REASONS;

/// One namespace's resources, as the stores hold them, and what was published before.
#[derive(Debug, Default)]
pub struct Gathered {
    /// Agents.
    pub agents: Vec<Arc<Agent>>,
    /// Tools.
    pub tools: Vec<Arc<Tool>>,
    /// Policies.
    pub policies: Vec<Arc<ToolPolicy>>,
    /// Registries.
    pub registries: Vec<Arc<Registry>>,
    /// Delegations.
    pub delegations: Vec<Arc<Delegation>>,
    /// Tiers.
    pub tiers: Vec<Arc<ApprovalTier>>,
    /// Pods, slim.
    pub pods: Vec<Arc<Pod>>,
    /// What came of the objects that agents own, by agent uid.
    pub fences: BTreeMap<String, Fence>,
    /// Releases that are out, by agent uid.
    pub releases: BTreeMap<String, Vec<String>>,
    /// Views as published last, by agent uid.
    pub published: BTreeMap<String, View>,
    /// What the plan before compiled.
    pub known: Known,
}

/// An object and the status that it should have.
pub type Reported<K, S> = Vec<(Arc<K>, S)>;

/// What should be.
#[derive(Debug, Default)]
pub struct Plan {
    /// What each agent's sidecars should know. An agent that cannot be lowered has none: it keeps what it was told, but
    /// see `suspended`.
    pub views: Vec<View>,
    /// Statuses.
    pub agents: Reported<Agent, AgentStatus>,
    /// Statuses.
    pub tools: Reported<Tool, ToolStatus>,
    /// Statuses.
    pub policies: Reported<ToolPolicy, ToolPolicyStatus>,
    /// Statuses.
    pub registries: Reported<Registry, RegistryStatus>,
    /// Statuses.
    pub delegations: Reported<Delegation, DelegationStatus>,
    /// Statuses.
    pub tiers: Reported<ApprovalTier, ApprovalTierStatus>,
    /// When time alone changes the plan: a review or delegation begins or ends, a probe grows too old.
    pub check_again_at: Option<Timestamp>,
    /// What was compiled, for the next plan.
    pub known: Known,
}

impl Plan {
    /// For each agent, the reason of its condition `EnforcementVerified`.
    pub fn enforcement(&self) -> impl Iterator<Item = &str> + Clone {
        let conditions = self.agents.iter().flat_map(|(_, status)| &status.conditions);
        conditions.filter(|condition| condition.type_ == pods::VERIFIED).map(|condition| condition.reason.as_str())
    }
}

/// Plans one namespace, for a mesh of these settings.
pub fn plan(gathered: &Gathered, mesh: &Settings, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    parts::plan(gathered, now, &mut plan);
    plan.check_again_at = agents::next_change(gathered, now);
    agents::plan(gathered, mesh, now, &mut plan);
    plan
}

#[cfg(test)]
mod tests {
    use aegis_decision::agent::Lifecycle;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn object<K: DeserializeOwned>(kind: &str, name: &str, spec: &Value) -> Arc<K> {
        let metadata = json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1});
        let object = json!({"apiVersion": "aegis.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn agent(lifecycle: &str) -> Arc<Agent> {
        let spec = json!({"tenant": "acme", "businessUnit": "office", "owner": {"name": "Ana"}, "version": "1",
            "lifecycle": lifecycle, "workload": {"serviceAccountName": "buyer"}});
        object("Agent", "buyer", &spec)
    }

    fn policy(patterns: &[String]) -> Arc<ToolPolicy> {
        let when: Vec<_> = patterns.iter().map(|one| json!({"field": "payee", "matches": one})).collect();
        let rule = json!({"name": "known", "operations": ["payments.list"], "effect": "Allow", "when": when});
        object("ToolPolicy", "payments", &json!({"tools": ["till"], "rules": [rule]}))
    }

    fn settings() -> Settings {
        serde_json::from_value(json!({
            "images": {"proxy": "x/aegis-proxy:2", "capture": "x/aegis-capture:2", "probe": "x/aegis-probe:2"},
            "control": "https://control:8443", "systemNamespace": "system",
        }))
        .unwrap()
    }

    fn accepted(plan: &Plan) -> bool {
        let mut conditions = plan.policies.iter().flat_map(|(_, status)| &status.conditions);
        conditions.any(|condition| condition.type_ == "Accepted" && condition.status == "True")
    }

    #[test]
    fn grants_follow_from_agents_and_delegations_whatever_becomes_of_policies() {
        let operation =
            json!({"name": "payments.list", "class": "Read", "http": {"method": "GET", "path": "/payments"}});
        let tool = object("Tool", "till", &json!({"endpoint": "https://till.example.com/", "operations": [operation]}));
        let now = Timestamp::UNIX_EPOCH;
        let mut gathered = Gathered {
            agents: vec![agent("Registered")],
            tools: vec![tool],
            policies: vec![policy(&["[A-Z]{3}".to_owned()])],
            ..Gathered::default()
        };
        assert!(views(&gathered, &BTreeMap::new(), now).is_empty(), "the agent is new: its first view has a bundle");
        let first = plan(&gathered, &settings(), now);
        assert!(accepted(&first));
        gathered.published = first.views.iter().map(|view| (view.agent.uid.clone(), view.clone())).collect();

        gathered.agents = vec![agent("Suspended")];
        let large: Vec<_> = (0..16).map(|at| format!(r"\w{{20}}|a{{{at}}}")).collect();
        gathered.policies = vec![policy(&large)];
        let told = views(&gathered, &BTreeMap::new(), now);
        assert_eq!(told[0].grants.standing.lifecycle, Lifecycle::Suspended);
        let bundle = |view: &View| Arc::clone(view.bundle.as_ref().unwrap());
        assert!(Arc::ptr_eq(&bundle(&told[0]), &bundle(&first.views[0])), "the bundle that it has");
        let second = plan(&gathered, &settings(), now);
        assert!(!accepted(&second), "the policy does not compile");
        assert_eq!(second.views[0].grants, told[0].grants);
    }
}
