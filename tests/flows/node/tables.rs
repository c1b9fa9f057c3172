//! The tables of honest and hostile pods against the webhook that the chart installs: up, and away.

use std::time::Duration;

use aegis_tests::cluster::{eventually, until_refused};
use aegis_tests::mesh::webhook::enable;
use aegis_tests::node::{CHART_NAMESPACE, Node, create, may_run, pod, wait_running};
use aegis_tests::pods::{Ground, Injection, honest, hostile, prepare};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;

use super::torn::torn;

const WITHIN: Duration = Duration::from_mins(2);
const WEBHOOK: &str = "deployment/aegis-webhook";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_are_judged_alike_with_the_webhook_up_and_away() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let node = &torn.node;
    // Alone also while the webhook is up: nothing is scheduled then.
    let _alone = torn.whole.write().await;
    let namespace = tried(node, Injection::ByWebhook).await?;
    system(node, &["scale", WEBHOOK, "--replicas=0"]).await?;
    let away = away(node, &namespace).await;
    system(node, &["scale", WEBHOOK, "--replicas=1"]).await?;
    system(node, &["rollout", "status", WEBHOOK, "--timeout=120s"]).await?;
    away?;
    let pods: Api<Pod> = Api::namespaced(node.cluster.admin().await?, &namespace);
    let meshed = meshed()?;
    eventually("an agent's pod to be injected again", WITHIN, async || {
        let stored = pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &meshed).await?;
        let first = stored.spec.and_then(|spec| spec.init_containers?.into_iter().next()).context("not injected")?;
        ensure!(first.name == "aegis-capture", "{}", first.name);
        Ok(())
    })
    .await
}

async fn system(node: &Node, arguments: &[&str]) -> Result<()> {
    node.kubectl(&[arguments, &["-n", CHART_NAMESPACE]].concat()).await.map(drop)
}

/// An agent's pod as people write it.
fn meshed() -> Result<Pod> {
    let mut meshed = pod("meshed", "buyer", &["idle"]);
    meshed["spec"]["serviceAccountName"] = json!("buyer-account");
    Ok(serde_json::from_value(meshed)?)
}

/// Tries both tables in a namespace of its own; returns its name. Meanwhile the node takes no pod: none of their images
/// exists.
async fn tried(node: &Node, injection: Injection) -> Result<String> {
    let name = node.cluster.ready().node.as_ref().context("this cluster has no node")?.name.clone();
    node.kubectl(&["cordon", &name]).await?;
    let tried = on_cordoned(node, injection).await;
    node.kubectl(&["uncordon", &name]).await?;
    tried
}

async fn on_cordoned(node: &Node, injection: Injection) -> Result<String> {
    let cluster = &node.cluster;
    let (namespace, twin) = (cluster.namespace("tables").await?, cluster.namespace("tables-twin").await?);
    let admin = cluster.admin().await?;
    prepare(&admin, namespace.name(), twin.name()).await?;
    if injection == Injection::ByWebhook {
        // Where it is down such a namespace takes no agent's pod at all, see `away`.
        enable(cluster, namespace.name()).await?;
    }
    let ground = Ground::new(admin, namespace.name(), twin.name(), injection).await?;
    let (accepted, refused) = (honest(&ground).await?, hostile(&ground).await?);
    println!("{injection:?}: honest {accepted:?}, hostile {refused:?}");
    ensure!(accepted.accepted >= 15, "{accepted:?}");
    ensure!(refused.refused + refused.mended >= 40, "{refused:?}");
    ensure!(refused.mended == 0 || injection == Injection::ByWebhook, "{refused:?}");
    Ok(namespace.name().to_owned())
}

/// Without the webhook: both tables again, then what starts and what does not in a namespace where pods are injected.
async fn away(node: &Node, namespace: &str) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(node.cluster.admin().await?, namespace);
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let meshed = meshed()?;
    let unreachable = "failed calling webhook \"inject.aegis.dev\"";
    until_refused("the webhook to be away", unreachable, WITHIN, async || pods.create(&dry_run, &meshed).await).await?;

    let mut naked = meshed.clone();
    naked.metadata.labels = None;
    match pods.create(&dry_run, &naked).await {
        Err(kube::Error::Api(status)) if status.message.contains("ValidatingAdmissionPolicy 'aegis-pods'") => {
            println!("without the webhook, an agent's pod without a sidecar: {}", status.message);
        }
        other => bail!("a pod of an agent's account without a sidecar: {other:?}"),
    }
    for home in [namespace, "default"] {
        let mut plain = pod("plain", "nobody", &["idle"]);
        plain["metadata"]["labels"] = json!({});
        plain["spec"]["serviceAccountName"] = json!("default");
        create(node, home, plain).await?;
        wait_running(node, home, "plain", WITHIN).await?;
    }
    tried(node, Injection::ByHand).await.map(drop)
}
