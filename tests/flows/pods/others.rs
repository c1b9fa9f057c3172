//! Pods that are no agent's, and settings of a namespace that touch all its pods.

use aegis_crds::api::Agent;
use aegis_decision::egress::Level;
use aegis_tests::cluster::eventually;
use aegis_tests::install::shared;
use aegis_tests::mesh::pods::{injected, plain, settings};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::super::guards::scene::{PATIENCE, refused};
use super::ground;

#[tokio::test]
async fn pods_of_other_accounts_pass_in_every_namespace() -> Result<()> {
    let cluster = shared().await?;
    let (_ground, _namespace) = ground(cluster, "every").await?;
    let admin = cluster.admin().await?;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"generateName": "other-"},
        "spec": {"hostNetwork": true, "containers": [{"name": "app", "image": "app", "securityContext": {"privileged": true}}]},
    }))?;
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let mut tried = 0;
    for namespace in namespaces.list(&ListParams::default()).await? {
        let pods: Api<Pod> = Api::namespaced(admin.clone(), &namespace.name_any());
        match pods.create(&dry_run, &pod).await {
            Ok(_) => tried += 1,
            // Another test's namespace may not have its accounts yet.
            Err(kube::Error::Api(status)) => {
                ensure!(!status.message.contains("ValidatingAdmissionPolicy"), "{}: {status:?}", namespace.name_any());
            }
            Err(other) => return Err(other.into()),
        }
    }
    ensure!(tried >= 4, "only {tried} namespaces");
    Ok(())
}

#[tokio::test]
async fn pods_by_which_a_cluster_recovers_are_never_judged() -> Result<()> {
    let admin = shared().await?.admin().await?;
    let agents: Api<Agent> = Api::namespaced(admin.clone(), "kube-system");
    let agent: Agent = serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "Agent", "metadata": {"name": "dns"},
        "spec": {"tenant": "acme", "businessUnit": "office", "owner": {"name": "office"}, "version": "1",
            "workload": {"serviceAccountName": "coredns"}},
    }))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    refused("an Agent there", agents.create(&dry_run, &agent).await, "an Agent does not live in kube-system")?;
    let pods: Api<Pod> = Api::namespaced(admin, "kube-system");
    pods.create(&dry_run, &plain("dns", "dns", "default")?).await?;
    Ok(())
}

/// `LimitRanger` gives every container limits that it does not have, ours too, and that is no fault.
#[tokio::test]
async fn limits_of_a_namespace_do_not_spoil_an_injected_pod() -> Result<()> {
    let (_ground, namespace) = ground(shared().await?, "limits").await?;
    let range = "
apiVersion: v1
kind: LimitRange
metadata: {name: defaults}
spec: {limits: [{type: Container, default: {cpu: 500m, memory: 256Mi}, defaultRequest: {cpu: 50m}}]}
";
    namespace.apply("admin", range, "flows").await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let pod = injected(plain("limited", "buyer", "buyer-account")?, namespace.name(), "buyer", Level::Captured)?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let stored = eventually("the limits to be in force", PATIENCE, async || {
        let stored = pods.create(&dry_run, &pod).await?;
        let init = stored.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()).context("init containers")?;
        let limits = init[1].resources.as_ref().and_then(|resources| resources.limits.as_ref()).context("limits")?;
        ensure!(limits.contains_key("cpu"), "{limits:?}");
        Ok(stored)
    })
    .await?;
    let inspected = aegis_crds::mesh::inspect(&stored, namespace.name(), "buyer", Level::Captured, &settings());
    ensure!(inspected.is_ok(), "{inspected:?}");
    Ok(())
}
