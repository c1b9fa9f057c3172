//! The kubelet renews the token that it gave a pod, after eight of its ten minutes, and the sidecar lives on by the new
//! one. That takes as long as it takes: the pod is begun with the node, and works while other flows run.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aegis_decision::jws::from_base64url;
use aegis_tests::cluster::eventually;
use aegis_tests::node::{Bench, BenchSpec, Called, Evidence, Node, Series, create, may_run, pod, wait_running};
use anyhow::{Context as _, Result, anyhow, ensure};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use serde::Deserialize;
use serde_json::json;

use super::{mounted, scene};

const NAMESPACE: &str = "worn";
const WITHIN: Duration = Duration::from_mins(2);
/// From the pod's start to the kubelet's new token.
const RENEWED_WITHIN: Duration = Duration::from_mins(11);
/// Calls that the agent makes in that time, at least: one in a second.
const CALLS: usize = 500;

/// A pod that works since the node was started.
struct Worn {
    bench: Bench,
    pod: Pod,
    series: Series,
    /// The token that the kubelet gave it first. Never shown.
    token: String,
    began: Instant,
}

/// What a token says of itself.
#[derive(Deserialize)]
struct Claims {
    iat: i64,
    exp: i64,
}

static BEGUN: Mutex<Option<JoinHandle<Result<Worn>>>> = Mutex::new(None);

/// Begins the pod, beside all else.
pub fn begin(node: &Arc<Node>) {
    let node = Arc::clone(node);
    let begun = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(Worn::begin(&node))
    });
    *BEGUN.lock().unwrap_or_else(PoisonError::into_inner) = Some(begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_outlives_the_token_that_its_kubelet_gave_it() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    scene::node().await?;
    let begun = BEGUN.lock().unwrap_or_else(PoisonError::into_inner).take().context("the pod was not begun")?;
    let begun = tokio::task::spawn_blocking(move || begun.join()).await?;
    let worn = begun.map_err(|_| anyhow!("its thread died"))?.context("the pod that works since the node's start")?;
    worn.outlives().await
}

impl Worn {
    async fn begin(node: &Arc<Node>) -> Result<Self> {
        let mut spec = BenchSpec::new(NAMESPACE, "Captured", 18_062);
        spec.token_ttl = "60s";
        let bench = Bench::set(node, &spec).await?;
        let series = Series::post("http://127.0.0.1:15080/bench/items", &json!({"amount": "12.00"}));
        let arguments = series.arguments(0, 1, &["--seconds", "7200"]);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        create(node, NAMESPACE, pod("agent", "buyer", &arguments)).await?;
        let pod = wait_running(node, NAMESPACE, "agent", WITHIN).await?;
        let mut worn = Self { bench, pod, series, token: String::new(), began: Instant::now() };
        worn.token = fs::read_to_string(worn.token_file()?).context("the pod has no token")?;
        Ok(worn)
    }

    async fn outlives(&self) -> Result<()> {
        let old = claims(&self.token)?;
        let left = RENEWED_WITHIN.saturating_sub(self.began.elapsed()).max(WITHIN);
        let new = eventually("the kubelet to renew the pod's token", left, async || {
            let token = fs::read_to_string(self.token_file()?)?;
            ensure!(claims(&token)?.iat > old.iat, "the first is in use");
            Ok(token)
        })
        .await?;
        let age = claims(&new)?.iat - old.iat;
        ensure!(self.review(&new).await?.authenticated == Some(true), "the new token is no good");

        // From here on nobody gets anything for the old one.
        let life = u64::try_from(old.exp - Timestamp::now().as_second()).unwrap_or_default();
        eventually("the old token to end", Duration::from_secs(life) + WITHIN, async || {
            ensure!(self.review(&self.token).await?.authenticated != Some(true), "the API server takes it");
            Ok(())
        })
        .await?;
        let ended = self.evidence().await?.renewals;
        let evidence = eventually("the sidecar to renew its own token twice by the new one", WITHIN, async || {
            let evidence = self.evidence().await?;
            ensure!(evidence.renewals >= ended + 2, "{ended} renewals before, {} now", evidence.renewals);
            Ok(evidence)
        })
        .await?;
        let told = self.calls()?;
        let failed: Vec<_> = told.iter().filter(|call| call.status != Some(200)).map(|call| &call.said).collect();
        ensure!(failed.is_empty() && told.len() >= CALLS, "{} of {} calls: {failed:?}", failed.len(), told.len());
        let unrecorded =
            told.iter().filter(|call| !evidence.allowed.values().any(|trace| *trace == call.trace)).count();
        // The newest may be of a moment after the records were read.
        ensure!(unrecorded <= 5, "{unrecorded} of {} calls are not recorded", told.len());
        ensure!(evidence.epochs.len() == 1, "the sidecar was started again: {:?}", evidence.epochs);
        println!(
            "figure: the kubelet renewed a pod's token of {} s after {age} s; {} renewals by the sidecar, {} of them after the old one had ended; {} Drafts, none failed; {} s in all",
            old.exp - old.iat,
            evidence.renewals,
            evidence.renewals - ended,
            told.len(),
            self.began.elapsed().as_secs(),
        );
        Ok(())
    }

    fn token_file(&self) -> Result<PathBuf> {
        Ok(mounted::volume(&self.bench.node, &self.pod, "kubernetes.io~projected/aegis-token")?.join("token"))
    }

    async fn evidence(&self) -> Result<Evidence> {
        let folder = aegis_tests::node::records_of(&self.bench.node.cluster, &self.pod)?;
        Evidence::read(&self.bench.node, NAMESPACE, &folder).await
    }

    /// What the API server says of a token.
    async fn review(&self, token: &str) -> Result<TokenReviewStatus> {
        let reviews: Api<TokenReview> = Api::all(self.bench.node.cluster.admin().await?);
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: Some(vec!["aegis".to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let answered = reviews.create(&PostParams::default(), &review).await;
        answered.context("no token review")?.status.context("the review says nothing")
    }

    /// What the agent was answered since it began.
    fn calls(&self) -> Result<Vec<Called>> {
        let (name, uid) = (self.pod.name_any(), self.pod.uid().context("the pod has no uid")?);
        let logs = self.bench.node.cluster.ready().logs.join(format!("pods/{NAMESPACE}_{name}_{uid}/agent"));
        let mut printed = String::new();
        for entry in fs::read_dir(logs)? {
            printed += &fs::read_to_string(entry?.path())?;
        }
        Ok(self.series.read(&printed))
    }
}

fn claims(token: &str) -> Result<Claims> {
    let claims = token.trim().split('.').nth(1).and_then(from_base64url).context("it is no token")?;
    Ok(serde_json::from_slice(&claims)?)
}
