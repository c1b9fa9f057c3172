//! Calls with an effect go through the relay once, whatever happens on the way, and only while somebody waits for them.

use std::time::Instant;

use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use http::StatusCode;

use super::calls::{PAYMENT, ask};
use super::pair::{Cable, Pair, gateway, relay};
use crate::approvals::{asked_until, confirm, confirmations, holds};
use crate::bed::{Trial, WAIT};
use crate::control::Mesh;

/// Payments need an approval, and a payment may take long.
fn slow_and_held(trial: &mut Trial) {
    holds(20)(trial);
    slow(trial);
    let rules = &mut trial.source.policies[0].rules;
    let mut asks = rules.iter().find(|rule| rule.name == "large-orders").unwrap().clone();
    "payments".clone_into(&mut asks.name);
    asks.operations = vec!["payments.create".to_owned()];
    asks.when.clear();
    rules.push(asks);
}

fn slow(trial: &mut Trial) {
    let mut operations = trial.source.tools[0].operations.iter_mut();
    operations.find(|operation| operation.name == "payments.create").unwrap().timeout_seconds = 60;
}

async fn until_sent(mesh: &Mesh) {
    let end = Instant::now() + WAIT;
    while mesh.upstream.seen().iter().all(|seen| seen.method != "POST") {
        assert!(Instant::now() < end, "nothing was sent");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_approved_call_goes_through_the_relay_once() {
    let Pair { mesh, gateway, relay } = Pair::with(holds(20)).await;
    let (answer, uid) = tokio::join!(confirm(&relay), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        assert!(confirmations(&mesh).is_empty());
        mesh.control.approve(&uid);
        uid
    });
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    assert_eq!(confirmations(&mesh), [uid]);
    asked_until(&mesh, |asked| asked.outcome.is_some()).await;
    let repeats = futures::future::join_all((0..4).map(|_| confirm(&relay))).await;
    for repeat in repeats {
        assert_eq!((repeat.status.as_u16(), repeat.code().as_str()), (409, "duplicate_effect"));
    }
    assert_eq!(confirmations(&mesh).len(), 1);
    let records = gateway.stop().await;
    let (decision, outcome) = records.of(&answer);
    assert!(decision.claim.is_some() && outcome.is_some_and(|outcome| outcome.sent));
    assert!(relay.stop().await.decisions.is_empty());
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_any_more_is_not_sent() {
    let Pair { mesh, gateway, relay } = Pair::with(holds(60)).await;
    let uid = {
        let waiting = confirm(&relay);
        let asked = asked_until(&mesh, |_| true);
        match futures::future::select(Box::pin(asked), Box::pin(waiting)).await {
            futures::future::Either::Left(((uid, _), _)) => uid,
            futures::future::Either::Right((answer, _)) => panic!("{answer:?}"),
        }
    };
    // The agent went away, and so did the call, at both.
    relay.until_idle().await;
    gateway.until_idle().await;
    mesh.control.approve(&uid);
    let repeat = confirm(&relay).await;
    assert_eq!(repeat.status, StatusCode::CREATED, "{repeat:?}");
    assert_eq!(confirmations(&mesh), [uid]);
    let records = gateway.stop().await;
    let verdicts: Vec<_> = records.decisions.iter().map(|record| record.decision.verdict).collect();
    assert_eq!(verdicts, [Verdict::Hold, Verdict::AllowOnce]);
}

#[tokio::test]
async fn a_gateway_that_dies_in_a_call_leaves_it_unknown_and_unrepeated() {
    let Pair { mesh, gateway: first, relay } = Pair::with(slow_and_held).await;
    let address = first.address;
    let pay = || ask(&relay, "POST", "/ledger/payments/slow", PAYMENT);
    let (answer, killed) = tokio::join!(pay(), async {
        let (uid, _) = asked_until(&mesh, |_| true).await;
        mesh.control.approve(&uid);
        until_sent(&mesh).await;
        first.kill()
    });
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_failed"));
    assert_eq!(answer.json()["outcome"], "Indeterminate");
    assert_eq!((killed.decisions.len(), killed.outcomes.len()), (1, 0), "that it would be sent was durable before");

    let meanwhile = pay().await;
    assert_eq!((meanwhile.status.as_u16(), meanwhile.code().as_str()), (503, "gateway_unavailable"));
    let second = gateway(&mesh, "second", address).await;
    let repeat = pay().await;
    assert_eq!((repeat.status.as_u16(), repeat.code().as_str()), (409, "in_flight"), "its claim is taken");
    assert_eq!(confirmations(&mesh).len(), 1);
    let at_relay = relay.stop().await;
    assert_eq!(at_relay.of(&meanwhile).0.decision.code, Some(Code::GatewayUnavailable));
    assert_eq!(at_relay.decisions.len(), 1, "no denial of what may have happened");
    assert_eq!(second.stop().await.of(&repeat).0.decision.code, Some(Code::InFlight));
}

#[tokio::test]
async fn a_line_that_breaks_carries_no_call_twice() {
    let mesh = Mesh::with(slow).await;
    let gateway = gateway(&mesh, "gateway", ([127, 0, 0, 1], 0).into()).await;
    let cable = Cable::to(gateway.address).await;
    let relay = relay(&mesh, "relay", cable.address).await;
    relay.until_ready().await;
    assert_eq!(relay.get("/ledger/notes/1").await.status, StatusCode::OK);
    // Lines that were kept are gone, whether that was noticed or not: a write makes another.
    for _ in 0..3 {
        cable.cut();
        assert_eq!(ask(&relay, "POST", "/ledger/payments/1", PAYMENT).await.status, StatusCode::CREATED);
    }
    let before = confirmations(&mesh).len();
    assert_eq!(before, 3);
    let (answer, ()) = tokio::join!(ask(&relay, "POST", "/ledger/payments/slow", PAYMENT), async {
        let end = Instant::now() + WAIT;
        while confirmations(&mesh).len() == before {
            assert!(Instant::now() < end);
            tokio::task::yield_now().await;
        }
        cable.cut();
    });
    assert_eq!((answer.status.as_u16(), answer.json()["outcome"].as_str()), (502, Some("Indeterminate")));
    relay.until(|| relay.get("/ledger/notes/1"), |answer| answer.status == StatusCode::OK).await;
    assert_eq!(confirmations(&mesh).len(), before + 1);
}
