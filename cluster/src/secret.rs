//! The Secret that a server's authorities are kept in, read and written by compare-and-set.

use std::collections::BTreeMap;

use aegis_runtime::tls::rotation::Stored;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::ObjectMeta;
use kube::{Api, Client, Error};

/// What keeps the authorities of one server, for all of its replicas.
#[derive(Clone)]
pub struct AuthoritySecret {
    secrets: Api<Secret>,
    name: &'static str,
}

impl AuthoritySecret {
    /// The Secret of this name, in the program's own namespace.
    pub fn new(client: Client, namespace: &str, name: &'static str) -> Self {
        Self { secrets: Api::namespaced(client, namespace), name }
    }

    /// What it holds; none where there is none yet.
    pub async fn kept(&self) -> Result<Option<Stored>, Error> {
        let secret = self.secrets.get_opt(self.name).await?;
        Ok(secret.map(|secret| Stored {
            data: secret.data.into_iter().flatten().map(|(name, bytes)| (name, bytes.0)).collect(),
            version: secret.metadata.resource_version.unwrap_or_default(),
        }))
    }

    /// Writes it if it still has this version, or, without one, if there still is none. Tells whether it did.
    pub async fn keep(&self, data: BTreeMap<&'static str, String>, version: Option<&str>) -> Result<bool, Error> {
        let secret = build(self.name, data, version);
        let written = match version {
            None => self.secrets.create(&PostParams::default(), &secret).await,
            Some(_) => self.secrets.replace(self.name, &PostParams::default(), &secret).await,
        };
        match written {
            Ok(_) => Ok(true),
            Err(Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn build(name: &str, data: BTreeMap<&'static str, String>, version: Option<&str>) -> Secret {
    let data = data.into_iter().map(|(name, text)| (name.to_owned(), ByteString(text.into_bytes())));
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            resource_version: version.map(str::to_owned),
            labels: Some(BTreeMap::from([("app.kubernetes.io/part-of".to_owned(), "aegis".to_owned())])),
            ..ObjectMeta::default()
        },
        type_: Some("aegis.dev/certificates".to_owned()),
        data: Some(data.collect()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_secret_holds_the_data_under_the_version_that_was_read() {
        let data = BTreeMap::from([("ca.crt", "pem".to_owned())]);
        let secret = serde_json::to_value(build("some-ca", data, Some("7"))).unwrap();
        assert_eq!(
            secret,
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "aegis.dev/certificates",
                "metadata": {"name": "some-ca", "resourceVersion": "7",
                    "labels": {"app.kubernetes.io/part-of": "aegis"}},
                "data": {"ca.crt": "cGVt"},
            })
        );
    }
}
