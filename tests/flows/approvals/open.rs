//! Open requests: which call they are for, and how many an agent may have.

use aegis_crds::api::approval::{ApprovalVerdict, Phase};
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, ensure};
use futures::future::join_all;

use crate::shop::{PATIENCE, Plan, code_of, expect, in_shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_names_the_approval_of_another_call_is_refused() -> Result<()> {
    in_shop("mismatch", Plan::default(), async |shop| {
        let (first, second) = (shop.order().await?, shop.order().await?);
        let name = shop.held(first).await?;
        let named = [("aegis-approval", name.as_str())];
        // While it waits, only the control service knows which call it is for.
        expect(&shop.confirm_with(second, &named).await?, 403, Some("approval_mismatch"))?;
        ensure!(shop.requests().await?.len() == 1, "the refused call opened a request");
        expect(&shop.confirm_with(first, &named).await?, 428, Some("approval_required"))?;

        shop.decide(&name, ApprovalVerdict::Approved).await?;
        shop.until_phase(&name, Phase::Approved).await?;
        expect(&shop.confirm_with(second, &named).await?, 403, Some("approval_mismatch"))?;
        eventually("the approved call to go through", PATIENCE, async || {
            expect(&shop.confirm_with(first, &named).await?, 200, None)
        })
        .await?;
        ensure!(shop.sent(second)?.is_empty(), "the other call reached the ERP");
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_has_no_more_open_requests_than_it_may() -> Result<()> {
    let plan = Plan { operator: &["--max-open-approvals", "2"], ..Plan::default() };
    in_shop("cap", plan, async |shop| {
        let mut orders = Vec::new();
        for _ in 0..6 {
            orders.push(shop.order().await?);
        }
        // All at once: the bound is not one of luck.
        let answers = join_all(orders.iter().map(|&order| shop.confirm(order))).await;
        let answers = answers.into_iter().collect::<Result<Vec<_>>>()?;
        let held = answers.iter().filter(|answer| answer.status == 428).count();
        let codes: Vec<_> = answers.iter().map(|answer| (answer.status.as_u16(), code_of(answer))).collect();
        ensure!(held == 2, "answers: {codes:?}");
        ensure!(codes.iter().filter(|code| **code == (429, Some("too_many_approvals"))).count() == 4, "{codes:?}");
        let open = shop.requests().await?;
        ensure!(open.len() == 2, "{} requests are open", open.len());

        let decided = open.first().and_then(|request| request.metadata.name.clone()).context("no name")?;
        shop.decide(&decided, ApprovalVerdict::Denied).await?;
        let refused = orders.iter().zip(&answers).find(|(_, answer)| answer.status == 429);
        let (&order, _) = refused.context("none was refused")?;
        eventually("a place to be free", PATIENCE, async || shop.held(order).await).await?;
        Ok(())
    })
    .await
}
