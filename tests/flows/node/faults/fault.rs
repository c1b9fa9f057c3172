//! What is broken for all agents at once.

use std::time::Duration;

use aegis_tests::cluster::{eventually, process::Signal as Told};
use aegis_tests::node::{CHART_NAMESPACE, Node};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::lane::{WITHIN, pid};
use super::scene::Scene;
use super::signal::{Signal, lives, signal};

/// A fault of the cluster, or of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Nothing,
    Operator,
    Webhook,
    ApiServer,
    Etcd,
    EtcdFrozen,
    OperatorAndEtcd,
    Dns,
    Tool,
    ToolFrozen,
    Kubelet,
    KubeletAndContainerd,
}

impl Fault {
    /// What it is called in the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Operator => "operator killed, away",
            Self::Webhook => "webhook killed, away",
            Self::ApiServer => "API server killed, away",
            Self::Etcd => "etcd killed, away",
            Self::EtcdFrozen => "etcd frozen",
            Self::OperatorAndEtcd => "operator and etcd killed, away",
            Self::Dns => "cluster DNS frozen",
            Self::Tool => "tool killed, away",
            Self::ToolFrozen => "tool frozen",
            Self::Kubelet => "kubelet killed, away",
            Self::KubeletAndContainerd => "kubelet and containerd killed, away",
        }
    }

    /// Whether a sidecar that is killed meanwhile comes back to work before the fault is over. It needs somebody to start
    /// it, and a new token.
    pub fn revives(self) -> bool {
        matches!(self, Self::Nothing | Self::Webhook | Self::Tool | Self::ToolFrozen)
    }

    /// Whether nobody hears what containers print meanwhile; what they have printed is heard afterwards.
    pub fn is_unheard(self) -> bool {
        self == Self::KubeletAndContainerd
    }

    /// Parts of the bed that are killed, in this order, and started in the opposite one.
    fn components(self) -> &'static [&'static str] {
        match self {
            Self::ApiServer => &["kube-apiserver"],
            Self::Etcd | Self::OperatorAndEtcd => &["etcd"],
            Self::Kubelet => &["kubelet"],
            Self::KubeletAndContainerd => &["kubelet", "containerd"],
            _ => &[],
        }
    }

    /// Deployments of the chart that are killed.
    fn deployments(self) -> &'static [&'static str] {
        match self {
            Self::Operator | Self::OperatorAndEtcd => &["operator"],
            Self::Webhook => &["webhook"],
            _ => &[],
        }
    }

    /// Breaks it; it is broken when this returns.
    pub async fn begin(self, scene: &mut Scene) -> Result<()> {
        for name in self.deployments() {
            scale(&scene.node, name, 0).await?;
            kill_pods(&scene.node, name).await?;
        }
        for name in self.components() {
            command(&scene.node, "kill", name)?;
        }
        match self {
            Self::EtcdFrozen => command(&scene.node, "stop", "etcd"),
            Self::Dns => command(&scene.node, "stop", "coredns"),
            Self::Tool => {
                scene.kill_tool();
                Ok(())
            }
            Self::ToolFrozen => scene.tool()?.signal(Told::Stop),
            _ => Ok(()),
        }
    }

    /// Puts it right again.
    pub async fn end(self, scene: &mut Scene) -> Result<()> {
        for name in self.components().iter().rev() {
            command(&scene.node, "start", name)?;
        }
        match self {
            Self::EtcdFrozen => command(&scene.node, "cont", "etcd")?,
            Self::Dns => command(&scene.node, "cont", "coredns")?,
            Self::Tool => scene.start_tool().await?,
            Self::ToolFrozen => scene.tool()?.signal(Told::Continue)?,
            _ => {}
        }
        for name in self.deployments() {
            // The API server may have come back a moment ago.
            eventually("the API server to answer", WITHIN, async || scale(&scene.node, name, 2).await).await?;
        }
        Ok(())
    }
}

/// Tells the bed to do something to a part of it.
pub fn command(node: &Node, verb: &str, name: &str) -> Result<()> {
    tokio::task::block_in_place(|| node.cluster.command(&format!("{verb} {name}"))).map(drop)
}

async fn scale(node: &Node, name: &str, replicas: u32) -> Result<()> {
    let (deployment, replicas) = (format!("deployment/aegis-{name}"), format!("--replicas={replicas}"));
    node.kubectl(&["scale", &deployment, &replicas, "-n", CHART_NAMESPACE]).await.map(drop)
}

/// First processes of all containers of a Deployment of the chart.
pub async fn processes(node: &Node, name: &str) -> Result<Vec<u32>> {
    let api: Api<Pod> = Api::namespaced(node.cluster.admin().await?, CHART_NAMESPACE);
    let selected = ListParams::default().labels(&format!("app.kubernetes.io/component={name}"));
    let pods = api.list(&selected).await?.items;
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()).flatten();
    Ok(statuses.filter_map(|one| pid(node, one.container_id.as_deref()?).ok()).filter(|pid| lives(*pid)).collect())
}

/// Kills every process of a Deployment of the chart, and returns when none is left.
async fn kill_pods(node: &Node, name: &str) -> Result<()> {
    eventually(&format!("the {name} to be gone"), Duration::from_secs(30), async || {
        let processes = processes(node, name).await?;
        for pid in &processes {
            signal(*pid, Signal::Kill).ok();
        }
        ensure!(processes.is_empty(), "{} processes", processes.len());
        let api: Api<Pod> = Api::namespaced(node.cluster.admin().await?, CHART_NAMESPACE);
        let selected = ListParams::default().labels(&format!("app.kubernetes.io/component={name}"));
        let left = api.list(&selected).await.context("pods")?.items;
        ensure!(left.iter().all(|pod| pod.metadata.deletion_timestamp.is_some()), "one is not to end");
        Ok(())
    })
    .await
}
