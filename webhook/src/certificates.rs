//! The webhook's own certificates: an authority in Secret `aegis-webhook-ca`, its certificate in the `caBundle` of both
//! webhook configurations, a leaf in the memory of each replica. What is done with them: see [`rotation`].
//!
//! [`rotation`]: aegis_runtime::tls::rotation

use std::collections::BTreeMap;

use aegis_cluster::AuthoritySecret;
use aegis_runtime::tls::rotation::{Published, Shared, Stored};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::core::{ObjectMeta, Status};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

/// Name of the Secret.
pub const SECRET: &str = "aegis-webhook-ca";
/// Field manager of `caBundle`, and of nothing else.
pub const MANAGER: &str = "aegis-webhook-ca";
/// Name of the authorities.
pub const COMMON_NAME: &str = "aegis webhook";

/// The API server, which all of it is kept in.
#[derive(Debug, thiserror::Error)]
#[error("cannot read or write {0}")]
pub struct CertificateError(&'static str, #[source] kube::Error);

/// What the replicas of the webhook share.
pub struct Certificates {
    client: Client,
    secret: AuthoritySecret,
    configuration: String,
}

/// A webhook configuration as it is stored.
pub struct Place {
    kind: &'static str,
    version: Option<String>,
    /// Name and `caBundle` of each webhook.
    webhooks: Vec<(String, Vec<u8>)>,
}

impl Place {
    fn new(
        kind: &'static str,
        metadata: ObjectMeta,
        webhooks: impl Iterator<Item = (String, Option<ByteString>)>,
    ) -> Self {
        let webhooks = webhooks.map(|(name, bundle)| (name, bundle.map(|bundle| bundle.0).unwrap_or_default()));
        Self { kind, version: metadata.resource_version, webhooks: webhooks.collect() }
    }
}

impl Certificates {
    /// `configuration`: name of both webhook configurations.
    pub fn new(client: Client, namespace: &str, configuration: &str) -> Self {
        Self {
            secret: AuthoritySecret::new(client.clone(), namespace, SECRET),
            client,
            configuration: configuration.to_owned(),
        }
    }

    /// None where it is not installed: then nobody calls, and nobody has to trust.
    async fn place<K>(&self, kind: &'static str) -> Result<Option<K>, CertificateError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        api.get_opt(&self.configuration).await.map_err(|error| CertificateError(kind, error))
    }

    async fn apply<K>(&self, kind: &'static str, wanted: &serde_json::Value) -> Result<Published, CertificateError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        match api.patch(&self.configuration, &PatchParams::apply(MANAGER), &Patch::Apply(wanted)).await {
            Ok(_) => Ok(Published::Written),
            Err(kube::Error::Api(status)) if status.code == 409 && !is_owned(&status) => Ok(Published::Outdated),
            Err(error) => Err(CertificateError(kind, error)),
        }
    }
}

impl Shared for Certificates {
    type Error = CertificateError;
    type Place = Place;
    const SECRET: &'static str = SECRET;

    async fn places(&self) -> Result<Vec<Place>, CertificateError> {
        let mutating: Option<MutatingWebhookConfiguration> = self.place("MutatingWebhookConfiguration").await?;
        let validating: Option<ValidatingWebhookConfiguration> = self.place("ValidatingWebhookConfiguration").await?;
        let mutating = mutating.map(|found| {
            let webhooks = found.webhooks.into_iter().flatten().map(|one| (one.name, one.client_config.ca_bundle));
            Place::new("MutatingWebhookConfiguration", found.metadata, webhooks)
        });
        let validating = validating.map(|found| {
            let webhooks = found.webhooks.into_iter().flatten().map(|one| (one.name, one.client_config.ca_bundle));
            Place::new("ValidatingWebhookConfiguration", found.metadata, webhooks)
        });
        Ok(mutating.into_iter().chain(validating).collect())
    }

    fn holds(&self, place: &Place, bundle: &str) -> bool {
        place.webhooks.iter().all(|(_, found)| found == bundle.as_bytes())
    }

    async fn publish(&self, place: &Place, bundle: &str) -> Result<Published, CertificateError> {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        let webhooks: Vec<_> = place
            .webhooks
            .iter()
            .map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let wanted = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": place.kind,
            "metadata": {"name": self.configuration, "resourceVersion": place.version},
            "webhooks": webhooks,
        });
        if place.kind == "MutatingWebhookConfiguration" {
            self.apply::<MutatingWebhookConfiguration>(place.kind, &wanted).await
        } else {
            self.apply::<ValidatingWebhookConfiguration>(place.kind, &wanted).await
        }
    }

    async fn kept(&self) -> Result<Option<Stored>, CertificateError> {
        self.secret.kept().await.map_err(|error| CertificateError("the Secret", error))
    }

    async fn keep(
        &self,
        data: BTreeMap<&'static str, String>,
        version: Option<&str>,
    ) -> Result<bool, CertificateError> {
        self.secret.keep(data, version).await.map_err(|error| CertificateError("the Secret", error))
    }
}

/// Whether it is a conflict about who owns `caBundle`, not about the version.
fn is_owned(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "FieldManagerConflict")
}
