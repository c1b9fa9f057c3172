//! A node leaves nothing behind, neither when it is ended nor when its bed is killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::node::may_run;
use anyhow::{Result, ensure};

const WITHIN: Duration = Duration::from_mins(1);

/// What a node could leave: processes in its cgroup or under its folder, mounts, cgroups, network namespaces.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    processes: Vec<String>,
    mounts: Vec<String>,
    cgroups: Vec<String>,
}

fn left(folder: &Path, cgroup: &str) -> Left {
    let folder = folder.display().to_string();
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = entry.path();
        let command = fs::read(path.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let state = fs::read_to_string(path.join("stat")).unwrap_or_default();
        let zombie = state.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'));
        let within = fs::read_to_string(path.join("cgroup")).unwrap_or_default().contains(cgroup);
        let own = path.ends_with(std::process::id().to_string());
        if !zombie && !own && (within || command.contains(&folder)) {
            processes.push(command);
        }
    }
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter(|line| line.contains(&folder)).map(str::to_owned).collect();
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let cgroups = hierarchies
        .map(|entry| entry.path().join(cgroup))
        .filter(|path| path.exists())
        .map(|path| path.display().to_string())
        .collect();
    Left { processes, mounts, cgroups }
}

/// Every network namespace that a process of this machine is in.
fn network_namespaces() -> BTreeSet<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.path().join("ns/net")).ok())
        .map(|link| link.display().to_string())
        .collect()
}

async fn nothing_left(folder: &Path, cgroup: &str, namespaces: &BTreeSet<String>) -> Result<()> {
    eventually("everything of the node to be gone", WITHIN, async || {
        let left = left(folder, cgroup);
        let none = Left { processes: Vec::new(), mounts: Vec::new(), cgroups: Vec::new() };
        ensure!(left == none, "{left:#?}");
        let still: Vec<_> = namespaces.intersection(&network_namespaces()).cloned().collect();
        ensure!(still.is_empty(), "network namespaces: {still:?}");
        Ok(())
    })
    .await
}

/// Namespaces of the node's and the outside's first process, and a handle on each: the kernel gives the number of a
/// namespace that is gone to the next one, maybe another test's, unless somebody holds it.
fn of_node(cluster: &Cluster) -> Result<(BTreeSet<String>, Vec<fs::File>)> {
    let ready = cluster.ready();
    let pids = [ready.node.as_ref().map(|node| node.pid), ready.ext.as_ref().map(|ext| ext.pid)];
    let mut names = BTreeSet::new();
    let mut held = Vec::new();
    for path in pids.into_iter().flatten().map(|pid| format!("/proc/{pid}/ns/net")) {
        held.push(fs::File::open(&path)?);
        names.insert(fs::read_link(&path)?.display().to_string());
    }
    Ok((names, held))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_ends_leaves_nothing_behind() -> Result<()> {
    if !may_run() {
        return Ok(());
    }
    for killed in [false, true] {
        let folder = tempfile::Builder::new().prefix("aegis-left-").tempdir()?;
        let dir = folder.path().join("cluster");
        let cluster = Cluster::start(Options::default().node().dir(&dir)).await?;
        let cgroup = cluster.ready().node.as_ref().map(|node| node.cgroup.clone()).unwrap_or_default();
        let (namespaces, _held) = of_node(&cluster)?;
        ensure!(namespaces.len() == 2, "node and outside have a network namespace each: {namespaces:?}");
        ensure!(!left(&dir, &cgroup).processes.is_empty(), "the check must see a node that runs");
        if killed {
            cluster.kill_bed()?;
        } else {
            drop(cluster);
        }
        nothing_left(&dir, &cgroup, &namespaces).await?;
    }
    Ok(())
}
