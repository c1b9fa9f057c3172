//! A sidecar's records in one file per start (epoch): chained, signed, readable as JSON lines.
//!
//! ```text
//! {"body":{"agent":..,"at":..,"attestation":"<JWS>","epoch":..,"key":..,"pod":..,"v":..},"signature":"..","type":"header"}
//! {..,"sequence":1,"type":"decision",..}
//! {..,"sequence":2,"type":"outcome",..}
//! {"body":{"at":..,"count":2,"epoch":..,"first":1,"lines":2,"previous":"sha256:..","root":"sha256:.."},"signature":"..","type":"batch"}
//! {"attestation":"<JWS>","type":"attestation"}
//! {"body":{..,"count":0,"first":3,"lines":1,..},"signature":"..","type":"batch"}
//! ```
//! - Every line is canonical JSON (RFC 8785) and ends with a line feed.
//! - The **header** carries the control service's attestation of the record key ([`crate::token::Attestation`]) and is
//!   signed by that key.
//! - A **batch** line closes the lines before it. `root` is the Merkle tree hash (RFC 6962, section 2.1) over the 32
//!   bytes of `previous`, then each line without its line feed. `previous` is the root of the batch before, for the
//!   first batch the SHA-256 of the header line. So a root stands for all that was written up to it, and a batch
//!   without lines (a heartbeat) moves the chain on as well.
//! - `first` is the sequence of its first record, or of the next one when it has none; sequences start at 1 and have
//!   no gap in an epoch.
//! - An **attestation** line renews the attestation of the same key; every batch's time must be covered by one that
//!   stands at or before it.
//!
//! Signatures are over a domain string, a zero byte, and the canonical `body`. What follows the last batch was being
//! written when the sidecar stopped: it is reported as torn and proves nothing. A file that was cut after a batch is
//! whole in itself; only a [`crate::control::Head`] kept elsewhere shows the cut.

mod format;
mod merkle;
mod read;
mod seal;
mod verify;

pub use format::{Batch, Header, SEGMENT_V1};
pub use merkle::tree_hash;
pub use read::{Entry, read};
pub use seal::{MAX_BATCH_LINES, Sealer, SegmentError};
pub use verify::{End, Finding, MAX_FINDINGS, Problem, Report, Torn, verify};
