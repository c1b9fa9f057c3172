//! What is kept of every call: one record before the effect (the decision, and with it the intent), one after (the
//! outcome); and of every connection that is let through by its host's name. Each is one canonical JSON document (RFC 8785) on a line of its own.
//!
//! Absent on purpose: secrets, and values of fields that the tool does not declare clear (`record.clear`).

mod connection;
mod decision;
mod explain;
mod head;
mod outcome;
mod weight;

pub use connection::{
    CONNECTION_END_RECORD_V1, CONNECTION_RECORD_V1, ConnectionEndRecord, ConnectionEndTag, ConnectionRecord,
    ConnectionTag, ConnectionVerdict, Ended, Way,
};
pub use decision::{
    AgentRef, ApprovalRef, ClaimRef, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Mode, PodRef, clear_values,
};
pub use explain::{explain, explain_connection};
pub use outcome::{ErrorClass, OUTCOME_RECORD_V1, OutcomeRecord, OutcomeTag, RecordedExecution};

use serde::{Deserialize, Serialize};

use crate::{canonical, json};
use weight::Beside as _;

/// Longest record in bytes of canonical JSON.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

/// One record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// Before the effect.
    Decision(Box<DecisionRecord>),
    /// After it.
    Outcome(Box<OutcomeRecord>),
    /// Before a connection.
    Connection(Box<ConnectionRecord>),
    /// After it.
    ConnectionEnd(Box<ConnectionEndRecord>),
}

/// Why bytes are no record, or a record has no bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than [`MAX_RECORD_BYTES`].
    #[error("record is longer than {MAX_RECORD_BYTES} bytes")]
    TooLong,
    /// Not a JSON object of a known type and version.
    #[error("not a record: {0}")]
    Shape(String),
}

/// What is the same expression of every record.
macro_rules! of {
    ($record:expr, $one:ident => $what:expr) => {
        match $record {
            Record::Decision($one) => $what,
            Record::Outcome($one) => $what,
            Record::Connection($one) => $what,
            Record::ConnectionEnd($one) => $what,
        }
    };
}

impl Record {
    /// Values of the member `type` of records.
    pub const TYPES: [&'static str; 4] = ["decision", "outcome", "connection", "connectionEnd"];

    /// Id of the record.
    pub fn id(&self) -> &str {
        of!(self, record => &record.id)
    }

    /// Its place in its epoch, from 1.
    pub fn sequence(&self) -> u64 {
        of!(self, record => record.sequence)
    }

    /// The epoch that it belongs to.
    pub fn epoch(&self) -> &str {
        of!(self, record => &record.epoch)
    }

    /// Bytes of memory that it takes, but for what the allocator adds.
    pub fn weight(&self) -> usize {
        of!(self, record => std::mem::size_of_val(&**record).saturating_add(record.beside()))
    }

    /// Gives it its place. Done once, by the one writer.
    pub(crate) fn place(&mut self, to: u64, in_epoch: &str) {
        of!(self, record => {
            record.sequence = to;
            in_epoch.clone_into(&mut record.epoch);
        });
    }

    /// Its RFC 8785 form as it is kept. A decision whose record would be longer than [`MAX_RECORD_BYTES`] loses its
    /// explanation, since nothing may be sent, or refused, without a record.
    pub(crate) fn kept(mut self) -> Result<Vec<u8>, RecordError> {
        match (self.to_bytes(), &mut self) {
            (Err(RecordError::TooLong), Self::Decision(record)) => {
                record.shorten();
                self.to_bytes()
            }
            (bytes, _) => bytes,
        }
    }

    /// Its RFC 8785 form: one line, without its end.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordError> {
        let bytes = canonical::to_vec(self).map_err(|error| RecordError::Shape(error.to_string()))?;
        if bytes.len() > MAX_RECORD_BYTES { Err(RecordError::TooLong) } else { Ok(bytes) }
    }

    /// Reads one line.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RecordError> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: String,
        }
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong);
        }
        let shape = |error: json::ReadError| RecordError::Shape(error.to_string());
        let Kind { kind } = serde_json::from_slice(bytes).map_err(|error| RecordError::Shape(error.to_string()))?;
        match kind.as_str() {
            "decision" => json::read(bytes).map(Box::new).map(Self::Decision).map_err(shape),
            "outcome" => json::read(bytes).map(Box::new).map(Self::Outcome).map_err(shape),
            "connection" => json::read(bytes).map(Box::new).map(Self::Connection).map_err(shape),
            "connectionEnd" => json::read(bytes).map(Box::new).map(Self::ConnectionEnd).map_err(shape),
            _ => Err(RecordError::Shape("unknown type".to_owned())),
        }
    }
}
