//! The machine, with its input narrowed and its work paid for, says what regorus' interpreter says of the whole document.

use std::collections::BTreeSet;

use aegis_decision::rego::Worker;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::interpreter::compared;
use crate::scene::{ask_by, module, scene};
use crate::support::agree::told;
use crate::support::situation::Scene;

/// Modules that together use what the language has. Each verdict's reason is its own, so that what was said shows.
const MODULES: &[&str] = &[
    r#"verdicts contains {"effect": "Deny", "reason": "large", "message": "m"} if input.arguments.amount > 50
verdicts contains {"effect": "Deny", "reason": "whole", "message": "m"} if round(input.arguments.amount) == input.arguments.amount"#,
    r#"total := sum([price | some line in input.arguments.lines; price := line.price * line.count])
verdicts contains {"effect": "Deny", "reason": "adds_up", "message": "m"} if total == input.arguments.amount
verdicts contains {"effect": "Deny", "reason": "does_not", "message": "m"} if total != input.arguments.amount"#,
    r#"names := {line.name | some line in input.arguments.lines}
wanted := {"a", "b"}
verdicts contains {"effect": "Deny", "reason": "missing", "message": "m"} if count(wanted - names) > 0
verdicts contains {"effect": "Deny", "reason": "common", "message": "m"} if count(wanted & names) > 0
verdicts contains {"effect": "Deny", "reason": "many", "message": "m"} if count(wanted | names) > 3"#,
    r#"default tier := "none"
tier := "high" if input.arguments.amount > 60 else := "low" if input.arguments.amount > 20
verdicts contains {"effect": "Deny", "reason": "is_high", "message": "m"} if tier == "high"
verdicts contains {"effect": "Deny", "reason": "is_low", "message": "m"} if tier == "low"
verdicts contains {"effect": "Deny", "reason": "is_none", "message": "m"} if tier == "none""#,
    r#"grade(n) := "even" if n % 2 == 0 else := "odd" if n % 2 == 1
verdicts contains {"effect": "Deny", "reason": "all_even", "message": "m"} if every line in input.arguments.lines { grade(line.count) == "even" }
verdicts contains {"effect": "Deny", "reason": "some_odd", "message": "m"} if { some line in input.arguments.lines; grade(line.count) == "odd" }"#,
    r#"by_name[name] := prices if { some line in input.arguments.lines; name := line.name; prices := {other.price | some other in input.arguments.lines; other.name == name} }
verdicts contains {"effect": "Deny", "reason": "two_prices", "message": "m"} if { some name; count(by_name[name]) > 1 }
verdicts contains {"effect": "Deny", "reason": "ordered", "message": "m"} if { prices := [line.price | some line in input.arguments.lines]; prices == sort(prices) }"#,
    r#"size := "small" if count(input.arguments.lines) < 2 else := "middle" if count(input.arguments.lines) < 4 else := "large"
verdicts contains {"effect": "Deny", "reason": "small", "message": "m"} if size == "small"
verdicts contains {"effect": "Deny", "reason": "middle", "message": "m"} if size == "middle"
verdicts contains {"effect": "Deny", "reason": "large", "message": "m"} if size == "large"
verdicts contains {"effect": "Deny", "reason": "not_a", "message": "m"} if not first_is_a
first_is_a if input.arguments.lines[0].name == "a"
verdicts contains {"effect": "Deny", "reason": "indexed", "message": "m"} if { some i, line in input.arguments.lines; line.count == i }"#,
    r#"texts := [upper(line.name) | some line in input.arguments.lines]
verdicts contains {"effect": "Deny", "reason": "has_c", "message": "m"} if "C" in texts
verdicts contains {"effect": "Deny", "reason": "starts", "message": "m"} if { some text in split(input.arguments.note, " "); startswith(text, "pay") }
verdicts contains {"effect": "Deny", "reason": "got", "message": "m"} if object.get(input.arguments, "none", 7) == 7
verdicts contains {"effect": "Deny", "reason": "part", "message": "m"} if substring(input.arguments.note, 0, 3) == "pay""#,
    r#"verdicts contains {"effect": "Deny", "reason": "who", "message": "m"} if { input.agent.name == "buyer"; input.delegation.workflow != ""; input.operation == "orders.create"; input.seconds > 0 }
verdicts contains {"effect": "Deny", "reason": "keys", "message": "m"} if "note" in object.keys(input.arguments)"#,
    r#"verdicts contains {"effect": "Deny", "reason": "fails", "message": "m"} if count(input.arguments.amount) > 0"#,
    r#"share := input.arguments.amount / count(input.arguments.lines)
verdicts contains {"effect": "Deny", "reason": "any", "message": "m"} if share > 10
verdicts contains {"effect": "Deny", "reason": "none", "message": "m"} if not share"#,
];

fn arguments() -> impl Strategy<Value = Value> {
    let line = (0..4_usize, 0..30_i64, 0..6_i64)
        .prop_map(|(name, price, count)| (["a", "b", "c", "dd"][name], price, count))
        .prop_map(|(name, price, count)| json!({"name": name, "price": price, "count": count}));
    let amount = prop_oneof![(0..100_i64).prop_map(Value::from), (0..400_i32).prop_map(|n| json!(f64::from(n) / 4.0))];
    let note = prop_oneof![Just("pay now".to_owned()), Just(String::new()), "[a-z ]{0,12}"];
    (amount, prop::collection::vec(line, 0..6), note)
        .prop_map(|(amount, lines, note)| json!({"amount": amount, "supplier": "s-2", "lines": lines, "note": note}))
}

#[test]
fn the_machine_says_what_the_interpreter_says() {
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let mut worker = Worker::new();
    let (mut failed, mut said) = (0, BTreeSet::new());
    for (index, body) in MODULES.iter().enumerate() {
        let mut scene = scene(&module(body), &json!({})).unwrap_or_else(|error| panic!("module {index}: {error}"));
        for _ in 0..60 {
            let arguments = arguments().new_tree(&mut runner).unwrap().current();
            scene.input.arguments = Some(aegis_decision::json::parse(arguments.to_string().as_bytes()).unwrap());
            let Scene { bundle, input, standing, delegations } = &scene;
            match compared(bundle, input, standing, delegations).remove("p").expect("of the only policy") {
                Some(verdicts) => said.extend(verdicts.into_iter().map(|verdict| (index, verdict))),
                None => failed += 1,
            }
            // So does the machine of a worker that has judged other calls.
            let full = bundle.decide_input_in_full(input, standing, delegations, &[]).output;
            assert_eq!(ask_by(&mut worker, &scene).output, told(full), "module {index}, {arguments}");
        }
    }
    // Nothing is shown by modules that say nothing.
    assert!(failed > 20 && said.len() > 20, "{failed} failed, {} said", said.len());
}
