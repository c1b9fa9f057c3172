//! Writing a segment, without I/O: records go in, bytes come out, in the order in which they must reach the disk.

use jiff::Timestamp;

use super::format::{AttestationLine, Batch, Header, SEGMENT_V1, signed_line};
use super::merkle::tree_hash;
use crate::canonical;
use crate::control::Head;
use crate::digest::Digest;
use crate::jws::{JwsError, KeySet, Purpose, SigningKey};
use crate::record::{Record, RecordError};
use crate::token::Attestation;

/// Most lines in a batch.
pub const MAX_BATCH_LINES: usize = 4096;

/// Why something cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The attestation is not signed by the control service.
    #[error("attestation: {0}")]
    Attestation(#[from] JwsError),
    /// The attestation is for another key, agent or pod, or the key is not one for records.
    #[error("attestation is for another key, agent or pod")]
    OtherKey,
    /// The record has no bytes.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The open batch is full: seal it first.
    #[error("batch has {MAX_BATCH_LINES} lines already")]
    Full,
    /// A line has no JSON form.
    #[error("line cannot be written: {0}")]
    Form(String),
}

/// The one writer of an epoch: gives sequences, chains batches. A clone is a place to go back to when the bytes of a batch
/// cannot be kept.
#[derive(Debug, Clone)]
pub struct Sealer {
    key: SigningKey,
    attested: Attestation,
    epoch: String,
    next: u64,
    count: u64,
    lines: Vec<Vec<u8>>,
    previous: Digest,
}

impl Sealer {
    /// Opens a segment: the sealer, and the header's line with its end.
    ///
    /// `keys` must hold the key that signed the attestation: what could not be verified later is not begun.
    pub fn open(
        key: SigningKey,
        epoch: impl Into<String>,
        attestation: &str,
        keys: &KeySet,
        at: Timestamp,
    ) -> Result<(Self, Vec<u8>), SegmentError> {
        let attested = Attestation::verify(attestation, keys)?;
        if key.purpose() != Purpose::Records || attested.key != key.public() {
            return Err(SegmentError::OtherKey);
        }
        let header = Header {
            v: SEGMENT_V1.to_owned(),
            epoch: epoch.into(),
            agent: attested.agent.clone(),
            pod: attested.pod.clone(),
            key: attested.key,
            attestation: attestation.to_owned(),
            at,
        };
        let mut line = signed_line(&header, &key).map_err(form)?;
        let previous = Digest::of_bytes(&line);
        line.push(b'\n');
        let sealer = Self { key, attested, epoch: header.epoch, next: 1, count: 0, lines: Vec::new(), previous };
        Ok((sealer, line))
    }

    /// Adds a record to the open batch and gives it its place: epoch and sequence. It is not kept before
    /// [`Self::seal`]'s bytes are.
    pub fn push(&mut self, mut record: Record) -> Result<u64, SegmentError> {
        self.room()?;
        let sequence = self.next;
        record.place(sequence, &self.epoch);
        self.lines.push(record.kept()?);
        self.next = self.next.saturating_add(1);
        self.count = self.count.saturating_add(1);
        Ok(sequence)
    }

    /// Adds a renewed attestation of the same key, agent and pod to the open batch.
    pub fn attest(&mut self, attestation: &str, keys: &KeySet) -> Result<(), SegmentError> {
        self.room()?;
        let renewed = Attestation::verify(attestation, keys)?;
        let same = renewed.key == self.attested.key
            && renewed.pod == self.attested.pod
            && renewed.agent.uid == self.attested.agent.uid;
        if !same {
            return Err(SegmentError::OtherKey);
        }
        let line = AttestationLine { attestation: attestation.to_owned(), kind: "attestation".to_owned() };
        self.lines.push(canonical::to_vec(&line).map_err(form)?);
        self.attested = renewed;
        Ok(())
    }

    /// Lines in the open batch.
    pub fn pending(&self) -> usize {
        self.lines.len()
    }

    /// The newest attestation, whose validity must cover the next batch.
    pub fn attestation(&self) -> &Attestation {
        &self.attested
    }

    /// Id of the epoch.
    pub fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Closes the open batch, which may be empty (a heartbeat): its lines and the batch line, each with its end. What
    /// it holds counts once these bytes are durable.
    pub fn seal(&mut self, at: Timestamp) -> Result<Vec<u8>, SegmentError> {
        let batch = Batch {
            epoch: self.epoch.clone(),
            first: self.next.saturating_sub(self.count),
            count: self.count,
            lines: u64::try_from(self.lines.len()).unwrap_or(u64::MAX),
            previous: self.previous,
            root: batch_root(self.previous, &self.lines),
            at,
        };
        let line = signed_line(&batch, &self.key).map_err(form)?;
        let mut bytes = Vec::new();
        for line in self.lines.drain(..).chain([line]) {
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
        }
        self.count = 0;
        self.previous = batch.root;
        Ok(bytes)
    }

    /// The end of what was sealed, to be kept elsewhere.
    pub fn head(&self) -> Head {
        let sequence = self.next.saturating_sub(self.count).saturating_sub(1);
        Head { epoch: self.epoch.clone(), sequence, root: self.previous }
    }

    fn room(&self) -> Result<(), SegmentError> {
        if self.lines.len() >= MAX_BATCH_LINES { Err(SegmentError::Full) } else { Ok(()) }
    }
}

/// Root of a batch: over the root before it, then its lines.
pub(super) fn batch_root<L: AsRef<[u8]>>(previous: Digest, lines: &[L]) -> Digest {
    let mut leaves: Vec<&[u8]> = Vec::with_capacity(lines.len().saturating_add(1));
    leaves.push(previous.as_bytes());
    leaves.extend(lines.iter().map(AsRef::as_ref));
    tree_hash(&leaves)
}

#[allow(clippy::needless_pass_by_value, reason = "used as a function in map_err")]
fn form(error: serde_json::Error) -> SegmentError {
    SegmentError::Form(error.to_string())
}
