//! A release is upgraded, tested and rolled back under a steady stream of calls and of new pods: nothing is refused and
//! nothing goes unrecorded.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::helm::RELEASE;
use aegis_tests::node::{Bench, BenchSpec, CHART_NAMESPACE, Called, Evidence, Node, Series, Stream, may_run, pod};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{rolled, scene};

const WITHIN: Duration = Duration::from_mins(2);
const NAMESPACE: &str = "upgraded";

/// One node of its own: the release of the node that flows share stays as it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_refuses_nothing_and_loses_nothing() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let folder = tempfile::Builder::new().prefix("upgraded-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let node = Arc::new(scene::start(folder.path()).await?);
    release(&node).await.context("upgrade and rollback of the release")?;
    rolled::sidecar(&node, folder.path()).await.context("a new version of the sidecar")
}

async fn release(node: &Arc<Node>) -> Result<()> {
    let bench = Bench::set(node, &BenchSpec::new(NAMESPACE, "Captured", 18_030)).await?;
    let agent = Arc::new(bench.agent("agent").await?);
    bench.until(&agent, "/bench/items/7", 200).await?;
    let before = bench.reached().await?;
    let base = "http://127.0.0.1:15080/bench/items";
    let reads = Stream::start(&agent, Series::get(&format!("{base}/{{n}}")), 15);
    let drafts = Stream::start(&agent, Series::post(base, &json!({"amount": "12.00"})), 15);
    let admissions = Admissions::start(node).await?;

    let upgraded = replaced(node, async || {
        let rolled = ["operator", "webhook"].map(|program| format!("{program}.podAnnotations.flow=upgraded"));
        node.install(&rolled).await
    })
    .await?;
    node.helm(&["test", RELEASE, "--timeout", "2m"]).await?;
    let rolled_back =
        replaced(node, async || node.helm(&["rollback", RELEASE, "1", "--wait", "--timeout", "3m"]).await).await?;

    let asked = admissions.stop().await?;
    let calls = [reads.stop().await?, drafts.stop().await?].concat();
    all_recorded(node, &calls, &agent.records()?).await?;
    let reached = bench.reached().await? - before;
    ensure!(reached == u64::try_from(calls.len())?, "the tool saw {reached} of {} calls", calls.len());
    println!(
        "upgrade and rollback: {upgraded} and {rolled_back} pods replaced; {} calls allowed, recorded and seen by the tool; {asked} pods admitted",
        calls.len()
    );
    Ok(())
}

/// Every call was answered 200, and there is exactly one record of each.
async fn all_recorded(node: &Node, calls: &[Called], records: &Path) -> Result<()> {
    let failed: Vec<_> = calls.iter().filter(|call| call.status != Some(200)).map(|call| &call.said).collect();
    ensure!(failed.is_empty() && !calls.is_empty(), "{} of {} calls: {failed:?}", failed.len(), calls.len());
    let made: BTreeSet<&String> = calls.iter().map(|call| &call.trace).collect();
    ensure!(made.len() == calls.len(), "calls share an id");
    eventually("every call to be recorded once", WITHIN, async || {
        let evidence = Evidence::read(node, NAMESPACE, records).await?;
        let numbered: Vec<&String> = evidence.allowed.values().filter(|trace| !trace.is_empty()).collect();
        ensure!(numbered.len() == calls.len(), "{} records of {} calls", numbered.len(), calls.len());
        ensure!(numbered.into_iter().collect::<BTreeSet<_>>() == made, "records of other calls");
        Ok(())
    })
    .await
}

/// Does something that replaces the pods of operator and webhook, and waits until the last of the old ones has gone.
pub async fn replaced(node: &Node, act: impl AsyncFnOnce() -> Result<()>) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(node.cluster.admin().await?, CHART_NAMESPACE);
    let programs = ListParams::default().labels("app.kubernetes.io/component in (operator,webhook)");
    let old: BTreeSet<Option<String>> = pods.list(&programs).await?.iter().map(ResourceExt::uid).collect();
    ensure!(old.len() == 4, "{} pods of operator and webhook", old.len());
    act().await?;
    eventually("the old pods of operator and webhook to be gone", WITHIN, async || {
        let now: BTreeSet<Option<String>> = pods.list(&programs).await?.iter().map(ResourceExt::uid).collect();
        let left = now.intersection(&old).count();
        ensure!(left == 0, "{left} are left");
        Ok(())
    })
    .await?;
    Ok(old.len())
}

/// Asks the API server again and again whether it would take another pod of the agent.
struct Admissions {
    stop: CancellationToken,
    asked: JoinHandle<Result<usize>>,
}

impl Admissions {
    async fn start(node: &Node) -> Result<Self> {
        let pods: Api<Pod> = Api::namespaced(node.cluster.admin().await?, NAMESPACE);
        let one: Pod = serde_json::from_value(pod("another", "buyer", &["idle"]))?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let asked = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            let mut asked = 0_usize;
            while !stopped.is_cancelled() {
                ticks.tick().await;
                let dry_run = PostParams { dry_run: true, ..PostParams::default() };
                let taken = pods.create(&dry_run, &one).await.with_context(|| format!("admission {asked}"))?;
                let spec = taken.spec.unwrap_or_default();
                let first = spec.init_containers.iter().flatten().any(|one| one.name == "aegis-sidecar");
                ensure!(first, "admission {asked}: the pod came back without a sidecar");
                asked += 1;
            }
            Ok(asked)
        });
        Ok(Self { stop, asked })
    }

    async fn stop(self) -> Result<usize> {
        self.stop.cancel();
        self.asked.await.context("the admissions died")?
    }
}
