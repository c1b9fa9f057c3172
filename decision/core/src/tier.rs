//! Approval tiers: how a held call of that tier is decided.

use serde::{Deserialize, Serialize};

/// One `ApprovalTier`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Name of the resource.
    pub name: String,
    /// Approvers needed; only 1 is accepted now.
    pub minimum: u8,
    /// Who may not decide.
    pub separation_of_duties: Vec<Duty>,
    /// Seconds to decide.
    pub decide_within_seconds: u32,
    /// Seconds to use a release once granted.
    pub release_ttl_seconds: u32,
}

/// Somebody who may not decide the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Duty {
    /// The person whose task it is.
    Requester,
    /// The person who lends authority.
    Delegator,
}
