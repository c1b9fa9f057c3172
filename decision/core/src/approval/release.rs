//! The two statements that the control service signs about a request: that it is released, and that it was claimed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::jws::{self, JwsError, KeySet, SigningKey, Typ};

/// A person's verdict, checked by the operator and made usable for one effect in one context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// Name of the `ApprovalRequest`.
    pub request_name: String,
    /// Its uid: what is claimed, and the upstream's idempotency key.
    pub request_uid: String,
    /// Uid of the agent that may use it.
    pub agent_uid: String,
    /// The effect that was approved.
    pub effect_digest: Digest,
    /// The context it was approved in.
    pub context_digest: Digest,
    /// From here on it is of no use.
    pub expires_at: Timestamp,
}

impl Release {
    /// Signs it with a key of purpose `Releases`.
    pub fn sign(&self, key: &SigningKey) -> Result<String, JwsError> {
        jws::sign(key, Typ::Release, self)
    }

    /// Verifies the signature. Agent, digests and time are for who uses it: [`crate::feed`] binds the agent,
    /// [`crate::decide`] the rest.
    pub fn verify(token: &str, keys: &KeySet) -> Result<Self, JwsError> {
        jws::verify(keys, Typ::Release, token)
    }

    /// Whether it may still be used at `now`.
    pub fn in_force(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// Proof that this attempt, and no other, won the claim on a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimReceipt {
    /// Uid of the request.
    pub request_uid: String,
    /// The attempt's nonce.
    pub nonce: String,
    /// The effect that may be sent.
    pub effect_digest: Digest,
    /// When it was claimed, by the API server's side of the clock.
    pub at: Timestamp,
}

impl ClaimReceipt {
    /// Signs it with a key of purpose `Releases`.
    pub fn sign(&self, key: &SigningKey) -> Result<String, JwsError> {
        jws::sign(key, Typ::ClaimReceipt, self)
    }

    /// Verifies the signature. That it is for this request, effect and attempt is checked by
    /// [`crate::permit::OncePermit::claimed`].
    pub fn verify(token: &str, keys: &KeySet) -> Result<Self, JwsError> {
        jws::verify(keys, Typ::ClaimReceipt, token)
    }
}

/// Why a receipt does not make a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// It is not signed as a receipt must be.
    #[error("claim receipt: {0}")]
    Receipt(#[from] JwsError),
    /// It is for another request, effect or attempt.
    #[error("claim receipt is for another request, effect or attempt")]
    OtherClaim,
}
