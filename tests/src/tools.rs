//! Programs that tests run and that are built from source once, into a cache outside the work tree.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use tokio::process::Command;
use tokio::sync::OnceCell;

/// The path of `aegis-testbed`, built when its sources have changed (about five minutes on two cores, with progress on standard error; 0.1 seconds when it is in the
/// cache). A `kubectl` of the same version lies beside it.
pub async fn testbed() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    Ok(BINARY.get_or_try_init(|| built("build.sh")).await?)
}

/// The path of `helm`.
pub async fn helm() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    Ok(BINARY.get_or_try_init(|| built("helm.sh")).await?)
}

/// The path of `cyclonus`, an analyser of network policies.
pub async fn cyclonus() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    Ok(BINARY.get_or_try_init(|| built("cyclonus.sh")).await?)
}

/// What a script of `tests/cluster` prints as its last line.
async fn built(script: &str) -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster").join(script);
    let output = Command::new(&script).stdin(Stdio::null()).stderr(Stdio::inherit()).output().await;
    let output = output.with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(output.status.success(), "{} failed ({}); its messages stand above", script.display(), output.status);
    let printed = String::from_utf8(output.stdout)?;
    let path = printed.lines().last().with_context(|| format!("{} printed no path", script.display()))?;
    Ok(PathBuf::from(path))
}
