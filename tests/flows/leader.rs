//! Two operators: one writes, both serve, and the other writes when the first is gone.

use std::time::Duration;

use aegis_crds::api::Agent;
use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::install;
use aegis_tests::mesh::{Operator, OperatorSpec};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

/// Longer than a silent holder keeps its Lease.
const WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_other_replica_writes_when_the_one_that_led_is_gone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(Options::default()).await?;
    install::install(&cluster).await?;
    let start = async |name: &str| {
        let mut spec = OperatorSpec::new(&["default"], &folder.path().join(name));
        spec.arguments = ["--leader-elect", "--identity", name].map(str::to_owned).to_vec();
        Operator::start(&cluster, &spec).await
    };
    let admin = cluster.admin().await?;
    let leases: Api<Lease> = Api::namespaced(admin.clone(), "aegis-system");
    let agents: Api<Agent> = Api::namespaced(admin, "default");
    let holder = async || {
        let lease = leases.get("aegis-operator").await?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        holder.context("nobody holds the Lease")
    };

    let first = start("first").await?;
    eventually("the first to lead", WITHIN, async || {
        ensure!(holder().await? == "first");
        Ok(())
    })
    .await?;
    let second = start("second").await?;
    let agent: Agent = serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "buyer"},
        "spec": {"tenant": "acme", "businessUnit": "office", "owner": {"name": "Purchasing"}, "version": "1",
            "workload": {"serviceAccountName": "buyer"}},
    }))?;
    agents.create(&PostParams::default(), &agent).await?;
    let observed = async |generation: i64| {
        eventually(&format!("generation {generation} to be observed"), WITHIN, async || {
            let status = agents.get("buyer").await?.status.context("no status")?;
            ensure!(status.observed_generation == Some(generation), "{:?}", status.observed_generation);
            status.bundle.map(|bundle| bundle.version).context("no bundle")
        })
        .await
    };
    ensure!(observed(1).await? == 1, "the first bundle has version 1");
    ensure!(holder().await? == "first", "the second took the Lease from a holder that lives");

    first.process().kill9()?;
    let patch = json!({"spec": {"version": "2"}});
    agents.patch("buyer", &PatchParams::default(), &Patch::Merge(&patch)).await?;
    ensure!(observed(2).await? == 2, "the new leader goes on where the old one was");
    ensure!(holder().await? == "second");

    second.process().terminate()?;
    second.process().wait_exit(WITHIN).await?;
    ensure!(holder().await.is_err(), "one that ends lets the Lease go");
    Ok(())
}
