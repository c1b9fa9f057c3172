//! The roles of the story, as users of the cluster (`aegis_tests::cluster::PEOPLE` holds them).

/// Looks at an agent before it may work.
pub const REVIEWER: &str = "security-reviewer";
/// Lends authority to the agents.
pub const DELEGATOR: &str = "purchasing-lead";
/// Whose task it is.
pub const REQUESTER: &str = "office-manager";
/// Decides held calls of tier `finance`.
pub const FINANCE: &str = "finance-approver";
/// Suspends agents.
pub const RESPONDER: &str = "incident-responder";
