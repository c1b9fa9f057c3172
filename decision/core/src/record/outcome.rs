//! The record after the effect: what came of a call that was decided.

use serde::{Deserialize, Serialize};

use super::head::record;
use crate::control::Execution;
use crate::digest::Digest;

/// Version of the shape.
pub const OUTCOME_RECORD_V1: &str = "aegis.dev/outcome-record/v1";

record! {
    /// How a call ended.
    pub struct OutcomeRecord(OutcomeTag::Outcome = "outcome", OUTCOME_RECORD_V1) {
        /// Id of the decision record.
        pub decision: String,
        /// How it ended.
        pub execution: RecordedExecution,
        /// Whether any byte of the request was written.
        pub sent: bool,
        /// HTTP status of the upstream.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub status: Option<u16>,
        /// SHA-256 of the answer's body as the agent got it: received, the credential and what is redacted taken out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub response_digest: Option<Digest>,
        /// Bytes of the answer's body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub response_bytes: Option<u64>,
        /// What kind of error ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<ErrorClass>,
        /// `Idempotency-Key` that the upstream got.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub idempotency_key: Option<String>,
        /// Microseconds from the first byte sent to the last received; 0 when nothing was sent.
        #[serde(default)]
        pub latency_micros: u64,
    }
}

/// How a call ended, in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RecordedExecution {
    /// 2xx.
    Succeeded,
    /// The tool refused it: 3xx or 4xx.
    Failed,
    /// No byte of the request was written.
    NotSent,
    /// Nobody knows: 5xx, reset, timeout or an unreadable answer after the first byte.
    Indeterminate,
}

impl RecordedExecution {
    /// The name used in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::NotSent => "NotSent",
            Self::Indeterminate => "Indeterminate",
        }
    }
}

/// An approval's request knows no `NotSent`: that is a failure, and the report says that nothing was sent.
impl From<RecordedExecution> for Execution {
    fn from(execution: RecordedExecution) -> Self {
        match execution {
            RecordedExecution::Succeeded => Self::Succeeded,
            RecordedExecution::Failed | RecordedExecution::NotSent => Self::Failed,
            RecordedExecution::Indeterminate => Self::Indeterminate,
        }
    }
}

/// What kind of error ended a call. A closed set: it is a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Name not resolved, or to an address that is not allowed.
    Resolve,
    /// No connection.
    Connect,
    /// TLS refused.
    Tls,
    /// No credential to send.
    Credential,
    /// Broken while the request was written.
    Send,
    /// No answer in time.
    Timeout,
    /// Broken or malformed answer.
    Receive,
    /// Answer larger than the limit.
    TooLarge,
    /// The tool answered with 3xx or 4xx.
    Refused,
    /// The tool answered with 5xx.
    Upstream,
    /// The answer could not be redacted, and was withheld.
    Redaction,
    /// The sidecar stopped, or the agent went away, before anything was sent.
    Aborted,
}

impl ErrorClass {
    /// The name used in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Credential => "credential",
            Self::Send => "send",
            Self::Timeout => "timeout",
            Self::Receive => "receive",
            Self::TooLarge => "too_large",
            Self::Refused => "refused",
            Self::Upstream => "upstream",
            Self::Redaction => "redaction",
            Self::Aborted => "aborted",
        }
    }
}
