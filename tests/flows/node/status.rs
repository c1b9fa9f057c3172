//! What the status of an agent and its pods says, and `aegis check`.

use aegis_tests::mesh::binary;
use aegis_tests::node::Node;
use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::process::Command;

/// Condition `EnforcementVerified` of agent `buyer`.
pub async fn of_agent(node: &Node, namespace: &str) -> Result<Value> {
    condition(node, namespace, "agent/buyer", "EnforcementVerified").await
}

/// Condition `aegis.dev/EnforcementVerified` of a pod.
pub async fn of_pod(node: &Node, namespace: &str, pod: &str) -> Result<Value> {
    condition(node, namespace, &format!("pod/{pod}"), "aegis.dev/EnforcementVerified").await
}

async fn condition(node: &Node, namespace: &str, object: &str, kind: &str) -> Result<Value> {
    let path = format!("jsonpath={{.status.conditions[?(@.type==\"{kind}\")]}}");
    let text = node.kubectl(&["get", object, "-n", namespace, "-o", &path]).await?;
    serde_json::from_str(&text).with_context(|| format!("{object} has no condition {kind} yet"))
}

/// Runs `aegis check` on a namespace: its exit code and its report.
pub async fn check(node: &Node, namespace: &str, more: &[&str]) -> Result<(Option<i32>, Value)> {
    let mut command = Command::new(binary("aegis")?);
    command.args(["check", "-n", namespace, "-o", "json"]).args(more);
    let output = command.arg("--kubeconfig").arg(node.cluster.kubeconfig("admin")).output().await?;
    let said = || format!("aegis check: {}", String::from_utf8_lossy(&output.stderr));
    Ok((output.status.code(), serde_json::from_slice(&output.stdout).with_context(said)?))
}

/// The message of a check that failed.
pub fn failed<'a>(report: &'a Value, id: &str) -> Result<&'a str> {
    let checks = report["checks"].as_array().context("no checks")?;
    let check = checks.iter().find(|check| check["id"] == id && check["result"] == "failed");
    check.and_then(|check| check["message"].as_str()).with_context(|| format!("{id} has not failed: {report:#}"))
}
