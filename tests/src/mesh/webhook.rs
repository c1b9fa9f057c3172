//! The webhook as a process beside a bare API server, which reaches it by address instead of by Service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_crds::mesh::{INJECT_ENABLED, INJECT_LABEL, Settings};
use anyhow::{Context as _, Result, bail, ensure};
use http::Method;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::metrics::metric;
use super::operator::address;
use super::{binary, pods};
use crate::cluster::process::{Process, ProcessSpec};
use crate::cluster::{Cluster, apply, eventually};
use crate::erp::http_json;
use crate::install::MANAGER;

/// Time for the webhook to listen, to be ready, and to be asked by the API server.
const START: Duration = Duration::from_mins(1);

/// A running webhook.
pub struct Webhook {
    process: Process,
    address: String,
    admin: String,
}

/// How a webhook is started.
#[derive(Debug, Clone)]
pub struct WebhookSpec {
    /// Folder for its kubeconfig and log.
    pub dir: PathBuf,
    /// Address that it listens on; port 0 for a free one.
    pub listen: String,
    /// Settings of the mesh.
    pub mesh: Settings,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl WebhookSpec {
    /// On a free port, with the settings that the tests' pods are judged by.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), listen: "127.0.0.1:0".to_owned(), mesh: pods::settings(), arguments: Vec::new() }
    }

    /// With further arguments.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }
}

impl Webhook {
    /// Starts one under the service account `aegis-system/aegis-webhook`, and returns when it listens. See [`register`].
    pub async fn start(cluster: &Cluster, spec: &WebhookSpec) -> Result<Self> {
        std::fs::create_dir_all(&spec.dir)?;
        let kubeconfig = cluster.service_account_kubeconfig("aegis-system", "aegis-webhook", &spec.dir).await?;
        let settings = spec.dir.join("mesh-settings.yaml");
        // JSON is YAML.
        std::fs::write(&settings, serde_json::to_string_pretty(&spec.mesh)?)?;
        let log = spec.dir.join(format!("webhook-{:08x}.log", rand::random::<u32>()));
        let process = ProcessSpec::new(binary("aegis-webhook")?, &log)
            .env("KUBECONFIG", &kubeconfig)
            .arg("--mesh-settings")
            .arg(&settings)
            .args(["--listen", &spec.listen])
            .args(["--names", "localhost,127.0.0.1"])
            .args(["--admin-listen", "127.0.0.1:0"])
            .args(&spec.arguments);
        let process = Process::spawn(process).await?;
        let admin = address(&process.wait_for_log("admin listens", START).await?)?;
        let address = address(&process.wait_for_log("webhook listens", START).await?)?;
        Ok(Self { process, address, admin })
    }

    /// Returns when it says that it is ready: it knows the resources, and has a certificate that is trusted.
    pub async fn ready(&self) -> Result<()> {
        let url = format!("http://{}/ready", self.admin);
        eventually("the webhook to be ready", START, async || {
            let answer = http_json(Method::GET, &url, &[], None).await?;
            ensure!(answer.status.is_success(), "{}", answer.body);
            Ok(())
        })
        .await
    }

    /// `host:port` that it answers the API server on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The sum of all samples of a metric whose line begins with `name`, which may end in the middle of the labels.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        metric(&format!("http://{}", self.admin), name).await
    }
}

/// Lets the API server ask these webhooks, as `guards/webhooks.yaml` says but by address, and returns when it does.
/// `adjust` may change a configuration before it is applied.
pub async fn register(
    cluster: &Cluster,
    injection: &Webhook,
    validation: &Webhook,
    adjust: impl Fn(&mut Value),
) -> Result<()> {
    let admin = cluster.admin().await?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a root")?;
    let text = std::fs::read_to_string(root.join("guards/webhooks.yaml"))?;
    for mut document in serde_saphyr::from_multiple::<Value>(&text)? {
        let webhooks = document.get_mut("webhooks").and_then(Value::as_array_mut).context("webhooks")?;
        for webhook in webhooks {
            let config = webhook.get_mut("clientConfig").context("clientConfig")?;
            let path = config.pointer("/service/path").and_then(Value::as_str).context("path")?.to_owned();
            let address = if path == "/inject" { &injection.address } else { &validation.address };
            *config = json!({"url": format!("https://{address}{path}")});
        }
        adjust(&mut document);
        // The same manager as at installation, so that the Service is given up.
        apply(&admin, serde_json::to_string(&document)?.as_str(), MANAGER).await?;
    }
    injection.ready().await?;
    validation.ready().await?;
    in_force(cluster).await
}

/// Labels a namespace for injection.
pub async fn enable(cluster: &Cluster, namespace: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(cluster.admin().await?);
    let label = json!({"metadata": {"labels": {INJECT_LABEL: INJECT_ENABLED}}});
    namespaces.patch(namespace, &PatchParams::default(), &Patch::Merge(label)).await?;
    Ok(())
}

/// The API server takes up webhooks some tenths of a second after they were stored.
async fn in_force(cluster: &Cluster) -> Result<()> {
    let namespace = cluster.namespace("webhook-probe").await?;
    enable(cluster, namespace.name()).await?;
    let pods: Api<Pod> = namespace.api("admin").await?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let nobodys = pods::plain("probe", "nobody", "default")?;
    eventually("injection to be asked", START, async || match pods.create(&dry_run, &nobodys).await {
        Err(kube::Error::Api(status)) if status.message.contains("names Agent nobody, which does not exist") => Ok(()),
        Err(other) => Err(other.into()),
        Ok(_) => bail!("accepted"),
    })
    .await?;
    let policies: Api<aegis_crds::api::ToolPolicy> = namespace.api("admin").await?;
    let broken = serde_json::from_value(json!({
        "apiVersion": "aegis.dev/v1alpha1", "kind": "ToolPolicy", "metadata": {"name": "probe"},
        "spec": {"tools": ["none"], "rules": [{"name": "broken", "operations": ["*"], "effect": "Allow",
            "when": [{"field": "text", "matches": "("}]}]},
    }))?;
    eventually("validation to be asked", START, async || match policies.create(&dry_run, &broken).await {
        Err(kube::Error::Api(status)) if status.message.contains("rule broken: spec.rules[0]") => Ok(()),
        Err(other) => Err(other.into()),
        Ok(_) => bail!("accepted"),
    })
    .await
}
