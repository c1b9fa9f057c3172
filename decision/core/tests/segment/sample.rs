//! Honest segments, and the parts to forge others.

use std::collections::BTreeMap;

use aegis_decision::codes::Code;
use aegis_decision::control::Head;
use aegis_decision::decision::{DecisionOutput, FailedCheck, RuleOutcome, RuleRef, Truth, Verdict};
use aegis_decision::digest::Digest;
use aegis_decision::jws::{KeySet, Purpose, SigningKey};
use aegis_decision::record::{
    AgentRef, CONNECTION_END_RECORD_V1, CONNECTION_RECORD_V1, ConnectionEndRecord, ConnectionEndTag, ConnectionRecord,
    ConnectionTag, ConnectionVerdict, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Ended, ErrorClass, Mode,
    OUTCOME_RECORD_V1, OutcomeRecord, OutcomeTag, PodRef, Record, RecordedExecution, Way,
};
use aegis_decision::segment::Sealer;
use aegis_decision::token::{AgentName, Attestation, PodName};
use aegis_decision::tool::Class;
use jiff::{SignedDuration, Timestamp};

/// A small generator (Knuth's MMIX constants): the same numbers on every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next()).unwrap() % bound
    }
}

pub fn at(seconds: i64) -> Timestamp {
    "2026-03-04T05:06:07.25Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

pub fn control_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Purpose::Attestations, &[seed; 32])
}

pub fn record_key(seed: u8) -> SigningKey {
    SigningKey::from_seed(Purpose::Records, &[seed; 32])
}

pub fn keys_of(control: &SigningKey) -> KeySet {
    let mut keys = KeySet::new();
    keys.insert(Purpose::Attestations, control.public()).unwrap();
    keys
}

/// The keys of the honest control service.
pub fn keys() -> KeySet {
    keys_of(&control_key(1))
}

pub fn agent() -> AgentName {
    AgentName { namespace: "shop".to_owned(), name: "buyer".to_owned(), uid: "a-1".to_owned(), version: "7".to_owned() }
}

pub fn attestation(key: &SigningKey, from: i64, until: i64) -> Attestation {
    Attestation {
        pod: PodName { name: "buyer-0".to_owned(), uid: "p-1".to_owned() },
        agent: agent(),
        key: key.public(),
        nbf: at(from),
        exp: at(until),
    }
}

pub fn decision(id: &str, amount: i64) -> DecisionRecord {
    let amount = aegis_decision::json::parse(amount.to_string().as_bytes()).unwrap();
    DecisionRecord {
        kind: DecisionTag::Decision,
        v: DECISION_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: at(1),
        monotonic_micros: 1_000_123,
        agent: AgentRef {
            tenant: "acme".to_owned(),
            business_unit: "supply".to_owned(),
            namespace: "shop".to_owned(),
            name: "buyer".to_owned(),
            uid: "a-1".to_owned(),
            version: "7".to_owned(),
        },
        pod: PodRef { name: "buyer-0".to_owned(), uid: "p-1".to_owned() },
        mode: Mode::Enforce,
        target: Some("https://erp.example:8443".to_owned()),
        bundle_version: Some(12),
        decision: DecisionOutput {
            v: "aegis.dev/decision/v1".to_owned(),
            verdict: Verdict::Deny,
            code: Some(Code::ALL[0]),
            detail: Some("The total must be at most 5000.00 EUR.".to_owned()),
            tool: "erp".to_owned(),
            operation: Some("purchases.confirm".to_owned()),
            class: Some(Class::Commit),
            rule: Some(RuleRef { policy: "spend".to_owned(), rule: "limit".to_owned(), reason: None }),
            failed: vec![FailedCheck {
                field: "$fact.order.total".to_owned(),
                check: "atMost".to_owned(),
                limit: Some("5000.00 EUR".to_owned()),
                value: None,
                indeterminate: false,
            }],
            allowed: Some("a total of at most 5000.00 EUR".to_owned()),
            sanitized: Vec::new(),
            rules: vec![RuleOutcome {
                policy: "spend".to_owned(),
                rule: "limit".to_owned(),
                effect: "Deny".to_owned(),
                truth: Truth::True,
                reason: None,
                checks: Vec::new(),
            }],
            rules_omitted: 0,
            nearest: Vec::new(),
            requirements: Vec::new(),
            unknown_origins: Vec::new(),
            delegation: None,
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
        plan: None,
        purpose: None,
        values: BTreeMap::from([("amount".to_owned(), amount)]),
        latency_micros: 321,
        shortened: false,
    }
}

pub fn outcome(id: &str, of: &str) -> OutcomeRecord {
    OutcomeRecord {
        kind: OutcomeTag::Outcome,
        v: OUTCOME_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: at(2),
        monotonic_micros: 2_000_456,
        decision: of.to_owned(),
        execution: RecordedExecution::NotSent,
        sent: false,
        status: None,
        response_digest: None,
        response_bytes: None,
        error: Some(ErrorClass::Connect),
        idempotency_key: None,
        latency_micros: 0,
    }
}

pub fn connection(id: &str) -> ConnectionRecord {
    let of = decision(id, 0);
    ConnectionRecord {
        kind: ConnectionTag::Connection,
        v: CONNECTION_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: at(1),
        monotonic_micros: 1_000_123,
        agent: of.agent,
        pod: of.pod,
        way: Way::Captured,
        host: Some("api.example".to_owned()),
        port: 443,
        verdict: ConnectionVerdict::Allow,
        code: None,
        detail: None,
        reason: Some("models".to_owned()),
        bundle: Digest::of_bytes(b"bundle"),
        bundle_version: 12,
        count: 1,
    }
}

pub fn connection_end(id: &str, of: &str) -> ConnectionEndRecord {
    ConnectionEndRecord {
        kind: ConnectionEndTag::ConnectionEnd,
        v: CONNECTION_END_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: at(2),
        monotonic_micros: 2_000_456,
        connection: of.to_owned(),
        ended: Ended::Closed,
        code: None,
        error: None,
        sent_bytes: 7,
        received_bytes: 11,
        duration_micros: 1_000_333,
    }
}

/// A segment of `batches` batches with up to `most` records each; some have none, one renews the attestation.
pub fn segment(
    epoch: &str,
    control: &SigningKey,
    key: &SigningKey,
    batches: usize,
    most: usize,
    numbers: &mut Numbers,
) -> (Vec<u8>, Head) {
    let keys = keys_of(control);
    let token = attestation(key, 0, 1000).issue(control).unwrap();
    let (mut sealer, mut bytes) = Sealer::open(key.clone(), epoch, &token, &keys, at(0)).unwrap();
    for batch in 0..batches {
        for _ in 0..numbers.below(most + 1) {
            let id = format!("{:08x}", numbers.next());
            let record = match numbers.below(6) {
                0..=2 => Record::Decision(Box::new(decision(&id, i64::try_from(numbers.below(9000)).unwrap()))),
                3 => Record::Connection(Box::new(connection(&id))),
                4 => Record::ConnectionEnd(Box::new(connection_end(&id, "c"))),
                _ => Record::Outcome(Box::new(outcome(&id, "d"))),
            };
            sealer.push(record).unwrap();
        }
        if batch == batches / 2 {
            let renewed = attestation(key, 500, 5000).issue(control).unwrap();
            sealer.attest(&renewed, &keys).unwrap();
        }
        bytes.extend(sealer.seal(at(i64::try_from(batch).unwrap())).unwrap());
    }
    (bytes, sealer.head())
}

/// The lines with their ends.
pub fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}
