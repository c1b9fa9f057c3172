//! Kind `Delegation`: authority that a person lends to an agent, for some operations and some time.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dimensions::Dimension;
use crate::schema::{self, DECIMAL, DNS_LABEL, MAX_INTEGER, OPERATION_OR_ALL};

/// Authority that a person lends to an agent. Every call needs one that is in force.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "Delegation",
    doc = "Authority that a person lends to an agent, for some operations and some time. Fixed once created, but for revoked and an earlier expiresAt.",
    namespaced,
    category = "aegis",
    shortname = "dlg",
    status = "DelegationStatus",
    derive = "PartialEq",
    selectable = ".spec.agent",
    printcolumn(name = "AGENT", type_ = "string", json_path = ".spec.agent"),
    printcolumn(name = "DELEGATOR", type_ = "string", json_path = ".spec.delegator"),
    printcolumn(name = "WORKFLOW", type_ = "string", json_path = ".spec.workflow"),
    printcolumn(name = "EXPIRES", type_ = "string", json_path = ".spec.expiresAt"),
    printcolumn(name = "REVOKED", type_ = "boolean", json_path = ".spec.revoked"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "REQUESTER", type_ = "string", json_path = ".spec.requester", priority = 1),
    printcolumn(name = "PURPOSE", type_ = "string", json_path = ".spec.purpose", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("self.notBefore < self.expiresAt")
        .message("expiresAt lies after notBefore")
        .reason(Reason::FieldValueInvalid)
        .field_path(".expiresAt"),
    validation = Rule::new("self.expiresAt <= self.notBefore + duration('2160h')")
        .message("expiresAt lies at most 90 days after notBefore")
        .reason(Reason::FieldValueInvalid)
        .field_path(".expiresAt"),
    validation = Rule::new("self.agent == oldSelf.agent")
        .message("agent is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".agent"),
    validation = Rule::new("has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy)")
        .message("requestedBy is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".requestedBy"),
    validation = Rule::new("self.delegator == oldSelf.delegator")
        .message("delegator is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".delegator"),
    validation = Rule::new("has(self.requester) == has(oldSelf.requester) && (!has(self.requester) || self.requester == oldSelf.requester)")
        .message("requester is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".requester"),
    validation = Rule::new("self.workflow == oldSelf.workflow")
        .message("workflow is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".workflow"),
    validation = Rule::new("self.purpose == oldSelf.purpose")
        .message("purpose is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".purpose"),
    validation = Rule::new("has(self.request) == has(oldSelf.request) && (!has(self.request) || self.request == oldSelf.request)")
        .message("request is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".request"),
    validation = Rule::new("has(self.inputs) == has(oldSelf.inputs) && (!has(self.inputs) || self.inputs == oldSelf.inputs)")
        .message("inputs are immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".inputs"),
    validation = Rule::new("has(self.data) == has(oldSelf.data) && (!has(self.data) || self.data == oldSelf.data)")
        .message("data are immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".data"),
    validation = Rule::new("self.grants == oldSelf.grants")
        .message("grants are immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".grants"),
    validation = Rule::new("self.notBefore == oldSelf.notBefore")
        .message("notBefore is immutable")
        .reason(Reason::FieldValueForbidden)
        .field_path(".notBefore"),
    validation = Rule::new("self.expiresAt <= oldSelf.expiresAt")
        .message("expiresAt can only become earlier")
        .reason(Reason::FieldValueForbidden)
        .field_path(".expiresAt"),
    validation = Rule::new("!has(oldSelf.revoked) || !oldSelf.revoked || (has(self.revoked) && self.revoked)")
        .message("a revoked delegation stays revoked")
        .reason(Reason::FieldValueForbidden)
        .field_path(".revoked")
)]
#[serde(rename_all = "camelCase")]
pub struct DelegationSpec {
    /// Name of the Agent that the authority is lent to.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub agent: String,
    /// Username of who created this object. Stamped by the API server; leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: Option<String>,
    /// Username of who lends authority: the creator, or someone for whom the creator has the verb delegate-for on delegators/USERNAME.
    #[schemars(length(min = 1, max = 256))]
    pub delegator: String,
    /// Username of the person whose task it is, where that is someone other than the delegator. The same verb is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub requester: Option<String>,
    /// Name of the workflow, such as purchasing. Rules see it as $delegation.workflow.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub workflow: String,
    /// Why the authority is lent, in words.
    #[schemars(length(min = 1, max = 512))]
    pub purpose: String,
    /// The instruction in the requester's own words. A value that stands in it verbatim is of known origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub request: Option<String>,
    /// Values that the delegator supplies, by name. They are of known origin; rules see them as $delegation.inputs.NAME.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::text_map::<32, 256>")]
    pub inputs: BTreeMap<String, String>,
    /// What may be called under it.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub grants: Vec<Grant>,
    /// Bounds on what calls are about. All must hold; a call that does not say is outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub data: Vec<DataBound>,
    /// When it begins.
    pub not_before: Time,
    /// When it ends, at most 90 days after it begins. May be made earlier.
    pub expires_at: Time,
    /// Ends it at once and for ever.
    #[serde(default)]
    pub revoked: bool,
}

/// Operations of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Name of the Tool.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tool: String,
    /// Names of its operations, or * alone for all.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 128), regex(pattern = OPERATION_OR_ALL)))]
    pub operations: Vec<String>,
}

/// A bound on one dimension of the calls under a delegation.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.__in__) != has(self.atMost)")
        .message("a bound has exactly one of in and atMost")
        .reason(Reason::FieldValueInvalid),
    validation = Rule::new("!has(self.currency) || has(self.atMost)")
        .message("currency is given beside atMost")
        .reason(Reason::FieldValueInvalid)
        .field_path(".currency")
)]
#[serde(rename_all = "camelCase")]
pub struct DataBound {
    /// What is bounded.
    pub dimension: Dimension,
    /// It is one of these.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 256)))]
    pub one_of: Option<Vec<String>>,
    /// It is at most this decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = DECIMAL))]
    pub at_most: Option<String>,
    /// ISO 4217 code of atMost, which the dimension currency of the call must say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 3, max = 3), regex(pattern = "^[A-Z]{3}$"))]
    pub currency: Option<String>,
}

/// What the operator found out about the delegation.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DelegationStatus {
    /// Generation of the delegation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reconciling, Stalled, Effective.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
