//! A new version of the sidecar comes in while agents work: the old one stays good until the agents are restarted, a
//! sidecar that ends finishes what is under way, and every answer has its record.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_decision::record::RecordedExecution;
use aegis_tests::cluster::{apply_in, eventually};
use aegis_tests::node::{Bench, BenchSpec, Evidence, Node, Series, image, keep, pod, records_of, tag};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use super::upgraded::replaced;

const WITHIN: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "rolled";
/// Tag of the new version's image. It is the same program: what is tried is that it has another name.
const NEXT: &str = "next";

/// Installs the new version, then restarts the agent, whose pods call all the time.
pub async fn sidecar(node: &Arc<Node>, folder: &Path) -> Result<()> {
    tag(&node.cluster, "aegis-proxy", NEXT).await?;
    let mut spec = BenchSpec::new(NAMESPACE, "Captured", 18_031);
    spec.token_ttl = "60s";
    // Most of the time a call is under way, so one is when an agent ends.
    spec.delay = Duration::from_millis(200);
    let bench = Bench::set(node, &spec).await?;
    let series = Series::post("http://127.0.0.1:15080/bench/items", &json!({"amount": "12.00"}));
    let rollout = Rollout { node, kept: folder.join("kept"), series };
    rollout.deploy().await?;
    rollout.counts(&json!({"matched": 2, "injected": 2, "current": 2, "verified": 2})).await?;
    let old = rollout.keep().await?;

    replaced(node, async || {
        let previous = format!("previousImages={{{}}}", image("aegis-proxy"));
        node.install(&[format!("images.proxy.tag={NEXT}"), previous]).await
    })
    .await?;
    rollout.counts(&json!({"matched": 2, "injected": 2, "current": 0, "verified": 2})).await?;
    rollout.renewed(&old).await.context("an old sidecar must get tokens from the new operator")?;

    rollout.kubectl(&["rollout", "restart", "deployment/buyer"]).await?;
    rollout.kubectl(&["rollout", "status", "deployment/buyer", "--timeout=180s"]).await?;
    rollout.counts(&json!({"matched": 2, "injected": 2, "current": 2, "verified": 2})).await?;
    let new = rollout.keep().await?;
    ensure!(new.is_disjoint(&old) && new.len() == 2, "old pods {old:?}, new pods {new:?}");

    rollout.kubectl(&["scale", "deployment/buyer", "--replicas=0"]).await?;
    rollout.gone().await?;
    let mut sum = Sum::default();
    for name in old.iter().chain(&new) {
        rollout.check(name, &mut sum).await.with_context(|| format!("pod {name}"))?;
    }
    let reached = bench.reached().await?;
    println!("rollout of a new sidecar: {sum:?}, {reached} seen by the tool");
    ensure!(reached == sum.sent, "the tool saw {reached} calls, {} are recorded as sent", sum.sent);
    Ok(())
}

/// What four pods did.
#[derive(Debug, Default)]
struct Sum {
    answered: u64,
    recorded: u64,
    sent: u64,
    under_way_at_the_end: u64,
}

struct Rollout<'a> {
    node: &'a Node,
    /// Folder of what pods leave: `POD/records`, `POD/logs`.
    kept: PathBuf,
    series: Series,
}

impl Rollout<'_> {
    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.node.kubectl(&[arguments, &["-n", NAMESPACE]].concat()).await
    }

    /// Two pods, each of which calls without end.
    async fn deploy(&self) -> Result<()> {
        let arguments = self.series.arguments(0, 10, &["--seconds", "3600"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let spec = pod("unused", "buyer", &arguments)["spec"].clone();
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "buyer"},
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "buyer"}},
                "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {"metadata": {"labels": {"aegis.dev/agent": "buyer", "app": "buyer"}}, "spec": spec},
            },
        });
        let admin = self.node.cluster.admin().await?;
        apply_in(&admin, NAMESPACE, deployment.to_string().as_str(), "platform").await?;
        self.kubectl(&["rollout", "status", "deployment/buyer", "--timeout=180s"]).await.map(drop)
    }

    async fn pods(&self) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.node.cluster.admin().await?, NAMESPACE);
        Ok(pods.list(&ListParams::default().labels("app=buyer")).await?.items)
    }

    async fn gone(&self) -> Result<()> {
        eventually("the agent's pods to be gone", WITHIN, async || {
            let left = self.pods().await?.len();
            ensure!(left == 0, "{left} are left");
            Ok(())
        })
        .await
    }

    /// Waits for what the Agent's status counts.
    async fn counts(&self, wanted: &Value) -> Result<()> {
        eventually(&format!("status.pods to be {wanted}"), WITHIN, async || {
            let found = self.kubectl(&["get", "agent", "buyer", "-o", "jsonpath={.status.pods}"]).await?;
            let found: Value = serde_json::from_str(&found).context("no counts yet")?;
            let differs = wanted.as_object().into_iter().flatten().any(|(name, count)| found[name] != *count);
            ensure!(!differs && found["ungoverned"].as_array().is_none_or(Vec::is_empty), "{found}");
            Ok(())
        })
        .await
    }

    /// Keeps records and logs of the pods that run now, beyond their end; tells their names.
    async fn keep(&self) -> Result<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        for pod in self.pods().await?.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            let (name, uid) = (pod.name_any(), pod.uid().context("the pod has no uid")?);
            let logs = self.node.cluster.ready().logs.join(format!("pods/{NAMESPACE}_{name}_{uid}/agent"));
            keep(&records_of(&self.node.cluster, &pod)?, &self.kept.join(&name).join("records"))?;
            keep(&logs, &self.kept.join(&name).join("logs"))?;
            names.insert(name);
        }
        Ok(names)
    }

    async fn evidence(&self, name: &str) -> Result<Evidence> {
        Evidence::read(self.node, NAMESPACE, &self.kept.join(name).join("records")).await
    }

    /// Waits until each of these sidecars has renewed its token once more.
    async fn renewed(&self, names: &BTreeSet<String>) -> Result<()> {
        for name in names {
            let before = self.evidence(name).await?.renewals;
            eventually(&format!("the sidecar of {name} to renew its token"), WITHIN, async || {
                let now = self.evidence(name).await?.renewals;
                ensure!(now > before, "{now} renewals");
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Matches what a pod's agent was answered with what its sidecar recorded, after both have ended.
    async fn check(&self, name: &str, sum: &mut Sum) -> Result<()> {
        let mut printed = String::new();
        for entry in fs::read_dir(self.kept.join(name).join("logs"))? {
            printed += &fs::read_to_string(entry?.path())?;
        }
        let calls = self.series.read(&printed);
        let failed: Vec<_> = calls.iter().filter(|call| call.status != Some(200)).map(|call| &call.said).collect();
        ensure!(failed.is_empty() && !calls.is_empty(), "{} of {} calls: {failed:?}", failed.len(), calls.len());
        let evidence = self.evidence(name).await?;
        let recorded: BTreeSet<&String> = evidence.allowed.values().collect();
        let lost: Vec<_> = calls.iter().filter(|call| !recorded.contains(&call.trace)).collect();
        ensure!(lost.is_empty(), "answered and not recorded: {lost:?}");
        // The agent's end can cut off the call that it is waiting for; its sidecar finishes that one too.
        ensure!(recorded.len() == evidence.allowed.len(), "a call was recorded twice");
        let cut = recorded.len() - calls.len();
        ensure!(cut <= 1, "{cut} calls were recorded and never answered");
        ensure!(evidence.open().is_empty(), "the sidecar ended without the outcome of {:?}", evidence.open());
        for epoch in &evidence.epochs {
            ensure!(epoch["report"]["torn"].is_null(), "the sidecar's last batch is not sealed: {epoch}");
        }
        let sent = evidence.outcomes.values().filter(|outcome| **outcome != RecordedExecution::NotSent).count();
        sum.answered += u64::try_from(calls.len())?;
        sum.recorded += u64::try_from(recorded.len())?;
        sum.sent += u64::try_from(sent)?;
        sum.under_way_at_the_end += u64::try_from(cut)?;
        Ok(())
    }
}
