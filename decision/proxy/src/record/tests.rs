//! The writer against storage that refuses, and against storage that lies no more.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use aegis_decision::decision::{DecisionOutput, Verdict};
use aegis_decision::digest::Digest;
use aegis_decision::jws::{KeySet, Purpose, SigningKey};
use aegis_decision::record::{
    AgentRef, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Mode, OUTCOME_RECORD_V1, OutcomeRecord, OutcomeTag,
    PodRef, RecordedExecution,
};
use aegis_decision::segment::{Sealer, verify};
use aegis_decision::token::{AgentName, Attestation, PodName};
use aegis_decision::tool::Class;
use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;

use super::*;

/// Storage in memory that fails as it is told.
#[derive(Clone, Default)]
struct Disk {
    bytes: Arc<Mutex<Vec<u8>>>,
    fault: Arc<Mutex<Option<Fault>>>,
}

#[derive(Clone, Copy)]
enum Fault {
    Full,
    Fsync,
}

impl Storage for Disk {
    fn keep(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        match self.fault() {
            None => {
                self.append(bytes);
                Ok(())
            }
            Some(Fault::Full) => Err(StorageError::Refused(io::Error::from(io::ErrorKind::StorageFull))),
            Some(Fault::Fsync) => Err(StorageError::Fatal(io::Error::other("input/output error"))),
        }
    }
}

impl Disk {
    fn fault(&self) -> Option<Fault> {
        *self.fault.lock().unwrap()
    }

    fn append(&self, bytes: &[u8]) {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
    }

    fn fails(&self, fault: Option<Fault>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Numbers of decisions and outcomes in the verified file.
    fn verified(&self, keys: &KeySet) -> (u64, Vec<String>) {
        let bytes = self.bytes.lock().unwrap().clone();
        let report = verify(&bytes, keys, None).unwrap();
        let ids = aegis_decision::segment::read(&bytes).filter_map(|entry| match entry {
            aegis_decision::segment::Entry::Record(record) => Some(record.id().to_owned()),
            _ => None,
        });
        (report.records, ids.collect())
    }
}

struct Bed {
    disk: Disk,
    keys: KeySet,
    begun: Begun,
    attestation: Attestation,
    control: SigningKey,
}

fn begun() -> Bed {
    let (control, key) =
        (SigningKey::from_seed(Purpose::Attestations, &[1; 32]), SigningKey::from_seed(Purpose::Records, &[2; 32]));
    let mut keys = KeySet::new();
    keys.insert(Purpose::Attestations, control.public()).unwrap();
    let now = Timestamp::now();
    let attestation = Attestation {
        pod: PodName { name: "buyer-0".to_owned(), uid: "pod-1".to_owned() },
        agent: AgentName {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "agent-1".to_owned(),
            version: "7".to_owned(),
        },
        key: key.public(),
        nbf: now - SignedDuration::from_secs(5),
        exp: now + SignedDuration::from_secs(600),
    };
    let (sealer, header) = Sealer::open(key, "e1", &attestation.issue(&control).unwrap(), &keys, now).unwrap();
    let disk = Disk::default();
    disk.bytes.lock().unwrap().extend(header);
    let metrics = Metrics::register(&mut Registry::default());
    let begun = begin_in(disk.clone(), sealer, metrics).unwrap();
    Bed { disk, keys, begun, attestation, control }
}

fn decision(id: &str) -> DecisionRecord {
    DecisionRecord {
        kind: DecisionTag::Decision,
        v: DECISION_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: 0,
        agent: AgentRef {
            tenant: "acme".to_owned(),
            business_unit: "it".to_owned(),
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "agent-1".to_owned(),
            version: "7".to_owned(),
        },
        pod: PodRef { name: "buyer-0".to_owned(), uid: "pod-1".to_owned() },
        mode: Mode::Enforce,
        target: None,
        bundle_version: None,
        decision: DecisionOutput {
            v: "test".to_owned(),
            verdict: Verdict::Allow,
            code: None,
            detail: None,
            tool: "ledger".to_owned(),
            operation: None,
            class: None,
            rule: None,
            failed: Vec::new(),
            allowed: None,
            sanitized: Vec::new(),
            rules: Vec::new(),
            rules_omitted: 0,
            nearest: Vec::new(),
            requirements: Vec::new(),
            unknown_origins: Vec::new(),
            delegation: None,
            effect_digest: None,
            context_digest: None,
            context_parts: None,
            facts: BTreeMap::new(),
            would: None,
            bundle: Digest::of_bytes(b"bundle"),
        },
        approval: None,
        claim: None,
        traceparent: None,
        run: None,
        plan: None,
        purpose: None,
        values: BTreeMap::new(),
        latency_micros: 0,
        shortened: false,
    }
}

fn outcome(id: &str) -> OutcomeRecord {
    OutcomeRecord {
        kind: OutcomeTag::Outcome,
        v: OUTCOME_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: 0,
        decision: "d".to_owned(),
        execution: RecordedExecution::Succeeded,
        sent: true,
        status: Some(200),
        response_digest: None,
        response_bytes: None,
        error: None,
        idempotency_key: None,
        latency_micros: 0,
    }
}

#[tokio::test]
async fn a_receipt_for_a_commit_means_that_the_record_is_kept() {
    let Bed { disk, keys, begun, .. } = begun();
    for (at, class) in [Class::Draft, Class::Commit].into_iter().enumerate() {
        begun.recorder.decision(decision(&format!("d{at}")), class).await.unwrap();
        let (records, ids) = disk.verified(&keys);
        assert_eq!(records, at as u64 + 1);
        assert!(ids.contains(&format!("d{at}")));
    }
    assert_eq!(begun.head.borrow().as_ref().unwrap().sequence, 2);
}

#[tokio::test]
async fn reads_are_kept_at_the_latest_when_the_writer_is_closed() {
    let Bed { disk, keys, begun, .. } = begun();
    for at in 0..200 {
        begun.recorder.decision(decision(&format!("d{at}")), Class::Read).await.unwrap();
    }
    begun.recorder.close();
    begun.ended.await.unwrap().unwrap();
    assert_eq!(disk.verified(&keys).0, 200);
    assert_eq!(begun.recorder.decision(decision("late"), Class::Commit).await.unwrap_err(), NotWritable);
}

#[tokio::test]
async fn a_full_disk_refuses_calls_and_loses_no_outcome() {
    let Bed { disk, keys, begun, .. } = begun();
    let recorder = &begun.recorder;
    recorder.decision(decision("before"), Class::Commit).await.unwrap();
    disk.fails(Some(Fault::Full));
    assert_eq!(recorder.decision(decision("refused"), Class::Commit).await.unwrap_err(), NotWritable);
    assert_eq!(recorder.decision(decision("read"), Class::Read).await.unwrap_err(), NotWritable, "reads close too");
    assert_eq!(recorder.outcome(outcome("happened"), Class::Commit).await.unwrap_err(), NotWritable);
    disk.fails(None);
    recorder.decision(decision("after"), Class::Commit).await.unwrap();
    recorder.decision(decision("read again"), Class::Read).await.unwrap();
    recorder.close();
    begun.ended.await.unwrap().unwrap();
    let (records, ids) = disk.verified(&keys);
    assert_eq!(ids, ["before", "happened", "after", "read again"]);
    assert_eq!(records, 4, "no gap where a batch was taken back");
}

/// Records these Reads beside a disk that stands still, until one is refused; gives how many were not. Then the disk goes
/// on, and all of them are there.
fn kept_beside_a_disk_that_stands_still(read: impl Fn(usize) -> DecisionRecord) -> usize {
    let Bed { disk, keys, begun, .. } = begun();
    // Time passes by itself where all wait.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let stalled = disk.bytes.lock().unwrap();
    let (kept, waited) = runtime.block_on(async {
        let mut kept = 0;
        loop {
            let began = Instant::now();
            if begun.recorder.decision(read(kept), Class::Read).await.is_err() {
                return (kept, began.elapsed());
            }
            kept += 1;
        }
    });
    assert!(waited >= PATIENCE, "refused after {waited:?}");
    drop(stalled);
    runtime.block_on(async {
        // The writer works in real time, which these calls do not wait for.
        while begun.recorder.decision(decision("a commit"), Class::Commit).await.is_err() {}
        assert_eq!(disk.verified(&keys).0, kept as u64 + 1, "all that were not refused, in order");
    });
    kept
}

#[test]
fn a_full_queue_makes_calls_wait_then_refuses_them_and_loses_nothing() {
    let kept = kept_beside_a_disk_that_stands_still(|at| decision(&format!("d{at}")));
    // What waits, and what the writer took from it already.
    assert!((QUEUE..=QUEUE + 64).contains(&kept), "{kept}");
}

#[test]
fn large_records_fill_the_room_before_the_queue_is_full() {
    let large = |at: usize| DecisionRecord { purpose: Some("x".repeat(200_000)), ..decision(&format!("d{at:04}")) };
    let kept = kept_beside_a_disk_that_stands_still(large);
    let (weight, room) = (Record::Decision(Box::new(large(0))).weight(), Room::BYTES as usize);
    assert!(weight > 200_000 && kept < QUEUE, "{kept} of {weight} bytes");
    assert_eq!(kept, room / weight, "also what the writer has counts until it is kept");
}

#[tokio::test]
async fn a_failed_fsync_ends_the_writer_and_refuses_everything() {
    let Bed { disk, begun, .. } = begun();
    disk.fails(Some(Fault::Fsync));
    assert_eq!(begun.recorder.decision(decision("d"), Class::Commit).await.unwrap_err(), NotWritable);
    assert!(matches!(begun.ended.await.unwrap(), Err(WriterError::Storage(StorageError::Fatal(_)))));
    disk.fails(None);
    for class in [Class::Read, Class::Draft, Class::Commit] {
        assert_eq!(begun.recorder.decision(decision("d"), class).await.unwrap_err(), NotWritable, "never retried");
    }
}

#[tokio::test]
async fn an_end_with_records_unwritten_is_an_error() {
    let Bed { disk, begun, .. } = begun();
    disk.fails(Some(Fault::Full));
    assert_eq!(begun.recorder.outcome(outcome("happened"), Class::Commit).await.unwrap_err(), NotWritable);
    begun.recorder.close();
    assert!(matches!(begun.ended.await.unwrap(), Err(WriterError::Lost(1))));
}

#[tokio::test]
async fn a_renewed_attestation_is_written_and_verifies() {
    let Bed { disk, keys, begun, mut attestation, control } = begun();
    attestation.exp += SignedDuration::from_secs(600);
    let renewed = attestation.issue(&control).unwrap();
    begun.recorder.attest(renewed.clone(), Arc::new(keys.clone())).unwrap();
    begun.recorder.decision(decision("d"), Class::Commit).await.unwrap();
    assert_eq!(disk.verified(&keys).0, 1);
    let text = String::from_utf8(disk.bytes.lock().unwrap().clone()).unwrap();
    assert!(text.contains(&renewed));
}

#[tokio::test]
async fn an_oversized_record_refuses_only_itself() {
    let Bed { disk, keys, begun, .. } = begun();
    // Also one that is larger than all of the room.
    for bytes in [aegis_decision::record::MAX_RECORD_BYTES, Room::BYTES as usize] {
        let mut large = decision("large");
        large.purpose = Some("x".repeat(bytes));
        assert_eq!(begun.recorder.decision(large, Class::Commit).await.unwrap_err(), NotWritable);
    }
    begun.recorder.decision(decision("d"), Class::Commit).await.unwrap();
    assert_eq!(disk.verified(&keys).1, ["d"]);
}

#[test]
fn a_segment_file_is_new_and_appended_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = SegmentFile::create(folder.path(), "e1.jsonl").unwrap();
    file.keep(b"one\n").unwrap();
    file.keep(b"two\n").unwrap();
    assert_eq!(std::fs::read(folder.path().join("e1.jsonl")).unwrap(), b"one\ntwo\n");
    SegmentFile::create(folder.path(), "e1.jsonl").unwrap_err();
}
