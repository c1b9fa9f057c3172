//! A node of its own, one agent in several pods, the tool outside, and a person who approves whatever waits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_crds::api::ApprovalRequest;
use aegis_tests::cluster::apply_in;
use aegis_tests::cluster::process::Process;
use aegis_tests::node::{Node, NodeSpec, TOOL_ADDRESS, TOOL_NAME, World, documents};
use aegis_tests::story::{DELEGATOR, FINANCE, Teller, people, review, wait_ready};
use anyhow::{Context as _, Result};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, ResourceExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::super::scene::names;

/// Where the agents live.
pub const NAMESPACE: &str = "faults";
const PORT: u16 = 18_031;
/// Time between two tries to hear of requests, and to store a verdict.
const AGAIN: Duration = Duration::from_secs(1);
/// Time for one request to the API server, which may be away.
const PATIENCE: Duration = Duration::from_secs(3);

/// A request that reached the tool.
#[derive(Debug, Clone, Deserialize)]
pub struct Effect {
    /// Milliseconds since 1970.
    pub at: u64,
    pub path: String,
    /// Idempotency-Key.
    pub key: Option<String>,
}

/// Node, tool and approver.
pub struct Scene {
    pub node: Arc<Node>,
    tool: Option<Process>,
    log: PathBuf,
    approver: JoinHandle<()>,
}

impl Scene {
    /// Starts everything but the agents' pods.
    pub async fn set(folder: &Path) -> Result<Self> {
        let spec = NodeSpec {
            values: [
                // In memory a volume's limit is the size of its file system: the disk that gets full is a real one.
                "mesh.records.medium=Memory",
                "mesh.records.sizeLimit=64Mi",
                // Knowledge is confirmed often, so that its age does not differ much from run to run.
                "operator.listEverySeconds=10",
                // Nobody can decide while the API server is away.
                "operator.maxOpenApprovals=1000",
            ]
            .map(str::to_owned)
            .to_vec(),
            bare: false,
        };
        let node = Arc::new(Node::start(folder, &spec).await?);
        names(&node)?;
        node.inject(NAMESPACE).await?;
        people(&node.cluster, NAMESPACE).await?;
        let admin = node.cluster.admin().await?;
        apply_in(&admin, NAMESPACE, documents(&resources()).as_str(), "platform").await?;
        review(&node.cluster, NAMESPACE, &Teller::silent(), "buyer").await?;
        let lead = node.cluster.client(DELEGATOR).await?;
        apply_in(&lead, NAMESPACE, delegation()?.to_string().as_str(), "purchasing-lead").await?;
        wait_ready(&node.cluster, NAMESPACE, "delegation", "bench").await?;
        let approver = tokio::spawn(approve(node.cluster.client(FINANCE).await?));
        let log = node.dir.join("tool.log");
        let mut scene = Self { node, tool: None, log, approver };
        scene.start_tool().await?;
        Ok(scene)
    }

    /// Starts the tool.
    pub async fn start_tool(&mut self) -> Result<()> {
        let listen = format!("{TOOL_ADDRESS}:{PORT}");
        let tool = World::run(&self.node, "tool", &["serve", "--listen", &listen, "--each"]).await?;
        self.tool = Some(tool);
        Ok(())
    }

    /// Ends the tool as a crash would.
    pub fn kill_tool(&mut self) {
        self.tool = None;
    }

    /// The tool's process.
    pub fn tool(&self) -> Result<&Process> {
        self.tool.as_ref().context("the tool was ended")
    }

    /// Every request that reached the tool.
    pub fn effects(&self) -> Result<Vec<Effect>> {
        let text = std::fs::read_to_string(&self.log)?;
        Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.approver.abort();
    }
}

/// Listens again a second after it could not.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(AGAIN)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// Approves whatever waits. What cannot be heard of or stored now is tried again.
async fn approve(client: kube::Client) {
    let requests: Api<ApprovalRequest> = Api::namespaced(client, NAMESPACE);
    let heard = watcher(requests.clone(), watcher::Config::default()).backoff(Steady).applied_objects();
    heard
        .try_filter(|request| std::future::ready(request.spec.decision.is_none()))
        .for_each_concurrent(None, |request| decide(requests.clone(), request.ok()))
        .await;
}

async fn decide(requests: Api<ApprovalRequest>, request: Option<ApprovalRequest>) {
    let Some(request) = request else { return };
    let digest = &request.spec.action.effect_digest;
    let patch = Patch::Merge(json!({"spec": {"decision": {"verdict": "Approved", "effectDigest": digest}}}));
    let (name, parameters) = (request.name_any(), PatchParams::default());
    let mut tries = tokio::time::interval(AGAIN);
    loop {
        tries.tick().await;
        match tokio::time::timeout(PATIENCE, requests.patch(&name, &parameters, &patch)).await {
            Ok(Ok(_)) => return,
            // Refused: it has ended meanwhile, or was decided by an earlier try whose answer was lost.
            Ok(Err(kube::Error::Api(status))) if status.code < 500 => return,
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

fn resources() -> [Value; 4] {
    let operation = |name: &str, class: &str, method: &str, path: &str| {
        let mut operation = json!({
            "name": name, "class": class, "http": {"method": method, "path": path}, "timeout": "8s",
            "record": {"clear": ["id"]},
        });
        if method == "POST" {
            operation["arguments"] = json!({
                "type": "object", "required": ["id", "amount"],
                "properties": {
                    "id": {"type": "string"}, "amount": {"type": "string", "pattern": "^[0-9]+[.][0-9]{2}$"},
                },
            });
        }
        operation
    };
    let tool = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Tool", "metadata": {"name": "bench"},
        "spec": {
            "endpoint": format!("http://{TOOL_NAME}:{PORT}"), "allowPrivateAddresses": true,
            "limits": {"concurrency": 128},
            "operations": [
                operation("items.read", "Read", "GET", "/items/{id}"),
                operation("items.draft", "Draft", "POST", "/items/{id}"),
                operation("orders.confirm", "Commit", "POST", "/orders/{id}"),
            ],
        },
    });
    let tier = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ApprovalTier", "metadata": {"name": "finance"},
        "spec": {"minimum": 1, "separationOfDuties": ["Requester", "Delegator"], "decideWithin": "2h", "releaseTTL": "15m"},
    });
    let policy = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "bench"},
        "spec": {"tools": ["bench"], "rules": [
            {"name": "read", "operations": ["items.read"], "unconditional": true, "effect": "Allow"},
            {"name": "draft", "operations": ["items.draft"], "effect": "Allow",
                "when": [{"field": "amount", "atMost": "500.00"}]},
            {"name": "confirm", "operations": ["orders.confirm"], "effect": "Allow",
                "when": [{"field": "amount", "atMost": "20000.00"}]},
            {"name": "large", "operations": ["orders.confirm"], "effect": "RequireApproval",
                "approval": {"tier": "finance", "hold": "6s"}, "when": [{"field": "amount", "greaterThan": "1000.00"}]},
        ]},
    });
    let agent = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "buyer"},
        "spec": {
            "tenant": "acme", "businessUnit": "office", "owner": {"name": "Purchasing"}, "version": "1",
            "ceiling": "Commit", "workload": {"serviceAccountName": "buyer"},
            "enforcement": {"level": "Captured", "maxStaleness": "45s"}, "tokens": {"ttl": "5m"},
        },
    });
    [tool, tier, policy, agent]
}

fn delegation() -> Result<Value> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let end = now.checked_add(SignedDuration::from_hours(12))?;
    Ok(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation", "metadata": {"name": "bench"},
        "spec": {
            "agent": "buyer", "delegator": DELEGATOR, "workflow": "bench", "purpose": "calls while things break",
            "grants": [{"tool": "bench", "operations": ["*"]}],
            "notBefore": now.to_string(), "expiresAt": end.to_string(),
        },
    }))
}
