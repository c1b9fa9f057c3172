//! Tokens are renewed long before they end: over more than two lifetimes, no call notices.

use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use anyhow::{Context as _, Result, ensure};

use crate::shop::{PATIENCE, Plan, expect, in_shop};

/// The shortest life that an Agent may ask for.
const LIFE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_works_over_more_than_two_lives_of_its_token() -> Result<()> {
    in_shop("renewed", Plan { token_ttl: "60s", ..Plan::default() }, async |shop| {
        let issued = "aegis_operator_tokens_total{result=\"issued\"}";
        let before = shop.operator_metric(issued).await?;
        ensure!(before >= 1.0, "the sidecar started without a token");
        eventually("the gauge to be set, once a second", PATIENCE, async || {
            let left = shop.sidecar_metric("aegis_token_left_seconds").await?;
            ensure!(left > 0.0, "it is {left}");
            Ok(())
        })
        .await?;
        let (began, mut calls) = (Instant::now(), 0_u32);
        // Time itself is what is tested here: the token that the sidecar started with ends twice over meanwhile.
        while began.elapsed() < LIFE * 2 + Duration::from_secs(8) {
            let at = began.elapsed();
            expect(&shop.draft().await?, 200, None).with_context(|| format!("a Draft after {at:?}"))?;
            let left = shop.sidecar_metric("aegis_token_left_seconds").await?;
            // Renewed at a third of the life, ±10 %; the gauge may be some seconds late.
            ensure!(left > 60.0 * 2.0 / 3.0 - 6.0 - 4.0, "{left} s left after {at:?}");
            calls += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let renewals = shop.operator_metric(issued).await? - before;
        println!("figure: {renewals} renewals of a token of 60 s in {:?}, {calls} Drafts in between", began.elapsed());
        ensure!((5.0..=9.0).contains(&renewals), "{renewals} renewals");
        ensure!(shop.sidecar_metric("aegis_token_failures_total").await? < 1.0, "renewals failed");
        Ok(())
    })
    .await
}
