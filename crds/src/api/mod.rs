//! The kinds of group `aegis.dev`, version `v1alpha1`, as people write them. One file per kind.
//!
//! Every field has a description, a bound, and a default where one is right. Every `Option` is left out when it is
//! none: an explicit null would make CEL's `has()` true. Unknown fields are lost before any rule sees them, so the
//! rules demand a shape that a typo breaks.

// The schema macro writes these calls; its inputs are constants, and a test generates every schema.
#![allow(clippy::unwrap_used)]
// Columns repeat `type_ = "string"`, each in its own column.
#![allow(clippy::duplicated_attributes)]
// What stands on a field is what `kubectl explain` prints, so it is plain text.
#![allow(clippy::doc_markdown)]

pub mod agent;
pub mod approval;
pub mod check;
pub mod delegation;
pub mod dimensions;
pub mod fact;
pub mod operation;
pub mod policy;
pub mod predicate;
pub mod provenance;
pub mod registry;
pub mod sanitize;
pub mod tier;
pub mod tool;
pub mod trial;

pub use agent::{Agent, AgentSpec, AgentStatus};
pub use approval::{ApprovalRequest, ApprovalRequestSpec, ApprovalRequestStatus};
pub use delegation::{Delegation, DelegationSpec, DelegationStatus};
pub use policy::{ToolPolicy, ToolPolicySpec, ToolPolicyStatus};
pub use registry::{Registry, RegistrySpec, RegistryStatus};
pub use tier::{ApprovalTier, ApprovalTierSpec, ApprovalTierStatus};
pub use tool::{Tool, ToolSpec, ToolStatus};
pub use trial::Trial;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// API group of all kinds.
pub const GROUP: &str = "aegis.dev";
/// API version of all kinds.
pub const VERSION: &str = "v1alpha1";

/// What an operation can do to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema)]
pub enum Class {
    /// No side effect.
    #[default]
    Read,
    /// A write that can be undone.
    Draft,
    /// Money, a payee, an external message, a deletion.
    Commit,
}

/// Somebody who may not decide an approval request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Duty {
    /// The person whose task it is.
    Requester,
    /// The person who lends authority.
    Delegator,
}

/// A number or a text, as rules compare with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// An integer.
    Integer(i64),
    /// A text; compared as a decimal where it reads as one.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}
