//! A hole in the rules of a pod that runs: within one interval of the probe the conditions name it, writes are refused,
//! `aegis check` fails, and the pod gets no further token; when it is mended all is as before.

use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use aegis_tests::node::{BenchSpec, Node, PodAgent, may_run};
use aegis_tests::story::{Teller, review};
use anyhow::{Context as _, Result, ensure};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::rules::{nft, without_second_layer};
use super::status::{check, failed, of_agent, of_pod};
use super::torn::torn;

const NAMESPACE: &str = "broken";
/// Of the flow that commits.
const COMMITS: &str = "broken-commits";
/// The shortest life of a token that an Agent may ask for, and a call.
const LIFE: Duration = Duration::from_secs(60 + 5);
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
    let (bench, agents) = torn
        .bench(&BenchSpec::new(NAMESPACE, "Captured", 18_101), async |bench| {
            tokio::try_join!(bench.agent(NO_IPV6.pod), bench.agent(ONE_PORT.pod))
        })
        .await?;
    let broken = [(&NO_IPV6, &agents.0), (&ONE_PORT, &agents.1)];
    holds(node, NAMESPACE).await?;
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
    holds(node, NAMESPACE).await?;
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_capture_commits_nothing_and_gets_no_token() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let _cable = torn.cable.lock().await;
    let node = &torn.node;
    let spec = BenchSpec { token_ttl: "60s", ..BenchSpec::new(COMMITS, "Captured", 18_109) };
    let (bench, agent) = torn
        .bench(&spec, async |bench| {
            may_commit(node).await?;
            bench.agent(ONE_PORT.pod).await
        })
        .await?;
    commit(&agent, 200, &Value::Null, WITHIN).await?;
    let whole = nft(node, agent.pod(), "list ruleset\n").await?;
    let wire = without_second_layer(node, agent.pod()).await?;
    nft(node, agent.pod(), &format!("{}{wire}", ONE_PORT.rules)).await?;

    let (began, broken) = (Instant::now(), json!("capture_broken"));
    commit(&agent, 503, &broken, INTERVAL).await?;
    println!("a Commit is refused {} ms after the hole was made", began.elapsed().as_millis());
    // The token that it had lives on, and no other follows.
    let began = Instant::now();
    eventually("what reads to end with the token", LIFE, async || {
        let reply = agent.call("GET", "http://127.0.0.1:15080/bench/items/7", None, &[]).await?;
        ensure!(reply.status == Some(503) && reply.body["code"] == "token_not_fresh", "{reply:?}");
        Ok(())
    })
    .await?;
    println!("its token ended {} ms later", began.elapsed().as_millis());
    let condition = of_pod(node, COMMITS, ONE_PORT.pod).await?;
    ensure!(condition["status"] == "False" && condition["reason"] == "GotOut", "{condition}");
    let reached = bench.reached().await?;
    commit(&agent, 503, &broken, WITHIN).await?;
    ensure!(bench.reached().await? == reached, "what was refused reached the tool");

    nft(node, agent.pod(), &format!("flush ruleset\n{whole}")).await?;
    let began = Instant::now();
    commit(&agent, 200, &Value::Null, WITHIN).await?;
    println!("mended, and a Commit is done again after {} ms", began.elapsed().as_millis());
    bench.until(&agent, "/bench/items/7", 200).await?;
    holds(node, COMMITS).await
}

/// Gives the agent of a bench an operation that commits, and has it reviewed with a ceiling that lets it.
async fn may_commit(node: &Node) -> Result<()> {
    let patch = async |object: &str, kind: &str, patch: Value| {
        let kind = format!("--type={kind}");
        node.kubectl(&["patch", object, "-n", COMMITS, &kind, "-p", &patch.to_string()]).await
    };
    let digest = ["get", "agent/buyer", "-n", COMMITS, "-o", "jsonpath={.status.reviewDigest}"];
    let amount = json!({"amount": {"type": "string", "pattern": "^[0-9]+[.][0-9]{2}$"}});
    let operation = json!({
        "name": "orders.confirm", "class": "Commit", "http": {"method": "POST", "path": "/orders/{id}"},
        "arguments": {"type": "object", "required": ["amount"], "properties": amount},
    });
    let rule = json!({
        "name": "confirm", "operations": ["orders.confirm"], "effect": "Allow",
        "when": [{"field": "amount", "atMost": "5000.00"}],
    });
    patch("tool/bench", "json", json!([{"op": "add", "path": "/spec/operations/-", "value": operation}])).await?;
    patch("toolpolicy/bench", "json", json!([{"op": "add", "path": "/spec/rules/-", "value": rule}])).await?;
    let before = node.kubectl(&digest).await?;
    patch("agent/buyer", "merge", json!({"spec": {"ceiling": "Commit"}})).await?;
    eventually("the operator to ask for another review", WITHIN, async || {
        ensure!(node.kubectl(&digest).await? != before, "it does not yet");
        Ok(())
    })
    .await?;
    review(&node.cluster, COMMITS, &Teller::silent(), "buyer").await
}

/// Waits until every pod is proven.
async fn holds(node: &Node, namespace: &str) -> Result<()> {
    eventually("the Agent's condition to be True", WITHIN, async || {
        let condition = of_agent(node, namespace).await?;
        ensure!(condition["status"] == "True" && condition["reason"] == "Captured", "{condition}");
        Ok(())
    })
    .await
}

/// A Draft that the policy allows, until it is answered so.
async fn draft(agent: &PodAgent, status: u16, code: &Value) -> Result<()> {
    write(agent, "items", status, code, WITHIN).await
}

/// A Commit that the policy allows, until it is answered so.
async fn commit(agent: &PodAgent, status: u16, code: &Value, within: Duration) -> Result<()> {
    write(agent, "orders/7", status, code, within).await
}

async fn write(agent: &PodAgent, path: &str, status: u16, code: &Value, within: Duration) -> Result<()> {
    let url = format!("http://127.0.0.1:15080/bench/{path}");
    eventually(&format!("{path} of {} to be answered {status}", agent.pod().name_any()), within, async || {
        let reply = agent.call("POST", &url, Some(&json!({"amount": "12.00"})), &[]).await?;
        ensure!(reply.status == Some(status) && reply.body["code"] == *code, "{reply:?}");
        Ok(())
    })
    .await
}

fn row<'a>(report: &'a Value, pod: &str) -> Result<&'a Value> {
    let rows = report["pods"].as_array().context("no pods")?;
    rows.iter().find(|row| row["pod"] == pod).with_context(|| format!("no row of {pod}: {report:#}"))
}
