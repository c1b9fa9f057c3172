//! From a suspension to the last pod of ten that refuses.

use std::time::Duration;

use aegis_tests::cluster::{apply_in, eventually};
use aegis_tests::node::{Bench, BenchSpec, documents, is_ready, may_run, pod};
use aegis_tests::story::RESPONDER;
use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::super::scene;

const PODS: usize = 10;
const NAMESPACE: &str = "figures-suspend";
const WITHIN: Duration = Duration::from_mins(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspension_reaches_ten_pods() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let _alone = super::ALONE.lock().await;
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new(NAMESPACE, "Mediated", 18_043)).await?;
    let calls = ["loop", "http://127.0.0.1:15080/bench/items/7", "--rate", "10", "--seconds", "600", "--keep"];
    let template = pod("unused", "buyer", &calls);
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "many"},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": "many"}},
            "template": {"metadata": {"labels": {"aegis.dev/agent": "buyer", "app": "many"}}, "spec": template["spec"]}},
    });
    let admin = node.cluster.admin().await?;
    apply_in(&admin, NAMESPACE, documents(&[deployment]).as_str(), "platform").await?;
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(admin, NAMESPACE);
    let selected = ListParams::default().labels("app=many");
    let all = eventually("ten pods to be ready", WITHIN, async || {
        let all = pods.list(&selected).await?.items;
        let ready = all.iter().filter(|pod| is_ready(pod)).count();
        ensure!(ready == PODS, "{ready} of {PODS}");
        Ok(all)
    })
    .await?;
    for pod in &all {
        eventually("an allowed call of each pod", WITHIN, async || {
            first(&pods, &pod.name_any(), 200).await?.context("no call was allowed")
        })
        .await?;
    }

    let agents: Api<aegis_crds::api::Agent> = Api::namespaced(node.cluster.client(RESPONDER).await?, NAMESPACE);
    let began = Timestamp::now();
    let patch = json!({"spec": {"lifecycle": "Suspended"}});
    agents.patch("buyer", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    let mut took = Vec::new();
    for pod in &all {
        let at = eventually("each pod to be refused", WITHIN, async || {
            first(&pods, &pod.name_any(), 403).await?.context("not refused yet")
        })
        .await?;
        took.push(at.duration_since(began).as_millis());
    }
    took.sort_unstable();
    println!("figure: from the suspension to the first refusal in each of {PODS} pods, in ms: {took:?}");
    let reached = bench.reached().await?;
    let later = bench.reached().await?;
    ensure!(reached == later, "a suspended agent's call reached the tool: {reached}, then {later}");
    // A hundred calls a second are no company for other flows.
    deployments.delete("many", &DeleteParams::background()).await?;
    Ok(())
}

/// When a pod's first answer of this status was printed.
async fn first(pods: &Api<Pod>, name: &str, status: u64) -> Result<Option<Timestamp>> {
    let parameters = LogParams { container: Some("agent".to_owned()), timestamps: true, ..LogParams::default() };
    let told = pods.logs(name, &parameters).await?;
    for line in told.lines() {
        let (at, line) = line.split_once(' ').context("a line of the log has no time")?;
        if serde_json::from_str::<Value>(line).is_ok_and(|line| line["status"] == status) {
            return Ok(Some(at.parse()?));
        }
    }
    Ok(None)
}
