//! What a plan tells of sanitized steps, and calls that say which plan they are of.

use aegis_decision::record::Mode;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::bed::{Answer, Bed, Sidecar, Trial};

/// Payments lose their copy, and their amount is rounded.
fn cleaned(trial: &mut Trial) {
    let clean = json!({"name": "clean", "operations": ["payments.create"], "effect": {"Sanitize": [
        {"field": "cc", "action": "remove"},
        {"field": "amount", "action": {"round": {"scale": 2, "mode": "Down"}}}]}});
    trial.source.policies[0].rules.push(serde_json::from_value(clean).unwrap());
}

async fn pay(sidecar: &Sidecar, plans: &[&str]) -> Answer {
    let request = Request::post("/ledger/payments/1").header("content-type", "application/json");
    let request = plans.iter().fold(request, |request, plan| request.header("aegis-plan", *plan));
    sidecar.send(request, r#"{"amount":"1"}"#).await
}

#[tokio::test]
async fn a_step_is_told_as_it_would_be_sent_where_it_is_sanitized() {
    let bed = Bed::with(cleaned).await;
    let sidecar = bed.start().await;
    let given = json!({"amount": "99.999", "cc": "eve@evil.example"});
    let plan = json!({"steps": [
        {"tool": "ledger", "operation": "payments.create", "arguments": given},
        {"tool": "ledger", "http": {"method": "POST", "path": "/payments/1", "body": given.to_string(),
            "headers": [["content-type", "application/json"]]}},
        {"tool": "ledger", "operation": "payments.create", "arguments": {"amount": "99.99"}},
        {"tool": "ledger", "operation": "orders.burn", "arguments": given},
    ]});
    let answer = sidecar.post("/aegis/v1/plan", &plan.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let told = answer.json();
    for step in 0..2 {
        let step = &told["steps"][step];
        assert_eq!((&step["arguments"]["amount"], &step["arguments"]["cc"]), (&json!("99.99"), &Value::Null), "{step}");
        let changed: Vec<_> = step["sanitized"].as_array().unwrap().iter().map(|one| &one["field"]).collect();
        assert_eq!(changed, ["amount", "cc"], "{step}");
    }
    for step in 2..4 {
        let step = &told["steps"][step];
        assert_eq!((&step["arguments"], &step["sanitized"]), (&Value::Null, &Value::Null), "{step}");
    }
    assert!(!answer.body.contains("evil"), "{}", answer.body);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_call_is_recorded_with_the_plan_that_it_names() {
    let bed = Bed::new().await;
    let sidecar = bed.start().await;
    let plan = json!({"steps": [{"tool": "ledger", "operation": "payments.create", "arguments": {"amount": "1"}}]});
    let planned = sidecar.post("/aegis/v1/plan", &plan.to_string()).await.json();
    let id = planned["plan"].as_str().unwrap();

    let paid = pay(&sidecar, &[id]).await;
    assert_eq!(paid.status, StatusCode::CREATED, "{paid:?}");
    let seen = bed.upstream.seen();
    assert!(seen.iter().all(|request| !format!("{request:?}").contains(id)), "the tool is not told: {seen:?}");

    let twice = [id, id];
    let upper = id.to_uppercase();
    let longer = format!("{id}0");
    for (named, why) in [
        (&twice[..], "header aegis-plan is given more than once"),
        (&[&*longer][..], "header aegis-plan must be the id of a plan (32 lower case hex digits), 1 to 32 bytes"),
        (&["../x"][..], "header aegis-plan must be"),
        (&[""][..], "header aegis-plan must be"),
    ] {
        let refused = pay(&sidecar, named).await;
        assert_eq!((refused.status, refused.code().as_str()), (StatusCode::BAD_REQUEST, "malformed_request"));
        assert!(refused.json()["detail"].as_str().unwrap().starts_with(why), "{}", refused.body);
    }
    if upper != id {
        assert_eq!(pay(&sidecar, &[&upper]).await.code(), "malformed_request");
    }
    assert_eq!(bed.upstream.seen().len(), 1);

    let records = sidecar.stop().await;
    let (decision, _) = records.of(&paid);
    assert_eq!((decision.plan.as_deref(), decision.mode), (Some(id), Mode::Enforce));
    assert_eq!(records.decisions.iter().filter(|one| one.plan.as_deref() == Some(id)).count(), 2);
}
