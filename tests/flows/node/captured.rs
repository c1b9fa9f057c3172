//! A captured agent reaches its tool by every way in, judged alike, and nothing else by any way.

use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::node::{Bench, BenchSpec, World, may_run};
use anyhow::{Result, ensure};
use serde_json::json;

use super::scene::{self, EGRESS_ADDRESS, EGRESS_NAME, EVIL_ADDRESS, EVIL_NAME};

const WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_in_is_judged_and_every_way_out_is_closed() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let node = scene::node().await?;
    let mut spec = BenchSpec::new("ways", "Captured", 18_002);
    spec.egress = json!([{"host": EGRESS_NAME, "ports": [8443], "reason": "the model"}]);
    let bench = Bench::set(node, &spec).await?;
    let ports = "80,443,53,8080,8443,9999";
    let arguments = ["sink", "--ports", ports, "--ips", EVIL_ADDRESS, "--control", "10.99.0.254:19002"];
    let _sink = World::run(node, "sink-ways", &arguments).await?;
    let sink = World::reach(node, "10.99.0.254:19002")?;
    let model = format!("{EGRESS_ADDRESS}:8443");
    let _model = World::run(node, "model-ways", &["serve", "--listen", &model, "--name", "model"]).await?;
    let agent = bench.agent("agent").await?;

    bench.until(&agent, "/bench/items/7", 200).await?;
    let base = "http://127.0.0.1:15080";
    let by_name = format!("{}/items/7", bench.tool);
    let ways: [(&str, &str, Vec<&str>); 3] = [
        ("base URL", "http://127.0.0.1:15080/bench/items/7", vec![]),
        ("forward proxy", &by_name, vec!["--proxy", base]),
        ("its own host name, unchanged code", &by_name, vec![]),
    ];
    for (way, url, more) in &ways {
        let reply = agent.call("GET", url, None, more).await?;
        ensure!(reply.status == Some(200), "{way}: {reply:?}");
        ensure!(reply.headers.contains_key("aegis-decision"), "{way}: judged without a decision id: {reply:?}");
    }
    // Refused alike: an amount over the rule, and an operation that nobody declared.
    let over = json!({"amount": "9000.00"});
    let draft = format!("{}/items", bench.tool);
    for (way, url, more) in [
        ("base URL", "http://127.0.0.1:15080/bench/items".to_owned(), vec![]),
        ("forward proxy", draft.clone(), vec!["--proxy", base]),
        ("its own host name", draft, vec![]),
    ] {
        let reply = agent.call("POST", &url, Some(&over), &more).await?;
        ensure!(reply.status == Some(403), "{way}: {reply:?}");
        ensure!(reply.body.get("code") == Some(&json!("no_rule_allows")), "{way}: {reply:?}");
    }
    let reached = bench.reached().await?;
    ensure!(reached >= 4, "the tool saw {reached} calls");

    // An egress host by CONNECT, and by name when its port speaks TLS; here plain HTTP through the tunnel.
    let url = format!("http://{EGRESS_NAME}:8443/hello");
    let direct = agent.call("GET", &url, None, &[]).await?;
    ensure!(direct.status != Some(200), "plain HTTP to an egress host is no tool and no TLS: {direct:?}");

    for (what, arguments) in [
        ("an address", vec!["get", "http://203.0.113.20:8080/x", "--timeout", "3000"]),
        ("a name that nobody declared", vec!["get", "http://evil.example:8080/x", "--timeout", "3000"]),
        ("a tunnel by CONNECT", vec!["get", "https://evil.example:8443/x", "--proxy", base, "--timeout", "3000"]),
        ("a proxied URL", vec!["get", "http://evil.example:8080/x", "--proxy", base, "--timeout", "3000"]),
        ("a lookup of the outside", vec!["lookup", EVIL_NAME]),
    ] {
        let text = agent.exec(&arguments).await.unwrap_or_else(|error| format!("{error:#}"));
        ensure!(!text.contains("\"body\":\"sink\""), "{what} got out: {text}");
        ensure!(!text.contains(EVIL_ADDRESS) || !what.contains("lookup"), "{what} was answered: {text}");
    }
    eventually("the sink to have counted", WITHIN, async || {
        let counted =
            aegis_tests::erp::http_json(http::Method::GET, &format!("http://{sink}/count"), &[], None).await?;
        ensure!(counted.body.get("total") == Some(&json!(0)), "something got out: {}", counted.body);
        Ok(())
    })
    .await
}
