//! Verifying a segment offline: every line, every batch, every signature, and what is missing.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use super::format::{AttestationLine, Batch, Header, MAX_LINE_BYTES, Peek, Read, SEGMENT_V1};
use super::seal::{MAX_BATCH_LINES, batch_root};
use crate::control::Head;
use crate::digest::Digest;
use crate::jws::KeySet;
use crate::record::Record;
use crate::token::{AgentName, Attestation, PodName};

/// Most findings in an answer; the first one is the one that matters.
pub const MAX_FINDINGS: usize = 32;

/// What a segment proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The sidecar's start.
    pub epoch: String,
    /// The agent, attested.
    pub agent: AgentName,
    /// The pod, attested.
    pub pod: PodName,
    /// Records that are proven.
    pub records: u64,
    /// Batches that are proven.
    pub batches: u64,
    /// Sequence of the last proven record; from 1 to here none is missing.
    pub complete_to: u64,
    /// Root of the last batch; without one, digest of the header line.
    pub root: Digest,
    /// Time of the last batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
    /// Whether a head that was kept elsewhere confirms that nothing was cut off.
    pub end: End,
    /// What follows the last batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub torn: Option<Torn>,
}

/// Whether the end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum End {
    /// The head is in the file.
    Proven {
        /// Sequence of the head: up to here nothing was cut off.
        to: u64,
    },
    /// No head was given: batches at the end may have been cut off.
    NotProven,
}

/// Lines after the last batch: they were being written when the sidecar stopped. They prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Torn {
    /// Number of its first line, from 1.
    pub line: usize,
    /// How many bytes.
    pub bytes: usize,
}

/// Something that an untouched segment does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// Number of the line, from 1; 0: the file as a whole.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}", self.problem),
            line => write!(f, "line {line}: {}", self.problem),
        }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
pub enum Problem {
    /// The first line is not a header of this version.
    #[error("does not start with a segment header")]
    NoHeader,
    /// The attestation is not signed by a trusted key, or is about another key, agent or pod.
    #[error("the attestation of the record key is not one that these keys confirm")]
    Attestation,
    /// Not a line of a segment, or not in canonical form.
    #[error("is not a line of a segment in canonical form")]
    Line,
    /// Of another epoch.
    #[error("belongs to another epoch")]
    Epoch,
    /// Records are missing, repeated or out of order.
    #[error("sequence is {found}, expected {expected}")]
    Sequence {
        /// What should have come.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// A batch does not say what its lines are.
    #[error("the batch's lines are not those that it was sealed with")]
    Content,
    /// A batch does not follow the one before it.
    #[error("the batch does not follow the one before it")]
    Chain,
    /// Not signed by the record key.
    #[error("is not signed by the attested record key")]
    Signature,
    /// Sealed at a time for which the key was not attested.
    #[error("was sealed at a time for which the record key is not attested")]
    Time,
    /// More lines than a batch can have.
    #[error("the batch has more than {MAX_BATCH_LINES} lines")]
    TooManyLines,
    /// The given head is of another epoch.
    #[error("the head is of another epoch")]
    OtherHead,
    /// The given head is not in the file.
    #[error("the head, record {0}, is not in the file: its end was cut off or rewritten")]
    Cut(u64),
}

/// Verifies a whole file. `keys` hold the control service's attestation keys of that time. With a `head` the end is
/// checked too. Takes time linear in the file, and no more memory than one batch beside it.
pub fn verify(bytes: &[u8], keys: &KeySet, head: Option<&Head>) -> Result<Report, Vec<Finding>> {
    // A last line without its end was being written: it is part of the torn end.
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
    let complete = bytes.get(..whole).unwrap_or_default();
    let mut lines = (1..).zip(complete.split_inclusive(|byte| *byte == b'\n').map(without_end));

    let Some((_, first)) = lines.next() else {
        return Err(vec![Finding { line: 0, problem: Problem::NoHeader }]);
    };
    let mut walk = Walk::open(first, keys, head).map_err(|problem| vec![Finding { line: 1, problem }])?;
    for (number, line) in lines {
        walk.line(number, line);
        if walk.findings.len() >= MAX_FINDINGS {
            break;
        }
    }
    walk.close(bytes.len())
}

fn without_end(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Where the walk through the file is.
struct Walk<'a> {
    keys: &'a KeySet,
    head: Option<&'a Head>,
    header: Header,
    attestations: Vec<Attestation>,
    next: u64,
    previous: Digest,
    open: Vec<&'a [u8]>,
    open_records: u64,
    open_line: usize,
    proven_bytes: usize,
    proven_records: u64,
    batches: u64,
    last_at: Option<Timestamp>,
    head_found: bool,
    findings: Vec<Finding>,
}

impl<'a> Walk<'a> {
    fn open(line: &'a [u8], keys: &'a KeySet, head: Option<&'a Head>) -> Result<Self, Problem> {
        if line.len() > MAX_LINE_BYTES {
            return Err(Problem::NoHeader);
        }
        let read = Read::<Header>::from_line(line).ok_or(Problem::NoHeader)?;
        let header = read.body.clone();
        if header.v != SEGMENT_V1 {
            return Err(Problem::NoHeader);
        }
        let attestation = Attestation::verify(&header.attestation, keys).map_err(|_| Problem::Attestation)?;
        if attestation.key != header.key || attestation.agent != header.agent || attestation.pod != header.pod {
            return Err(Problem::Attestation);
        }
        if !read.is_signed_by(&header.key) {
            return Err(Problem::Signature);
        }
        let previous = Digest::of_bytes(line);
        let mut walk = Self {
            keys,
            head,
            header,
            attestations: vec![attestation],
            next: 1,
            previous,
            open: Vec::new(),
            open_records: 0,
            open_line: 2,
            proven_bytes: line.len().saturating_add(1),
            proven_records: 0,
            batches: 0,
            last_at: None,
            head_found: false,
            findings: Vec::new(),
        };
        if head.is_some_and(|head| head.epoch != walk.header.epoch) {
            walk.find(0, Problem::OtherHead);
        }
        walk.meet_head(0);
        Ok(walk)
    }

    fn line(&mut self, number: usize, line: &'a [u8]) {
        let peek = if line.len() > MAX_LINE_BYTES { None } else { serde_json::from_slice::<Peek>(line).ok() };
        match peek {
            Some(Peek { kind, .. }) if kind == "batch" => match Read::<Batch>::from_line(line) {
                Some(batch) => self.batch(number, &batch, line.len()),
                None => self.find(number, Problem::Line),
            },
            Some(Peek { kind, .. }) if kind == "attestation" => self.attestation(number, line),
            Some(Peek { kind, sequence: Some(sequence), epoch: Some(epoch) })
                if Record::TYPES.contains(&kind.as_str()) =>
            {
                self.record(number, line, sequence, &epoch);
            }
            Some(_) | None => self.find(number, Problem::Line),
        }
    }

    fn record(&mut self, number: usize, line: &'a [u8], sequence: u64, epoch: &str) {
        if epoch != self.header.epoch {
            self.find(number, Problem::Epoch);
        }
        let expected = self.next.saturating_add(self.open_records);
        if sequence != expected {
            self.find(number, Problem::Sequence { expected, found: sequence });
        }
        self.open_records = self.open_records.saturating_add(1);
        self.keep(number, line);
    }

    fn attestation(&mut self, number: usize, line: &'a [u8]) {
        let renewed = serde_json::from_slice::<AttestationLine>(line)
            .ok()
            .and_then(|line| Attestation::verify(&line.attestation, self.keys).ok())
            .filter(|renewed| {
                renewed.key == self.header.key
                    && renewed.pod == self.header.pod
                    && renewed.agent.uid == self.header.agent.uid
            });
        match renewed {
            Some(renewed) => self.attestations.push(renewed),
            None => self.find(number, Problem::Attestation),
        }
        self.keep(number, line);
    }

    fn keep(&mut self, number: usize, line: &'a [u8]) {
        if self.open.len() == MAX_BATCH_LINES {
            self.find(number, Problem::TooManyLines);
        }
        self.open.push(line);
    }

    fn batch(&mut self, number: usize, read: &Read<Batch>, length: usize) {
        let batch = &read.body;
        let lines = u64::try_from(self.open.len()).unwrap_or(u64::MAX);
        if !read.is_signed_by(&self.header.key) {
            self.find(number, Problem::Signature);
        }
        if batch.epoch != self.header.epoch {
            self.find(number, Problem::Epoch);
        }
        if batch.previous != self.previous {
            self.find(number, Problem::Chain);
        }
        if batch.first != self.next {
            self.find(number, Problem::Sequence { expected: self.next, found: batch.first });
        }
        let same = batch.count == self.open_records
            && batch.lines == lines
            && batch.root == batch_root(batch.previous, &self.open);
        if !same {
            self.find(number, Problem::Content);
        }
        if !self.attestations.iter().rev().any(|attestation| attestation.covers(batch.at)) {
            self.find(number, Problem::Time);
        }
        let bytes: usize = self.open.iter().map(|line| line.len().saturating_add(1)).sum();
        self.proven_bytes = self.proven_bytes.saturating_add(bytes).saturating_add(length).saturating_add(1);
        // After a finding the walk goes on from what the batch says of itself, so that one wound is told once.
        self.proven_records = self.proven_records.saturating_add(batch.count);
        self.next = batch.last().saturating_add(1);
        self.previous = batch.root;
        self.batches = self.batches.saturating_add(1);
        self.last_at = Some(batch.at);
        self.open.clear();
        self.open_records = 0;
        self.open_line = number.saturating_add(1);
        self.meet_head(batch.last());
    }

    fn meet_head(&mut self, last: u64) {
        let root = self.previous;
        self.head_found |= self.head.is_some_and(|head| head.root == root && head.sequence == last);
    }

    fn find(&mut self, line: usize, problem: Problem) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(Finding { line, problem });
        }
    }

    fn close(mut self, total: usize) -> Result<Report, Vec<Finding>> {
        let end = match self.head {
            Some(head) if self.head_found => End::Proven { to: head.sequence },
            Some(head) => {
                self.find(0, Problem::Cut(head.sequence));
                End::NotProven
            }
            None => End::NotProven,
        };
        if !self.findings.is_empty() {
            return Err(self.findings);
        }
        let left = total.saturating_sub(self.proven_bytes);
        Ok(Report {
            epoch: self.header.epoch,
            agent: self.header.agent,
            pod: self.header.pod,
            records: self.proven_records,
            batches: self.batches,
            complete_to: self.next.saturating_sub(1),
            root: self.previous,
            last_at: self.last_at,
            end,
            torn: (left > 0).then_some(Torn { line: self.open_line, bytes: left }),
        })
    }
}
