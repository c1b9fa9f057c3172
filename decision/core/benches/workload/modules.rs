//! A Rego module that looks one supplier up among many, and a worker that has its machine already.

use aegis_decision::bundle::Bundle;
use aegis_decision::call::ToolCall;
use aegis_decision::rego::Worker;
use serde_json::{Value, json};

use super::{Desk, Request, Rules, payment, read, source};

/// Allows what the supplier's entry says, by its key, its currency and its account.
const MODULE: &str = r#"package aegis

entry := data.registries.suppliers[input.arguments.supplier]

verdicts contains {"effect": "Allow", "reason": "known_account", "message": "the account is the supplier's"} if {
    input.arguments.currency in entry.currency
    input.arguments.iban in entry.iban
}
"#;

/// A bundle whose module has so many entries to look among, a call that it allows, and a worker that has the machine.
pub fn module(entries: usize) -> (Desk, ToolCall, Worker) {
    let mut bundle = source(Rules::Keyed, 10);
    let policy = bundle.policies.first_mut().expect("the workload has a policy");
    policy.rules.retain(|rule| rule.name != "rule-5");
    policy.rego = Some(read(json!({"module": MODULE})));
    let entry = json!({"iban": ["DE89370400440532013000"], "currency": ["CHF", "EUR"]});
    let others = (1..entries).map(|at| (format!("supplier-{at}"), entry.clone()));
    let all: serde_json::Map<String, Value> = others.chain([("supplier-match".to_owned(), entry.clone())]).collect();
    bundle.registries.first_mut().expect("the workload has a registry").entries = read(Value::Object(all));
    let desk = Desk::of(Bundle::assemble(bundle).expect("the workload is a bundle"));
    let request = Request::new("/payments", payment());
    let call = desk.bundle.name_call("bank", &request.http()).expect("the workload is a call");
    let mut worker = Worker::new();
    worker.prepare(&desk.bundle, "bank");
    (desk, call, worker)
}
