//! Kind `ApprovalTier`: who decides a held call, and how long they have.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Duty;
use crate::schema::{self, DURATION, MAX_INTEGER};

/// How a held call is decided. Whoever has the verb approve on a tier's name may decide its requests.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "ApprovalTier",
    doc = "How a held call is decided. Whoever has the RBAC verb approve on approvaltiers/NAME may decide its requests.",
    namespaced,
    category = "aegis",
    shortname = "tier",
    status = "ApprovalTierStatus",
    derive = "PartialEq",
    printcolumn(name = "MINIMUM", type_ = "integer", json_path = ".spec.minimum"),
    printcolumn(name = "DECIDE", type_ = "string", json_path = ".spec.decideWithin"),
    printcolumn(name = "USE", type_ = "string", json_path = ".spec.releaseTTL"),
    printcolumn(
        name = "READY",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "REASON",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = 1
    ),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.size() <= 63 && !self.metadata.name.contains('.')")
        .message("a tier's name is a DNS label of at most 63 characters")
        .reason(Reason::FieldValueInvalid),
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTierSpec {
    /// Number of approvers that a request needs. Only 1 is possible now.
    #[serde(default = "default_minimum")]
    #[schemars(range(min = 1, max = 16))]
    #[x_kube(validation = Rule::new("self == 1")
        .message("only one approver is possible now: write 1")
        .reason(Reason::FieldValueInvalid))]
    pub minimum: u8,
    /// Who may not decide: the requester (whose task it is) and the delegator (who lends authority). Default: both.
    #[serde(default = "default_duties")]
    #[schemars(length(max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub separation_of_duties: Vec<Duty>,
    /// Time to decide a request, from its creation. At most 7 days.
    #[serde(default = "default_decide_within")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')")
        .message("decideWithin lies between 1s and 168h")
        .reason(Reason::FieldValueInvalid))]
    pub decide_within: String,
    /// Time to use an approval once it was given. At most 24 hours.
    #[serde(default = "default_release_ttl", rename = "releaseTTL")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("releaseTTL lies between 1s and 24h")
        .reason(Reason::FieldValueInvalid))]
    pub release_ttl: String,
}

fn default_minimum() -> u8 {
    1
}

fn default_duties() -> Vec<Duty> {
    vec![Duty::Requester, Duty::Delegator]
}

fn default_decide_within() -> String {
    "2h".to_owned()
}

fn default_release_ttl() -> String {
    "15m".to_owned()
}

impl Default for ApprovalTierSpec {
    fn default() -> Self {
        Self {
            minimum: default_minimum(),
            separation_of_duties: default_duties(),
            decide_within: default_decide_within(),
            release_ttl: default_release_ttl(),
        }
    }
}

/// What the operator found out about the tier.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalTierStatus {
    /// Generation of the tier that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}
