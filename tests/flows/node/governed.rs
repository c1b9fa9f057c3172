//! What the API server and the operator hold on a real node: with the webhook up and down, and what the status says.

use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::node::{Bench, BenchSpec, may_run_anywhere};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::scene;

const WITHIN: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_agent_earns_its_condition_and_check_shows_it() -> Result<()> {
    if !may_run_anywhere() {
        return Ok(());
    }
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("earned", "Captured", 18_003)).await?;
    let agent = bench.agent("agent").await?;
    bench.until(&agent, "/bench/items/7", 200).await?;
    let condition = "jsonpath={.status.conditions[?(@.type==\"EnforcementVerified\")]}";
    eventually("EnforcementVerified", WITHIN, async || {
        let text = node.kubectl(&["get", "agent", "buyer", "-n", "earned", "-o", condition]).await?;
        let found: Value = serde_json::from_str(&text).context("no condition yet")?;
        ensure!(found["status"] == "True" && found["reason"] == "Captured", "{text}");
        Ok(())
    })
    .await?;
    let counts = node.kubectl(&["get", "agent", "buyer", "-n", "earned", "-o", "jsonpath={.status.pods}"]).await?;
    let counts: Value = serde_json::from_str(&counts)?;
    for field in ["matched", "injected", "current", "verified"] {
        ensure!(counts[field] == 1, "{field}: {counts}");
    }

    let aegis = aegis_tests::mesh::binary("aegis")?;
    let output = tokio::process::Command::new(aegis)
        .args(["check", "-n", "earned", "-o", "json", "--kubeconfig"])
        .arg(node.cluster.kubeconfig("admin"))
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "aegis check: {text}{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&text)?;
    let row = &report["pods"][0];
    ensure!(row["pod"] == "agent" && row["proven"] == "Captured" && row["asked"] == "Captured", "{row}");
    for field in ["sidecar", "bundle", "tokenAgeSeconds"] {
        ensure!(!row[field].is_null(), "aegis check does not tell {field}: {row}");
    }
    Ok(())
}
