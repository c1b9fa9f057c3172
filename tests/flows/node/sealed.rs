//! A sealed agent: its calls go through the gateway, which alone decides, records and reaches the tool.

use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::mesh::binary;
use aegis_tests::node::{Bench, BenchSpec, Node, is_ready, may_run, records_of};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use super::scene;

const WITHIN: Duration = Duration::from_mins(2);

/// The gateway's pods of agent `buyer`, all ready.
pub async fn gateways(node: &Node, namespace: &str) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(node.cluster.admin().await?, namespace);
    let selected = ListParams::default().labels("aegis.dev/agent=buyer,aegis.dev/component=gateway");
    eventually("the gateway to be ready", WITHIN, async || {
        let found = pods.list(&selected).await?.items;
        ensure!(!found.is_empty() && found.iter().all(is_ready), "{} pods", found.len());
        Ok(found)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_agent_is_judged_and_recorded_at_its_gateway() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("sealed", "Sealed", 18_005)).await?;
    let gateways = gateways(node, "sealed").await?;
    let addresses: Vec<String> = gateways.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect();

    let agent = bench.agent("agent").await?;
    let answered = bench.until(&agent, "/bench/items/7", 200).await?;
    let by_name = agent.call("GET", &format!("{}/items/7", bench.tool), None, &[]).await?;
    ensure!(by_name.status == Some(200), "unchanged code: {by_name:?}");
    for reply in [&answered, &by_name] {
        let peer = reply.body.get("peer").and_then(serde_json::Value::as_str).context("the tool names no peer")?;
        ensure!(addresses.iter().any(|address| peer.starts_with(&format!("{address}:"))), "not the gateway: {peer}");
    }
    let refused =
        agent.call("POST", "http://127.0.0.1:15080/bench/items", Some(&json!({"amount": "9000.00"})), &[]).await?;
    ensure!(refused.status == Some(403) && refused.body["code"] == "no_rule_allows", "{refused:?}");

    // The refusal was durable before it was answered: the gateway's records explain it.
    let decision = refused.headers.get("aegis-decision").context("no decision id")?;
    let mut told = String::new();
    for pod in &gateways {
        let records = records_of(&node.cluster, pod)?;
        let output = tokio::process::Command::new(binary("aegis")?)
            .args(["why", decision, "--records"])
            .arg(&records)
            .output()
            .await?;
        told.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    ensure!(told.contains("no_rule_allows"), "no gateway's records explain {decision}: {told}");
    Ok(())
}
