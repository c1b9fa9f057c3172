//! What an honest file proves, and what it cannot.

use aegis_decision::control::Head;
use aegis_decision::digest::Digest;
use aegis_decision::disguise::disguises;
use aegis_decision::json;
use aegis_decision::jws::{Purpose, SigningKey};
use aegis_decision::record::{MAX_RECORD_BYTES, Record, explain, explain_connection};
use aegis_decision::segment::{End, Entry, Problem, Sealer, SegmentError, Torn, read, verify};

use crate::sample::{
    Numbers, agent, at, attestation, connection, control_key, decision, keys, keys_of, lines, outcome, record_key,
    segment,
};

fn open() -> (Sealer, Vec<u8>) {
    let token = attestation(&record_key(2), 0, 600).issue(&control_key(1)).unwrap();
    Sealer::open(record_key(2), "e-1", &token, &keys(), at(0)).unwrap()
}

#[test]
fn three_hundred_honest_files_raise_no_alarm() {
    let mut numbers = Numbers(7);
    for file in 0..300 {
        let (batches, most) = (numbers.below(6), numbers.below(7));
        let (bytes, head) = segment(&format!("e-{file}"), &control_key(1), &record_key(2), batches, most, &mut numbers);
        let report = verify(&bytes, &keys(), None).unwrap();
        assert_eq!((report.end, report.torn), (End::NotProven, None));
        assert_eq!((report.complete_to, report.root), (head.sequence, head.root));
        assert_eq!(report.records, head.sequence);
        assert_eq!(report.batches, u64::try_from(batches).unwrap());
        let proven = verify(&bytes, &keys(), Some(&head)).unwrap();
        assert_eq!(proven.end, End::Proven { to: head.sequence });
    }
}

#[test]
fn names_who_it_is_about() {
    let (bytes, _) = segment("e-9", &control_key(1), &record_key(2), 2, 2, &mut Numbers(1));
    let report = verify(&bytes, &keys(), None).unwrap();
    assert_eq!((report.epoch.as_str(), report.agent, report.pod.uid.as_str()), ("e-9", agent(), "p-1"));
    assert_eq!(report.last_at, Some(at(1)));
}

/// What an agent may put into clear fields is six times as long once it is escaped, and rules may be many: the record of a
/// call is kept all the same, without what made it long.
#[test]
fn a_record_that_is_too_long_keeps_who_what_and_the_verdict() {
    let mut long = decision("d-1", 42);
    let value = json::parse(format!("\"{}\"", "\\u0001".repeat(1024)).as_bytes()).unwrap();
    long.values = (0..64).map(|at| (format!("notes[{at}]"), value.clone())).collect();
    long.decision.rules = vec![long.decision.rules[0].clone(); 1_000];
    long.decision.detail = Some("x".repeat(MAX_RECORD_BYTES));
    let (mut sealer, mut bytes) = open();
    assert_eq!(sealer.push(Record::Decision(Box::new(long.clone()))), Ok(1));
    bytes.extend(sealer.seal(at(1)).unwrap());
    assert_eq!(verify(&bytes, &keys(), None).unwrap().records, 1);

    let kept = read(&bytes).find_map(|entry| match entry {
        Entry::Record(Record::Decision(record)) => Some(record),
        _ => None,
    });
    let kept = kept.unwrap();
    assert!(kept.shortened && kept.values.is_empty() && kept.decision.rules.is_empty());
    assert_eq!(kept.decision.rules_omitted, 1_000);
    assert_eq!(kept.decision.detail.map(|detail| detail.chars().count()), Some(1025));
    assert_eq!((kept.id, kept.agent), (long.id, long.agent));
    assert_eq!((kept.decision.verdict, kept.decision.rule), (long.decision.verdict, long.decision.rule));
    assert_eq!(kept.decision.effect_digest, long.decision.effect_digest);
}

#[test]
fn sequences_have_no_gap_and_records_come_back() {
    let (mut sealer, mut bytes) = open();
    assert_eq!(sealer.push(Record::Decision(Box::new(decision("d-1", 42)))), Ok(1));
    bytes.extend(sealer.seal(at(1)).unwrap());
    bytes.extend(sealer.seal(at(2)).unwrap());
    assert_eq!(sealer.push(Record::Outcome(Box::new(outcome("o-1", "d-1")))), Ok(2));
    assert_eq!(sealer.head().sequence, 1, "what is not sealed is not in the head");
    bytes.extend(sealer.seal(at(3)).unwrap());
    assert_eq!(sealer.head().sequence, 2);

    let records: Vec<Record> = read(&bytes)
        .filter_map(|entry| match entry {
            Entry::Record(record) => Some(record),
            Entry::Unreadable => panic!("every line is readable"),
            Entry::Header(_) | Entry::Attestation | Entry::Batch(_) => None,
        })
        .collect();
    let mut expected = decision("d-1", 42);
    (expected.sequence, expected.epoch) = (1, "e-1".to_owned());
    assert_eq!(records[0], Record::Decision(Box::new(expected)));
    assert_eq!((records[1].id(), records[1].sequence(), records[1].epoch()), ("o-1", 2, "e-1"));
}

#[test]
fn a_heartbeat_moves_the_head() {
    let (mut sealer, mut bytes) = open();
    bytes.extend(sealer.seal(at(1)).unwrap());
    let first = sealer.head();
    bytes.extend(sealer.seal(at(1)).unwrap());
    assert_eq!(sealer.head().sequence, first.sequence);
    assert_ne!(sealer.head().root, first.root, "two heartbeats differ, so a missing one shows");
    assert_eq!(verify(&bytes, &keys(), Some(&first)).unwrap().end, End::Proven { to: 0 }, "an older head is in it");
}

#[test]
fn a_torn_end_is_told_and_the_rest_is_proven() {
    let (mut sealer, mut bytes) = open();
    sealer.push(Record::Decision(Box::new(decision("d-1", 1)))).unwrap();
    bytes.extend(sealer.seal(at(1)).unwrap());
    let whole = bytes.len();
    sealer.push(Record::Outcome(Box::new(outcome("o-1", "d-1")))).unwrap();
    let before = sealer.head();
    let last = sealer.seal(at(2)).unwrap();
    for written in 1..last.len() {
        let mut torn = bytes.clone();
        torn.extend(&last[..written]);
        let report = verify(&torn, &keys(), Some(&before)).unwrap();
        assert_eq!(report.torn, Some(Torn { line: 4, bytes: written }), "{written}");
        assert_eq!((report.complete_to, report.batches), (1, 1));
        let findings = verify(&torn, &keys(), Some(&sealer.head())).unwrap_err();
        assert_eq!(findings[0].problem, Problem::Cut(2), "a head that was reported shows what was lost");
    }
    assert_eq!(verify(&bytes[..whole], &keys(), None).unwrap().torn, None);
}

#[test]
fn a_cut_between_batches_needs_the_head() {
    let (mut sealer, mut bytes) = open();
    sealer.push(Record::Decision(Box::new(decision("d-1", 1)))).unwrap();
    bytes.extend(sealer.seal(at(1)).unwrap());
    let cut = bytes.clone();
    sealer.push(Record::Decision(Box::new(decision("d-2", 1)))).unwrap();
    sealer.seal(at(2)).unwrap();
    let report = verify(&cut, &keys(), None).unwrap();
    assert_eq!((report.complete_to, report.end), (1, End::NotProven));
    assert_eq!(verify(&cut, &keys(), Some(&sealer.head())).unwrap_err()[0].problem, Problem::Cut(2));
}

#[test]
fn a_head_of_another_epoch_is_told() {
    let (_, bytes) = open();
    let head = Head { epoch: "e-2".to_owned(), sequence: 0, root: Digest::of_bytes(b"") };
    assert_eq!(verify(&bytes, &keys(), Some(&head)).unwrap_err()[0].problem, Problem::OtherHead);
}

#[test]
fn batches_are_within_an_attestation() {
    let (mut sealer, mut bytes) = open();
    bytes.extend(sealer.seal(at(629)).unwrap());
    assert!(verify(&bytes, &keys(), None).is_ok(), "30 s of skew");
    let renewed = attestation(&record_key(2), 600, 1200).issue(&control_key(1)).unwrap();
    let mut late = bytes.clone();
    late.extend(sealer.seal(at(700)).unwrap());
    assert_eq!(verify(&late, &keys(), None).unwrap_err()[0].problem, Problem::Time);

    let (mut sealer, mut bytes) = open();
    sealer.attest(&renewed, &keys()).unwrap();
    bytes.extend(sealer.seal(at(700)).unwrap());
    assert!(verify(&bytes, &keys(), None).is_ok());
}

#[test]
fn a_sealer_takes_its_own_attestation_only() {
    let control = control_key(1);
    let foreign = attestation(&record_key(9), 0, 600).issue(&control).unwrap();
    let opened = |key: SigningKey, token: &str| Sealer::open(key, "e", token, &keys(), at(0)).map(drop);
    assert_eq!(opened(record_key(2), &foreign), Err(SegmentError::OtherKey));
    let unsigned = attestation(&record_key(2), 0, 600).issue(&control_key(8)).unwrap();
    assert!(matches!(opened(record_key(2), &unsigned), Err(SegmentError::Attestation(_))));
    let feed = SigningKey::from_seed(Purpose::Feed, &[2; 32]);
    let token = attestation(&feed, 0, 600).issue(&control).unwrap();
    assert_eq!(opened(feed, &token), Err(SegmentError::OtherKey), "a key of another purpose signs no records");
    let (mut sealer, _) = open();
    assert_eq!(sealer.attest(&foreign, &keys()), Err(SegmentError::OtherKey));
    assert_eq!(sealer.pending(), 0);
}

#[test]
fn other_keys_confirm_nothing() {
    let (bytes, _) = segment("e-1", &control_key(1), &record_key(2), 2, 2, &mut Numbers(1));
    let findings = verify(&bytes, &keys_of(&control_key(5)), None).unwrap_err();
    assert_eq!(findings[0].problem, Problem::Attestation);
    assert_eq!(findings[0].to_string(), "line 1: the attestation of the record key is not one that these keys confirm");
}

#[test]
fn a_file_is_json_lines() {
    let (bytes, _) = segment("e-1", &control_key(1), &record_key(2), 3, 3, &mut Numbers(3));
    for line in lines(&bytes) {
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert!(value["type"].is_string());
        assert!(line.ends_with(b"}\n"));
    }
}

#[test]
fn a_decision_is_told_in_plain_words() {
    let mut record = decision("d-1", 7200);
    record.decision.delegation = Some(aegis_decision::decision::DelegationRef {
        name: "spring".to_owned(),
        uid: "del-1".to_owned(),
        generation: 1,
        delegator: "dana".to_owned(),
        requester: "rick\u{1b}[2J\u{202e}".to_owned(),
        workflow: "restock".to_owned(),
    });
    insta::assert_snapshot!(explain(&record, Some(&outcome("o-1", "d-1"))));
}

#[test]
fn nothing_in_a_record_disguises_what_is_told_of_it() {
    let disguising: String = ('\0'..=char::MAX).filter(|c| disguises(*c)).collect();
    let mut record = decision("d-1", 7200);
    record.agent.name.clone_from(&disguising);
    record.decision.operation = Some(disguising.clone());
    record.decision.detail = Some(disguising.clone());
    record.purpose = Some(disguising.clone());
    let mut connection = connection("c-1");
    connection.host = Some(disguising);
    for told in [explain(&record, None), explain_connection(&connection, None)] {
        assert!(told.contains("\\u{200b}"), "{told}");
        assert!(!told.lines().any(|line| line.chars().any(disguises)), "{told}");
    }
}
