//! The writer against storage that refuses, and against storage that lies no more.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use aegis_decision::decision::{DecisionOutput, Verdict};
use aegis_decision::digest::Digest;
use aegis_decision::jws::{KeySet, Purpose, SigningKey};
use aegis_decision::record::{
    AgentRef, CONNECTION_END_RECORD_V1, CONNECTION_RECORD_V1, ClaimRef, ConnectionEndRecord, ConnectionEndTag,
    ConnectionRecord, ConnectionTag, ConnectionVerdict, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Ended,
    ErrorClass, Mode, OUTCOME_RECORD_V1, OutcomeRecord, OutcomeTag, PodRef, RecordedExecution, Way,
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

    fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
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

/// A runtime whose time passes by itself where all wait. The writer works in real time, beside it.
fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Records the decision of a call that may go; gives the room of its outcome.
async fn decided(recorder: &Recorder, record: DecisionRecord, class: Class) -> Result<OutcomeRoom, NotWritable> {
    let intent = recorder.prepare(record, class).await?;
    recorder.decision(intent).await.map(|(_, room)| room)
}

/// A record that takes all that is left of the bytes. It can be kept all the same: what is long of it is left out then.
fn filling(recorder: &Recorder, id: &str) -> DecisionRecord {
    let [_, bytes, ..] = recorder.room.left();
    let mut record = decision(id);
    let weight = Record::Decision(Box::new(record.clone())).weight();
    record.decision.detail = Some("x".repeat(bytes - weight));
    record
}

fn agent() -> AgentRef {
    AgentRef {
        tenant: "acme".to_owned(),
        business_unit: "it".to_owned(),
        namespace: "shop".to_owned(),
        name: "buyer".to_owned(),
        uid: "agent-1".to_owned(),
        version: "7".to_owned(),
    }
}

fn pod() -> PodRef {
    PodRef { name: "buyer-0".to_owned(), uid: "pod-1".to_owned() }
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
        agent: agent(),
        pod: pod(),
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

fn connection(id: &str) -> ConnectionRecord {
    ConnectionRecord {
        kind: ConnectionTag::Connection,
        v: CONNECTION_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: 0,
        agent: agent(),
        pod: pod(),
        way: Way::Connect,
        host: Some("api.example".to_owned()),
        port: 443,
        verdict: ConnectionVerdict::Allow,
        code: None,
        detail: None,
        reason: None,
        bundle: Digest::of_bytes(b"bundle"),
        bundle_version: 1,
        count: 1,
    }
}

fn end(id: &str) -> ConnectionEndRecord {
    ConnectionEndRecord {
        kind: ConnectionEndTag::ConnectionEnd,
        v: CONNECTION_END_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: 0,
        connection: "c".to_owned(),
        ended: Ended::Closed,
        code: None,
        error: None,
        sent_bytes: 1,
        received_bytes: 1,
        duration_micros: 1,
    }
}

#[tokio::test]
async fn a_receipt_for_a_commit_means_that_the_record_is_kept() {
    let Bed { disk, keys, begun, .. } = begun();
    for (at, class) in [Class::Draft, Class::Commit].into_iter().enumerate() {
        decided(&begun.recorder, decision(&format!("d{at}")), class).await.unwrap();
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
        decided(&begun.recorder, decision(&format!("d{at}")), Class::Read).await.unwrap();
    }
    begun.recorder.close();
    begun.ended.await.unwrap().unwrap();
    assert_eq!(disk.verified(&keys).0, 200);
    assert_eq!(decided(&begun.recorder, decision("late"), Class::Commit).await.unwrap_err(), NotWritable);
}

/// Waits until the writer has found out that it cannot write.
async fn until_not_writable(recorder: &Recorder) {
    while recorder.is_writable() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_refuses_calls_and_loses_no_outcome() {
    let Bed { disk, keys, begun, .. } = begun();
    let recorder = &begun.recorder;
    let mut out = Vec::new();
    for id in ["one", "two", "three"] {
        out.push(decided(recorder, decision(id), Class::Commit).await.unwrap());
    }
    disk.fails(Some(Fault::Full));
    // Nobody knows yet, so it is queued; then it is carried from batch to batch, with all of the room.
    decided(recorder, filling(recorder, "queued"), Class::Read).await.unwrap();
    until_not_writable(recorder).await;
    assert_eq!(recorder.room.left()[1], 0);
    assert_eq!(decided(recorder, decision("refused"), Class::Commit).await.unwrap_err(), NotWritable);
    assert_eq!(decided(recorder, decision("read"), Class::Read).await.unwrap_err(), NotWritable, "reads close too");
    let [one, two, three] = <[OutcomeRoom; 3]>::try_from(out).unwrap();
    assert_eq!(recorder.outcome(outcome("end of one"), Class::Commit, one).await, Err(NotWritable), "not durable yet");
    assert_eq!(recorder.outcome(outcome("end of two"), Class::Read, two).await, Ok(()), "queued");
    disk.fails(None);
    recorder.outcome(outcome("end of three"), Class::Commit, three).await.unwrap();
    decided(recorder, decision("after"), Class::Commit).await.unwrap();
    decided(recorder, decision("read again"), Class::Read).await.unwrap();
    recorder.close();
    begun.ended.await.unwrap().unwrap();
    let (records, ids) = disk.verified(&keys);
    let out = ["one", "two", "three", "queued", "end of one", "end of two", "end of three"];
    assert_eq!(ids[..7], out);
    assert_eq!(ids[7..], ["after", "read again"]);
    assert_eq!(records, 9, "no gap where a batch was taken back");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_is_kept_whatever_fills_the_room() {
    let Bed { disk, keys, begun, .. } = begun();
    let recorder = &begun.recorder;
    let room = recorder.connection_opened(connection("opened")).await.unwrap();
    // What is durable takes no room.
    decided(recorder, decision("commit"), Class::Commit).await.unwrap();
    disk.fails(Some(Fault::Full));
    recorder.refusal(filling(recorder, "flood")).await.unwrap();
    assert_eq!(recorder.connection_refused(connection("no room for it")), Err(NotWritable));
    recorder.connection_end(end("ended"), room);
    disk.fails(None);
    recorder.close();
    begun.ended.await.unwrap().unwrap();
    assert_eq!(disk.verified(&keys).1, ["opened", "commit", "flood", "ended"]);
    assert_eq!(recorder.room.left(), Room::new().left(), "all is given back");
}

#[test]
fn a_call_that_has_its_room_is_recorded_whatever_fills_it_since() {
    let Bed { disk, keys, begun, .. } = begun();
    let (runtime, recorder) = (paused(), &begun.recorder);
    let intent = runtime.block_on(recorder.prepare(decision("approved"), Class::Read)).unwrap();
    let stalled = disk.bytes.lock().unwrap();
    let large = filling(recorder, "large");
    let large = runtime.block_on(decided(recorder, large, Class::Read)).unwrap();
    assert!(runtime.block_on(decided(recorder, decision("refused"), Class::Read)).is_err());
    let claim = ClaimRef { nonce: "n".repeat(22), at: Timestamp::now() };
    let (_, room) = runtime.block_on(recorder.decision(intent.claimed(claim))).unwrap();
    runtime.block_on(recorder.outcome(outcome("its end"), Class::Read, room)).unwrap();
    drop((stalled, large));
    recorder.close();
    runtime.block_on(begun.ended).unwrap().unwrap();
    assert_eq!(disk.verified(&keys).1, ["large", "approved", "its end"]);
    assert!(disk.text().contains(&"n".repeat(22)), "the claim stands in the record");
}

#[tokio::test(start_paused = true)]
async fn room_is_given_back_when_nothing_happens() {
    let Bed { disk, begun, .. } = begun();
    let (recorder, all) = (&begun.recorder, Room::new().left());
    let intent = recorder.prepare(decision("never claimed"), Class::Commit).await.unwrap();
    let [places, bytes, outcomes, ends] = recorder.room.left();
    assert!(places < all[0] && bytes < all[1] && outcomes < all[2] && ends == all[3]);
    drop(intent);
    assert_eq!(recorder.room.left(), all);
    // Recorded, and then not sent.
    drop(decided(recorder, decision("suspended"), Class::Commit).await.unwrap());
    assert_eq!(recorder.room.left(), all);
    drop(recorder.connection_opened(connection("not opened")).await.unwrap());
    // Not recorded.
    disk.fails(Some(Fault::Full));
    decided(recorder, decision("refused"), Class::Commit).await.unwrap_err();
    disk.fails(None);
    decided(recorder, decision("after"), Class::Commit).await.unwrap();
    assert_eq!(recorder.room.left(), all);
}

/// The largest there are: ids have 32 characters, an epoch has fewer, a key is the agent's own.
#[test]
fn the_record_of_an_end_is_as_small_as_its_place_takes_it_for() {
    let (id, epoch) = ("f".repeat(32), "e".repeat(32));
    let largest = OutcomeRecord {
        epoch: epoch.clone(),
        decision: id.clone(),
        response_digest: Some(Digest::of_bytes(b"answer")),
        response_bytes: Some(u64::MAX),
        error: Some(ErrorClass::Upstream),
        idempotency_key: Some("k".repeat(255)),
        ..outcome(&id)
    };
    let end = ConnectionEndRecord { epoch, connection: id.clone(), ..end(&id) };
    for record in [Record::Outcome(Box::new(largest)), Record::ConnectionEnd(Box::new(end))] {
        assert!(record.weight() <= Room::END_BYTES, "{} bytes: {record:?}", record.weight());
    }
}

/// Records these Reads beside a disk that stands still, until one is refused; gives how many were not. Then a call ends that
/// was out before, the disk goes on, and all of them are there.
fn kept_beside_a_disk_that_stands_still(read: impl Fn(usize) -> DecisionRecord) -> usize {
    let Bed { disk, keys, begun, .. } = begun();
    let (runtime, recorder) = (paused(), &begun.recorder);
    let out = runtime.block_on(decided(recorder, decision("out"), Class::Commit)).unwrap();
    let stalled = disk.bytes.lock().unwrap();
    let (kept, waited) = runtime.block_on(async {
        let mut kept = 0;
        loop {
            let began = Instant::now();
            if decided(recorder, read(kept), Class::Read).await.is_err() {
                return (kept, began.elapsed());
            }
            kept += 1;
        }
    });
    assert!(waited >= PATIENCE, "refused after {waited:?}");
    runtime.block_on(recorder.outcome(outcome("its end"), Class::Read, out)).unwrap();
    drop(stalled);
    runtime.block_on(async {
        // The writer works in real time, which these calls do not wait for.
        while decided(recorder, decision("a commit"), Class::Commit).await.is_err() {}
        let (records, ids) = disk.verified(&keys);
        assert_eq!(records, kept as u64 + 3, "all that were not refused, in order");
        assert_eq!(ids[kept + 1], "its end");
    });
    kept
}

#[test]
fn a_full_queue_makes_calls_wait_then_refuses_them_and_loses_nothing() {
    let kept = kept_beside_a_disk_that_stands_still(|at| decision(&format!("d{at}")));
    assert_eq!(kept, Room::PLACES, "also what the writer has counts until it is kept");
}

#[test]
fn large_records_fill_the_room_before_the_queue_is_full() {
    let large = |at: usize| DecisionRecord { purpose: Some("x".repeat(200_000)), ..decision(&format!("d{at:04}")) };
    let kept = kept_beside_a_disk_that_stands_still(large);
    let (weight, room) = (Record::Decision(Box::new(large(0))).weight(), Room::BYTES as usize);
    assert!(weight > 200_000 && kept < Room::PLACES, "{kept} of {weight} bytes");
    assert_eq!(kept, room / weight, "also what the writer has counts until it is kept");
}

#[tokio::test]
async fn a_failed_fsync_ends_the_writer_and_refuses_everything() {
    let Bed { disk, begun, .. } = begun();
    disk.fails(Some(Fault::Fsync));
    assert_eq!(decided(&begun.recorder, decision("d"), Class::Commit).await.unwrap_err(), NotWritable);
    assert!(matches!(begun.ended.await.unwrap(), Err(WriterError::Storage(StorageError::Fatal(_)))));
    disk.fails(None);
    for class in [Class::Read, Class::Draft, Class::Commit] {
        assert_eq!(decided(&begun.recorder, decision("d"), class).await.unwrap_err(), NotWritable, "never retried");
    }
}

#[tokio::test]
async fn an_end_with_records_unwritten_is_an_error() {
    let Bed { disk, begun, .. } = begun();
    let room = decided(&begun.recorder, decision("sent"), Class::Commit).await.unwrap();
    disk.fails(Some(Fault::Full));
    assert_eq!(begun.recorder.outcome(outcome("happened"), Class::Commit, room).await, Err(NotWritable));
    begun.recorder.close();
    assert!(matches!(begun.ended.await.unwrap(), Err(WriterError::Lost(1))));
}

#[tokio::test]
async fn a_renewed_attestation_is_written_and_verifies() {
    let Bed { disk, keys, begun, mut attestation, control } = begun();
    attestation.exp += SignedDuration::from_secs(600);
    let renewed = attestation.issue(&control).unwrap();
    begun.recorder.attest(renewed.clone(), Arc::new(keys.clone()));
    decided(&begun.recorder, decision("d"), Class::Commit).await.unwrap();
    assert_eq!(disk.verified(&keys).0, 1);
    assert!(disk.text().contains(&renewed));
}

#[tokio::test]
async fn the_newest_attestation_outlasts_a_full_disk() {
    let Bed { disk, keys, begun, mut attestation, control } = begun();
    let mut renewed = || {
        attestation.exp += SignedDuration::from_secs(600);
        attestation.issue(&control).unwrap()
    };
    let (first, second) = (renewed(), renewed());
    disk.fails(Some(Fault::Full));
    begun.recorder.attest(first.clone(), Arc::new(keys.clone()));
    until_not_writable(&begun.recorder).await;
    disk.fails(None);
    decided(&begun.recorder, decision("d"), Class::Commit).await.unwrap();
    assert!(disk.text().contains(&first), "tried again with the next batch");
    // Of two that wait, the older one is of no use any more.
    disk.fails(Some(Fault::Full));
    begun.recorder.attest(second, Arc::new(keys.clone()));
    let third = renewed();
    begun.recorder.attest(third.clone(), Arc::new(keys.clone()));
    until_not_writable(&begun.recorder).await;
    disk.fails(None);
    begun.recorder.close();
    begun.ended.await.unwrap().unwrap();
    assert!(disk.text().contains(&third));
    assert_eq!(disk.verified(&keys).1, ["d"]);
}

#[test]
fn a_renewed_attestation_waits_for_no_place_in_the_queue() {
    let Bed { disk, keys, begun, mut attestation, control } = begun();
    let (runtime, recorder) = (paused(), &begun.recorder);
    attestation.exp += SignedDuration::from_secs(600);
    let renewed = attestation.issue(&control).unwrap();
    let stalled = disk.bytes.lock().unwrap();
    runtime.block_on(async { while decided(recorder, decision("d"), Class::Read).await.is_ok() {} });
    recorder.attest(renewed.clone(), Arc::new(keys.clone()));
    drop(stalled);
    recorder.close();
    runtime.block_on(begun.ended).unwrap().unwrap();
    assert_eq!(disk.verified(&keys).0, Room::PLACES as u64);
    assert!(disk.text().contains(&renewed));
}

#[tokio::test]
async fn an_oversized_record_refuses_only_itself() {
    let Bed { disk, keys, begun, .. } = begun();
    // Also one that is larger than all of the room.
    for bytes in [aegis_decision::record::MAX_RECORD_BYTES, Room::BYTES as usize] {
        let mut large = decision("large");
        large.purpose = Some("x".repeat(bytes));
        assert_eq!(decided(&begun.recorder, large, Class::Commit).await.unwrap_err(), NotWritable);
    }
    decided(&begun.recorder, decision("d"), Class::Commit).await.unwrap();
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
