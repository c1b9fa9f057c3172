//! The attestation of a sidecar's record key, and the sidecar's proof that it holds that key.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::agent::{AgentName, PodName};
use super::within;
use crate::jws::{self, JwsError, KeySet, PublicKey, SigningKey, Typ};

/// Domain of the proof of possession.
const POSSESSION: &str = "aegis.dev/record-key-possession/v1";

/// `typ: aegis-key+jwt`: this key signs the records of this pod's sidecar, in this time. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The pod that proved itself.
    pub pod: PodName,
    /// The agent that it acts for.
    pub agent: AgentName,
    /// The record key.
    pub key: PublicKey,
    /// Begins.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub nbf: Timestamp,
    /// Ends.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub exp: Timestamp,
}

impl Attestation {
    /// Signs it with a key of purpose `Attestations`.
    pub fn issue(&self, key: &SigningKey) -> Result<String, JwsError> {
        jws::sign(key, Typ::KeyAttestation, self)
    }

    /// Verifies the signature. Its validity is compared with the time of what the key signed ([`Self::covers`]), not
    /// with now: evidence is read years later.
    pub fn verify(token: &str, keys: &KeySet) -> Result<Self, JwsError> {
        jws::verify(keys, Typ::KeyAttestation, token)
    }

    /// Whether it is about `at`, with the usual skew of 30 s.
    pub fn covers(&self, at: Timestamp) -> bool {
        within(self.nbf, self.exp, at)
    }
}

/// Proves to the control service that the holder of the TLS client key (by thumbprint) also holds the record key:
/// base64url of a signature, field `record_key_proof` of the exchange.
pub fn prove_record_key(record_key: &SigningKey, client_thumbprint: &str) -> String {
    jws::base64url(&record_key.sign_statement(POSSESSION, client_thumbprint.as_bytes()))
}

/// Verifies [`prove_record_key`].
pub fn verify_record_key(record_key: &PublicKey, client_thumbprint: &str, proof: &str) -> bool {
    jws::from_base64url(proof)
        .is_some_and(|proof| record_key.verify_statement(POSSESSION, client_thumbprint.as_bytes(), &proof))
}
