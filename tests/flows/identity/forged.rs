//! The exchange, with every proof forged in turn. Each is refused for its own reason, and the honest one is not.

use std::time::Duration;

use aegis_tests::cluster::{BoundPod, TestNamespace, TokenFor, eventually};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Map, Value, json};

use super::wire::{Form, Wire};
use crate::shop::{BUYER, PATIENCE, Plan, Shop, agent, in_shop, review};

/// The API server's word against a token.
const NOT_ACCEPTED: &str = "the API server does not accept the token for audience aegis";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_forged_proof_is_refused_for_its_reason() -> Result<()> {
    in_shop("forged", Plan::default(), async |shop| {
        others(shop).await?;
        let wire = wire(shop)?;
        let namespace = shop.namespace;
        let buyer = format!("{}/{BUYER}", namespace.name());
        let honest = pod_token(namespace, BUYER, Some(BUYER), "aegis").await?;
        wire.token(&buyer, &honest.token).await.context("the honest exchange")?;

        let other_account = pod_token(namespace, "stranger", Some(BUYER), "aegis").await?;
        refused(&wire, wire.form(&buyer, &other_account.token), "not the one that the Agent names and holds").await?;
        let unlabelled = pod_token(namespace, BUYER, None, "aegis").await?;
        refused(&wire, wire.form(&buyer, &unlabelled.token), "label aegis.dev/agent does not name the agent").await?;
        let others_pod = pod_token(namespace, "seller", Some("seller"), "aegis").await?;
        refused(&wire, wire.form(&buyer, &others_pod.token), "label aegis.dev/agent does not name the agent").await?;
        let usurper = format!("{}/usurper", namespace.name());
        let usurping = pod_token(namespace, BUYER, Some("usurper"), "aegis").await?;
        refused(&wire, wire.form(&usurper, &usurping.token), "not the one that the Agent names and holds").await?;
        let elsewhere = format!("default/{BUYER}");
        refused(&wire, wire.form(&elsewhere, &honest.token), "another namespace than the agent").await?;

        let other_audience = pod_token(namespace, BUYER, Some(BUYER), "somebody-else").await?;
        refused(&wire, wire.form(&buyer, &other_audience.token), NOT_ACCEPTED).await?;
        let gone = pod_token(namespace, BUYER, Some(BUYER), "aegis").await?;
        delete(namespace, &gone.pod).await?;
        refused(&wire, wire.form(&buyer, &gone.token), "").await?;
        for change in [json!({"exp": 1_000_000_000}), json!({"exp": 9_000_000_000_u64}), json!({"aud": ["aegis", "x"]})]
        {
            let forged = rewritten(&honest.token, &change)?;
            refused(&wire, wire.form(&buyer, &forged), NOT_ACCEPTED).await.with_context(|| change.to_string())?;
        }
        let unbound = TokenFor {
            namespace: namespace.name(),
            name: BUYER,
            audiences: &["aegis"],
            pod: None,
            life: Duration::from_mins(10),
        };
        let unbound = shop.cluster().service_account_token(&unbound).await?;
        refused(&wire, wire.form(&buyer, &unbound), "not a service account token bound to a pod").await?;

        let unproven = "record_key_proof does not show possession of record_key on this connection";
        let thief = self::wire(shop)?;
        let form = Form { record_key_proof: wire.proof_by(&thief), ..wire.form(&buyer, &honest.token) };
        refused(&wire, form, unproven).await.context("proof by another record key")?;
        let form = wire.form(&buyer, &honest.token);
        refused(&thief, form, unproven).await.context("proof for another connection")?;

        malformed(&wire, Form { grant_type: "password", ..wire.form(&buyer, &honest.token) }).await?;
        malformed(&wire, wire.form("buyer", &honest.token)).await?;
        malformed(&wire, Form { record_key: "AAAA".to_owned(), ..wire.form(&buyer, &honest.token) }).await?;
        let counted = shop.operator_metric("aegis_operator_tokens_total{result=\"invalid_grant\"}").await?;
        ensure!(counted >= 13.0, "{counted} refusals were counted");
        wire.token(&buyer, &honest.token).await.context("the honest exchange, after all of them")?;
        Ok(())
    })
    .await
}

/// Another agent with an account of its own, one that names the buyer's account, and an account of no agent.
async fn others(shop: &Shop<'_>) -> Result<()> {
    let accounts = "apiVersion: v1
kind: ServiceAccount
metadata: {name: seller}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: stranger}
";
    shop.namespace.apply("admin", accounts, "flows").await?;
    for (name, account) in [("seller", "seller"), ("usurper", BUYER)] {
        shop.namespace.apply("admin", agent(name, account, &Plan::default()).as_str(), "flows").await?;
    }
    review(shop.namespace, "seller").await?;
    let agents: Api<aegis_crds::api::Agent> = shop.namespace.api("admin").await?;
    eventually("the operator to see the usurper", PATIENCE, async || {
        let conditions = agents.get("usurper").await?.status.unwrap_or_default().conditions;
        let bound = conditions.iter().find(|condition| condition.type_ == "WorkloadBound").context("not seen yet")?;
        ensure!(bound.reason == "ServiceAccountTaken", "{}", bound.reason);
        Ok(())
    })
    .await
}

/// A client with keys of its own, which trusts what the shop's sidecar trusts.
pub fn wire(shop: &Shop<'_>) -> Result<Wire> {
    Wire::new(shop.operator()?.control(), &shop.folder().join(BUYER).join("trust"))
}

/// A pod, and the token bound to it.
pub struct PodToken {
    pub pod: String,
    pub token: String,
}

pub async fn pod_token(
    namespace: &TestNamespace<'_>,
    account: &str,
    label: Option<&str>,
    audience: &str,
) -> Result<PodToken> {
    let labels = label.map(|agent| json!({"aegis.dev/agent": agent})).unwrap_or_default();
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": format!("pod-{:08x}", rand::random::<u32>()), "labels": labels},
        "spec": {"serviceAccountName": account, "containers": [{"name": "agent", "image": "registry.example/agent:1"}]},
    }))?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let pod = eventually("the service account to be seen", PATIENCE, async || {
        Ok(pods.create(&PostParams::default(), &pod).await?)
    })
    .await?;
    let (name, uid) = (pod.name_any(), pod.uid());
    let wanted = TokenFor {
        namespace: namespace.name(),
        name: account,
        audiences: &[audience],
        pod: Some(BoundPod { name: &name, uid: uid.as_deref() }),
        life: Duration::from_mins(10),
    };
    Ok(PodToken { token: namespace.cluster().service_account_token(&wanted).await?, pod: name })
}

/// Deletes a pod and waits until it is gone.
async fn delete(namespace: &TestNamespace<'_>, name: &str) -> Result<()> {
    let pods: Api<Pod> = namespace.api("admin").await?;
    pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
    eventually("the pod to be gone", PATIENCE, async || {
        ensure!(pods.get_opt(name).await?.is_none(), "still there");
        Ok(())
    })
    .await
}

/// The token with other claims and the signature that it had.
fn rewritten(token: &str, change: &Value) -> Result<String> {
    let (header, rest) = token.split_once('.').context("no JWS")?;
    let (claims, signature) = rest.split_once('.').context("no JWS")?;
    let mut claims: Map<String, Value> = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
    for (name, value) in change.as_object().context("no object")? {
        claims.insert(name.clone(), value.clone());
    }
    Ok(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(Value::Object(claims).to_string())))
}

async fn refused(wire: &Wire, form: Form, why: &str) -> Result<()> {
    let (status, answer) = wire.exchange(&form).await?;
    let text = |name| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(
        status == StatusCode::FORBIDDEN
            && text("error") == "invalid_grant"
            && text("error_description").contains(why)
            && answer.get("access_token").is_none(),
        "wanted a refusal for {why:?}, got {status} {answer}"
    );
    Ok(())
}

async fn malformed(wire: &Wire, form: Form) -> Result<()> {
    let (status, answer) = wire.exchange(&form).await?;
    let error = answer.get("error").and_then(Value::as_str);
    ensure!(status == StatusCode::BAD_REQUEST && error == Some("invalid_request"), "{status} {answer}");
    Ok(())
}
