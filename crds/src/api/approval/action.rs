//! What a held call would do: who, under whose authority, what, and what the approver sees of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Class;
use crate::schema::{DIGEST, DNS_LABEL, DNS_NAME, MAX_INTEGER, OPERATION};

/// The agent that made a held call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestAgent {
    /// Name of the Agent.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// Uid of the Agent.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Version of the agent's configuration.
    #[schemars(length(min = 1, max = 64))]
    pub version: String,
}

/// The delegation that a held call is made under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestDelegation {
    /// Name of the Delegation.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub name: String,
    /// Uid of the Delegation.
    #[schemars(length(min = 1, max = 64))]
    pub uid: String,
    /// Generation of the Delegation.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub generation: i64,
    /// Username of who lends authority.
    #[schemars(length(min = 1, max = 256))]
    pub delegator: String,
}

/// What a held call would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Name of the Tool.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tool: String,
    /// Name of the operation.
    #[schemars(length(min = 1, max = 128), regex(pattern = OPERATION))]
    pub operation: String,
    /// What the operation can do.
    pub class: Class,
    /// Where the call would go.
    pub target: Target,
    /// Digest of all that would be sent. A decision names it.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub effect_digest: String,
    /// Digest of what the call was judged with. Where it changes, the request is stale.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub context_digest: String,
    /// The parts of the context, so that a stale request can name what changed.
    pub context_parts: ContextParts,
}

/// Where a held call would go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// HTTP method.
    #[schemars(length(min = 1, max = 16), regex(pattern = "^[A-Z]+$"))]
    pub method: String,
    /// URL as it would be sent.
    #[schemars(length(min = 1, max = 2048))]
    pub url: String,
}

/// Digests of what a call was judged with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContextParts {
    /// The rules on this operation.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub rules: String,
    /// The registry entries that its checks name.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub registries: String,
    /// The facts.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub facts: String,
    /// The delegation's uid and generation.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub delegation: String,
    /// The tool's operation.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub tool: String,
}

/// One line of what the approver sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreviewRow {
    /// Path of the argument or fact.
    #[schemars(length(min = 1, max = 256))]
    pub path: String,
    /// Its value as text, with control characters escaped.
    #[schemars(length(max = 512))]
    pub value: String,
    /// What the approver should know about the value, such as escaped, truncated or sanitized.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 32)))]
    pub flags: Vec<String>,
}
