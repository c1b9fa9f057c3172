//! A pod has two feeds at once: a third ends the oldest, and the newest go on.

use aegis_decision::feed::Envelope;
use aegis_decision::jws::KeySet;
use anyhow::{Context as _, Result, ensure};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::timeout;

use super::forged::{pod_token, wire};
use crate::shop::{BUYER, PATIENCE, Plan, Shop, expect, in_shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pods_newest_feeds_stay_and_another_pod_keeps_its_own() -> Result<()> {
    in_shop("crowded", Plan::default(), async |shop| Box::pin(crowd(shop)).await).await
}

async fn crowd(shop: &mut Shop<'_>) -> Result<()> {
    expect(&shop.read().await?, 200, None)?;
    let (namespace, wire) = (shop.namespace, wire(shop)?);
    let pod = pod_token(namespace, BUYER, Some(BUYER), "aegis").await?;
    let bearer = wire.token(&format!("{}/{BUYER}", namespace.name()), &pod.token).await?;
    let keys: KeySet = serde_json::from_value(wire.get("/jwks.json", None).await?.1)?;
    let displaced = "aegis_operator_feeds_displaced_total";
    ensure!(shop.operator_metric(displaced).await? < 1.0, "a feed was displaced before any was too many");

    let [mut first, mut second] = [wire.feed(&bearer).await?, wire.feed(&bearer).await?];
    for feed in [&mut first, &mut second] {
        current(feed, &keys, Timestamp::MIN).await.context("two feeds at once")?;
    }
    let mut third = wire.feed(&bearer).await?;
    ended(&mut first).await.context("the oldest feed")?;
    let now = Timestamp::now();
    for feed in [&mut second, &mut third] {
        current(feed, &keys, now).await.context("the newest feeds")?;
    }
    let count = shop.operator_metric(displaced).await?;
    ensure!((0.5..1.5).contains(&count), "{count} feeds were displaced; the sidecar's own is of another pod");
    expect(&shop.read().await?, 200, None)
}

async fn ended(feed: &mut Incoming) -> Result<()> {
    timeout(PATIENCE, async {
        while let Some(frame) = feed.frame().await {
            frame?;
        }
        Ok(())
    })
    .await
    .context("it goes on")?
}

/// Waits until a feed says something that was confirmed after `after`.
async fn current(feed: &mut Incoming, keys: &KeySet, after: Timestamp) -> Result<()> {
    let mut text = Vec::new();
    timeout(PATIENCE, async {
        loop {
            let frame = feed.frame().await.context("the feed ended")??;
            text.extend_from_slice(frame.data_ref().context("no data")?);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                if Envelope::verify(String::from_utf8(line)?.trim_end(), keys)?.as_of > after {
                    return Ok(());
                }
            }
        }
    })
    .await
    .context("the feed is silent")?
}
