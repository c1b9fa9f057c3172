//! The pods under load, and the acts: something breaks, enough calls are made meanwhile, it is put right, and all works
//! as before.

use std::path::Path;
use std::time::{Duration, Instant};

use aegis_tests::cluster::eventually;
use aegis_tests::node::pod;
use anyhow::{Context as _, Result, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;

use super::calls::Kind;
use super::fault::Fault;
use super::lane::{Beside, Lane, WITHIN};
use super::now;
use super::scene::{NAMESPACE, Scene};

/// Time of a fault during which nobody hears the agents, milliseconds.
const UNHEARD: u64 = 9_000;
/// After this much of a fault calls count, milliseconds: those that began before may still have met what was there.
pub const BORDER: u64 = 1_000;

/// A fault from its beginning to the next one's.
pub struct Act {
    pub title: &'static str,
    /// Milliseconds since 1970.
    pub began: u64,
    /// From the end of the fault until every pod worked as before.
    pub recovered: Duration,
}

/// When the first and the last call that count began, milliseconds since 1970. The fault holds until all have ended.
type Span = (u64, u64);

/// A time in which a fault held, for one pod.
pub struct Window {
    pub fault: String,
    pub lane: usize,
    pub beside: &'static str,
    pub from: u64,
    pub to: u64,
}

/// Everything on it.
pub struct Stage {
    pub scene: Scene,
    pub lanes: Vec<Lane>,
    pub acts: Vec<Act>,
    pub windows: Vec<Window>,
}

impl Stage {
    /// Starts node and pods, and returns when every pod works.
    pub async fn set(folder: &Path) -> Result<Self> {
        let scene = Scene::set(folder).await?;
        let starts = ["pod-a", "pod-b", "pod-c", "pod-d"].map(|name| Lane::start(&scene.node, name));
        let lanes = try_join_all(starts).await?;
        let mut stage = Self { scene, lanes, acts: Vec::new(), windows: Vec::new() };
        let start = Act { title: "start", began: 0, recovered: Duration::ZERO };
        stage.acts.push(start);
        stage.all_work(0).await?;
        Ok(stage)
    }

    /// One fault, and what each pod meets besides.
    pub async fn act(&mut self, fault: Fault, besides: [Beside; 4]) -> Result<()> {
        let sidecars = self.begin(fault.title()).await?;
        let asked = now();
        fault.begin(&mut self.scene).await?;
        let struck = now();
        for ((lane, beside), sidecar) in self.lanes.iter_mut().zip(besides).zip(sidecars) {
            lane.strike(beside, sidecar).await?;
        }
        let spans = if fault.is_unheard() {
            let from = now() + BORDER;
            self.pass(from + UNHEARD).await?;
            vec![(from, now()); self.lanes.len()]
        } else {
            // Each for itself: what takes long to show in one pod must not age what another one knows.
            let lanes = self.lanes.iter_mut().zip(besides);
            try_join_all(lanes.map(|(lane, beside)| shown(lane, beside, fault, struck))).await?
        };
        if fault == Fault::Webhook {
            self.admission().await?;
        }
        let told = if besides == super::ALONE { 1 } else { self.lanes.len() };
        for ((lane, beside), (from, to)) in besides.into_iter().enumerate().zip(spans.iter().copied()).take(told) {
            let (fault, beside) = (fault.title().to_owned(), name(beside));
            self.windows.push(Window { fault, lane, beside, from, to });
        }
        let held = now();
        self.end(fault).await?;
        let shows: Vec<u64> = spans.iter().map(|(from, _)| from - struck).collect();
        println!(
            "{}: broken in {} ms; calls count after {shows:?} ms; ended after {} ms; works again {} ms later",
            fault.title(),
            struck - asked,
            held - struck,
            now() - held,
        );
        Ok(())
    }

    /// Begins an act: answers the sidecars' processes.
    pub async fn begin(&mut self, title: &'static str) -> Result<Vec<u32>> {
        let sidecars = try_join_all(self.lanes.iter().map(|lane| lane.process("aegis-sidecar"))).await?;
        self.acts.push(Act { title, began: now(), recovered: Duration::ZERO });
        Ok(sidecars)
    }

    /// Ends it: everything is put right, and then works.
    pub async fn end(&mut self, fault: Fault) -> Result<()> {
        for lane in &mut self.lanes {
            lane.mend().await?;
        }
        fault.end(&mut self.scene).await?;
        let (over, since) = (Instant::now(), now());
        self.all_work(since).await?;
        self.over(over);
        Ok(())
    }

    pub fn over(&mut self, ended: Instant) {
        if let Some(act) = self.acts.last_mut() {
            act.recovered = ended.elapsed();
        }
    }

    pub async fn all_work(&mut self, since: u64) -> Result<()> {
        for lane in &mut self.lanes {
            lane.works(since).await?;
        }
        Ok(())
    }

    /// Lets the time of a fault pass.
    async fn pass(&self, until: u64) -> Result<()> {
        eventually("the time of this fault", WITHIN, async || {
            ensure!(now() >= until, "not over");
            Ok(())
        })
        .await
    }

    /// Returns when every call that began until then has ended.
    pub async fn until(&mut self, at: u64) -> Result<()> {
        self.pass(at).await?;
        for lane in &mut self.lanes {
            lane.all_ended(0, at).await?;
        }
        Ok(())
    }

    pub fn window(&mut self, fault: &str, besides: &[Beside], from: u64, to: u64) {
        for (lane, beside) in besides.iter().enumerate() {
            self.windows.push(Window { fault: fault.to_owned(), lane, beside: name(*beside), from, to });
        }
    }

    /// Without a webhook no pod of an agent starts as it was written, and every other pod does.
    async fn admission(&self) -> Result<()> {
        let api: Api<Pod> = Api::namespaced(self.scene.node.cluster.admin().await?, NAMESPACE);
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let mut plain = pod("plain", "buyer", &["idle"]);
        let agent: Pod = serde_json::from_value(plain.clone())?;
        ensure!(api.create(&dry, &agent).await.is_err(), "an agent's pod was let in without its sidecar");
        plain["metadata"]["labels"] = serde_json::json!({});
        plain["spec"]["serviceAccountName"] = "default".into();
        let plain: Pod = serde_json::from_value(plain)?;
        api.create(&dry, &plain).await.context("a pod of nobody's was refused")?;
        Ok(())
    }
}

/// Returns when a pod has shown what was done to it, and enough calls after that have ended.
async fn shown(lane: &mut Lane, beside: Beside, fault: Fault, since: u64) -> Result<Span> {
    settle(lane, beside, fault, since).await.with_context(|| format!("{}, {beside:?}", lane.name))?;
    enough(lane).await
}

/// Returns when enough calls were made in a pod and have ended.
pub async fn enough(lane: &mut Lane) -> Result<Span> {
    let from = now() + BORDER;
    lane.calls_since(from).await?;
    let to = now();
    lane.all_ended(from, to).await?;
    Ok((from, to))
}

/// Returns when a pod shows what was done to it.
pub async fn settle(lane: &mut Lane, beside: Beside, fault: Fault, since: u64) -> Result<()> {
    let (kind, sign) = match beside {
        Beside::Nothing => return Ok(()),
        Beside::SidecarKilled if fault.revives() => return lane.works(since).await,
        Beside::SidecarKilled if fault == Fault::Kubelet => (Kind::Read, "no answer"),
        Beside::SidecarKilled => (Kind::Read, "`not_ready`"),
        // Before the key of the records was attested, nothing can be recorded either.
        Beside::RecordsFull | Beside::Clock(..=-3600) => (Kind::Read, "`record_not_writable`"),
        Beside::Clock(_) => (Kind::Read, "`stale`"),
    };
    eventually(&format!("{kind:?} to come to {sign}"), WITHIN, async || {
        let came_to = lane.came_to(kind, since)?;
        ensure!(came_to.contains(sign), "{came_to:?}");
        Ok(())
    })
    .await
}

pub fn name(beside: Beside) -> &'static str {
    match beside {
        Beside::Nothing => "nothing",
        Beside::SidecarKilled => "sidecar killed",
        Beside::RecordsFull => "records full",
        Beside::Clock(-60) => "clock 1 min behind",
        Beside::Clock(seconds) if seconds < 0 => "clock 1 h behind",
        Beside::Clock(_) => "clock 1 h ahead",
    }
}
