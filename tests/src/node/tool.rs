//! The tool of a bench: a process in the outside world of the bed, or a pod where there is no outside.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::bench::{BenchSpec, TOOL_ADDRESS, TOOL_NAME, documents};
use super::pods::{pod, wait_running};
use super::start::Node;
use super::world::World;
use crate::cluster::apply_in;
use crate::cluster::process::Process;
use crate::erp::http_json;

/// Time for the tool's pod to run.
const START: Duration = Duration::from_mins(2);

/// A server that answers what it saw.
pub struct Tool {
    /// Where pods find it.
    pub url: String,
    node: Arc<Node>,
    seen: Seen,
}

/// How a test asks it what it saw.
enum Seen {
    /// At an address of this machine, as long as the process runs.
    At { address: String, _server: Process },
    /// Through the API server, by the path of its Service.
    Through(String),
}

impl Tool {
    /// Starts it.
    pub async fn start(node: &Arc<Node>, spec: &BenchSpec<'_>) -> Result<Self> {
        let port = spec.port;
        let delay = spec.delay.as_millis().to_string();
        let arguments = |listen| ["serve", "--listen", listen, "--name", spec.namespace, "--delay", &delay];
        if node.cluster.ready().ext.is_some() {
            let listen = format!("{TOOL_ADDRESS}:{port}");
            let server = World::run(node, &format!("bench-{}", spec.namespace), &arguments(&listen)).await?;
            let seen = Seen::At { address: World::reach(node, &listen)?, _server: server };
            return Ok(Self { url: format!("http://{TOOL_NAME}:{port}"), node: Arc::clone(node), seen });
        }
        let namespace = format!("{}-tool", spec.namespace);
        node.namespace(&namespace, json!({})).await?;
        let mut server = pod("bench", "default", &arguments(&format!("0.0.0.0:{port}")));
        // An agent's label is all that a pod comes with.
        server
            .as_object_mut()
            .context("a pod is an object")?
            .insert("metadata".to_owned(), json!({"name": "bench", "labels": {"app": "bench"}}));
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "bench"},
            "spec": {"selector": {"app": "bench"}, "ports": [{"port": port, "protocol": "TCP"}]},
        });
        let admin = node.cluster.admin().await?;
        apply_in(&admin, &namespace, documents(&[server, service]).as_str(), "platform").await?;
        wait_running(node, &namespace, "bench", START).await?;
        let seen = Seen::Through(format!("/api/v1/namespaces/{namespace}/services/bench:{port}/proxy"));
        Ok(Self { url: format!("http://bench.{namespace}.svc:{port}"), node: Arc::clone(node), seen })
    }

    /// What it answers a test: `/count` or `/requests`.
    pub async fn told(&self, path: &str) -> Result<Value> {
        match &self.seen {
            Seen::At { address, .. } => {
                Ok(http_json(http::Method::GET, &format!("http://{address}{path}"), &[], None).await?.body)
            }
            Seen::Through(service) => {
                let text = self.node.kubectl(&["get", "--raw", &format!("{service}{path}")]).await?;
                serde_json::from_str(&text).with_context(|| format!("the tool answered {text}"))
            }
        }
    }
}
