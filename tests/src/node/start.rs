//! From nothing to a node on which Aegis is installed by its chart.

use std::iter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::process::Command;

use super::images::{archives, load_all};
use super::kind;
use super::place::Place;
use crate::cluster::{Cluster, Options, eventually};
use crate::helm::{self, Helm};
use crate::tools;

/// Where the chart installs Aegis.
pub const CHART_NAMESPACE: &str = "aegis-system";
/// Time for operator and webhook to be ready.
const INSTALL_WITHIN: Duration = Duration::from_mins(3);

/// Label of namespaces that flows make.
const LEFT: &str = "aegis.dev/made-by";

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct NodeSpec {
    /// Further `--set` of the chart, such as `operator.replicas=1`.
    pub values: Vec<String>,
    /// Whether the chart is installed; a test of the bed itself does without.
    pub bare: bool,
}

/// A cluster with a node, Aegis installed.
pub struct Node {
    /// The cluster.
    pub cluster: Cluster,
    /// Folder of all files.
    pub dir: PathBuf,
    /// Where it is.
    pub place: Place,
}

/// Whether flows that need the bed's own node run here: its outside world, its commands, its files. Says so when not:
/// with `AEGIS_NO_ROOT=1`, and where `CLUSTER` names another cluster.
pub fn may_run() -> bool {
    if let Some(cluster) = elsewhere() {
        println!(
            "CLUSTER={cluster}: not run, it needs the outside world, the commands or the files of the bed's own node"
        );
        return false;
    }
    may_run_anywhere()
}

/// Whether flows that any cluster can run do so here: yes, unless `AEGIS_NO_ROOT=1` says that they are left out. Says so
/// then.
pub fn may_run_anywhere() -> bool {
    if elsewhere().is_some() {
        return true;
    }
    let left_out = std::env::var("AEGIS_NO_ROOT").is_ok_and(|value| value == "1");
    if left_out {
        println!("AEGIS_NO_ROOT=1: not run, it needs a node and thereby root");
    }
    !left_out
}

/// What `CLUSTER` names; see [`Place`].
fn elsewhere() -> Option<String> {
    std::env::var("CLUSTER").ok().filter(|cluster| !cluster.is_empty())
}

/// Whether a node can run here; the error lists what is missing.
pub async fn possible() -> Result<()> {
    let output = Command::new(tools::testbed().await?).arg("needs").output().await?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    archives().map(drop)
}

impl Node {
    /// Starts the node, gives it the images and installs the chart.
    pub async fn start(dir: &Path, spec: &NodeSpec) -> Result<Self> {
        let (place, folder) = (Place::get()?, dir.join("cluster"));
        let cluster = match &place {
            Place::Bed => {
                let options = Options::default().node().ext_address("192.88.98.10").dir(&folder);
                let cluster = Cluster::start(options).await?;
                load_all(&cluster).await?;
                cluster
            }
            Place::Kind => kind::start(&folder).await?,
            Place::Kubeconfig { file, .. } => Cluster::attach(file, &folder).await?,
        };
        let node = Self { cluster, dir: dir.to_owned(), place };
        if !spec.bare {
            node.install(&spec.values).await?;
        }
        Ok(node)
    }

    /// Installs the chart, or upgrades it, and waits until operator and webhook are ready.
    pub async fn install(&self, values: &[String]) -> Result<()> {
        let chart = helm::chart("");
        let chart = chart.to_str().context("the chart's path is no text")?;
        let registry = format!("image.registry={}", self.place.registry());
        let mut arguments =
            vec!["upgrade", "--install", helm::RELEASE, chart, "--create-namespace", "--wait", "--timeout", "3m"];
        for value in iter::once(&registry).chain(values) {
            arguments.extend(["--set", value]);
        }
        self.helm(&arguments).await
    }

    /// Runs helm as admin, in the chart's namespace. A failure tells what became of the programs there.
    pub async fn helm(&self, arguments: &[&str]) -> Result<()> {
        let run = Helm::of(&self.cluster).await?.must(arguments).await;
        run.map(drop)
            .with_context(|| format!("helm {}\n{}", arguments.join(" "), self.cluster.dump(CHART_NAMESPACE, &[])))
    }

    /// Makes a namespace in which pods are injected.
    pub async fn inject(&self, name: &str) -> Result<()> {
        self.namespace(name, json!({"aegis.dev/inject": "enabled"})).await
    }

    /// Makes a namespace with these labels. One that an earlier run left in a cluster that stays is removed before.
    pub async fn namespace(&self, name: &str, mut labels: Value) -> Result<()> {
        labels.as_object_mut().context("labels are an object")?.insert(LEFT.to_owned(), json!("flow"));
        let api: Api<Namespace> = Api::all(self.cluster.admin().await?);
        let before = api.get_opt(name).await?;
        if before.is_some_and(|before| before.labels().contains_key(LEFT)) {
            api.delete(name, &DeleteParams::default()).await?;
            eventually(&format!("the namespace {name} of an earlier run to be gone"), INSTALL_WITHIN, async || {
                ensure!(api.get_opt(name).await?.is_none(), "it is there");
                Ok(())
            })
            .await?;
        }
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}}))?;
        api.create(&PostParams::default(), &namespace).await.with_context(|| format!("namespace {name}"))?;
        Ok(())
    }

    /// Runs kubectl as admin and returns what it printed.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.cluster.kubectl("admin", arguments).await?;
        ensure!(
            output.status.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// An address on this machine whose connections are dialled inside the node.
    pub fn forward(&self, address: &str) -> Result<String> {
        let answer = self.cluster.command(&format!("forward node {address}"))?;
        let address = answer.get("address").and_then(serde_json::Value::as_str).context("no address")?;
        Ok(address.to_owned())
    }
}
