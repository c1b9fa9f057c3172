//! What the API server holds, as last seen by read-only watches, and as it is now where that matters.
//!
//! A view may be some milliseconds old: an Agent and its pod are often applied together. So nobody is refused on its word
//! alone: see [`fresh`].

use std::sync::Arc;

use aegis_cluster::Watched;
use aegis_crds::api::{Agent, ApprovalTier, Registry, Tool, ToolPolicy};
use aegis_crds::load::Resources;
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::Tasks;
use kube::api::ListParams;
use kube::runtime::reflector::Store;
use kube::runtime::reflector::store::WriterDropped;
use kube::{Api, Client, Resource, ResourceExt as _};

use crate::AgentFacts;

/// The stores of all kinds.
#[derive(Clone)]
pub struct Stores {
    agents: Store<Agent>,
    tools: Store<Tool>,
    policies: Store<ToolPolicy>,
    registries: Store<Registry>,
    tiers: Store<ApprovalTier>,
}

impl Stores {
    /// Starts the watches.
    pub fn start(client: &Client, tasks: &mut Tasks, drain: &Drain) -> Self {
        Self {
            agents: watch("watch agents", client, tasks, drain),
            tools: watch("watch tools", client, tasks, drain),
            policies: watch("watch policies", client, tasks, drain),
            registries: watch("watch registries", client, tasks, drain),
            tiers: watch("watch tiers", client, tasks, drain),
        }
    }

    /// Returns when every store has seen its first list.
    pub async fn ready(&self) -> Result<(), WriterDropped> {
        self.agents.wait_until_ready().await?;
        self.tools.wait_until_ready().await?;
        self.policies.wait_until_ready().await?;
        self.registries.wait_until_ready().await?;
        self.tiers.wait_until_ready().await
    }

    /// What injection has to know of an agent, as last seen.
    pub fn facts(&self, namespace: &str, name: &str) -> Option<AgentFacts> {
        let agent = self.agents.find(|agent| is_in(agent, namespace) && agent.name_any() == name)?;
        let (tools, policies) = (of(&self.tools, namespace), of(&self.policies, namespace));
        Some(AgentFacts::of(&agent, tools.iter().map(Arc::as_ref), policies.iter().map(Arc::as_ref)))
    }

    /// All resources of a namespace that judge calls, as last seen.
    pub fn resources(&self, namespace: &str) -> Resources {
        let mut resources = Resources::default();
        resources.agents = owned(&self.agents, namespace);
        resources.tools = owned(&self.tools, namespace);
        resources.policies = owned(&self.policies, namespace);
        resources.registries = owned(&self.registries, namespace);
        resources.tiers = owned(&self.tiers, namespace);
        resources
    }
}

/// What [`Stores`] gives, read from the API server now.
pub mod fresh {
    use super::{Agent, AgentFacts, Api, Client, ListParams, Resources, Watched};

    /// What injection has to know of an agent.
    pub async fn facts(client: &Client, namespace: &str, name: &str) -> Result<Option<AgentFacts>, kube::Error> {
        let agents: Api<Agent> = Api::namespaced(client.clone(), namespace);
        let Some(agent) = agents.get_opt(name).await? else { return Ok(None) };
        let (tools, policies) = tokio::try_join!(list(client, namespace), list(client, namespace))?;
        Ok(Some(AgentFacts::of(&agent, &tools, &policies)))
    }

    /// All resources of a namespace that judge calls.
    pub async fn resources(client: &Client, namespace: &str) -> Result<Resources, kube::Error> {
        let mut resources = Resources::default();
        (resources.agents, resources.tools, resources.policies, resources.registries, resources.tiers) = tokio::try_join!(
            list(client, namespace),
            list(client, namespace),
            list(client, namespace),
            list(client, namespace),
            list(client, namespace)
        )?;
        Ok(resources)
    }

    async fn list<K: Watched>(client: &Client, namespace: &str) -> Result<Vec<K>, kube::Error> {
        let api: Api<K> = Api::namespaced(client.clone(), namespace);
        Ok(api.list(&ListParams::default()).await?.items)
    }
}

fn of<K: Watched>(store: &Store<K>, namespace: &str) -> Vec<Arc<K>> {
    store.state_filter(|object| is_in(object, namespace))
}

fn owned<K: Watched>(store: &Store<K>, namespace: &str) -> Vec<K> {
    of(store, namespace).into_iter().map(Arc::unwrap_or_clone).collect()
}

fn is_in<K: Resource>(object: &K, namespace: &str) -> bool {
    object.meta().namespace.as_deref() == Some(namespace)
}

fn watch<K: Watched>(name: &'static str, client: &Client, tasks: &mut Tasks, drain: &Drain) -> Store<K> {
    let slim = |object: &mut K| object.meta_mut().managed_fields = None;
    aegis_cluster::watch(name, Api::all(client.clone()), slim, drop, tasks, drain)
}
