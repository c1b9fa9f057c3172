//! Containers that admission keeps out: refused while the guard stands, named when they came in without it.

use std::time::Duration;

use aegis_tests::cluster::{eventually, until_refused};
use aegis_tests::node::{BenchSpec, Node, PodAgent, create, image, may_run, pod, wait_running};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::rules::without_second_layer;
use super::status::{check, failed, of_agent, of_pod};
use super::torn::torn;

const NAMESPACE: &str = "foreign";
const GUARD: &str = "aegis-pods";
const WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_that_came_past_admission_is_named() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let _cable = torn.cable.lock().await;
    let node = &torn.node;
    let admin = node.cluster.admin().await?;
    let pods: Api<Pod> = Api::namespaced(admin.clone(), NAMESPACE);
    let (_, agent) = torn
        .bench(&BenchSpec::new(NAMESPACE, "Captured", 18_102), async |bench| {
            let agent = bench.agent("agent").await?;
            refused(node, &pods, &agent).await?;
            Ok(agent)
        })
        .await?;

    let _alone = torn.whole.write().await;
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(admin);
    let mut binding = bindings.get(GUARD).await?;
    bindings.delete(GUARD, &DeleteParams::default()).await?;
    let named = named(node, &pods, &agent).await;
    let ObjectMeta { name, labels, annotations, .. } = binding.metadata;
    binding.metadata = ObjectMeta { name, labels, annotations, ..ObjectMeta::default() };
    bindings.create(&PostParams::default(), &binding).await.context("the guard must come back")?;
    named?;
    node.kubectl(&["delete", "pod", "agent", "naked", "-n", NAMESPACE, "--now"]).await?;
    until_refused("the guard to be back", GUARD, WITHIN, async || {
        pods.create(&PostParams { dry_run: true, ..PostParams::default() }, &naked()?).await
    })
    .await
    .map(drop)
}

/// A pod under the agent's account that does not call itself the agent's, so that nobody injects it.
fn naked() -> Result<Pod, kube::Error> {
    let mut naked = pod("naked", "buyer", &["idle"]);
    naked["metadata"]["labels"] = json!({});
    serde_json::from_value(naked).map_err(kube::Error::SerdeError)
}

/// A container with the rights to change the rules, which lets a port through.
async fn opener(node: &Node, agent: &PodAgent) -> Result<Value> {
    let wire = without_second_layer(node, agent.pod()).await?;
    let script = format!("insert rule inet aegis leave udp dport 443 accept; {wire}");
    Ok(json!({"spec": {"ephemeralContainers": [{
        "name": "opener", "image": image("aegis-capture"), "imagePullPolicy": "IfNotPresent",
        "command": ["/usr/sbin/nft", script.trim()],
        "securityContext": {"runAsUser": 0, "runAsNonRoot": false,
            "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}},
    }]}}))
}

async fn add(pods: &Api<Pod>, opener: &Value) -> Result<(), kube::Error> {
    pods.patch_ephemeral_containers("agent", &PatchParams::default(), &Patch::Strategic(opener)).await.map(drop)
}

/// With the guard in place nothing of it is possible.
async fn refused(node: &Node, pods: &Api<Pod>, agent: &PodAgent) -> Result<()> {
    let stored = agent.pod();
    let mut replaced = Pod {
        metadata: ObjectMeta {
            name: Some("replaced".to_owned()),
            labels: stored.metadata.labels.clone(),
            ..ObjectMeta::default()
        },
        spec: stored.spec.clone(),
        status: None,
    };
    let spec = replaced.spec.as_mut().context("spec")?;
    spec.node_name = None;
    let capture = spec.init_containers.as_mut().and_then(|all| all.first_mut()).context("no init container")?;
    ensure!(capture.name == "aegis-capture", "first is {}", capture.name);
    capture.image = Some(image("aegis-testkit"));
    capture.args = Some(vec!["sleep".to_owned(), "0".to_owned()]);
    let opener = opener(node, agent).await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    for (what, answer) in [
        ("another program in place of aegis-capture", pods.create(&dry_run, &replaced).await.map(drop)),
        ("an ephemeral container with NET_ADMIN", add(pods, &opener).await),
        ("a pod of the account without a sidecar", pods.create(&dry_run, &naked()?).await.map(drop)),
    ] {
        match answer {
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) => {
                println!("{what}: {}", status.message);
            }
            other => bail!("{what}: {other:?}"),
        }
    }
    Ok(())
}

/// Without it they come in, and are named.
async fn named(node: &Node, pods: &Api<Pod>, agent: &PodAgent) -> Result<()> {
    let opener = opener(node, agent).await?;
    eventually("nobody to refuse the container", WITHIN, async || Ok(add(pods, &opener).await?)).await?;
    create(node, NAMESPACE, serde_json::to_value(naked()?)?).await?;
    wait_running(node, NAMESPACE, "naked", WITHIN).await?;
    eventually("the container to have ended", WITHIN, async || {
        let pod = pods.get("agent").await?;
        let mut states = pod.status.iter().flat_map(|status| status.ephemeral_container_statuses.iter().flatten());
        let ended = states.find_map(|one| one.state.as_ref()?.terminated.as_ref()).context("it runs")?;
        ensure!(ended.exit_code == 0, "{ended:?}");
        Ok(())
    })
    .await?;

    check(node, NAMESPACE, &["--probe"]).await?;
    let message = eventually("the pod's condition to name what got out", WITHIN, async || {
        let condition = of_pod(node, NAMESPACE, &agent.pod().name_any()).await?;
        ensure!(condition["status"] == "False" && condition["reason"] == "GotOut", "{condition}");
        condition["message"].as_str().map(str::to_owned).context("no message")
    })
    .await?;
    ensure!(message.contains("BYP-4 udp 192.0.2.1:443"), "{message}");
    let told = eventually("the Agent's condition to name the pods", WITHIN, async || {
        let condition = of_agent(node, NAMESPACE).await?;
        ensure!(condition["status"] == "False" && condition["reason"] == "Ungoverned", "{condition}");
        let message = condition["message"].as_str().context("no message")?;
        ensure!(message.contains("agent, naked") && message.contains("BYP-4"), "{message}");
        Ok(message.to_owned())
    })
    .await?;
    println!("a foreign container: {told}");
    let (code, report) = check(node, NAMESPACE, &[]).await?;
    ensure!(code == Some(1), "aegis check exits with {code:?}: {report:#}");
    ensure!(failed(&report, "guards")?.contains(GUARD), "{report:#}");
    let ungoverned = failed(&report, "governed-pods")?;
    ensure!(ungoverned.contains("foreign/agent") && ungoverned.contains("foreign/naked"), "{ungoverned}");
    Ok(())
}
