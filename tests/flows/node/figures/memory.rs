//! What the injected containers take of the node's memory, after some calls.

use aegis_tests::node::{Bench, BenchSpec, container_pid, may_run};
use anyhow::{Context as _, Result, ensure};

use super::super::scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_of_a_sidecar_in_its_pod_is_told() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let _alone = super::ALONE.lock().await;
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("figures-memory", "Captured", 18_041)).await?;
    let agent = bench.agent("agent").await?;
    bench.until(&agent, "/bench/items/7", 200).await?;
    let loops = [
        "loop",
        "http://127.0.0.1:15080/bench/items/7",
        "--rate",
        "500",
        "--calls",
        "1000",
        "--seconds",
        "120",
        "--quiet",
    ];
    let told = agent.exec(&loops).await?;
    ensure!(told.contains("\"good\":1000"), "{told}");
    for container in ["aegis-sidecar", "aegis-probe"] {
        let pid = container_pid(node, agent.pod(), container)?;
        println!("figure: {container} has {:.1} MiB resident after 1,000 calls", resident_mib(pid)?);
    }
    Ok(())
}

/// Of a process, as the kernel counts it.
fn resident_mib(pid: u64) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u32 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1024.0)
}
