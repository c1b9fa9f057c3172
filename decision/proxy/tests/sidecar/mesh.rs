//! Token, feed, staleness, suspension: the sidecar and its control service.

use aegis_decision::agent::Lifecycle;
use aegis_decision::codes::Code;
use http::StatusCode;

use crate::bed::{Answer, Sidecar};
use crate::control::Mesh;

const PAYMENT: &str = r#"{"amount":1}"#;

async fn read_until(sidecar: &Sidecar, status: u16) -> Answer {
    sidecar.until(|| sidecar.get("/ledger/notes/1"), |answer| answer.status.as_u16() == status).await
}

async fn payment_until(sidecar: &Sidecar, status: u16) -> Answer {
    sidecar.until(|| sidecar.post("/ledger/payments/1", PAYMENT), |answer| answer.status.as_u16() == status).await
}

#[tokio::test]
async fn a_sidecar_that_nobody_trusts_says_what_it_waits_for() {
    let mesh = Mesh::new().await;
    mesh.control.settings.lock().unwrap().refuse_tokens = true;
    let sidecar = mesh.launch().await;
    let ready = sidecar.ready().await;
    assert_eq!((ready.status.as_u16(), ready.body.as_str()), (503, "pending: bundle, grants, segment, token\n"));
    let answer = sidecar.get("/ledger/notes/1").await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "not_ready"));
    assert_eq!(answer.headers["retry-after"], "1");
    mesh.control.settings.lock().unwrap().refuse_tokens = false;
    sidecar.until_ready().await;
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK);
    let records = sidecar.stop().await;
    assert_eq!(records.decisions.len(), 1);
    let head = mesh.control.heads.lock().unwrap().last().cloned().unwrap();
    assert_eq!(head.sequence, 2, "the last head is told at the end");
}

#[tokio::test]
async fn the_token_is_renewed_over_several_lives() {
    let mesh = Mesh::new().await;
    mesh.control.settings.lock().unwrap().token_seconds = 3;
    let sidecar = mesh.start().await;
    // Three exchanges a life: after seven, two lives are over.
    while mesh.control.settings.lock().unwrap().exchanges < 7 {
        assert_eq!(sidecar.post("/ledger/payments/1", PAYMENT).await.status, StatusCode::CREATED);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let records = sidecar.stop().await;
    assert!(records.text.matches(r#""type":"attestation""#).count() >= 5, "renewed attestations are written");
}

#[tokio::test]
async fn without_renewal_writes_close_before_reads() {
    let mesh = Mesh::new().await;
    mesh.control.settings.lock().unwrap().token_seconds = 6;
    let sidecar = mesh.start().await;
    mesh.control.settings.lock().unwrap().refuse_tokens = true;
    assert_eq!(payment_until(&sidecar, 503).await.code(), "token_not_fresh");
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK, "reads are open until the end of the life");
    assert_eq!(read_until(&sidecar, 503).await.code(), "token_not_fresh");
    mesh.control.settings.lock().unwrap().refuse_tokens = false;
    payment_until(&sidecar, 201).await;
}

#[tokio::test]
async fn old_knowledge_closes_writes_then_reads_and_opens_again() {
    let mesh = Mesh::with(|trial| {
        trial.source.agent.max_staleness_seconds = 2;
        trial.grants.standing.review.as_mut().unwrap().digest = trial.source.agent.review_digest();
    })
    .await;
    let sidecar = mesh.start().await;
    assert_eq!(sidecar.post("/ledger/payments/1", PAYMENT).await.status, StatusCode::CREATED);
    mesh.control.set(|told| told.alive = false);
    assert_eq!(payment_until(&sidecar, 503).await.code(), "stale");
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK);
    assert_eq!(read_until(&sidecar, 503).await.code(), "stale");
    let plan = r#"{"steps":[{"tool":"ledger","http":{"method":"GET","path":"/notes/1"}}]}"#;
    let closed = sidecar.post("/aegis/v1/plan", plan).await;
    assert_eq!(closed.code(), "stale");
    mesh.control.set(|told| told.alive = true);
    payment_until(&sidecar, 201).await;
    let records = sidecar.stop().await;
    assert_eq!(records.of(&closed).0.decision.code, Some(Code::Stale), "a plan that nobody judges is recorded, too");
}

#[tokio::test]
async fn a_suspended_agent_is_refused_and_comes_back() {
    let mesh = Mesh::new().await;
    let sidecar = mesh.start().await;
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK);
    mesh.control.suspend();
    assert_eq!(read_until(&sidecar, 403).await.code(), "agent_not_active");
    mesh.control.set(|told| told.grants.standing.lifecycle = Lifecycle::Active);
    read_until(&sidecar, 200).await;
}

#[tokio::test]
async fn a_new_policy_is_swapped_in_and_a_bad_one_leaves_the_last_good() {
    let mesh = Mesh::new().await;
    let sidecar = mesh.start().await;
    let good = mesh.control.told.borrow().source.clone();
    let mut closed = good.clone();
    closed.policies[0].rules.retain(|rule| rule.name != "ceiling");
    mesh.control.set(|told| {
        told.version = 2;
        told.source = closed;
    });
    assert_eq!(payment_until(&sidecar, 403).await.code(), "no_rule_allows");
    // Two tools of one name do not assemble: the bundle is accepted by its signature, and not used.
    let mut bad = good.clone();
    bad.tools.push(bad.tools[0].clone());
    mesh.control.set(|told| {
        told.version = 3;
        told.source = bad;
    });
    let end = std::time::Instant::now() + crate::bed::WAIT;
    while !sidecar.metrics().await.contains(r#"aegis_bundles_rejected_total{reason="invalid"} 1"#) {
        assert!(std::time::Instant::now() < end);
    }
    assert_eq!(sidecar.post("/ledger/payments/1", PAYMENT).await.code(), "no_rule_allows");
    mesh.control.set(|told| {
        told.version = 4;
        told.source = good;
    });
    payment_until(&sidecar, 201).await;
    let records = sidecar.stop().await;
    let versions: std::collections::BTreeSet<_> =
        records.decisions.iter().filter_map(|record| record.bundle_version).collect();
    assert!(versions.contains(&2) && versions.contains(&4) && !versions.contains(&3), "{versions:?}");
}

#[tokio::test]
async fn what_is_not_signed_changes_nothing() {
    let mesh = Mesh::new().await;
    let sidecar = mesh.start().await;
    mesh.control.set(|told| told.garbage = Some("e30.e30.AAAA\n\u{0}\u{ff}\n".to_owned()));
    let end = std::time::Instant::now() + crate::bed::WAIT;
    while sidecar.metrics().await.contains("aegis_feed_refusals_total 0") {
        assert!(std::time::Instant::now() < end);
    }
    assert_eq!(sidecar.get("/ledger/notes/1").await.status, StatusCode::OK, "the last good policy stays");
    mesh.control.set(|told| told.garbage = None);
    mesh.control.suspend();
    assert_eq!(read_until(&sidecar, 403).await.code(), "agent_not_active");
}
