//! One operation of a `Tool`: its name, what it can do, and how it is recognised in a request.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Class;
use super::dimensions::Dimensions;
use super::fact::Fact;
use super::sanitize::Response;
use crate::schema::{self, DURATION, NAME, OPERATION};

/// One thing that a tool can do.
#[derive(KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.class != 'Commit' || has(self.arguments)")
    .message("a Commit operation needs a JSON Schema of its arguments")
    .reason(Reason::FieldValueRequired)
    .field_path(".arguments"))]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Name that rules and records use, such as purchases.confirm. Unique in the tool.
    #[schemars(length(min = 1, max = 128), regex(pattern = OPERATION))]
    pub name: String,
    /// What it can do: Read (no side effect), Draft (a write that can be undone), Commit (money, a payee, an external
    /// message, a deletion).
    pub class: Class,
    /// How it is recognised in an HTTP request.
    pub http: HttpBinding,
    /// RFC 6901 pointer to the object in the body that holds the arguments. Absent: the body itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), regex(pattern = "^(/([^~]|~[01])*)*$"))]
    pub arguments_from: Option<String>,
    /// Short names for deep paths of the arguments. A check's field may begin with one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::text_map::<32, 256>")]
    pub aliases: BTreeMap<String, String>,
    /// Where the call says what calls of every tool say, each in its own words. Rules see them as $dim.NAME, and
    /// delegations bound them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<Dimensions>,
    /// JSON Schema (2020-12) that the arguments must satisfy. Required for a Commit. No remote references.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    pub arguments: Option<serde_json::Map<String, serde_json::Value>>,
    /// Reads of the same tool that the sidecar makes before it decides. Rules see them as $fact.NAME.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub facts: Vec<Fact>,
    /// What records keep of a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Record>,
    /// Paths of arguments and facts that an approver does not see.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub sensitive: Vec<String>,
    /// What becomes of its answers before the agent sees them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Response>,
    /// Time for the upstream to answer. At most 5 minutes.
    #[serde(default = "default_timeout")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('5m')")
        .message("timeout lies between 1s and 5m")
        .reason(Reason::FieldValueInvalid))]
    pub timeout: String,
}

fn default_timeout() -> String {
    "30s".to_owned()
}

/// What records keep of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Paths of arguments and facts whose values records keep in clear. All others are kept as digests only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub clear: Vec<String>,
}

/// How an operation is recognised: method, path, query parameters, and body fields with fixed values.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpBinding {
    /// HTTP method.
    pub method: Method,
    /// Path after the endpoint's own, with whole segments in braces for parameters: /orders/{id}/confirm.
    #[schemars(
        length(min = 1, max = 256),
        regex(
            pattern = r"^/([A-Za-z0-9._~!$&'()*+,;=:@-]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(/([A-Za-z0-9._~!$&'()*+,;=:@-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))*/?$"
        )
    )]
    pub path: String,
    /// Query parameters. Any other is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub query: Vec<QueryParameter>,
    /// Fields of the body, as dotted paths, that must have these values: for APIs that name the operation in the body.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::text_map::<8, 256>")]
    pub body: BTreeMap<String, String>,
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// GET.
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
}

impl Method {
    /// As written in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A declared query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QueryParameter {
    /// Name of the parameter and of the argument.
    #[schemars(length(min = 1, max = 64), regex(pattern = NAME))]
    pub name: String,
    /// May be given several times. The argument is then a list.
    #[serde(default)]
    pub repeated: bool,
    /// The only value that it may have.
    #[serde(default, rename = "const", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub constant: Option<String>,
    /// Must be given.
    #[serde(default)]
    pub required: bool,
}
