//! Kind `ApprovalRequest`: one held call, the decision of a person on it, and its one execution.
//!
//! ```text
//! phase      Pending --> Approved --> Expired | Stale | Void      (the second step only while nobody has claimed it)
//!            Pending --> Denied | Expired | Stale | Void
//! execution  NotStarted --> Claimed --> Succeeded | Failed | Indeterminate --> Succeeded | Failed
//! ```
//!
//! The rules here hold with every program of ours stopped, and against the operator too: nothing is Approved without
//! the stored verdict. Who may decide is judged beside them, by admission policies. Rules on the status stand at the
//! root: a rule on `status` itself is not asked when the whole status is dropped.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Class, Duty};
use crate::schema::{self, CODE, DIGEST, DNS_LABEL, DNS_NAME, DURATION, MAX_INTEGER, OPERATION};

/// One held call that asks for a person's decision.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "ApprovalRequest",
    doc = "One held call that asks for a person's decision. Made by the control service; a person sets spec.decision, once, and nothing else.",
    namespaced,
    category = "aegis",
    shortname = "apr",
    status = "ApprovalRequestStatus",
    derive = "PartialEq",
    selectable = ".spec.agent.name",
    selectable = ".status.phase",
    printcolumn(name = "AGENT", type_ = "string", json_path = ".spec.agent.name"),
    printcolumn(name = "TOOL", type_ = "string", json_path = ".spec.action.tool"),
    printcolumn(name = "OPERATION", type_ = "string", json_path = ".spec.action.operation"),
    printcolumn(name = "TIERS", type_ = "string", json_path = ".spec.requirements[*].tier"),
    printcolumn(name = "PHASE", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "EXECUTION", type_ = "string", json_path = ".status.execution"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".spec.expiresAt", priority = 1),
    printcolumn(name = "REQUESTER", type_ = "string", json_path = ".spec.requester", priority = 1),
    printcolumn(name = "DECIDED-BY", type_ = "string", json_path = ".spec.decision.by.username", priority = 1),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status",
        priority = 1
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.claim) || (has(self.status) && has(self.status.claim) && self.status.claim == oldSelf.status.claim)")
        .message("claim never changes or disappears")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.claim"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.phase) || (has(self.status) && has(self.status.phase) && (self.status.phase == oldSelf.status.phase || oldSelf.status.phase == 'Pending' || (oldSelf.status.phase == 'Approved' && !has(oldSelf.status.claim) && self.status.phase in ['Expired', 'Stale', 'Void'])))")
        .message("phase only moves forward")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.phase"),
    validation = Rule::new("!has(self.status) || !has(self.status.claim) || (has(self.status.phase) && self.status.phase == 'Approved')")
        .message("only an Approved request is claimed")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.claim"),
    validation = Rule::new("!has(self.status) || !has(self.status.phase) || !(self.status.phase in ['Approved', 'Denied']) || (has(self.spec.decision) && self.spec.decision.verdict == self.status.phase)")
        .message("phase follows the stored decision")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.phase"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.execution) || (has(self.status) && has(self.status.execution) && (self.status.execution == oldSelf.status.execution || {'NotStarted': 0, 'Claimed': 1, 'Indeterminate': 2, 'Succeeded': 3, 'Failed': 3}[oldSelf.status.execution] < {'NotStarted': 0, 'Claimed': 1, 'Indeterminate': 2, 'Succeeded': 3, 'Failed': 3}[self.status.execution]))")
        .message("execution only moves forward")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.execution"),
    validation = Rule::new("!has(self.status) || !has(self.status.execution) || self.status.execution == 'NotStarted' || has(self.status.claim)")
        .message("only a claimed request is executed")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.execution"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.decidedAt) || (has(self.status) && has(self.status.decidedAt) && self.status.decidedAt == oldSelf.status.decidedAt)")
        .message("decidedAt is set once")
        .reason(Reason::FieldValueForbidden)
        .field_path(".status.decidedAt"),
)]
#[x_kube(
    validation = Rule::new("self.agent == oldSelf.agent")
        .message("agent is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".agent"),
    validation = Rule::new("self.delegation == oldSelf.delegation")
        .message("delegation is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".delegation"),
    validation = Rule::new("self.requester == oldSelf.requester")
        .message("requester is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".requester"),
    validation = Rule::new("self.action == oldSelf.action")
        .message("action is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".action"),
    validation = Rule::new("has(self.preview) == has(oldSelf.preview) && (!has(self.preview) || self.preview == oldSelf.preview)")
        .message("preview is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".preview"),
    validation = Rule::new("self.previewDigest == oldSelf.previewDigest")
        .message("previewDigest is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".previewDigest"),
    validation = Rule::new("self.requirements == oldSelf.requirements")
        .message("requirements are immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".requirements"),
    validation = Rule::new("self.requestedAt == oldSelf.requestedAt")
        .message("requestedAt is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".requestedAt"),
    validation = Rule::new("self.expiresAt == oldSelf.expiresAt")
        .message("expiresAt is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".expiresAt"),
    validation = Rule::new("self.releaseTTL == oldSelf.releaseTTL")
        .message("releaseTTL is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".releaseTTL"),
    validation = Rule::new("has(self.traceparent) == has(oldSelf.traceparent) && (!has(self.traceparent) || self.traceparent == oldSelf.traceparent)")
        .message("traceparent is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".traceparent"),
    validation = Rule::new("!has(oldSelf.decision) || (has(self.decision) && self.decision == oldSelf.decision)")
        .message("decision is set once")
        .reason(Reason::FieldValueForbidden)
        .field_path(".decision"),
    validation = Rule::new("!has(self.decision) || self.decision.effectDigest == self.action.effectDigest")
        .message("decision.effectDigest must equal action.effectDigest")
        .reason(Reason::FieldValueInvalid)
        .field_path(".decision.effectDigest")
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalRequestSpec {
    /// The agent that made the call.
    pub agent: RequestAgent,
    /// The delegation that the call is made under.
    pub delegation: RequestDelegation,
    /// Username of the person whose task it is: the delegation's requester, else its delegator.
    #[schemars(length(min = 1, max = 256))]
    pub requester: String,
    /// What would be done.
    pub action: Action,
    /// What the approver sees of the call: arguments and facts, as text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub preview: Vec<PreviewRow>,
    /// Digest of the preview.
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub preview_digest: String,
    /// Whose approval is needed: one requirement for each tier, with the tier as it was when the request was made.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub requirements: Vec<Requirement>,
    /// When the call was held.
    pub requested_at: Time,
    /// When the request ends undecided.
    pub expires_at: Time,
    /// Time to use the approval once it was given.
    #[serde(rename = "releaseTTL")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    pub release_ttl: String,
    /// W3C trace context of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 55), regex(pattern = "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"))]
    pub traceparent: Option<String>,
    /// The decision. The only part that a person writes, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<ApprovalDecision>,
}

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
    /// What the approver should know about the value, such as escaped or truncated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 32)))]
    pub flags: Vec<String>,
}

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
    /// Name of the rule.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
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
