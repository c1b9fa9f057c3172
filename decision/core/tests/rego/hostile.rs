//! Modules that were written to cost: each one ends in a denial within its budget, and the next call costs what it cost
//! before. What is measured is units of work, which do not depend on the machine.

use aegis_decision::decision::Verdict;
use aegis_decision::rego::{FUEL, Worker};
use serde_json::json;

use crate::hostile_modules::{SAID, arguments, hostile};
use crate::scene::{ask, ask_by, denied, module, scene};

#[test]
fn a_hostile_module_ends_in_a_denial_within_its_budget() {
    for (name, body, says) in hostile() {
        let scene = scene(&module(&body), &arguments()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let first = ask(&scene);
        let (reason, sentence) = denied(&first);
        assert_eq!(reason, "rego_failed", "{name}: {sentence}");
        assert!(sentence.contains(says), "{name}: {sentence}");
        // The same call ends the same way and at the same place wherever it is judged.
        let again = ask(&scene);
        assert_eq!((first.output, first.spent), (again.output, again.spent), "{name}");
    }
}

#[test]
fn a_hostile_module_costs_other_calls_nothing() {
    let honest =
        scene(&module(&format!("verdicts contains {SAID} if input.arguments.amount < 100")), &arguments()).unwrap();
    let alone = ask(&honest);
    assert_eq!(alone.output.verdict, Verdict::Allow);
    assert!(alone.spent < 100, "{}", alone.spent);
    let mut worker = Worker::new();
    for (name, body, _) in hostile() {
        let hostile = scene(&module(&body), &arguments()).unwrap();
        ask_by(&mut worker, &hostile);
        let after = ask_by(&mut worker, &honest);
        assert_eq!((&after.output, after.spent), (&alone.output, alone.spent), "after {name}");
    }
}

/// Functions that call each other for ever: regorus refuses most of them, and the machine ends the others.
#[test]
fn recursion_ends() {
    for body in [
        "f(x) := f(x)\nverdicts contains v if v := f(1)",
        "f(x) := g(x)\ng(x) := f(x)\nverdicts contains v if v := f(1)",
        "a := b\nb := c\nc := b\nverdicts contains v if v := a",
        "verdicts contains v if some v in verdicts",
        "f(x) := [g(y) | some y in x]\ng(x) := [f(y) | some y in x]\nverdicts contains v if { some w in [[1], [2]]; v := f([w]); h(1) }\nh(x) := h2(x)\nh2(x) := h(x)",
    ] {
        match scene(&module(body), &arguments()) {
            Err(error) => assert!(error.to_string().contains("policy p: rego: "), "{error}"),
            Ok(scene) => {
                let asked = ask(&scene);
                assert_eq!(asked.output.verdict, Verdict::Deny, "{body}");
                assert!(asked.spent <= FUEL);
            }
        }
    }
}

#[test]
fn a_text_longer_than_modules_may_read_denies() {
    let body = format!("verdicts contains {SAID} if count(input.arguments.text) > 0");
    let long = json!({"amount": 1, "supplier": "s-2", "text": "a".repeat(65_537)});
    let (reason, sentence) = denied(&ask(&scene(&module(&body), &long).unwrap()));
    assert_eq!(reason, "rego_failed");
    assert!(sentence.contains("65536 bytes"), "{sentence}");
    // A module that does not read it does not mind.
    let other = format!("verdicts contains {SAID} if input.arguments.amount == 1");
    assert_eq!(ask(&scene(&module(&other), &long).unwrap()).output.verdict, Verdict::Allow);
}
