//! The records of a connection that is let through by its host's name and not judged by what is said on it: one before
//! it is opened (or refused), one after it ended.

use serde::{Deserialize, Serialize};

use super::decision::{AgentRef, PodRef};
use super::head::record;
use super::outcome::ErrorClass;
use crate::codes::Code;
use crate::digest::Digest;

/// Version of the shape of [`ConnectionRecord`].
pub const CONNECTION_RECORD_V1: &str = "aegis.dev/connection-record/v1";
/// Version of the shape of [`ConnectionEndRecord`].
pub const CONNECTION_END_RECORD_V1: &str = "aegis.dev/connection-end-record/v1";

record! {
    /// What was decided about one connection, written before it is opened.
    #[derive(Eq)]
    pub struct ConnectionRecord(ConnectionTag::Connection = "connection", CONNECTION_RECORD_V1) {
        /// The agent.
        pub agent: AgentRef,
        /// The pod.
        pub pod: PodRef,
        /// How it came in.
        pub way: Way,
        /// Host as the agent named it: a name in lower case or an address. None where it named no host, or nothing that is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub host: Option<String>,
        /// Port that it is for; 0 where that is not known.
        pub port: u16,
        /// Whether it was let through.
        pub verdict: ConnectionVerdict,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub code: Option<Code>,
        /// One sentence about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub detail: Option<String>,
        /// The egress entry's reason, in its owner's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub reason: Option<String>,
        /// Digest of the bundle that it was judged with.
        pub bundle: Digest,
        /// Version of that bundle.
        pub bundle_version: u64,
        /// Connections that this record stands for. More than one when they were refused faster than each is recorded; then
        /// `host` and `port` are those of the last.
        #[serde(default = "one", skip_serializing_if = "is_one")]
        pub count: u64,
    }
}

record! {
    /// How a connection ended.
    #[derive(Eq)]
    pub struct ConnectionEndRecord(ConnectionEndTag::ConnectionEnd = "connectionEnd", CONNECTION_END_RECORD_V1) {
        /// Id of the connection's record.
        pub connection: String,
        /// What ended it.
        pub ended: Ended,
        /// The rule that it no longer met.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub code: Option<Code>,
        /// Why it was never connected.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub error: Option<ErrorClass>,
        /// Bytes from the agent to the host.
        pub sent_bytes: u64,
        /// Bytes from the host to the agent.
        pub received_bytes: u64,
        /// Microseconds that it was open.
        pub duration_micros: u64,
    }
}

/// How a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Way {
    /// `CONNECT` to the sidecar as a proxy.
    Connect,
    /// Dialled by the agent, redirected to the sidecar.
    Captured,
}

impl Way {
    /// The name used in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "Connect",
            Self::Captured => "Captured",
        }
    }
}

/// Whether a connection was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConnectionVerdict {
    /// Opened.
    Allow,
    /// Refused.
    Deny,
}

/// What ended a connection. A closed set: it is a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Agent and host both ended it.
    Closed,
    /// It broke.
    Broken,
    /// It was allowed no longer, or what came on it was for another host.
    Policy,
    /// Nothing was said on it for an hour.
    Idle,
    /// The sidecar stopped.
    Drain,
    /// The host could not be reached.
    NotConnected,
}

impl Ended {
    /// The name used in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Broken => "broken",
            Self::Policy => "policy",
            Self::Idle => "idle",
            Self::Drain => "drain",
            Self::NotConnected => "not_connected",
        }
    }
}

fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(count: &u64) -> bool {
    *count == 1
}
