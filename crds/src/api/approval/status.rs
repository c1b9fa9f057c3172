//! Where a request stands: its phase, the one claim on it, and how its execution ended.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, MAX_INTEGER};

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequestStatus {
    /// Generation of the request that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Where the decision stands: Pending, Approved, Denied, Expired, Stale (what it was judged with changed) or Void
    /// (agent or delegation ended).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Where the execution stands: NotStarted, Claimed, Succeeded, Failed or Indeterminate (nobody knows).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Execution>,
    /// When the operator saw the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Time>,
    /// The one claim on an approved request. Never changes or disappears.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// How the execution ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// For a stale request: the context parts that changed, such as rules or registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 32)))]
    pub changed: Vec<String>,
    /// Conditions: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// Where a decision stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nobody has decided yet.
    #[default]
    Pending,
    /// A person approved it.
    Approved,
    /// A person denied it.
    Denied,
    /// Its time is over.
    Expired,
    /// What it was judged with changed.
    Stale,
    /// Agent or delegation ended.
    Void,
}

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Execution {
    /// Not claimed.
    #[default]
    NotStarted,
    /// Claimed; the call is being sent.
    Claimed,
    /// The tool did it.
    Succeeded,
    /// The tool refused it, or nothing was sent.
    Failed,
    /// Nobody knows.
    Indeterminate,
}

/// The one claim on an approved request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// Uid of the pod that claimed it.
    #[schemars(length(min = 1, max = 64))]
    pub pod: String,
    /// Random value of the attempt.
    #[schemars(length(min = 1, max = 64))]
    pub nonce: String,
    /// Id of the agent token that it was claimed with.
    #[schemars(length(min = 1, max = 64))]
    pub jti: String,
    /// When it was claimed.
    pub at: Time,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Whether any byte of the request was written.
    pub sent: bool,
    /// HTTP status of the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// Id of the decision record.
    #[schemars(length(min = 1, max = 128))]
    pub record: String,
    /// When it was reported.
    pub at: Time,
}
