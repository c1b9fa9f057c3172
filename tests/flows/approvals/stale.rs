//! What an approval rested on changed: it is Stale, says what changed, and nothing goes out. What it did not rest on may
//! change.

use aegis_crds::api::approval::{ApprovalVerdict, Phase};
use aegis_tests::cluster::eventually;
use aegis_tests::erp::OrderLine;
use anyhow::{Context as _, Result, ensure};
use http::Method;
use serde_json::json;

use crate::shop::{DELEGATION, PATIENCE, Plan, Shop, delegate, example, expect, held_as, in_shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_rule_makes_it_stale_and_a_fresh_approval_counts() -> Result<()> {
    in_shop("stale-rule", Plan::default(), async |shop| {
        let (order, name) = shop.approved().await?;
        shop.change_in_use(&shop.policy()?, "greaterThan: \"1000.00\"", "greaterThan: \"999.00\"").await?;
        let fresh = replaced(shop, order, &name, "rules").await?;
        shop.decide(&fresh, ApprovalVerdict::Approved).await?;
        shop.until_confirmed(order).await?;
        ensure!(shop.sent(order)?.len() == 1, "sent more than once");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_registry_row_makes_it_stale_and_another_row_does_not() -> Result<()> {
    in_shop("stale-row", Plan::default(), async |shop| {
        let registry = example("20-registry.yaml")?;
        let (order, name) = shop.approved().await?;
        let more = "entries:\n  - {id: \"99\", attributes: {name: [Unrelated GmbH]}}";
        shop.change_in_use(&registry, "entries:", more).await?;
        shop.until_confirmed(order).await?;
        ensure!(shop.request(&name).await?.status.is_some_and(|status| status.phase == Some(Phase::Approved)));

        let (order, name) = shop.approved().await?;
        shop.change_in_use(&registry, "DE89370400440532013000", "DE75512108001245126199").await?;
        replaced(shop, order, &name, "registries").await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_order_makes_it_stale() -> Result<()> {
    in_shop("stale-fact", Plan::default(), async |shop| {
        let (order, name) = shop.approved().await?;
        // A clerk takes the quotation back, adds a chair, and quotes it again: the same order, another total.
        let (clerk, ids) = (shop.erp.person("clerk")?, shop.erp.ids());
        let path = format!("/rest/model/purchase.purchase/{order}");
        let back = clerk.call(Method::POST, &format!("{path}/draft?f=state"), None).await?;
        expect(&back, 200, None)?;
        let chair = [OrderLine::of(ids.product("chair")?, 1)];
        let body = clerk.draft_body(ids.supplier("nordwind")?, "FLOW", &chair);
        let lines = json!({"lines": body.get("lines").context("a draft has lines")?});
        expect(&clerk.call(Method::PUT, &format!("{path}?f=state"), Some(&lines)).await?, 200, None)?;
        clerk.quote(order).await?;
        replaced(shop, order, &name, "facts").await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_operation_makes_it_stale() -> Result<()> {
    in_shop("stale-tool", Plan::default(), async |shop| {
        let (order, name) = shop.approved().await?;
        shop.change_in_use(&shop.tool()?, "timeout: 30s", "timeout: 31s").await?;
        replaced(shop, order, &name, "tool").await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_under_one_delegation_is_none_under_another() -> Result<()> {
    in_shop("stale-delegation", Plan::default(), async |shop| {
        let (order, name) = shop.approved().await?;
        delegate(shop.namespace, "office-supplies-2").await?;
        let other = [("aegis-delegation", "office-supplies-2")];
        let fresh = eventually("the second delegation to reach the sidecar", PATIENCE, async || {
            held_as(&shop.confirm_with(order, &other).await?)
        })
        .await?;
        ensure!(fresh != name, "the approval of another delegation was taken");
        expect(&shop.confirm(order).await?, 403, Some("ambiguous_delegation"))?;
        ensure!(shop.sent(order)?.is_empty(), "sent without approval");
        // Under the delegation that it was given for, it counts.
        let own = [("aegis-delegation", DELEGATION)];
        eventually("the approved call to go through", PATIENCE, async || {
            expect(&shop.confirm_with(order, &own).await?, 200, None)
        })
        .await?;
        ensure!(shop.sent(order)?.len() == 1, "sent more than once");
        Ok(())
    })
    .await
}

/// The approved call is not sent but held again under another request, and the first one says what changed. Gives the
/// other request's name.
async fn replaced(shop: &Shop<'_>, order: u64, name: &str, part: &str) -> Result<String> {
    let fresh = shop.held(order).await?;
    ensure!(fresh != name, "the call joined the request that no longer holds");
    let stale = shop.until_phase(name, Phase::Stale).await?;
    let status = stale.status.context("no status")?;
    ensure!(status.changed == [part], "changed: {:?}", status.changed);
    let ready = status.conditions.iter().find(|condition| condition.type_ == "Ready").context("no condition")?;
    ensure!(ready.reason == "Stale" && ready.message.contains(part), "{}: {}", ready.reason, ready.message);
    ensure!(shop.sent(order)?.is_empty(), "the stale call reached the ERP");
    Ok(fresh)
}
