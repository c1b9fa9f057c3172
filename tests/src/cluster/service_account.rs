//! Access as a service account: tokens that the server issues, and kubeconfigs that read them from a file, so that programs run under their own account and
//! never as admin.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use super::server::Cluster;
use crate::install::impersonate;

/// How long the token of a kubeconfig lasts: a demo that stays up for a working day needs no renewal.
const KUBECONFIG_TOKEN_LIFE: Duration = Duration::from_hours(12);

/// The token to ask the server for, as in its `TokenRequest`.
#[derive(Clone, Debug)]
pub struct TokenFor<'a> {
    /// The service account's namespace.
    pub namespace: &'a str,
    /// The service account's name.
    pub name: &'a str,
    /// Whom the token is for; empty means the API server itself.
    pub audiences: &'a [&'a str],
    /// The Pod that the token is bound to. Nothing needs to run it, but it must name this service account.
    pub pod: Option<BoundPod<'a>>,
    /// How long it lasts; the server takes nothing below ten minutes.
    pub life: Duration,
}

/// The Pod that a token is bound to: it names this very object, not another Pod of the same name.
#[derive(Clone, Copy, Debug)]
pub struct BoundPod<'a> {
    /// The Pod's name.
    pub name: &'a str,
    /// The Pod's uid; without it the server takes that of the Pod which has the name now.
    pub uid: Option<&'a str>,
}

impl Cluster {
    /// Lets the server issue a token for a service account, as it does for a node: only nodes get one for Aegis.
    pub async fn service_account_token(&self, wanted: &TokenFor<'_>) -> Result<String> {
        let node = impersonate(self, "kubelet", &["system:nodes", "system:masters"]).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(node, wanted.namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                // No audience at all means that of the API server.
                audiences: (!wanted.audiences.is_empty())
                    .then(|| wanted.audiences.iter().map(|&audience| audience.to_owned()).collect()),
                bound_object_ref: wanted.pod.map(|pod| BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(pod.name.to_owned()),
                    uid: pod.uid.map(str::to_owned),
                }),
                expiration_seconds: Some(i64::try_from(wanted.life.as_secs())?),
                attestations: None,
            }),
            ..TokenRequest::default()
        };
        let issued = accounts
            .create_token_request(wanted.name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for service account {}/{}", wanted.namespace, wanted.name))?;
        issued.status.and_then(|status| status.token).context("a TokenRequest was answered without a token")
    }

    /// Writes a kubeconfig for a service account into `dir`, and beside it the token file it reads; both are the owner's alone (mode 0600).
    ///
    /// The token lasts 12 hours. Calling this again renews it in place: clients read the file anew.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str, dir: &Path) -> Result<PathBuf> {
        let token = self
            .service_account_token(&TokenFor {
                namespace,
                name,
                audiences: &[],
                pod: None,
                life: KUBECONFIG_TOKEN_LIFE,
            })
            .await?;
        let dir = dir.canonicalize().with_context(|| format!("no folder {}", dir.display()))?;
        let token_file = dir.join(format!("{namespace}.{name}.token"));
        write_secret(&token_file, &token)?;
        let kubeconfig = dir.join(format!("{namespace}.{name}.yaml"));
        write_secret(&kubeconfig, &self.kubeconfig_text(namespace, name, &token_file)?)?;
        Ok(kubeconfig)
    }

    fn kubeconfig_text(&self, namespace: &str, name: &str, token_file: &Path) -> Result<String> {
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "testbed", "cluster": {"server": self.ready.server, "certificate-authority": self.ready.ca_file}}],
            "users": [{"name": name, "user": {"tokenFile": token_file}}],
            "contexts": [{"name": "testbed", "context": {"cluster": "testbed", "user": name, "namespace": namespace}}],
            "current-context": "testbed",
        });
        // JSON is YAML; every reader of kubeconfigs takes it.
        Ok(serde_json::to_string_pretty(&config)?)
    }
}

/// Writes a file that only the owner can read, whole or not at all: a reader sees the old or the new content.
fn write_secret(path: &Path, content: &str) -> Result<()> {
    let fresh = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .with_context(|| format!("cannot write {}", fresh.display()))?;
    file.write_all(content.as_bytes())?;
    fs::rename(&fresh, path)?;
    Ok(())
}
