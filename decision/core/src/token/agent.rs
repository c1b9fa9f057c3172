//! The agent token: a short-lived JWT (RFC 7519) bound to a TLS client key (RFC 7800, RFC 8705 in spirit).
//!
//! Its subject is SPIFFE-shaped, but it is no JWT-SVID: that standard does not allow Ed25519.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::within;
use crate::jws::{self, JwsError, KeySet, SigningKey, Typ};

/// Difference between two clocks that is allowed, in seconds.
pub const SKEW_SECONDS: i64 = 30;
/// Longest life of a token in seconds.
pub const MAX_TOKEN_SECONDS: i64 = 900;

/// Claims of `typ: aegis-agent+jwt`. Times are whole seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentClaims {
    /// Who issued it: the control service's URL.
    pub iss: String,
    /// `spiffe://<trust domain>/ns/<namespace>/agent/<name>`, see [`subject`].
    pub sub: String,
    /// For whom it is: exactly one.
    pub aud: String,
    /// Ends.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub exp: Timestamp,
    /// Begins.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub nbf: Timestamp,
    /// Issued.
    #[serde(with = "jiff::fmt::serde::timestamp::second::required")]
    pub iat: Timestamp,
    /// Id of this token.
    pub jti: String,
    /// Organisation: the trust domain's owner.
    pub org: String,
    /// Tenant of the agent.
    pub tenant: String,
    /// Business unit of the agent.
    pub bu: String,
    /// The agent.
    pub agent: AgentName,
    /// `tool:operation` that it may use without an approval, separated by single spaces.
    pub scope: String,
    /// Which proofs it rests on (RFC 8176 in spirit), such as `k8s-pod-token`.
    pub amr: Vec<String>,
    /// The TLS client key that it is bound to.
    pub cnf: Confirmation,
    /// The pod that proved itself.
    pub pod: PodName,
}

/// An agent by name and uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentName {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Uid of the resource.
    pub uid: String,
    /// Version of its configuration.
    pub version: String,
}

/// A pod by name and uid; its namespace is the agent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PodName {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// RFC 7800 confirmation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confirmation {
    /// RFC 7638 thumbprint of the key.
    pub jkt: String,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Signature, header or shape.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// For somebody else.
    #[error("token is for another audience")]
    Audience,
    /// Bound to another TLS key.
    #[error("token is bound to another key than this connection's")]
    Binding,
    /// Not valid yet, or no longer.
    #[error("token is not valid at this time")]
    Time,
    /// Valid for longer than a token may be, or ends before it begins.
    #[error("token's life is not between 0 and {MAX_TOKEN_SECONDS} seconds")]
    Life,
    /// `sub` does not name the agent of `agent`.
    #[error("token's subject is not its agent")]
    Subject,
}

impl AgentClaims {
    /// Signs the token with a key of purpose `Tokens`.
    pub fn issue(&self, key: &SigningKey) -> Result<String, JwsError> {
        jws::sign(key, Typ::AgentToken, self)
    }

    /// Verifies a token that came over a connection with the client key of thumbprint `jkt`, for `audience`.
    pub fn verify(token: &str, keys: &KeySet, audience: &str, jkt: &str, now: Timestamp) -> Result<Self, TokenError> {
        let claims: Self = jws::verify(keys, Typ::AgentToken, token)?;
        if claims.aud != audience {
            return Err(TokenError::Audience);
        }
        if claims.cnf.jkt != jkt {
            return Err(TokenError::Binding);
        }
        let life = claims.exp.duration_since(claims.nbf);
        if life <= SignedDuration::ZERO || life > SignedDuration::from_secs(MAX_TOKEN_SECONDS) {
            return Err(TokenError::Life);
        }
        if !within(claims.nbf, claims.exp, now) {
            return Err(TokenError::Time);
        }
        let path = claims.sub.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')).map(|(_, path)| path);
        if path != Some(&subject_path(&claims.agent.namespace, &claims.agent.name)) {
            return Err(TokenError::Subject);
        }
        Ok(claims)
    }

    /// Whether the scope holds `tool:operation`.
    pub fn allows(&self, tool: &str, operation: &str) -> bool {
        self.scope.split(' ').any(|item| item.split_once(':') == Some((tool, operation)))
    }
}

/// The subject of an agent.
pub fn subject(trust_domain: &str, namespace: &str, name: &str) -> String {
    format!("spiffe://{trust_domain}/{}", subject_path(namespace, name))
}

fn subject_path(namespace: &str, name: &str) -> String {
    format!("ns/{namespace}/agent/{name}")
}
