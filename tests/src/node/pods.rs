//! Pods on the node.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{LogParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::images::image;
use super::start::Node;
use crate::cluster::eventually;

/// A pod of an agent: one container `agent` of the test program with these arguments, hardened as every level asks.
pub fn pod(name: &str, agent: &str, arguments: &[&str]) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"aegis.dev/agent": agent}},
        "spec": {
            "serviceAccountName": agent,
            "terminationGracePeriodSeconds": 5,
            "containers": [{
                "name": "agent",
                "image": image("aegis-testkit"),
                "imagePullPolicy": "IfNotPresent",
                "args": arguments,
                "securityContext": {
                    "runAsUser": 1000, "runAsGroup": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }],
        },
    })
}

/// Creates a pod as admin.
pub async fn create(node: &Node, namespace: &str, pod: Value) -> Result<Pod> {
    let api: Api<Pod> = Api::namespaced(node.cluster.admin().await?, namespace);
    let pod: Pod = serde_json::from_value(pod)?;
    Ok(api.create(&PostParams::default(), &pod).await?)
}

/// Waits until every container of a pod runs and is ready.
pub async fn wait_running(node: &Node, namespace: &str, name: &str, within: Duration) -> Result<Pod> {
    let api: Api<Pod> = Api::namespaced(node.cluster.admin().await?, namespace);
    let waited = eventually(&format!("pod {namespace}/{name} to run"), within, async || {
        let pod = api.get(name).await?;
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        ensure!(phase == Some("Running") && is_ready(&pod), "{}", settled(&pod));
        Ok(pod)
    })
    .await;
    match waited {
        Ok(pod) => Ok(pod),
        Err(error) => {
            let mut told = String::new();
            for container in ["aegis-capture", "aegis-sidecar", "aegis-probe", "agent"] {
                let text = logs(node, namespace, name, container).await.unwrap_or_else(|error| format!("({error:#})"));
                // Writing to a String cannot fail.
                let _ = write!(told, "--- {container} ---\n{text}\n");
            }
            bail!("{error:#}\n{told}{}", node.cluster.dump(namespace, &[]))
        }
    }
}

/// Where each container of a pod stands, for a message.
pub fn settled(pod: &Pod) -> String {
    let status = pod.status.clone().unwrap_or_default();
    let all =
        status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten());
    let standing: Vec<String> = all
        .map(|one| {
            let state = serde_json::to_string(&one.state).unwrap_or_default();
            format!("{}: started {:?} ready {} {state}", one.name, one.started, one.ready)
        })
        .collect();
    format!("{} is {:?}: {}", pod.name_any(), status.phase, standing.join("; "))
}

/// What a container has printed.
pub async fn logs(node: &Node, namespace: &str, name: &str, container: &str) -> Result<String> {
    let api: Api<Pod> = Api::namespaced(node.cluster.admin().await?, namespace);
    let parameters = LogParams { container: Some(container.to_owned()), ..LogParams::default() };
    api.logs(name, &parameters).await.with_context(|| format!("logs of {name}/{container}"))
}

/// Whether the pod's condition Ready is True.
pub fn is_ready(pod: &Pod) -> bool {
    let mut conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// First process of a pod's container that runs, as this machine numbers it.
pub fn container_pid(node: &Node, pod: &Pod, container: &str) -> Result<u64> {
    let status = pod.status.as_ref().context("the pod has no status")?;
    let mut all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let found = all.find(|status| status.name == container).and_then(|status| status.container_id.as_deref());
    let answer =
        node.cluster.command(&format!("pid {}", found.with_context(|| format!("no container {container}"))?))?;
    answer.get("pid").and_then(Value::as_u64).with_context(|| format!("no process: {answer:?}"))
}
