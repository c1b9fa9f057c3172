//! Where the values of arguments may come from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::policy::ApprovalBy;
use crate::schema::OPERATION_OR_ALL;

/// An argument whose values must come from somewhere known.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("(self.unknownOrigin == 'Hold') == has(self.approval)")
        .message("approval is given exactly for unknownOrigin Hold")
        .reason(Reason::FieldValueInvalid)
        .field_path(".approval"),
    validation = Rule::new("self.operations.size() == 1 || !('*' in self.operations)")
        .message("* stands alone")
        .reason(Reason::FieldValueInvalid)
        .field_path(".operations")
)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// Operations that it applies to, or * alone for all.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 128), regex(pattern = OPERATION_OR_ALL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub operations: Vec<String>,
    /// Path of the argument. Every text and number there and below must have been supplied by one of the sources.
    #[schemars(length(min = 1, max = 256))]
    pub field: String,
    /// Sources. Delegation: an input of the delegation, or a value that its data bounds list. Request: verbatim in the
    /// delegation's request. Registry:NAME: the id or an attribute of an entry. Response:TOOL: a value of an earlier
    /// answer of the tool in the same run.
    #[schemars(
        length(min = 1, max = 8),
        inner(
            length(min = 1, max = 263),
            regex(pattern = "^(Delegation|Request|(Registry|Response):[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$")
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub from: Vec<String>,
    /// What becomes of a call with a value that none of them supplied. Hold: it waits for a person. Deny: it is refused.
    /// Allow: it goes, and its record names the argument.
    #[serde(default)]
    pub unknown_origin: UnknownOrigin,
    /// Who approves. Exactly for Hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalBy>,
}

/// What becomes of a call with a value of unknown origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
pub enum UnknownOrigin {
    /// It waits for a person.
    #[default]
    Hold,
    /// It is refused.
    Deny,
    /// It goes.
    Allow,
}
