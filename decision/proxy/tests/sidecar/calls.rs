//! Calls that are allowed, refused and held.

use aegis_decision::agent::Lifecycle;
use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use aegis_decision::digest::Digest;
use aegis_decision::record::RecordedExecution;
use http::{Request, StatusCode};

use crate::bed::{Bed, SECRET};

#[tokio::test]
async fn an_allowed_read_gets_the_credential_and_nothing_of_the_agents_own() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let request = Request::get("/ledger/notes/7?fields=b&fields=a%20b")
        .header("authorization", "Bearer stolen")
        .header("cookie", "a=b")
        .header("x-company", "9")
        .header("x-forwarded-for", "10.0.0.1")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .header("aegis-run", "r1")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let answer = sidecar.send(request, "").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body, r#"{"you sent":"Bearer [redacted]"}"#, "an echo of the credential is scrubbed");
    assert_eq!(answer.headers["etag"], "\"e1\"");
    assert!(!answer.headers.contains_key("set-cookie"));

    let seen = bed.upstream.seen();
    assert_eq!(seen.len(), 1);
    let headers = &seen[0].headers;
    assert_eq!(seen[0].target, "/v1/notes/7?fields=b&fields=a%20b");
    assert_eq!(headers["authorization"], format!("Bearer {SECRET}"));
    assert_eq!(headers["x-company"], "7");
    assert_eq!(headers["host"], bed.upstream.address.to_string());
    assert_eq!(headers["accept-encoding"], "identity");
    assert_eq!(headers["traceparent"], "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    for dropped in ["cookie", "x-forwarded-for", "aegis-run", "idempotency-key"] {
        assert!(!headers.contains_key(dropped), "{dropped}");
    }

    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&answer);
    let outcome = outcome.unwrap();
    assert_eq!(decision.decision.verdict, Verdict::Allow);
    assert_eq!((decision.run.as_deref(), decision.bundle_version), (Some("r1"), Some(4)));
    assert_eq!(decision.target.as_deref(), Some(format!("http://{}", bed.upstream.address).as_str()));
    assert_eq!((outcome.execution, outcome.status, outcome.sent), (RecordedExecution::Succeeded, Some(200), true));
    assert_eq!(outcome.response_digest, Some(Digest::of_bytes(answer.body.as_bytes())));
    assert!(!records.text.contains(SECRET) && !records.text.contains("stolen"));
}

#[tokio::test]
async fn a_credential_that_a_tool_repeats_in_other_letters_is_taken_out() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let answer = sidecar.get("/ledger/notes/escaped").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, r#"{"you sent":"Bearer [redacted]"}"#));
}

#[tokio::test]
async fn an_allowed_commit_sends_the_judged_tree_once_with_a_key() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let body = "{ \"to\" : \"ann\\u0065\" ,\n\"amount\": 99.90 }";
    let answer = sidecar.post("/ledger/payments/1", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let own = Request::post("/ledger/payments/2").header("content-type", "application/json");
    let with_key = sidecar.send(own.header("idempotency-key", "mine-1"), r#"{"amount":1}"#).await;
    assert_eq!(with_key.status, StatusCode::CREATED);

    let seen = bed.upstream.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, r#"{"to":"anne","amount":99.9}"#);
    assert_eq!(seen[0].headers["idempotency-key"], answer.headers["aegis-decision"]);
    assert_eq!(seen[0].headers["content-type"], "application/json");
    assert_eq!(seen[1].headers["idempotency-key"], "mine-1");

    // Durable before the effect, and the outcome before the answer: no need to stop first.
    let records = sidecar.records_until(|records| records.outcomes.len() == 2).await;
    let (decision, outcome) = records.of(&answer);
    assert_eq!(decision.values.keys().collect::<Vec<_>>(), ["to"]);
    assert!(decision.time <= outcome.unwrap().time && decision.sequence < outcome.unwrap().sequence);
    assert!(!records.text.contains("99.9"), "only declared fields are kept in clear");
    assert_eq!(records.of(&with_key).1.unwrap().idempotency_key.as_deref(), Some("mine-1"));
}

#[tokio::test]
async fn a_denied_call_says_why_and_reaches_nobody() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let answer = sidecar.post("/ledger/payments/1", r#"{"amount":"100.01"}"#).await;
    assert_eq!((answer.status, answer.code().as_str()), (StatusCode::FORBIDDEN, "no_rule_allows"));
    let problem = answer.json();
    assert_eq!(problem["failed"][0]["field"], "amount");
    assert_eq!(problem["failed"][0]["check"], "atMost");
    assert!(bed.upstream.seen().is_empty());
    let metrics = sidecar.metrics().await;
    assert!(
        metrics.contains(r#"aegis_calls_total{verdict="deny",tool="ledger",code="no_rule_allows"} 1"#),
        "{metrics}"
    );
    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&answer);
    assert_eq!((decision.decision.verdict, outcome), (Verdict::Deny, None));
}

#[tokio::test]
async fn what_cannot_be_named_is_refused_and_recorded() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let json = |path: &str| Request::post(path).header("content-type", "application/json");
    let long = format!(r#"{{"amount":1,"to":"{}"}}"#, "x".repeat(512));
    let cases = [
        (Request::get("/ledger/secrets"), "", 403, "unknown_operation"),
        (Request::delete("/ledger/notes/7"), "", 403, "unknown_operation"),
        (Request::get("/erp/notes/7"), "", 404, "unknown_tool"),
        (Request::get("/"), "", 404, "unknown_tool"),
        (Request::get("/ledger/notes/7?x=1"), "", 400, "undeclared_parameter"),
        (json("/ledger/payments/1"), long.as_str(), 413, "body_too_large"),
        (Request::post("/ledger/payments/1").header("content-type", "text/xml"), "<a/>", 415, "unsupported_media_type"),
        (json("/ledger/payments/1").header("content-encoding", "gzip"), "{}", 415, "unsupported_media_type"),
        (json("/ledger/payments/1"), r#"{"amount":1,"amount":2}"#, 400, "malformed_body"),
        (json("/ledger/payments/1"), r#"{"amount":1e400}"#, 400, "malformed_body"),
        (json("/ledger/payments/1"), r#"{"amount":1,"id":"2"}"#, 400, "ambiguous_argument"),
        (json("/ledger/payments/1"), r#"{"amount":1,"cc":"eve"}"#, 403, "schema_violation"),
        (Request::get("/ledger/notes/7").header("aegis-run", ""), "", 400, "malformed_request"),
    ];
    let mut answers = Vec::new();
    for (request, body, status, code) in cases {
        let answer = sidecar.send(request, body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code));
        answers.push(answer);
    }
    assert!(bed.upstream.seen().is_empty());
    let records = sidecar.stop().await;
    for answer in &answers {
        let (decision, outcome) = records.of(answer);
        assert_eq!(decision.decision.code.map(Code::as_str), Some(answer.code().as_str()));
        assert_eq!(outcome, None);
    }
}

#[tokio::test]
async fn facts_are_read_by_the_sidecar_and_only_their_paths_are_kept() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let allowed = sidecar.post("/ledger/orders/7/confirm", "{}").await;
    assert_eq!(allowed.status, StatusCode::CREATED, "{allowed:?}");
    let seen: Vec<_> = bed.upstream.seen().iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
    assert_eq!(seen, ["GET /v1/orders/7", "POST /v1/orders/7/confirm"]);
    // Over 100: a person is needed, and without a control service nobody can be asked.
    let held = sidecar.post("/ledger/orders/8/confirm", "{}").await;
    assert_eq!((held.status.as_u16(), held.code().as_str()), (503, "control_unavailable"));
    assert_eq!(bed.upstream.seen().len(), 3, "only the fact was read");
    let records = sidecar.stop().await;
    let facts = &records.of(&allowed).0.decision.facts;
    assert!(facts["order"].is_some());
    assert!(!records.text.contains("secret"));
    assert_eq!(records.of(&held).1, None);
}

#[tokio::test]
async fn a_suspended_agent_reads_nothing_not_even_facts() {
    let bed = Bed::with(|trial| trial.grants.standing.lifecycle = Lifecycle::Suspended).await;
    let sidecar = bed.start().await;
    for answer in [sidecar.get("/ledger/notes/7").await, sidecar.post("/ledger/orders/7/confirm", "{}").await] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "agent_not_active"));
    }
    assert!(bed.upstream.seen().is_empty());
    assert_eq!(sidecar.stop().await.decisions.len(), 2);
}

#[tokio::test]
async fn many_calls_at_once_are_all_recorded_in_one_unbroken_chain() {
    let bed = Bed::with(|trial| trial.source.tools.iter_mut().for_each(|tool| tool.limits.concurrency = 100)).await;
    let sidecar = bed.start().await;
    let calls = (0..60).map(|at| {
        let sidecar = &sidecar;
        async move {
            match at % 3 {
                0 => sidecar.get(&format!("/ledger/notes/{at}")).await.status,
                1 => sidecar.post("/ledger/notes", &format!(r#"{{"at":{at}}}"#)).await.status,
                _ => sidecar.post(&format!("/ledger/payments/{at}"), r#"{"amount":1000}"#).await.status,
            }
        }
    });
    let statuses = futures::future::join_all(calls).await;
    let count = |wanted: u16| statuses.iter().filter(|status| status.as_u16() == wanted).count();
    assert_eq!((count(200), count(201), count(403)), (20, 20, 20));
    let records = sidecar.stop().await;
    assert_eq!((records.decisions.len(), records.outcomes.len()), (60, 40));
    assert_eq!(bed.upstream.seen().len(), 40, "the upstream's count is the log's count");
}
