//! Authority that a person lends to an agent, for some operations and some time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
    /// What may be called under it.
    pub grants: Vec<Grant>,
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
        self.grants
            .iter()
            .any(|grant| grant.tool == tool && grant.operations.iter().any(|name| name == operation || name == "*"))
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
