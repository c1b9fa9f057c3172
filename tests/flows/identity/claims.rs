//! Two Agents, side by side in one namespace: neither gets the other's token, however its pods are dressed.

use aegis_decision::egress::Level;
use aegis_tests::cluster::{TestNamespace, eventually};
use aegis_tests::mesh::pods;
use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::forged::{PodToken, accounts, token_of, wire};
use super::wire::Wire;
use crate::shop::{PATIENCE, Plan, agent, in_shop, review};

const LEFT: &str = "left";
const RIGHT: &str = "right";

/// A pod that claims to be an agent.
struct Claim {
    what: String,
    agent: &'static str,
    pod: Pod,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_cannot_get_each_others_token() -> Result<()> {
    Box::pin(in_shop("claims", Plan::default(), async |shop| {
        let namespace = shop.namespace;
        accounts(namespace, &[LEFT, RIGHT]).await?;
        // The pod guard refuses most of these pods. The control service must not rest on that: they were there before
        // their Agents.
        let mut all = Vec::new();
        for claim in across(namespace)?.into_iter().chain(undressed(namespace)?) {
            let token = eventually("the pod to be made", PATIENCE, async || {
                let mut pod = claim.pod.clone();
                pod.metadata.name = Some(name());
                token_of(namespace, pod, "aegis").await
            });
            let token = token.await.with_context(|| claim.what.clone())?;
            all.push((claim, token));
        }
        for name in [LEFT, RIGHT] {
            namespace.apply("admin", agent(name, name, &Plan::default()).as_str(), "flows").await?;
            review(namespace, name).await?;
        }
        let wire = wire(shop)?;
        let count = all.len();
        for (claim, token) in all {
            refused(&wire, namespace, &claim, &token).await?;
        }
        println!("figure: {count} cross-claims refused");
        ensure!(count >= 20, "only {count} claims were tried");
        for name in [LEFT, RIGHT] {
            let pod = token_of(namespace, dressed(namespace, name, name, name)?, "aegis").await?;
            wire.token(&format!("{}/{name}", namespace.name()), &pod.token).await.with_context(|| name.to_owned())?;
        }
        Ok(())
    }))
    .await
}

/// Every mixture of account, label, injection and claimed agent but the two honest ones.
fn across(namespace: &TestNamespace<'_>) -> Result<Vec<Claim>> {
    let mut all = Vec::new();
    for number in 0..16_u8 {
        let pick = |bit: u8| if number >> bit & 1 == 0 { LEFT } else { RIGHT };
        let (account, label, injected, agent) = (pick(0), pick(1), pick(2), pick(3));
        if number == 0 || number == 15 {
            continue;
        }
        let what = format!("account {account}, label {label}, injected for {injected}, claims {agent}");
        all.push(Claim { what, agent, pod: dressed(namespace, account, label, injected)? });
    }
    Ok(all)
}

/// The right account and label, but not the form of the agent's level.
fn undressed(namespace: &TestNamespace<'_>) -> Result<Vec<Claim>> {
    let mut all = Vec::new();
    for agent in [LEFT, RIGHT] {
        let plain = pods::plain(&name(), agent, agent)?;
        let mut claim = |what: &str, pod: Pod| all.push(Claim { what: format!("{agent}: {what}"), agent, pod });
        claim("no sidecar at all", plain.clone());
        for level in [Level::Captured, Level::Sealed] {
            let pod = pods::injected(plain.clone(), namespace.name(), agent, level)?;
            claim(&format!("injected for level {}", level.as_str()), pod);
        }
        let injected = pods::injected(plain.clone(), namespace.name(), agent, Level::Mediated)?;
        claim("another image", changed(&injected, "/spec/initContainers/0/image", json!("registry.example/evil:1"))?);
        let volume = json!([{"name": "aegis-token", "mountPath": "/stolen"}]);
        claim("the agent mounts the token", changed(&injected, "/spec/containers/0/volumeMounts", volume)?);
        let mut gateway = plain;
        let labels = gateway.metadata.labels.get_or_insert_default();
        labels.insert("aegis.dev/component".to_owned(), "gateway".to_owned());
        claim("dressed as a gateway", gateway);
    }
    Ok(all)
}

fn name() -> String {
    format!("claim-{:08x}", rand::random::<u32>())
}

fn dressed(namespace: &TestNamespace<'_>, account: &str, label: &str, injected: &str) -> Result<Pod> {
    pods::injected(pods::plain(&name(), label, account)?, namespace.name(), injected, Level::Mediated)
}

/// The pod with one value set.
fn changed(pod: &Pod, pointer: &str, value: Value) -> Result<Pod> {
    let mut json = serde_json::to_value(pod)?;
    let (parent, last) = pointer.rsplit_once('/').context("no pointer")?;
    let parent = json.pointer_mut(parent).and_then(Value::as_object_mut).context("no such field")?;
    parent.insert(last.to_owned(), value);
    Ok(serde_json::from_value(json)?)
}

async fn refused(wire: &Wire, namespace: &TestNamespace<'_>, claim: &Claim, token: &PodToken) -> Result<()> {
    let Claim { what, agent, .. } = claim;
    let (status, answer) = wire.exchange(&wire.form(&format!("{}/{agent}", namespace.name()), &token.token)).await?;
    let error = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    ensure!(
        status == StatusCode::FORBIDDEN
            && ["invalid_grant", "pod_not_governed"].contains(&error)
            && answer.get("access_token").is_none(),
        "{what}: {status} {answer}"
    );
    Ok(())
}
