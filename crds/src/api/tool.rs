//! Kind `Tool`: where calls go, and what can be called there.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::operation::Operation;
use crate::schema::{self, DNS_NAME, MAX_INTEGER};

/// An upstream and what can be called there. Everything that is not declared is refused.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "Tool",
    doc = "An upstream and what can be called there. Operations are named once; every call that is not one of them is refused.",
    namespaced,
    category = "aegis",
    shortname = "tool",
    status = "ToolStatus",
    derive = "PartialEq",
    printcolumn(name = "ENDPOINT", type_ = "string", json_path = ".spec.endpoint"),
    printcolumn(name = "OPERATIONS", type_ = "integer", json_path = ".status.operations"),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("a tool's name is a DNS label of at most 63 characters")
        .reason(Reason::FieldValueInvalid),
    validation = Rule::new("self.metadata.name != 'aegis'")
        .message("the name aegis is reserved: the sidecar's own paths begin with it")
        .reason(Reason::FieldValueForbidden),
)]
#[x_kube(
    validation = Rule::new("!has(self.tls) || self.endpoint.startsWith('https://')")
        .message("tls needs an endpoint that begins with https://")
        .reason(Reason::FieldValueInvalid)
        .field_path(".tls"),
    validation = Rule::new("!has(self.credential) || !has(self.headers) || !self.headers.exists(header, header.name == self.credential.name)")
        .message("the credential's header is not also a constant header")
        .reason(Reason::FieldValueInvalid)
        .field_path(".headers")
)]
#[serde(rename_all = "camelCase")]
pub struct ToolSpec {
    /// Where calls go: http or https, a host in lower case, a port if it is not the scheme's own, and a path that stands
    /// before every operation's path. No user, query or fragment.
    #[schemars(
        length(min = 8, max = 512),
        regex(
            pattern = r"^https?://([a-z0-9]([-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?$"
        )
    )]
    pub endpoint: String,
    /// TLS towards the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Constant headers that every call carries. The agent's own are dropped, but for accept, accept-language and trace headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub headers: Vec<Header>,
    /// The credential that the sidecar adds. The agent never has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Allows an upstream with a private, loopback or link-local address.
    #[serde(default)]
    pub allow_private_addresses: bool,
    /// What can be called.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub operations: Vec<Operation>,
    /// What happens to a call that is no declared operation. Only Deny is possible now.
    #[serde(default)]
    pub unlisted: Unlisted,
    /// Bounds on one call.
    #[serde(default)]
    pub limits: Limits,
}

/// TLS towards an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// PEM certificates to trust instead of the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65_536))]
    pub ca_bundle: Option<String>,
    /// Name to ask for and to verify instead of the endpoint's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub server_name: Option<String>,
}

/// A constant header.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// Name in lower case. Not one that Aegis or the connection sets itself.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = schema::free_header())]
    pub name: String,
    /// Value: visible ASCII and spaces.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^[!-~]([ -~]*[!-~])?$"))]
    pub value: String,
}

/// The credential that the sidecar adds: a header with the content of a Secret's key.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// Where the credential is kept, in the namespace of the Tool.
    pub secret_ref: SecretRef,
    /// Name of the header in lower case.
    #[serde(default = "default_credential_header")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    #[x_kube(validation = schema::free_header())]
    pub name: String,
    /// Word before the value, such as Bearer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = "^[A-Za-z][A-Za-z0-9-]*$"))]
    pub scheme: Option<String>,
}

fn default_credential_header() -> String {
    "authorization".to_owned()
}

/// A key of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub name: String,
    /// Key in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"))]
    pub key: String,
}

/// What happens to a call that is no declared operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Unlisted {
    /// It is refused.
    #[default]
    Deny,
}

/// Bounds on one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Largest request body in bytes, at most 16 MiB.
    #[serde(default = "default_request_bytes")]
    #[schemars(range(min = 1, max = 16_777_216))]
    pub request_bytes: u32,
    /// Largest response body in bytes, at most 64 MiB.
    #[serde(default = "default_response_bytes")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub response_bytes: u32,
    /// Calls under way at once from one sidecar.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 1024))]
    pub concurrency: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: default_request_bytes(),
            response_bytes: default_response_bytes(),
            concurrency: default_concurrency(),
        }
    }
}

fn default_request_bytes() -> u32 {
    262_144
}

fn default_response_bytes() -> u32 {
    1_048_576
}

fn default_concurrency() -> u16 {
    16
}

/// What the operator found out about the tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolStatus {
    /// Generation of the tool that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reconciling, Stalled, Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Number of declared operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64))]
    pub operations: Option<u32>,
}
