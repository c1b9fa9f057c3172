//! Requests that end without being sent: void, expired, denied.

use aegis_crds::api::approval::{ApprovalVerdict, Phase};
use aegis_crds::api::{Agent, Delegation};
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde_json::json;

use crate::shop::{BUYER, DELEGATION, DELEGATOR, PATIENCE, Plan, RESPONDER, REVIEWER, expect, in_shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_agents_approvals_are_void_for_ever() -> Result<()> {
    in_shop("void-agent", Plan::default(), async |shop| {
        let (order, approved) = shop.approved().await?;
        let waiting = shop.held(shop.order().await?).await?;
        let _: Agent = shop.patch(RESPONDER, BUYER, json!({"spec": {"lifecycle": "Suspended"}})).await?;
        shop.until_phase(&approved, Phase::Void).await?;
        shop.until_phase(&waiting, Phase::Void).await?;
        // Void is said after the sidecar was told, and the claim is refused in any case.
        expect(&shop.confirm(order).await?, 403, Some("agent_not_active"))?;

        let _: Agent = shop.patch(REVIEWER, BUYER, json!({"spec": {"lifecycle": "Active"}})).await?;
        let fresh = eventually("the agent to be back", PATIENCE, async || shop.held(order).await).await?;
        ensure!(fresh != approved, "a void approval came back");
        ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_delegation_voids_what_was_approved_under_it() -> Result<()> {
    in_shop("void-delegation", Plan::default(), async |shop| {
        let (order, approved) = shop.approved().await?;
        let _: Delegation = shop.patch(DELEGATOR, DELEGATION, json!({"spec": {"revoked": true}})).await?;
        shop.until_phase(&approved, Phase::Void).await?;
        eventually("the revocation to reach the sidecar", PATIENCE, async || {
            expect(&shop.confirm(order).await?, 403, Some("delegation_revoked"))
        })
        .await?;
        ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_nobody_decided_in_time_expires_and_takes_no_verdict() -> Result<()> {
    let plan = Plan { decide_within: "2s", ..Plan::default() };
    in_shop("expired", plan, async |shop| {
        let order = shop.order().await?;
        let name = shop.held(order).await?;
        shop.until_phase(&name, Phase::Expired).await?;
        match shop.decide(&name, ApprovalVerdict::Approved).await {
            Ok(_) => bail!("a verdict on an expired request was stored"),
            Err(refusal) => ensure!(format!("{refusal:#}").contains("this ApprovalRequest is closed"), "{refusal:#}"),
        }
        ensure!(shop.held(order).await? != name, "the call joined an expired request");
        ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verdict_first_seen_after_the_time_to_decide_does_not_count() -> Result<()> {
    let plan = Plan { decide_within: "5s", ..Plan::default() };
    in_shop("late", plan, async |shop| {
        let order = shop.order().await?;
        let name = shop.held(order).await?;
        shop.stop_operator();
        // Still Pending, so the API server takes the verdict; whether it came in time, only the operator's clock says.
        let decided = shop.decide(&name, ApprovalVerdict::Approved).await?;
        let end = decided.spec.expires_at.0;
        eventually("the time to decide to be over", PATIENCE, async || {
            ensure!(Timestamp::now() > end, "it ends at {end}");
            Ok(())
        })
        .await?;
        shop.start_operator().await?;
        shop.until_phase(&name, Phase::Expired).await?;
        ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_call_is_refused_as_often_as_it_is_repeated() -> Result<()> {
    in_shop("denied", Plan::default(), async |shop| {
        let order = shop.order().await?;
        let name = shop.held(order).await?;
        shop.decide(&name, ApprovalVerdict::Denied).await?;
        eventually("the denial to be seen", PATIENCE, async || {
            expect(&shop.confirm(order).await?, 403, Some("approval_denied"))
        })
        .await?;
        expect(&shop.confirm(order).await?, 403, Some("approval_denied"))?;
        let request = shop.until_phase(&name, Phase::Denied).await?;
        let by = request.spec.decision.and_then(|decision| decision.by).context("nobody decided")?;
        ensure!(by.username == crate::shop::APPROVER, "decided by {}", by.username);
        ensure!(shop.requests().await?.len() == 1, "a denied call opened another request");
        ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_that_is_not_used_in_time_expires() -> Result<()> {
    let plan = Plan { release_ttl: "2s", ..Plan::default() };
    in_shop("unused", plan, async |shop| {
        let (order, name) = shop.approved().await?;
        shop.until_phase(&name, Phase::Expired).await?;
        ensure!(shop.held(order).await? != name, "an expired approval was joined");
        ensure!(shop.sent(order)?.is_empty(), "the call reached the ERP");
        Ok(())
    })
    .await
}
