//! One item of the feed, a compact JWS a line.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::agent::Standing;
use crate::bundle::BundleSource;
use crate::delegation::Delegation;
use crate::digest::Digest;
use crate::jws::{self, JwsError, KeySet, SigningKey, Typ};

/// Longest item in bytes, as a JWS: the largest bundle ([`crate::bundle::MAX_SOURCE_BYTES`]), a third longer in base64url,
/// with its envelope.
pub const MAX_ITEM_BYTES: usize = 8 * 1024 * 1024;

/// A signed item: for whom, which one, and how old the knowledge behind it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// The only agent that it is for.
    pub agent_uid: String,
    /// Grows by at least one with every item of a connection.
    pub sequence: u64,
    /// When the control service last knew its view to be complete. Never goes back.
    pub as_of: Timestamp,
    /// What it says.
    pub item: FeedItem,
}

/// What an item says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum FeedItem {
    /// The bundle to judge with from now on.
    Policy {
        /// `Agent.status.bundle.version`: grows when the digest changes.
        version: u64,
        /// Digest of `source`.
        digest: Digest,
        /// What the bundle is made from.
        source: Box<BundleSource>,
    },
    /// All that may change from one call to the next. Replaces what was granted before.
    Grants(Grants),
    /// Nothing new; moves `asOf`.
    Heartbeat,
}

/// The agent's standing, its delegations and its releases: whole lists, so that what is missing is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Grants {
    /// Lifecycle and review.
    pub standing: Standing,
    /// Delegations that are lent to the agent, and such that have ended not long ago.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delegations: Vec<Delegation>,
    /// Releases that can be claimed, each a compact JWS ([`crate::approval::Release`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<String>,
    /// When a person last asked for a probe of the agent's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_requested: Option<Timestamp>,
}

impl Envelope {
    /// Signs it with a key of purpose `Feed`: one line, without its end.
    pub fn sign(&self, key: &SigningKey) -> Result<String, JwsError> {
        let line = jws::sign(key, Typ::FeedItem, self)?;
        if line.len() > MAX_ITEM_BYTES { Err(JwsError::TooLong) } else { Ok(line) }
    }

    /// Verifies signature and shape only; [`super::FeedState::accept`] judges the rest.
    pub fn verify(line: &str, keys: &KeySet) -> Result<Self, JwsError> {
        jws::verify_bounded(keys, Typ::FeedItem, line, MAX_ITEM_BYTES)
    }
}
