//! The tables of honest and hostile pods, with the webhook down.

use aegis_tests::cluster::{Cluster, Options};
use aegis_tests::install::{install, shared};
use aegis_tests::pods::{honest, hostile, unguarded};
use anyhow::{Result, ensure};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use kube::Api;
use kube::api::DeleteParams;

use super::ground;

#[tokio::test]
async fn every_honest_pod_is_accepted_and_inspected_alike() -> Result<()> {
    let (ground, _namespace) = ground(shared().await?, "honest").await?;
    let tally = honest(&ground).await?;
    println!("honest pods: {tally:?}");
    ensure!(tally.accepted >= 15, "{tally:?}");
    Ok(())
}

#[tokio::test]
async fn every_hostile_pod_is_refused_by_the_guard_alone_and_inspected_alike() -> Result<()> {
    let (ground, _namespace) = ground(shared().await?, "hostile").await?;
    let tally = hostile(&ground).await?;
    println!("hostile pods: {tally:?}");
    ensure!(tally.refused >= 40 && tally.mended == 0, "{tally:?}");
    Ok(())
}

#[tokio::test]
async fn without_its_binding_the_same_pods_are_accepted() -> Result<()> {
    // It changes guards, so it has a server of its own.
    let cluster = Cluster::start(Options::default()).await?;
    install(&cluster).await?;
    let (ground, _namespace) = ground(&cluster, "unguarded").await?;
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(cluster.admin().await?);
    bindings.delete("aegis-pods", &DeleteParams::default()).await?;
    let names = [
        "a_captured_pod_that_was_not_injected",
        "the_label_is_removed",
        "another_control_service",
        "the_agent_has_a_token_for_aegis_made",
        "the_sidecars_image_is_changed",
        "an_ephemeral_container_as_the_sidecars_user",
        "the_gateways_label_is_added_with_the_status",
    ];
    unguarded(&ground, &names).await
}
