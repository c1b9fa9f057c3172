//! The control service's authority rotates while an agent calls: the real kubelet brings what is trusted into the pod,
//! first both authorities, then the new one. No call and no token notices; a feed that ends with its token is opened anew.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use aegis_tests::mesh::metric;
use aegis_tests::node::{Bench, BenchSpec, Evidence, Node, NodeSpec, PodAgent, Series, Stream, logs, may_run};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;

use super::{mounted, scene};

/// Seconds. The bed's kubelet brings a change within 10; an authority lasts as long as the rules let it be short.
const VALUES: [&str; 3] = [
    "operator.certificates.caLifeSeconds=120",
    "operator.certificates.leafLifeSeconds=20",
    "operator.certificates.settleSeconds=20",
];
/// From one rotation to the next are 80 s, and one takes 60 s.
const WITHIN: Duration = Duration::from_mins(4);
const NAMESPACE: &str = "rotated";
/// What must not be counted.
const FAULTS: [&str; 2] = ["aegis_token_failures_total", "aegis_trust_failures_total"];
/// A feed ends with the token that opened it, so it is opened anew at least once in each life of a token, which is 60 s.
const CONNECTIONS: &str = "aegis_feed_connections_total";

/// One node of its own: an authority that lasts two minutes is for nobody else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_does_not_notice_that_the_authority_rotates() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    let folder = tempfile::Builder::new().prefix("rotated-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let values = VALUES.map(str::to_owned).to_vec();
    let node = Arc::new(Node::start(folder.path(), &NodeSpec { values, ..NodeSpec::default() }).await?);
    scene::names(&node)?;
    let mut spec = BenchSpec::new(NAMESPACE, "Captured", 18_061);
    spec.token_ttl = "60s";
    let bench = Bench::set(&node, &spec).await?;
    let agent = Arc::new(bench.agent("agent").await?);
    bench.until(&agent, "/bench/items/7", 200).await?;
    let pod = Watched { node: &node, agent: &agent, admin: admin(&node, &agent)? };
    let (before, renewals) = pod.settled().await?;
    let feeds = metric(&pod.admin, CONNECTIONS).await?;

    let began = Instant::now();
    let drafts =
        Stream::start(&agent, Series::post("http://127.0.0.1:15080/bench/items", &json!({"amount": "12.00"})), 5);
    let seen = pod.rotation().await?;
    let (took, calls) = (began.elapsed(), drafts.stop().await?);
    let failed: Vec<_> = calls.iter().filter(|call| call.status != Some(200)).map(|call| &call.said).collect();
    ensure!(failed.is_empty() && calls.len() > 100, "{} of {} calls: {failed:?}", failed.len(), calls.len());
    let renewals = pod.evidence().await?.renewals - renewals;
    let feeds = metric(&pod.admin, CONNECTIONS).await? - feeds;
    println!(
        "figure: one rotation of the authority, seen in {took:?}: {} Drafts, {renewals} tokens renewed, feed opened {feeds} times, none failed; the kubelet brought a change within {:?}",
        calls.len(),
        seen.lag,
    );
    ensure!(renewals >= 4 && feeds >= 1.0, "{renewals} renewals, {feeds} feeds over a rotation");
    let after = pod.faults().await?;
    if after != before {
        bail!("{before:?} before, {after:?} after: {}", logs(&node, NAMESPACE, "agent", "aegis-sidecar").await?);
    }

    // Whoever begins now has never seen the first authority.
    let late = bench.agent("late").await?;
    bench.until(&late, "/bench/items/7", 200).await?;
    let late = Watched { node: &node, agent: &late, admin: admin(&node, &late)? };
    ensure!(!late.mounted()?.contains(seen.first.trim()), "a new pod trusts the old authority");
    late.settled().await.map(drop)
}

/// What the pod's mounts showed.
struct Seen {
    /// The authority that was trusted at first.
    first: String,
    /// Longest time from a change of the ConfigMap to that of the pod's file.
    lag: Duration,
}

struct Watched<'a> {
    node: &'a Node,
    agent: &'a PodAgent,
    /// URL of the sidecar's admin port.
    admin: String,
}

fn admin(node: &Node, agent: &PodAgent) -> Result<String> {
    Ok(format!("http://{}", node.forward(&format!("{}:15020", agent.address()?))?))
}

impl Watched<'_> {
    /// `ca.crt` as the sidecar reads it.
    fn mounted(&self) -> Result<String> {
        let folder = mounted::volume(self.node, self.agent.pod(), "kubernetes.io~configmap/aegis-trust")?;
        fs::read_to_string(folder.join("ca.crt")).context("the pod has no ca.crt")
    }

    /// Waits until the pod has trusted one authority, then it and another, then the other alone.
    async fn rotation(&self) -> Result<Seen> {
        let maps: Api<ConfigMap> = Api::namespaced(self.node.cluster.admin().await?, NAMESPACE);
        // It may be in the middle of one.
        let first = self.until("one authority", &maps, |trusted| count(trusted) == 1).await?;
        let both = |trusted: &str| count(trusted) == 2 && trusted.starts_with(&first.0);
        let both = self.until("the old and the new authority", &maps, both).await?;
        let new = both.0.strip_prefix(&first.0).context("the old one is the first")?.to_owned();
        let last = self.until("the new authority alone", &maps, |trusted| trusted == new).await?;
        Ok(Seen { first: first.0, lag: both.1.max(last.1) })
    }

    /// Waits until the pod's file is as wanted; tells what it is, and how much later it was so than the ConfigMap.
    async fn until(
        &self,
        what: &str,
        maps: &Api<ConfigMap>,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(String, Duration)> {
        eventually(&format!("{what} to be published"), WITHIN, async || {
            let data = maps.get("aegis-trust").await?.data.unwrap_or_default();
            let published = data.get("ca.crt").context("no ca.crt")?;
            ensure!(wanted(published), "{} authorities", count(published));
            Ok(())
        })
        .await?;
        let since = Instant::now();
        eventually(&format!("the pod to trust {what}"), WITHIN, async || {
            let trusted = self.mounted()?;
            ensure!(wanted(&trusted), "{} authorities", count(&trusted));
            Ok((trusted, since.elapsed()))
        })
        .await
    }

    /// Waits until the token was renewed for the first time. Tells the faults and the renewals up to then.
    async fn settled(&self) -> Result<(Vec<f64>, usize)> {
        eventually("the token to be renewed", WITHIN, async || {
            let renewals = self.evidence().await?.renewals;
            ensure!(renewals >= 1, "not yet");
            Ok((self.faults().await?, renewals))
        })
        .await
    }

    /// What was counted of each fault.
    async fn faults(&self) -> Result<Vec<f64>> {
        let mut counted = Vec::new();
        for fault in FAULTS {
            counted.push(metric(&self.admin, fault).await?);
        }
        Ok(counted)
    }

    async fn evidence(&self) -> Result<Evidence> {
        Evidence::read(self.node, NAMESPACE, &self.agent.records()?).await
    }
}

fn count(trusted: &str) -> usize {
    trusted.matches("BEGIN CERTIFICATE").count()
}
