//! Where a supplier's id came from decides: named by the ERP in the same run, the order goes; from nowhere, a person is asked
//! and sees which argument it is.

use aegis_crds::api::approval::{ApprovalVerdict, Phase};
use aegis_tests::cluster::eventually;
use aegis_tests::erp::OrderLine;
use aegis_tests::mesh::Answer;
use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;

use crate::shop::{PATIENCE, Plan, Shop, expect, held_as, in_shop};

const ORIGINS: &str = "  provenance:
  - {operations: [purchases.draft], field: party, from: [\"Response:erp\"], unknownOrigin: Hold, approval: {tier: finance}}
  rules:";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supplier_from_nowhere_is_held_and_one_that_the_tool_named_is_not() -> Result<()> {
    in_shop("origins", Plan::default(), async |shop| {
        // The example's tests know nothing of origins.
        let policy = shop.policy()?;
        let rules = policy.split("\n  tests:\n").next().context("the policy has rules")?;
        shop.change_in_use(rules, "  rules:", ORIGINS).await?;

        let name = held_as(&draft_in(shop, "from-nowhere", 1).await?)?;
        let request = shop.request(&name).await?;
        let first = request.spec.preview.first().context("a preview has rows")?;
        ensure!(first.path == "$origin.party" && first.value.contains("no earlier answer"), "{first:?}");
        shop.decide(&name, ApprovalVerdict::Approved).await?;
        shop.until_phase(&name, Phase::Approved).await?;
        eventually("the approved draft to go through", PATIENCE, async || {
            expect(&draft_in(shop, "from-nowhere", 1).await?, 200, None)
        })
        .await?;
        let uid = request.uid().context("a stored request has a uid")?;
        let keyed = shop.erp.requests()?.into_iter().filter(|line| line.idempotency_key.as_ref() == Some(&uid)).count();
        ensure!(keyed == 1, "the approved draft was sent {keyed} times");

        let run = [("aegis-run", "after-a-search")];
        let search = "/erp/rest/model/party.party?f=name";
        expect(&shop.sidecar.call_with("GET", search, &run, None).await?, 200, None)?;
        expect(&draft_in(shop, "after-a-search", 1).await?, 200, None)?;
        ensure!(shop.requests().await?.len() == 1, "a supplier that the ERP named was held");
        // What one run was told, another does not know.
        expect(&draft_in(shop, "another", 2).await?, 428, Some("approval_required"))
    })
    .await
}

/// The agent drafts an order of so many chairs.
async fn draft_in(shop: &Shop<'_>, run: &str, chairs: u32) -> Result<Answer> {
    let ids = shop.erp.ids();
    let lines = [OrderLine::of(ids.product("chair")?, chairs)];
    let body = shop.erp.person("clerk")?.draft_body(ids.supplier("nordwind")?, "FLOW", &lines);
    let path = "/erp/rest/model/purchase.purchase?f=state";
    shop.sidecar.call_with("POST", path, &[("aegis-run", run)], Some(&body)).await
}
