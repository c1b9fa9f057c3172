//! Reads what the checks judge, with the rights of whoever calls.

use std::collections::BTreeMap;
use std::time::Duration;

use aegis_crds::api::Agent;
use aegis_crds::mesh;
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize;
use serde_json::{Value, json};

/// The webhook configurations, both of that name.
const WEBHOOK: &str = "aegis-webhook";
/// Field manager of what this command writes.
const MANAGER: &str = "aegis-cli";
/// Longest wait for what a sidecar says of itself.
const ANSWER: Duration = Duration::from_secs(5);

/// The installation as it was found.
#[derive(Debug, Clone)]
pub struct Installation {
    /// Such as `v1.36.3`.
    pub version: String,
    /// Such as `36`.
    pub minor: String,
    /// The API server's clock.
    pub server_time: Option<Timestamp>,
    /// Definitions that are not there.
    pub missing_definitions: Vec<String>,
    /// Admission policies and bindings that are not there, as `Kind name`.
    pub missing_guards: Vec<String>,
    /// Webhook configurations.
    pub webhooks: Vec<Webhook>,
    /// Operator and webhook.
    pub workloads: Vec<Workload>,
}

/// A webhook configuration.
#[derive(Debug, Clone)]
pub enum Webhook {
    /// Not there.
    Missing(String),
    /// There.
    Found {
        /// Name.
        name: String,
        /// Whether every webhook in it has a caBundle.
        trusted: bool,
    },
}

/// A Deployment of Aegis.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Name.
    pub name: String,
    /// Replicas that are wanted; 0: it is not there.
    pub wanted: i32,
    /// Replicas that are ready.
    pub ready: i32,
}

/// An agent with its pods.
#[derive(Debug, Clone)]
pub struct Mesh {
    /// The agent.
    pub agent: Agent,
    /// Pods that run under its service account or carry its label.
    pub pods: Vec<Pod>,
    /// What the sidecars of these pods say of themselves, by pod name, where the caller may ask.
    pub reports: BTreeMap<String, SidecarReport>,
}

/// `/status` of a sidecar.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SidecarReport {
    /// Version.
    pub version: String,
    /// The bundle that it judges with.
    pub bundle: Option<BundleReport>,
    /// Seconds since its token was issued.
    pub token_age_seconds: Option<u64>,
}

/// The bundle of a sidecar.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BundleReport {
    /// Its digest.
    pub digest: String,
}

/// Reads the installation. What the caller may not read counts as an error that names it: a check that was not made
/// must not look as if it had passed.
pub async fn installation(client: &Client, system_namespace: &str) -> Result<Installation> {
    let (version, minor, server_time) = server(client).await.context("cannot reach the API server")?;
    Ok(Installation {
        version,
        minor,
        server_time,
        missing_definitions: definitions(client).await.context("cannot read custom resource definitions")?,
        missing_guards: guards(client).await.context("cannot read admission policies")?,
        webhooks: webhooks(client).await.context("cannot read webhook configurations")?,
        workloads: workloads(client, system_namespace).await.context("cannot read deployments")?,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
    minor: String,
}

async fn server(client: &Client) -> Result<(String, String, Option<Timestamp>)> {
    let request = http::Request::get("/version").body(kube::client::Body::empty())?;
    let answer = client.send(request).await?;
    let date = answer.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let bytes = answer.into_body().collect_bytes().await?;
    let Version { git_version, minor } = serde_json::from_slice(&bytes)?;
    Ok((git_version, minor, date))
}

async fn definitions(client: &Client) -> Result<Vec<String>> {
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
        "customresourcedefinitions",
    );
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let mut missing = Vec::new();
    for wanted in aegis_crds::definitions::definitions()? {
        let name = wanted.name_any();
        if api.get_metadata_opt(&name).await?.is_none() {
            missing.push(name);
        }
    }
    Ok(missing)
}

async fn guards(client: &Client) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for object in aegis_crds::guards::objects()? {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let (Some((group, version)), Some(plural)) =
            (text("/apiVersion").split_once('/'), aegis_crds::guards::plural(kind))
        else {
            continue;
        };
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        if api.get_metadata_opt(name).await?.is_none() {
            missing.push(format!("{kind} {name}"));
        }
    }
    Ok(missing)
}

async fn webhooks(client: &Client) -> Result<Vec<Webhook>> {
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let named = |kind: &str| format!("{kind} {WEBHOOK}");
    let first = mutating.get_opt(WEBHOOK).await?.map(|found| {
        let trusted = found.webhooks.iter().flatten().all(|webhook| webhook.client_config.ca_bundle.is_some());
        Webhook::Found { name: named("MutatingWebhookConfiguration"), trusted }
    });
    let second = validating.get_opt(WEBHOOK).await?.map(|found| {
        let trusted = found.webhooks.iter().flatten().all(|webhook| webhook.client_config.ca_bundle.is_some());
        Webhook::Found { name: named("ValidatingWebhookConfiguration"), trusted }
    });
    Ok(vec![
        first.unwrap_or_else(|| Webhook::Missing(named("MutatingWebhookConfiguration"))),
        second.unwrap_or_else(|| Webhook::Missing(named("ValidatingWebhookConfiguration"))),
    ])
}

async fn workloads(client: &Client, namespace: &str) -> Result<Vec<Workload>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let mut found = Vec::new();
    for name in ["aegis-operator", "aegis-webhook"] {
        let deployment = api.get_opt(name).await?;
        let wanted = deployment.as_ref().map_or(0, |it| it.spec.replicas.unwrap_or(1));
        let ready = deployment.and_then(|it| it.status?.ready_replicas).unwrap_or(0);
        found.push(Workload { name: name.to_owned(), wanted, ready });
    }
    Ok(found)
}

/// Reads agents, their pods and what their sidecars say.
pub async fn meshes(client: &Client, namespace: Option<&str>) -> Result<Vec<Mesh>> {
    let agents: Api<Agent> =
        namespace.map_or_else(|| Api::all(client.clone()), |it| Api::namespaced(client.clone(), it));
    let pods: Api<Pod> = namespace.map_or_else(|| Api::all(client.clone()), |it| Api::namespaced(client.clone(), it));
    let pods = pods.list(&ListParams::default()).await?.items;
    let mut meshes = Vec::new();
    for agent in agents.list(&ListParams::default()).await?.items {
        let own: Vec<Pod> = pods.iter().filter(|pod| belongs(pod, &agent)).cloned().collect();
        let mut reports = BTreeMap::new();
        for pod in &own {
            if let Some(report) = report(client, pod).await {
                reports.insert(pod.name_any(), report);
            }
        }
        meshes.push(Mesh { agent, pods: own, reports });
    }
    Ok(meshes)
}

fn belongs(pod: &Pod, agent: &Agent) -> bool {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.as_deref());
    let ended = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.namespace() == agent.namespace()
        && !matches!(ended, Some("Succeeded" | "Failed"))
        && (account == Some(&agent.spec.workload.service_account_name)
            || pod.labels().get(mesh::AGENT_LABEL) == Some(&agent.name_any()))
}

/// Asks a sidecar through the API server. Needs the verb get on pods/proxy; without it the columns stay empty, and so do
/// those of a pod that does not answer in time: it must not keep the others from being told.
async fn report(client: &Client, pod: &Pod) -> Option<SidecarReport> {
    let path =
        format!("/api/v1/namespaces/{}/pods/{}:{}/proxy/status", pod.namespace()?, pod.name_any(), mesh::ADMIN_PORT);
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    tokio::time::timeout(ANSWER, client.request(request)).await.ok()?.ok()
}

/// Asks for a probe of every agent's pods.
pub async fn request_probes(client: &Client, meshes: &[Mesh], now: Timestamp) -> Result<()> {
    let now = Timestamp::from_second(now.as_second())?.to_string();
    for mesh in meshes {
        let namespace = mesh.agent.namespace().unwrap_or_default();
        let api: Api<Agent> = Api::namespaced(client.clone(), &namespace);
        let patch = json!({"metadata": {"annotations": {mesh::PROBE_REQUESTED: now}}});
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch_metadata(&mesh.agent.name_any(), &parameters, &Patch::Merge(&patch))
            .await
            .with_context(|| format!("cannot ask for a probe of agent {namespace}/{}", mesh.agent.name_any()))?;
    }
    Ok(())
}
