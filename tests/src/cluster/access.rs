//! How a test reaches the server as one of its users.

use std::path::PathBuf;
use std::process::Output;

use anyhow::{Context, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::process::Command;

use super::server::Cluster;

impl Cluster {
    /// The kubeconfig of a user, as `kubectl` and our own programs read it.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.ready.kubeconfigs.join(format!("{user}.yaml"))
    }

    /// A client that acts as a user.
    ///
    /// It belongs to the runtime of the caller: its connections are driven there, so a test must not keep one for another test.
    pub async fn client(&self, user: &str) -> Result<Client> {
        client_of(self.kubeconfig(user)).await
    }

    /// A client of `admin`, who may do everything. For setting the scene; what is being tested acts as somebody else.
    pub async fn admin(&self) -> Result<Client> {
        self.client("admin").await
    }

    /// Runs this server's own `kubectl` as a user and returns what it printed and how it ended.
    pub async fn kubectl(&self, user: &str, arguments: &[&str]) -> Result<Output> {
        Command::from(self.kubectl_command(user))
            .args(arguments)
            .kill_on_drop(true)
            .output()
            .await
            .with_context(|| format!("cannot run kubectl {}", arguments.join(" ")))
    }

    /// `kubectl` as a user, still without arguments.
    pub(super) fn kubectl_command(&self, user: &str) -> std::process::Command {
        let mut command = std::process::Command::new(self.binary);
        command
            .arg("kubectl")
            .env("KUBECONFIG", self.kubeconfig(user))
            // Its cache of what the server offers would otherwise grow in the developer's home with each server.
            .env("KUBECACHEDIR", self.ready.dir.join("kubectl-cache"))
            .stdin(std::process::Stdio::null());
        command
    }
}

/// A client from a kubeconfig file and nothing else: neither `KUBECONFIG` nor the home folder is looked at.
pub(super) async fn client_of(kubeconfig: PathBuf) -> Result<Client> {
    let read = Kubeconfig::read_from(&kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await?;
    // The server is on loopback, whatever proxy the developer's environment names.
    config.proxy_url = None;
    Ok(Client::try_from(config)?)
}
