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

mod action;
mod decision;
mod status;

pub use action::{Action, ContextParts, PreviewRow, RequestAgent, RequestDelegation, Target};
pub use decision::{ApprovalDecision, ApprovalVerdict, AskedBy, Decider, Requirement};
pub use status::{ApprovalRequestStatus, Claim, Execution, Phase, Receipt};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::schema::{DIGEST, DURATION};

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
