//! Tokens are renewed in time, in a pod: over three lifetimes no call is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use aegis_tests::node::{Bench, BenchSpec, Evidence, Series, may_run};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::scene;

const WITHIN: Duration = Duration::from_mins(1);
/// The shortest life that an Agent may ask for.
const LIFE: u64 = 60;
const LIVES: u64 = 3;
const RATE: u32 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_works_over_three_lives_of_its_token() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let node = scene::node().await?;
    let mut spec = BenchSpec::new("renewed", "Captured", 18_032);
    spec.token_ttl = "60s";
    let bench = Bench::set(node, &spec).await?;
    let agent = Arc::new(bench.agent("agent").await?);
    bench.until(&agent, "/bench/items/7", 200).await?;
    let renewals = Evidence::read(node, "renewed", &agent.records()?).await?.renewals;

    // Time itself is what is tested here: the token that the sidecar starts with ends three times over meanwhile.
    let series = Series::post("http://127.0.0.1:15080/bench/items", &json!({"amount": "12.00"}));
    let seconds = (LIFE * LIVES + 5).to_string();
    let arguments = series.arguments(0, RATE, &["--seconds", &seconds]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let began = Instant::now();
    let calls = series.read(&agent.exec(&arguments).await?);
    let failed: Vec<_> = calls.iter().filter(|call| call.status != Some(200)).map(|call| &call.said).collect();
    ensure!(failed.is_empty(), "{} of {} calls: {failed:?}", failed.len(), calls.len());
    let took = began.elapsed();
    ensure!(took >= Duration::from_secs(LIFE * LIVES) && !calls.is_empty(), "{} calls in {took:?}", calls.len());

    let admin = node.forward(&format!("{}:15020", agent.address()?))?;
    let evidence = eventually("every call to be recorded", WITHIN, async || {
        let evidence = Evidence::read(node, "renewed", &agent.records()?).await?;
        let recorded = |trace: &String| evidence.allowed.values().any(|one| one == trace);
        let lost = calls.iter().filter(|call| !recorded(&call.trace)).count();
        ensure!(lost == 0, "{lost} calls are not recorded");
        Ok(evidence)
    })
    .await?;
    let renewals = evidence.renewals - renewals;
    println!("{renewals} renewals of a token of {LIFE} s in {took:?}, {} Drafts in between", calls.len());
    // At a third of the life, ±10 %: 54 to 66 s for three.
    ensure!((8..=11).contains(&renewals), "{renewals} renewals");
    ensure!(evidence.epochs.len() == 1, "the sidecar was started again: {:?}", evidence.epochs);
    let status = aegis_tests::erp::http_json(http::Method::GET, &format!("http://{admin}/status"), &[], None).await?;
    let left = status.body.get("tokenLeftSeconds").and_then(Value::as_u64).context("no life left is told")?;
    ensure!(left > LIFE / 2, "{left} s left");
    Ok(())
}
