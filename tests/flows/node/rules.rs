//! The packet rules of a running pod, looked at and changed from outside as root on the node could.

use std::process::Stdio;

use aegis_tests::node::{Node, container_pid};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Runs an nft script in a pod's network and returns what it printed.
pub async fn nft(node: &Node, pod: &Pod, script: &str) -> Result<String> {
    let pid = container_pid(node, pod, "agent")?.to_string();
    let mut command = Command::new("nsenter");
    command.args(["-t", &pid, "-n", "--", "nft", "-f", "-"]).kill_on_drop(true);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("stdin")?.write_all(script.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "nft: {}: {script}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Takes the layer at the wire away, where the kernel has it: what is accepted before it then leaves.
pub async fn without_second_layer(node: &Node, pod: &Pod) -> Result<&'static str> {
    let tables = nft(node, pod, "list tables\n").await?;
    Ok(if tables.contains("netdev aegis_egress") { "delete table netdev aegis_egress\n" } else { "" })
}
