//! Images as `make images` leaves them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;

use crate::cluster::{Cluster, testbed_binary};

/// What runs on the node.
const IMAGES: [&str; 7] =
    ["aegis-proxy", "aegis-operator", "aegis-webhook", "aegis-capture", "aegis-probe", "aegis", "aegis-testkit"];

/// The reference of an image in the bed.
pub fn image(name: &str) -> String {
    format!("aegis.test/{name}:{}", env!("CARGO_PKG_VERSION"))
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
    let output = Command::new(testbed_binary().await?)
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
