//! What sidecar and control service say to each other, beside the feed ([`crate::feed`]).
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `POST /v1/token` | form, RFC 8693, see [`TokenAnswer`] | [`TokenAnswer`] |
//! | `GET /v1/feed?bundle=<digest>` | - | stream of signed items, one compact JWS a line |
//! | `POST /v1/approvals` | [`Submission`] | [`ApprovalAnswer`] |
//! | `POST /v1/approvals/{uid}/claim` | [`ClaimRequest`] | [`ClaimAnswer`] |
//! | `POST /v1/approvals/{uid}/outcome` | [`OutcomeReport`] | 204 |
//! | `POST /v1/heads` | [`Head`] | 204 |
//! | `GET /v1/heads` | - | the heads that it knows |
//! | `POST /v1/trials` | [`crate::trial::TrialReport`] | 204 |
//! | `POST /v1/probe` | [`ProbeSubmission`] | 204 |
//! | `GET /jwks.json` | - | [`crate::jws::KeySet`] as JWKS |
//!
//! All but the token and the key set need `Authorization: Bearer <agent token>` over the TLS connection whose client
//! key the token names (`cnf.jkt`). Errors are [`ControlError`] with a 4xx or 5xx status.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::contract::DecisionInput;
use crate::decision::ContextParts;
use crate::digest::Digest;

/// Form field `grant_type` of the exchange (RFC 8693, section 2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// Form field `subject_token_type`: a JWT of the cluster.
pub const SUBJECT_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:jwt";
/// Form field `requested_token_type` and the answer's `issued_token_type`.
pub const ISSUED_TOKEN_TYPE: &str = "urn:aegis:params:oauth:token-type:agent-token";

/// Form of `POST /v1/token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenForm {
    /// [`GRANT_TYPE`].
    pub grant_type: String,
    /// The pod-bound service account token, audience `aegis`.
    pub subject_token: String,
    /// [`SUBJECT_TOKEN_TYPE`].
    pub subject_token_type: String,
    /// `namespace/name` of the agent that the pod claims to be.
    pub agent: String,
    /// The sidecar's record-signing public key: 32 bytes, base64url without padding.
    pub record_key: String,
    /// Signature by the record key over `aegis.dev/record-key-possession/v1` and the TLS client key's thumbprint.
    pub record_key_proof: String,
    /// What the pod's probe found: a [`crate::probe::ProbeStatement`] signed by the record key. A captured pod gets no
    /// token without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

/// Answer of `POST /v1/token` (RFC 8693, section 2.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenAnswer {
    /// The agent token, a compact JWS `typ: aegis-agent+jwt`.
    pub access_token: String,
    /// [`ISSUED_TOKEN_TYPE`].
    pub issued_token_type: String,
    /// `Bearer`; the token is bound to the TLS key all the same.
    pub token_type: String,
    /// Life in seconds.
    pub expires_in: u32,
    /// Attestation of the record key, a compact JWS `typ: aegis-key+jwt`.
    pub attestation: String,
}

/// A held call that asks for approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Submission {
    /// The call with its evidence. The control service decides again by itself, with its own clock.
    pub input: DecisionInput,
    /// Digest of the bundle that the sidecar judged with.
    pub bundle: Digest,
    /// What the sidecar found.
    pub effect_digest: Digest,
    /// What the sidecar found.
    pub context_digest: Digest,
    /// W3C trace context of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// What became of a held call's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalAnswer {
    /// Name of the `ApprovalRequest`.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// What the agent is told: [`Code::ApprovalRequired`] while it is open or released, else why it cannot be had
    /// ([`Code::ApprovalDenied`], [`Code::InFlight`], [`Code::DuplicateEffect`], [`Code::OutcomeUnknown`]).
    pub code: Code,
    /// When the request ends undecided.
    pub expires_at: Timestamp,
    /// Name of an earlier request for the same effect that this one replaces, and what changed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Replaced>,
}

/// An earlier request that no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replaced {
    /// Its name.
    pub name: String,
    /// Names of the [`ContextParts`] that changed.
    pub changed: Vec<String>,
}

/// Asks for the one claim on an approved request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRequest {
    /// 128 random bits, base64url without padding; new for every attempt.
    pub nonce: String,
    /// Digest of the effect that will be sent.
    pub effect_digest: Digest,
    /// Digest of the context that it was decided in.
    pub context_digest: Digest,
    /// The context's parts, so that a stale request can name what changed.
    pub context_parts: ContextParts,
}

/// The claim was won.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimAnswer {
    /// Compact JWS, see [`crate::approval::ClaimReceipt`].
    pub receipt: String,
}

/// How a claimed call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutcomeReport {
    /// Nonce of the claim.
    pub nonce: String,
    /// How it ended.
    pub execution: Execution,
    /// Whether any byte of the request was written.
    pub sent: bool,
    /// HTTP status of the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Id of the decision record.
    pub record: String,
}

/// How the execution of an approved call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Execution {
    /// 2xx.
    Succeeded,
    /// The tool refused it (3xx, 4xx), or nothing was sent.
    Failed,
    /// Nobody knows: 5xx, reset, timeout or an unreadable answer after the first byte.
    Indeterminate,
}

/// The newest record of a sidecar, kept so that a cut at the end of its file is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Head {
    /// Start of the sidecar: its epoch's id.
    pub epoch: String,
    /// Sequence of the last record, 0 for none.
    pub sequence: u64,
    /// Root of the last batch.
    pub root: Digest,
}

/// What the pod's probe found since the last exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProbeSubmission {
    /// A [`crate::probe::ProbeStatement`], signed by the record key.
    pub statement: String,
    /// The attestation of that key.
    pub attestation: String,
}

/// Body of an error answer: members as RFC 6749, section 5.2, names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlError {
    /// Stable reason, snake case.
    pub error: String,
    /// What to do, without values.
    pub error_description: String,
    /// Code for the agent's answer, where the refusal is about its call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}
