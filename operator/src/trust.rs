//! What sidecars trust: ConfigMap `aegis-trust` in every namespace with agents, mounted into their pods. `ca.crt`: the
//! control service's authorities, which rotate; `jwks.json`: the keys that sign.
//!
//! Any replica writes, by compare-and-set, whoever leads: the order of a rotation rests on versions alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_cluster::AuthoritySecret;
use aegis_crds::api::Agent;
use aegis_decision::jws::KeySet;
use aegis_runtime::tls::rotation::{Published, Shared, Stored};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::core::{ObjectMeta, Status};
use kube::{Api, Client};
use tokio::sync::Notify;

use crate::stores::Kind;

/// Name of the ConfigMap.
pub const NAME: &str = "aegis-trust";
/// Name of the Secret with the control service's authorities.
pub const SECRET: &str = "aegis-control-ca";
/// Name of the authorities.
pub const COMMON_NAME: &str = "aegis control service";
/// Field manager.
const MANAGER: &str = "aegis-controller";
/// ConfigMaps that are read at once.
const AT_ONCE: usize = 16;

/// The API server, which all of it is kept in.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A ConfigMap.
    #[error("cannot read or write configmap {NAME} in namespace {0}")]
    Place(String, #[source] kube::Error),
    /// The Secret.
    #[error("cannot read or write secret {SECRET}")]
    Secret(#[source] kube::Error),
}

/// What the replicas of the control service share.
pub struct Trust {
    client: Client,
    secret: AuthoritySecret,
    agents: Kind<Agent>,
    jwks: String,
    appeared: Arc<Notify>,
}

/// The ConfigMap of a namespace, as it is stored.
#[derive(Debug)]
pub struct Place {
    namespace: String,
    /// Version and data; none where it is not there.
    stored: Option<(Option<String>, BTreeMap<String, String>)>,
}

impl Trust {
    /// `namespace`: the operator's own. `agents` must have been listed. `appeared` tells of a namespace's first agent.
    pub fn new(client: Client, namespace: &str, agents: Kind<Agent>, public: &KeySet, appeared: Arc<Notify>) -> Self {
        let jwks = serde_json::to_string_pretty(public).unwrap_or_default();
        Self { secret: AuthoritySecret::new(client.clone(), namespace, SECRET), client, agents, jwks, appeared }
    }

    fn maps(&self, namespace: &str) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn place(&self, namespace: String) -> Result<Place, TrustError> {
        match self.maps(&namespace).get_opt(NAME).await {
            Ok(map) => {
                let stored = map.map(|map| (map.metadata.resource_version, map.data.unwrap_or_default()));
                Ok(Place { namespace, stored })
            }
            Err(error) => Err(TrustError::Place(namespace, error)),
        }
    }
}

impl Shared for Trust {
    type Error = TrustError;
    type Place = Place;
    const SECRET: &'static str = SECRET;

    async fn places(&self) -> Result<Vec<Place>, TrustError> {
        let namespaces = self.agents.namespaces();
        let reads = namespaces.into_iter().map(|namespace| self.place(namespace));
        futures::stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await
    }

    fn holds(&self, place: &Place, bundle: &str) -> bool {
        // Who else adds a file harms nobody.
        place.stored.as_ref().is_some_and(|(_, data)| {
            data.get("ca.crt").is_some_and(|held| held == bundle) && data.get("jwks.json") == Some(&self.jwks)
        })
    }

    async fn publish(&self, place: &Place, bundle: &str) -> Result<Published, TrustError> {
        let maps = self.maps(&place.namespace);
        let version = place.stored.as_ref().and_then(|(version, _)| version.clone());
        let wanted = build(&place.namespace, version, bundle, &self.jwks);
        let written = if place.stored.is_some() {
            maps.patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await
        } else {
            // An apply would overwrite what another replica made meanwhile.
            maps.create(&PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }, &wanted).await
        };
        match written {
            Ok(_) => Ok(Published::Written),
            Err(kube::Error::Api(status)) if place.stored.is_none() && is_gone(&status) => Ok(Published::Gone),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Published::Outdated),
            Err(error) => Err(TrustError::Place(place.namespace.clone(), error)),
        }
    }

    async fn kept(&self) -> Result<Option<Stored>, TrustError> {
        self.secret.kept().await.map_err(TrustError::Secret)
    }

    async fn keep(&self, data: BTreeMap<&'static str, String>, version: Option<&str>) -> Result<bool, TrustError> {
        self.secret.keep(data, version).await.map_err(TrustError::Secret)
    }

    async fn changed(&self) {
        self.appeared.notified().await;
    }
}

/// The ConfigMap: `ca.crt` and `jwks.json`.
fn build(namespace: &str, version: Option<String>, authorities: &str, jwks: &str) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            resource_version: version,
            labels: Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "aegis".to_owned())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([
            ("ca.crt".to_owned(), authorities.to_owned()),
            ("jwks.json".to_owned(), jwks.to_owned()),
        ])),
        ..ConfigMap::default()
    }
}

/// Whether the namespace is gone or going: nothing new can be made there.
fn is_gone(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    status.code == 404 || causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_namespace_that_goes_is_told_from_one_that_refuses() {
        let status = |value| serde_json::from_value::<Status>(value).unwrap();
        assert!(is_gone(&status(json!({"code": 404, "reason": "NotFound"}))));
        assert!(is_gone(&status(json!({"code": 403, "reason": "Forbidden",
            "details": {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]}}))));
        assert!(!is_gone(&status(json!({"code": 403, "reason": "Forbidden", "message": "exceeded quota"}))));
        assert!(!is_gone(&status(json!({"code": 409, "reason": "Conflict"}))));
    }

    #[test]
    fn the_config_map_holds_authorities_and_keys_under_the_version_that_was_read() {
        let map = serde_json::to_value(build("shop", Some("7".to_owned()), "old\nnew\n", "{}")).unwrap();
        assert_eq!(
            map,
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "aegis-trust", "namespace": "shop", "resourceVersion": "7",
                    "labels": {"app.kubernetes.io/part-of": "aegis"}},
                "data": {"ca.crt": "old\nnew\n", "jwks.json": "{}"},
            })
        );
    }
}
