//! Records as a sidecar keeps them, and the keys that sign.

use std::collections::BTreeMap;

use aegis_decision::decide::decide;
use aegis_decision::digest::Digest;
use aegis_decision::jws::{KeySet, Purpose, SigningKey};
use aegis_decision::record::{
    AgentRef, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Mode, OUTCOME_RECORD_V1, OutcomeRecord, OutcomeTag,
    PodRef, Record, RecordedExecution,
};
use aegis_decision::segment::Sealer;
use aegis_decision::token::{AgentName, Attestation, PodName};
use jiff::SignedDuration;

use super::{Desk, Rules, at};

/// Claims, keys, and the token that they make.
pub struct Signing {
    pub claims: Attestation,
    pub key: SigningKey,
    pub keys: KeySet,
    pub token: String,
}

/// An attestation of a record key by a control service.
pub fn signing() -> Signing {
    let key = SigningKey::from_seed(Purpose::Attestations, &[1; 32]);
    let claims = Attestation {
        pod: PodName { name: "payer-0".to_owned(), uid: "pod-1".to_owned() },
        agent: AgentName {
            namespace: "shop".to_owned(),
            name: "payer".to_owned(),
            uid: "agent-1".to_owned(),
            version: "1".to_owned(),
        },
        key: record_key().public(),
        nbf: at(),
        exp: at() + SignedDuration::from_mins(10),
    };
    let mut keys = KeySet::new();
    keys.insert(Purpose::Attestations, key.public()).expect("an empty set takes a key");
    let token = claims.issue(&key).expect("the key is for attestations");
    Signing { claims, key, keys, token }
}

/// A sealer and 32 calls of two records each.
pub fn batch_of_64() -> (Sealer, Vec<Record>) {
    let signing = signing();
    let (sealer, _) = Sealer::open(record_key(), "epoch-1", &signing.token, &signing.keys, at()).expect("attested");
    let records = (0..32).flat_map(|call| [decision(call), outcome(call)]).collect();
    (sealer, records)
}

/// A sealer with 64 records in its open batch.
pub fn pushed() -> Sealer {
    let (mut sealer, records) = batch_of_64();
    for record in records {
        sealer.push(record).expect("the batch has room");
    }
    sealer
}

fn record_key() -> SigningKey {
    SigningKey::from_seed(Purpose::Records, &[2; 32])
}

/// The decision on a payment under 10 rules, as it is kept.
fn decision(call: u32) -> Record {
    let (desk, named) = Desk::named(Rules::Mixed, 10);
    let decision = decide(&desk.bundle, named, &desk.evidence(), desk.now);
    Record::Decision(Box::new(DecisionRecord {
        kind: DecisionTag::Decision,
        v: DECISION_RECORD_V1.to_owned(),
        id: format!("01J0000000000000000000{call:04}"),
        sequence: 0,
        epoch: String::new(),
        time: at(),
        monotonic_micros: u64::from(call),
        agent: AgentRef {
            tenant: "acme".to_owned(),
            business_unit: "retail".to_owned(),
            namespace: "shop".to_owned(),
            name: "payer".to_owned(),
            uid: "agent-1".to_owned(),
            version: "1".to_owned(),
        },
        pod: PodRef { name: "payer-0".to_owned(), uid: "pod-1".to_owned() },
        mode: Mode::Enforce,
        target: Some("https://bank.example".to_owned()),
        bundle_version: Some(1),
        decision: decision.output,
        approval: None,
        claim: None,
        traceparent: None,
        run: None,
        plan: None,
        purpose: None,
        values: BTreeMap::new(),
        latency_micros: 60,
        shortened: false,
    }))
}

fn outcome(call: u32) -> Record {
    Record::Outcome(Box::new(OutcomeRecord {
        kind: OutcomeTag::Outcome,
        v: OUTCOME_RECORD_V1.to_owned(),
        id: format!("01J1000000000000000000{call:04}"),
        sequence: 0,
        epoch: String::new(),
        time: at(),
        monotonic_micros: u64::from(call),
        decision: format!("01J0000000000000000000{call:04}"),
        execution: RecordedExecution::Succeeded,
        sent: true,
        status: Some(200),
        response_digest: Some(Digest::of_bytes(b"{}")),
        response_bytes: Some(2),
        error: None,
        idempotency_key: None,
        latency_micros: 900,
    }))
}
