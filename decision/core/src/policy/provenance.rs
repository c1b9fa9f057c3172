//! Where the values of an argument may come from.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names_operation;
use crate::path::Path;

/// An argument whose values must come from somewhere known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// Operations that it applies to; `*` alone: all.
    pub operations: Vec<String>,
    /// The argument. Every text and number in it or below it is asked for its origin.
    pub field: Path,
    /// A value is known when one of these supplied it.
    pub from: Vec<Source>,
    /// What becomes of a call with a value that none of them supplied.
    pub unknown: UnknownOrigin,
}

impl Provenance {
    /// Whether it is about the operation.
    pub fn applies_to(&self, operation: &str) -> bool {
        names_operation(&self.operations, operation)
    }

    /// The sources in words.
    pub fn sources(&self) -> String {
        self.from.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Who may have supplied a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The delegator: an input of the delegation, or a value that its data bounds list.
    Delegation,
    /// The requester: verbatim in the delegation's request.
    Request,
    /// The registry of that name: an entry's key, or a text of one of its attributes.
    Registry(String),
    /// The tool of that name: a value of one of its earlier answers in the same run.
    Response(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Delegation => f.write_str("Delegation"),
            Self::Request => f.write_str("Request"),
            Self::Registry(name) => write!(f, "Registry:{name}"),
            Self::Response(tool) => write!(f, "Response:{tool}"),
        }
    }
}

/// Not a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not Delegation, Request, Registry:<name> or Response:<tool>")]
pub struct NotASource;

impl std::str::FromStr for Source {
    type Err = NotASource;

    fn from_str(text: &str) -> Result<Self, NotASource> {
        match text.split_once(':') {
            None if text == "Delegation" => Ok(Self::Delegation),
            None if text == "Request" => Ok(Self::Request),
            Some(("Registry", name)) if !name.is_empty() => Ok(Self::Registry(name.to_owned())),
            Some(("Response", tool)) if !tool.is_empty() => Ok(Self::Response(tool.to_owned())),
            _ => Err(NotASource),
        }
    }
}

impl Serialize for Source {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What becomes of a call with a value of unknown origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownOrigin {
    /// It waits for a person of the tier.
    Hold {
        /// Name of the `ApprovalTier`.
        tier: String,
        /// Seconds that the sidecar keeps the agent's call waiting before it answers 428.
        #[serde(default, rename = "holdSeconds")]
        hold_seconds: u32,
    },
    /// It is refused.
    Deny,
    /// It goes; the decision names the value's field.
    Allow,
}
