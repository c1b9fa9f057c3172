//! An agent at any level with one small tool outside the cluster: what most flows on the node need.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::agent::{PodAgent, Reply};
use super::start::Node;
use super::tool::Tool;
use crate::cluster::{apply_in, eventually};
use crate::story::{DELEGATOR, Teller, people, review, wait_ready};

/// Address and name of the tool outside.
pub const TOOL_ADDRESS: &str = "10.99.0.254";
/// Name of the tool outside.
pub const TOOL_NAME: &str = "bench.example";
/// Time for a policy to reach a sidecar.
const WITHIN: Duration = Duration::from_mins(1);

/// What differs from bench to bench.
#[derive(Debug, Clone)]
pub struct BenchSpec<'a> {
    /// Namespace, made new.
    pub namespace: &'a str,
    /// Level of agent `buyer`.
    pub level: &'a str,
    /// Port of the tool outside.
    pub port: u16,
    /// `spec.egress` of the agent.
    pub egress: Value,
    /// `spec.tokens.ttl`.
    pub token_ttl: &'a str,
    /// Time that the tool takes for an answer.
    pub delay: Duration,
}

impl<'a> BenchSpec<'a> {
    /// A namespace, a level and a port of its own; no egress.
    pub fn new(namespace: &'a str, level: &'a str, port: u16) -> Self {
        Self { namespace, level, port, egress: json!([]), token_ttl: "5m", delay: Duration::ZERO }
    }
}

/// Agent `buyer` of a namespace, its tool `bench`, and who lends it authority.
pub struct Bench {
    /// The node.
    pub node: Arc<Node>,
    /// Namespace.
    pub namespace: String,
    /// Where the tool is, from a pod.
    pub tool: String,
    server: Tool,
}

impl Bench {
    /// Starts the tool, applies the resources, has the agent reviewed and lent authority.
    pub async fn set(node: &Arc<Node>, spec: &BenchSpec<'_>) -> Result<Self> {
        let server = Tool::start(node, spec).await?;
        let bench =
            Self { node: Arc::clone(node), namespace: spec.namespace.to_owned(), tool: server.url.clone(), server };
        let cluster = &node.cluster;
        node.inject(spec.namespace).await?;
        people(cluster, spec.namespace).await?;
        let admin = cluster.admin().await?;
        apply_in(&admin, spec.namespace, documents(&resources(spec, &bench.tool)).as_str(), "platform").await?;
        let silent = Teller::silent();
        review(cluster, spec.namespace, &silent, "buyer").await?;
        apply_in(
            &cluster.client(DELEGATOR).await?,
            spec.namespace,
            delegation()?.to_string().as_str(),
            "purchasing-lead",
        )
        .await?;
        wait_ready(cluster, spec.namespace, "delegation", "bench").await?;
        Ok(bench)
    }

    /// A pod of the agent, ready.
    pub async fn agent(&self, name: &str) -> Result<PodAgent> {
        PodAgent::start(&self.node, &self.namespace, "buyer", name).await
    }

    /// Requests that reached the tool.
    pub async fn reached(&self) -> Result<u64> {
        let count = self.server.told("/count").await?;
        count.get("requests").and_then(Value::as_u64).with_context(|| format!("no count: {count}"))
    }

    /// The `traceparent` of every request that reached the tool, but for those before the last thousand.
    pub async fn traces(&self) -> Result<Vec<String>> {
        let told = self.server.told("/requests").await?;
        let seen = told.as_array().context("the tool remembers no requests")?;
        let trace = |request: &Value| Some(request.pointer("/headers/traceparent")?.as_str()?.to_owned());
        Ok(seen.iter().filter_map(trace).collect())
    }

    /// Calls until an answer has this status: what was applied needs a moment to reach a sidecar.
    pub async fn until(&self, agent: &PodAgent, path: &str, status: u16) -> Result<Reply> {
        eventually(&format!("{path} to be answered {status}"), WITHIN, async || {
            let reply = agent.call("GET", &format!("http://127.0.0.1:15080{path}"), None, &[]).await?;
            ensure!(reply.status == Some(status), "{reply:?}");
            Ok(reply)
        })
        .await
    }
}

/// Objects as one text of YAML documents (JSON is YAML).
pub fn documents(objects: &[Value]) -> String {
    let texts: Vec<String> = objects.iter().map(ToString::to_string).collect();
    texts.join("\n---\n")
}

fn resources(spec: &BenchSpec<'_>, endpoint: &str) -> [Value; 3] {
    let tool = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Tool", "metadata": {"name": "bench"},
        "spec": {
            "endpoint": endpoint,
            "allowPrivateAddresses": true,
            "operations": [
                {"name": "items.read", "class": "Read", "http": {"method": "GET", "path": "/items/{id}"}},
                {"name": "items.draft", "class": "Draft", "http": {"method": "POST", "path": "/items"},
                    "arguments": {"type": "object", "required": ["amount"],
                        "properties": {"amount": {"type": "string", "pattern": "^[0-9]+[.][0-9]{2}$"}}}},
            ],
        },
    });
    let policy = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "bench"},
        "spec": {"tools": ["bench"], "rules": [
            {"name": "read", "operations": ["items.read"], "unconditional": true, "effect": "Allow"},
            {"name": "draft", "operations": ["items.draft"], "effect": "Allow",
                "when": [{"field": "amount", "atMost": "5000.00"}]},
        ]},
    });
    let agent = json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "buyer"},
        "spec": {
            "tenant": "acme", "businessUnit": "office", "owner": {"name": "Purchasing"}, "version": "1",
            "ceiling": "Draft", "workload": {"serviceAccountName": "buyer"},
            "enforcement": {"level": spec.level}, "egress": spec.egress, "tokens": {"ttl": spec.token_ttl},
        },
    });
    [tool, policy, agent]
}

fn delegation() -> Result<Value> {
    let now = Timestamp::from_second(Timestamp::now().as_second())?;
    let end = now.checked_add(SignedDuration::from_hours(12))?;
    Ok(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Delegation", "metadata": {"name": "bench"},
        "spec": {
            "agent": "buyer", "delegator": DELEGATOR, "workflow": "bench", "purpose": "a flow on the node",
            "grants": [{"tool": "bench", "operations": ["*"]}],
            "notBefore": now.to_string(), "expiresAt": end.to_string(),
        },
    }))
}
