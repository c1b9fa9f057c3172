//! The gateway of a Sealed agent rolls, and then loses one pod after the other, while the agent calls all the time:
//! nothing is refused, nothing goes unrecorded, nothing happens twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aegis_decision::record::RecordedExecution;
use aegis_tests::cluster::eventually;
use aegis_tests::node::{
    Bench, BenchSpec, Called, Evidence, Node, Series, Stream, is_ready, keep, may_run, records_of,
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::scene;

const WITHIN: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "gateways";
const BASE: &str = "http://127.0.0.1:15080/bench/items";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_rolls_refuses_nothing_and_loses_nothing() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let node = scene::node().await?;
    let mut spec = BenchSpec::new(NAMESPACE, "Sealed", 18_060);
    // Most of the time a call is under way, so one is when a gateway ends.
    spec.delay = Duration::from_millis(150);
    let bench = Bench::set(node, &spec).await?;
    let folder = tempfile::Builder::new().prefix("gateways-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut gateways = Gateways { node, kept: folder.path().to_owned(), all: BTreeSet::new() };
    let first = gateways.settled(&BTreeSet::new()).await?;
    let agent = Arc::new(bench.agent("agent").await?);
    bench.until(&agent, "/bench/items/7", 200).await?;
    let before = bench.reached().await?;
    let reads = Stream::start(&agent, Series::get(&format!("{BASE}/{{n}}")), 10);
    let drafts = Stream::start(&agent, Series::post(BASE, &json!({"amount": "12.00"})), 10);

    let began = Instant::now();
    node.kubectl(&["rollout", "restart", "deployment/buyer-gateway", "-n", NAMESPACE]).await?;
    let second = gateways.settled(&first).await?;
    let rolled = began.elapsed();
    let (one, other) = gateways.lose_each(&second).await?;

    let calls = [reads.stop().await?, drafts.stop().await?].concat();
    let reached = bench.reached().await? - before;
    let by_pod = gateways.judge(&calls).await?;
    let took = calls.iter().filter_map(|call| call.said.get("ms").and_then(Value::as_f64));
    println!(
        "figure: gateway rolled in {rolled:?}, pods deleted and replaced in {one:?} and {other:?}: {} calls, none refused, slowest {:.0} ms; recorded by {by_pod:?}",
        calls.len(),
        took.fold(0.0, f64::max),
    );
    ensure!(reached == u64::try_from(calls.len())?, "the tool saw {reached} of {} calls", calls.len());
    Ok(())
}

struct Gateways<'a> {
    node: &'a Node,
    /// Folder of the records that pods leave, by their names.
    kept: PathBuf,
    /// Names of all pods that there ever were.
    all: BTreeSet<String>,
}

impl Gateways<'_> {
    async fn pods(&self) -> Result<Api<Pod>> {
        Ok(Api::namespaced(self.node.cluster.admin().await?, NAMESPACE))
    }

    /// Waits until there are two pods, both ready and none of the old ones, and keeps their records beyond their end;
    /// tells their names.
    async fn settled(&mut self, old: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let selected = ListParams::default().labels("aegis.dev/agent=buyer,aegis.dev/component=gateway");
        let pods = self.pods().await?;
        let now =
            eventually("two new pods of the gateway to be ready, and the old ones to be gone", WITHIN, async || {
                let now = pods.list(&selected).await?.items;
                let settled = now.iter().all(|pod| {
                    is_ready(pod) && pod.metadata.deletion_timestamp.is_none() && !old.contains(&pod.name_any())
                });
                ensure!(now.len() == 2 && settled, "{:?}", now.iter().map(ResourceExt::name_any).collect::<Vec<_>>());
                Ok(now)
            })
            .await?;
        for pod in &now {
            let name = pod.name_any();
            keep(&records_of(&self.node.cluster, pod)?, &self.kept.join(&name))?;
            self.all.insert(name);
        }
        Ok(now.iter().map(ResourceExt::name_any).collect())
    }

    /// Deletes each of two pods, the second when the first was replaced; how long each took.
    async fn lose_each(&mut self, pods: &BTreeSet<String>) -> Result<(Duration, Duration)> {
        let mut took = Vec::new();
        let mut gone = BTreeSet::new();
        for name in pods {
            let began = Instant::now();
            self.pods().await?.delete(name, &DeleteParams::default()).await?;
            gone.insert(name.clone());
            self.settled(&gone).await?;
            took.push(began.elapsed());
        }
        let [one, other] = took.as_slice() else { anyhow::bail!("{} pods were deleted", took.len()) };
        Ok((*one, *other))
    }

    /// Every call was answered 200 and recorded by one gateway, once; calls by gateway.
    async fn judge(&self, calls: &[Called]) -> Result<BTreeMap<String, usize>> {
        let failed: Vec<_> = calls.iter().filter(|call| call.status != Some(200)).map(|call| &call.said).collect();
        ensure!(failed.is_empty() && !calls.is_empty(), "{} of {} calls: {failed:?}", failed.len(), calls.len());
        let made: BTreeSet<&String> = calls.iter().map(|call| &call.trace).collect();
        ensure!(made.len() == calls.len(), "calls share an id");
        eventually("every call to be recorded once, with how it ended", WITHIN, async || {
            let (mut by_pod, mut recorded) = (BTreeMap::new(), Vec::new());
            for name in &self.all {
                let evidence = Evidence::read(self.node, NAMESPACE, &self.kept.join(name)).await;
                let evidence = evidence.with_context(|| format!("records of {name}"))?;
                ensure!(evidence.open().is_empty(), "{name}: no outcome of {:?}", evidence.open());
                let unsent = evidence.outcomes.values().filter(|end| **end == RecordedExecution::NotSent).count();
                ensure!(unsent == 0, "{name}: {unsent} calls were allowed and not sent");
                by_pod.insert(name.clone(), evidence.allowed.len());
                recorded.extend(evidence.allowed.into_values().filter(|trace| !trace.is_empty()));
            }
            ensure!(recorded.len() == calls.len(), "{} records of {} calls", recorded.len(), calls.len());
            ensure!(recorded.iter().collect::<BTreeSet<_>>() == made, "records of other calls");
            Ok(by_pod)
        })
        .await
    }
}
