//! One agent's pod under load, and what is done to it alone while something else is broken for all.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aegis_tests::cluster::eventually;
use aegis_tests::node::{Node, create, pod, records_of, wait_running};
use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::calls::{Call, Diary, Kind, TRIES};
use super::clock::Jump;
use super::now;
use super::scene::NAMESPACE;
use super::signal::{Signal, lives, signal};

/// Time for a pod to start, and to be as it was after a fault.
pub const WITHIN: Duration = Duration::from_mins(3);
/// What fills a record folder.
const FILLER: &str = "filler";

/// What is done to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    Nothing,
    SidecarKilled,
    RecordsFull,
    /// The sidecar's clock, by so many seconds.
    Clock(i32),
}

/// An agent's pod.
pub struct Lane {
    pub name: &'static str,
    node: Arc<Node>,
    pod: Pod,
    pub diary: Diary,
    jump: Option<Jump>,
    /// The clock of its sidecar was wrong at some time: times in its records cannot be compared.
    pub jumped: bool,
}

impl Lane {
    /// Starts the pod. Its container calls from its first moment until its end.
    pub async fn start(node: &Arc<Node>, name: &'static str) -> Result<Self> {
        let id = format!("{name}-{{id}}");
        // A person decides less often than an agent calls.
        let mut calls = Vec::new();
        for _ in 0..5 {
            calls.push(format!("read GET /items/{id}"));
            calls.push(format!(r#"draft POST /items/{id} {{"amount":"5.00"}}"#));
            calls.push(format!(r#"commit POST /orders/{id} {{"amount":"50.00"}}"#));
        }
        calls.push(format!(r#"held POST /orders/{id} {{"amount":"5000.00"}}"#));
        let tries = TRIES.to_string();
        let mut arguments = vec![
            "load",
            "http://127.0.0.1:15080/bench",
            "--every",
            "400",
            "--timeout",
            "20000",
            "--again",
            "held",
            "--tries",
            &tries,
            "--pause",
            "2000",
        ];
        for call in &calls {
            arguments.extend(["--call", call]);
        }
        let mut wanted = pod(name, "buyer", &arguments);
        wanted["spec"]["enableServiceLinks"] = json!(false);
        create(node, NAMESPACE, wanted).await?;
        let pod = wait_running(node, NAMESPACE, name, WITHIN).await?;
        let uid = pod.uid().context("the pod has no uid")?;
        let folder = node.cluster.ready().logs.join("pods").join(format!("{NAMESPACE}_{name}_{uid}")).join("agent");
        Ok(Self { name, node: Arc::clone(node), pod, diary: Diary::of(folder), jump: None, jumped: false })
    }

    /// Process of a container of the pod as it is now.
    pub async fn process(&self, container: &str) -> Result<u32> {
        let api: Api<Pod> = Api::namespaced(self.node.cluster.admin().await?, NAMESPACE);
        eventually(&format!("{container} of {} to run", self.name), WITHIN, async || {
            let status = api.get(self.name).await?.status.unwrap_or_default();
            let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
            let id = all.filter(|one| one.name == container).find_map(|one| one.container_id.clone());
            let pid = pid(&self.node, &id.context("no container id")?)?;
            ensure!(lives(pid), "its status is that of the one that ended");
            Ok(pid)
        })
        .await
    }

    /// Uid of the pod.
    pub fn uid(&self) -> Option<&str> {
        self.pod.metadata.uid.as_deref()
    }

    /// Folder of the records, as the node sees it: what lies in memory is mounted there only.
    pub fn records(&self) -> Result<PathBuf> {
        let node = self.node.cluster.ready().node.as_ref().context("no node")?;
        let folder = records_of(&self.node.cluster, &self.pod)?;
        Ok(PathBuf::from(format!("/proc/{}/root{}", node.pid, folder.display())))
    }

    /// Freezes the agent: it makes no more calls.
    pub async fn freeze(&self) -> Result<()> {
        signal(self.process("agent").await?, Signal::Stop)
    }

    /// Does it.
    pub async fn strike(&mut self, beside: Beside, sidecar: u32) -> Result<()> {
        match beside {
            Beside::Nothing => {}
            Beside::SidecarKilled => signal(sidecar, Signal::Kill)?,
            Beside::RecordsFull => self.fill()?,
            Beside::Clock(seconds) => {
                self.jump = Some(Jump::by(sidecar, seconds).await?);
                self.jumped = true;
            }
        }
        Ok(())
    }

    /// Undoes it.
    pub async fn mend(&mut self) -> Result<()> {
        if let Some(jump) = self.jump.take() {
            jump.back().await?;
        }
        let filler = self.records()?.join(FILLER);
        if filler.exists() {
            fs::remove_file(filler)?;
        }
        Ok(())
    }

    /// Fills the volume to its last byte, as something else on it would.
    fn fill(&self) -> Result<()> {
        let path = self.records()?.join(FILLER);
        let mut file = fs::File::create(&path)?;
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0_u8; size];
            loop {
                match std::io::Write::write_all(&mut file, &block) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => bail!("{}: {error}", path.display()),
                }
            }
        }
        Ok(())
    }

    /// What first tries of a kind since then came to, of those that have ended.
    pub fn came_to(&mut self, kind: Kind, since: u64) -> Result<BTreeSet<String>> {
        self.diary.read()?;
        let tries = self.diary.first_tries(since, u64::MAX);
        Ok(tries.filter(|call| call.kind == kind && call.end.is_some()).map(Call::came_to).collect())
    }

    /// Returns when a call of each kind that began since then was done.
    pub async fn works(&mut self, since: u64) -> Result<()> {
        let name = self.name;
        eventually(&format!("{name} to work as before"), WITHIN, async || {
            self.diary.read()?;
            for kind in Kind::ALL {
                let mut calls = self.diary.calls().iter().filter(|call| call.kind == kind && call.began >= since);
                ensure!(calls.any(Call::is_done), "no {kind:?} was done: {:?}", self.last(kind));
            }
            Ok(())
        })
        .await
    }

    /// Returns when enough calls of each kind have begun since then.
    pub async fn calls_since(&mut self, since: u64) -> Result<()> {
        eventually(&format!("{} to call", self.name), WITHIN, async || {
            self.diary.read()?;
            for kind in Kind::ALL {
                let begun = self.diary.first_tries(since, u64::MAX).filter(|call| call.kind == kind).count();
                ensure!(begun >= if kind == Kind::Held { 1 } else { 3 }, "{begun} of {kind:?}");
            }
            Ok(())
        })
        .await
    }

    /// Returns when every call that began in this time has ended.
    pub async fn all_ended(&mut self, from: u64, to: u64) -> Result<()> {
        eventually(&format!("calls of {} to end", self.name), WITHIN, async || {
            self.diary.read()?;
            let open = self.diary.under_way(from, to);
            ensure!(open.is_none(), "{open:?}, now {}", now());
            Ok(())
        })
        .await
    }

    fn last(&self, kind: Kind) -> Option<&super::calls::Call> {
        self.diary.calls().iter().rfind(|call| call.kind == kind && call.end.is_some())
    }
}

/// The first process of a container, `containerd://ID`.
pub fn pid(node: &Node, container: &str) -> Result<u32> {
    let answer = tokio::task::block_in_place(|| node.cluster.command(&format!("pid {container}")))?;
    let pid = answer.get("pid").and_then(serde_json::Value::as_u64).context("no pid")?;
    Ok(u32::try_from(pid)?)
}
