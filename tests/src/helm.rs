//! Helm: built by `tests/cluster/helm.sh` from its Go module, from a cache otherwise.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The path of `helm`, built first if need be.
pub async fn binary() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let path = BINARY
        .get_or_try_init(|| async {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/helm.sh");
            let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await;
            let output = output.with_context(|| format!("cannot run {}", script.display()))?;
            ensure!(output.status.success(), "{} failed; its messages stand above", script.display());
            let printed = String::from_utf8(output.stdout)?;
            let path = printed.lines().last().context("helm.sh printed no path")?;
            Ok::<_, anyhow::Error>(PathBuf::from(path))
        })
        .await?;
    Ok(path)
}
