//! No proof, no token: a captured pod gets one only with a fresh statement that nothing got out, and what a probe finds
//! stands on the pod and on its Agent.

use std::time::Duration;

use aegis_crds::api::Agent;
use aegis_decision::digest::Digest;
use aegis_decision::egress::Level;
use aegis_decision::probe::ProbeStatement;
use aegis_decision::token::PodName;
use aegis_tests::cluster::eventually;
use aegis_tests::mesh::pods;
use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::forged::{accounts, token_of, wire};
use super::wire::{Form, Wire};
use crate::shop::{PATIENCE, Plan, Shop, agent, in_shop, review};

const VAULT: &str = "vault";
const VERIFIED: &str = "aegis.dev/EnforcementVerified";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_pod_gets_a_token_only_with_a_fresh_proof_and_what_got_out_is_named() -> Result<()> {
    in_shop("proven", Plan::default(), async |shop| {
        let namespace = shop.namespace;
        accounts(namespace, &[VAULT]).await?;
        let manifest =
            agent(VAULT, VAULT, &Plan::default()).replace("enforcement: {", "enforcement: {level: Captured, ");
        namespace.apply("admin", manifest.as_str(), "flows").await?;
        review(namespace, VAULT).await?;
        until(shop, "NoPods", "").await?;

        let wire = wire(shop)?;
        let plain = pods::plain("vault-1", VAULT, VAULT)?;
        let pod = pods::injected(plain, namespace.name(), VAULT, Level::Captured)?;
        let token = token_of(namespace, pod, "aegis").await?.token;
        let form = |statement: Option<String>| Form {
            probe: statement,
            ..wire.form(&format!("{}/vault", namespace.name()), &token)
        };
        let now = Timestamp::now();
        let good = statement(now);

        unproven(&wire, form(None), "no statement").await?;
        unproven(&wire, form(Some(super::forged::wire(shop)?.state(&good)?)), "not signed").await?;
        let other = PodName { name: "vault-2".to_owned(), uid: "u".to_owned() };
        for (wrong, why) in [
            (ProbeStatement { pod: Some(other), ..good.clone() }, "another pod"),
            (ProbeStatement { level: Level::Mediated, ..good.clone() }, "another level"),
            (ProbeStatement { at: now - SignedDuration::from_mins(3), ..good.clone() }, "too old"),
            (ProbeStatement { at: now + SignedDuration::from_mins(3), ..good.clone() }, "ahead"),
            (ProbeStatement { blocked: 0, ..good.clone() }, "tried nothing"),
        ] {
            unproven(&wire, form(Some(wire.state(&wrong)?)), why).await.context(why)?;
        }
        ensure!(condition(shop).await?.is_none(), "a statement that does not count was written down");

        let out = ProbeStatement { got_out: vec!["BYP-2 tcp [2001:db8::1]:443".to_owned()], ..good.clone() };
        unproven(&wire, form(Some(wire.state(&out)?)), "got out").await?;
        let broken = condition(shop).await?.context("what got out was not written down")?;
        ensure!((broken.status.as_str(), broken.reason.as_deref()) == ("False", Some("GotOut")), "{broken:?}");
        until(shop, "GotOut", "vault-1: got out: BYP-2 tcp [2001:db8::1]:443").await?;

        let later = statement(Timestamp::now() + SignedDuration::from_secs(1));
        let (status, answer) = wire.exchange(&form(Some(wire.state(&later)?))).await?;
        ensure!(status == StatusCode::OK, "the proven exchange: {status} {answer}");
        let held = condition(shop).await?.context("the proof was not written down")?;
        ensure!((held.status.as_str(), held.reason.as_deref()) == ("True", Some("Captured")), "{held:?}");
        until(shop, "Captured", "").await?;

        // A later run is reported at once, and flips both conditions.
        let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned).context("no such member");
        let (bearer, attestation) = (text("access_token")?, text("attestation")?);
        let uid = stored(shop).await?.uid().context("no uid")?;
        let named = ProbeStatement {
            pod: Some(PodName { name: "vault-1".to_owned(), uid }),
            at: Timestamp::now() + SignedDuration::from_secs(5),
            got_out: vec!["BYP-6 icmp 203.0.113.20".to_owned()],
            ..good
        };
        let report = async |statement: &ProbeStatement| {
            let body = json!({"statement": wire.state(statement)?, "attestation": attestation});
            wire.post("/v1/probe", &bearer, &body).await
        };
        let (status, answer) = report(&ProbeStatement { pod: None, ..named.clone() }).await?;
        ensure!(status == StatusCode::FORBIDDEN, "a report about no pod: {status} {answer}");
        let (status, answer) = report(&named).await?;
        ensure!(status == StatusCode::NO_CONTENT, "{status} {answer}");
        until(shop, "GotOut", "vault-1: got out: BYP-6 icmp 203.0.113.20").await?;
        let held = ProbeStatement { got_out: Vec::new(), at: named.at + SignedDuration::from_secs(5), ..named.clone() };
        report(&held).await?;
        until(shop, "Captured", "").await?;
        // An older one, however late it arrives, changes nothing.
        report(&named).await?;
        ensure!(condition(shop).await?.is_some_and(|condition| condition.status == "True"), "went back");

        let counted = shop.operator_metric("aegis_operator_tokens_total{result=\"capture_not_proven\"}").await?;
        ensure!(counted >= 8.0, "{counted} refusals were counted");
        Ok(())
    })
    .await
}

fn statement(at: Timestamp) -> ProbeStatement {
    ProbeStatement {
        pod: None,
        agent: None,
        level: Level::Captured,
        version: "1".to_owned(),
        report: Digest::of_bytes(b"report"),
        blocked: 36,
        got_out: Vec::new(),
        at,
    }
}

async fn unproven(wire: &Wire, form: Form, why: &str) -> Result<()> {
    let (status, answer) = wire.exchange(&form).await?;
    let text = |name| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    ensure!(
        status == StatusCode::FORBIDDEN
            && text("error") == "capture_not_proven"
            && text("error_description").contains(why)
            && answer.get("access_token").is_none(),
        "wanted a refusal for {why:?}, got {status} {answer}"
    );
    Ok(())
}

async fn stored(shop: &Shop<'_>) -> Result<Pod> {
    let api: Api<Pod> = shop.namespace.api("admin").await?;
    Ok(api.get("vault-1").await?)
}

async fn condition(shop: &Shop<'_>) -> Result<Option<PodCondition>> {
    let conditions = stored(shop).await?.status.and_then(|status| status.conditions).unwrap_or_default();
    Ok(conditions.into_iter().find(|condition| condition.type_ == VERIFIED))
}

/// Waits until the Agent's condition says so.
async fn until(shop: &Shop<'_>, reason: &str, message: &str) -> Result<()> {
    let agents: Api<Agent> = shop.namespace.api("admin").await?;
    eventually(&format!("EnforcementVerified to be {reason}"), PATIENCE.max(Duration::from_mins(1)), async || {
        let conditions = agents.get(VAULT).await?.status.unwrap_or_default().conditions;
        let found = conditions.into_iter().find(|condition| condition.type_ == "EnforcementVerified");
        let found = found.context("no such condition")?;
        ensure!(found.reason == reason && found.message.contains(message), "{} {}", found.reason, found.message);
        Ok(())
    })
    .await
}
