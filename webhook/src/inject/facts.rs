//! What injection has to know of an agent, gathered from resources.

use aegis_crds::api::{Agent, Tool, ToolPolicy};
use aegis_crds::mesh::Brokered;
use aegis_crds::{gather, lower};
use aegis_decision::egress::Level;
use kube::ResourceExt as _;

/// What injection has to know of an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFacts {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How much its pods are bound to the sidecar.
    pub level: Level,
    /// Service account of its pods.
    pub service_account: String,
    /// Names of the tools that its policies name and that exist, in order.
    pub tools: Vec<String>,
    /// Credentials of these tools. Those of an invalid tool are left out: the sidecar will not call it either.
    pub brokered: Vec<Brokered>,
}

impl AgentFacts {
    /// Gathers them. A policy or tool that is missing or invalid takes nothing away from the rest.
    pub fn of<'a>(
        agent: &Agent,
        tools: impl IntoIterator<Item = &'a Tool>,
        policies: impl IntoIterator<Item = &'a ToolPolicy>,
    ) -> Self {
        let tools = gather::tools_of(agent, policies, tools);
        let brokered = tools.iter().filter_map(|tool| {
            let tool = lower::tool(tool).ok()?;
            let credential = tool.credential?;
            Some(Brokered { tool: tool.name, secret: credential.secret, key: credential.key })
        });
        Self {
            namespace: agent.namespace().unwrap_or_else(|| "default".to_owned()),
            name: agent.name_any(),
            level: agent.spec.enforcement.level.into(),
            service_account: agent.spec.workload.service_account_name.clone(),
            brokered: brokered.collect(),
            tools: tools.iter().map(|tool| tool.name_any()).collect(),
        }
    }
}
