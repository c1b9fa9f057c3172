//! A run as a decision sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::provenance::Canonical;

/// What is known of a call's run when it is judged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunView {
    /// Whether nothing of the run's outcomes was forgotten. If not, no rule can tell what was done.
    pub complete: bool,
    /// How the run's earlier calls ended, by operation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outcomes: BTreeMap<String, Outcomes>,
    /// Where protected values of this call appeared, by their place in the arguments, such as `lines[0].iban`; at most one
    /// place for each tool, the earliest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub origins: BTreeMap<String, Vec<Place>>,
}

/// How the calls of one operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outcomes {
    /// Recorded as succeeded.
    pub succeeded: u32,
    /// Under way, or ended so that nobody knows whether they took effect.
    pub uncertain: u32,
}

/// A place in the answer of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Place {
    /// Tool.
    pub tool: String,
    /// Operation that it answered.
    pub operation: String,
    /// Path in the answer; empty for the answer itself.
    pub path: String,
    /// The answer had the value there as a text or number of its own. Otherwise it only stood in a longer text, which
    /// makes it known to nobody.
    pub whole: bool,
}

/// A value of a call whose origin is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its place in the arguments.
    pub path: String,
    /// The value.
    pub value: Canonical,
}

impl RunView {
    /// How often the operation was done; none when that cannot be told.
    pub(crate) fn count(&self, operation: &str) -> Option<u32> {
        let outcomes = self.outcomes.get(operation).copied().unwrap_or_default();
        (self.complete && outcomes.uncertain == 0).then_some(outcomes.succeeded)
    }

    /// The operations that were done, in alphabetical order; none when that cannot be told.
    pub(crate) fn done(&self) -> Option<Vec<&str>> {
        let all = || self.outcomes.iter();
        if !self.complete || all().any(|(_, one)| one.succeeded == 0 && one.uncertain > 0) {
            return None;
        }
        Some(all().filter(|(_, one)| one.succeeded > 0).map(|(name, _)| name.as_str()).collect())
    }

    /// Whether an earlier answer of the tool had the value at `path` of the arguments as a value of its own.
    pub(crate) fn supplied(&self, path: &str, tool: &str) -> bool {
        self.places(path).iter().any(|place| place.whole && place.tool == tool)
    }

    /// Where the value at `path` of the arguments appeared, the earliest first.
    pub(crate) fn places(&self, path: &str) -> &[Place] {
        self.origins.get(path).map_or(&[], Vec::as_slice)
    }
}
