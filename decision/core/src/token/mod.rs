//! What the control service says about a sidecar: who it acts for ([`AgentClaims`]), and which key signs its records
//! ([`Attestation`]). Both are bound to keys that never leave the sidecar's memory.

mod agent;
mod attestation;

pub use agent::{AgentClaims, AgentName, Confirmation, MAX_TOKEN_SECONDS, PodName, SKEW_SECONDS, TokenError, subject};
pub use attestation::{Attestation, prove_record_key, verify_record_key};

use jiff::{SignedDuration, Timestamp};

/// Whether `now` lies in `[from, until)`, with [`SKEW_SECONDS`] of difference between two clocks allowed on each side.
pub(crate) fn within(from: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    let skew = SignedDuration::from_secs(SKEW_SECONDS);
    now.saturating_add(skew).is_ok_and(|ahead| ahead >= from)
        && now.saturating_sub(skew).is_ok_and(|behind| behind < until)
}
