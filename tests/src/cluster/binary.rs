//! The test bed's binary: built by `tests/cluster/build.sh` when its sources have changed, from a cache outside the work tree otherwise.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tokio::sync::OnceCell;

/// The path of `aegis-testbed`, built first if need be (about five minutes on two cores, with progress on standard error; 0.1 seconds when it is in the cache).
/// A `kubectl` of the same version lies beside it.
pub async fn testbed_binary() -> Result<&'static Path> {
    static BINARY: OnceCell<PathBuf> = OnceCell::const_new();
    let path = BINARY.get_or_try_init(|| async { tokio::task::spawn_blocking(build).await? }).await?;
    Ok(path)
}

fn build() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster/build.sh");
    let output = Command::new(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", script.display()))?;
    ensure!(output.status.success(), "{} failed ({}); its messages stand above", script.display(), output.status);
    let printed = String::from_utf8(output.stdout)?;
    let path = printed.lines().last().with_context(|| format!("{} printed no path", script.display()))?;
    Ok(PathBuf::from(path))
}
