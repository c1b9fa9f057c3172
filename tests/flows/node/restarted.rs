//! A sidecar that is killed, or ended by the kernel for want of memory: while it is away nothing passes, afterwards calls
//! work again, and no record that an answer acknowledged is lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::cluster::process::Process;
use aegis_tests::erp::http_json;
use aegis_tests::node::{Bench, BenchSpec, Evidence, Node, PodAgent, Series, Stream, World, container_pid, may_run};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinSet;

use super::scene::{self, EVIL_ADDRESS};

const WITHIN: Duration = Duration::from_mins(2);
const BASE: &str = "http://127.0.0.1:15080/bench/items";
/// Bytes of a large Draft's body: about the longest argument that a command line holds.
const LARGE: usize = 100 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_that_is_killed_lets_nothing_through_and_loses_nothing() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let scene = Scene::set("killed", 18_033).await?;
    let ended = scene
        .survives(async || {
            let pid = scene.pid()?.to_string();
            let killed = Command::new("kill").args(["-9", &pid]).status().await?;
            ensure!(killed.success(), "cannot kill {pid}");
            Ok(())
        })
        .await?;
    ensure!(ended.exit_code == 137, "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_without_memory_lets_nothing_through_and_loses_nothing() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let scene = Scene::set("starved", 18_034).await?;
    let ended = scene
        .survives(async || {
            let left = squeeze(scene.pid()?)?;
            println!("the sidecar's memory is limited to {left} bytes");
            scene.press().await
        })
        .await?;
    ensure!(ended.reason.as_deref() == Some("OOMKilled"), "{ended:?}");
    Ok(())
}

struct Scene {
    node: Arc<Node>,
    bench: Bench,
    agent: Arc<PodAgent>,
    /// A server that no call may reach, and where it tells what did.
    evil: String,
    sink: String,
    _sink: Process,
}

impl Scene {
    async fn set(namespace: &str, port: u16) -> Result<Self> {
        let node = scene::node().await?;
        let bench = Bench::set(node, &BenchSpec::new(namespace, "Captured", port)).await?;
        let (port, control) = (port.to_string(), format!("10.99.0.254:{}", port + 1000));
        let arguments = ["sink", "--ports", &port, "--ips", EVIL_ADDRESS, "--control", &control];
        let running = World::run(node, &format!("sink-{namespace}"), &arguments).await?;
        let sink = World::reach(node, &control)?;
        let agent = Arc::new(bench.agent("agent").await?);
        bench.until(&agent, "/bench/items/7", 200).await?;
        let evil = format!("http://{EVIL_ADDRESS}:{port}/x");
        Ok(Self { node: Arc::clone(node), bench, agent, evil, sink, _sink: running })
    }

    /// Ends the sidecar by `end` under calls by every way in, and looks at what came of them; tells how it ended.
    async fn survives(&self, end: impl AsyncFnOnce() -> Result<()>) -> Result<ContainerStateTerminated> {
        let draft = json!({"amount": "12.00"});
        let by_name = format!("{}/items", self.bench.tool);
        let by_base = Stream::start(&self.agent, Series::post(BASE, &draft), 20);
        let captured = Stream::start(&self.agent, Series::post(&by_name, &draft), 10);
        let out = Stream::start(&self.agent, Series::get(&self.evil), 10);
        self.calls_pass().await?;

        end().await?;
        let sidecar = self.back().await?;
        self.bench.until(&self.agent, "/bench/items/7", 200).await?;
        self.calls_pass().await?;

        let calls = [by_base.stop().await?, captured.stop().await?].concat();
        let tried = out.stop().await?;
        ensure!(tried.iter().all(|call| call.status != Some(200)), "answered from outside: {tried:?}");
        let counted = http_json(http::Method::GET, &format!("http://{}/count", self.sink), &[], None).await?;
        ensure!(counted.body.get("total") == Some(&json!(0)), "something got out: {}", counted.body);

        // What presses may still call: whatever the tool has seen by now was recorded before, the rest is not asked for.
        let seen = self.bench.traces().await?;
        let namespace = &self.bench.namespace;
        let evidence = eventually("two epochs that hold", WITHIN, async || {
            let evidence = Evidence::read(&self.node, namespace, &self.agent.records()?).await?;
            ensure!(evidence.epochs.len() == 2, "{:?}", evidence.epochs);
            Ok(evidence)
        })
        .await?;
        let recorded: BTreeSet<&String> = evidence.allowed.values().collect();
        let answered: Vec<_> = calls.iter().filter(|call| call.status == Some(200)).collect();
        let lost: Vec<_> = answered.iter().filter(|call| !recorded.contains(&call.trace)).collect();
        ensure!(lost.is_empty(), "acknowledged and not recorded: {lost:?}");
        let unrecorded: Vec<_> = seen.iter().filter(|trace| !recorded.contains(trace)).collect();
        ensure!(unrecorded.is_empty(), "reached the tool without a record: {unrecorded:?}");
        ensure!(seen.iter().collect::<BTreeSet<_>>().len() == seen.len(), "a call reached the tool twice");
        let refused = calls.len() - answered.len();
        ensure!(refused > 0, "the sidecar was never away: {} calls", calls.len());
        println!(
            "{namespace}: {} calls, {} answered and recorded, {refused} not while the sidecar was away, {} without a known outcome; 0 of {} got out",
            calls.len(),
            answered.len(),
            evidence.open().len(),
            tried.len()
        );
        self.ends(&evidence.epochs)?;
        sidecar.last_state.and_then(|state| state.terminated).context("the status does not tell how it ended")
    }

    /// The chain says how far each epoch is complete, and what after that proves nothing.
    fn ends(&self, epochs: &[Value]) -> Result<()> {
        for epoch in epochs {
            let report = &epoch["report"];
            println!("{}: complete to {}, torn: {}", self.bench.namespace, report["completeTo"], report["torn"]);
            ensure!(report["completeTo"].as_u64() >= Some(1) && report["end"] == "notProven", "{epoch}");
        }
        Ok(())
    }

    /// Waits until some more calls have reached the tool.
    async fn calls_pass(&self) -> Result<()> {
        let before = self.bench.reached().await?;
        eventually("calls to reach the tool", WITHIN, async || {
            let now = self.bench.reached().await?;
            ensure!(now >= before + 20, "{before}, then {now}");
            Ok(())
        })
        .await
    }

    /// The sidecar's process, as this machine numbers it.
    fn pid(&self) -> Result<u64> {
        container_pid(&self.node, self.agent.pod(), "aegis-sidecar")
    }

    async fn sidecar(&self) -> Result<ContainerStatus> {
        let pods: Api<Pod> = Api::namespaced(self.node.cluster.admin().await?, &self.bench.namespace);
        let status = pods.get(&self.agent.pod().name_any()).await?.status.unwrap_or_default();
        let all = status.init_container_statuses.unwrap_or_default();
        all.into_iter().find(|one| one.name == "aegis-sidecar").context("the pod has no sidecar")
    }

    /// Waits until the sidecar has been started a second time.
    async fn back(&self) -> Result<ContainerStatus> {
        eventually("the sidecar to be started again", WITHIN, async || {
            let status = self.sidecar().await?;
            ensure!(status.restart_count == 1 && status.started == Some(true), "{status:?}");
            Ok(status)
        })
        .await
    }

    /// Makes large calls from all sides until the sidecar is gone.
    async fn press(&self) -> Result<()> {
        let body = json!({"amount": "12.00", "note": "x".repeat(LARGE)});
        let mut pressing = JoinSet::new();
        for _ in 0..8 {
            let (agent, series) = (Arc::clone(&self.agent), Series::post(BASE, &body));
            pressing.spawn(async move {
                let arguments = series.arguments(0, 50, &["--seconds", "60", "--quiet"]);
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                agent.exec(&arguments).await.map(drop)
            });
        }
        // What presses ends with the set; what it began in the pod goes on as long as it was told to.
        eventually("the sidecar to run out of memory", WITHIN, async || {
            let status = self.sidecar().await?;
            ensure!(status.restart_count > 0 || status.started == Some(false), "it runs");
            Ok(())
        })
        .await
    }
}

/// Lets a process have no more memory than it has now, by its container's cgroup; tells how much that is.
fn squeeze(pid: u64) -> Result<u64> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let of = |controller: &str| {
        groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            controllers.split(',').any(|one| one == controller).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let (file, stat) = if let Some(path) = of("memory") {
        let folder = PathBuf::from("/sys/fs/cgroup/memory").join(path);
        (folder.join("memory.limit_in_bytes"), folder.join("memory.stat"))
    } else {
        let folder = PathBuf::from("/sys/fs/cgroup").join(of("").context("the process is in no cgroup")?);
        (folder.join("memory.max"), folder.join("memory.stat"))
    };
    let stat = fs::read_to_string(stat)?;
    let held = stat.lines().find_map(|line| line.strip_prefix("total_rss ").or_else(|| line.strip_prefix("anon ")));
    let held: u64 = held.context("the cgroup does not tell what it holds")?.trim().parse()?;
    // The kernel refuses a limit that it cannot keep, and what it needs itself counts too.
    for spare in 1..=64_u64 {
        let limit = held + spare * 256 * 1024;
        if fs::write(&file, limit.to_string()).is_ok() {
            return Ok(limit);
        }
    }
    anyhow::bail!("no limit near {held} bytes was taken by {}", file.display())
}
