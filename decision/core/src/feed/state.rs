//! The receiver's side of the feed, without I/O: what is accepted, and how long it counts.

use jiff::{SignedDuration, Timestamp};

use super::item::{Envelope, FeedItem, Grants};
use crate::agent::Standing;
use crate::approval::Release;
use crate::bundle::BundleSource;
use crate::delegation::Delegation;
use crate::digest::Digest;
use crate::jws::{JwsError, KeySet};
use crate::token::SKEW_SECONDS;

/// What has been accepted so far for one agent.
#[derive(Debug, Clone)]
pub struct FeedState {
    agent_uid: String,
    sequence: Option<u64>,
    as_of: Option<Timestamp>,
    policy: Option<(u64, Digest)>,
}

/// What an accepted item changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Judge with this bundle from now on.
    Policy {
        /// Version.
        version: u64,
        /// Digest of the source, recomputed.
        digest: Digest,
        /// The source.
        source: Box<BundleSource>,
    },
    /// Judge with these grants from now on.
    Grants(Box<VerifiedGrants>),
    /// Nothing but `asOf`.
    Nothing,
}

/// Grants whose releases were verified, each for this agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedGrants {
    /// Lifecycle and review.
    pub standing: Standing,
    /// Delegations.
    pub delegations: Vec<Delegation>,
    /// Releases.
    pub releases: Vec<Release>,
    /// When a person last asked for a probe.
    pub probe_requested: Option<Timestamp>,
}

/// Why an item is refused. Nothing of it counts, and the state is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Signature, header or shape.
    #[error("feed item: {0}")]
    Jws(#[from] JwsError),
    /// For another agent.
    #[error("feed item is for another agent")]
    OtherAgent,
    /// Not after the item before it on this connection.
    #[error("feed item's sequence does not grow")]
    Sequence,
    /// Older than what is known already.
    #[error("feed item's asOf goes back")]
    AsOfBack,
    /// From the future.
    #[error("feed item's asOf is more than {SKEW_SECONDS} s ahead of this clock")]
    AsOfAhead,
    /// An older bundle than the one in use.
    #[error("feed item's policy version goes back")]
    VersionBack,
    /// Another bundle under the version in use.
    #[error("feed item has another policy under the same version")]
    VersionReused,
    /// The digest is not that of the source.
    #[error("feed item's policy does not have the digest that it names")]
    Digest,
    /// A bundle for another agent.
    #[error("feed item's policy is for another agent")]
    PolicyForOther,
    /// A release that is not signed as it must be.
    #[error("release in feed item: {0}")]
    Release(JwsError),
    /// A release for another agent.
    #[error("release in feed item is for another agent")]
    ReleaseForOther,
}

impl FeedState {
    /// Knows nothing yet.
    pub fn new(agent_uid: impl Into<String>) -> Self {
        Self { agent_uid: agent_uid.into(), sequence: None, as_of: None, policy: None }
    }

    /// A new connection begins: its sequence starts anew. All else is kept, so that a connection to a replica that
    /// lags cannot bring old grants or an old policy back.
    pub fn connected(&mut self) {
        self.sequence = None;
    }

    /// `asOf` of the newest accepted item.
    pub fn as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// Version and digest of the newest accepted policy.
    pub fn policy(&self) -> Option<(u64, Digest)> {
        self.policy
    }

    /// Verifies a line and judges it against what was accepted before. `now` is this clock.
    ///
    /// A policy that was accepted here may still not assemble; the caller then keeps the last good bundle.
    pub fn accept(&mut self, line: &str, keys: &KeySet, now: Timestamp) -> Result<Change, FeedError> {
        let Envelope { agent_uid, sequence, as_of, item } = Envelope::verify(line, keys)?;
        if agent_uid != self.agent_uid {
            return Err(FeedError::OtherAgent);
        }
        if self.sequence.is_some_and(|before| sequence <= before) {
            return Err(FeedError::Sequence);
        }
        if self.as_of.is_some_and(|before| as_of < before) {
            return Err(FeedError::AsOfBack);
        }
        if as_of.duration_since(now) > SignedDuration::from_secs(SKEW_SECONDS) {
            return Err(FeedError::AsOfAhead);
        }
        let change = match item {
            FeedItem::Policy { version, digest, source } => self.policy_change(version, digest, source)?,
            FeedItem::Grants(grants) => Change::Grants(Box::new(self.verified(grants, keys)?)),
            FeedItem::Heartbeat => Change::Nothing,
        };
        if let Change::Policy { version, digest, .. } = &change {
            self.policy = Some((*version, *digest));
        }
        self.sequence = Some(sequence);
        self.as_of = Some(as_of);
        Ok(change)
    }

    fn policy_change(&self, version: u64, digest: Digest, source: Box<BundleSource>) -> Result<Change, FeedError> {
        if Digest::of(source.as_ref()) != digest {
            return Err(FeedError::Digest);
        }
        if source.agent.uid != self.agent_uid {
            return Err(FeedError::PolicyForOther);
        }
        match self.policy {
            Some((known, _)) if version < known => Err(FeedError::VersionBack),
            Some((known, same)) if version == known => {
                if digest == same {
                    Ok(Change::Nothing)
                } else {
                    Err(FeedError::VersionReused)
                }
            }
            Some(_) | None => Ok(Change::Policy { version, digest, source }),
        }
    }

    fn verified(&self, grants: Grants, keys: &KeySet) -> Result<VerifiedGrants, FeedError> {
        let Grants { standing, delegations, releases, probe_requested } = grants;
        let releases = releases
            .iter()
            .map(|token| {
                let release = Release::verify(token, keys).map_err(FeedError::Release)?;
                if release.agent_uid == self.agent_uid { Ok(release) } else { Err(FeedError::ReleaseForOther) }
            })
            .collect::<Result<_, _>>()?;
        Ok(VerifiedGrants { standing, delegations, releases, probe_requested })
    }
}

/// What may be decided on knowledge of some age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Everything.
    Fresh,
    /// Reads only: older than the bound.
    WritesClosed,
    /// Nothing: older than twice the bound, or from the future.
    Closed,
}

/// What may be decided at `now` on knowledge as of `as_of`, with a bound in seconds. A time more than 30 s ahead of
/// this clock is not fresh: one of the two clocks is wrong.
pub fn freshness(as_of: Timestamp, now: Timestamp, max_staleness_seconds: u32) -> Freshness {
    let age = now.duration_since(as_of);
    let bound = SignedDuration::from_secs(i64::from(max_staleness_seconds));
    if age < SignedDuration::from_secs(SKEW_SECONDS.saturating_neg()) {
        Freshness::Closed
    } else if age <= bound {
        Freshness::Fresh
    } else if age <= bound.saturating_add(bound) {
        Freshness::WritesClosed
    } else {
        Freshness::Closed
    }
}
