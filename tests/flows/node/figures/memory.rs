//! What the injected containers take of the node's memory, after some calls: told, and bounded generously.

use aegis_tests::node::{Bench, BenchSpec, container_pid, may_run};
use anyhow::{Context as _, Result, ensure};

use super::super::scene;

/// Containers, and most MiB of their own that they may take. Twice what was seen: a leak of every call's body is more.
const OWN_AT_MOST: [(&str, f64); 2] = [("aegis-sidecar", 32.0), ("aegis-probe", 8.0)];

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
    for (container, at_most) in OWN_AT_MOST {
        let pid = container_pid(node, agent.pod(), container)?;
        let (resident, own) = (mib(pid, "VmRSS")?, mib(pid, "RssAnon")?);
        println!("figure: {container} has {resident:.1} MiB resident after 1,000 calls, {own:.1} of its own");
        ensure!(own <= at_most, "{container} has {own:.1} MiB of its own after 1,000 calls, more than {at_most}");
    }
    Ok(())
}

/// A line of a process' status, as the kernel counts it.
fn mib(pid: u64, line: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(':'));
    let kib: u32 = found.with_context(|| format!("no {line}"))?.trim().trim_end_matches(" kB").parse()?;
    Ok(f64::from(kib) / 1024.0)
}
