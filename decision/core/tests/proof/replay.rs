//! A recorded call that is judged again comes to what the call itself comes to, or cannot be judged.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use aegis_decision::bundle::Bundle;
use aegis_decision::codes::Code;
use aegis_decision::decide::replay::{Replayed, Unjudged, replay};
use aegis_decision::decision::{DecisionOutput, Verdict};
use aegis_decision::record::{DecisionRecord, clear_values};
use aegis_decision::rego::Worker;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;

use crate::calls::{self, Call};
use crate::{desk, policies};

/// The record that a sidecar keeps of a call.
fn record(bundle: &Bundle, call: &Call, decision: &DecisionOutput) -> DecisionRecord {
    let named = bundle.call_of_input(&call.input).expect("generated calls can be named");
    let operation = bundle.tool("desk").unwrap().operation(&named.operation).unwrap();
    let values = clear_values(operation, &named);
    serde_json::from_value(json!({
        "type": "decision", "v": "aegis.dev/decision-record/v1", "id": "d-1", "sequence": 1, "epoch": "e",
        "time": call.input.at, "monotonicMicros": 1,
        "agent": {"tenant": "acme", "businessUnit": "b", "namespace": "n", "name": "clerk", "uid": "u1", "version": "1"},
        "pod": {"name": "p", "uid": "p1"}, "mode": "Enforce", "decision": decision, "values": values,
    }))
    .expect("a record")
}

/// As in a namespace, which two delegations of one name cannot share.
fn has_one_of_each_name(call: &Call) -> bool {
    let names: BTreeSet<&str> = call.delegations.iter().map(|one| one.name.as_str()).collect();
    names.len() == call.delegations.len()
}

#[test]
fn a_replay_never_guesses() {
    let counts = RefCell::new(BTreeMap::<&'static str, usize>::new());
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let case = (policies::source(), policies::source(), vec(calls::call(), 20));
    let result = TestRunner::new(config).run(&case, |(old, new, calls)| {
        let (old, new) = (Bundle::assemble(old.0).unwrap(), Bundle::assemble(new.0).unwrap());
        let standing = desk::standing(&new);
        for call in calls.iter().filter(|call| has_one_of_each_name(call)) {
            let then = old.decide_input(&call.input, &standing, &call.delegations, &[]).output;
            let now = new.decide_input(&call.input, &standing, &call.delegations, &[]).output;
            let record = record(&old, call, &then);
            let what = match replay(&new, &record, &standing, &call.delegations, &mut Worker::new()) {
                Ok(Replayed { verdict, code, rule, would: _ }) => {
                    prop_assert_eq!((verdict, code), (now.verdict, now.code), "{:?}", record.values);
                    prop_assert!(rule.is_none() || rule == now.rule, "{rule:?} {:?}", now.rule);
                    verdict.as_str()
                }
                Err(unjudged) => unjudged.reason(),
            };
            *counts.borrow_mut().entry(what).or_default() += 1;
        }
        Ok(())
    });
    result.unwrap();
    let counts = counts.into_inner();
    println!("{counts:?}");
    for (what, least) in
        [("allow", 50), ("hold", 20), ("deny", 300), ("hidden", 300), ("noDeclaration", 300), ("rego", 50)]
    {
        assert!(counts.get(what).copied().unwrap_or_default() >= least, "{what} is too rare: {counts:?}");
    }
}

#[test]
fn what_a_record_hides_is_named() {
    let bundle = |field: &str| {
        let rule = json!({"name": "r", "operations": ["*"], "effect": "Allow", "when": [
            {"field": field, "predicate": {"equals": {"text": "7"}}}]});
        Bundle::assemble(policies::with(&[json!({"name": "p", "tools": ["desk"], "rules": [rule]})])).unwrap()
    };
    let old = bundle("amount");
    let call = calls::of(&json!({"amount": "7", "kind": "7", "lines": [{"price": 7}]}));
    let standing = desk::standing(&old);
    let then = old.decide_input(&call.input, &standing, &call.delegations, &[]).output;
    let record = record(&old, &call, &then);
    let again = |field: &str| replay(&bundle(field), &record, &standing, &call.delegations, &mut Worker::new());
    assert_eq!(again("amount").unwrap().rule, then.rule);
    for hidden in ["kind", "lines[*].price", "$fact.thing.total", "every", "name"] {
        assert_eq!(again(hidden), Err(Unjudged::Hidden(vec![hidden.to_owned()])), "{hidden}");
    }
    assert!(again("$agent.tenant").unwrap().rule.is_none());

    let mut other = policies::with(&[]);
    other.tools[0].operations[1].timeout_seconds = 6;
    let other = Bundle::assemble(other).unwrap();
    assert_eq!(
        replay(&other, &record, &standing, &call.delegations, &mut Worker::new()),
        Err(Unjudged::OtherDeclaration)
    );
    let refused = DecisionRecord { decision: DecisionOutput { rules: Vec::new(), ..then }, ..record };
    assert_eq!(replay(&old, &refused, &standing, &call.delegations, &mut Worker::new()), Err(Unjudged::NotReached));
}

#[test]
fn a_module_is_asked_again_where_the_record_holds_what_it_reads() {
    let bundle = |reads: &str| {
        let says = r#"{"effect": "Deny", "reason": "r", "message": "m"}"#;
        let module = format!("package aegis\n\nverdicts contains {says} if {reads}\n");
        let rule = json!({"name": "all", "operations": ["*"], "effect": "Allow"});
        let policy = json!({"name": "p", "tools": ["desk"], "rules": [rule], "rego": {"module": module}});
        Bundle::assemble(policies::with(&[policy])).unwrap()
    };
    let old = bundle("input.arguments.amount == \"8\"");
    let call = calls::of(&json!({"amount": "7", "kind": "7"}));
    let standing = desk::standing(&old);
    let then = old.decide_input(&call.input, &standing, &call.delegations, &[]).output;
    assert_eq!(then.verdict, Verdict::Allow);
    let record = record(&old, &call, &then);
    let again = |reads: &str| replay(&bundle(reads), &record, &standing, &call.delegations, &mut Worker::new());
    assert_eq!(again("input.arguments.amount == \"8\"").unwrap().verdict, Verdict::Allow);
    let denied = again("{ input.arguments.amount == \"7\"; input.operation == \"write\" }").unwrap();
    assert_eq!((denied.code, denied.rule.unwrap().rule.as_str()), (Some(Code::RuleDenies), "rego"));
    for (reads, hidden) in [
        ("input.arguments.kind == \"7\"", &["kind"][..]),
        ("\"7\" in input.arguments", &["all arguments"]),
        ("input.facts.thing.total == 7", &["$fact"]),
        ("input == {}", &["$fact", "all arguments"]),
    ] {
        let hidden = hidden.iter().map(|path| (*path).to_owned()).collect();
        assert_eq!(again(reads), Err(Unjudged::Rego(hidden)), "{reads}");
    }
}
