//! The chart on a server of its own, and what tests ask about it.

use std::time::Duration;

use aegis_operator::guards::Guards;
use aegis_runtime::tls::Authority;
use aegis_tests::cluster::{Cluster, Options, eventually};
use aegis_tests::helm::Helm;
use aegis_tests::install::{OPERATOR_ACCOUNT, OPERATOR_NAMESPACE};
use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::guards::scene::{PATIENCE, account};

/// Kinds that can refuse or change the requests of others.
const IN_THE_WAY: [(&str, &str); 6] = [
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
    ("MutatingAdmissionPolicy", "mutatingadmissionpolicies"),
    ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations"),
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations"),
];
/// Owner of the webhooks' CA bundle.
const CA_MANAGER: &str = "aegis-webhook-ca";

/// A server on which Helm has installed the chart.
pub struct Installed {
    pub cluster: Cluster,
    pub helm: Helm,
}

impl Installed {
    /// Starts a server and installs.
    pub async fn start(options: Options, further: &[&str]) -> Result<Self> {
        let cluster = Cluster::start(options).await?;
        let helm = Helm::of(&cluster).await?;
        helm.act("install", &[&["--create-namespace"], further].concat()).await?;
        Ok(Self { cluster, helm })
    }

    /// Waits until the operator, with the rights that the chart gave its account, finds every guard as it was shipped.
    pub async fn guarded(&self) -> Result<()> {
        let operator = account(&self.cluster, OPERATOR_NAMESPACE, OPERATOR_ACCOUNT).await?;
        let guards = Guards::shipped()?;
        eventually("the guards to be as shipped", PATIENCE, async || {
            let faults = guards.faults(&operator).await;
            ensure!(faults.is_empty(), "{faults:?}");
            Ok(())
        })
        .await
    }

    /// `Kind name` of everything that stands in the way of others' requests and is ours.
    pub async fn in_the_way(&self) -> Result<Vec<String>> {
        let admin = self.cluster.admin().await?;
        let mut found = Vec::new();
        for (kind, plural) in IN_THE_WAY {
            let all = api(&admin, kind, plural)
                .list(&ListParams::default().labels("app.kubernetes.io/part-of=aegis"))
                .await?;
            found.extend(all.items.iter().map(|one| format!("{kind} {}", one.name_any())));
        }
        Ok(found)
    }

    /// Deletes, as an account and one by one by their names, what stands in the way.
    pub async fn clear_the_way(&self, name: &str) -> Result<()> {
        let client = account(&self.cluster, OPERATOR_NAMESPACE, name).await?;
        for title in self.in_the_way().await? {
            let (kind, object) = title.split_once(' ').context("a title is kind and name")?;
            if kind.ends_with("Policy") {
                continue;
            }
            let plural = IN_THE_WAY.iter().find(|(known, _)| *known == kind).map_or("", |(_, plural)| plural);
            // Its rights reach the server a moment after they were stored.
            eventually(&format!("{name} to delete {title}"), PATIENCE, async || {
                Ok(api(&client, kind, plural).delete(object, &kube::api::DeleteParams::default()).await.map(drop)?)
            })
            .await?;
        }
        Ok(())
    }

    /// Does what the webhook does at its start: writes the CA of its certificate, as a manager of its own.
    pub async fn write_ca(&self) -> Result<usize> {
        let ca = Authority::generate("a webhook's CA", Duration::from_hours(1))?;
        let bundle = base64::engine::general_purpose::STANDARD.encode(ca.certificate_pem());
        let admin = self.cluster.admin().await?;
        let mut written = 0;
        for (kind, plural) in &IN_THE_WAY[4..] {
            let configurations = api(&admin, kind, plural);
            for one in ours(&configurations).await? {
                let webhooks: Vec<Value> = webhooks(&one)
                    .iter()
                    .map(|webhook| json!({"name": webhook["name"], "clientConfig": {"caBundle": bundle}}))
                    .collect();
                let mine = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
                    "metadata": {"name": one.name_any()}, "webhooks": webhooks});
                let as_webhook = PatchParams::apply(CA_MANAGER);
                configurations.patch(&one.name_any(), &as_webhook, &Patch::Apply(mine)).await?;
                written += webhooks.len();
            }
        }
        Ok(written)
    }

    /// How many webhooks have a CA bundle.
    pub async fn with_ca(&self) -> Result<usize> {
        let admin = self.cluster.admin().await?;
        let mutating: Api<MutatingWebhookConfiguration> = Api::all(admin.clone());
        let validating: Api<ValidatingWebhookConfiguration> = Api::all(admin);
        let list = ListParams::default().labels("app.kubernetes.io/part-of=aegis");
        let mutating = mutating.list(&list).await?.items.into_iter().flat_map(|one| one.webhooks.unwrap_or_default());
        let validating =
            validating.list(&list).await?.items.into_iter().flat_map(|one| one.webhooks.unwrap_or_default());
        let bundles = mutating.map(|one| one.client_config).chain(validating.map(|one| one.client_config));
        Ok(bundles.filter(|config| config.ca_bundle.as_ref().is_some_and(|bundle| !bundle.0.is_empty())).count())
    }
}

async fn ours(api: &Api<DynamicObject>) -> Result<Vec<DynamicObject>> {
    Ok(api.list(&ListParams::default().labels("app.kubernetes.io/part-of=aegis")).await?.items)
}

fn webhooks(configuration: &DynamicObject) -> Vec<Value> {
    configuration.data["webhooks"].as_array().cloned().unwrap_or_default()
}

fn api(client: &Client, kind: &str, plural: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, plural))
}
