//! Pods that come back injected, and pods that are none of the webhook's business.

use aegis_crds::mesh;
use aegis_decision::egress::Level;
use aegis_tests::cluster::{TestNamespace, eventually};
use aegis_tests::mesh::pods::{plain, settings};
use aegis_tests::pods::{Ground, Injection, honest, hostile};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::super::guards::scene::PATIENCE;
use super::scene::{pair, scene};

const TOOL: &str = "
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {name: erp}
spec:
  endpoint: https://erp.example.test
  credential: {secretRef: {name: erp-key, key: token}, name: authorization, scheme: Bearer}
  operations:
  - {name: orders.list, class: Read, http: {method: GET, path: /orders}}
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: reading}
spec:
  tools: [erp, not-there-yet]
  agents: [reader, buyer, payer]
  rules:
  - {name: look, operations: [orders.list], unconditional: true, effect: Allow}
";

/// Creates a pod once the guard knows what it must look like.
async fn create(namespace: &TestNamespace<'_>, pod: &Pod) -> Result<Pod> {
    let pods: Api<Pod> = namespace.api("admin").await?;
    eventually("the pod to be accepted", PATIENCE, async || Ok(pods.create(&PostParams::default(), pod).await?)).await
}

#[tokio::test]
async fn a_pod_of_each_level_comes_back_governed_as_the_server_stored_it() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let (namespace, _) = pair(&scene.cluster, "injected").await?;
    namespace.apply("admin", TOOL, "flows").await?;
    for (agent, level, containers) in [
        ("reader", Level::Mediated, vec!["aegis-sidecar"]),
        ("buyer", Level::Captured, vec!["aegis-capture", "aegis-sidecar", "aegis-probe"]),
        ("payer", Level::Sealed, vec!["aegis-capture", "aegis-sidecar", "aegis-probe"]),
    ] {
        let mut pod = plain(agent, agent, &format!("{agent}-account"))?;
        let spec = pod.spec.as_mut().context("spec")?;
        // As little as the level takes: the rest is filled in.
        spec.containers[0].security_context =
            serde_json::from_value(if level.is_captured() { json!({"runAsUser": 1000}) } else { Value::Null })?;
        spec.containers[0].ports = serde_json::from_value(json!([{"containerPort": 8080}]))?;
        spec.init_containers = serde_json::from_value(json!([{"name": "fetch", "image": "registry.example/fetch:1",
            "securityContext": {"runAsUser": 1001}}]))?;
        let stored = create(&namespace, &pod).await?;
        let governed = mesh::inspect(&stored, namespace.name(), agent, level, &settings());
        let governed = governed.map_err(|faults| anyhow::anyhow!("{agent}: {faults:?}"))?;
        ensure!(governed.current && !governed.gateway, "{governed:?}");
        let spec = stored.spec.as_ref().context("spec")?;
        let init: Vec<_> = spec.init_containers.iter().flatten().map(|one| one.name.as_str()).collect();
        ensure!(init == [containers, vec!["fetch"]].concat(), "{init:?}");
        let env = spec.containers[0].env.iter().flatten();
        let url = env.clone().find(|one| one.name == "AEGIS_TOOL_ERP_URL").and_then(|one| one.value.as_deref());
        ensure!(url == Some("http://127.0.0.1:15080/erp"), "{url:?}");
        ensure!(!env.clone().any(|one| one.name.contains("NOT_THERE")), "a tool that does not exist has an address");
        let credential = spec.volumes.iter().flatten().any(|volume| volume.name == "aegis-cred-erp");
        ensure!(credential == (level != Level::Sealed), "{agent}: credential {credential}");
        let version = stored.annotations().get(mesh::SIDECAR_VERSION).context("no version")?;
        ensure!(version == env!("CARGO_PKG_VERSION"), "{version}");
        ensure!(stored.annotations()[mesh::INJECTION_DIGEST].starts_with("sha256:"));

        // What was stored, made anew, is left as it is.
        let mut again = stored.clone();
        again.metadata = kube::core::ObjectMeta {
            name: Some(format!("{agent}-again")),
            labels: stored.metadata.labels.clone(),
            annotations: stored.metadata.annotations.clone(),
            ..Default::default()
        };
        again.status = None;
        let again = create(&namespace, &again).await?;
        ensure!(again.spec == stored.spec, "{agent}: injected twice");
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_shows_the_injected_pod_and_stores_nothing() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let (namespace, _) = pair(&scene.cluster, "dry-run").await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let pod = plain("buyer", "buyer", "buyer-account")?;
    let shown = eventually("the pod to be accepted", PATIENCE, async || Ok(pods.create(&dry_run, &pod).await?)).await?;
    mesh::inspect(&shown, namespace.name(), "buyer", Level::Captured, &settings())
        .map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
    ensure!(pods.get_opt("buyer").await?.is_none(), "it was stored");
    Ok(())
}

#[tokio::test]
async fn nobody_else_waits_for_the_webhook() -> Result<()> {
    let scene = scene().await?;
    let (namespace, twin) = pair(&scene.cluster, "counted").await?;
    create(&namespace, &plain("first", "reader", "reader-account")?).await?;
    // From here on nobody else asks.
    let _alone = scene.quiet.write().await;
    let asked = async || scene.webhook.metric("aegis_webhook_admissions_total{hook=\"inject\"").await;
    let before = asked().await?;

    let mut unlabelled = plain("unlabelled", "reader", "default")?;
    unlabelled.metadata.labels = None;
    let stored = create(&namespace, &unlabelled).await?;
    let spec = stored.spec.as_ref().context("spec")?;
    ensure!(spec.init_containers.is_none() && spec.containers[0].env.is_none(), "{spec:?}");
    ensure!(stored.metadata.annotations.is_none(), "{:?}", stored.metadata.annotations);
    let elsewhere = create(&twin, &plain("elsewhere", "reader", "reader-account")?).await?;
    ensure!(
        elsewhere.spec.as_ref().context("spec")?.init_containers.is_none(),
        "injected without the namespace's label"
    );
    ensure!(asked().await? <= before, "the webhook was asked about pods that are none of its business");

    // And the count does count.
    create(&namespace, &plain("second", "reader", "reader-account")?).await?;
    ensure!(asked().await? > before, "the webhook was not asked about an agent's pod");
    Ok(())
}

#[tokio::test]
async fn honest_pods_are_accepted_and_hostile_ones_refused_with_the_webhook_up() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let (namespace, twin) = pair(&scene.cluster, "tables").await?;
    let admin = scene.cluster.admin().await?;
    let ground = Ground::new(admin, namespace.name(), twin.name(), Injection::ByWebhook).await?;
    let (accepted, refused) = (honest(&ground).await?, hostile(&ground).await?);
    println!("honest: {accepted:?}, hostile: {refused:?}");
    ensure!(accepted.accepted >= 15, "{accepted:?}");
    ensure!(refused.refused + refused.mended >= 40, "{refused:?}");
    Ok(())
}
