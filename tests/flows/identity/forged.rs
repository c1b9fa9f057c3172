//! The exchange, with every proof forged in turn. Each is refused for its own reason, and the honest one is not.

use std::time::Duration;

use aegis_decision::egress::Level;
use aegis_tests::cluster::{BoundPod, TestNamespace, TokenFor, eventually};
use aegis_tests::mesh::pods;
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

/// The agent whose token everybody wants.
const CLERK: &str = "clerk";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_forged_proof_is_refused_for_its_reason() -> Result<()> {
    Box::pin(in_shop("forged", Plan::default(), async |shop| {
        let namespace = shop.namespace;
        accounts(namespace, &[CLERK, "seller", "stranger"]).await?;
        // The pod guard refuses these. The control service must not rest on that: they were there before their Agents.
        let other_account = pod_token(namespace, "stranger", Some(CLERK), "aegis").await?;
        let unlabelled = pod_token(namespace, CLERK, None, "aegis").await?;
        let usurping = pod_token(namespace, CLERK, Some("usurper"), "aegis").await?;
        others(shop).await?;
        let wire = wire(shop)?;
        let clerk = format!("{}/{CLERK}", namespace.name());
        let honest = pod_token(namespace, CLERK, Some(CLERK), "aegis").await?;
        let other_audience = pod_token(namespace, CLERK, Some(CLERK), "somebody-else").await?;
        let gone = pod_token(namespace, CLERK, Some(CLERK), "aegis").await?;
        usurp(shop).await?;
        wire.token(&clerk, &honest.token).await.context("the honest exchange")?;

        refused(&wire, wire.form(&clerk, &other_account.token), "not the one that the Agent names and holds").await?;
        refused(&wire, wire.form(&clerk, &unlabelled.token), "label aegis.dev/agent does not name the agent").await?;
        let others_pod = pod_token(namespace, "seller", Some("seller"), "aegis").await?;
        refused(&wire, wire.form(&clerk, &others_pod.token), "label aegis.dev/agent does not name the agent").await?;
        let usurper = format!("{}/usurper", namespace.name());
        refused(&wire, wire.form(&usurper, &usurping.token), "not the one that the Agent names and holds").await?;
        let elsewhere = format!("default/{CLERK}");
        refused(&wire, wire.form(&elsewhere, &honest.token), "another namespace than the agent").await?;

        refused(&wire, wire.form(&clerk, &other_audience.token), NOT_ACCEPTED).await?;
        delete(namespace, &gone.pod).await?;
        refused(&wire, wire.form(&clerk, &gone.token), "").await?;
        for change in [json!({"exp": 1_000_000_000}), json!({"exp": 9_000_000_000_u64}), json!({"aud": ["aegis", "x"]})]
        {
            let forged = rewritten(&honest.token, &change)?;
            refused(&wire, wire.form(&clerk, &forged), NOT_ACCEPTED).await.with_context(|| change.to_string())?;
        }
        let unbound = TokenFor {
            namespace: namespace.name(),
            name: CLERK,
            audiences: &["aegis"],
            pod: None,
            life: Duration::from_mins(10),
        };
        let unbound = shop.cluster().service_account_token(&unbound).await?;
        refused(&wire, wire.form(&clerk, &unbound), "not a service account token bound to a pod").await?;

        let unproven = "record_key_proof does not show possession of record_key on this connection";
        let thief = self::wire(shop)?;
        let form = Form { record_key_proof: wire.proof_by(&thief), ..wire.form(&clerk, &honest.token) };
        refused(&wire, form, unproven).await.context("proof by another record key")?;
        let form = wire.form(&clerk, &honest.token);
        refused(&thief, form, unproven).await.context("proof for another connection")?;

        malformed(&wire, Form { grant_type: "password", ..wire.form(&clerk, &honest.token) }).await?;
        malformed(&wire, wire.form("clerk", &honest.token)).await?;
        malformed(&wire, Form { record_key: "AAAA".to_owned(), ..wire.form(&clerk, &honest.token) }).await?;
        let counted = shop.operator_metric("aegis_operator_tokens_total{result=\"invalid_grant\"}").await?;
        ensure!(counted >= 13.0, "{counted} refusals were counted");
        wire.token(&clerk, &honest.token).await.context("the honest exchange, after all of them")?;
        Ok(())
    }))
    .await
}

/// Service accounts.
pub async fn accounts(namespace: &TestNamespace<'_>, names: &[&str]) -> Result<()> {
    for name in names {
        let account = format!("apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: {name}}}\n");
        namespace.apply("admin", account.as_str(), "flows").await?;
    }
    Ok(())
}

/// The clerk, and another agent with an account of its own.
async fn others(shop: &Shop<'_>) -> Result<()> {
    for (name, account) in [(CLERK, CLERK), ("seller", "seller")] {
        shop.namespace.apply("admin", agent(name, account, &Plan::default()).as_str(), "flows").await?;
        review(shop.namespace, name).await?;
    }
    Ok(())
}

/// An agent that names the clerk's account, younger by what objects tell of their age: whole seconds.
async fn usurp(shop: &Shop<'_>) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    shop.namespace.apply("admin", agent("usurper", CLERK, &Plan::default()).as_str(), "flows").await?;
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
    let agent = label.unwrap_or(BUYER);
    let mut pod = pods::plain(&format!("pod-{:08x}", rand::random::<u32>()), agent, account)?;
    if label.is_none() {
        pod.metadata.labels = None;
    }
    token_of(namespace, pods::injected(pod, namespace.name(), agent, Level::Mediated)?, audience).await
}

/// Creates a pod, and gives the token bound to it.
pub async fn token_of(namespace: &TestNamespace<'_>, pod: Pod, audience: &str) -> Result<PodToken> {
    let account = pod.spec.as_ref().and_then(|spec| spec.service_account_name.clone()).context("no account")?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let pod = eventually("the service account to be seen", PATIENCE, async || {
        Ok(pods.create(&PostParams::default(), &pod).await?)
    })
    .await?;
    let (name, uid) = (pod.name_any(), pod.uid());
    let wanted = TokenFor {
        namespace: namespace.name(),
        name: &account,
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
