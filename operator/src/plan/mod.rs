//! What should be, from what is there: a pure function of one namespace's resources and the time.

mod agents;
mod frozen;
mod given;
mod holders;
mod known;
mod lent;
mod parts;
mod pods;

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_crds::api::{
    Agent, AgentStatus, ApprovalTier, ApprovalTierStatus, Delegation, DelegationStatus, Registry, RegistryStatus, Tool,
    ToolPolicy, ToolPolicyStatus, ToolStatus,
};
use aegis_crds::lowered::Lowered;
use aegis_crds::mesh::Settings;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::hub::View;
use crate::owned::Fence;

pub use agents::views;
pub use frozen::{Cause, Fault, Frozen};
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
    /// Agents that keep their last bundle.
    pub frozen: Vec<Frozen>,
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
    plan.known.lowered = Arc::new(lowered(gathered));
    plan.check_again_at = agents::next_change(gathered, now);
    agents::plan(gathered, mesh, now, &mut plan);
    // After the agents: whether a part is in use is seen from them.
    parts::plan(gathered, now, &mut plan);
    plan
}

/// The namespace's resources as core values. Those that are as they were are shared with the plan before, so with every
/// bundle that was published.
fn lowered(gathered: &Gathered) -> Lowered {
    let Gathered { tools, policies, registries, tiers, known, .. } = gathered;
    Lowered::of(&known.lowered, tools, policies, registries, tiers)
}

#[cfg(test)]
mod tests {
    use aegis_decision::agent::Lifecycle;
    use aegis_decision::bundle::BundleSource;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
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

    fn named(name: &str) -> Arc<Agent> {
        let spec = json!({"tenant": "acme", "businessUnit": "office", "owner": {"name": "Ana"}, "version": "1",
            "lifecycle": "Registered", "workload": {"serviceAccountName": name}});
        object("Agent", name, &spec)
    }

    /// A tool, a registry, and a policy that names both and has one rule of that name.
    fn resources(rule: &str) -> Gathered {
        let operation =
            json!({"name": "payments.list", "class": "Read", "http": {"method": "GET", "path": "/payments"}});
        let tool = json!({"endpoint": "https://till.example.com/", "operations": [operation]});
        let registry = json!({"key": "payee", "entries": [{"id": "A"}, {"id": "B"}]});
        let rule = json!({"name": rule, "operations": ["payments.list"], "effect": "Allow",
            "when": [{"field": "payee", "inRegistry": "payees"}]});
        let policy = json!({"tools": ["till"], "registries": ["payees"], "rules": [rule]});
        Gathered {
            agents: vec![named("buyer"), named("seller")],
            tools: vec![object("Tool", "till", &tool)],
            policies: vec![object("ToolPolicy", "payments", &policy)],
            registries: vec![object("Registry", "payees", &registry)],
            ..Gathered::default()
        }
    }

    fn of_policy<'a>(plan: &'a Plan, name: &str, kind: &str) -> (&'a str, &'a str, &'a str) {
        let (_, status) =
            plan.policies.iter().find(|(policy, _)| policy.metadata.name.as_deref() == Some(name)).unwrap();
        let condition = status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
        (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str())
    }

    #[test]
    fn what_is_valid_and_not_in_force_says_so_and_what_is_in_force_does_not() {
        let now = Timestamp::UNIX_EPOCH;
        let first = plan(&resources("known"), &settings(), now);
        assert!(first.frozen.is_empty());
        assert_eq!(of_policy(&first, "payments", "Ready"), ("True", "Accepted", "in use"));
        let published: BTreeMap<_, _> = first.views.iter().map(|view| (view.agent.uid.clone(), view.clone())).collect();

        // Another policy keeps both agents on their last bundle. This one has not changed since, so it is in force.
        let rule = json!({"name": "any", "operations": ["payments.list"], "effect": "Allow",
            "when": [{"field": "payee", "equals": "A"}]});
        let broken = object("ToolPolicy", "broken", &json!({"tools": ["gone"], "rules": [rule]}));
        let with = |name: &str, known: Known| {
            let mut gathered = resources(name);
            gathered.policies.push(Arc::clone(&broken));
            Gathered { published: published.clone(), known, ..gathered }
        };
        let second = plan(&with("known", first.known), &settings(), now);
        assert_eq!(second.frozen.len(), 2);
        assert_eq!(of_policy(&second, "payments", "Ready"), ("True", "Accepted", "in use"));
        assert_eq!(of_policy(&second, "broken", "Ready").1, "ReferenceNotFound", "its own fault comes first");

        let third = plan(&with("other", second.known), &settings(), now);
        let (status, reason, message) = of_policy(&third, "payments", "Ready");
        assert_eq!((status, reason), ("False", "NotServed"));
        assert!(message.starts_with("not served to 2 agents (buyer, seller), kept on the last bundle: "), "{message}");
        assert!(message.contains("ToolPolicy broken: spec.tools[0]: names Tool gone"), "{message}");
        assert_eq!(of_policy(&third, "payments", "Stalled").0, "True");
        assert_eq!(of_policy(&third, "payments", "Accepted").0, "True", "nothing of it is wrong");
        let ready = |conditions: &[Condition]| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        };
        assert!(
            ready(&third.tools[0].1.conditions) && ready(&third.registries[0].1.conditions),
            "these have not changed"
        );
    }

    fn source(view: &View) -> &BundleSource {
        view.bundle.as_ref().unwrap().bundle.source()
    }

    #[test]
    fn what_agents_have_in_common_is_held_once_also_after_the_next_plan() {
        let now = Timestamp::UNIX_EPOCH;
        let shares = |one: &BundleSource, other: &BundleSource| {
            one.registries[0].entries.is_one_with(&other.registries[0].entries)
                && one.tools[0].operations.is_one_with(&other.tools[0].operations)
        };
        let first = plan(&resources("known"), &settings(), now);
        let sources: Vec<_> = first.views.iter().map(source).collect();
        assert_eq!(sources.len(), 2);
        assert!(shares(sources[0], sources[1]), "two agents");

        // The watches bring new objects, of which one has changed.
        let published = first.views.iter().map(|view| (view.agent.uid.clone(), view.clone())).collect();
        let next = Gathered { published, known: first.known, ..resources("other") };
        let second = plan(&next, &settings(), now);
        for view in &second.views {
            assert_eq!(source(view).policies[0].rules[0].name, "other");
            assert!(shares(source(view), source(&first.views[0])), "a bundle of before");
        }
    }

    #[test]
    fn a_delegation_that_is_not_lent_says_so_and_its_agent_is_not_told_of_it() {
        let delegation = |name: &str, revoked: bool| {
            let values = vec!["s".repeat(250); 1600];
            let spec = json!({"agent": "buyer", "delegator": "dave", "requestedBy": "carol", "workflow": "restock",
                "purpose": "Paper.", "grants": [{"tool": "till", "operations": ["*"]}], "revoked": revoked,
                "data": [{"dimension": "supplier", "in": values}],
                "notBefore": "1969-12-31T00:00:00Z", "expiresAt": "1970-01-02T00:00:00Z"});
            object::<Delegation>("Delegation", name, &spec)
        };
        let now = Timestamp::UNIX_EPOCH;
        let planned = |revoked| {
            let delegations = vec![delegation("a", revoked), delegation("b", false), delegation("c", false)];
            let gathered = Gathered { delegations, ..resources("known") };
            let plan = plan(&gathered, &settings(), now);
            let ready = |status: &DelegationStatus| status.conditions[0].clone();
            let ready: Vec<_> = plan.delegations.iter().map(|(_, status)| ready(status)).collect();
            let view = plan.views.iter().find(|view| view.agent.name == "buyer").unwrap();
            let lent: Vec<_> = view.grants.delegations.iter().map(|delegation| delegation.name.clone()).collect();
            (ready, lent)
        };
        let reasons = |ready: &[Condition]| ready.iter().map(|ready| ready.reason.clone()).collect::<Vec<_>>();
        let (ready, lent) = planned(false);
        assert_eq!(reasons(&ready), ["Effective", "Effective", "TooLarge"]);
        assert_eq!((ready[2].type_.as_str(), ready[2].status.as_str()), ("Ready", "False"));
        assert!(ready[2].message.contains("revoke or delete older ones"), "{}", ready[2].message);
        assert_eq!(lent, ["a", "b"]);
        let (ready, lent) = planned(true);
        assert_eq!(reasons(&ready), ["Revoked", "Effective", "Effective"]);
        assert_eq!(lent, ["b", "c"]);
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
