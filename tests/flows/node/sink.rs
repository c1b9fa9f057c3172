//! The outside world as a sink: every frame that a pod sends there is counted at the cable.

use std::process::Stdio;

use aegis_tests::cluster::apply_in;
use aegis_tests::mesh::binary;
use aegis_tests::node::Node;
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// Addresses of the outside world at which nobody serves.
pub const SINK_V4: &str = "203.0.113.10";
pub const SINK_V6: &str = "2001:db8::10";

/// Counts until it is ended.
pub struct Sink {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Sink {
    /// Returns when it counts what this pod sends, but for TCP to `except`.
    pub async fn start(node: &Node, pod: &Pod, except: Option<&str>) -> Result<Self> {
        let mut words = command(node, pod)?;
        if let Some(except) = except {
            words.extend(["--except".to_owned(), except.to_owned()]);
        }
        let (program, arguments) = words.split_first().context("a command")?;
        let mut sink = Command::new(program);
        sink.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = sink.spawn().context("nsenter")?;
        let mut said = BufReader::new(child.stdout.take().context("stdout")?);
        let mut line = String::new();
        said.read_line(&mut line).await?;
        ensure!(line.trim() == "counting", "the sink said {line:?}");
        Ok(Self { child, said })
    }

    /// What arrived: `count`, and `told` with a few of them.
    pub async fn end(mut self) -> Result<Value> {
        drop(self.child.stdin.take());
        let mut text = String::new();
        self.said.read_to_string(&mut text).await?;
        ensure!(self.child.wait().await?.success(), "the sink failed");
        Ok(serde_json::from_str(&text)?)
    }
}

/// The command that counts what a pod sends to the outside world.
pub fn command(node: &Node, pod: &Pod) -> Result<Vec<String>> {
    let ext = node.cluster.ready().ext.as_ref().context("this cluster has no outside world")?.pid.to_string();
    let bypass = binary("bypass")?.display().to_string();
    let status = pod.status.as_ref().context("the pod has no status")?;
    let addresses: Vec<&str> = status.pod_ips.iter().flatten().map(|address| address.ip.as_str()).collect();
    ensure!(addresses.len() == 2, "an address of each family: {addresses:?}");
    let from = addresses.join(",");
    let words = ["nsenter", "-t", &ext, "-n", "--", &bypass, "sink", "--device", "eth0", "--from", &from];
    Ok(words.map(str::to_owned).to_vec())
}

/// Takes the fence around the pods of a namespace away, so that nothing but the pod's own rules holds them.
pub async fn unfenced(node: &Node, namespace: &str) -> Result<()> {
    let open = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "everywhere"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    });
    apply_in(&node.cluster.admin().await?, namespace, open.to_string().as_str(), "platform").await.map(drop)
}
