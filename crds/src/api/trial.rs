//! How trying something out goes, as the status of an Agent or ToolPolicy tells it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{MAX_INTEGER, PERCENT};

/// Calls that were judged by what is in force and by what is tried out, as sidecars counted them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Generation that the counts are of. A change of the spec begins them anew.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: i64,
    /// When counting began.
    pub since: Time,
    /// When the counts were last written.
    pub updated_at: Time,
    /// Calls on which it was tried out.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub judged: i64,
    /// Of these, calls that it would have left as they were.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub agreed: i64,
    /// Of these, calls that it would have refused, and that were not refused.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub would_deny: i64,
    /// Of these, calls that it would have held for a person, and that were not held.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub would_hold: i64,
    /// Of these, calls that it would have let go, and that did not go.
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub would_allow: i64,
    /// Share of agreed in judged in percent, rounded down. Absent for an agent of mode Propose: its proposals are not
    /// sent, whatever policies say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 6), regex(pattern = PERCENT))]
    pub agreement: Option<String>,
}
