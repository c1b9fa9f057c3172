//! A held call: asked, released, claimed once, sent once.

use aegis_decision::codes::Code;
use aegis_decision::control::Execution;
use aegis_decision::decision::Verdict;
use aegis_decision::policy::Effect;
use aegis_decision::record::RecordedExecution;
use http::StatusCode;

use crate::bed::{Answer, Sidecar, Trial, WAIT};
use crate::control::{Asked, Mesh, Told};

const CONFIRM: &str = "/ledger/orders/8/confirm";

/// Holds for that many seconds.
pub fn holds(seconds: u32) -> impl FnOnce(&mut Trial) {
    move |trial| {
        for rule in &mut trial.source.policies[0].rules {
            if let Effect::RequireApproval { hold_seconds, .. } = &mut rule.effect {
                *hold_seconds = seconds;
            }
        }
    }
}

pub async fn confirm(sidecar: &Sidecar) -> Answer {
    sidecar.post(CONFIRM, "{}").await
}

/// The newest request, as soon as it is as wanted.
pub async fn asked_until(mesh: &Mesh, wanted: impl Fn(&Asked) -> bool) -> (String, Asked) {
    let end = std::time::Instant::now() + WAIT;
    loop {
        if let Some((uid, asked)) = mesh.control.newest()
            && wanted(&asked)
        {
            return (uid, asked);
        }
        assert!(std::time::Instant::now() < end, "{:?}", mesh.control.newest());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

pub fn confirmations(mesh: &Mesh) -> Vec<String> {
    let posts = mesh.upstream.seen().into_iter().filter(|seen| seen.method == "POST");
    posts.map(|seen| seen.headers["idempotency-key"].to_str().unwrap().to_owned()).collect()
}

/// A person is asked about every payment, too.
fn payments_ask(told: &mut Told) {
    let rule = told.source.policies[0].rules.iter().find(|rule| rule.name == "large-orders").unwrap();
    let mut asks = rule.clone();
    "payments".clone_into(&mut asks.name);
    asks.operations = vec!["payments.create".to_owned()];
    asks.when.clear();
    told.source.policies[0].rules.push(asks);
}

#[tokio::test]
async fn a_call_released_while_it_waits_is_sent_once_and_its_replay_refused() {
    let mesh = Mesh::with(holds(20)).await;
    let sidecar = mesh.start().await;
    let (answer, uid) = tokio::join!(confirm(&sidecar), async {
        let (uid, asked) = asked_until(&mesh, |_| true).await;
        assert!(confirmations(&mesh).is_empty());
        assert_eq!(asked.submission.input.facts.len(), 1);
        mesh.control.approve(&uid);
        uid
    });
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(confirmations(&mesh), [uid.as_str()], "the key is the request's uid");
    let (_, asked) = asked_until(&mesh, |asked| asked.outcome.is_some()).await;
    let outcome = asked.outcome.unwrap();
    assert_eq!((outcome.execution, outcome.sent, outcome.status), (Execution::Succeeded, true, Some(201)));
    assert_eq!(outcome.record, answer.headers["aegis-decision"].to_str().unwrap());

    let replay = confirm(&sidecar).await;
    assert_eq!((replay.status.as_u16(), replay.code().as_str()), (409, "duplicate_effect"));
    assert_eq!(confirmations(&mesh).len(), 1);

    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&answer);
    assert_eq!(decision.decision.verdict, Verdict::AllowOnce);
    assert_eq!(decision.approval.as_ref().unwrap().uid, uid);
    assert_eq!(decision.claim.as_ref().unwrap().nonce, asked.nonce.unwrap());
    assert_eq!(outcome.unwrap().idempotency_key.as_deref(), Some(uid.as_str()));
    assert_eq!(records.of(&replay).0.decision.code, Some(Code::DuplicateEffect));
}

#[tokio::test]
async fn a_call_that_nobody_released_in_time_is_told_to_come_back() {
    let mesh = Mesh::with(holds(0)).await;
    let sidecar = mesh.start().await;
    let held = confirm(&sidecar).await;
    assert_eq!((held.status.as_u16(), held.code().as_str()), (428, "approval_required"));
    assert_eq!(
        (held.headers["aegis-approval"].to_str().unwrap(), held.json()["approval"].as_str()),
        ("clerk-1", Some("clerk-1"))
    );
    assert!(held.headers.contains_key("retry-after"));
    let (uid, _) = asked_until(&mesh, |_| true).await;
    mesh.control.approve(&uid);
    let answer = sidecar.until(|| confirm(&sidecar), |answer| answer.status != StatusCode::PRECONDITION_REQUIRED).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(confirmations(&mesh), [uid]);
    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&held);
    assert_eq!((decision.decision.verdict, outcome), (Verdict::Hold, None));
    assert_eq!(decision.approval.as_ref().unwrap().name, "clerk-1");
}

#[tokio::test]
async fn parallel_repeats_of_an_approved_call_send_it_once() {
    let mesh = Mesh::with(holds(0)).await;
    let sidecar = mesh.start().await;
    confirm(&sidecar).await;
    let (uid, _) = asked_until(&mesh, |_| true).await;
    mesh.control.approve(&uid);
    // Concurrency of the tool is 4.
    let mut won = 0;
    while won == 0 {
        let answers = futures::future::join_all((0..4).map(|_| confirm(&sidecar))).await;
        won += answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
        for answer in answers {
            assert!(matches!(answer.status.as_u16(), 201 | 409 | 428), "{answer:?}");
        }
    }
    assert_eq!((won, confirmations(&mesh).len()), (1, 1));
}

#[tokio::test]
async fn a_changed_context_asks_again_and_sends_nothing() {
    let mesh = Mesh::with(holds(0)).await;
    let sidecar = mesh.start().await;
    confirm(&sidecar).await;
    let (uid, _) = asked_until(&mesh, |_| true).await;
    mesh.control.set(|told| told.grants.delegations[0].generation = 2);
    mesh.control.approve(&uid);
    let again = sidecar.until(|| confirm(&sidecar), |answer| answer.headers["aegis-approval"] != "clerk-1").await;
    assert_eq!((again.status.as_u16(), again.headers["aegis-approval"].to_str().unwrap()), (428, "clerk-2"));
    assert!(confirmations(&mesh).is_empty());
}

#[tokio::test]
async fn a_receipt_for_another_attempt_sends_nothing() {
    let mesh = Mesh::with(holds(20)).await;
    mesh.control.settings.lock().unwrap().forge_receipts = true;
    let sidecar = mesh.start().await;
    let (answer, ()) = tokio::join!(confirm(&sidecar), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        mesh.control.approve(&uid);
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "control_unavailable"));
    assert!(confirmations(&mesh).is_empty());
    let (_, asked) = asked_until(&mesh, |asked| asked.outcome.is_some()).await;
    let outcome = asked.outcome.unwrap();
    assert_eq!((outcome.execution, outcome.sent), (Execution::Failed, false));
}

#[tokio::test]
async fn a_claim_that_another_won_is_answered_by_its_code() {
    let mesh = Mesh::with(holds(20)).await;
    let sidecar = mesh.start().await;
    let (answer, ()) = tokio::join!(confirm(&sidecar), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        mesh.control.asked.lock().unwrap().get_mut(&uid).unwrap().refuse = Some(Code::InFlight);
        mesh.control.approve(&uid);
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (409, "in_flight"));
    assert!(confirmations(&mesh).is_empty());
}

#[tokio::test]
async fn a_call_that_spends_its_rounds_is_refused_and_recorded() {
    let mesh = Mesh::with(holds(20)).await;
    let sidecar = mesh.start().await;
    let (answer, ()) = tokio::join!(confirm(&sidecar), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        // Released, and claimed in vain: nothing changes from round to round.
        mesh.control.asked.lock().unwrap().get_mut(&uid).unwrap().refuse = Some(Code::ApprovalRequired);
        mesh.control.approve(&uid);
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "control_unavailable"));
    assert!(confirmations(&mesh).is_empty());
    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&answer);
    assert_eq!((decision.decision.verdict, decision.decision.code), (Verdict::Deny, Some(Code::ControlUnavailable)));
    assert_eq!((decision.decision.operation.as_deref(), outcome), (Some("orders.confirm"), None));
}

#[tokio::test]
async fn an_approved_call_without_its_credential_is_recorded_and_keeps_its_approval() {
    let mesh = Mesh::with(holds(20)).await;
    mesh.control.set(payments_ask);
    let sidecar = mesh.start().await;
    let (answer, uid) = tokio::join!(sidecar.post("/ledger/payments/1", r#"{"amount":1}"#), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        std::fs::remove_file(mesh.folder.path().join("credentials/ledger/key")).unwrap();
        mesh.control.approve(&uid);
        uid
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_unreachable"));
    assert_eq!(mesh.control.newest().unwrap().1.nonce, None, "nothing was claimed");
    assert!(confirmations(&mesh).is_empty());
    let records = sidecar.stop().await;
    let (decision, outcome) = records.of(&answer);
    assert_eq!((decision.decision.code, outcome), (Some(Code::UpstreamUnreachable), None));
    assert_eq!(decision.approval.as_ref().unwrap().uid, uid);
}

#[tokio::test]
async fn an_unknown_outcome_is_reported_as_such() {
    let mesh = Mesh::with(holds(20)).await;
    mesh.control.set(payments_ask);
    let sidecar = mesh.start().await;
    // The upstream never answers.
    let (answer, ()) = tokio::join!(sidecar.post("/ledger/payments/slow", r#"{"amount":1}"#), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        mesh.control.approve(&uid);
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (504, "upstream_timeout"));
    let (_, asked) = asked_until(&mesh, |asked| asked.outcome.is_some()).await;
    assert_eq!(asked.outcome.unwrap().execution, Execution::Indeterminate);
    let repeat = sidecar.post("/ledger/payments/slow", r#"{"amount":1}"#).await;
    assert_eq!((repeat.status.as_u16(), repeat.code().as_str()), (409, "outcome_unknown"));
    let records = sidecar.stop().await;
    assert_eq!(records.of(&answer).1.unwrap().execution, RecordedExecution::Indeterminate);
}

#[tokio::test]
async fn a_suspension_while_the_call_waits_stops_it() {
    let mesh = Mesh::with(holds(20)).await;
    let sidecar = mesh.start().await;
    let (answer, ()) = tokio::join!(confirm(&sidecar), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        mesh.control.suspend();
        mesh.control.approve(&uid);
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "agent_not_active"));
    assert!(confirmations(&mesh).is_empty());
}
