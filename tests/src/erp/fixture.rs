//! The prepared ERP: Python environment and base database, made once by `tests/erp/prepare.sh` and cached.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::{process::Command, sync::OnceCell};

/// The folder of a prepared ERP, outside the source tree.
#[derive(Clone, Debug)]
pub struct Fixture {
    folder: PathBuf,
}

impl Fixture {
    /// Prepares the ERP, or finds it prepared. The first call on a machine takes one to three minutes and says so on
    /// stderr; calls at the same time, also of other processes, wait for it.
    ///
    /// Fails when Python 3.11 with `venv` is missing or the packages cannot be installed; stderr then says what to do.
    pub async fn prepare() -> Result<Self> {
        static PREPARED: OnceCell<Fixture> = OnceCell::const_new();
        PREPARED.get_or_try_init(Self::run_prepare).await.cloned()
    }

    /// The Python interpreter with Tryton installed.
    pub fn python(&self) -> PathBuf {
        self.folder.join("venv/bin/python")
    }

    /// Copies base database, ids and keys into `dir`, which is created if it is absent. An ERP already there stays as
    /// it is, so a server can be started again on the data that it had.
    pub fn copy_into(&self, dir: &Path) -> Result<()> {
        fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        if dir.join("erp.sqlite").exists() {
            return Ok(());
        }
        let keys = dir.join("keys");
        match fs::DirBuilder::new().mode(0o700).create(&keys) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("create {}", keys.display()));
            }
            _ => {}
        }
        // Copying keeps the mode: a key stays readable by its owner alone.
        for entry in fs::read_dir(self.folder.join("keys")).context("list the keys of the prepared ERP")? {
            let entry = entry?;
            fs::copy(entry.path(), keys.join(entry.file_name())).context("copy a key")?;
        }
        fs::copy(self.folder.join("ids.json"), dir.join("ids.json")).context("copy ids.json")?;
        // Last: with the database in place the copy is complete.
        fs::copy(self.folder.join("erp.sqlite"), dir.join("erp.sqlite")).context("copy the base database")?;
        Ok(())
    }

    async fn run_prepare() -> Result<Self> {
        let output = Command::new(script("prepare.sh"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .await
            .context("run tests/erp/prepare.sh")?;
        if !output.status.success() {
            bail!("tests/erp/prepare.sh failed ({}), its messages are above", output.status);
        }
        let printed = String::from_utf8(output.stdout).context("output of tests/erp/prepare.sh")?;
        let folder = printed.lines().last().context("tests/erp/prepare.sh printed no folder")?;
        Ok(Self { folder: PathBuf::from(folder) })
    }
}

/// The path of a script of `tests/erp/`.
pub(super) fn script(name: impl AsRef<OsStr>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("erp").join(Path::new(name.as_ref()))
}
