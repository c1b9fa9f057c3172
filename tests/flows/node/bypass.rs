//! The bypass suite inside real pods, with the frames counted outside: nothing gets out of a captured pod, and what gets
//! out of a mediated one is printed.

use std::collections::BTreeSet;
use std::time::Instant;

use aegis_tests::mesh::binary;
use aegis_tests::node::{Bench, BenchSpec, Node, create, image, may_run, pod, wait_running};
use aegis_tests::tools;
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use tokio::process::Command;

use super::rules::nft;
use super::sink::{SINK_V4, SINK_V6, command, unfenced};
use super::torn::torn;

const WITHIN: std::time::Duration = std::time::Duration::from_secs(90);
/// Techniques whose other end is the sidecar: it is a real one here.
const SIDECARS: [u64; 6] = [28, 29, 30, 31, 32, 34];
/// Techniques that nothing stops without rules.
const OPEN: [u64; 10] = [1, 2, 3, 4, 5, 9, 12, 13, 15, 16];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_in_pods_lets_nothing_out_of_captured_and_tells_of_mediated() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let torn = torn().await?;
    let _cable = torn.cable.lock().await;
    let node = &torn.node;
    let whole = torn.whole.read().await;
    let captured = Bench::set(node, &BenchSpec::new("bypass", "Captured", 18_104)).await?;
    let mediated = Bench::set(node, &BenchSpec::new("bypass-open", "Mediated", 18_105)).await?;
    for bench in [&captured, &mediated] {
        unfenced(node, &bench.namespace).await?;
    }
    // Persona B does not come past admission where the pod is captured.
    match create(node, "bypass", crowded(&["neighbour", "root"])).await {
        Err(refusal) if refusal.to_string().contains("root") => println!("persona B, captured: {refusal}"),
        other => bail!("a container that runs as root: {other:?}"),
    }
    create(node, "bypass", crowded(&["neighbour"])).await?;
    create(node, "bypass-open", crowded(&["hardened", "neighbour", "root"])).await?;
    let held = wait_running(node, "bypass", "agent", WITHIN).await?;
    let open = wait_running(node, "bypass-open", "agent", WITHIN).await?;
    drop(whole);

    let captured = Suite { node, pod: &held, namespace: "bypass", more: &["--neighbour", "neighbour"] };
    let began = Instant::now();
    let (passed, report) = captured.json().await?;
    let took = began.elapsed();
    println!("{}", captured.run(&[]).await?.1);
    println!("the bypass suite in a captured pod, two personas: {} ms", took.as_millis());
    ensure!(passed && frames(&report) == 0, "{report:#}");
    for persona in ["Hardened", "Neighbour"] {
        let cells = |outcome| numbers(&report, persona, outcome);
        ensure!(cells("GotOut").is_empty(), "{persona}: {report:#}");
        let blocked = cells("Blocked");
        ensure!(blocked.len() >= 20, "{persona}: only {blocked:?} were tried");
        ensure!(SIDECARS.iter().all(|number| blocked.contains(number)), "{persona} and the sidecar: {blocked:?}");
    }

    // The same with the rules deleted: the sink does count, and the suite does fail.
    nft(node, &held, "flush ruleset\n").await?;
    let (passed, report) = captured.json().await?;
    ensure!(!passed && frames(&report) > 0, "without rules nothing arrives: {report:#}");
    // Its own probe would go on finding that out.
    node.kubectl(&["delete", "pod", "agent", "-n", "bypass", "--now"]).await?;

    let uid = sidecar_uid(&open)?;
    let more =
        ["--mediated", "--container", "hardened", "--neighbour", "neighbour", "--root", "root", "--sidecar-uid", &uid];
    let mediated = Suite { node, pod: &open, namespace: "bypass-open", more: &more };
    println!("{}", mediated.run(&[]).await?.1);
    let (passed, report) = mediated.json().await?;
    println!("{report}");
    ensure!(passed && frames(&report) > 0, "{report:#}");
    for persona in ["Hardened", "Neighbour", "DefaultRoot"] {
        let out = numbers(&report, persona, "GotOut");
        println!("mediated, {persona}: {out:?} get out");
        ensure!(OPEN.iter().all(|number| out.contains(number)), "{persona}: {out:?}");
        ensure!(SIDECARS.iter().all(|number| !out.contains(number)), "{persona} and the sidecar: {out:?}");
    }
    Ok(())
}

/// A pod of the agent with containers that have the probe's program, each as one persona.
fn crowded(personas: &[&str]) -> Value {
    let mut crowded = pod("agent", "buyer", &["idle"]);
    for persona in personas {
        let security = match *persona {
            // As a container runtime makes it; webhooks take some of it away unless it is asked for.
            "root" => json!({"runAsUser": 0, "capabilities": {"add": ["NET_RAW"]}}),
            name => json!({
                "runAsUser": if name == "hardened" { 1000 } else { 2000 }, "runAsNonRoot": true,
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            }),
        };
        // Without orders from a sidecar the probe waits, and can be run by hand. In its folder it makes programs.
        let container = json!({
            "name": persona, "image": image("aegis-probe"), "imagePullPolicy": "IfNotPresent", "securityContext": security,
            "volumeMounts": [{"name": persona, "mountPath": "/tmp"}],
        });
        let spec = &mut crowded["spec"];
        spec["containers"].as_array_mut().expect("containers").push(container);
        let volumes = spec.as_object_mut().expect("a spec").entry("volumes").or_insert_with(|| json!([]));
        volumes.as_array_mut().expect("volumes").push(json!({"name": persona, "emptyDir": {}}));
    }
    crowded
}

/// The suite against one pod.
struct Suite<'a> {
    node: &'a Node,
    pod: &'a Pod,
    namespace: &'a str,
    more: &'a [&'a str],
}

impl Suite<'_> {
    /// Whether it passed, and its report.
    async fn json(&self) -> Result<(bool, Value)> {
        let (passed, text) = self.run(&["--json"]).await?;
        Ok((passed, serde_json::from_str(&text)?))
    }

    /// Whether it passed, and what it printed.
    async fn run(&self, how: &[&str]) -> Result<(bool, String)> {
        let ready = self.node.cluster.ready();
        let kubeconfig = self.node.cluster.kubeconfig("admin");
        let kubectl = format!("{} kubectl --kubeconfig {}", tools::testbed().await?.display(), kubeconfig.display());
        let sink = command(self.node, self.pod)?.join(" ");
        let address = &ready.node.as_ref().context("no node")?.addresses;
        let targets: Vec<String> = address
            .iter()
            .map(|address| match address.parse() {
                Ok(std::net::IpAddr::V6(v6)) => format!("[{v6}]:6443"),
                _ => format!("{address}:6443"),
            })
            .collect();
        let mut suite = Command::new(binary("bypass")?);
        suite.args(["pod", "-n", self.namespace, "--pod", "agent", "--kubectl", &kubectl, "--sink-command", &sink]);
        suite.args(["--sink-v4", SINK_V4, "--sink-v6", SINK_V6, "--targets", &targets.join(",")]);
        suite.args(self.more).args(how).env("KUBECACHEDIR", ready.dir.join("kubectl-cache")).kill_on_drop(true);
        let output = suite.output().await?;
        let text = String::from_utf8(output.stdout)?;
        ensure!(!text.is_empty(), "bypass pod: {}", String::from_utf8_lossy(&output.stderr));
        Ok((output.status.success(), text))
    }
}

/// Frames that arrived at the sink, of all personas.
fn frames(report: &Value) -> u64 {
    let checks = report["checks"].as_array().expect("checks").iter();
    checks.map(|check| check["frames"]["count"].as_u64().expect("a count")).sum()
}

fn numbers(report: &Value, persona: &str, outcome: &str) -> BTreeSet<u64> {
    let cells = report["cells"].as_array().expect("cells").iter();
    let found = cells.filter(|cell| cell["persona"] == persona && cell["outcome"] == outcome);
    found.filter_map(|cell| cell["technique"].as_u64()).collect()
}

fn sidecar_uid(pod: &Pod) -> Result<String> {
    let containers = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()).context("no init containers")?;
    let sidecar = containers.iter().find(|one| one.name == "aegis-sidecar").context("no sidecar")?;
    let uid = sidecar.security_context.as_ref().and_then(|context| context.run_as_user).context("no user")?;
    Ok(uid.to_string())
}
