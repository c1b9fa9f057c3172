//! What the chart renders for the main sets of values, kept as files. Definitions, guards, dashboards and alerts are left out of them: they are files of the repository
//! already, and other tests compare them.

use aegis_crds::mesh::Settings;
use aegis_operator::args::Args;
use aegis_tests::helm::{Helm, NAMESPACE, chart};
use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use serde_json::Value;
use test_case::test_case;

use super::rendered::{objects, title};

const RBAC: [&str; 5] = ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];

fn shipped_as_they_are(object: &Value) -> bool {
    let kind = object["kind"].as_str().unwrap_or_default();
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let elsewhere =
        kind == "CustomResourceDefinition" || kind == "PrometheusRule" || name.starts_with("aegis-dashboard-");
    elsewhere || kind.contains("AdmissionPolicy") || kind.contains("WebhookConfiguration")
}

async fn rendered(set: &str) -> Result<Vec<Value>> {
    let values = chart("ci").join(format!("{set}.yaml"));
    let values = values.to_string_lossy();
    let further: &[&str] = if set == "default" { &[] } else { &["--values", &values] };
    objects(&Helm::offline().await?.template(further).await?)
}

fn text(objects: &[Value]) -> Result<String> {
    let texts: Result<Vec<String>, _> = objects.iter().map(serde_saphyr::to_string).collect();
    Ok(texts?.join("---\n"))
}

#[test_case("default")]
#[test_case("minimal")]
#[test_case("everything")]
#[test_case("namespaces")]
#[tokio::test]
async fn it_renders_as_before(set: &str) -> Result<()> {
    let all = rendered(set).await?;
    let (rights, rest): (Vec<Value>, Vec<Value>) = all
        .into_iter()
        .filter(|object| !shipped_as_they_are(object))
        .partition(|object| RBAC.iter().any(|kind| object["kind"] == *kind));
    insta::assert_snapshot!(format!("{set}"), text(&rest)?);
    insta::assert_snapshot!(format!("{set}-rights"), text(&rights)?);
    Ok(())
}

/// The operator compares what is stored with its own copy, so the chart must not change a word of it.
#[tokio::test]
async fn guards_and_definitions_are_rendered_unchanged() -> Result<()> {
    let all = rendered("default").await?;
    let root = chart("../..");
    let mut compared = 0;
    for folder in ["guards", "crds/generated"] {
        for file in std::fs::read_dir(root.join(folder))? {
            let originals: Vec<Value> = serde_saphyr::from_multiple(&std::fs::read_to_string(file?.path())?)?;
            for original in originals.iter().filter(|one| one["kind"] != "Namespace") {
                let name = title(original);
                let shipped =
                    all.iter().find(|one| title(one) == name).with_context(|| format!("{name} is not shipped"))?;
                for part in ["spec", "rules", "roleRef", "subjects", "webhooks"] {
                    ensure!(shipped[part] == original[part], "{name}: {part} differs");
                }
                compared += 1;
            }
        }
    }
    ensure!(compared > 25, "only {compared} objects compared");
    Ok(())
}

/// Where a cluster does not serve the stamps, the rest is still installed.
#[tokio::test]
async fn stamps_are_shipped_only_where_they_are_served() -> Result<()> {
    let helm = Helm::offline().await?;
    let stamps = async |further: &[&str]| -> Result<usize> {
        Ok(objects(&helm.template(further).await?)?
            .iter()
            .filter(|one| title(one).starts_with("Mutating") && title(one).contains("Policy"))
            .count())
    };
    ensure!(stamps(&[]).await? >= 4);
    ensure!(stamps(&["--kube-version", "1.35.0"]).await? == 0);
    let vap = "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy";
    let map = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";
    ensure!(stamps(&["--api-versions", vap]).await? == 0, "a cluster that says what it serves is believed");
    ensure!(stamps(&["--api-versions", vap, "--api-versions", map]).await? >= 4);
    let old = helm.run(["template", "aegis", &chart("").to_string_lossy(), "--kube-version", "1.32.9"]).await?;
    ensure!(!old.good && old.err.contains("kubeVersion"), "{}", old.err);
    Ok(())
}

/// Every container of ours satisfies Pod Security "restricted"; every account that a pod names is shipped.
#[test_case("default")]
#[test_case("everything")]
#[tokio::test]
async fn pods_have_no_rights_beyond_running(set: &str) -> Result<()> {
    let all = rendered(set).await?;
    let accounts: Vec<&Value> =
        all.iter().filter(|one| one["kind"] == "ServiceAccount").map(|one| &one["metadata"]["name"]).collect();
    let mut seen = 0;
    for object in &all {
        let pod = if object["kind"] == "Pod" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        let Some(containers) = pod["containers"].as_array() else { continue };
        let name = title(object);
        seen += containers.len();
        ensure!(pod["securityContext"]["runAsNonRoot"] == true, "{name}");
        ensure!(pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", "{name}");
        ensure!(
            pod["serviceAccountName"].is_null() == (pod["automountServiceAccountToken"] == false),
            "{name}: account"
        );
        ensure!(
            pod["serviceAccountName"].is_null() || accounts.contains(&&pod["serviceAccountName"]),
            "{name} has an account that is not shipped"
        );
        for container in containers {
            let security = &container["securityContext"];
            ensure!(
                security["allowPrivilegeEscalation"] == false && security["readOnlyRootFilesystem"] == true,
                "{name}"
            );
            ensure!(
                security["capabilities"]["drop"] == serde_json::json!(["ALL"])
                    && security["capabilities"]["add"].is_null(),
                "{name}"
            );
            ensure!(container["resources"]["limits"]["memory"].is_string(), "{name} has no limit of memory");
            ensure!(container["command"].is_null(), "{name} names a command: the image has its entrypoint");
        }
    }
    ensure!(seen >= 4, "only {seen} containers found");
    Ok(())
}

/// The programs take what the chart tells them.
#[test_case("default")]
#[test_case("everything")]
#[test_case("namespaces")]
#[tokio::test]
async fn the_programs_take_their_arguments_and_settings(set: &str) -> Result<()> {
    let all = rendered(set).await?;
    let arguments = |name: &str| -> Result<Vec<String>> {
        let deployment = all.iter().find(|one| title(one) == format!("Deployment {name}")).context("no deployment")?;
        let arguments =
            deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("no arguments")?;
        Ok(arguments.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect())
    };
    let operator =
        Args::try_parse_from(std::iter::once("aegis-operator".to_owned()).chain(arguments("aegis-operator")?))?;
    ensure!(operator.system_namespace == NAMESPACE);
    ensure!(operator.namespaces.len() == if set == "namespaces" { 2 } else { 0 });
    let webhook = std::iter::once("aegis-webhook".to_owned()).chain(arguments("aegis-webhook")?);
    let webhook = aegis_webhook::args::Args::try_parse_from(webhook)?;
    ensure!(webhook.lifetimes().is_ok() && webhook.mesh_settings.as_ref() == Some(&operator.mesh_settings));
    let map = all.iter().find(|one| title(one) == "ConfigMap aegis-mesh").context("no settings")?;
    let settings = Settings::from_yaml(map["data"]["settings.yaml"].as_str().context("no file")?)?;
    let service = all.iter().find(|one| title(one) == "Service aegis-operator").context("no service")?;
    let control = format!("https://aegis-operator.{}.svc:{}", NAMESPACE, service["spec"]["ports"][0]["port"]);
    ensure!(settings.control == control, "{}", settings.control);
    ensure!(
        operator.control_names.iter().any(|name| control.contains(&format!("//{name}:"))),
        "its certificate lacks its name"
    );
    let wanted =
        if set == "everything" { "registry.example.com/team/aegis-proxy:0.1.0-rc.1" } else { "aegis-proxy:0.1.0" };
    ensure!(settings.images.proxy == wanted, "{}", settings.images.proxy);
    Ok(())
}

/// An uninstall waits for the Job, so a Job that does not know its task would hold it up.
#[tokio::test]
async fn the_webhook_knows_what_an_uninstall_asks_of_it() -> Result<()> {
    let all = rendered("default").await?;
    let job = all.iter().find(|one| title(one) == "Job aegis-uninstall").context("no hook")?;
    let job = job["spec"]["template"]["spec"]["containers"][0]["args"].as_array().context("no arguments")?;
    let job = job.iter().map(|one| one.as_str().unwrap_or_default());
    aegis_webhook::args::Args::try_parse_from(std::iter::once("aegis-webhook").chain(job))?;
    Ok(())
}
