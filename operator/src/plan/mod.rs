//! What should be, from what is there: a pure function of one namespace's resources and the time.

mod agents;
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
