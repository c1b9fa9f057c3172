//! A cluster of kind, for machines with a container engine. It stays for the next run: `kind delete cluster --name aegis-test`
//! ends it.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::images::archives;
use super::place::KIND;
use crate::cluster::Cluster;

/// Makes the cluster unless it is there, and gives its nodes the images.
pub async fn start(dir: &Path) -> Result<Cluster> {
    fs::create_dir_all(dir)?;
    let file = dir.join("kind.yaml");
    let kubeconfig = file.to_str().context("the folder's path is no text")?;
    let known = kind(&["get", "clusters"]).await?;
    if known.lines().any(|line| line.trim() == KIND) {
        kind(&["export", "kubeconfig", "--name", KIND, "--kubeconfig", kubeconfig]).await?;
    } else {
        kind(&["create", "cluster", "--name", KIND, "--kubeconfig", kubeconfig, "--wait", "3m"]).await?;
    }
    for archive in archives()? {
        kind(&["load", "image-archive", archive.to_str().context("no text")?, "--name", KIND]).await?;
    }
    Cluster::attach(&file, dir).await
}

async fn kind(arguments: &[&str]) -> Result<String> {
    let output = Command::new("kind").args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.context("CLUSTER=kind needs the program kind, and a container engine")?;
    ensure!(output.status.success(), "kind {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
