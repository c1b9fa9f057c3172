//! An agent token is of use on its own connection and for its own agent only.

use aegis_crds::api::Agent;
use aegis_crds::api::approval::ApprovalVerdict;
use aegis_decision::digest::Digest;
use aegis_decision::feed::Envelope;
use aegis_decision::jws::{KeySet, base64url};
use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::forged::{pod_token, wire};
use crate::shop::{BUYER, Plan, agent, in_shop, review};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_serves_only_its_own_connection_and_its_own_agent() -> Result<()> {
    Box::pin(in_shop("stolen", Plan::default(), async |shop| {
        let namespace = shop.namespace;
        namespace.apply("admin", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: seller}\n", "flows").await?;
        namespace.apply("admin", agent("seller", "seller", &Plan::default()).as_str(), "flows").await?;
        review(namespace, "seller").await?;
        let (buyer, seller, thief) = (wire(shop)?, wire(shop)?, wire(shop)?);
        let pod = pod_token(namespace, BUYER, Some(BUYER), "aegis").await?;
        let buyers = buyer.token(&format!("{}/{BUYER}", namespace.name()), &pod.token).await?;
        let pod = pod_token(namespace, "seller", Some("seller"), "aegis").await?;
        let sellers = seller.token(&format!("{}/seller", namespace.name()), &pod.token).await?;

        // Another connection's key, no token, a pod's token, a token with one letter changed.
        for (what, bearer) in [
            ("stolen", Some(buyers.clone())),
            ("none", None),
            ("the pod's", Some(pod.token.clone())),
            ("changed", Some(changed(&buyers))),
        ] {
            for path in ["/v1/feed", "/v1/heads"] {
                let (status, answer) = thief.get(path, bearer.as_deref()).await?;
                unauthorised(status, &answer).with_context(|| format!("{what} token on {path}"))?;
            }
        }
        let (status, answer) = buyer.get("/v1/heads", Some(&changed(&buyers))).await?;
        unauthorised(status, &answer).context("changed token on its own connection")?;

        // The feed follows the token, whatever is asked for: it is always the agent's own.
        let keys: KeySet = serde_json::from_value(buyer.get("/jwks.json", None).await?.1)?;
        let agents: Api<Agent> = namespace.api("admin").await?;
        for (name, client, token) in [(BUYER, &buyer, &buyers), ("seller", &seller, &sellers)] {
            let uid = agents.get(name).await?.uid().context("no uid")?;
            let envelope = Envelope::verify(&client.first_feed_line(token).await?, &keys)?;
            ensure!(envelope.agent_uid == uid, "the feed of {name} is for {}", envelope.agent_uid);
        }

        // An approved call of the buyer: the seller can neither claim it nor say how it ended.
        let (order, name) = shop.approved().await?;
        let request = shop.request(&name).await?;
        let uid = request.uid().context("no uid")?;
        let digest: Digest = request.spec.action.effect_digest.parse()?;
        let parts = serde_json::to_value(&request.spec.action.context_parts)?;
        let claim = json!({"nonce": base64url(&[7; 16]), "effectDigest": digest,
            "contextDigest": request.spec.action.context_digest, "contextParts": parts});
        let outcome = json!({"nonce": base64url(&[7; 16]), "execution": "Succeeded", "sent": true, "record": "r"});
        for (path, body) in [("claim", &claim), ("outcome", &outcome)] {
            let (status, answer) = seller.post(&format!("/v1/approvals/{uid}/{path}"), &sellers, body).await?;
            let error = answer.get("error").and_then(Value::as_str);
            ensure!(status == StatusCode::NOT_FOUND && error == Some("unknown_request"), "{path}: {status} {answer}");
            let (status, answer) = thief.post(&format!("/v1/approvals/{uid}/{path}"), &buyers, body).await?;
            unauthorised(status, &answer).with_context(|| path.to_owned())?;
        }
        // Without a claim there is no outcome, not even from the agent itself.
        let (status, answer) = buyer.post(&format!("/v1/approvals/{uid}/outcome"), &buyers, &outcome).await?;
        ensure!(status == StatusCode::BAD_REQUEST, "{status} {answer}");
        // None of it touched the request.
        let after = shop.request(&name).await?.status.context("no status")?;
        ensure!(after.claim.is_none() && after.receipt.is_none(), "{after:?}");
        ensure!(request.spec.decision.is_some_and(|decision| decision.verdict == ApprovalVerdict::Approved));
        shop.until_confirmed(order).await?;
        ensure!(shop.sent(order)?.len() == 1, "sent more than once");
        Ok(())
    }))
    .await
}

fn unauthorised(status: StatusCode, answer: &Value) -> Result<()> {
    let error = answer.get("error").and_then(Value::as_str);
    ensure!(status == StatusCode::UNAUTHORIZED && error == Some("invalid_token"), "{status} {answer}");
    Ok(())
}

/// The token with the first letter of its claims changed.
fn changed(token: &str) -> String {
    let at = token.find('.').map_or(0, |dot| dot + 1);
    let (before, after) = token.split_at(at);
    let letter = if after.starts_with('e') { 'f' } else { 'e' };
    format!("{before}{letter}{}", after.get(1..).unwrap_or_default())
}
