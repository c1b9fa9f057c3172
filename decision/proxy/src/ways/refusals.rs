//! Records of captured connections that are refused. An agent can open thousands a second: some are recorded one by one,
//! the others in sums, so that a flood neither fills the disk nor goes unseen.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::record::ConnectionRecord;
use tokio::time::Instant;

use super::bucket::Bucket;
use crate::worker::Shared;

/// Records at once.
const BURST: u32 = 50;
/// Records a second.
const PER_SECOND: u32 = 5;
/// How often sums are written.
pub const INTERVAL: Duration = Duration::from_secs(10);

/// Refusals that wait to be summed up, by code.
#[derive(Debug)]
pub struct Refusals(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    single: Bucket,
    sums: HashMap<Code, ConnectionRecord>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self(Mutex::new(Inner { single: Bucket::new(BURST, PER_SECOND, Instant::now()), sums: HashMap::new() }))
    }
}

impl Refusals {
    /// Gives the record back when it is to be written now; else it goes into the sum of its code.
    pub fn take(&self, mut record: ConnectionRecord, now: Instant) -> Option<ConnectionRecord> {
        let code = record.code?;
        let mut inner = self.inner();
        if inner.single.take(now) {
            return Some(record);
        }
        if let Some(sum) = inner.sums.get(&code) {
            record.count = record.count.saturating_add(sum.count);
        }
        inner.sums.insert(code, record);
        None
    }

    /// Counts what could not be written in the sum of its code, whose last one stays the last.
    pub fn put_back(&self, record: ConnectionRecord) {
        let Some(code) = record.code else { return };
        let count = record.count;
        let add = |sum: &mut ConnectionRecord| sum.count = sum.count.saturating_add(count);
        self.inner().sums.entry(code).and_modify(add).or_insert(record);
    }

    fn sums(&self) -> Vec<ConnectionRecord> {
        self.inner().sums.drain().map(|(_, record)| record).collect()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes the sums. What cannot be written is tried again with the next ones.
pub fn write(shared: &Shared) {
    let Some(recorder) = shared.recorder.get() else { return };
    for record in shared.refusals.sums() {
        if recorder.connection_refused(record.clone()).is_err() {
            tracing::warn!("refused connections not recorded yet");
            shared.refusals.put_back(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aegis_decision::digest::Digest;
    use aegis_decision::record::{AgentRef, CONNECTION_RECORD_V1, ConnectionTag, ConnectionVerdict, PodRef, Way};
    use jiff::Timestamp;

    fn record(id: usize, code: Code) -> ConnectionRecord {
        ConnectionRecord {
            kind: ConnectionTag::Connection,
            v: CONNECTION_RECORD_V1.to_owned(),
            id: id.to_string(),
            sequence: 0,
            epoch: String::new(),
            time: Timestamp::UNIX_EPOCH,
            monotonic_micros: 0,
            agent: AgentRef {
                tenant: String::new(),
                business_unit: String::new(),
                namespace: String::new(),
                name: String::new(),
                uid: String::new(),
                version: String::new(),
            },
            pod: PodRef { name: String::new(), uid: String::new() },
            way: Way::Captured,
            host: None,
            port: 1,
            verdict: ConnectionVerdict::Deny,
            code: Some(code),
            detail: None,
            reason: None,
            bundle: Digest::of_bytes(b""),
            bundle_version: 1,
            count: 1,
        }
    }

    #[test]
    fn a_flood_is_summed_up_and_nothing_of_it_is_lost() {
        let (refusals, now) = (Refusals::default(), Instant::now());
        let flood =
            |from: usize, code| (from..from + 10_000).filter_map(|id| refusals.take(record(id, code), now)).count();
        let single = flood(0, Code::UnknownHost) + flood(10_000, Code::UnnamedConnection);
        assert_eq!(single, 50);
        let mut sums = refusals.sums();
        sums.sort_by_key(|record| record.code);
        let sums: Vec<_> = sums.iter().map(|record| (record.count, record.id.as_str())).collect();
        assert_eq!(sums, [(9950, "9999"), (10_000, "19999")]);
        assert!(refusals.sums().is_empty());
        assert!(refusals.take(record(1, Code::UnknownHost), now + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn what_could_not_be_written_is_counted_in_the_next_sum() {
        let refusals = Refusals::default();
        let told = || refusals.sums().iter().map(|record| (record.count, record.id.clone())).collect::<Vec<_>>();
        refusals.put_back(record(1, Code::UnknownHost));
        refusals.put_back(ConnectionRecord { count: 7, ..record(2, Code::UnknownHost) });
        assert_eq!(told(), [(8, "1".to_owned())]);
        assert!(told().is_empty());
    }
}
