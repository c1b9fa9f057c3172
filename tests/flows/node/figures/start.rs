//! How long a pod takes to be ready, with Aegis and without.

use std::time::{Duration, Instant};

use aegis_tests::node::{Bench, BenchSpec, create, may_run_anywhere, pod, wait_running};
use anyhow::{Result, ensure};

use super::super::scene;

const WITHIN: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_of_a_pod_with_and_without_aegis_is_told() -> Result<()> {
    if !may_run_anywhere() {
        return Ok(());
    }
    let _alone = super::ALONE.lock().await;
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("figures", "Captured", 18_004)).await?;
    let mut plain = pod("plain", "buyer", &["idle"]);
    plain["spec"]["serviceAccountName"] = "default".into();
    plain["metadata"]["labels"] = serde_json::json!({});
    let began = Instant::now();
    create(node, "figures", plain).await?;
    wait_running(node, "figures", "plain", WITHIN).await?;
    let without = began.elapsed();
    let began = Instant::now();
    let agent = bench.agent("captured").await?;
    let with = began.elapsed();
    println!("figure: a pod is ready {} ms after it was made, captured {} ms", without.as_millis(), with.as_millis());
    ensure!(bench.until(&agent, "/bench/items/7", 200).await?.status == Some(200), "the captured agent must work");
    Ok(())
}
