//! What may still happen to an agent's pod that runs, and to one that was made before its Agent.

use aegis_crds::api::Agent;
use aegis_decision::egress::Level;
use aegis_tests::cluster::{TestNamespace, eventually};
use aegis_tests::install::{impersonate, shared};
use aegis_tests::mesh::pods::{injected, plain};
use aegis_tests::pods::state_mesh;
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::super::guards::scene::{PATIENCE, refused};
use super::{ground, operator, rolling};

/// The least that a kubelet writes.
const NODE: &str = "system:node:node-1";

async fn buyer(namespace: &TestNamespace<'_>, name: &str) -> Result<(Api<Pod>, Pod)> {
    let pods: Api<Pod> = namespace.api("admin").await?;
    let mut pod = injected(plain(name, "buyer", "buyer-account")?, namespace.name(), "buyer", Level::Captured)?;
    if let Some(spec) = &mut pod.spec {
        spec.node_name = Some("node-1".to_owned());
    }
    pod.metadata.finalizers = Some(vec!["example.com/tracking".to_owned()]);
    let stored = pods.create(&PostParams::default(), &pod).await?;
    Ok((pods, stored))
}

async fn merge(pods: &Api<Pod>, name: &str, change: Value) -> Result<Pod> {
    Ok(pods.patch(name, &PatchParams::default(), &Patch::Merge(change)).await?)
}

/// An image moves on for new pods; those that run are left alone by controllers and node.
#[tokio::test]
async fn a_pod_of_a_version_that_is_gone_keeps_running_and_ends() -> Result<()> {
    let cluster = shared().await?;
    let (_ground, namespace) = ground(cluster, "moved").await?;
    let (pods, old) = buyer(&namespace, "old").await?;
    let mut next = rolling();
    next.images.previous.clear();
    for image in [&mut next.images.proxy, &mut next.images.capture, &mut next.images.probe] {
        *image = image.replace(":0.1.0", ":0.2.0");
    }
    state_mesh(&operator(cluster).await?, namespace.name(), "buyer", &next).await?;
    let again = injected(plain("again", "buyer", "buyer-account")?, namespace.name(), "buyer", Level::Captured)?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    eventually("the guard to know the next version", PATIENCE, async || match pods.create(&dry_run, &again).await {
        Err(kube::Error::Api(status)) if status.message.contains("not as injected: image") => Ok(()),
        other => bail!("{other:?}"),
    })
    .await?;

    merge(&pods, "old", json!({"metadata": {"labels": {"app": "buyer"}, "annotations": {"note": "kept"}}})).await?;
    let tolerations = json!([{"key": "drain", "operator": "Exists"}]);
    let mut spec = serde_json::to_value(&old.spec)?;
    let all = spec["tolerations"].as_array_mut().context("defaults")?;
    all.extend(tolerations.as_array().cloned().unwrap_or_default());
    merge(&pods, "old", json!({"spec": {"tolerations": spec["tolerations"]}})).await?;
    let node: Api<Pod> =
        Api::namespaced(impersonate(cluster, NODE, &["system:nodes", "system:masters"]).await?, namespace.name());
    let running = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    node.patch_status("old", &PatchParams::default(), &Patch::Strategic(running)).await?;
    let resized = json!({"spec": {"containers": [{"name": "agent", "resources": {"requests": {"cpu": "5m"}}}]}});
    // Whether a resize is possible is not the guard's matter.
    if let Err(kube::Error::Api(status)) =
        pods.patch_subresource("resize", "old", &PatchParams::default(), &Patch::Strategic(resized)).await
    {
        ensure!(!status.message.contains("ValidatingAdmissionPolicy"), "{status:?}");
    }
    // A Job takes its finalizer off when it has counted the pod.
    pods.delete("old", &DeleteParams::default().grace_period(0)).await?;
    merge(&pods, "old", json!({"metadata": {"finalizers": null}})).await?;
    eventually("the pod to end", PATIENCE, async || {
        ensure!(pods.get_opt("old").await?.is_none(), "still there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_agents_own_image_may_change_and_a_hardened_ephemeral_container_may_come() -> Result<()> {
    let (_ground, namespace) = ground(shared().await?, "own").await?;
    let (pods, pod) = buyer(&namespace, "buyer").await?;
    let own = json!({"spec": {"containers": [{"name": "agent", "image": "registry.example/agent:2"}]}});
    pods.patch("buyer", &PatchParams::default(), &Patch::Strategic(own)).await?;
    let debug = json!({"spec": {"ephemeralContainers": [{
        "name": "debug", "image": "debug", "targetContainerName": "agent",
        "securityContext": {"runAsUser": 1000, "runAsNonRoot": true, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    }]}});
    pods.patch_ephemeral_containers("buyer", &PatchParams::default(), &Patch::Strategic(debug)).await?;

    let mediated = injected(plain("reader", "reader", "reader-account")?, namespace.name(), "reader", Level::Mediated)?;
    pods.create(&PostParams::default(), &mediated).await?;
    let debug = json!({"spec": {"ephemeralContainers": [{"name": "debug", "image": "debug"}]}});
    pods.patch_ephemeral_containers("reader", &PatchParams::default(), &Patch::Strategic(debug)).await?;
    ensure!(pod.spec.is_some());
    Ok(())
}

/// It has no token and is named in the Agent's status, but nothing keeps its controllers from ending it.
#[tokio::test]
async fn a_pod_that_was_there_before_its_agent_can_be_written_to_but_not_made_anew() -> Result<()> {
    let cluster = shared().await?;
    cluster
        .in_namespace("before", async |namespace| {
            let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: late-account}}";
            namespace.apply("admin", account, "flows").await?;
            let pods: Api<Pod> = namespace.api("admin").await?;
            pods.create(&PostParams::default(), &plain("first", "late", "late-account")?).await?;
            let agent: Agent = serde_json::from_value(json!({
                "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "late"},
                "spec": {"tenant": "acme", "businessUnit": "office", "owner": {"name": "office"}, "version": "1",
                    "workload": {"serviceAccountName": "late-account"}},
            }))?;
            let agents: Api<Agent> = namespace.api("admin").await?;
            agents.create(&PostParams::default(), &agent).await?;
            let dry_run = PostParams { dry_run: true, ..PostParams::default() };
            let second = plain("second", "late", "late-account")?;
            let refusal = eventually("the guard to know the agent", PATIENCE, async || {
                match pods.create(&dry_run, &second).await {
                    Err(kube::Error::Api(status)) => Ok(status),
                    other => bail!("{other:?}"),
                }
            })
            .await?;
            // Before the operator has seen the agent nobody can tell what its pods must look like.
            ensure!(refusal.message.contains("has no status.mesh yet"), "{}", refusal.message);
            state_mesh(&operator(cluster).await?, namespace.name(), "late", &rolling()).await?;
            eventually("the guard to know what its pods must look like", PATIENCE, async || {
                refused("second", pods.create(&dry_run, &second).await, "container aegis-sidecar is missing")
            })
            .await?;
            merge(&pods, "first", json!({"metadata": {"annotations": {"note": "kept"}, "finalizers": null}})).await?;
            let stripped = Patch::Merge(json!({"metadata": {"labels": null}}));
            let answer = pods.patch("first", &PatchParams::default(), &stripped).await;
            refused("its label", answer, "its pods carry the label aegis.dev/agent: late")?;
            let first = pods.get("first").await?;
            pods.delete(&first.name_any(), &DeleteParams::default().grace_period(0)).await?;
            Ok(())
        })
        .await
}
