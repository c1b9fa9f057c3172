//! A tool that turns hostile: it redirects, or its name begins to lead elsewhere (BYP-33). The real sidecar in the pod
//! follows neither.

use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::erp::http_json;
use aegis_tests::node::{BenchSpec, Node, PodAgent, TOOL_ADDRESS, TOOL_NAME, World, logs, may_run};
use anyhow::{Result, ensure};
use serde_json::json;

use super::scene::{self, EGRESS_ADDRESS};
use super::sink::SINK_V4;
use super::torn::torn;

const NAMESPACE: &str = "turned";
const WITHIN: Duration = Duration::from_mins(1);
const CALL: &str = "/bench/items/7";
/// Port of the tool that redirects, and of the one whose name flips.
const REDIRECTS: u16 = 18_107;
const FLIPS: u16 = 18_108;
const FLIPPING: &str = "flip.example";
/// Where the name leads afterwards: credentials of the node, and a private network.
const HOSTILE: [(&str, &str); 2] = [("169.254.169.254", "metadata service"), (TOOL_ADDRESS, "private")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tool_that_redirects_or_flips_leads_nowhere() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let node = &torn.node;
    let spec = BenchSpec::new(NAMESPACE, "Captured", 18_106);
    let (bench, agent) = torn.bench(&spec, async |bench| bench.agent("agent").await).await?;
    bench.until(&agent, CALL, 200).await?;

    let stolen = format!("http://{SINK_V4}:8080/stolen");
    let listen = format!("{TOOL_ADDRESS}:{REDIRECTS}");
    let redirects = ["serve", "--listen", &listen, "--name", "redirects", "--status", "302", "--location", &stolen];
    let _redirects = World::run(node, "turned-redirects", &redirects).await?;
    let _thief = serve(node, "thief", &[&format!("{SINK_V4}:8080")]).await?;
    tool(node, &format!("http://{TOOL_NAME}:{REDIRECTS}"), true).await?;
    let reply = bench.until(&agent, CALL, 302).await?;
    ensure!(!reply.headers.contains_key("location"), "the agent is told where to: {reply:?}");
    ensure!(requests(node, &format!("{SINK_V4}:8080")).await? == 0, "the redirect was followed");

    let inside: Vec<String> = HOSTILE.iter().map(|(address, _)| format!("{address}:{FLIPS}")).collect();
    let inside: Vec<&str> = inside.iter().map(String::as_str).collect();
    let _inside = serve(node, "inside", &inside).await?;
    tool(node, &format!("http://{FLIPPING}:{FLIPS}"), false).await?;
    for (address, class) in HOSTILE {
        lead(node, EGRESS_ADDRESS)?;
        // Ends with its turn, so that no connection is left for the next call.
        let public = serve(node, &format!("public-{class}"), &[&format!("{EGRESS_ADDRESS}:{FLIPS}")]).await?;
        let reply = bench.until(&agent, CALL, 200).await?;
        ensure!(reply.body["name"].as_str().is_some_and(|name| name.starts_with("public")), "{reply:?}");
        lead(node, address)?;
        drop(public);
        forbidden(node, &agent, class).await?;
        ensure!(requests(node, &format!("{address}:{FLIPS}")).await? == 0, "{address} was reached");
    }
    scene::names(node)
}

/// Points the agent's tool somewhere else.
async fn tool(node: &Node, endpoint: &str, private: bool) -> Result<()> {
    let patch = json!({"spec": {"endpoint": endpoint, "allowPrivateAddresses": private}}).to_string();
    node.kubectl(&["patch", "tool", "bench", "-n", NAMESPACE, "--type=merge", "-p", &patch]).await.map(drop)
}

/// Gives the name this address.
fn lead(node: &Node, address: &str) -> Result<()> {
    World::names(node, &[(TOOL_NAME, TOOL_ADDRESS), (FLIPPING, address)])
}

async fn serve(node: &Node, name: &str, listen: &[&str]) -> Result<aegis_tests::cluster::process::Process> {
    let log = format!("turned-{}", name.replace(' ', "-"));
    let process = World::run(node, &log, &["serve", "--listen", &listen.join(","), "--name", name]).await?;
    process.wait_for_log("listening", WITHIN).await?;
    Ok(process)
}

/// Requests that a server outside has seen.
async fn requests(node: &Node, address: &str) -> Result<u64> {
    let address = World::reach(node, address)?;
    let answer = http_json(http::Method::GET, &format!("http://{address}/count"), &[], None).await?;
    answer.body["requests"].as_u64().ok_or_else(|| anyhow::anyhow!("no count: {}", answer.body))
}

/// Waits until a call is refused because of the class of the name's address, as the sidecar's log says.
async fn forbidden(node: &Node, agent: &PodAgent, class: &str) -> Result<()> {
    eventually(&format!("a {class} address to be refused"), WITHIN, async || {
        let reply = agent.call("GET", &format!("http://127.0.0.1:15080{CALL}"), None, &[]).await?;
        ensure!(reply.status == Some(502) && reply.body["code"] == "upstream_unreachable", "{reply:?}");
        let log = logs(node, NAMESPACE, "agent", "aegis-sidecar").await?;
        ensure!(
            log.contains(&format!("forbidden address: {class}")),
            "the sidecar's log does not say so yet: {reply:?}"
        );
        Ok(())
    })
    .await
}
