//! A hole in the rules of a pod that runs: within one interval of the probe the conditions name it, writes are refused, and
//! `aegis check` fails; when it is mended all is as before.

use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use aegis_tests::node::{Bench, BenchSpec, Node, PodAgent, may_run};
use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::rules::{nft, without_second_layer};
use super::status::{check, failed, of_agent, of_pod};
use super::torn::torn;

const NAMESPACE: &str = "broken";
/// The interval of the probe on this node, a run of it, and its way into the status.
const INTERVAL: Duration = Duration::from_secs(60 + 20);
/// Time for what is right to be seen.
const WITHIN: Duration = Duration::from_mins(1);

/// A hole, and which technique finds it where.
struct Hole {
    pod: &'static str,
    rules: &'static str,
    technique: &'static str,
    target: &'static str,
}

/// The rules hold for IPv4 only.
const NO_IPV6: Hole = Hole {
    pod: "without-v6",
    rules: "insert rule inet aegis capture meta nfproto ipv6 return\n\
            insert rule inet aegis leave meta nfproto ipv6 accept\n",
    technique: "BYP-5",
    target: "udp [2001:db8::1]:443",
};
/// One port is let through.
const ONE_PORT: Hole = Hole {
    pod: "one-port",
    rules: "insert rule inet aegis leave udp dport 443 accept\n",
    technique: "BYP-4",
    target: "udp 192.0.2.1:443",
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_in_the_rules_is_named_within_an_interval() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let _cable = torn.cable.lock().await;
    let node = &torn.node;
    let (bench, agents) = {
        let _whole = torn.whole.read().await;
        let bench = Bench::set(node, &BenchSpec::new(NAMESPACE, "Captured", 18_101)).await?;
        let agents = tokio::try_join!(bench.agent(NO_IPV6.pod), bench.agent(ONE_PORT.pod))?;
        (bench, agents)
    };
    let broken = [(&NO_IPV6, &agents.0), (&ONE_PORT, &agents.1)];
    holds(node).await?;
    let mut whole = Vec::new();
    for (hole, agent) in broken {
        bench.until(agent, "/bench/items/7", 200).await?;
        draft(agent, 200, &Value::Null).await?;
        whole.push(nft(node, agent.pod(), "list ruleset\n").await?);
        let wire = without_second_layer(node, agent.pod()).await?;
        nft(node, agent.pod(), &format!("{}{wire}", hole.rules)).await?;
    }

    let began = Instant::now();
    let told = eventually("the Agent's condition to name both pods", INTERVAL, async || {
        let condition = of_agent(node, NAMESPACE).await?;
        ensure!(condition["status"] == "False" && condition["reason"] == "GotOut", "{condition}");
        let message = condition["message"].as_str().context("no message")?;
        ensure!(broken.iter().all(|(hole, _)| message.contains(&format!("{}: got out: ", hole.pod))), "{message}");
        Ok(message.to_owned())
    })
    .await?;
    println!("two holes named after {} ms: {told}", began.elapsed().as_millis());

    let (code, report) = check(node, NAMESPACE, &[]).await?;
    ensure!(code == Some(1), "aegis check exits with {code:?}: {report:#}");
    let unproven = failed(&report, "enforcement")?;
    for (hole, agent) in broken {
        let condition = of_pod(node, NAMESPACE, hole.pod).await?;
        ensure!(condition["status"] == "False" && condition["reason"] == "GotOut", "{condition}");
        let (named, row) = (condition["message"].as_str().unwrap_or_default(), row(&report, hole.pod)?);
        for text in [named, row["proof"].as_str().unwrap_or_default()] {
            ensure!(text.contains(&format!("{} {}", hole.technique, hole.target)), "{}: {text}", hole.pod);
        }
        ensure!(row["asked"] == "Captured" && row["proven"].is_null() && row["governed"] == true, "{row}");
        ensure!(unproven.contains(hole.pod), "{unproven}");
        draft(agent, 503, &json!("capture_broken")).await?;
        // What reads goes on until the token ends.
        bench.until(agent, "/bench/items/7", 200).await?;
    }

    for ((_, agent), rules) in broken.iter().zip(&whole) {
        nft(node, agent.pod(), &format!("flush ruleset\n{rules}")).await?;
    }
    let began = Instant::now();
    holds(node).await?;
    println!("mended, and proven again after {} ms", began.elapsed().as_millis());
    for (_, agent) in broken {
        draft(agent, 200, &Value::Null).await?;
    }
    let _whole = torn.whole.read().await;
    let (code, report) = check(node, NAMESPACE, &[]).await?;
    ensure!(code == Some(0), "aegis check exits with {code:?}: {report:#}");
    for (hole, _) in broken {
        let row = row(&report, hole.pod)?;
        ensure!(row["proven"] == "Captured", "{row}");
        for field in ["sidecar", "bundle", "tokenAgeSeconds"] {
            ensure!(!row[field].is_null(), "aegis check does not tell {field}: {row}");
        }
    }
    Ok(())
}

/// Waits until every pod is proven.
async fn holds(node: &Node) -> Result<()> {
    eventually("the Agent's condition to be True", WITHIN, async || {
        let condition = of_agent(node, NAMESPACE).await?;
        ensure!(condition["status"] == "True" && condition["reason"] == "Captured", "{condition}");
        Ok(())
    })
    .await
}

/// A write that the policy allows, until it is answered so.
async fn draft(agent: &PodAgent, status: u16, code: &Value) -> Result<()> {
    eventually(&format!("a draft of {} to be answered {status}", agent.pod().name_any()), WITHIN, async || {
        let body = json!({"amount": "12.00"});
        let reply = agent.call("POST", "http://127.0.0.1:15080/bench/items", Some(&body), &[]).await?;
        ensure!(reply.status == Some(status) && reply.body["code"] == *code, "{reply:?}");
        Ok(())
    })
    .await
}

fn row<'a>(report: &'a Value, pod: &str) -> Result<&'a Value> {
    let rows = report["pods"].as_array().context("no pods")?;
    rows.iter().find(|row| row["pod"] == pod).with_context(|| format!("no row of {pod}: {report:#}"))
}
