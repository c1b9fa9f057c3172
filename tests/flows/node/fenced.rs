//! Network policies on a node that enforces them: what is left to a sidecar that was taken over.
//!
//! Everything is tried from the network of the agent's pod as the sidecar's own user, whom the packet rules let out: only
//! the policies are in the way. What must not be reached is tried from a pod that no policy selects as well, and answers
//! there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::cluster::process::Process;
use aegis_tests::node::{
    Bench, BenchSpec, CHART_NAMESPACE, Node, TOOL_ADDRESS, World, container_pid, create, image, may_run, wait_running,
};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use serde_json::json;

use super::reach::{Inside, Over, Target};
use super::scene::{self, EVIL_ADDRESS};
use super::sealed::gateways;

const WITHIN: Duration = Duration::from_mins(1);
/// Port of the sink, of another server beside the tool, and of the bystander.
const SINK: u16 = 7443;
const BYSTANDER: u16 = 8080;

/// What no agent may reach, and where it is tried with success.
struct Outside {
    from: Inside,
    targets: Vec<Target>,
    _servers: [Process; 2],
}

impl Outside {
    /// A bystander's pod in a namespace of its own, servers outside, and the cluster's own ports. `other` is a port beside
    /// the tool's.
    async fn set(node: &Arc<Node>, namespace: &str, other: u16) -> Result<Self> {
        let namespace = format!("{namespace}-bystander");
        node.kubectl(&["create", "namespace", &namespace]).await?;
        let listen = format!("[::]:{BYSTANDER}");
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bystander"},
            "spec": {"containers": [{"name": "serve", "image": image("aegis-testkit"), "imagePullPolicy": "IfNotPresent",
                "args": ["serve", "--listen", listen, "--name", "bystander"]}]},
        });
        create(node, &namespace, pod).await?;
        let pod = wait_running(node, &namespace, "bystander", WITHIN).await?;
        let beside = format!("{TOOL_ADDRESS}:{other}");
        let serve = ["serve", "--listen", &beside, "--name", "beside"];
        let (control, ips) =
            (format!("{TOOL_ADDRESS}:{}", other + 1000), format!("{EVIL_ADDRESS},169.254.169.254,2001:db8::20"));
        let (port, sink) = (SINK.to_string(), format!("sink-{namespace}"));
        let sink_arguments = ["sink", "--ports", &port, "--ips", &ips, "--control", &control];
        let servers = [
            World::run(node, &format!("beside-{namespace}"), &serve).await?,
            World::run(node, &sink, &sink_arguments).await?,
        ];
        let bystander = addresses(&pod).into_iter().map(|ip| Ok(Target::tcp("another pod", at(&ip, BYSTANDER)?)));
        let mut targets = bystander.collect::<Result<Vec<_>>>()?;
        let ready = node.cluster.ready().node.as_ref().context("no node")?;
        let api = ready.server.trim_start_matches("https://").parse().context(ready.server.clone())?;
        let kubernetes = cluster_ip(node, "default", "kubernetes").await?;
        let kubelet = ready.addresses.first().context("the node has no address")?;
        for (what, address) in [
            ("the API server", api),
            ("the API server's Service", at(&kubernetes, 443)?),
            ("the kubelet", at(kubelet, 10_250)?),
            ("another port beside the tool", beside.parse()?),
            ("the internet", at(EVIL_ADDRESS, SINK)?),
            ("the internet by IPv6", at("2001:db8::20", SINK)?),
            ("the metadata address", at("169.254.169.254", SINK)?),
        ] {
            targets.push(Target::tcp(what, address));
        }
        targets.push(Target { what: "the internet by UDP", address: at(EVIL_ADDRESS, SINK)?, over: Over::Udp });
        let from = Inside { pid: container_pid(node, &pod, "serve")?, uid: 54_321 };
        Ok(Self { from, targets, _servers: servers })
    }
}

/// What every agent's pod needs.
async fn mesh(node: &Node) -> Result<Vec<Target>> {
    let dns = at(&node.cluster.ready().node.as_ref().context("no node")?.dns, 53)?;
    let control = at(&cluster_ip(node, CHART_NAMESPACE, "aegis-operator").await?, 8443)?;
    Ok(vec![
        Target::tcp("the control service", control),
        Target::tcp("DNS by TCP", dns),
        Target { what: "DNS by UDP", address: dns, over: Over::Dns },
    ])
}

/// Tries everything; the policies count once the enforcer has heard of them.
async fn holds(who: &str, pod: Inside, open: &[Target], closed: &[Target], outside: &Outside) -> Result<()> {
    for target in &outside.targets {
        ensure!(target.is_reached(outside.from).await?, "{target} does not answer anybody");
    }
    eventually(&format!("{who} to be fenced"), WITHIN, async || {
        for target in open {
            ensure!(target.is_reached(pod).await?, "{who} does not reach {target}");
        }
        for target in outside.targets.iter().chain(closed) {
            ensure!(!target.is_reached(pod).await?, "{who} reaches {target}");
        }
        Ok(())
    })
    .await?;
    println!("{who}, as user {} of its sidecar, in its pod's network:", pod.uid);
    for (is_open, targets) in [(true, open), (false, &outside.targets), (false, closed)] {
        for target in targets {
            println!("  {} {target}", if is_open { "reached     " } else { "not reached " });
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_pod_reaches_its_gateway_only_even_with_a_broken_sidecar() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("fenced-sealed", "Sealed", 18_050)).await?;
    let gateways = gateways(node, "fenced-sealed").await?;
    let agent = bench.agent("agent").await?;
    bench.until(&agent, "/bench/items/7", 200).await?;
    let outside = Outside::set(node, "fenced-sealed", 18_051).await?;
    let mut open = mesh(node).await?;
    let service = cluster_ip(node, "fenced-sealed", "buyer-gateway").await?;
    open.push(Target::tcp("the gateway's Service", at(&service, 15_443)?));
    let mut admin = Vec::new();
    for ip in gateways.iter().flat_map(|gateway| addresses(gateway).into_iter().take(1)) {
        let gateway = Target::tcp("a gateway", at(&ip, 15_443)?);
        ensure!(!gateway.is_reached(outside.from).await?, "a bystander reaches {gateway}");
        open.push(gateway);
        admin.push(Target::tcp("a gateway's admin port", at(&ip, 15_020)?));
    }
    let tool = Target::tcp("the agent's own tool", at(TOOL_ADDRESS, 18_050)?);
    ensure!(tool.is_reached(outside.from).await?, "the tool is not there");
    admin.push(tool);
    holds("a Sealed agent", sidecar(node, agent.pod())?, &open, &admin, &outside).await?;
    bench.until(&agent, "/bench/items/7", 200).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_captured_pod_reaches_its_tools_only_even_with_a_broken_sidecar() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let node = scene::node().await?;
    let bench = Bench::set(node, &BenchSpec::new("fenced-captured", "Captured", 18_052)).await?;
    // A name is as wide as the internet (condition EgressWide); an address is exact.
    let exact = json!({"spec": {"endpoint": format!("http://{TOOL_ADDRESS}:18052")}}).to_string();
    node.kubectl(&["patch", "tool", "bench", "-n", "fenced-captured", "--type=merge", "-p", &exact]).await?;
    let policies: Api<NetworkPolicy> = Api::namespaced(node.cluster.admin().await?, "fenced-captured");
    eventually("the policy to name the tool's address", WITHIN, async || {
        let policy = serde_json::to_string(&policies.get("aegis-agent-buyer").await?.spec)?;
        ensure!(policy.contains(&format!("{TOOL_ADDRESS}/32")) && !policy.contains("0.0.0.0/0"), "{policy}");
        Ok(())
    })
    .await?;
    let agent = bench.agent("agent").await?;
    bench.until(&agent, "/bench/items/7", 200).await?;
    let outside = Outside::set(node, "fenced-captured", 18_053).await?;
    let mut open = mesh(node).await?;
    open.push(Target::tcp("its tool", at(TOOL_ADDRESS, 18_052)?));
    holds("a Captured agent", sidecar(node, agent.pod())?, &open, &[], &outside).await?;
    bench.until(&agent, "/bench/items/7", 200).await.map(drop)
}

/// The network of a pod's sidecar, and its user.
fn sidecar(node: &Node, pod: &Pod) -> Result<Inside> {
    let mut containers = pod.spec.iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecar = containers.find(|container| container.name == "aegis-sidecar").context("no sidecar")?;
    let uid = sidecar.security_context.as_ref().and_then(|context| context.run_as_user).context("no user")?;
    Ok(Inside { pid: container_pid(node, pod, "aegis-sidecar")?, uid })
}

fn addresses(pod: &Pod) -> Vec<String> {
    let all = pod.status.iter().flat_map(|status| status.pod_ips.iter().flatten());
    all.map(|address| address.ip.clone()).collect()
}

fn at(ip: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.parse().with_context(|| format!("{ip} is no address"))?, port))
}

async fn cluster_ip(node: &Node, namespace: &str, name: &str) -> Result<String> {
    let services: Api<Service> = Api::namespaced(node.cluster.admin().await?, namespace);
    let service = services.get(name).await?;
    service.spec.and_then(|spec| spec.cluster_ip).with_context(|| format!("{namespace}/{name} has no address"))
}
