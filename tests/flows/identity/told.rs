//! What a sidecar tells of trials counts for its own agent, and once.

use std::time::Duration;

use aegis_crds::api::{ToolPolicy, Trial};
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, ensure};
use http::StatusCode;
use kube::Api;
use serde_json::{Value, json};

use super::forged::{pod_token, wire};
use crate::shop::{Plan, agent, in_shop, review};

/// Longer than the operator takes to write what it was told.
const WRITTEN: Duration = Duration::from_mins(2);

/// Of the buyer only, and of the seller only.
const POLICIES: &str = "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: buyers}
spec:
  tools: [erp]
  agents: [buyer]
  mode: Audit
  rules:
  - {name: none, operations: ['*'], unconditional: true, effect: Deny}
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: sellers}
spec:
  tools: [erp]
  agents: [seller]
  mode: Audit
  rules:
  - {name: none, operations: ['*'], unconditional: true, effect: Deny}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_tells_only_of_what_its_own_agent_tries_out() -> Result<()> {
    Box::pin(in_shop("told", Plan::default(), async |shop| {
        let namespace = shop.namespace;
        namespace.apply("admin", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: seller}\n", "flows").await?;
        namespace.apply("admin", agent("seller", "seller", &Plan::default()).as_str(), "flows").await?;
        namespace.apply("admin", POLICIES, "flows").await?;
        review(namespace, "seller").await?;
        let (seller, thief) = (wire(shop)?, wire(shop)?);
        let pod = pod_token(namespace, "seller", Some("seller"), "aegis").await?;
        let token = seller.token(&format!("{}/seller", namespace.name()), &pod.token).await?;
        let policies: Api<ToolPolicy> = namespace.api("admin").await?;
        let of = async |name: &str| -> Result<Option<Trial>> {
            Ok(policies.get(name).await?.status.and_then(|status| status.trial))
        };

        let honest = report(&json!({"buyers": progress(7), "purchasing": progress(7), "sellers": progress(3)}));
        let trial = eventually("the seller's counts to be written", WRITTEN, async || {
            // Said again and again, it counts once.
            let (status, answer) = seller.post("/v1/trials", &token, &honest).await?;
            ensure!(status == StatusCode::NO_CONTENT, "{status} {answer}");
            of("sellers").await?.context("no trial")
        })
        .await?;
        ensure!((trial.judged, trial.would_deny, trial.agreed) == (3, 3, 0), "{trial:?}");
        ensure!(of("buyers").await?.is_none(), "the seller told of the buyer's policy");
        ensure!(of("purchasing").await?.is_none(), "a policy that is in force is not tried out");

        let many: serde_json::Map<String, Value> = (0..65).map(|number| (format!("p{number}"), progress(1))).collect();
        let mut torn = progress(3);
        torn["counted"]["judged"] = json!(4);
        for (what, policies) in [("too many", Value::Object(many)), ("torn", json!({"sellers": torn}))] {
            let (status, answer) = seller.post("/v1/trials", &token, &report(&policies)).await?;
            let error = answer.get("error").and_then(Value::as_str);
            ensure!(status == StatusCode::BAD_REQUEST && error == Some("invalid_request"), "{what}: {status} {answer}");
        }
        let (status, answer) = thief.post("/v1/trials", &token, &honest).await?;
        ensure!(status == StatusCode::UNAUTHORIZED, "on another connection: {status} {answer}");
        Ok(())
    }))
    .await
}

/// Of an epoch, with these policies.
fn report(policies: &Value) -> Value {
    json!({"epoch": "forged", "policies": policies, "mode": {"told": tally(0), "counted": tally(0)}})
}

/// So many calls that would be refused, none of which was confirmed.
fn progress(calls: u64) -> Value {
    json!({"told": tally(0), "counted": tally(calls)})
}

fn tally(calls: u64) -> Value {
    json!({"judged": calls, "agreed": 0, "wouldDeny": calls, "wouldHold": 0, "wouldAllow": 0})
}
