//! What trials came to: counted by the sidecar, told by it, and added to the status of policies and agents.

use std::time::Duration;

use aegis_crds::api::{Agent, ToolPolicy, Trial};
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, ensure};
use kube::Api;
use serde_json::json;

use crate::shop::{BUYER, PATIENCE, Plan, Shop, expect, in_shop, review};

/// An object is written once a minute, so the last counts of a sidecar may have to wait for that.
const ROLLED_UP: Duration = Duration::from_mins(3);

/// Beside what is in force: no drafts, and no search that narrows itself down.
const AUDITED: &str = "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: no-drafts}
spec:
  tools: [erp]
  mode: Audit
  rules:
  - {name: drafts, operations: [purchases.draft], unconditional: true, effect: Deny}
  - {name: searches, operations: [suppliers.search], effect: Deny, when: [{field: d, exists: true}]}
";

/// On no run yet: whoever looks for suppliers asks first.
const ROLLED_OUT: &str = "
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: ask-first}
spec:
  tools: [erp]
  rollout: {percent: 0}
  rules:
  - {name: ask, operations: [suppliers.search], unconditional: true, effect: RequireApproval, approval: {tier: finance}}
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_of_a_policy_tells_what_it_would_have_changed() -> Result<()> {
    Box::pin(in_shop("trials", Plan::default(), async |shop| {
        for policy in [AUDITED, ROLLED_OUT] {
            in_use(shop, async || shop.namespace.apply("admin", policy, "flows").await.map(drop)).await?;
        }
        for _ in 0..3 {
            expect(&shop.draft().await?, 200, None)?;
        }
        for _ in 0..2 {
            expect(&shop.read().await?, 200, None)?;
        }
        shop.sidecar.process().terminate()?;
        shop.sidecar.process().wait_exit(PATIENCE).await?;

        let policies: Api<ToolPolicy> = shop.namespace.api("admin").await?;
        let of = async |name: &str| {
            let status = policies.get(name).await?.status;
            status.and_then(|status| status.trial).context("no trial")
        };
        let audited = until_judged(5, async || of("no-drafts").await).await?;
        ensure!(counts(&audited) == [2, 3, 0, 0], "{audited:?}");
        ensure!(audited.agreement.as_deref() == Some("40.00"), "{audited:?}");
        let rolled_out = until_judged(2, async || of("ask-first").await).await?;
        ensure!(counts(&rolled_out) == [0, 0, 2, 0], "{rolled_out:?}");
        ensure!(rolled_out.agreement.as_deref() == Some("0.00"), "{rolled_out:?}");
        ensure!(policies.get("purchasing").await?.status.is_some_and(|status| status.trial.is_none()), "is in force");
        // A write is counted once it is answered, which is after the object shows it.
        eventually("reports and writes to be counted", PATIENCE, async || {
            let told = shop.operator_metric("aegis_operator_trial_reports_total{result=\"taken\"}").await?;
            let written = shop.operator_metric("aegis_operator_trial_writes_total{result=\"written\"}").await?;
            ensure!(told >= 1.0 && written >= 2.0, "{told} reports, {written} writes");
            Ok(())
        })
        .await?;

        // The plan writes the rest of the status, and leaves the counts as they are: those of the generation before.
        shop.change(AUDITED, "effect: Deny", "effect: Deny, message: nothing is bought").await?;
        eventually("the new policy to be accepted", PATIENCE, async || {
            let status = policies.get("no-drafts").await?.status.context("no status")?;
            ensure!(status.observed_generation == Some(2), "{:?}", status.observed_generation);
            ensure!(status.trial.as_ref() == Some(&audited), "{:?}", status.trial);
            Ok(())
        })
        .await
    }))
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_of_an_audited_agent_tells_what_enforcing_would_have_changed() -> Result<()> {
    Box::pin(in_shop("audited", Plan::default(), async |shop| {
        let agents: Api<Agent> = shop.namespace.api("admin").await?;
        let digest = async || {
            let status = agents.get(BUYER).await?.status.context("no status")?;
            status.review_digest.context("no digest")
        };
        let enforced = digest().await?;
        in_use(shop, async || {
            let audit = json!({"spec": {"enforcement": {"mode": "Audit"}}});
            let _: Agent = shop.patch("admin", BUYER, audit).await?;
            Ok(())
        })
        .await?;
        eventually("another digest to review", PATIENCE, async || {
            ensure!(digest().await? != enforced);
            Ok(())
        })
        .await?;
        review(shop.namespace, BUYER).await?;
        // With the bundle of mode Audit, and the review of before, nothing goes.
        eventually("the review to reach the sidecar", PATIENCE, async || expect(&shop.draft().await?, 200, None))
            .await?;
        // In force, a person would be asked.
        expect(&shop.confirm(shop.order().await?).await?, 200, None)?;
        shop.sidecar.process().terminate()?;
        shop.sidecar.process().wait_exit(PATIENCE).await?;

        let trial = until_judged(2, async || {
            agents.get(BUYER).await?.status.and_then(|status| status.trial).context("no trial")
        })
        .await?;
        ensure!(counts(&trial) == [1, 0, 1, 0], "{trial:?}");
        ensure!(trial.agreement.as_deref() == Some("50.00"), "{trial:?}");
        ensure!(agents.get(BUYER).await?.metadata.generation == Some(trial.observed_generation), "{trial:?}");
        Ok(())
    }))
    .await
}

/// Makes a change, and waits until the sidecar judges by the next bundle.
async fn in_use(shop: &Shop<'_>, change: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let before = shop.sidecar_metric("aegis_bundle_version").await?;
    change().await?;
    eventually("the sidecar to use the next bundle", PATIENCE, async || {
        let now = shop.sidecar_metric("aegis_bundle_version").await?;
        ensure!(now > before, "version {now}");
        Ok(())
    })
    .await
}

/// Waits until so many calls are counted.
async fn until_judged(calls: i64, trial: impl AsyncFn() -> Result<Trial>) -> Result<Trial> {
    eventually(&format!("{calls} calls to be counted"), ROLLED_UP, async || {
        let trial = trial().await?;
        ensure!(trial.judged == calls, "{trial:?}");
        Ok(trial)
    })
    .await
}

/// Agreed, and what would be: deny, hold, allow.
fn counts(trial: &Trial) -> [i64; 4] {
    [trial.agreed, trial.would_deny, trial.would_hold, trial.would_allow]
}
