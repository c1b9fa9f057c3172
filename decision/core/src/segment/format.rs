//! The lines of a segment: what is signed, and in which words.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::jws::{PublicKey, SigningKey, base64url, from_base64url};
use crate::token::{AgentName, PodName};

/// Version of the format.
pub const SEGMENT_V1: &str = "aegis.dev/segment/v1";
/// Longest line in bytes: a record and room to spare.
pub(super) const MAX_LINE_BYTES: usize = 512 * 1024;

/// What a segment starts with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// [`SEGMENT_V1`].
    pub v: String,
    /// Id of the sidecar's start.
    pub epoch: String,
    /// The agent, as attested.
    pub agent: AgentName,
    /// The pod, as attested.
    pub pod: PodName,
    /// The record key, as attested.
    pub key: PublicKey,
    /// The control service's attestation of the key, a compact JWS.
    pub attestation: String,
    /// When the segment was opened.
    pub at: Timestamp,
}

/// Closes the lines before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Batch {
    /// The epoch.
    pub epoch: String,
    /// Sequence of its first record; without one, of the next record.
    pub first: u64,
    /// Number of its records.
    pub count: u64,
    /// Number of its lines: records and attestations.
    pub lines: u64,
    /// Root of the batch before; of the first, the digest of the header line.
    pub previous: Digest,
    /// Tree hash over `previous` and the lines.
    pub root: Digest,
    /// When it was sealed.
    pub at: Timestamp,
}

impl Batch {
    /// Sequence of the last record up to here; 0 when there is none yet.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(self.count).saturating_sub(1)
    }
}

/// A body that is signed by the record key.
pub(super) trait Signed: Serialize + DeserializeOwned + Clone {
    /// The line's `type`.
    const TYPE: &'static str;
    /// Says what is signed.
    const DOMAIN: &'static str;
}

impl Signed for Header {
    const TYPE: &'static str = "header";
    const DOMAIN: &'static str = "aegis.dev/segment-header/v1";
}

impl Signed for Batch {
    const TYPE: &'static str = "batch";
    const DOMAIN: &'static str = "aegis.dev/segment-batch/v1";
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<T> {
    body: T,
    signature: String,
    #[serde(rename = "type")]
    kind: String,
}

/// The line of a body, without its end.
pub(super) fn signed_line<T: Signed>(body: &T, key: &SigningKey) -> serde_json::Result<Vec<u8>> {
    let signature = key.sign_statement(T::DOMAIN, &canonical::to_vec(body)?);
    let line = Line { body: body.clone(), signature: base64url(&signature), kind: T::TYPE.to_owned() };
    canonical::to_vec(&line)
}

/// A body that was read, with its signature, which is not verified yet.
pub(super) struct Read<T> {
    pub(super) body: T,
    signature: Vec<u8>,
}

impl<T: Signed> Read<T> {
    /// Reads a line in its one canonical spelling: another spelling of the same body would not change its signature.
    pub(super) fn from_line(bytes: &[u8]) -> Option<Self> {
        let line: Line<T> = serde_json::from_slice(bytes).ok()?;
        if line.kind != T::TYPE || canonical::to_vec(&line).ok()? != bytes {
            return None;
        }
        Some(Self { signature: from_base64url(&line.signature)?, body: line.body })
    }

    /// Whether `key` signed it.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        canonical::to_vec(&self.body).is_ok_and(|body| key.verify_statement(T::DOMAIN, &body, &self.signature))
    }
}

/// Renews the attestation of the record key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttestationLine {
    /// Compact JWS.
    pub(super) attestation: String,
    /// `attestation`.
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// What every line has, and what places a record.
#[derive(Deserialize)]
pub(super) struct Peek {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) sequence: Option<u64>,
    #[serde(default)]
    pub(super) epoch: Option<String>,
}
