//! Who may reach whom: the network policies that the operator wrote for its agents, as the API server holds them, judged by
//! cyclonus, an analyser that is not ours, against a plain table.

use std::path::Path;
use std::process::Stdio;

use aegis_crds::api::Agent;
use aegis_tests::cluster::{TestNamespace, eventually};
use aegis_tests::install;
use aegis_tests::mesh::{Operator, OperatorSpec, pods};
use aegis_tests::tools;
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::shop::PATIENCE;

/// Two agents, their tools, and what these lead to. `AT` is the namespace.
const MANIFESTS: &str = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: courier}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: vault}
---
apiVersion: v1
kind: Service
metadata: {name: ledger}
spec: {selector: {app: ledger}, ports: [{port: 80, targetPort: 8069}]}
---
apiVersion: v1
kind: Service
metadata: {name: aegis-operator}
spec: {selector: {app: control}, ports: [{port: 8443}]}
---
apiVersion: v1
kind: Service
metadata: {name: dns}
spec: {ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: dns-1, labels: {kubernetes.io/service-name: dns}}
addressType: IPv4
ports: [{name: dns, port: 53, protocol: UDP}, {name: dns-tcp, port: 53}]
endpoints: [{addresses: [198.51.100.53]}]
---
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {name: ledger}
spec:
  endpoint: http://ledger.AT.svc
  allowPrivateAddresses: true
  credential: {secretRef: {name: ledger-key, key: token}, name: authorization, scheme: Bearer}
  operations: [{name: list, class: Read, http: {method: GET, path: /orders}}]
---
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {name: press}
spec:
  endpoint: https://203.0.113.7:8443
  operations: [{name: list, class: Read, http: {method: GET, path: /jobs}}]
---
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {name: bank}
spec:
  endpoint: https://bank.example
  operations: [{name: list, class: Read, http: {method: GET, path: /accounts}}]
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: reads}
spec:
  tools: [ledger, press]
  rules: [{name: reads, operations: ['*'], unconditional: true, effect: Allow}]
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {name: banks}
spec:
  agents: [vault]
  tools: [bank]
  rules: [{name: reads, operations: ['*'], unconditional: true, effect: Allow}]
---
apiVersion: aegis.dev/v1alpha1
kind: Agent
metadata: {name: courier}
spec:
  tenant: acme
  businessUnit: office
  owner: {name: Purchasing}
  version: '1.0'
  workload: {serviceAccountName: courier}
  enforcement: {level: Captured}
---
apiVersion: aegis.dev/v1alpha1
kind: Agent
metadata: {name: vault}
spec:
  tenant: acme
  businessUnit: office
  owner: {name: Purchasing}
  version: '1.0'
  workload: {serviceAccountName: vault}
  enforcement: {level: Sealed}
  egress: [{host: models.example, ports: [9443], reason: models}]
";

/// Labels of a pod, or an address; then the port and the protocol; then whether it may.
type Case = (&'static str, &'static str, u16, &'static str, bool);

/// `NAMESPACE/key=value,...`: `.` is the agents' own namespace. Two networks outside: 203.0.113.0/24 and 198.51.100.0/24.
const CASES: &[Case] = &[
    // A Captured agent reaches its tools, the control service and DNS, at their own ports.
    ("./aegis.dev/agent=courier", "./app=ledger", 8069, "TCP", true),
    ("./aegis.dev/agent=courier", "./app=ledger", 80, "TCP", false),
    ("./aegis.dev/agent=courier", "./app=ledger", 8069, "UDP", false),
    ("./aegis.dev/agent=courier", "elsewhere/app=ledger", 8069, "TCP", false),
    ("./aegis.dev/agent=courier", "203.0.113.7", 8443, "TCP", true),
    ("./aegis.dev/agent=courier", "203.0.113.7", 443, "TCP", false),
    ("./aegis.dev/agent=courier", "203.0.113.8", 8443, "TCP", false),
    ("./aegis.dev/agent=courier", "./app=control", 8443, "TCP", true),
    ("./aegis.dev/agent=courier", "./app=control", 9090, "TCP", false),
    ("./aegis.dev/agent=courier", "198.51.100.53", 53, "UDP", true),
    ("./aegis.dev/agent=courier", "198.51.100.53", 53, "TCP", true),
    ("./aegis.dev/agent=courier", "198.51.100.53", 443, "TCP", false),
    ("./aegis.dev/agent=courier", "198.51.100.54", 53, "UDP", false),
    ("./aegis.dev/agent=courier", "169.254.169.254", 80, "TCP", false),
    // Only the other agent's tool is a name.
    ("./aegis.dev/agent=courier", "203.0.113.9", 443, "TCP", false),
    ("./aegis.dev/agent=courier", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15443, "TCP", false),
    // A Sealed agent reaches its gateway, the control service and DNS.
    ("./aegis.dev/agent=vault", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15443, "TCP", true),
    ("./aegis.dev/agent=vault", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15020, "TCP", false),
    ("./aegis.dev/agent=vault", "./app=control", 8443, "TCP", true),
    ("./aegis.dev/agent=vault", "198.51.100.53", 53, "UDP", true),
    ("./aegis.dev/agent=vault", "./app=ledger", 8069, "TCP", false),
    ("./aegis.dev/agent=vault", "203.0.113.7", 8443, "TCP", false),
    ("./aegis.dev/agent=vault", "203.0.113.9", 443, "TCP", false),
    // Its gateway reaches the tools; a name as every address outside, at its port, never private or metadata ones.
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "./app=ledger", 8069, "TCP", true),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "203.0.113.7", 8443, "TCP", true),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "203.0.113.9", 443, "TCP", true),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "203.0.113.9", 9443, "TCP", true),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "203.0.113.9", 80, "TCP", false),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "10.1.2.3", 443, "TCP", false),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "192.168.1.1", 443, "TCP", false),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "169.254.169.254", 443, "TCP", false),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "169.254.169.254", 80, "TCP", false),
    ("./aegis.dev/agent=vault,aegis.dev/component=gateway", "./app=control", 8443, "TCP", true),
    // The gateway is reached by its agent only; so another agent, and anybody else, is not heard.
    ("./app=ledger", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15443, "TCP", false),
    ("203.0.113.9", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15443, "TCP", false),
    ("elsewhere/aegis.dev/agent=vault", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15443, "TCP", false),
    // What an agent serves stays open; its sidecar's admin port is for those who read metrics.
    ("./app=ledger", "./aegis.dev/agent=courier", 8080, "TCP", true),
    ("203.0.113.9", "./aegis.dev/agent=courier", 8080, "TCP", true),
    ("./app=ledger", "./aegis.dev/agent=courier", 15020, "TCP", false),
    ("elsewhere/app=prometheus", "./aegis.dev/agent=courier", 15020, "TCP", true),
    ("elsewhere/app=prometheus", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15020, "TCP", true),
    ("elsewhere/app=prometheus", "./aegis.dev/agent=vault,aegis.dev/component=gateway", 15443, "TCP", false),
    // Nobody else is touched.
    ("./app=ledger", "203.0.113.200", 443, "TCP", true),
    ("./app=ledger", "./app=control", 9090, "TCP", true),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_policies_let_through_what_the_table_says_and_an_analyser_agrees() -> Result<()> {
    let cluster = install::shared().await?;
    cluster
        .in_namespace("network", async |namespace| {
            let folder = tempfile::tempdir()?;
            let _operator = start(namespace, folder.path()).await?;
            let found = policies(namespace).await?;
            wide(namespace).await?;
            let file = folder.path().join("policies");
            std::fs::create_dir_all(&file)?;
            let list = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicyList", "items": found});
            std::fs::write(file.join("policies.yaml"), serde_json::to_string(&list)?)?;
            let traffic: Vec<Value> = CASES.iter().map(|case| traffic(namespace.name(), case)).collect();
            std::fs::write(folder.path().join("traffic.json"), serde_json::to_string(&traffic)?)?;
            let said = analyse(&file, &folder.path().join("traffic.json")).await?;
            ensure!(said.len() == CASES.len(), "{} answers to {} questions", said.len(), CASES.len());
            let wrong: Vec<_> = CASES.iter().zip(&said).filter(|(case, said)| case.4 != **said).collect();
            ensure!(wrong.is_empty(), "the analyser disagrees: {wrong:#?}");
            println!("figure: cyclonus agrees on {} of {} cases", CASES.len() - wrong.len(), CASES.len());
            lowered(namespace).await
        })
        .await
}

async fn start(namespace: &TestNamespace<'_>, folder: &Path) -> Result<Operator> {
    let name = namespace.name();
    namespace.apply("admin", MANIFESTS.replace("AT", name).as_str(), "flows").await?;
    let mut spec = OperatorSpec::new(&[name], &folder.join("operator"));
    spec.mesh = pods::settings();
    spec.mesh.control = format!("https://aegis-operator.{name}.svc:8443");
    spec.mesh.network.dns = vec![format!("dns.{name}.svc")];
    spec.mesh.network.metrics_from.insert("team".to_owned(), "monitoring".to_owned());
    let operator = Operator::start(namespace.cluster(), &spec).await?;
    namespace.watch_log(operator.process().log());
    Ok(operator)
}

/// The operator's policies, once they are all there, and the gateway with them.
async fn policies(namespace: &TestNamespace<'_>) -> Result<Vec<NetworkPolicy>> {
    let policies: Api<NetworkPolicy> = namespace.api("admin").await?;
    let found = eventually("the network policies", PATIENCE, async || {
        let found = policies.list(&ListParams::default()).await?.items;
        let names: Vec<_> = found.iter().map(ResourceExt::name_any).collect();
        ensure!(names == ["aegis-agent-courier", "aegis-agent-vault", "aegis-gateway-vault"], "{names:?}");
        Ok(found)
    })
    .await?;
    eventually("the gateway", PATIENCE, async || {
        namespace.api::<Deployment>("admin").await?.get("vault-gateway").await?;
        namespace.api::<Service>("admin").await?.get("vault-gateway").await?;
        Ok(namespace.api::<PodDisruptionBudget>("admin").await?.get("vault-gateway").await.map(drop)?)
    })
    .await?;
    Ok(found)
}

/// The agent whose tool is only a name says so; the other does not.
async fn wide(namespace: &TestNamespace<'_>) -> Result<()> {
    let agents: Api<Agent> = namespace.api("admin").await?;
    eventually("the conditions", PATIENCE, async || {
        let of = async |name: &str, kind: &str| -> Result<Option<(String, String)>> {
            let conditions = agents.get(name).await?.status.unwrap_or_default().conditions;
            let found = conditions.into_iter().find(|condition| condition.type_ == kind);
            Ok(found.map(|condition| (condition.reason, condition.message)))
        };
        for name in ["courier", "vault"] {
            let (reason, message) = of(name, "Fenced").await?.context("no condition Fenced")?;
            ensure!(reason == "Applied", "{name}: {reason} {message}");
        }
        let (_, message) = of("vault", "EgressWide").await?.context("no condition EgressWide")?;
        ensure!(message.ends_with("bank.example, models.example"), "{message}");
        ensure!(of("courier", "EgressWide").await?.is_none(), "courier has no such names");
        Ok(())
    })
    .await
}

/// At level Mediated an agent owns nothing, and its gateway goes.
async fn lowered(namespace: &TestNamespace<'_>) -> Result<()> {
    let agents: Api<Agent> = namespace.api("admin").await?;
    let patch = Patch::Merge(json!({"spec": {"enforcement": {"level": "Mediated"}}}));
    agents.patch("vault", &PatchParams::default(), &patch).await?;
    eventually("the vault's objects to go", PATIENCE, async || {
        let policies: Api<NetworkPolicy> = namespace.api("admin").await?;
        let names: Vec<_> =
            policies.list(&ListParams::default()).await?.items.iter().map(ResourceExt::name_any).collect();
        ensure!(names == ["aegis-agent-courier"], "{names:?}");
        let deployments: Api<Deployment> = namespace.api("admin").await?;
        ensure!(deployments.get_opt("vault-gateway").await?.is_none(), "the gateway is still there");
        let services: Api<Service> = namespace.api("admin").await?;
        ensure!(services.get_opt("vault-gateway").await?.is_none(), "the Service is still there");
        ensure!(services.get_opt("ledger").await?.is_some(), "somebody else's Service went");
        Ok(())
    })
    .await
}

/// A question in the words of cyclonus.
fn traffic(own: &str, (from, to, port, protocol, _): &Case) -> Value {
    json!({"Source": peer(own, from), "Destination": peer(own, to), "ResolvedPort": port, "ResolvedPortName": "",
        "Protocol": protocol})
}

fn peer(own: &str, text: &str) -> Value {
    let Some((namespace, labels)) = text.split_once('/') else { return json!({"Internal": null, "IP": text}) };
    let labels: serde_json::Map<String, Value> = labels
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    // Kubernetes says that NotIn holds where the label is missing; cyclonus says that it does not. So none is missing.
    let mut labels = labels;
    labels.entry("aegis.dev/component").or_insert_with(|| "none".into());
    let (namespace, team) = if namespace == "." { (own, "agents") } else { (namespace, "monitoring") };
    json!({"Internal": {"PodLabels": labels, "Namespace": namespace,
        "NamespaceLabels": {"kubernetes.io/metadata.name": namespace, "team": team}}, "IP": "10.200.0.1"})
}

/// What the analyser says, one answer a question.
async fn analyse(policies: &Path, traffic: &Path) -> Result<Vec<bool>> {
    let output = Command::new(tools::cyclonus().await?)
        .args(["analyze", "--mode", "query-traffic", "--policy-path"])
        .arg(policies)
        .arg("--traffic-path")
        .arg(traffic)
        .stdin(Stdio::null())
        .output()
        .await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines()
        .filter(|line| line.contains("IS ALLOWED?"))
        .map(|line| match (line.contains("TRUE"), line.contains("FALSE")) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => anyhow::bail!("no answer: {line}"),
        })
        .collect()
}
