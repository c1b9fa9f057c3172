//! A rule's `hold`: the agent waits with its first call, and gets the ERP's answer when somebody approves meanwhile.

use std::time::Instant;

use aegis_crds::api::approval::ApprovalVerdict;
use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, ensure};

use crate::shop::{PATIENCE, Plan, expect, in_shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_approved_while_it_waits_is_answered_itself() -> Result<()> {
    in_shop("hold", Plan { hold: "40s", ..Plan::default() }, async |shop| {
        let order = shop.order().await?;
        let shop = &*shop;
        let approve = async {
            let request = eventually("the call to be held", PATIENCE, async || {
                shop.requests().await?.pop().context("no request yet")
            })
            .await?;
            shop.decide(request.metadata.name.as_deref().unwrap_or_default(), ApprovalVerdict::Approved).await?;
            anyhow::Ok(Instant::now())
        };
        let call = async { anyhow::Ok((shop.confirm(order).await?, Instant::now())) };
        let (patched, (answer, answered)) = tokio::try_join!(approve, call)?;
        expect(&answer, 200, None)?;
        println!("figure: patch to answer of the waiting call: {} ms", (answered - patched).as_millis());
        ensure!(shop.sent(order)?.len() == 1, "sent more than once");
        Ok(())
    })
    .await
}
