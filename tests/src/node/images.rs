//! Images as `make images` leaves them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use super::place::Place;
use crate::cluster::{Cluster, eventually};
use crate::tools;

/// Time for the node to take notice of an image.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);
/// What runs on the node.
const IMAGES: [&str; 7] =
    ["aegis-proxy", "aegis-operator", "aegis-webhook", "aegis-capture", "aegis-probe", "aegis", "aegis-testkit"];

/// The reference of an image where flows run.
pub fn image(name: &str) -> String {
    // A place that is not to be understood has ended the flow before: no node was started.
    let place = Place::get().unwrap_or(Place::Bed);
    format!("{}/{name}:{}", place.registry(), env!("CARGO_PKG_VERSION"))
}

/// The archives of every image.
///
/// # Errors
/// When one is not built: `make test` and `make demo` do that.
pub fn archives() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/images");
    let files: Vec<PathBuf> = IMAGES.iter().map(|name| folder.join(format!("{name}.tar"))).collect();
    for file in &files {
        ensure!(file.exists(), "{} is not built; run: make images test-images", file.display());
    }
    Ok(files)
}

/// Gives the node every image.
pub async fn load_all(cluster: &Cluster) -> Result<()> {
    let files = archives()?;
    let output = Command::new(tools::testbed().await?)
        .args(["load", "--dir"])
        .arg(&cluster.ready().dir)
        .args(&files)
        .stdin(Stdio::null())
        .output()
        .await
        .context("cannot run aegis-testbed load")?;
    ensure!(output.status.success(), "aegis-testbed load: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// Gives an image of the node another tag beside its own, under which pods can use it.
pub async fn tag(cluster: &Cluster, name: &str, tag: &str) -> Result<()> {
    let socket = &cluster.ready().node.as_ref().context("this cluster has no node of its own")?.containerd;
    let (from, to) = (image(name), format!("aegis.test/{name}:{tag}"));
    let ctr = async |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(socket).args(["--namespace", "k8s.io", "images"]).args(arguments);
        let output = command.stdin(Stdio::null()).output().await.context("cannot run ctr")?;
        ensure!(output.status.success(), "ctr {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    ctr(&["tag", &from, &to]).await?;
    // containerd's part for Kubernetes marks an image when it has taken notice of it.
    eventually(&format!("the kubelet to know {to}"), KNOWN_WITHIN, async || {
        let known = ctr(&["list", "--quiet", "labels.\"io.cri-containerd.image\"==managed"]).await?;
        ensure!(known.lines().any(|line| line.trim() == to), "it knows {known}");
        Ok(())
    })
    .await
}
