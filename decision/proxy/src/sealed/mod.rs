//! Level Sealed: the agent's pod decides nothing and holds no credential. Its sidecar is a [`relay`]: it takes calls in by
//! every way, and sends them to the agent's [`gateway`], the same program in a pod of its own, where they are judged,
//! recorded and sent as in a sidecar.
//!
//! The two prove themselves to each other, so that neither rests on the network between them:
//!
//! | who | proves | how |
//! | --- | --- | --- |
//! | relay | that it is this agent's sidecar | agent token in every request, bound to its TLS key ([`TOKEN`]) |
//! | gateway | that it is this agent's | attestation of its record key and its pod; the key signs its TLS key ([`Proof`]) |
//!
//! A gateway that ends refuses nobody whom it has let in. From then on it shows its proof to nobody, so that whoever comes
//! goes to another; on connections where it was shown it answers for [`LINGER`] yet, and a relay says nothing on one that it
//! has not used for [`KEPT_TIME`], which is shorter.

mod dial;
pub mod fault;
pub mod gateway;
mod line;
mod pass;
pub mod relay;
pub(crate) mod serve;

use std::time::Duration;

use aegis_decision::jws::{KeySet, thumbprint};
use aegis_decision::token::{Attestation, verify_record_key};
use http::HeaderName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Carries the agent token from relay to gateway. Taken off there: no tool and no record sees it.
pub const TOKEN: HeaderName = HeaderName::from_static("aegis-agent-token");
/// Where a gateway proves itself.
pub const PROOF_PATH: &str = "/aegis/v1/gateway";
/// Time that a gateway which ends leaves its relays to say what they have begun.
const LINGER: Duration = Duration::from_secs(2);
/// Time for which a relay keeps a connection without a call.
const KEPT_TIME: Duration = Duration::from_secs(1);

/// A gateway's proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Attestation of its record key by the control service, a compact JWS.
    pub attestation: String,
    /// Signature by the record key over the thumbprint of the TLS key of this connection.
    pub proof: String,
}

/// Why a gateway is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Not signed by the control service.
    #[error("the gateway's attestation is not valid")]
    Attestation,
    /// Another agent's.
    #[error("the gateway is another agent's")]
    OtherAgent,
    /// Not now.
    #[error("the gateway's attestation has ended")]
    Ended,
    /// Of a pod that is no gateway: a sidecar of this agent has a record key, too.
    #[error("the attestation is of a pod that is no gateway")]
    NoGateway,
    /// Made for another connection.
    #[error("the gateway does not prove the key of this connection")]
    OtherKey,
}

impl Proof {
    /// Judges a proof that came over a connection with this TLS key.
    pub fn check(&self, keys: &KeySet, agent_uid: &str, tls_key: &[u8; 32], now: Timestamp) -> Result<(), Unproven> {
        let attestation = Attestation::verify(&self.attestation, keys).map_err(|_| Unproven::Attestation)?;
        if attestation.agent.uid != agent_uid {
            return Err(Unproven::OtherAgent);
        }
        if !attestation.covers(now) {
            return Err(Unproven::Ended);
        }
        if !is_gateway(&attestation) {
            return Err(Unproven::NoGateway);
        }
        if verify_record_key(&attestation.key, &thumbprint(tls_key), &self.proof) {
            Ok(())
        } else {
            Err(Unproven::OtherKey)
        }
    }
}

/// Whether an attested pod is one of the Deployment `<agent>-gateway`. The API server makes the names of such pods, and
/// cuts what they begin with to 58 characters.
fn is_gateway(attestation: &Attestation) -> bool {
    let whole = format!("{}-gateway-", attestation.agent.name);
    attestation.pod.name.starts_with(whole.get(..58).unwrap_or(&whole))
}

#[cfg(test)]
mod tests {
    use aegis_decision::jws::{Purpose, SigningKey};
    use aegis_decision::token::{AgentName, PodName, prove_record_key};
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn a_proof_is_of_this_agent_now_and_for_this_connection() {
        let control = SigningKey::from_seed(Purpose::Attestations, &[1; 32]);
        let record_key = SigningKey::from_seed(Purpose::Records, &[2; 32]);
        let mut keys = KeySet::new();
        keys.insert(Purpose::Attestations, control.public()).unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let attestation = Attestation {
            pod: PodName { name: "buyer-gateway-6d5f-x2x9z".to_owned(), uid: "g".to_owned() },
            agent: AgentName {
                namespace: "shop".to_owned(),
                name: "buyer".to_owned(),
                uid: "u".to_owned(),
                version: "1".to_owned(),
            },
            key: record_key.public(),
            nbf: now,
            exp: now + SignedDuration::from_mins(5),
        };
        let tls_key = [7; 32];
        let proof = Proof {
            attestation: attestation.issue(&control).unwrap(),
            proof: prove_record_key(&record_key, &thumbprint(&tls_key)),
        };
        assert_eq!(proof.check(&keys, "u", &tls_key, now), Ok(()));
        assert_eq!(proof.check(&keys, "other", &tls_key, now), Err(Unproven::OtherAgent));
        assert_eq!(proof.check(&keys, "u", &[8; 32], now), Err(Unproven::OtherKey));
        assert_eq!(proof.check(&keys, "u", &tls_key, now + SignedDuration::from_hours(1)), Err(Unproven::Ended));
        assert_eq!(proof.check(&KeySet::new(), "u", &tls_key, now), Err(Unproven::Attestation));
        let long = "b".repeat(55);
        let (cut, other) = (format!("{long}-ga2x9zw"), format!("{long}-0"));
        for (agent, pod, expected) in [
            ("buyer", "buyer-0", Err(Unproven::NoGateway)),
            ("buyer", "buyer-gateway", Err(Unproven::NoGateway)),
            (long.as_str(), cut.as_str(), Ok(())),
            (long.as_str(), other.as_str(), Err(Unproven::NoGateway)),
        ] {
            let mut attestation = attestation.clone();
            (attestation.agent.name, attestation.pod.name) = (agent.to_owned(), pod.to_owned());
            let proof = Proof { attestation: attestation.issue(&control).unwrap(), ..proof.clone() };
            assert_eq!(proof.check(&keys, "u", &tls_key, now), expected, "{pod}");
        }
        let own = Proof { proof: prove_record_key(&control_as_record_key(), &thumbprint(&tls_key)), ..proof };
        assert_eq!(own.check(&keys, "u", &tls_key, now), Err(Unproven::OtherKey));
    }

    fn control_as_record_key() -> SigningKey {
        SigningKey::from_seed(Purpose::Records, &[3; 32])
    }
}
