//! The two acts that are not one fault of all: containers of pods that are started again at once, and two minutes without
//! an API server, at the end of which what needs it is killed, too.

use std::time::Instant;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use super::fault::{Fault, command, processes};
use super::signal::{Signal, signal};
use super::stage::{BORDER, Stage, Window, enough, name, settle};
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
        self.over(struck);
        println!("{title}: back after {} ms", now() - begun);
        let spans = try_join_all(self.lanes.iter_mut().map(enough)).await?;
        for ((lane, beside, _), (from, to)) in victims.into_iter().zip(spans) {
            self.windows.push(Window { fault: format!("{title}; once they are back"), lane, beside, from, to });
        }
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
        let lanes = self.lanes.iter_mut().zip(pairs).take(3);
        let settled = lanes.map(|(lane, beside)| async move {
            settle(lane, beside, fault, struck).await.with_context(|| lane.name)?;
            Ok::<u64, anyhow::Error>(now() + BORDER)
        });
        let settled = try_join_all(settled).await?;
        let since = |seconds: u64| struck + seconds * 1000;
        self.until(since(30)).await?;
        // Knowledge may be some 15 s old when it breaks: Drafts close after 30 to 45 s, Reads after 75 to 90 s.
        for (lane, (beside, settled)) in pairs.into_iter().zip(settled).enumerate() {
            let fault = "API server away, first 30 s".to_owned();
            let (from, to) = (settled.max(since(5)), since(25));
            self.windows.push(Window { fault, lane, beside: name(beside), from, to });
        }
        self.until(since(70)).await?;
        self.window("API server away, after 50 s", &pairs[..1], since(50), since(70));
        self.until(since(92)).await?;
        // A clock that goes back must not make old knowledge fresh.
        let (lane, sidecar) = (self.lanes.get_mut(3).context("no such pod")?, sidecars.get(3).context("no such pod")?);
        lane.strike(pairs[3], *sidecar).await?;
        let jumped = now();
        self.until(since(105)).await?;
        self.window("API server away, after 90 s", &pairs[..1], since(92), since(105));
        let (late_fault, beside) = ("API server away, after 90 s".to_owned(), name(pairs[3]));
        self.windows.push(Window { fault: late_fault, lane: 3, beside, from: jumped + BORDER, to: since(105) });
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
