//! Agents that only propose or are audited, and policies that are tried out.

use std::collections::BTreeMap;

use aegis_decision::agent::Mode;
use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use aegis_decision::policy::Share;
use aegis_decision::record::{self, RecordedExecution};
use aegis_decision::trial::Tally;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::bed::{Answer, Bed, Sidecar, Trial};
use crate::control::Mesh;

/// An agent of that mode, reviewed as it is.
fn of_mode(mode: Mode) -> impl FnOnce(&mut Trial) {
    move |trial| {
        trial.source.agent.mode = mode;
        if let Some(review) = &mut trial.grants.standing.review {
            review.digest = trial.source.agent.review_digest();
        }
    }
}

/// With one more policy.
fn with(policy: Value) -> impl FnOnce(&mut Trial) {
    move |trial| {
        trial.source.policies.push(serde_json::from_value(policy).unwrap());
        trial.source.policies.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

async fn pay(sidecar: &Sidecar, run: &str, amount: &str) -> Answer {
    let request = Request::post("/ledger/payments/1").header("content-type", "application/json");
    sidecar.send(request.header("aegis-run", run), &json!({"amount": amount}).to_string()).await
}

fn counted(metrics: &str, would: &str, actual: &str, count: u32) {
    let line = format!(r#"aegis_would_total{{verdict="{would}",actual="{actual}",tool="ledger"}} {count}"#);
    assert!(metrics.contains(&line), "no {line} in {metrics}");
}

#[tokio::test]
async fn a_proposal_is_answered_and_recorded_and_reaches_nobody() {
    let bed = Bed::with(of_mode(Mode::Propose)).await;
    let sidecar = bed.start().await;
    let proposed = sidecar.post("/ledger/payments/1", r#"{"amount":"5"}"#).await;
    assert_eq!(proposed.status, StatusCode::ACCEPTED, "{proposed:?}");
    assert_eq!(proposed.headers["content-type"], "application/json");
    let told = proposed.json();
    assert_eq!((&told["code"], &told["rule"]), (&json!("proposed"), &json!("ceiling")));
    assert_eq!(told["decision"], proposed.headers["aegis-decision"].to_str().unwrap());
    assert_eq!(told["would"]["verdict"], "allow");
    assert!(bed.upstream.seen().is_empty());

    // What a person would be asked about: the fact is read, and nobody is asked.
    let asked = sidecar.post("/ledger/orders/8/confirm", "{}").await;
    assert_eq!((asked.status, &asked.json()["would"]["verdict"]), (StatusCode::ACCEPTED, &json!("hold")), "{asked:?}");
    assert!(bed.upstream.seen().iter().all(|seen| seen.target.starts_with("/v1/orders/8") && seen.body.is_empty()));

    let refused = sidecar.post("/ledger/payments/1", r#"{"amount":"500"}"#).await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "no_rule_allows"));
    let read = sidecar.get("/ledger/notes/7").await;
    assert_eq!(read.status, StatusCode::OK, "{read:?}");

    let metrics = sidecar.metrics().await;
    counted(&metrics, "allow", "propose", 1);
    counted(&metrics, "hold", "propose", 1);
    counted(&metrics, "deny", "deny", 1);
    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&proposed);
    assert_eq!((decision.mode, decision.decision.verdict), (record::Mode::Propose, Verdict::Propose));
    assert_eq!((decision.decision.code, outcome), (Some(Code::Proposed), None));
    assert_eq!(records.of(&read).1.map(|outcome| outcome.execution), Some(RecordedExecution::Succeeded));
}

#[tokio::test]
async fn an_audited_agent_is_let_through_and_told_of() {
    let bed = Bed::with(of_mode(Mode::Audit)).await;
    let sidecar = bed.start().await;
    let through = sidecar.post("/ledger/payments/1", r#"{"amount":"500"}"#).await;
    assert_eq!(through.status, StatusCode::CREATED, "{through:?}");
    assert_eq!(bed.upstream.seen().len(), 1);
    // The form of a call, its schema and what the tool declares are enforced as ever.
    for (path, body, status, code) in [
        ("/ledger/secrets", "{}", 403, "unknown_operation"),
        ("/ledger/payments/1", r#"{"amount":"1","amount":"2"}"#, 400, "malformed_body"),
        ("/ledger/payments/1", r#"{"to":"ann"}"#, 403, "schema_violation"),
    ] {
        let refused = sidecar.post(path, body).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (status, code), "{path} {body}");
    }
    assert_eq!(bed.upstream.seen().len(), 1);
    counted(&sidecar.metrics().await, "deny", "allow", 1);

    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&through);
    let would = decision.decision.would.as_ref().unwrap();
    assert_eq!((decision.mode, decision.decision.verdict), (record::Mode::Audit, Verdict::Allow));
    assert_eq!((would.verdict, would.code), (Verdict::Deny, Some(Code::NoRuleAllows)));
    assert_eq!(outcome.map(|outcome| outcome.execution), Some(RecordedExecution::Succeeded));
}

#[tokio::test]
async fn an_agent_whose_mode_changed_after_its_review_is_refused() {
    let bed = Bed::with(|trial| trial.source.agent.mode = Mode::Audit).await;
    let sidecar = bed.start().await;
    let refused = sidecar.get("/ledger/notes/7").await;
    assert_eq!((refused.status, refused.code().as_str()), (StatusCode::FORBIDDEN, "agent_not_reviewed"));
    assert!(bed.upstream.seen().is_empty());
}

#[tokio::test]
async fn an_audit_policy_is_reported_and_refuses_nothing() {
    let policy = json!({"name": "new", "tools": ["ledger"], "mode": "Audit",
        "rules": [{"name": "stop", "operations": ["payments.create"], "effect": "Deny"}]});
    let bed = Bed::with(with(policy)).await;
    let sidecar = bed.start().await;
    let paid = pay(&sidecar, "r1", "5").await;
    assert_eq!(paid.status, StatusCode::CREATED, "{paid:?}");
    let read = sidecar.get("/ledger/notes/7").await;
    counted(&sidecar.metrics().await, "deny", "allow", 1);

    let records = sidecar.stop().await;
    let (decision, _) = records.of(&paid);
    let would = decision.decision.would.as_ref().unwrap();
    assert_eq!((decision.mode, would.verdict), (record::Mode::Enforce, Verdict::Deny));
    assert_eq!(
        (would.rule.as_ref().unwrap().rule.as_str(), would.policies.as_slice()),
        ("stop", &["new".to_owned()][..])
    );
    assert_eq!(records.of(&read).0.decision.would, None, "the policy says nothing of this operation");
}

#[tokio::test]
async fn a_canary_is_enforced_on_its_share_of_the_runs() {
    let policy = json!({"name": "new", "tools": ["ledger", "inner", "closed"],
        "rollout": {"percent": 50, "replaces": "desk"}, "rules": [
            {"name": "stop", "operations": ["payments.create"], "effect": "Deny"}]});
    let bed = Bed::with(with(policy)).await;
    let sidecar = bed.start().await;
    let (mut inside, mut outside) = (0, 0);
    for run in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        let answer = pay(&sidecar, run, "5").await;
        if Share::of("agent-1", Some(run)).is_below(50) {
            inside += 1;
            assert_eq!((answer.status, answer.json()["rule"].as_str()), (StatusCode::FORBIDDEN, Some("stop")), "{run}");
        } else {
            outside += 1;
            assert_eq!(answer.status, StatusCode::CREATED, "{run}");
        }
    }
    assert!(inside > 0 && outside > 0, "{inside} inside and {outside} outside");
    counted(&sidecar.metrics().await, "deny", "allow", outside);
    assert_eq!(bed.upstream.seen().len(), usize::try_from(outside).unwrap());
}

/// What the control service was told in the end, by policy and, under no name, for the agent's mode. Each report goes on
/// where the one before ended.
fn told(mesh: &Mesh) -> BTreeMap<String, Tally> {
    let mut known: BTreeMap<String, Tally> = BTreeMap::new();
    for report in mesh.control.trials.lock().unwrap().iter() {
        assert!(!report.epoch.is_empty());
        for (name, progress) in report.policies.iter().chain([(&String::new(), &report.mode)]) {
            let before = known.insert(name.clone(), progress.counted);
            assert_eq!(before.unwrap_or_default(), progress.told, "{name}: {report:?}");
        }
    }
    known
}

#[tokio::test]
async fn what_trials_came_to_is_told_to_the_control_service() {
    let policy = json!({"name": "new", "tools": ["ledger"], "mode": "Audit",
        "rules": [{"name": "stop", "operations": ["payments.create"], "effect": "Deny"}]});
    let mesh = Mesh::with(with(policy)).await;
    let sidecar = mesh.start().await;
    for amount in ["5", "6"] {
        assert_eq!(pay(&sidecar, "r1", amount).await.status, StatusCode::CREATED);
    }
    // Refused by both: they agree. Of what is no call of an operation, nobody says anything.
    assert_eq!(pay(&sidecar, "r1", "500").await.code(), "no_rule_allows");
    assert_eq!(sidecar.post("/ledger/secrets", "{}").await.code(), "unknown_operation");
    sidecar.stop().await;
    let expected = Tally { judged: 3, agreed: 1, would_deny: 2, ..Tally::default() };
    assert_eq!(told(&mesh), BTreeMap::from([(String::new(), Tally::default()), ("new".to_owned(), expected)]));
}

#[tokio::test]
async fn what_an_audited_agent_would_come_to_is_told_for_its_mode() {
    let mesh = Mesh::with(of_mode(Mode::Audit)).await;
    let sidecar = mesh.start().await;
    assert_eq!(sidecar.post("/ledger/payments/1", r#"{"amount":"500"}"#).await.status, StatusCode::CREATED);
    assert_eq!(sidecar.get("/ledger/notes/7").await.status, StatusCode::OK);
    sidecar.stop().await;
    let expected = Tally { judged: 2, agreed: 1, would_deny: 1, ..Tally::default() };
    assert_eq!(told(&mesh), BTreeMap::from([(String::new(), expected)]));
}
