//! Reaching the API server with the rights of whoever calls.

use std::future::Future;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::ClusterArgs;

/// A client and the namespace to use it in.
pub(crate) struct Cluster {
    /// The client.
    pub(crate) client: Client,
    /// The namespace that was asked for, else that of the context.
    pub(crate) namespace: String,
}

/// Runs the one task of a command.
pub(crate) fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("cannot start the command's runtime")?.block_on(task)
}

/// Reads the kubeconfig; nothing is sent yet.
pub(crate) async fn connect(args: &ClusterArgs) -> Result<Cluster> {
    let options = KubeConfigOptions { context: args.context.clone(), ..KubeConfigOptions::default() };
    let config = match &args.kubeconfig {
        Some(file) => {
            let read = Kubeconfig::read_from(file).context("cannot use --kubeconfig")?;
            Config::from_custom_kubeconfig(read, &options).await
        }
        None => Config::from_kubeconfig(&options).await,
    };
    let config = config.context("there is no cluster to ask; set KUBECONFIG, or name --kubeconfig and --context")?;
    let namespace = args.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
    Ok(Cluster { client: Client::try_from(config).context("cannot make a client of the cluster")?, namespace })
}
