//! `make memory`: what the sidecar's process holds, idle and with many connections, by few rules and by many. Prints
//! Markdown; gates nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aegis_tests::answering::AtOnce;
use aegis_tests::usage::Usage;
use anyhow::{Context as _, Result, ensure};
use tokio::runtime::Builder;
use tokio::time::sleep;

use crate::line::Line;
use crate::scene::{CONNECTIONS, Scene};
use crate::workload::requests;

/// Rules of each scene, beside the one that always holds.
const RULES: [u32; 2] = [1, 10_000];
/// Time to come to rest: what was freed goes back to the system a little later.
const REST: Duration = Duration::from_secs(5);

/// Measures each scene.
pub fn measure() -> Result<()> {
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    println!("| rules | idle, MiB | its own | with {CONNECTIONS} connections, MiB | its own | peak, MiB |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    for rules in RULES {
        let folder = tempfile::Builder::new().prefix("aegis-whole-").tempdir().context("cannot make a folder")?;
        let [idle, open] = runtime.block_on(usage(folder.path(), rules))?;
        let cells = [idle.resident_mib(), idle.own_mib(), open.resident_mib(), open.own_mib(), open.peak_mib()];
        println!("| {rules} | {} |", cells.map(|mib| format!("{mib:.1}")).join(" | "));
    }
    Ok(())
}

/// The sidecar idle, and with its connections.
async fn usage(folder: &Path, rules: u32) -> Result<[Usage; 2]> {
    let tool = AtOnce::listen().await?;
    let scene = Scene::set(folder, tool.address, rules).await?;
    let (_, process) = scene.process();
    sleep(REST).await;
    let idle = Usage::of(process)?;
    let [way, ..] = scene.ways();
    let requests = requests(way.address, way.path, 500);
    // Each is used as soon as it is open: one on which nothing comes is ended after a while.
    let all = move || requests.iter().take(CONNECTIONS).map(|request| opened(way.address, request)).collect();
    let lines: Result<Vec<Line>> = tokio::task::spawn_blocking(all).await?;
    let lines = lines?;
    sleep(REST).await;
    let open = Usage::of(process)?;
    drop(lines);
    Ok([idle, open])
}

fn opened(address: SocketAddr, request: &[u8]) -> Result<Line> {
    let mut line = Line::open(address)?;
    ensure!(line.goes(request)?, "a call did not go");
    Ok(line)
}
