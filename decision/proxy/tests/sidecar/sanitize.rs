//! The upstream gets the sanitized request, the agent the redacted answer, and records neither what was taken out.

use aegis_decision::digest::Digest;
use aegis_decision::policy::Rule;
use aegis_decision::record::{ErrorClass, RecordedExecution};
use aegis_decision::tool::Redaction;
use http::StatusCode;
use serde_json::{Value, json};

use crate::bed::{Bed, Trial};

fn add_rule(trial: &mut Trial, rule: Value) {
    let rule: Rule = serde_json::from_value(rule).unwrap();
    trial.source.policies[0].rules.push(rule);
}

fn redact(trial: &mut Trial, operation: &str, redactions: Value) {
    let redact: Vec<Redaction> = serde_json::from_value(redactions).unwrap();
    let operations = &mut trial.source.tools[0].operations;
    operations.iter_mut().find(|one| one.name == operation).unwrap().response.redact = redact;
}

#[tokio::test]
async fn the_upstream_gets_what_the_sanitizer_left() {
    let bed = Bed::with(|trial| {
        let clean = json!({"name": "clean", "operations": ["payments.create"], "effect": {"Sanitize": [
            {"field": "to", "action": {"mask": {"keep": 2, "end": "Start"}}},
            {"field": "cc", "action": "remove"},
            {"field": "amount", "action": {"round": {"scale": 2, "mode": "Down"}}}]}});
        add_rule(trial, clean);
    })
    .await;
    let sidecar = bed.start().await;
    let body = r#"{"to":"anna.muster","amount":"99.999","cc":"eve@evil.example"}"#;
    let answer = sidecar.post("/ledger/payments/1", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let seen = bed.upstream.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, r#"{"to":"an*********","amount":"99.99"}"#);
    assert_eq!(seen[0].target, "/v1/payments/1");

    let records = sidecar.stop().await;
    let (decision, _) = records.of(&answer);
    let changed: Vec<_> =
        decision.decision.sanitized.iter().map(|one| (one.field.as_str(), one.action.as_str())).collect();
    assert_eq!(changed, [("amount", "round"), ("cc", "remove"), ("to", "mask")]);
    // `to` is declared clear: the record has what was sent.
    assert_eq!(decision.values["to"].as_str(), Some("an*********"));
    for taken in ["muster", "evil", "99.999"] {
        assert!(!records.text.contains(taken), "{taken} is in the records");
    }
}

#[tokio::test]
async fn what_cannot_be_sanitized_reaches_nobody() {
    let bed = Bed::with(|trial| {
        let clean = json!({"name": "clean", "operations": ["notes.create"], "effect": {"Sanitize": [
            {"field": "text", "action": {"mask": {"keep": 0, "end": "End"}}}]}});
        add_rule(trial, clean);
    })
    .await;
    let sidecar = bed.start().await;
    let answer = sidecar.post("/ledger/notes", r#"{"text":["anna muster"]}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "sanitize_failed"));
    let problem = answer.json();
    assert_eq!((problem["policy"].as_str(), problem["rule"].as_str()), (Some("desk"), Some("clean")));
    assert_eq!(problem["failed"][0]["field"], "text");
    assert!(!answer.body.contains("muster"));
    assert!(bed.upstream.seen().is_empty());
    let records = sidecar.stop().await;
    assert_eq!(records.of(&answer).1, None);
    assert!(!records.text.contains("muster"));
}

#[tokio::test]
async fn the_agent_gets_what_the_redactions_left() {
    let bed = Bed::with(|trial| {
        let redactions = json!([
            {"at": {"field": "party.note", "action": "remove"}},
            {"pattern": {"pattern": "[0-9]{2}\\.[0-9]{2}"}},
        ]);
        redact(trial, "orders.get", redactions);
    })
    .await;
    let sidecar = bed.start().await;
    let answer = sidecar.get("/ledger/orders/7").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.body, r#"{"total":"*****","party":{"id":"s1"}}"#);
    assert!(!answer.headers.contains_key("etag"), "it may be a hash of what was taken out");
    // A fact is read for rules, not for the agent: it is whole.
    let confirmed = sidecar.post("/ledger/orders/7/confirm", "{}").await;
    assert_eq!(confirmed.status, StatusCode::CREATED, "{confirmed:?}");
    let records = sidecar.stop().await;
    let (_, outcome) = records.of(&answer);
    let outcome = outcome.unwrap();
    assert_eq!(outcome.response_digest, Some(Digest::of_bytes(answer.body.as_bytes())), "of what the agent got");
    assert_eq!((outcome.execution, outcome.error), (RecordedExecution::Succeeded, None));
}

#[tokio::test]
async fn an_answer_that_cannot_be_redacted_is_withheld() {
    let bed = Bed::with(|trial| {
        redact(trial, "notes.get", json!([{"at": {"field": "[\"you sent\"].name", "action": "remove"}}]));
        redact(
            trial,
            "payments.create",
            json!([{"at": {"field": "id", "action": {"mask": {"keep": 0, "end": "End"}}}}]),
        );
    })
    .await;
    let sidecar = bed.start().await;
    // The place is a text where the redaction expects an object.
    let read = sidecar.get("/ledger/notes/7").await;
    assert_eq!((read.status, read.code().as_str()), (StatusCode::BAD_GATEWAY, "redaction_failed"));
    assert!(!read.body.contains("you sent"));
    // What was done is done, and the agent is told so.
    let write = sidecar.post("/ledger/payments/1", r#"{"amount":1}"#).await;
    assert_eq!((write.status, write.code().as_str()), (StatusCode::BAD_GATEWAY, "redaction_failed"));
    assert_eq!(write.json()["outcome"], "Succeeded");
    assert_eq!(bed.upstream.seen().len(), 2);

    let records = sidecar.stop().await;
    for answer in [&read, &write] {
        let outcome = records.of(answer).1.unwrap();
        assert_eq!((outcome.execution, outcome.error), (RecordedExecution::Succeeded, Some(ErrorClass::Redaction)));
        assert_eq!((outcome.sent, outcome.response_digest), (true, None));
    }
}
