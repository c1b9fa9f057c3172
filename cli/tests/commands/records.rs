//! A record file of one refused and one allowed call, made and signed as a sidecar does.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_decision::codes::Code;
use aegis_decision::control::Head;
use aegis_decision::decision::{DecisionOutput, DelegationRef, FailedCheck, RuleRef, Verdict};
use aegis_decision::digest::Digest;
use aegis_decision::disguise::disguises;
use aegis_decision::jws::{KeySet, Purpose, SigningKey};
use aegis_decision::record::{
    AgentRef, CONNECTION_END_RECORD_V1, CONNECTION_RECORD_V1, ConnectionEndRecord, ConnectionEndTag, ConnectionRecord,
    ConnectionTag, ConnectionVerdict, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Ended, Mode, OUTCOME_RECORD_V1,
    OutcomeRecord, OutcomeTag, PodRef, Record, RecordedExecution, Way,
};
use aegis_decision::segment::Sealer;
use aegis_decision::token::{AgentName, Attestation, PodName};
use aegis_decision::tool::Class;
use jiff::Timestamp;
use tempfile::TempDir;

/// Files of a sidecar, and the keys to verify them with.
pub struct Kept {
    pub folder: TempDir,
    pub file: PathBuf,
    pub keys: PathBuf,
    pub head: Head,
}

impl Kept {
    pub fn head(&self) -> String {
        format!("{}:{}:{}", self.head.epoch, self.head.sequence, self.head.root)
    }

    /// Replaces the machine's own path, for a snapshot.
    pub fn without_folder(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

fn at(second: i8) -> Timestamp {
    format!("2026-05-04T10:00:{second:02}Z").parse().unwrap()
}

fn decision(id: &str, verdict: Verdict) -> DecisionRecord {
    let refused = verdict == Verdict::Deny;
    DecisionRecord {
        kind: DecisionTag::Decision,
        v: DECISION_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: at(1),
        monotonic_micros: 1_000,
        agent: AgentRef {
            tenant: "acme".to_owned(),
            business_unit: "office".to_owned(),
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "agent-1".to_owned(),
            version: "1.0".to_owned(),
        },
        pod: PodRef { name: "buyer-0".to_owned(), uid: "pod-1".to_owned() },
        mode: Mode::Enforce,
        target: Some("https://erp.example:443".to_owned()),
        bundle_version: Some(3),
        decision: DecisionOutput {
            v: "aegis.dev/decision/v1".to_owned(),
            verdict,
            code: refused.then_some(Code::NoRuleAllows),
            detail: refused.then(|| "the supplier is not in the registry".to_owned()),
            tool: "erp".to_owned(),
            operation: Some("purchases.draft".to_owned()),
            class: Some(Class::Draft),
            rule: (!refused).then(|| rule("draft-for-approved-suppliers")),
            failed: if refused {
                vec![FailedCheck {
                    field: "party".to_owned(),
                    check: "inRegistry".to_owned(),
                    limit: Some("suppliers".to_owned()),
                    value: Some("6".to_owned()),
                    indeterminate: false,
                }]
            } else {
                Vec::new()
            },
            allowed: refused.then(|| "a supplier of the registry".to_owned()),
            sanitized: Vec::new(),
            rules: Vec::new(),
            rules_omitted: 0,
            nearest: if refused { vec![rule("draft-for-approved-suppliers")] } else { Vec::new() },
            requirements: Vec::new(),
            unknown_origins: Vec::new(),
            delegation: Some(DelegationRef {
                name: "office-supplies".to_owned(),
                uid: "delegation-1".to_owned(),
                generation: 1,
                delegator: "purchasing-lead".to_owned(),
                requester: "office-manager".to_owned(),
                workflow: "office-purchasing".to_owned(),
            }),
            effect_digest: Some(Digest::of_bytes(b"effect")),
            context_digest: None,
            context_parts: None,
            facts: BTreeMap::new(),
            would: None,
            bundle: Digest::of_bytes(b"bundle"),
        },
        approval: None,
        claim: None,
        traceparent: None,
        run: Some("r-1".to_owned()),
        // What an agent's delegation says may hold anything.
        plan: None,
        purpose: Some("paper\u{1b}[2J".to_owned()),
        values: BTreeMap::new(),
        latency_micros: 200,
        shortened: false,
    }
}

fn rule(name: &str) -> RuleRef {
    RuleRef { policy: "purchasing".to_owned(), rule: name.to_owned(), reason: None }
}

fn outcome(of: &str) -> OutcomeRecord {
    OutcomeRecord {
        kind: OutcomeTag::Outcome,
        v: OUTCOME_RECORD_V1.to_owned(),
        id: format!("{of}-outcome"),
        sequence: 0,
        epoch: String::new(),
        time: at(2),
        monotonic_micros: 2_000,
        decision: of.to_owned(),
        execution: RecordedExecution::Succeeded,
        sent: true,
        status: Some(201),
        response_digest: None,
        response_bytes: Some(12),
        error: None,
        idempotency_key: None,
        latency_micros: 900,
    }
}

/// A folder with the records of one opened and one refused connection, in a file that was not signed.
pub fn connections() -> TempDir {
    let opened = ConnectionRecord {
        kind: ConnectionTag::Connection,
        v: CONNECTION_RECORD_V1.to_owned(),
        id: "c-1".to_owned(),
        sequence: 1,
        epoch: "e".to_owned(),
        time: at(1),
        monotonic_micros: 1_000,
        agent: decision("d", Verdict::Deny).agent,
        pod: PodRef { name: "buyer-0".to_owned(), uid: "pod-1".to_owned() },
        way: Way::Connect,
        host: Some("api.example".to_owned()),
        port: 443,
        verdict: ConnectionVerdict::Allow,
        code: None,
        detail: None,
        reason: Some("models".to_owned()),
        bundle: Digest::of_bytes(b"bundle"),
        bundle_version: 3,
        count: 1,
    };
    let refused = ConnectionRecord {
        id: "c-2".to_owned(),
        sequence: 2,
        way: Way::Captured,
        host: None,
        port: 5432,
        verdict: ConnectionVerdict::Deny,
        code: Some(Code::UnnamedConnection),
        detail: None,
        reason: None,
        count: 12,
        ..opened.clone()
    };
    let end = ConnectionEndRecord {
        kind: ConnectionEndTag::ConnectionEnd,
        v: CONNECTION_END_RECORD_V1.to_owned(),
        id: "e-1".to_owned(),
        sequence: 3,
        epoch: "e".to_owned(),
        time: at(2),
        monotonic_micros: 2_000,
        connection: "c-1".to_owned(),
        ended: Ended::Policy,
        code: Some(Code::AgentNotActive),
        error: None,
        sent_bytes: 7,
        received_bytes: 11,
        duration_micros: 1_000,
    };
    let records = [
        Record::Connection(Box::new(opened)),
        Record::Connection(Box::new(refused)),
        Record::ConnectionEnd(Box::new(end)),
    ];
    let lines: Vec<_> = records.iter().map(|record| String::from_utf8(record.to_bytes().unwrap()).unwrap()).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.jsonl"), lines.join("\n") + "\n").unwrap();
    folder
}

/// A folder with the record of one call, whose purpose is every character that hides or turns text.
pub fn disguised() -> TempDir {
    let purpose = ('\0'..=char::MAX).filter(|c| disguises(*c)).collect();
    let record = DecisionRecord { purpose: Some(purpose), ..decision("d-1", Verdict::Deny) };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("e.jsonl"), Record::Decision(Box::new(record)).to_bytes().unwrap()).unwrap();
    folder
}

/// Writes two batches, three records, and the keys.
pub fn kept() -> Kept {
    let control = SigningKey::from_seed(Purpose::Attestations, &[1; 32]);
    let record = SigningKey::from_seed(Purpose::Records, &[2; 32]);
    let mut keys = KeySet::new();
    keys.insert(Purpose::Attestations, control.public()).unwrap();
    let attestation = Attestation {
        pod: PodName { name: "buyer-0".to_owned(), uid: "pod-1".to_owned() },
        agent: AgentName {
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "agent-1".to_owned(),
            version: "1.0".to_owned(),
        },
        key: record.public(),
        nbf: at(0),
        exp: at(59),
    };
    let token = attestation.issue(&control).unwrap();
    let (mut sealer, mut bytes) = Sealer::open(record, "20260504T100000Z-00000001", &token, &keys, at(0)).unwrap();
    sealer.push(Record::Decision(Box::new(decision("d-1", Verdict::Deny)))).unwrap();
    bytes.extend(sealer.seal(at(3)).unwrap());
    sealer.push(Record::Decision(Box::new(decision("d-2", Verdict::Allow)))).unwrap();
    sealer.push(Record::Outcome(Box::new(outcome("d-2")))).unwrap();
    bytes.extend(sealer.seal(at(4)).unwrap());

    let folder = tempfile::tempdir().unwrap();
    let records = folder.path().join("records");
    fs::create_dir(&records).unwrap();
    let file = records.join("20260504T100000Z-00000001.jsonl");
    fs::write(&file, bytes).unwrap();
    let jwks = folder.path().join("jwks.json");
    fs::write(&jwks, serde_json::to_vec(&keys).unwrap()).unwrap();
    Kept { file, keys: jwks, head: sealer.head(), folder }
}

/// Lines of a file with their ends.
pub fn lines(file: &Path) -> Vec<Vec<u8>> {
    fs::read(file).unwrap().split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}
