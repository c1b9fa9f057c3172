//! The two acts that are not one fault of all: containers of pods that are started again at once, and two minutes without
//! an API server, at the end of which what needs it is killed, too.

use std::time::Instant;

use anyhow::{Context as _, Result};

use super::fault::{Fault, command, processes};
use super::signal::{Signal, signal};
use super::stage::{Stage, Window, name, settle};
use super::{besides, now};

impl Stage {
    /// Containers of the pods themselves: they are started again at once.
    pub async fn containers(&mut self) -> Result<()> {
        let title = "containers of pods killed";
        self.begin(title).await?;
        let victims: [(usize, &'static str, &[&str]); 4] = [
            (0, "agent killed", &["agent"]),
            (1, "probe killed", &["aegis-probe"]),
            (2, "agent, probe and sidecar killed", &["agent", "aegis-probe", "aegis-sidecar"]),
            (3, "operator and webhook killed, once", &[]),
        ];
        for (lane, _, containers) in victims {
            for container in containers {
                let pid = self.lanes.get(lane).context("no such pod")?.process(container).await?;
                signal(pid, Signal::Kill)?;
            }
        }
        for name in ["operator", "webhook"] {
            for pid in processes(&self.scene.node, name).await? {
                signal(pid, Signal::Kill)?;
            }
        }
        let (struck, begun) = (Instant::now(), now());
        self.all_work(begun).await?;
        let (from, to) = self.enough().await?;
        for (lane, beside, _) in victims {
            self.windows.push(Window { fault: format!("{title}; once they are back"), lane, beside, from, to });
        }
        self.over(struck);
        println!("{title}: back after {} ms", from - begun);
        Ok(())
    }

    /// The API server is away for two minutes, and what needs it is killed at the end of them.
    pub async fn two_minutes(&mut self) -> Result<()> {
        const CLOCK: i32 = -60;
        let (fault, pairs) = (Fault::ApiServer, besides(CLOCK));
        let sidecars = self.begin("API server away for 2 minutes").await?;
        // While there is an API server to ask where they are.
        let (operators, webhooks) =
            (processes(&self.scene.node, "operator").await?, processes(&self.scene.node, "webhook").await?);
        let struck = now();
        fault.begin(&mut self.scene).await?;
        for ((lane, beside), sidecar) in self.lanes.iter_mut().zip(pairs).zip(&sidecars).take(3) {
            lane.strike(beside, *sidecar).await?;
        }
        for (lane, beside) in self.lanes.iter_mut().zip(pairs).take(3) {
            settle(lane, beside, fault, struck).await?;
        }
        let settled = now();
        let since = |seconds: u64| struck + seconds * 1000;
        self.until(since(30)).await?;
        self.window("API server away, first 30 s", &pairs[..3], settled.max(since(5)), since(30));
        self.until(since(75)).await?;
        self.window("API server away, after 50 s", &pairs[..1], since(50), since(75));
        self.until(since(92)).await?;
        // A clock that goes back must not make old knowledge fresh.
        let (lane, sidecar) = (self.lanes.get_mut(3).context("no such pod")?, sidecars.get(3).context("no such pod")?);
        lane.strike(pairs[3], *sidecar).await?;
        let jumped = now();
        self.until(since(105)).await?;
        self.window("API server away, after 90 s", &pairs[..1], since(92), since(105));
        let (late_fault, beside) = ("API server away, after 90 s".to_owned(), name(pairs[3]));
        self.windows.push(Window { fault: late_fault, lane: 3, beside, from: jumped + 500, to: since(105) });
        for pid in operators.into_iter().chain(webhooks) {
            signal(pid, Signal::Kill)?;
        }
        command(&self.scene.node, "kill", "etcd")?;
        self.until(since(120)).await?;
        let title = "API server away, after 105 s: operator, webhook and etcd killed, too";
        self.window(title, &pairs[..1], since(106), since(120));
        command(&self.scene.node, "start", "etcd")?;
        self.end(fault).await
    }
}
