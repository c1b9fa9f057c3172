//! Every kind of workload of an agent comes up with its sidecar before the agent's first instruction, and Jobs end.

use std::time::Duration;

use aegis_tests::cluster::{apply_in, eventually};
use aegis_tests::node::{Bench, BenchSpec, create, documents, is_ready, may_run_anywhere, pod, wait_running};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use super::scene;

const WITHIN: Duration = Duration::from_mins(2);
/// The agent's first instruction is a call: it fails when the sidecar cannot judge yet.
const FIRST_CALL: [&str; 4] = ["get", "http://127.0.0.1:15080/bench/items/7", "--expect", "200"];

/// The first call, then nothing: a container whose first call fails ends, and is started again.
const THEN_IDLE: &str = "get http://127.0.0.1:15080/bench/items/7 --expect 200\nidle";
const SCRIPT: [&str; 3] = ["run-script", "--env", "SCRIPT"];

/// A template of an agent's pod.
fn template(arguments: &[&str], restart: Option<&str>) -> Value {
    let mut pod = pod("unused", "buyer", arguments);
    pod["spec"]["containers"][0]["env"] = json!([{"name": "SCRIPT", "value": THEN_IDLE}]);
    if let Some(restart) = restart {
        pod["spec"]["restartPolicy"] = json!(restart);
    }
    json!({"metadata": {"labels": {"aegis.dev/agent": "buyer", "app": "kinds"}}, "spec": pod["spec"]})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_workload_is_injected_and_jobs_complete() -> Result<()> {
    if !may_run_anywhere() {
        return Ok(());
    }
    let node = scene::node().await?;
    let spec = BenchSpec::new("kinds", "Captured", 18_001);
    let bench = Bench::set(node, &spec).await?;
    let admin = node.cluster.admin().await?;

    let mut workloads = vec![json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "job"},
        "spec": {"backoffLimit": 0, "template": template(&FIRST_CALL, Some("Never"))},
    })];
    workloads.push(json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "cron"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"backoffLimit": 0,
            "template": template(&FIRST_CALL, Some("Never"))}}},
    }));
    for kind in ["Deployment", "StatefulSet"] {
        workloads.push(json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": kind.to_lowercase()},
            "spec": {"replicas": 1, "serviceName": "none", "selector": {"matchLabels": {"app": kind}},
                "template": {"metadata": {"labels": {"aegis.dev/agent": "buyer", "app": kind}},
                    "spec": template(&SCRIPT, None)["spec"]}},
        }));
        if kind == "Deployment" {
            let last = workloads.last_mut().expect("just pushed");
            last["spec"].as_object_mut().expect("an object").remove("serviceName");
        }
    }
    apply_in(&admin, "kinds", documents(&workloads).as_str(), "platform").await?;
    let mut bare = pod("bare", "buyer", &SCRIPT);
    bare["metadata"]["labels"]["app"] = json!("bare");
    bare["spec"] = template(&SCRIPT, None)["spec"].clone();
    create(node, "kinds", bare).await?;

    wait_running(node, "kinds", "bare", WITHIN).await?;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), "kinds");
    for app in ["Deployment", "StatefulSet"] {
        eventually(&format!("the pod of the {app} to run"), WITHIN, async || {
            let found = pods.list(&ListParams::default().labels(&format!("app={app}"))).await?.items;
            let running = found.iter().filter(|pod| is_ready(pod)).count();
            ensure!(running == 1, "{running} of {} pods are ready", found.len());
            Ok(())
        })
        .await?;
    }
    let jobs: Api<Job> = Api::namespaced(admin, "kinds");
    eventually("the job and a job of the cron job to complete", Duration::from_mins(4), async || {
        let done: Vec<String> = jobs
            .list(&ListParams::default())
            .await?
            .items
            .into_iter()
            .filter(|job| job.status.as_ref().is_some_and(|status| status.succeeded == Some(1)))
            .filter_map(|job| job.metadata.name)
            .collect();
        ensure!(done.iter().any(|name| name == "job"), "the job has not completed; done: {done:?}");
        ensure!(done.iter().any(|name| name.starts_with("cron-")), "no job of the cron job; done: {done:?}");
        Ok(())
    })
    .await
    .with_context(|| format!("the namespace:\n{}", node.cluster.dump("kinds", &[])))?;
    for pod in pods.list(&ListParams::default()).await?.items {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        let restarts: i32 = statuses.map(|status| status.restart_count).sum();
        ensure!(restarts == 0, "{:?}: an agent's first call failed", pod.metadata.name);
    }
    ensure!(bench.reached().await? >= 5, "each agent's first instruction was a call: {}", bench.reached().await?);
    Ok(())
}
