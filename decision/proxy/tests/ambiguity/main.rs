//! Requests that parsers read in different ways (THR-11), sent to the real sidecar in front of seven real servers. What is
//! compared: what the agent meant and heard, what the sidecar recorded as judged, and what each server understood.
//!
//! `AEGIS_SEED=n` repeats the run that printed `seed n`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a failed expectation of a helper is a failed test"
)]

#[path = "../sidecar/bed.rs"]
#[allow(dead_code, reason = "the tests of the sidecar use the rest of it")]
mod bed;
mod classics;
mod client;
mod compare;
mod draft;
mod faults;
mod generate;
#[path = "../sidecar/namespace.rs"]
#[allow(dead_code, reason = "the tests of the sidecar use the rest of it")]
mod namespace;
mod spellings;
#[path = "../sidecar/upstream.rs"]
#[allow(dead_code, reason = "the tests of the sidecar use the rest of it")]
mod upstream;
mod upstreams;
mod vector;

use std::time::{SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use rand::SeedableRng;
use rand::rngs::StdRng;

use bed::Bed;
use upstreams::Upstreams;
use vector::Place;

/// Connections at once.
const AT_ONCE: usize = 24;

fn seed() -> u64 {
    let by_clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    std::env::var("AEGIS_SEED").map_or_else(|_| by_clock(), |seed| seed.parse().expect("AEGIS_SEED is a number"))
}

#[tokio::test]
async fn every_server_sees_what_was_judged_and_nothing_else() {
    let start = seed();
    println!("seed {start}");
    let upstreams = Upstreams::start();
    let bed = Bed::with(|trial| upstreams.become_tools(trial)).await;
    let sidecar = bed.start().await;
    let places: Vec<_> = upstreams
        .tools
        .iter()
        .map(|tool| Place { tool: tool.name, upstream: tool.address, sidecar: sidecar.address })
        .collect();

    let mut vectors: Vec<_> = places.iter().flat_map(classics::vectors).collect();
    assert!(vectors.len() >= 100 * places.len(), "{} classics", vectors.len());
    let generated = generate::vectors(&mut StdRng::seed_from_u64(start), &places);
    compare::shares(&generated);
    vectors.extend(generated);

    let mut played =
        futures::stream::iter(&vectors).map(|vector| client::play(sidecar.address, vector)).buffered(AT_ONCE);
    let mut heard = Vec::new();
    // When many connections do not end, the first of them are told at once.
    while let Some(next) = played.next().await
        && heard.iter().filter(|heard: &&client::Heard| !heard.ended).count() < AT_ONCE
    {
        heard.push(next);
    }
    drop(played);
    sidecar.until_idle().await;
    let records = sidecar.stop().await;

    compare::answers(&vectors, &heard, &records);
    let seen = upstreams.seen(vectors.iter().map(|vector| vector.sent().count()).sum()).await;
    compare::effects(&vectors, &seen);
    compare::headers(&seen);
    compare::digests(&upstreams.tools, &seen, &records);
    upstreams.fronts_agree(&seen).await;
}
