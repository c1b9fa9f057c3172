//! Helm as a program: built once, run with folders of its own, with the chart of this repository.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::tools;

/// The only namespace that the chart goes to.
pub const NAMESPACE: &str = crate::node::CHART_NAMESPACE;
/// The release's name.
pub const RELEASE: &str = "aegis";

/// Longest run. Helm's own `--timeout` comes first.
const WITHIN: Duration = Duration::from_mins(4);

/// A Helm that knows nothing of the developer's, and at most one cluster.
pub struct Helm {
    binary: &'static Path,
    home: TempDir,
    kubeconfig: Option<PathBuf>,
}

/// What Helm said.
#[derive(Debug)]
pub struct Said {
    /// Whether it succeeded.
    pub good: bool,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// A file or folder of the chart.
pub fn chart(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/aegis").join(path)
}

impl Helm {
    /// For rendering only.
    pub async fn offline() -> Result<Self> {
        Ok(Self { binary: tools::helm().await?, home: tempfile::tempdir()?, kubeconfig: None })
    }

    /// As a cluster's administrator.
    pub async fn of(cluster: &Cluster) -> Result<Self> {
        Ok(Self { kubeconfig: Some(cluster.kubeconfig("admin")), ..Self::offline().await? })
    }

    /// The program with its folders and the chart's namespace, still without arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.binary);
        for folder in ["CACHE", "CONFIG", "DATA"] {
            command.env(format!("HELM_{folder}_HOME"), self.home.path().join(folder));
        }
        command.env("KUBECONFIG", self.kubeconfig.clone().unwrap_or_else(|| self.home.path().join("no-cluster")));
        command.args(["--namespace", NAMESPACE]).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it takes longer than four minutes.
    pub async fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<Said> {
        let run = self.command().args(arguments).output();
        let output = timeout(WITHIN, run).await.context("helm took too long")??;
        Ok(Said {
            good: output.status.success(),
            out: String::from_utf8(output.stdout)?,
            err: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs it and expects success.
    pub async fn must<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        let said = self.run(arguments).await?;
        ensure!(said.good, "helm failed: {}{}", said.out, said.err);
        Ok(said.out)
    }

    /// `helm VERB aegis CHART ...`.
    pub async fn act(&self, verb: &str, further: &[&str]) -> Result<String> {
        let path = chart("");
        let path = path.to_string_lossy();
        self.must([&[verb, RELEASE, &path], further].concat()).await
    }

    /// What the chart renders.
    pub async fn template(&self, further: &[&str]) -> Result<String> {
        self.act("template", further).await
    }
}
