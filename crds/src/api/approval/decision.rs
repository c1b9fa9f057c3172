//! Whose decision a held call needs, and the decision.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Duty;
use crate::schema::{CODE, DIGEST, DNS_LABEL, DNS_NAME, DURATION, RULE_OR_ENTRY};

/// One tier whose approval is needed, as it was when the request was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// Name of the ApprovalTier.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tier: String,
    /// Number of approvers.
    #[schemars(range(min = 1, max = 16))]
    pub minimum: u8,
    /// Who may not decide.
    #[schemars(length(max = 2))]
    pub separation_of_duties: Vec<Duty>,
    /// Time to decide.
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub decide_within: String,
    /// Time to use the approval.
    #[serde(rename = "releaseTTL")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub release_ttl: String,
    /// The rules that ask for it.
    #[schemars(length(min = 1, max = 16))]
    pub asked_by: Vec<AskedBy>,
}

/// A rule that asks for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AskedBy {
    /// Name of the ToolPolicy.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub policy: String,
    /// Name of the rule; provenance[N] for the entry of that place, counted from 0, in the policy's provenance.
    #[schemars(length(min = 1, max = 63), regex(pattern = RULE_OR_ENTRY))]
    pub rule: String,
    /// Reason code of the rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CODE))]
    pub reason: Option<String>,
}

/// A person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalDecision {
    /// Approved or Denied.
    pub verdict: ApprovalVerdict,
    /// Digest of what is approved: equal to action.effectDigest.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub effect_digest: String,
    /// Who decides: the caller. Stamped by the API server where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Decider>,
    /// Why, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApprovalVerdict {
    /// The call may go, once.
    Approved,
    /// The call is refused.
    Denied,
}

/// Who decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decider {
    /// Username as the API server knows it.
    #[schemars(length(min = 1, max = 256))]
    pub username: String,
    /// Uid as the API server knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub uid: Option<String>,
}
