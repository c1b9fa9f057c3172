//! A sidecar that is killed again and again while its agent calls and tries to get out: no frame leaves but for calls that
//! are recorded as allowed, and every answer has its record.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aegis_decision::probe::ProbeReport;
use aegis_tests::cluster::eventually;
use aegis_tests::node::{
    Bench, BenchSpec, Evidence, Node, PodAgent, Series, Stream, TOOL_ADDRESS, container_pid, may_run,
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tokio::process::Command;

use super::sink::{SINK_V4, SINK_V6, Sink, unfenced};
use super::torn::torn;

const NAMESPACE: &str = "killed";
const PORT: u16 = 18_103;
const KILLS: u32 = 20;
/// Of so many sidecars one lives until it has sent a call.
const WORKS: u32 = 4;
/// A sidecar's start: the kubelet's pause, a probe, a token.
const WITHIN: Duration = Duration::from_mins(1);
/// What the agent tries meanwhile: TCP, UDP, DNS and ICMP of both families.
const TRIED: &str = "1,2,3,4,5,6,9,13";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaves_while_the_sidecar_is_killed_in_a_loop() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let _cable = torn.cable.lock().await;
    let node = &torn.node;
    let (bench, agent) = torn
        .bench(&BenchSpec::new(NAMESPACE, "Captured", PORT), async |bench| {
            unfenced(node, NAMESPACE).await?;
            Ok(Arc::new(bench.agent("agent").await?))
        })
        .await?;
    bench.until(&agent, "/bench/items/7", 200).await?;
    let before = bench.reached().await?;
    let tool = format!("{TOOL_ADDRESS}:{PORT}");
    let sink = Sink::start(node, agent.pod(), Some(&tool)).await?;
    let stop = Arc::new(AtomicBool::new(false));
    let attempts = tokio::spawn(attempts(Arc::clone(&agent), Arc::clone(node), Arc::clone(&stop)));
    // Drafts: their record is on the disk before they are sent. That of a Read may die with its sidecar.
    let series = Series::post("http://127.0.0.1:15080/bench/items", &json!({"amount": "12.00"}));
    let stream = Stream::start(&agent, series, 8);
    let began = Instant::now();
    let killed = killed(&bench).await;
    let length = began.elapsed();
    stop.store(true, Ordering::Relaxed);
    let (calls, runs) = (stream.stop().await?, attempts.await??);
    killed?;
    let frames = sink.end().await?;

    let evidence = Evidence::read(node, NAMESPACE, &agent.records()?).await?;
    let traces = bench.traces().await?;
    let (seen, recorded): (BTreeSet<&String>, BTreeSet<&String>) =
        (traces.iter().collect(), evidence.allowed.values().collect());
    let answered: BTreeSet<&String> = calls.iter().filter(|it| it.status == Some(200)).map(|it| &it.trace).collect();
    println!(
        "{KILLS} kills of a sidecar in {} s: {} calls, {} answered with 200, {} seen by the tool, {} recorded as allowed \
         in {} epochs; {runs} runs of the attempts; frames at the sink: {frames}",
        length.as_secs(),
        calls.len(),
        answered.len(),
        traces.len(),
        evidence.allowed.len(),
        evidence.epochs.len(),
    );
    ensure!(frames["count"] == 0, "frames that no allowed call explains: {frames}");
    ensure!(runs > 0, "no run of the attempts ended");
    ensure!(!answered.is_empty() && answered.len() < calls.len(), "calls must succeed and fail in between");
    ensure!(evidence.epochs.len() >= usize::try_from(KILLS / WORKS)?, "{} epochs", evidence.epochs.len());
    let requests = bench.reached().await? - before;
    ensure!(requests <= u64::try_from(traces.len())?, "the tool remembers {} of {requests} requests", traces.len());
    let unjudged: Vec<_> = seen.difference(&recorded).collect();
    ensure!(unjudged.is_empty(), "the tool saw calls that are not recorded as allowed: {unjudged:?}");
    let lost: Vec<_> = answered.difference(&recorded).collect();
    ensure!(lost.is_empty(), "answered and not recorded: {lost:?}");
    Ok(())
}

/// Kills the sidecar as soon as it runs again, but for every fourth time, when it first has to have sent a call.
async fn killed(bench: &Bench) -> Result<()> {
    let node = &bench.node;
    let pods: Api<Pod> = Api::namespaced(node.cluster.admin().await?, NAMESPACE);
    for kill in 0..KILLS {
        let sent = bench.reached().await?;
        let pod = eventually("the sidecar to run", WITHIN, async || {
            let pod = pods.get("agent").await?;
            let mut statuses = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
            let sidecar = statuses.find(|one| one.name == "aegis-sidecar").context("no sidecar")?;
            let running = sidecar.state.as_ref().is_some_and(|state| state.running.is_some());
            ensure!(running && sidecar.restart_count >= i32::try_from(kill)?, "{sidecar:?}");
            ensure!(kill % WORKS != 0 || bench.reached().await? > sent, "it has sent no call yet");
            Ok(pod)
        })
        .await?;
        let pid = container_pid(node, &pod, "aegis-sidecar")?.to_string();
        let status = Command::new("kill").args(["-KILL", &pid]).status().await?;
        ensure!(status.success(), "kill {pid}: {status}");
    }
    Ok(())
}

/// Tries to get out, from the probe's container, one run after the other until told to stop; tells how many ended.
async fn attempts(agent: Arc<PodAgent>, node: Arc<Node>, stop: Arc<AtomicBool>) -> Result<u32> {
    let name = agent.pod().name_any();
    let mut runs = 0;
    while !stop.load(Ordering::Relaxed) {
        let tried = [
            "exec",
            &name,
            "-n",
            NAMESPACE,
            "-c",
            "aegis-probe",
            "--",
            "/aegis-probe",
            "--once",
            "--json",
            "--only",
            TRIED,
            "--sink-v4",
            SINK_V4,
            "--sink-v6",
            SINK_V6,
        ];
        let output = node.cluster.kubectl("admin", &tried).await?;
        // What it makes of a sidecar that dies meanwhile says nothing: the frames tell.
        let _: ProbeReport = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("no report: {}", String::from_utf8_lossy(&output.stderr)))?;
        runs += 1;
    }
    Ok(runs)
}
