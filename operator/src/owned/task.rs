//! Carries out what every agent should own, whenever its namespace was planned, and again from time to time: Services
//! that its tools name change without a word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aegis_crds::api::{Agent as Resource, Tool};
use aegis_crds::mesh::Brokered;
use aegis_crds::{gather, lower};
use aegis_decision::agent::Agent;
use aegis_decision::egress::Level;
use aegis_runtime::tasks::TaskResult;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::DynamicObject;
use kube::{Api, ResourceExt};

use super::apply::{ApplyError, api, apply, prune};
use super::peers::{Looked, Peer, To, look_up};
use super::place::{Destination, of_agent, of_mesh};
use super::{Fence, agent_policy, cilium, deployment, disruption, gateway_policy, service};
use crate::control::Control;

/// Everything is looked at again this often, whatever was planned.
const AGAIN: Duration = Duration::from_secs(30);

/// Runs until the drain begins.
pub async fn run(control: Arc<Control>) -> TaskResult {
    let mut tick = tokio::time::interval(AGAIN);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // What a namespace looked like when it was last carried out: a plan that changed nothing of it costs nothing.
    let mut done: BTreeMap<String, Seen> = BTreeMap::new();
    loop {
        let namespaces = tokio::select! {
            () = control.drain.begun() => return Ok(()),
            namespaces = control.changes.planned.take() => namespaces,
            _ = tick.tick() => {
                done.clear();
                control.stores.namespaces()
            }
        };
        let cilium = match serves_cilium(&control).await {
            Ok(cilium) => cilium,
            Err(error) => {
                tracing::warn!(%error, "kinds of the API server not found out, trying again");
                continue;
            }
        };
        if !control.leadership.leads() {
            done.clear();
            continue;
        }
        for namespace in namespaces {
            let now = generations(&control, &namespace);
            if done.get(&namespace) == Some(&now) {
                continue;
            }
            match carry_out(&control, &namespace, cilium).await {
                Ok(()) => {
                    done.insert(namespace, now);
                }
                Err(error) => tracing::warn!(namespace, %error, "owned objects not looked at, trying again"),
            }
        }
    }
}

/// Uid and generation of everything that decides about what is owned.
type Seen = Vec<(Option<String>, Option<i64>)>;

fn generations(control: &Control, namespace: &str) -> Seen {
    let stores = &control.stores;
    let of = |meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| (meta.uid.clone(), meta.generation);
    let agents = stores.agents.of(namespace);
    let tools = stores.tools.of(namespace);
    let policies = stores.policies.of(namespace);
    agents
        .iter()
        .map(|agent| of(&agent.metadata))
        .chain(tools.iter().map(|tool| of(&tool.metadata)))
        .chain(policies.iter().map(|policy| of(&policy.metadata)))
        .collect()
}

/// Names of what is wanted in a namespace, by kind.
#[derive(Default)]
struct Wanted {
    policies: Vec<String>,
    names: Vec<String>,
    gateways: Vec<String>,
}

async fn carry_out(control: &Control, namespace: &str, cilium: bool) -> Result<(), kube::Error> {
    let agents = control.stores.agents.of(namespace);
    let mut wanted = Wanted::default();
    let mut changed = false;
    for resource in &agents {
        let Ok((agent, _)) = lower::agent(resource) else {
            // What cannot be read keeps what it has.
            wanted.keep(&resource.name_any());
            continue;
        };
        let fence = if agent.level.is_captured() {
            Some(fence(control, resource, &agent, cilium, &mut wanted).await?)
        } else {
            None
        };
        changed |= control.fences.set(&agent.uid, fence);
    }
    if changed {
        control.changes.namespaces.mark(namespace);
    }
    let client = &control.client;
    prune(&api::<NetworkPolicy>(client, namespace), "NetworkPolicy", &wanted.policies).await?;
    prune(&api::<Deployment>(client, namespace), "Deployment", &wanted.gateways).await?;
    prune(&api::<Service>(client, namespace), "Service", &wanted.gateways).await?;
    prune(&api::<PodDisruptionBudget>(client, namespace), "PodDisruptionBudget", &wanted.gateways).await?;
    if cilium {
        prune(&names_api(control, namespace), "CiliumNetworkPolicy", &wanted.names).await?;
    }
    Ok(())
}

impl Wanted {
    fn keep(&mut self, agent: &str) {
        self.policies.extend([agent_policy::name(agent), gateway_policy::name(agent)]);
        self.names.push(cilium::name(agent));
        self.gateways.push(aegis_crds::mesh::gateway_name(agent));
    }
}

/// Applies an agent's objects. What fails is told of in its condition and does not hold up the others.
async fn fence(
    control: &Control,
    resource: &Resource,
    agent: &Agent,
    cilium: bool,
    wanted: &mut Wanted,
) -> Result<Fence, kube::Error> {
    let tools = tools(control, resource);
    let lowered: Vec<_> = tools.iter().filter_map(|tool| lower::tool(tool).ok()).collect();
    let mut fence = Fence { policies: control.mesh.network.policies, ..Fence::default() };
    if fence.policies {
        let mesh = peers(control, &of_mesh(&control.mesh), &mut fence).await?;
        let own = peers(control, &of_agent(agent, &lowered), &mut fence).await?;
        wanted.policies.push(agent_policy::name(&agent.name));
        if agent.level == Level::Sealed {
            wanted.policies.push(gateway_policy::name(&agent.name));
        }
        let applied = policies(control, agent, &mesh, own, cilium, &mut fence, wanted).await;
        fence.failed = applied.err().map(|error| told(&error));
    }
    if agent.level == Level::Sealed {
        wanted.gateways.push(aegis_crds::mesh::gateway_name(&agent.name));
        if let Err(error) = gateway(control, agent, &tools).await {
            fence.failed = Some(told(&error));
        }
    }
    Ok(fence)
}

fn tools(control: &Control, agent: &Resource) -> Vec<Arc<Tool>> {
    let namespace = agent.namespace().unwrap_or_default();
    let (tools, policies) = (control.stores.tools.of(&namespace), control.stores.policies.of(&namespace));
    let own = gather::tools_of(agent, policies.iter().map(AsRef::as_ref), tools.iter().map(AsRef::as_ref));
    let names: BTreeSet<String> = own.into_iter().map(ResourceExt::name_any).collect();
    tools.into_iter().filter(|tool| names.contains(&tool.name_any())).collect()
}

async fn peers(control: &Control, destinations: &[Destination], fence: &mut Fence) -> Result<Vec<Peer>, kube::Error> {
    let mut found = Vec::new();
    for destination in destinations {
        match look_up(&control.client, destination).await? {
            Looked::Found(peer) => found.push(peer),
            Looked::Missing(service) => {
                fence.missing.insert(service);
            }
        }
    }
    Ok(found)
}

async fn policies(
    control: &Control,
    agent: &Agent,
    mesh: &[Peer],
    own: Vec<Peer>,
    cilium: bool,
    fence: &mut Fence,
    wanted: &mut Wanted,
) -> Result<(), ApplyError> {
    let network = &control.mesh.network;
    let own = if cilium {
        let (said, names) = cilium::split(&own);
        if let Some(policy) = cilium::build(agent, &names) {
            wanted.names.push(cilium::name(&agent.name));
            apply(&names_api(control, &agent.namespace), "CiliumNetworkPolicy", &policy).await?;
        }
        said
    } else {
        own
    };
    fence.wide = own.iter().filter_map(wide).collect();
    let api = api::<NetworkPolicy>(&control.client, &agent.namespace);
    if agent.level == Level::Sealed {
        apply(&api, "NetworkPolicy", &gateway_policy::build(agent, network, mesh, &own)).await?;
    }
    apply(&api, "NetworkPolicy", &agent_policy::build(agent, network, mesh, &own)).await
}

fn wide(peer: &Peer) -> Option<String> {
    match &peer.to {
        To::Anywhere { name, .. } => Some(name.clone()),
        To::Pods { .. } | To::Addresses(_) => None,
    }
}

async fn gateway(control: &Control, agent: &Agent, tools: &[Arc<Tool>]) -> Result<(), ApplyError> {
    let brokered: Vec<Brokered> = tools.iter().filter_map(|tool| brokered(tool)).collect();
    let (client, namespace) = (&control.client, agent.namespace.as_str());
    apply(&api(client, namespace), "Service", &service::build(agent)).await?;
    apply(&api(client, namespace), "Deployment", &deployment::build(agent, &control.mesh, &brokered)).await?;
    apply(&api(client, namespace), "PodDisruptionBudget", &disruption::build(agent)).await
}

fn brokered(tool: &Tool) -> Option<Brokered> {
    let reference = &tool.spec.credential.as_ref()?.secret_ref;
    Some(Brokered { tool: tool.name_any(), secret: reference.name.clone(), key: reference.key.clone() })
}

fn names_api(control: &Control, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(control.client.clone(), namespace, &cilium::resource())
}

/// Whether the API server serves Cilium's policies: asked, never assumed.
async fn serves_cilium(control: &Control) -> Result<bool, kube::Error> {
    let groups = control.client.list_api_groups().await?;
    if !groups.groups.iter().any(|group| group.name == "cilium.io") {
        return Ok(false);
    }
    let resources = control.client.list_api_group_resources("cilium.io/v2").await?;
    Ok(resources.resources.iter().any(|resource| resource.name == "ciliumnetworkpolicies"))
}

/// The condition names the object; what the API server said goes to the log.
fn told(error: &ApplyError) -> String {
    match error {
        ApplyError::Taken { .. } => error.to_string(),
        ApplyError::Api(source) => {
            tracing::warn!(%source, "owned object not applied");
            let code = if let kube::Error::Api(status) = source { status.code } else { 0 };
            match code {
                0 => "the API server did not answer".to_owned(),
                code => format!("the API server refused an object with status {code}; the operator's log says why"),
            }
        }
    }
}
