//! Authority that a person lends to an agent, for some operations and some time.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::policy::names_operation;
use crate::tool::Dimension;

/// One `Delegation`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delegation {
    /// Name of the resource.
    pub name: String,
    /// Uid of the resource; empty when it was not read from a server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Generation of the resource; 0 when it was not read from a server.
    #[serde(default)]
    pub generation: i64,
    /// Name of the agent.
    pub agent: String,
    /// Username of who created it, stamped by the API server.
    pub requested_by: String,
    /// Username of who lends authority.
    pub delegator: String,
    /// Username of the person whose task it is, where that is someone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requester: Option<String>,
    /// Name of the workflow.
    pub workflow: String,
    /// Why, in words.
    pub purpose: String,
    /// The instruction in the requester's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Values that the delegator supplied, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// What may be called under it.
    pub grants: Vec<Grant>,
    /// Bounds on what calls are about. All must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataBound>,
    /// Begins.
    pub not_before: Timestamp,
    /// Ends.
    pub expires_at: Timestamp,
    /// Ended early.
    #[serde(default)]
    pub revoked: bool,
}

impl Delegation {
    /// Who asked: the requester, else the delegator.
    pub fn requester(&self) -> &str {
        self.requester.as_deref().unwrap_or(&self.delegator)
    }

    /// Whether it grants the operation.
    pub fn grants(&self, tool: &str, operation: &str) -> bool {
        self.grants.iter().any(|grant| grant.tool == tool && names_operation(&grant.operations, operation))
    }

    /// Whether it is in force at `now`.
    pub fn state(&self, now: Timestamp) -> DelegationState {
        if self.revoked {
            DelegationState::Revoked
        } else if now < self.not_before {
            DelegationState::NotYet
        } else if now >= self.expires_at {
            DelegationState::Expired
        } else {
            DelegationState::Effective
        }
    }
}

/// Operations of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grant {
    /// Name of the tool.
    pub tool: String,
    /// Names of operations; `*` alone: all.
    pub operations: Vec<String>,
}

/// A bound on one dimension of the calls under a delegation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DataBound {
    /// What is bounded.
    pub dimension: Dimension,
    /// How.
    pub bound: Bound,
}

/// How a dimension is bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Bound {
    /// One of these, compared as the check `in` does.
    In(Vec<String>),
    /// A decimal of at most this, in this currency, which the dimension [`Dimension::Currency`] must say.
    AtMost {
        /// Decimal.
        value: String,
        /// ISO 4217 code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        currency: Option<String>,
    },
}

/// Whether a delegation is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelegationState {
    /// In force.
    Effective,
    /// Has not begun.
    NotYet,
    /// Has ended.
    Expired,
    /// Was ended early.
    Revoked,
}
