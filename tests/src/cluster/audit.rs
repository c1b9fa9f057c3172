//! The server's audit log: who asked for what and how it was answered. It holds every change, and for Aegis's own resources the reads and the objects too.

use anyhow::{Context, Result};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use serde::Deserialize;
use serde_json::Value;

use super::server::Cluster;

/// One answered request, the fields of `audit.k8s.io/v1` Event that tests ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// `create`, `patch`, `delete` and so on.
    pub verb: String,
    /// The path and query that were asked for.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who asked, after authentication.
    pub user: UserInfo,
    /// What it was about; absent for paths that are no resource.
    #[serde(default)]
    pub object_ref: Option<AuditObject>,
    /// The answer; its `code` is the HTTP status.
    #[serde(default)]
    pub response_status: Option<Status>,
    /// What authorization and admission had to say, by their annotation keys.
    #[serde(default)]
    pub annotations: std::collections::BTreeMap<String, String>,
    /// The body that was sent; only for Aegis's own resources.
    #[serde(default)]
    pub request_object: Option<Value>,
    /// The object that was answered; only for Aegis's own resources.
    #[serde(default)]
    pub response_object: Option<Value>,
}

/// The object that a request was about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditObject {
    /// The plural name of the kind.
    pub resource: String,
    /// The namespace; empty for cluster-wide objects.
    pub namespace: String,
    /// The name; empty for lists, and for objects refused before they were named.
    pub name: String,
    /// The API group; empty for the core group.
    pub api_group: String,
    /// `status`, `token` and so on; empty for the object itself.
    pub subresource: String,
}

impl AuditEvent {
    /// The HTTP status of the answer.
    pub fn code(&self) -> Option<i32> {
        self.response_status.as_ref()?.code
    }
}

impl Cluster {
    /// All requests that the server has logged so far. A request is logged when its answer is on its way, so a test that has just been answered waits for
    /// its event with [`eventually`](super::eventually).
    pub fn audit_events(&self) -> Result<Vec<AuditEvent>> {
        self.audit_lines()?
            .iter()
            .map(|line| serde_json::from_str(line).with_context(|| format!("not an audit event: {line}")))
            .collect()
    }

    /// The log's whole lines; the last one may still be being written.
    pub(super) fn audit_lines(&self) -> Result<Vec<String>> {
        let path = &self.ready.audit_log;
        let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = String::from_utf8_lossy(&content);
        Ok(text
            .split_inclusive('\n')
            .filter(|line| line.ends_with('\n'))
            .map(|line| line.trim_end().to_owned())
            .collect())
    }
}
