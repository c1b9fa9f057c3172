//! The pod guard, with no program of ours running: agents' pods have their exact form or are refused, and all others pass.

// All of this is test code, but clippy spares only functions that are marked as tests.
#![allow(clippy::indexing_slicing)]

mod changes;
mod others;
mod slim;
mod statements;
mod tables;

use aegis_crds::mesh::Settings;
use aegis_tests::cluster::{Cluster, TestNamespace};
use aegis_tests::install::{OPERATOR_USERNAME, impersonate};
use aegis_tests::mesh::pods::settings;
use aegis_tests::pods::{Ground, Injection, prepare, state_mesh};
use anyhow::Result;
use kube::Client;

/// The settings of the tests, while a version is being replaced.
fn rolling() -> Settings {
    let mut settings = settings();
    let previous = ["proxy", "capture", "probe"].map(|program| format!("aegis.test/aegis-{program}:0.0.9"));
    settings.images.previous = previous.to_vec();
    settings
}

/// The operator's account, where none runs.
async fn operator(cluster: &Cluster) -> Result<Client> {
    impersonate(cluster, OPERATOR_USERNAME, &["system:masters"]).await
}

/// A namespace with agents, and its twin without.
async fn ground<'a>(cluster: &'a Cluster, prefix: &str) -> Result<(Ground, TestNamespace<'a>)> {
    let namespace = cluster.namespace(prefix).await?;
    let twin = cluster.namespace(&format!("{prefix}-twin")).await?;
    let admin = cluster.admin().await?;
    prepare(&admin, namespace.name(), twin.name()).await?;
    let operator = operator(cluster).await?;
    for agent in ["reader", "buyer", "payer"] {
        state_mesh(&operator, namespace.name(), agent, &rolling()).await?;
    }
    let ground = Ground::new(admin, namespace.name(), twin.name(), Injection::ByHand).await?;
    Ok((ground, namespace))
}
