//! A tool as the core sees it: where it is, and how each of its operations is recognised in an HTTP request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::path::Path;
use crate::policy::Transform;
use crate::shared::Shared;

mod dimension;

pub use dimension::Dimension;

/// What an operation can do to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Class {
    /// No side effect.
    Read,
    /// A write that can be undone.
    Draft,
    /// Money, a payee, an external message, a deletion.
    Commit,
}

impl Class {
    /// The name used in the API and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Draft => "Draft",
            Self::Commit => "Commit",
        }
    }
}

/// One tool: an upstream and its declared operations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tool {
    /// Name of the resource; also the first path segment at the sidecar.
    pub name: String,
    /// Uid of the resource; empty when it was not read from a server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Where calls go.
    pub endpoint: Endpoint,
    /// TLS towards the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Constant headers that the tool sets on every call, in order; names in lower case.
    #[serde(default)]
    pub headers: Vec<Header>,
    /// The credential that the sidecar adds; the agent never has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Whether the upstream may have a private, loopback or link-local address.
    pub allow_private_addresses: bool,
    /// What can be called. Everything else is refused.
    pub operations: Shared<Vec<Operation>>,
    /// Bounds on one call.
    pub limits: Limits,
}

impl Tool {
    /// The operation of that name.
    pub fn operation(&self, name: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.name == name)
    }
}

/// An upstream's address, parsed: `scheme://host:port/base/path`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// `http` or `https`.
    pub scheme: Scheme,
    /// Host name in lower case (IDNA form) or IP literal without brackets.
    pub host: String,
    /// Port, always given.
    pub port: u16,
    /// Path before every operation's path: empty, or starts with `/` and does not end with one.
    pub base_path: String,
}

impl Endpoint {
    /// `host:port` as in a Host header, without the scheme's default port.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.scheme, self.port) {
            (Scheme::Http, 80) | (Scheme::Https, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// The scheme of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Plain HTTP.
    Http,
    /// HTTP over TLS.
    Https,
}

impl Scheme {
    /// As written in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// TLS towards an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tls {
    /// PEM certificates to trust instead of the public roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<Shared<String>>,
    /// Name to ask for and to verify instead of the endpoint's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
}

/// A constant header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Name in lower case.
    pub name: String,
    /// Value, visible ASCII.
    pub value: String,
}

/// How the brokered credential is added: header `name: [scheme ]<content of the Secret's key>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Credential {
    /// Secret in the tool's namespace.
    pub secret: String,
    /// Key in the Secret; the sidecar reads the file of that name.
    pub key: String,
    /// Header name in lower case.
    pub header: String,
    /// Word before the value, such as `Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
}

/// Bounds on one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Largest request body in bytes.
    pub request_bytes: u32,
    /// Largest response body in bytes.
    pub response_bytes: u32,
    /// Calls under way at once from one sidecar.
    pub concurrency: u16,
}

/// One thing that a tool can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Name that rules use, such as `purchases.confirm`.
    pub name: String,
    /// What it can do to the world.
    pub class: Class,
    /// How it is recognised in a request.
    pub http: HttpBinding,
    /// RFC 6901 pointer into the body to the object that holds the arguments; empty: the body itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arguments_from: String,
    /// Short names for deep paths; a check's field may start with one.
    #[serde(default)]
    pub aliases: BTreeMap<String, Path>,
    /// Where the call says what every tool's calls say, each in its own words; rules see `$dim.<name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Dimension, Path>,
    /// JSON Schema 2020-12 of the arguments, as JSON. Required for Commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<serde_json::Value>,
    /// Reads that the sidecar makes before it decides.
    #[serde(default)]
    pub facts: Vec<Fact>,
    /// Paths whose values records keep in clear.
    #[serde(default)]
    pub record_clear: Vec<Path>,
    /// Paths hidden in the preview that an approver sees.
    #[serde(default)]
    pub sensitive: Vec<Path>,
    /// What becomes of its answers.
    #[serde(default, skip_serializing_if = "ResponseRules::is_empty")]
    pub response: ResponseRules,
    /// Time for the upstream to answer, in seconds.
    pub timeout_seconds: u32,
}

/// What becomes of an operation's answers before the agent sees them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResponseRules {
    /// What is taken out of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<Redaction>,
}

impl ResponseRules {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One thing that is taken out of answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Redaction {
    /// Remove, mask or truncate at a path into the answer.
    At(Transform),
    /// Each character of what matches becomes `*`.
    Pattern {
        /// Regular expression without unbounded repetitions, not anchored.
        pattern: String,
        /// Path to the values that are searched, with all that is in them; none: the whole answer.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<Path>,
    },
}

/// How an operation is recognised: method, path template, query parameters, and body fields with fixed values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBinding {
    /// Upper-case method.
    pub method: String,
    /// Path template after the tool's base path, RFC 6570 level 1 with whole segments: `/orders/{id}/confirm`.
    pub path: String,
    /// Declared query parameters; any other is refused.
    #[serde(default)]
    pub query: Vec<QueryParameter>,
    /// Body fields that must equal these values (dotted path to value), for APIs that name the operation in the body.
    #[serde(default)]
    pub body: BTreeMap<String, String>,
}

/// A declared query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QueryParameter {
    /// Name, also the argument's name.
    pub name: String,
    /// May be given several times; the argument is then an array of strings.
    #[serde(default)]
    pub repeated: bool,
    /// Must have exactly this value (all given values, when repeated).
    #[serde(default, rename = "const", skip_serializing_if = "Option::is_none")]
    pub constant: Option<String>,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
}

/// A Read operation of the same tool that the sidecar makes itself; rules see `$fact.<name>.<path>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fact {
    /// Name in `$fact.<name>`.
    pub name: String,
    /// The Read operation.
    pub operation: String,
    /// Its arguments.
    #[serde(default)]
    pub arguments: BTreeMap<String, FactArgument>,
    /// Paths of the answer that are kept; everything else is dropped before rules, digests and records.
    pub paths: Vec<Path>,
}

/// Where an argument of a fact's operation comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FactArgument {
    /// A path into the call's arguments.
    From(Path),
    /// A constant.
    Value(String),
    /// Constants of a repeated parameter.
    Values(Vec<String>),
}
