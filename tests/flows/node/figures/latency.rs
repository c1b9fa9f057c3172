//! What the sidecar adds to a call inside the pod's network: the same call straight to the tool and through the sidecar, in
//! turn, so that what else the machine does falls on both. At Mediated, where the way past the sidecar is open.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aegis_tests::node::{Bench, BenchSpec, create, logs, may_run, pod};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::super::scene;

/// Blocks of each way; even, so that each way goes first as often.
const BLOCKS: usize = 10;
/// Calls of a block, on one connection.
const CALLS: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latency_inside_the_pod_network_is_told() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let _alone = super::ALONE.lock().await;
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("figures-latency", "Mediated", 18_042)).await?;
    bench.until(&bench.agent("warm").await?, "/bench/items/7", 200).await?;

    let straight = format!("{}/items/7", bench.tool);
    let through = "http://127.0.0.1:15080/bench/items/7".to_owned();
    let mut script = String::new();
    for block in 0..BLOCKS {
        let order = if block % 2 == 0 { [&straight, &through] } else { [&through, &straight] };
        for url in order {
            writeln!(script, "loop {url} --calls {CALLS} --rate 1000 --keep --expect 200")?;
        }
    }
    script.push_str("idle\n");
    let mut measured = pod("measured", "buyer", &["run-script", "--env", "SCRIPT"]);
    measured["spec"]["containers"][0]["env"] = json!([{"name": "SCRIPT", "value": script}]);
    create(node, "figures-latency", measured).await?;
    aegis_tests::node::wait_running(node, "figures-latency", "measured", std::time::Duration::from_mins(2)).await?;

    let told =
        aegis_tests::cluster::eventually("the calls to be made", std::time::Duration::from_mins(2), async || {
            let told = logs(node, "figures-latency", "measured", "agent").await?;
            ensure!(told.contains("\"idle\":true"), "{} lines", told.lines().count());
            Ok(told)
        })
        .await?;
    let medians = medians(&told)?;
    let of = |url: &String| medians.get(url).context("a way was not measured");
    let (straight, through) = (of(&straight)?, of(&through)?);
    ensure!(straight.len() == BLOCKS && through.len() == BLOCKS, "blocks are missing: {medians:?}");
    let added: Vec<f64> = straight.iter().zip(through).map(|(straight, through)| through - straight).collect();
    println!(
        "figure: inside the pod's network a Read takes {:.2} ms straight, {:.2} ms through the sidecar; added {:.2} ms (blocks: {:.2} to {:.2})",
        middle(straight),
        middle(through),
        middle(&added),
        added.iter().copied().fold(f64::INFINITY, f64::min),
        added.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    );
    Ok(())
}

/// The median of each block, in order, by address. The first call of a block opens its connection and is left out.
fn medians(told: &str) -> Result<BTreeMap<String, Vec<f64>>> {
    let mut medians: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut block = Vec::new();
    for line in told.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if let Some(time) = line["ms"].as_f64() {
            block.push(time);
        } else if let Some(url) = line["loop"].as_str() {
            medians.entry(url.to_owned()).or_default().push(middle(block.get(1..).unwrap_or_default()));
            block.clear();
        }
    }
    Ok(medians)
}

fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
