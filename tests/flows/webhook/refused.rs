//! What people read when an agent's pod is refused.

use aegis_tests::mesh::pods::plain;
use anyhow::{Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use super::scene::{pair, scene};

#[tokio::test]
async fn a_refusal_names_what_has_to_be_changed() -> Result<()> {
    let scene = scene().await?;
    let _asked = scene.quiet.read().await;
    let (namespace, _) = pair(&scene.cluster, "refused").await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let in_spec = |agent: &str, spec: Value| -> Result<Pod> {
        let mut pod = serde_json::to_value(plain("refused", agent, &format!("{agent}-account"))?)?;
        merge(&mut pod, &json!({"spec": spec}));
        Ok(serde_json::from_value(pod)?)
    };
    let agent = |name: &str| json!({"name": "agent", "image": "registry.example/agent:1", name: Value::Null});
    let container = |name: &str, value: Value| {
        let mut container = agent(name);
        container[name] = value;
        json!({"containers": [container]})
    };
    let mut drop_box = container("securityContext", json!({"runAsUser": 1000}));
    drop_box["volumes"] = json!([{"name": "drop", "nfs": {"server": "192.0.2.1", "path": "/"}}]);
    let mut opted_out = plain("refused", "reader", "reader-account")?;
    opted_out.metadata.labels.get_or_insert_default().insert("aegis.dev/inject".into(), "disabled".into());
    for (what, pod, message) in vec![
        (
            "an agent that does not exist",
            plain("refused", "ghost", "reader-account")?,
            format!("names Agent ghost, which does not exist in namespace {}", namespace.name()),
        ),
        (
            "another service account",
            plain("refused", "reader", "buyer-account")?,
            "spec.serviceAccountName is buyer-account, but Agent reader runs under reader-account".to_owned(),
        ),
        ("opting out", opted_out, "an agent's pod cannot opt out: label aegis.dev/inject is disabled".to_owned()),
        (
            "the node's network",
            in_spec("reader", json!({"hostNetwork": true}))?,
            "spec.hostNetwork must not be true".to_owned(),
        ),
        (
            "one process namespace",
            in_spec("buyer", json!({"shareProcessNamespace": true}))?,
            "spec.shareProcessNamespace must not be true".to_owned(),
        ),
        (
            "one process namespace of a Mediated agent",
            in_spec("reader", json!({"shareProcessNamespace": true}))?,
            "spec.shareProcessNamespace must not be true".to_owned(),
        ),
        (
            "a volume of another machine",
            in_spec("buyer", drop_box)?,
            "volume drop: only configMap, csi, downwardAPI, emptyDir, ephemeral, image, persistentVolumeClaim, projected and"
                .to_owned(),
        ),
        (
            "no user",
            in_spec("buyer", container("securityContext", json!({})))?,
            "container agent: set securityContext.runAsUser".to_owned(),
        ),
        (
            "a user of the sidecars",
            in_spec("reader", container("securityContext", json!({"runAsUser": 30_001})))?,
            "container agent: runAsUser is one of the sidecars' (30000 to 59999)".to_owned(),
        ),
        (
            "a port of the sidecar",
            in_spec("reader", container("ports", json!([{"containerPort": 15_080}])))?,
            "container agent: port 15080 belongs to the sidecar".to_owned(),
        ),
        (
            "a volume of ours",
            in_spec("reader", json!({"volumes": [{"name": "aegis-trust", "emptyDir": {}}]}))?,
            "volume aegis-trust: names that begin with aegis- belong to Aegis".to_owned(),
        ),
    ] {
        match pods.create(&dry_run, &pod).await {
            Err(kube::Error::Api(status)) => {
                let denied = "admission webhook \"inject.aegis.dev\" denied the request: ";
                ensure!(status.message.contains(denied) && status.message.contains(&message), "{what}: {status:?}");
                ensure!(status.code == 403 && status.reason == "Forbidden", "{what}: {status:?}");
            }
            other => bail!("{what}: {other:?}"),
        }
    }
    Ok(())
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => from.clone_into(into),
    }
}
