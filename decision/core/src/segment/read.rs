//! Reading a segment without verifying it: for looking records up. What it yields is not proven.

use super::format::{Batch, Header, MAX_LINE_BYTES, Peek, Read};
use crate::record::Record;

/// One line of a segment.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// The header.
    Header(Box<Header>),
    /// A record.
    Record(Record),
    /// A renewed attestation.
    Attestation,
    /// The end of a batch.
    Batch(Batch),
    /// Something else, or the torn end.
    Unreadable,
}

/// The lines in order, one at a time.
pub fn read(bytes: &[u8]) -> impl Iterator<Item = Entry> + '_ {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(entry)
}

fn entry(line: &[u8]) -> Entry {
    if line.len() > MAX_LINE_BYTES {
        return Entry::Unreadable;
    }
    let Ok(peek) = serde_json::from_slice::<Peek>(line) else { return Entry::Unreadable };
    let entry = match peek.kind.as_str() {
        "header" => Read::from_line(line).map(|read| Entry::Header(Box::new(read.body))),
        "batch" => Read::from_line(line).map(|read| Entry::Batch(read.body)),
        "attestation" => Some(Entry::Attestation),
        _ => Record::from_bytes(line).ok().map(Entry::Record),
    };
    entry.unwrap_or(Entry::Unreadable)
}
