//! The webhook's own certificates: an authority in Secret `aegis-webhook-ca`, its certificate in the `caBundle` of both
//! webhook configurations, a leaf in the memory of each replica.
//!
//! What is to be done says [`rotation::evaluate`]; here it is done. The order of the reads matters: see [`rotation`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aegis_runtime::tls::rotation::{self, Held, Kept, Lifetimes, Step};
use aegis_runtime::tls::{Leaf, Served, TlsError};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::metrics::Metrics;

/// Name of the Secret.
pub const SECRET: &str = "aegis-webhook-ca";
/// Field manager of `caBundle`, and of nothing else.
pub const MANAGER: &str = "aegis-webhook-ca";
/// Name of the authorities.
const COMMON_NAME: &str = "aegis webhook";
/// Longest and shortest time between two looks at what is kept.
const LOOK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(15));

/// What goes wrong with certificates. All of it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The API server.
    #[error("cannot read or write {0}")]
    Api(&'static str, #[source] kube::Error),
    /// The Secret's content, or a certificate that cannot be made.
    #[error("secret {SECRET} is damaged or cannot be used; delete it to make a new one")]
    Tls(#[from] TlsError),
}

/// Keeps the certificates.
pub struct Certificates {
    client: Client,
    secrets: Api<Secret>,
    namespace: String,
    configuration: String,
    names: Vec<String>,
    lifetimes: Lifetimes,
    metrics: Metrics,
    held: Option<Held>,
    served: Option<Served>,
}

/// A webhook configuration as it is stored.
struct Place {
    kind: &'static str,
    version: Option<String>,
    /// Name and `caBundle` of each webhook.
    webhooks: Vec<(String, Vec<u8>)>,
}

/// What one look came to.
enum Turn {
    /// Something was done, or somebody else was faster: look again.
    Again,
    /// Nothing to do before this time.
    Wait(Duration),
}

impl Certificates {
    /// `configuration`: name of both webhook configurations. `names`: what the API server calls this server.
    pub fn new(
        client: Client,
        namespace: &str,
        configuration: &str,
        names: &[String],
        lifetimes: Lifetimes,
        metrics: Metrics,
    ) -> Self {
        Self {
            secrets: Api::namespaced(client.clone(), namespace),
            client,
            namespace: namespace.to_owned(),
            configuration: configuration.to_owned(),
            names: names.to_vec(),
            lifetimes,
            metrics,
            held: None,
            served: None,
        }
    }

    /// Returns the certificate to serve once there is one that is trusted wherever the webhook is registered.
    pub async fn first(&mut self) -> Served {
        loop {
            let pause = match self.turn().await {
                Ok(Turn::Again) => continue,
                Ok(Turn::Wait(_)) => match &self.served {
                    Some(served) => return served.clone(),
                    None => LOOK.0,
                },
                Err(error) => self.note(&error),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Keeps certificates and trust up to date, for ever.
    pub async fn run(mut self) {
        loop {
            let pause = match self.turn().await {
                Ok(Turn::Again) => continue,
                Ok(Turn::Wait(until)) => until.saturating_sub(now()).min(self.look_every()).max(LOOK.0),
                Err(error) => self.note(&error),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Others change what is kept, too: it is looked at well within the time in which a change must be seen.
    fn look_every(&self) -> Duration {
        (self.lifetimes.settle / 4).clamp(LOOK.0, LOOK.1)
    }

    fn note(&self, error: &CertificateError) -> Duration {
        self.metrics.failed();
        let source = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, source, "certificates, trying again");
        self.look_every()
    }

    async fn turn(&mut self) -> Result<Turn, CertificateError> {
        let places = self.places().await?;
        let secret = self.secrets.get_opt(SECRET).await.map_err(|error| CertificateError::Api("the Secret", error))?;
        let kept = match &secret {
            Some(secret) => Kept::from_data(|name| Some(secret.data.as_ref()?.get(name)?.0.as_slice()))?,
            None => Kept::default(),
        };
        let state = kept.state();
        let bundle = state.trusted().concat().into_bytes();
        let published = places.iter().all(|place| place.holds(&bundle));
        let now = now();
        let step = rotation::evaluate(&state, published, self.held.as_ref(), &self.lifetimes, now);
        match step {
            Step::Wait(until) => return Ok(Turn::Wait(until)),
            Step::Publish => {
                for place in places.iter().filter(|place| !place.holds(&bundle)) {
                    self.publish(place, &bundle).await?;
                }
            }
            Step::Issue => {
                if let Some((leaf, held)) = kept.leaf(&self.names, self.lifetimes.leaf, now)? {
                    self.serve(&leaf, held)?;
                }
            }
            Step::MakeFirst | Step::MakeNext | Step::Announce | Step::Promote | Step::Retire => {
                let version = secret.and_then(|secret| secret.metadata.resource_version);
                let kept = kept.after(step, COMMON_NAME, &self.lifetimes, now)?;
                if !self.keep(&kept, version).await? {
                    return Ok(Turn::Again);
                }
            }
        }
        tracing::info!(step = name(step), "certificates");
        self.metrics.stepped(name(step));
        Ok(Turn::Again)
    }

    fn serve(&mut self, leaf: &Leaf, held: Held) -> Result<(), TlsError> {
        match &self.served {
            Some(served) => served.replace(leaf)?,
            None => self.served = Some(Served::new(leaf)?),
        }
        self.metrics.expires(held.made.saturating_add(self.lifetimes.leaf));
        self.held = Some(held);
        Ok(())
    }

    async fn places(&self) -> Result<Vec<Place>, CertificateError> {
        let mutating: Option<MutatingWebhookConfiguration> = self.place("MutatingWebhookConfiguration").await?;
        let validating: Option<ValidatingWebhookConfiguration> = self.place("ValidatingWebhookConfiguration").await?;
        let bundle = |bundle: Option<ByteString>| bundle.map(|bundle| bundle.0).unwrap_or_default();
        let mutating = mutating.map(|found| Place {
            kind: "MutatingWebhookConfiguration",
            version: found.metadata.resource_version,
            webhooks: found
                .webhooks
                .into_iter()
                .flatten()
                .map(|one| (one.name, bundle(one.client_config.ca_bundle)))
                .collect(),
        });
        let validating = validating.map(|found| Place {
            kind: "ValidatingWebhookConfiguration",
            version: found.metadata.resource_version,
            webhooks: found
                .webhooks
                .into_iter()
                .flatten()
                .map(|one| (one.name, bundle(one.client_config.ca_bundle)))
                .collect(),
        });
        Ok(mutating.into_iter().chain(validating).collect())
    }

    /// None where it is not installed: then nobody calls, and nobody has to trust.
    async fn place<K>(&self, kind: &'static str) -> Result<Option<K>, CertificateError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        api.get_opt(&self.configuration).await.map_err(|error| CertificateError::Api(kind, error))
    }

    /// Only if nobody has changed the place since it was read: a conflict is an error, and looked at anew.
    async fn publish(&self, place: &Place, bundle: &[u8]) -> Result<(), CertificateError> {
        let bundle = ByteString(bundle.to_vec());
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

    async fn apply<K>(&self, kind: &'static str, wanted: &serde_json::Value) -> Result<(), CertificateError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let applied = api.patch(&self.configuration, &PatchParams::apply(MANAGER), &Patch::Apply(wanted)).await;
        applied.map(drop).map_err(|error| CertificateError::Api(kind, error))
    }

    /// Whether it was kept: not when somebody else was faster.
    async fn keep(&self, kept: &Kept, version: Option<String>) -> Result<bool, CertificateError> {
        let data = kept.to_data().into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(SECRET.to_owned()),
                namespace: Some(self.namespace.clone()),
                resource_version: version.clone(),
                labels: Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "aegis".to_owned())])),
                ..ObjectMeta::default()
            },
            type_: Some("aegis.dev/certificates".to_owned()),
            data: Some(data.collect()),
            ..Secret::default()
        };
        let written = match version {
            None => self.secrets.create(&PostParams::default(), &secret).await,
            Some(_) => self.secrets.replace(SECRET, &PostParams::default(), &secret).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(CertificateError::Api("the Secret", error)),
        }
    }
}

impl Place {
    fn holds(&self, bundle: &[u8]) -> bool {
        self.webhooks.iter().all(|(_, found)| found == bundle)
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::MakeFirst => "make_first",
        Step::MakeNext => "make_next",
        Step::Publish => "publish",
        Step::Announce => "announce",
        Step::Promote => "promote",
        Step::Retire => "retire",
        Step::Issue => "issue",
        Step::Wait(_) => "wait",
    }
}

/// Since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
