//! What only the operator writes: proofs in pod conditions, and what pods must look like.

use aegis_crds::api::Agent;
use aegis_crds::mesh::POD_VERIFIED;
use aegis_decision::egress::Level;
use aegis_tests::cluster::eventually;
use aegis_tests::install::{impersonate, shared};
use aegis_tests::mesh::pods::{injected, plain};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Binding, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::super::guards::scene::{PATIENCE, refused};
use super::{ground, operator};

const OF_AN_AGENT: &str = "status.mesh, status.pods and status.conditions of an Agent are written by Aegis only";
const WRITTEN_BY_AEGIS: &str = "conditions of a pod whose type begins with aegis.dev/ are written by Aegis only";

fn condition(status: &str) -> Value {
    json!({"status": {"conditions": [{"type": POD_VERIFIED, "status": status, "reason": "Tried", "message": "by a test"}]}})
}

fn verified(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == POD_VERIFIED)
}

#[tokio::test]
async fn only_the_operator_says_what_a_probe_found() -> Result<()> {
    let cluster = shared().await?;
    let (_ground, namespace) = ground(cluster, "proofs").await?;
    let admin: Api<Pod> = namespace.api("admin").await?;
    let control: Api<Pod> = Api::namespaced(operator(cluster).await?, namespace.name());
    let as_node = impersonate(cluster, "system:node:node-1", &["system:nodes", "system:masters"]).await?;
    let node: Api<Pod> = Api::namespaced(as_node, namespace.name());
    let mut pod = injected(plain("proven", "buyer", "buyer-account")?, namespace.name(), "buyer", Level::Captured)?;
    pod.spec.as_mut().context("spec")?.node_name = Some("node-1".to_owned());
    admin.create(&PostParams::default(), &pod).await?;
    let write = async |pods: &Api<Pod>, status: Value| {
        pods.patch_status("proven", &PatchParams::default(), &Patch::Strategic(status)).await
    };

    eventually("the guard", PATIENCE, async || {
        refused("admin", write(&admin, condition("True")).await, WRITTEN_BY_AEGIS)
    })
    .await?;
    refused("node", write(&node, condition("True")).await, WRITTEN_BY_AEGIS)?;
    write(&control, condition("False")).await?;
    refused("change", write(&admin, condition("True")).await, WRITTEN_BY_AEGIS)?;
    let mut without = admin.get("proven").await?;
    without.status.as_mut().context("status")?.conditions = None;
    refused("removal", admin.replace_status("proven", &PostParams::default(), &without).await, WRITTEN_BY_AEGIS)?;

    // A node sends its own conditions, and the order of all.
    let order = json!(["PodScheduled", "Initialized", "Ready", POD_VERIFIED].map(|name| json!({"type": name})));
    let running = json!({"status": {
        "phase": "Running", "podIP": "192.0.2.7", "$setElementOrder/conditions": order,
        "conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}],
    }});
    let seen = write(&node, running).await?;
    ensure!(verified(&seen).is_some_and(|condition| condition.status == "False"), "{:?}", seen.status);
    let seen = write(&control, condition("True")).await?;
    ensure!(verified(&seen).is_some_and(|condition| condition.status == "True"), "{:?}", seen.status);
    // Whole, as other programs write it.
    admin.replace_status("proven", &PostParams::default(), &seen).await?;
    Ok(())
}

#[tokio::test]
async fn only_the_operator_says_what_pods_must_look_like() -> Result<()> {
    let cluster = shared().await?;
    let (_ground, namespace) = ground(cluster, "mesh").await?;
    let admin: Api<Agent> = namespace.api("admin").await?;
    for (what, mesh) in [
        ("another image", json!({"proxyImages": ["evil.example/aegis-proxy:0.1.0"]})),
        ("another level", json!({"level": "Mediated"})),
        ("nothing", Value::Null),
    ] {
        let change = Patch::Merge(json!({"status": {"mesh": mesh}}));
        let answer = admin.patch_status("buyer", &PatchParams::default(), &change).await;
        refused(what, answer, OF_AN_AGENT)?;
    }
    let first = Patch::Merge(json!({"status": {"mesh": {
        "level": "Mediated", "control": "https://control.evil.example",
        "proxyImages": ["evil:1"], "captureImages": ["evil:1"], "probeImages": ["evil:1"],
    }}}));
    let answer = admin.patch_status("starter", &PatchParams::default(), &first).await;
    refused("the first", answer, OF_AN_AGENT)?;
    // The rest of the status is a matter of rights.
    let other = Patch::Merge(json!({"status": {"observedGeneration": 1}}));
    admin.patch_status("buyer", &PatchParams::default(), &other).await?;
    Ok(())
}

#[tokio::test]
async fn only_the_operator_says_what_holds_for_an_agent() -> Result<()> {
    let cluster = shared().await?;
    let (_ground, namespace) = ground(cluster, "standing").await?;
    let admin: Api<Agent> = namespace.api("admin").await?;
    let control: Api<Agent> = Api::namespaced(operator(cluster).await?, namespace.name());
    let write = async |agents: &Api<Agent>, status: Value| {
        agents.patch_status("buyer", &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await
    };
    let conditions = |status: &str| {
        let condition = json!({"type": "EnforcementVerified", "status": status, "reason": "Captured", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"});
        json!({"conditions": [condition]})
    };
    let pods = |verified: u32| json!({"pods": {"matched": 3, "injected": 3, "current": 3, "verified": verified}});

    refused("a first condition", write(&admin, conditions("True")).await, OF_AN_AGENT)?;
    refused("a first count", write(&admin, pods(3)).await, OF_AN_AGENT)?;
    write(&control, conditions("False")).await?;
    write(&control, pods(0)).await?;
    for (what, change) in [
        ("a condition", conditions("True")),
        ("no condition", json!({"conditions": null})),
        ("a count", pods(3)),
        ("no count", json!({"pods": null})),
    ] {
        refused(what, write(&admin, change).await, OF_AN_AGENT)?;
    }
    let mut whole = admin.get("buyer").await?;
    whole.status = None;
    refused("nothing", admin.replace_status("buyer", &PostParams::default(), &whole).await, OF_AN_AGENT)?;
    // What is not said of pods is a matter of rights; conditions and counts may be sent along.
    let mut seen = admin.get("buyer").await?;
    seen.status.as_mut().context("status")?.observed_generation = Some(1);
    admin.replace_status("buyer", &PostParams::default(), &seen).await?;
    Ok(())
}

#[tokio::test]
async fn a_binding_brings_no_label_of_ours() -> Result<()> {
    let (_ground, namespace) = ground(shared().await?, "bound").await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let pod = injected(plain("bound", "buyer", "buyer-account")?, namespace.name(), "buyer", Level::Captured)?;
    pods.create(&PostParams::default(), &pod).await?;
    let bind = async |labels: Value| -> Result<Result<Status, kube::Error>> {
        let binding: Binding = serde_json::from_value(json!({
            "metadata": {"name": "bound", "labels": labels}, "target": {"kind": "Node", "name": "node-1"},
        }))?;
        Ok(pods.create_subresource("binding", "bound", &PostParams::default(), &binding).await)
    };
    for labels in [json!({"aegis.dev/agent": "reader"}), json!({"aegis.dev/component": "gateway"})] {
        refused("a label", bind(labels).await?, "a Binding sets no label that begins with aegis.dev/")?;
    }
    bind(json!({"topology.kubernetes.io/zone": "one"})).await??;
    ensure!(pods.get("bound").await?.spec.and_then(|spec| spec.node_name).as_deref() == Some("node-1"));
    Ok(())
}
