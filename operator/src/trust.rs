//! What sidecars trust: ConfigMap `aegis-trust` in every namespace with agents, mounted into their pods.

use std::collections::BTreeMap;

use aegis_decision::jws::KeySet;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::{Api, Client};

use crate::keys::Keys;

/// Name of the ConfigMap.
pub const NAME: &str = "aegis-trust";
/// Field manager.
const MANAGER: &str = "aegis-controller";

/// Writes the ConfigMap by server-side apply.
pub async fn apply(client: &Client, namespace: &str, keys: &Keys, public: &KeySet) -> Result<(), kube::Error> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let wanted = build(namespace, keys.ca.certificate_pem(), public);
    if maps.get_opt(NAME).await?.is_some_and(|map| map.data == wanted.data) {
        return Ok(());
    }
    maps.patch(NAME, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&wanted)).await.map(|_| ())
}

/// The ConfigMap: `ca.crt` and `jwks.json`.
pub fn build(namespace: &str, ca: &str, public: &KeySet) -> ConfigMap {
    let jwks = serde_json::to_string_pretty(public).unwrap_or_default();
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(NAME.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "aegis".to_owned())])),
            ..Default::default()
        },
        data: Some(BTreeMap::from([("ca.crt".to_owned(), ca.to_owned()), ("jwks.json".to_owned(), jwks)])),
        ..Default::default()
    }
}
