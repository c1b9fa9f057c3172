//! An agent in a pod, which makes a call when it is told to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::Deserialize;
use serde_json::Value;

use super::pods::{create, pod, wait_running};
use super::start::Node;
use crate::cluster::Cluster;

/// Time for an agent's pod to be ready: capture, sidecar, token, probe, agent.
const START: Duration = Duration::from_secs(90);

/// A pod of an agent that idles until it is told to call.
pub struct PodAgent {
    node: Arc<Node>,
    namespace: String,
    pod: Pod,
}

/// What the test program printed about an answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Reply {
    /// Status; none when nothing was answered.
    #[serde(default)]
    pub status: Option<u16>,
    /// Headers in lower case.
    #[serde(default)]
    pub headers: std::collections::BTreeMap<String, String>,
    /// Body: JSON where it is JSON, else a text.
    #[serde(default)]
    pub body: Value,
    /// Why nothing was answered.
    #[serde(default)]
    pub error: Option<String>,
}

impl PodAgent {
    /// Creates the pod and waits until it is ready.
    pub async fn start(node: &Arc<Node>, namespace: &str, agent: &str, name: &str) -> Result<Self> {
        create(node, namespace, pod(name, agent, &["idle"])).await?;
        let pod = wait_running(node, namespace, name, START).await?;
        Ok(Self { node: Arc::clone(node), namespace: namespace.to_owned(), pod })
    }

    /// Runs the test program in the agent's container.
    pub async fn exec(&self, arguments: &[&str]) -> Result<String> {
        let name = self.pod.name_any();
        let mut all = vec!["exec", &name, "-n", &self.namespace, "-c", "agent", "--", "/aegis-testkit"];
        all.extend(arguments);
        let output = self.node.cluster.kubectl("admin", &all).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success() || !text.trim().is_empty(),
            "kubectl {}: {}",
            all.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(text)
    }

    /// A call by the agent.
    pub async fn call(&self, method: &str, url: &str, body: Option<&Value>, more: &[&str]) -> Result<Reply> {
        let body = body.map(ToString::to_string);
        let mut arguments = vec!["get", url, "--method", method];
        if let Some(body) = &body {
            arguments.extend(["--header", "content-type: application/json", "--body", body]);
        }
        arguments.extend(more);
        let text = self.exec(&arguments).await?;
        serde_json::from_str(text.trim()).with_context(|| format!("the test program printed {text:?}"))
    }

    /// The pod as it was when it became ready.
    pub fn pod(&self) -> &Pod {
        &self.pod
    }

    /// Address of the pod.
    pub fn address(&self) -> Result<String> {
        let status = self.pod.status.as_ref().and_then(|status| status.pod_ip.clone());
        status.context("the pod has no address")
    }

    /// Folder of the sidecar's record files, seen from this machine.
    pub fn records(&self) -> Result<PathBuf> {
        records_of(&self.node.cluster, &self.pod)
    }
}

/// Folder of the record files of a pod's sidecar or gateway, seen from this machine.
pub fn records_of(cluster: &Cluster, pod: &Pod) -> Result<PathBuf> {
    let uid = pod.uid().context("the pod has no uid")?;
    let kubelet = cluster.ready().dir.join("kubelet");
    Ok(kubelet.join("pods").join(uid).join("volumes/kubernetes.io~empty-dir/aegis-records"))
}
