//! Everything that the story needs, running: cluster, ERP, operator, and a sidecar for each of the two agents. On a node
//! where there can be one: then Aegis comes from its chart and the agents are pods; else all are processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::{Value, json};

use super::cast::Agent;
use super::people::{DELEGATOR, REVIEWER};
use super::teller::Teller;
use crate::cluster::{Cluster, Options, apply_in, eventually};
use crate::erp::Erp;
use crate::install;
use crate::mesh::{Operator, OperatorSpec, Sidecar, SidecarSpec};
use crate::node::{Node, NodeSpec, PodAgent};

/// The namespace of the story.
pub const NAMESPACE: &str = "shop";
/// Address of the ERP outside a node.
const OUTSIDE: &str = "10.99.0.254";
const WITHIN: Duration = Duration::from_secs(30);

/// The running parts. Dropped in this order: agents, ERP, operator, cluster.
pub struct Stage {
    /// Agent `buyer`.
    pub buyer: Agent,
    /// Agent `stock-keeper`.
    pub stock_keeper: Agent,
    /// The ERP.
    pub erp: Erp,
    /// What it all stands on.
    pub ground: Ground,
    /// Where all files are.
    pub dir: PathBuf,
}

/// What a story stands on.
pub enum Ground {
    /// An API server; the operator is a process.
    Processes {
        /// The operator.
        operator: Box<Operator>,
        /// The cluster.
        cluster: Box<Cluster>,
    },
    /// A cluster with a node, Aegis installed by its chart.
    Node(Arc<Node>),
}

impl Stage {
    /// Starts everything in an empty folder.
    pub async fn set(dir: &Path, teller: &Teller) -> Result<Self> {
        teller.chapter("Setting the stage");
        teller.say("starting a real Kubernetes API server (etcd, kube-apiserver, kube-controller-manager)");
        let cluster = Cluster::start(Options::default().dir(dir.join("cluster"))).await?;
        teller.say("starting a real ERP (Tryton)");
        let erp = Erp::start(&dir.join("erp")).await?;
        teller.say("installing CRDs, guards and roles");
        install::install(&cluster).await?;
        people(&cluster, NAMESPACE).await?;
        teller.say("starting the operator under its own service account");
        let operator = Operator::start(&cluster, &OperatorSpec::new(&[NAMESPACE], &dir.join("operator"))).await?;
        teller.say("applying examples/procurement: tool, registry, tier, policy, agents");
        resources(&cluster, NAMESPACE, &erp).await?;
        for agent in ["buyer", "stock-keeper"] {
            review(&cluster, NAMESPACE, teller, agent).await?;
        }
        delegate(&cluster, NAMESPACE, teller).await?;
        teller.say("starting a sidecar for each agent, with what a kubelet would mount");
        let key = erp.key("agent-erp")?;
        let spec = |agent: &str| SidecarSpec::new(NAMESPACE, agent, &dir.join(agent)).credential("erp", "token", &key);
        let buyer = Sidecar::start(&cluster, &operator, &spec("buyer")).await?;
        let stock_keeper = Sidecar::start(&cluster, &operator, &spec("stock-keeper")).await?;
        let (buyer, stock_keeper) = (Agent::Process(Box::new(buyer)), Agent::Process(Box::new(stock_keeper)));
        Ok(Self {
            buyer,
            stock_keeper,
            erp,
            ground: Ground::Processes { operator: Box::new(operator), cluster: Box::new(cluster) },
            dir: dir.to_owned(),
        })
    }

    /// As [`Self::set`], on a node: images, chart, injected pods. `buyer` is captured, `stock-keeper` is not.
    pub async fn set_on_node(dir: &Path, teller: &Teller) -> Result<Self> {
        teller.chapter("Setting the stage");
        teller.say("starting a real Kubernetes node, and installing Aegis with its Helm chart");
        let node = Arc::new(Node::start(dir, &NodeSpec::default()).await?);
        let cluster = &node.cluster;
        teller.say("starting a real ERP (Tryton) outside the cluster");
        let erp = Erp::start_outside(&dir.join("erp"), cluster, OUTSIDE).await?;
        node.inject(NAMESPACE).await?;
        people(cluster, NAMESPACE).await?;
        let key = erp.key("agent-erp")?;
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "erp-key"}, "stringData": {"token": key}});
        apply_in(&cluster.admin().await?, NAMESPACE, secret.to_string().as_str(), "platform").await?;
        teller.say("applying examples/procurement: tool, registry, tier, policy, agents");
        resources(cluster, NAMESPACE, &erp).await?;
        let level = json!({"spec": {"enforcement": {"level": "Captured"}}}).to_string();
        let arguments = ["patch", "agent", "buyer", "-n", NAMESPACE, "--type=merge", "-p", &level];
        kubectl(cluster, teller, "admin", &arguments).await?;
        for agent in ["buyer", "stock-keeper"] {
            review(cluster, NAMESPACE, teller, agent).await?;
        }
        delegate(cluster, NAMESPACE, teller).await?;
        teller.say(
            "starting a pod for each agent; the webhook injects the sidecar, a probe proves that nothing leaves buyer",
        );
        let buyer = PodAgent::start(&node, NAMESPACE, "buyer", "buyer").await?;
        let stock_keeper = PodAgent::start(&node, NAMESPACE, "stock-keeper", "stock-keeper").await?;
        let (buyer, stock_keeper) = (Agent::Pod(Box::new(buyer)), Agent::Pod(Box::new(stock_keeper)));
        Ok(Self { buyer, stock_keeper, erp, ground: Ground::Node(node), dir: dir.to_owned() })
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        match &self.ground {
            Ground::Processes { cluster, .. } => cluster,
            Ground::Node(node) => &node.cluster,
        }
    }

    /// The operator's process; none when it runs in pods.
    pub fn operator(&self) -> Option<&Operator> {
        match &self.ground {
            Ground::Processes { operator, .. } => Some(operator),
            Ground::Node(_) => None,
        }
    }

    /// The key set that records are verified with, as a file.
    pub async fn keys(&self) -> Result<PathBuf> {
        let maps: Api<ConfigMap> = Api::namespaced(self.cluster().admin().await?, NAMESPACE);
        let data = maps.get("aegis-trust").await?.data.unwrap_or_default();
        let file = self.dir.join("jwks.json");
        fs::write(&file, data.get("jwks.json").context("ConfigMap aegis-trust has no jwks.json")?)?;
        Ok(file)
    }

    /// Runs kubectl as a person, tells it, and returns what it printed.
    pub async fn kubectl(&self, teller: &Teller, who: &str, arguments: &[&str]) -> Result<String> {
        kubectl(self.cluster(), teller, who, arguments).await
    }
}

/// The folder of a manifest of the example.
pub fn example(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/procurement").join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// The namespace, its service accounts, and who may do what in it.
pub async fn people(cluster: &Cluster, namespace: &str) -> Result<()> {
    let admin = cluster.admin().await?;
    let itself = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {namespace}}}\n");
    apply_in(&admin, namespace, itself.as_str(), "platform").await?;
    apply_in(&admin, namespace, example("00-people.yaml")?.as_str(), "platform").await?;
    Ok(())
}

/// Tool, registry, tier, policy and agents of the example, for this ERP.
pub async fn resources(cluster: &Cluster, namespace: &str, erp: &Erp) -> Result<()> {
    let admin = cluster.admin().await?;
    for name in ["10-tool.yaml", "20-registry.yaml", "30-tier.yaml", "40-policy.yaml", "50-agents.yaml"] {
        // The example's ERP listens on 8069; this one took a free port.
        let text = example(name)?.replace("http://127.0.0.1:8069/erp", erp.base_url());
        apply_in(&admin, namespace, text.as_str(), "platform").await.with_context(|| name.to_owned())?;
    }
    Ok(())
}

/// The reviewer looks at the agent and makes it Active. The digest that they name is what they looked at.
pub async fn review(cluster: &Cluster, namespace: &str, teller: &Teller, agent: &str) -> Result<()> {
    let digest = eventually("the operator to show the digest to review", WITHIN, async || {
        let path = ["get", "agent", agent, "-n", namespace, "-o", "jsonpath={.status.reviewDigest}"];
        let output = cluster.kubectl(REVIEWER, &path).await?;
        let digest = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(digest.starts_with("sha256:"), "no digest yet: {}", String::from_utf8_lossy(&output.stderr));
        Ok(digest)
    })
    .await?;
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let patch =
        json!({"spec": {"lifecycle": "Active", "review": {"by": REVIEWER, "at": now.to_string(), "digest": digest}}});
    kubectl(
        cluster,
        teller,
        REVIEWER,
        &["patch", "agent", agent, "-n", namespace, "--type=merge", "-p", &patch.to_string()],
    )
    .await?;
    wait_ready(cluster, namespace, "agent", agent).await
}

/// The purchasing lead lends authority to both agents, from now for one day.
pub async fn delegate(cluster: &Cluster, namespace: &str, teller: &Teller) -> Result<()> {
    teller.say("the purchasing lead lends authority to both agents for one day");
    let text = delegations(&example("60-delegations.yaml")?)?;
    apply_in(&cluster.client(DELEGATOR).await?, namespace, text.as_str(), "purchasing-lead").await?;
    wait_ready(cluster, namespace, "delegation", "office-supplies").await?;
    wait_ready(cluster, namespace, "delegation", "stock-check").await
}

/// The example's delegations, from now for one day.
pub fn delegations(text: &str) -> Result<String> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let end = now.checked_add(SignedDuration::from_hours(24))?;
    Ok(text.replace("2026-01-01T00:00:00Z", &now.to_string()).replace("2026-01-02T00:00:00Z", &end.to_string()))
}

/// Waits until a resource is Ready.
pub async fn wait_ready(cluster: &Cluster, namespace: &str, kind: &str, name: &str) -> Result<()> {
    let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")]}";
    eventually(&format!("{kind} {name} to be ready"), WITHIN, async || {
        let output = cluster.kubectl("admin", &["get", kind, name, "-n", namespace, "-o", condition]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let ready: Value = serde_json::from_str(&text).unwrap_or_default();
        ensure!(ready.get("status").and_then(Value::as_str) == Some("True"), "{text}");
        Ok(())
    })
    .await
}

async fn kubectl(cluster: &Cluster, teller: &Teller, who: &str, arguments: &[&str]) -> Result<String> {
    let shown: Vec<String> = arguments
        .iter()
        .map(|argument| if argument.contains(['{', ' ']) { format!("'{argument}'") } else { (*argument).to_owned() })
        .collect();
    teller.command(who, &format!("kubectl {}", shown.join(" ")));
    let output = cluster.kubectl(who, arguments).await?;
    if !output.status.success() {
        bail!("kubectl {}: {}", shown.join(" "), String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    teller.output(&text);
    Ok(text)
}
