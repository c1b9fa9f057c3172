//! Install, upgrade, rollback and uninstall on a real API server, for releases that are applied by the server (Helm 4) and by the client (born in Helm 3).

use std::time::Duration;

use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::helm::{Helm, NAMESPACE, RELEASE};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;
use test_case::test_case;
use tokio::io::AsyncWriteExt as _;

use super::install::Installed;
use super::rendered::{objects, title};
use crate::guards::scene::PATIENCE;

/// On a busy machine the API server, which takes a definition's objects away first, fails some times, and pauses twice as long
/// after each.
const UNTIL_GONE: Duration = Duration::from_mins(5);

async fn arguments(installed: &Installed) -> Result<Vec<String>> {
    let deployments: Api<Deployment> = Api::namespaced(installed.cluster.admin().await?, NAMESPACE);
    let spec = deployments.get("aegis-operator").await?.spec.template.spec.context("no pod")?;
    Ok(spec.containers[0].args.clone().unwrap_or_default())
}

async fn definitions(installed: &Installed) -> Result<usize> {
    let all: Api<CustomResourceDefinition> = Api::all(installed.cluster.admin().await?);
    Ok(all.list(&ListParams::default()).await?.iter().filter(|one| one.spec.group == "aegis.dev").count())
}

/// An ordinary pod and one that an Agent once governed are both taken.
async fn pods_are_taken(installed: &Installed) -> Result<()> {
    let pods = "
apiVersion: v1
kind: Pod
metadata: {generateName: ordinary-, namespace: default}
spec: {serviceAccountName: default, containers: [{name: main, image: none}]}
---
apiVersion: v1
kind: Pod
metadata: {generateName: agent-, namespace: default, labels: {aegis.dev/agent: buyer}}
spec: {serviceAccountName: default, containers: [{name: main, image: none}]}
";
    let api: Api<Pod> = Api::namespaced(installed.cluster.admin().await?, "default");
    for pod in serde_saphyr::from_multiple::<Pod>(pods)? {
        eventually("a pod to be taken", PATIENCE, async || {
            Ok(api.create(&kube::api::PostParams::default(), &pod).await.map(drop)?)
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_dry_run_of_the_server_takes_everything_and_leaves_nothing() -> Result<()> {
    let cluster = Cluster::start(Options::default()).await?;
    let helm = Helm::of(&cluster).await?;
    helm.act("install", &["--create-namespace", "--dry-run=server"]).await?;
    let namespaces: Api<Namespace> = Api::all(cluster.admin().await?);
    ensure!(namespaces.get_opt(NAMESPACE).await?.is_none(), "the dry run made the namespace");

    // The same for those who apply what the chart renders.
    helm.act("install", &["--create-namespace"]).await?;
    let rendered = helm.template(&["--no-hooks", "--skip-tests"]).await?;
    ensure!(objects(&rendered)?.len() > 40, "the render is short");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rendered.yaml");
    let mut written = tokio::fs::File::create(&file).await?;
    written.write_all(rendered.as_bytes()).await?;
    written.flush().await?;
    let applied = cluster
        .kubectl(
            "admin",
            &["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", &file.to_string_lossy()],
        )
        .await?;
    ensure!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    Ok(())
}

#[test_case("--server-side=true"; "applied_by_the_server")]
#[test_case("--server-side=false"; "applied_by_the_client")]
#[tokio::test]
async fn a_release_lives_and_leaves_nothing_in_the_way(side: &str) -> Result<()> {
    let installed = Installed::start(Options::default(), &[side]).await?;
    installed.guarded().await?;
    ensure!(definitions(&installed).await? == 7);
    let webhooks = installed.write_ca().await?;
    ensure!(webhooks > 0, "no webhook is installed");
    ensure!(installed.with_ca().await? == webhooks);

    installed.helm.act("upgrade", &["--set", "operator.retainDays=31,mesh.probeMinutes=7"]).await?;
    ensure!(arguments(&installed).await?.contains(&"--retain-days=31".to_owned()));
    let maps: Api<ConfigMap> = Api::namespaced(installed.cluster.admin().await?, NAMESPACE);
    let settings = maps.get("aegis-mesh").await?.data.unwrap_or_default();
    ensure!(settings["settings.yaml"].contains("probeMinutes: 7"));
    ensure!(installed.with_ca().await? == webhooks, "the upgrade took the CA of the webhooks");
    installed.guarded().await?;

    installed.helm.must(["rollback", RELEASE, "1"]).await?;
    ensure!(arguments(&installed).await?.contains(&"--retain-days=30".to_owned()));
    ensure!(installed.with_ca().await? == webhooks, "the rollback took the CA of the webhooks");
    installed.guarded().await?;

    uninstall(&installed).await?;
    ensure!(definitions(&installed).await? == 7, "the definitions are to be kept");
    pods_are_taken(&installed).await?;

    // What was kept is taken up again, and goes when that is asked for.
    installed.helm.act("install", &[side, "--set", "crds.keep=false"]).await?;
    installed.guarded().await?;
    installed.helm.must(["uninstall", RELEASE, "--no-hooks"]).await?;
    nothing_is_in_the_way(&installed).await?;
    eventually("the definitions to be gone", UNTIL_GONE, async || {
        ensure!(definitions(&installed).await? == 0);
        Ok(())
    })
    .await?;
    pods_are_taken(&installed).await
}

async fn nothing_is_in_the_way(installed: &Installed) -> Result<()> {
    let left = installed.in_the_way().await?;
    ensure!(left.is_empty(), "left in the way: {left:?}");
    Ok(())
}

/// Uninstalls, and does the work of the Job, which no node runs here, with exactly its account's rights. Nothing else may go before it is done.
async fn uninstall(installed: &Installed) -> Result<()> {
    let mut helm = installed.helm.command().args(["uninstall", RELEASE, "--timeout", "2m"]).spawn()?;
    let admin = installed.cluster.admin().await?;
    let jobs: Api<Job> = Api::namespaced(admin.clone(), NAMESPACE);
    eventually("the hook's Job", PATIENCE, async || Ok(jobs.get("aegis-uninstall").await.map(drop)?)).await?;
    let deployments: Api<Deployment> = Api::namespaced(admin.clone(), NAMESPACE);
    ensure!(deployments.list(&ListParams::default()).await?.items.len() == 2, "the hook comes after the programs");
    let before = installed.in_the_way().await?;
    ensure!(before.iter().any(|one| one.ends_with("Binding aegis-pods")), "{before:?}");

    installed.clear_the_way("aegis-uninstall").await?;
    let pods: Api<Pod> = Api::namespaced(admin, NAMESPACE);
    let pod = eventually("the Job's pod", PATIENCE, async || {
        let list = ListParams::default().labels("job-name=aegis-uninstall");
        pods.list(&list).await?.items.into_iter().next().context("no pod yet")
    })
    .await?;
    let done = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    pods.patch_status(&pod.name_any(), &PatchParams::default(), &done).await?;
    let status = helm.wait().await?;
    ensure!(status.success(), "the uninstall failed");
    nothing_is_in_the_way(installed).await?;
    let rendered = installed.helm.template(&[]).await?;
    ensure!(
        objects(&rendered)?.iter().any(|one| title(one) == "Job aegis-uninstall"),
        "the Job is no part of the chart"
    );
    Ok(())
}
