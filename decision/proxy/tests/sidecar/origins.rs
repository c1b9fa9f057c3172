//! A value that came from a tool which nobody trusts for it: what the approver hears of it.

use aegis_decision::run::Place;
use http::{Request, StatusCode};
use serde_json::json;

use crate::approvals::{asked_until, confirmations};
use crate::bed::{Answer, Sidecar, Trial};
use crate::control::Mesh;

/// Payees come from the delegator, or a person is asked.
fn guarded(trial: &mut Trial) {
    let policy = json!({"name": "guards", "tools": ["ledger"], "rules": [], "provenance": [
        {"operations": ["payments.create"], "field": "to", "from": ["Delegation"],
            "unknown": {"Hold": {"tier": "finance", "holdSeconds": 0}}}]});
    trial.source.policies.push(serde_json::from_value(policy).unwrap());
}

async fn pay(sidecar: &Sidecar, to: &str) -> Answer {
    let request = Request::post("/ledger/payments/1").header("aegis-run", "r1");
    let body = json!({"amount": "1", "to": to}).to_string();
    sidecar.send(request.header("content-type", "application/json"), &body).await
}

#[tokio::test]
async fn a_held_call_says_which_answer_its_value_first_appeared_in_and_where() {
    let mesh = Mesh::with(guarded).await;
    let sidecar = mesh.start().await;
    let order = sidecar.send(Request::get("/ledger/orders/7").header("aegis-run", "r1"), "").await;
    assert_eq!((order.status, &order.json()["party"]["id"]), (StatusCode::OK, &json!("s1")));

    let held = pay(&sidecar, "s1").await;
    assert_eq!((held.status.as_u16(), held.code().as_str()), (428, "approval_required"));
    let told = held.json()["detail"].as_str().unwrap().to_owned();
    let wanted = "to is of unknown origin, it first appeared in the answer of ledger to orders.get at party.id";
    assert!(told.contains(wanted), "{told}");

    let (tool, operation, path) = ("ledger".to_owned(), "orders.get".to_owned(), "party.id".to_owned());
    let place = Place { tool, operation, path, whole: true };
    let (uid, asked) = asked_until(&mesh, |_| true).await;
    let evidence = asked.submission.input.run_view.unwrap();
    assert_eq!(evidence.origins["to"], std::slice::from_ref(&place), "what the sidecar tells of the run");
    let [unknown] = asked.unknown.as_slice() else { panic!("{:?}", asked.unknown) };
    assert_eq!((unknown.field.as_str(), unknown.first_seen.as_ref()), ("to", Some(&place)), "what the preview tells");

    // What no answer had, appeared nowhere.
    assert_eq!(pay(&sidecar, "s9").await.headers["aegis-approval"], "clerk-2");
    let (_, other) = asked_until(&mesh, |asked| asked.name == "clerk-2").await;
    assert!(matches!(other.unknown.as_slice(), [unknown] if unknown.first_seen.is_none()), "{:?}", other.unknown);

    mesh.control.approve(&uid);
    let paid = sidecar.until(|| pay(&sidecar, "s1"), |answer| answer.status != StatusCode::PRECONDITION_REQUIRED).await;
    assert_eq!(paid.status, StatusCode::CREATED, "{paid:?}");
    assert_eq!(confirmations(&mesh), [uid]);
    let records = sidecar.stop().await;
    assert_eq!(records.of(&held).0.decision.unknown_origins[0].first_seen, Some(place));
}
