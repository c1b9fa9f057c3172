//! Where cargo put the programs: beside the test that runs.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

/// The program of that name, built by the same command as the running test or demo.
///
/// # Errors
/// When it is not there: then `make test` or `make demo` was not what started this.
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("the running program has no path")?;
    let folder = own.parent().context("the running program has no folder")?;
    let folder = if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder };
    let path = folder.join(name);
    if !path.exists() {
        bail!("{name} is not built; run `make test` or `make demo`, or: cargo build -p {name}");
    }
    Ok(path)
}
