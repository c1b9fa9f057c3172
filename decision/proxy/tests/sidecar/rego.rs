//! A Rego module beside the rules: what it denies is told like a rule's denial, and one that works too long decides
//! nothing.

use aegis_decision::codes::Code;
use aegis_decision::decision::Verdict;
use aegis_decision::rego::ModuleSource;
use futures::future::join_all;
use http::StatusCode;
use serde_json::json;

use crate::bed::{Bed, Sidecar, Trial};

/// Denies notes, and goes a million rounds over a payment. Its budget allows some ten thousand of them.
const MODULE: &str = r#"package aegis

verdicts contains {"effect": "Deny", "reason": "no_notes", "message": "nobody takes notes here"} if {
    input.operation == "notes.create"
}

verdicts contains {"effect": "Deny", "reason": "never", "message": "six ones make no seven"} if {
    input.operation == "payments.create"
    some a in numbers
    some b in numbers
    some c in numbers
    some d in numbers
    some e in numbers
    some f in numbers
    [a, b, c, d, e, f] == [7]
}

numbers := [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
"#;

fn with_module(trial: &mut Trial) {
    trial.source.policies[0].rego = Some(ModuleSource { module: MODULE.to_owned().into(), tiers: Vec::new() });
}

/// A sidecar whose modules have so much time for a call.
async fn start(bed: &Bed, millis: &str) -> Sidecar {
    let mut command = bed.command();
    command.args(["--rego-millis", millis]);
    let sidecar = Sidecar::launch(command, bed.folder.path(), bed.keys.clone()).await;
    sidecar.until_ready().await;
    sidecar
}

#[tokio::test]
async fn a_module_that_works_too_long_decides_nothing() {
    let bed = Bed::with(with_module).await;
    let sidecar = start(&bed, "0").await;
    let first = sidecar.post("/ledger/payments/1", r#"{"amount":"1","to":"s1"}"#).await;
    let second = sidecar.post("/ledger/payments/2", r#"{"amount":"1","to":"s1"}"#).await;
    for late in [&first, &second] {
        let found = (late.status, late.code());
        assert_eq!(found, (StatusCode::SERVICE_UNAVAILABLE, "policy_timeout".to_owned()), "{late:?}");
        assert!(late.json().get("rule").is_none(), "no rule said so: {}", late.body);
    }
    // Nor does a plan with such a step, as a whole.
    let payment = json!({"tool": "ledger", "operation": "payments.create", "arguments": {"amount": "1", "to": "s1"}});
    let plan = sidecar.post("/aegis/v1/plan", &json!({"steps": [payment]}).to_string()).await;
    assert_eq!((plan.status, plan.code().as_str()), (StatusCode::SERVICE_UNAVAILABLE, "policy_timeout"), "{plan:?}");
    assert!(bed.upstream.seen().is_empty());
    let records = sidecar.stop().await;
    assert_eq!(records.of(&plan).0.decision.code, Some(Code::PolicyTimeout), "recorded under the plan's id");
    for late in [&first, &second] {
        let (undecided, outcome) = records.of(late);
        assert_eq!((undecided.decision.verdict, undecided.decision.code), (Verdict::Deny, Some(Code::PolicyTimeout)));
        assert!(outcome.is_none() && undecided.decision.rules.is_empty());
    }
}

#[tokio::test]
async fn what_a_module_denies_is_told_as_a_rules_denial_is() {
    let bed = Bed::with(with_module).await;
    let sidecar = start(&bed, "60000").await;
    let order = sidecar.get("/ledger/orders/7").await;
    assert_eq!(order.status, StatusCode::OK, "{order:?}");
    let note = sidecar.post("/ledger/notes", r#"{"text":"x"}"#).await;
    let problem = note.json();
    assert_eq!((note.status, note.code().as_str()), (StatusCode::FORBIDDEN, "rule_denies"));
    assert_eq!((problem["policy"].as_str(), problem["rule"].as_str()), (Some("desk"), Some("rego")));
    assert!(problem["detail"].as_str().unwrap().ends_with(": nobody takes notes here"), "{problem}");

    let records = sidecar.stop().await;
    let reason = records.of(&note).0.decision.rule.as_ref().and_then(|rule| rule.reason.as_deref());
    assert_eq!(reason, Some("no_notes"));
}

/// On a machine that is busy an honest call may get 503 and be repeated; it is never refused for what others ask.
#[tokio::test]
async fn calls_that_keep_a_module_busy_have_nobody_else_refused() {
    let bed = Bed::with(|trial| {
        with_module(trial);
        trial.source.tools.iter_mut().for_each(|tool| tool.limits.concurrency = 64);
    })
    .await;
    let sidecar = bed.start().await;
    let hostile = (0..30).map(|at| {
        let sidecar = &sidecar;
        async move { sidecar.post(&format!("/ledger/payments/{at}"), r#"{"amount":"1","to":"s1"}"#).await }
    });
    let honest = (0..30).map(|at| {
        let sidecar = &sidecar;
        async move {
            for _ in 0..100 {
                let answer = sidecar.get(&format!("/ledger/orders/{at}")).await;
                if answer.status != StatusCode::SERVICE_UNAVAILABLE {
                    return answer;
                }
                assert_eq!(answer.code(), "policy_timeout", "{answer:?}");
            }
            panic!("an honest call is never judged")
        }
    });
    let (hostile, honest) = tokio::join!(join_all(hostile), join_all(honest));
    for answer in &hostile {
        // Whichever comes first, the budget or the clock: nothing of it is sent.
        let expected = ["rule_denies", "policy_timeout"];
        assert!(expected.contains(&answer.code().as_str()), "{answer:?}");
    }
    for answer in &honest {
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    assert_eq!(bed.upstream.seen().len(), honest.len());
    sidecar.stop().await;
}
