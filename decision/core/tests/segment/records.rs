//! Records: their one form, what they never hold, and what they say in plain words.

use std::collections::BTreeMap;

use aegis_decision::call::ToolCall;
use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use aegis_decision::digest::Digest;
use aegis_decision::json;
use aegis_decision::record::{
    ApprovalRef, ClaimRef, ConnectionVerdict, MAX_RECORD_BYTES, Record, RecordError, RecordedExecution, clear_values,
    explain, explain_connection,
};
use aegis_decision::sanitize::Sanitation;
use aegis_decision::tool::{Class, HttpBinding, Operation, ResponseRules};
use proptest::prelude::*;
use serde_json::{Value, json};
use test_case::test_case;

use crate::sample::{at, connection, connection_end, decision, outcome};

fn operation(clear: &[&str]) -> Operation {
    Operation {
        name: "purchases.draft".to_owned(),
        class: Class::Draft,
        http: HttpBinding {
            method: "POST".to_owned(),
            path: "/purchases".to_owned(),
            query: Vec::new(),
            body: BTreeMap::new(),
        },
        arguments_from: String::new(),
        aliases: BTreeMap::new(),
        dimensions: BTreeMap::new(),
        arguments: None,
        facts: Vec::new(),
        record_clear: clear.iter().map(|path| path.parse().unwrap()).collect(),
        sensitive: Vec::new(),
        response: ResponseRules::default(),
        timeout_seconds: 10,
    }
}

fn call(arguments: &str) -> ToolCall {
    ToolCall {
        tool: "erp".to_owned(),
        operation: "purchases.draft".to_owned(),
        class: Class::Draft,
        request: None,
        arguments: json::parse(arguments.as_bytes()).unwrap().into(),
        sanitation: Sanitation::default(),
        delegation: None,
        run: None,
        approval: None,
        plan: None,
        idempotency_key: None,
        traceparent: None,
    }
}

fn values(clear: &[&str], arguments: &str) -> BTreeMap<String, String> {
    clear_values(&operation(clear), &call(arguments))
        .iter()
        .map(|(path, value)| (path.clone(), String::from_utf8(json::emit(value)).unwrap()))
        .collect()
}

const ORDER: &str =
    r#"{"party":"S-1","iban":"DE02","lines":[{"price":10.50,"sku":"a"},{"price":20,"sku":"b"}],"note":null}"#;

#[test_case(&[], &[]; "nothing is clear unless it is declared")]
#[test_case(&["party"], &[("party", "\"S-1\"")])]
#[test_case(&["lines[*].price"], &[("lines[0].price", "10.5"), ("lines[1].price", "20")])]
#[test_case(&["lines[1].sku", "note"], &[("lines[1].sku", "\"b\""), ("note", "null")])]
#[test_case(&["lines", "lines[*]"], &[]; "only scalars: an object could hold anything")]
#[test_case(&["missing", "party.name", "lines[7].sku", "party[*]"], &[]; "what is not there")]
fn only_declared_scalars_are_kept(clear: &[&str], expected: &[(&str, &str)]) {
    let expected = expected.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect();
    assert_eq!(values(clear, ORDER), expected);
}

#[test]
fn values_are_bounded() {
    let many = format!("{{\"lines\":[{}]}}", vec!["1"; 500].join(","));
    assert_eq!(values(&["lines[*]"], &many).len(), 64);
    let long = format!("{{\"note\":\"{}\"}}", "x".repeat(1025));
    assert!(values(&["note"], &long).is_empty());
}

#[test]
fn the_form_is_canonical_and_comes_back() {
    for record in [
        Record::Decision(Box::new(decision("d-1", 42))),
        Record::Outcome(Box::new(outcome("o-1", "d-1"))),
        Record::Connection(Box::new(connection("c-1"))),
        Record::ConnectionEnd(Box::new(connection_end("e-1", "c-1"))),
    ] {
        let bytes = record.to_bytes().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), bytes);
        assert!(!bytes.contains(&b'\n'));
        assert_eq!(Record::from_bytes(&bytes), Ok(record));
    }
}

/// A decision with all that a decision may have.
fn whole() -> Value {
    let (digest, time) = (Digest::of_bytes(b"one"), at(1));
    let rule = json!({"policy": "p", "rule": "r", "reason": "x"});
    let checks = json!([{"field": "f", "check": "c", "truth": "true"}]);
    let tier = json!({"name": "t", "minimum": 1, "separationOfDuties": ["Requester"], "decideWithinSeconds": 1,
        "releaseTtlSeconds": 1});
    let unknown = json!({"policy": "p", "entry": 0, "field": "f", "from": ["Registry:r", "Response:t"],
        "unknownOrigin": "Hold", "firstSeen": {"tool": "t", "operation": "o", "path": "p", "whole": true}});
    let would = json!({"verdict": "hold", "code": "approval_required", "detail": "d", "rule": rule,
        "approvals": ["t"], "policies": ["p"]});
    let decision = json!({
        "v": "v", "verdict": "deny", "code": "rule_denies", "detail": "d", "tool": "t", "operation": "o",
        "class": "Commit", "rule": rule, "bundle": digest, "effectDigest": digest, "contextDigest": digest,
        "failed": [{"field": "f", "check": "c", "limit": "l", "value": "v"}], "allowed": "a",
        "sanitized": [{"field": "f", "action": "a", "rule": rule}],
        "rules": [{"policy": "p", "rule": "r", "effect": "Deny", "truth": "true", "reason": "x", "checks": checks}],
        "nearest": [rule], "requirements": [{"askedBy": [rule], "holdSeconds": 1, "tier": tier}],
        "unknownOrigins": [unknown], "facts": {"f": digest}, "would": would,
        "delegation": {"name": "d", "uid": "u", "generation": 1, "delegator": "a", "requester": "b", "workflow": "w"},
    });
    json!({
        "type": "decision", "v": "v", "id": "d", "sequence": 1, "epoch": "e", "time": time, "monotonicMicros": 1,
        "agent": {"tenant": "t", "businessUnit": "b", "namespace": "n", "name": "a", "uid": "u", "version": "1"},
        "pod": {"name": "p", "uid": "u"}, "mode": "Enforce", "target": "https://t", "bundleVersion": 1,
        "decision": decision,
        "approval": {"name": "a", "uid": "u", "approvers": ["c"], "previewDigest": digest},
        "claim": {"nonce": "n", "at": time}, "traceparent": "t", "run": "r", "plan": "p", "purpose": "w",
        "values": {"amount": "1"}, "latencyMicros": 1,
    })
}

/// The texts in a document, to be changed.
fn texts(value: &mut Value) -> Vec<&mut String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter_mut().flat_map(texts).collect(),
        Value::Object(members) => members.values_mut().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

#[test]
fn a_record_weighs_all_of_its_texts() {
    let mut outcome = outcome("o-1", "d-1");
    outcome.idempotency_key = Some("k".to_owned());
    let mut connection = connection("c-1");
    connection.detail = Some("d".to_owned());
    let others = [
        Record::Outcome(Box::new(outcome)),
        Record::Connection(Box::new(connection)),
        Record::ConnectionEnd(Box::new(connection_end("e-1", "c-1"))),
    ];
    let mut records: Vec<Value> = others.iter().map(|record| serde_json::to_value(record).unwrap()).collect();
    records.push(whole());
    for record in records {
        let weight = |value: &Value| Some(Record::from_bytes(&serde_json::to_vec(value).unwrap()).ok()?.weight());
        let before = weight(&record).expect("a record");
        let mut weighed = 0;
        for place in 0..texts(&mut record.clone()).len() {
            let mut longer = record.clone();
            let changed = {
                let mut texts = texts(&mut longer);
                texts[place].push_str(&"x".repeat(1000));
                texts[place].clone()
            };
            // A digest, a time and a word of a closed list have one length.
            let Some(after) = weight(&longer) else { continue };
            assert!(after >= before + 1000, "{changed}");
            weighed += 1;
        }
        assert!(weighed >= 4, "of {record}");
    }
    // A list weighs more than what it says.
    let mut many = whole();
    many["decision"]["nearest"] = json!(vec![json!({"policy": "", "rule": ""}); 1000]);
    let many = Record::from_bytes(&serde_json::to_vec(&many).unwrap()).unwrap();
    assert!(many.weight() > 1000 * 2 * size_of::<String>());
}

#[test]
fn a_call_that_could_not_be_named_is_recorded_too() {
    let mut record = decision("d-1", 1);
    record.target = None;
    record.values.clear();
    record.decision.operation = None;
    record.decision.class = None;
    record.decision.rule = None;
    record.decision.code = Some(Code::MalformedBody);
    record.decision.effect_digest = None;
    let text = explain(&record, None);
    assert!(text.starts_with("Agent buyer was not allowed to call an operation that is not declared of erp.\n"));
    assert!(text.contains("malformed_body") && text.contains("nothing was sent"), "{text}");
    let record = Record::Decision(Box::new(record));
    assert_eq!(Record::from_bytes(&record.to_bytes().unwrap()), Ok(record));
}

#[test]
fn an_approved_call_names_its_approval() {
    let mut record = decision("d-1", 1);
    record.decision.verdict = Verdict::AllowOnce;
    record.decision.code = None;
    record.decision.failed.clear();
    record.approval = Some(ApprovalRef {
        name: "buyer-0123-1".to_owned(),
        uid: "r-1".to_owned(),
        approvers: vec!["fiona".to_owned()],
        preview_digest: Some(Digest::of_bytes(b"preview")),
    });
    record.claim = Some(ClaimRef { nonce: "n-1".to_owned(), at: at(5) });
    let mut done = outcome("o-1", "d-1");
    done.execution = RecordedExecution::Succeeded;
    done.error = None;
    done.status = Some(201);
    let text = explain(&record, Some(&done));
    for part in
        ["was allowed, by an approval", "buyer-0123-1 (r-1)", "approved by    fiona", "the tool did it (HTTP 201)"]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(explain(&record, None).contains("the sidecar stopped before it knew"));
}

#[test]
fn a_connection_says_where_to_why_and_how_it_ended() {
    let opened = connection("c-1");
    let text = explain_connection(&opened, Some(&connection_end("e-1", "c-1")));
    assert!(text.starts_with("Agent buyer was allowed to connect to api.example, port 443.\n"), "{text}");
    for part in ["captured", "allowed for    models", "both sides ended it, at", "7 sent, 11 received"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(explain_connection(&opened, None).contains("still open, or the sidecar stopped"));
    let mut refused = connection("c-2");
    refused.verdict = ConnectionVerdict::Deny;
    refused.code = Some(Code::UnnamedConnection);
    refused.host = None;
    refused.reason = None;
    refused.count = 700;
    let text = explain_connection(&refused, None);
    for part in [
        "was not allowed to connect to a host that it did not name",
        "unnamed_connection",
        "700 connections",
        "nothing was sent",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let record = Record::Connection(Box::new(refused));
    assert_eq!(Record::from_bytes(&record.to_bytes().unwrap()), Ok(record));
}

#[test]
fn what_is_no_record_is_refused() {
    let bytes = Record::Outcome(Box::new(outcome("o-1", "d-1"))).to_bytes().unwrap();
    let text = String::from_utf8(bytes).unwrap();
    for bad in [
        text.replace("\"type\":\"outcome\"", "\"type\":\"batch\""),
        text.replace("\"type\":\"outcome\"", "\"type\":\"decision\""),
        text.replace("\"sent\":false", "\"sent\":false,\"secret\":1"),
        text.replace("\"sent\":false", "\"sent\":false,\"sent\":true"),
        text.replace("\"sent\":false,", ""),
        text.replace("NotSent", "Perhaps"),
    ] {
        assert_ne!(bad, text);
        assert!(matches!(Record::from_bytes(bad.as_bytes()), Err(RecordError::Shape(_))), "{bad}");
    }
    assert_eq!(Record::from_bytes(&vec![b' '; MAX_RECORD_BYTES + 1]), Err(RecordError::TooLong));
    let mut long = decision("d-1", 1);
    long.purpose = Some("x".repeat(MAX_RECORD_BYTES));
    assert_eq!(Record::Decision(Box::new(long)).to_bytes(), Err(RecordError::TooLong));
}

proptest! {
    /// Whatever numbers a call holds, a record with them in clear comes back the same.
    #[test]
    fn clear_numbers_survive(integer in -9_007_199_254_740_991_i64..=9_007_199_254_740_991, digits in 1_u64..1_000_000_000_000_000, scale in 0_usize..15) {
        let text = digits.to_string();
        let text = format!("{text:0>16}");
        let (whole, part) = text.split_at(text.len() - scale);
        let decimal = if part.is_empty() { whole.to_owned() } else { format!("{whole}.{part}") };
        let decimal = decimal.trim_start_matches('0');
        let decimal = if decimal.is_empty() || decimal.starts_with('.') { format!("0{decimal}") } else { decimal.to_owned() };
        let arguments = format!(r#"{{"a":{integer},"b":{decimal}}}"#);
        let mut record = decision("d-1", 1);
        record.values = clear_values(&operation(&["a", "b"]), &call(&arguments));
        prop_assert_eq!(record.values.len(), 2);
        let record = Record::Decision(Box::new(record));
        prop_assert_eq!(Record::from_bytes(&record.to_bytes().unwrap()), Ok(record));
    }

    /// No name in a call can draw on the terminal of who asks why.
    #[test]
    fn plain_words_hold_no_control_characters(name in prop::collection::vec(prop_oneof![any::<char>(), prop::char::range('\0', ' ')], 0..20)) {
        let name: String = name.into_iter().collect();
        let mut record = decision("d-1", 1);
        record.decision.operation = Some(name.clone());
        record.decision.detail = Some(name);
        let text = explain(&record, None);
        prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        prop_assert_eq!(text.lines().count(), explain(&decision("d-1", 1), None).lines().count());
    }
}
