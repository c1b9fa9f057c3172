//! Runs, the origins of values, and plans.

use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use aegis_decision::record::Mode;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::bed::{Answer, Bed, Sidecar, Trial};

/// Payees come from the ledger, and nothing is noted once a payment was made.
fn guarded(trial: &mut Trial) {
    let policy = json!({"name": "guards", "tools": ["ledger"],
        "rules": [{"name": "closed", "operations": ["notes.create"], "effect": "Deny",
            "when": [{"field": "$run.count.payments.create", "predicate": {"greaterThan": {"value": "0"}}}]}],
        "provenance": [{"operations": ["payments.create"], "field": "to", "from": ["Response:ledger"],
            "unknown": "Deny"}]});
    trial.source.policies.push(serde_json::from_value(policy).unwrap());
    trial.source.policies.sort_by(|a, b| a.name.cmp(&b.name));
}

async fn send(sidecar: &Sidecar, run: Option<&str>, method: &str, path: &str, body: &Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(run) = run {
        request = request.header("aegis-run", run);
    }
    if method == "GET" {
        return sidecar.send(request, "").await;
    }
    sidecar.send(request.header("content-type", "application/json"), &body.to_string()).await
}

#[tokio::test]
async fn a_value_is_known_once_the_named_tool_told_it_in_the_same_run() {
    let bed = Bed::with(guarded).await;
    let sidecar = bed.start().await;
    let payment = json!({"amount": "1", "to": "s1"});
    let unknown = send(&sidecar, Some("r1"), "POST", "/ledger/payments/1", &payment).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (StatusCode::FORBIDDEN, "unknown_origin"));
    assert_eq!(unknown.json()["failed"][0]["field"], "to");
    assert!(!unknown.body.contains("s1"), "no value is told: {}", unknown.body);

    let order = send(&sidecar, Some("r1"), "GET", "/ledger/orders/7", &Value::Null).await;
    assert_eq!(order.status, StatusCode::OK);
    let known = send(&sidecar, Some("r1"), "POST", "/ledger/payments/2", &payment).await;
    assert_eq!(known.status, StatusCode::CREATED, "{known:?}");
    for run in [Some("r2"), None] {
        let elsewhere = send(&sidecar, run, "POST", "/ledger/payments/3", &payment).await;
        assert_eq!(elsewhere.code(), "unknown_origin", "in run {run:?}");
    }
    let records = sidecar.stop().await;
    assert_eq!(records.of(&unknown).0.decision.unknown_origins[0].field, "to");
}

#[tokio::test]
async fn only_recorded_outcomes_count_and_what_nobody_knows_denies() {
    let bed = Bed::with(guarded).await;
    let sidecar = bed.start().await;
    let (payment, note) = (json!({"amount": "1"}), json!({"text": "x"}));
    for (run, path, payment_status, note_status) in [
        ("done", "/ledger/payments/1", 201, 403),
        ("refused", "/ledger/payments/refused", 409, 200),
        ("failed", "/ledger/payments/failed", 500, 403),
    ] {
        let before = send(&sidecar, Some(run), "POST", "/ledger/notes", &note).await;
        assert!(before.status.is_success(), "{before:?}");
        let paid = send(&sidecar, Some(run), "POST", path, &payment).await;
        assert_eq!(paid.status.as_u16(), payment_status, "{paid:?}");
        let after = send(&sidecar, Some(run), "POST", "/ledger/notes", &note).await;
        let refused = after.status == StatusCode::FORBIDDEN && after.code() == "rule_denies";
        assert_eq!(refused, note_status == 403, "in run {run}: {after:?}");
    }
    let without_run = send(&sidecar, None, "POST", "/ledger/notes", &note).await;
    assert_eq!(without_run.code(), "rule_denies", "without a run nobody can tell");
    sidecar.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_calls_made_at_once_each_sees_the_others() {
    let bed = Bed::with(|trial| {
        let once = json!({"name": "guards", "tools": ["ledger"], "rules": [{"name": "once",
            "operations": ["payments.create"], "effect": "Deny",
            "when": [{"field": "$run.count.payments.create", "predicate": {"greaterThan": {"value": "0"}}}]}]});
        trial.source.policies.push(serde_json::from_value(once).unwrap());
        trial.source.policies.sort_by(|a, b| a.name.cmp(&b.name));
        trial.source.tools.iter_mut().for_each(|tool| tool.limits.concurrency = 16);
    })
    .await;
    let sidecar = bed.start().await;
    let payment = json!({"amount": "1"});
    for run in ["r1", "r2", "r3", "r4"] {
        let pay = |number| format!("/ledger/payments/{run}-{number}");
        let paths: Vec<String> = (0..16).map(pay).collect();
        let calls = paths.iter().map(|path| send(&sidecar, Some(run), "POST", path, &payment));
        let answers = futures::future::join_all(calls).await;
        let (paid, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::CREATED);
        assert_eq!(paid.len(), 1, "in run {run}: {answers:?}");
        assert!(refused.iter().all(|answer| answer.code() == "rule_denies"), "in run {run}: {refused:?}");
    }
    assert_eq!(bed.upstream.seen().len(), 4);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_plan_is_judged_and_recorded_and_sends_nothing() {
    let bed = Bed::with(guarded).await;
    let sidecar = bed.start().await;
    let plan = json!({"steps": [
        {"tool": "ledger", "http": {"method": "GET", "path": "/notes/7"}},
        {"tool": "ledger", "operation": "payments.create", "arguments": {"amount": "1", "to": "s1"}},
        {"tool": "ledger", "operation": "orders.confirm", "arguments": {"id": "8"}},
        {"tool": "ledger", "operation": "orders.burn", "arguments": {}},
        {"tool": "ledger", "operation": "notes.get", "arguments": {"id": "7"}, "delegation": "other"},
    ]});
    let answer = send(&sidecar, Some("r1"), "POST", "/aegis/v1/plan", &plan).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let told = answer.json();
    assert_eq!(told["plan"], answer.headers["aegis-decision"].to_str().unwrap());
    let verdicts: Vec<_> =
        told["steps"].as_array().unwrap().iter().map(|step| (&step["verdict"], &step["code"])).collect();
    let expected = [
        ("allow", Value::Null),
        ("deny", json!("unknown_origin")),
        ("hold", json!("approval_required")),
        ("deny", json!("unknown_operation")),
        ("deny", json!("no_delegation")),
    ];
    assert_eq!(verdicts.len(), expected.len(), "{told}");
    for ((verdict, code), (expected_verdict, expected_code)) in verdicts.into_iter().zip(&expected) {
        assert_eq!((verdict, code), (&json!(expected_verdict), expected_code), "{told}");
    }
    assert_eq!(told["steps"][2]["approvals"], json!(["finance"]));
    assert_eq!(told["steps"][2]["unreadFacts"], json!(["order"]));
    assert!(told["steps"][0]["effectDigest"].is_string());

    let mut refused = Vec::new();
    for (body, code) in [
        (json!({"steps": []}), "malformed_body"),
        (json!({"steps": vec![plan["steps"][0].clone(); 33]}), "malformed_body"),
        (json!({"steps": [{"tool": "ledger"}]}), "malformed_body"),
        (json!({"calls": []}), "malformed_body"),
    ] {
        let answer = send(&sidecar, None, "POST", "/aegis/v1/plan", &body).await;
        assert_eq!(answer.code(), code);
        refused.push(answer);
    }
    let text = Request::post("/aegis/v1/plan").header("content-type", "text/plain");
    refused.push(sidecar.send(text, &plan.to_string()).await);
    assert_eq!(refused[4].code(), "unsupported_media_type");
    // Headers are read as those of a call, and bodies of no other coding.
    let long = "r".repeat(129);
    assert_eq!(send(&sidecar, Some(&long), "POST", "/aegis/v1/plan", &plan).await.code(), "malformed_request");
    let unnamed =
        Request::post("/aegis/v1/plan").header("content-type", "application/json").header("aegis-delegation", "");
    assert_eq!(sidecar.send(unnamed, &plan.to_string()).await.code(), "malformed_request");
    let coded =
        Request::post("/aegis/v1/plan").header("content-type", "application/json").header("content-encoding", "gzip");
    assert_eq!(sidecar.send(coded, &plan.to_string()).await.code(), "unsupported_media_type");
    for (method, path) in [("POST", "/aegis/v1/other"), ("GET", "/aegis/v1/plan"), ("POST", "/aegis/v1/plan?x=1")] {
        let answer = send(&sidecar, None, method, path, &plan).await;
        assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "unknown_operation"));
        refused.push(answer);
    }

    let full = json!({"steps": vec![plan["steps"][0].clone(); 32]});
    assert_eq!(
        send(&sidecar, None, "POST", "/aegis/v1/plan", &full).await.json()["steps"].as_array().unwrap().len(),
        32
    );
    assert!(bed.upstream.seen().is_empty(), "nothing was sent");
    let records = sidecar.stop().await;
    assert!(records.outcomes.is_empty());
    let of_plan: Vec<_> = records.decisions.iter().filter(|one| one.plan.as_deref() == told["plan"].as_str()).collect();
    assert_eq!(of_plan.len(), expected.len());
    assert!(of_plan.iter().all(|one| one.mode == Mode::Plan));
    for answer in &refused {
        let record = &records.of(answer).0.decision;
        assert_eq!((record.verdict, record.code.map(Code::as_str)), (Verdict::Deny, Some(answer.code().as_str())));
        assert_eq!((record.tool.as_str(), record.detail.as_deref()), ("aegis", answer.json()["detail"].as_str()));
    }
}
