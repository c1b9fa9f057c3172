//! What is proven of rules holds of every generated call: a check that is never truer than another is not, two that are
//! never true together are not, and a rule that never decides does not.

// A generated value that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../table/calls.rs"]
mod calls;
#[path = "../support/desk.rs"]
mod desk;
mod policies;
mod replay;
#[path = "../support/seeded.rs"]
mod seeded;

use std::cell::RefCell;
use std::collections::BTreeMap;

use aegis_decision::bundle::Bundle;
use aegis_decision::decision::{CheckOutcome, DecisionOutput, Truth};
use aegis_decision::policy::{Check, Effect, Rule};
use aegis_decision::rules::proof::{self, Place};
use aegis_decision::tool::Operation;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

/// Bundles of a run.
const BUNDLES: u32 = 1_500;
/// Calls that each of them judges.
const CALLS: usize = 12;

/// How often each proof was used at least: a generator without any shows nothing.
const LEAST: [(&str, usize); 6] =
    [("at most", 300), ("implies", 300), ("excludes", 3_000), ("never true", 100), ("shadowed", 250), ("denied", 200)];

#[test]
fn what_is_proven_holds_of_every_call() {
    let counts = RefCell::new(BTreeMap::<&'static str, usize>::new());
    let case = (policies::source(), vec(calls::call(), CALLS));
    let seed = seeded::run(BUNDLES, &case, |(source, calls)| {
        let bundle = Bundle::assemble(source.0).expect("generated policies are well formed");
        let proven = Proven::of(&bundle, &mut counts.borrow_mut());
        let standing = desk::standing(&bundle);
        for call in &calls {
            let output = bundle.decide_input_in_full(&call.input, &standing, &call.delegations, &[]).output;
            proven.hold_of(&output)?;
        }
        Ok(())
    });
    let counts = counts.into_inner();
    println!("seed {seed}: {counts:?}");
    for (proof, least) in LEAST {
        let count = counts.get(proof).copied().unwrap_or_default();
        assert!(count >= least, "{proof} was proven {count} times only");
    }
}

/// Where a check stands in the output of a decision: rule, check.
type At = (usize, usize);

/// What was proven of a bundle.
#[derive(Default)]
struct Proven {
    at_most: Vec<(At, At)>,
    implies: Vec<(At, At)>,
    excludes: Vec<(At, At)>,
    /// Policy and name of rules that never decide.
    silent: Vec<(String, String)>,
}

impl Proven {
    fn of(bundle: &Bundle, counts: &mut BTreeMap<&'static str, usize>) -> Self {
        let mut proven = Self::default();
        let mut count = |what| *counts.entry(what).or_default() += 1;
        let source = bundle.source();
        let operation = source.tools[0].operation("write").unwrap();
        let places: Vec<Place<'_>> = source
            .policies
            .iter()
            .filter(|policy| policy.applies_to("clerk", "desk"))
            .flat_map(|policy| policy.rules.iter().enumerate().map(move |(index, rule)| Place { policy, index, rule }))
            .filter(|place| place.rule.applies_to("write"))
            .collect();
        let checks: Vec<(At, &Check)> = places
            .iter()
            .enumerate()
            .flat_map(|(at, place)| place.rule.when.iter().enumerate().map(move |(check, one)| ((at, check), one)))
            .collect();
        for (at, one) in &checks {
            for (other_at, other) in checks.iter().filter(|(other_at, _)| other_at != at) {
                let (one, other) = (std::slice::from_ref(*one), std::slice::from_ref(*other));
                if proof::at_most(one, other, operation) {
                    count("at most");
                    proven.at_most.push((*at, *other_at));
                } else if proof::implies(one, other, operation) {
                    count("implies");
                    proven.implies.push((*at, *other_at));
                }
                if proof::never_true(&[one[0].clone(), other[0].clone()], operation).is_some() {
                    count("excludes");
                    proven.excludes.push((*at, *other_at));
                }
            }
        }
        for place in &places {
            let name = (place.policy.name.clone(), place.rule.name.clone());
            if is_dead(place.rule, operation) {
                count("never true");
                proven.silent.push(name.clone());
            }
            for other in &places {
                if let Some(shadow) = proof::shadow(place, other, "desk", operation) {
                    count(if shadow == proof::Shadow::Denied { "denied" } else { "shadowed" });
                    proven.silent.push(name.clone());
                }
            }
        }
        proven
    }

    fn hold_of(&self, output: &DecisionOutput) -> Result<(), TestCaseError> {
        if let Some(rule) = &output.rule {
            let decided = (rule.policy.clone(), rule.rule.clone());
            prop_assert!(!self.silent.contains(&decided), "{decided:?} decided");
        }
        if output.rules.is_empty() {
            // Refused before any rule was asked.
            return Ok(());
        }
        let check = |at: At| -> &CheckOutcome { &output.rules[at.0].checks[at.1] };
        for (one, other) in &self.at_most {
            let (one, other) = (check(*one), check(*other));
            prop_assert!(rank(one.truth) <= rank(other.truth), "{one:?} is truer than {other:?}");
        }
        for (one, other) in &self.implies {
            let (one, other) = (check(*one), check(*other));
            prop_assert!(one.truth != Truth::True || other.truth == Truth::True, "{one:?} without {other:?}");
        }
        for (one, other) in &self.excludes {
            let (one, other) = (check(*one), check(*other));
            prop_assert!(one.truth != Truth::True || other.truth != Truth::True, "{one:?} beside {other:?}");
        }
        Ok(())
    }
}

/// An Allow rule that is never true never decides; the others may, where they cannot be told.
fn is_dead(rule: &Rule, operation: &Operation) -> bool {
    rule.effect == Effect::Allow && proof::never_true(&rule.when, operation).is_some()
}

fn rank(truth: Truth) -> u8 {
    match truth {
        Truth::False => 0,
        Truth::Indeterminate => 1,
        Truth::True => 2,
    }
}

/// Pairs that look comparable, each with arguments that show that they are not: nothing may be proven of them.
#[test]
fn what_a_call_disproves_is_not_proven() {
    let pairs = [
        // A text of another spelling equals the number only.
        (json!({"equals": {"integer": 7}}), json!({"equals": {"text": "7"}}), json!({"amount": "7.0"})),
        // A number has no prefix.
        (json!({"equals": {"text": "7"}}), json!({"prefix": "7"}), json!({"amount": 7})),
        (json!({"atMost": {"value": "7"}}), json!({"lessThan": {"value": "7"}}), json!({"amount": 7})),
        (json!({"prefix": "a"}), json!({"prefix": "ab"}), json!({"amount": "a"})),
        (json!("exists"), json!({"atMost": {"value": "7"}}), json!({"amount": 8})),
        (json!("absent"), json!("exists"), json!({})),
        (
            json!({"atMost": {"value": "7"}}),
            json!({"atMost": {"value": "7", "currency": {"code": "EUR", "field": "currency"}}}),
            json!({"amount": 7, "currency": "USD"}),
        ),
    ];
    for (lower, upper, arguments) in pairs {
        let check = |predicate| json!({"field": "amount", "predicate": predicate});
        let rule = json!({"name": "r", "operations": ["*"], "effect": "Allow", "when": [check(lower), check(upper)]});
        let policy = json!({"name": "p", "tools": ["desk"], "rules": [rule]});
        let bundle = Bundle::assemble(policies::with(&[policy])).unwrap();
        let call = calls::of(&arguments);
        let output = bundle.decide_input_in_full(&call.input, &desk::standing(&bundle), &call.delegations, &[]).output;
        let checks = &output.rules[0].checks;
        assert!(rank(checks[0].truth) > rank(checks[1].truth), "{arguments} is no counterexample: {checks:?}");
        let when = &bundle.source().policies[0].rules[0].when;
        let operation = bundle.source().tools[0].operation("write").unwrap();
        assert!(!proof::at_most(&when[..1], &when[1..], operation), "{when:?}");
        assert!(!proof::implies(&when[..1], &when[1..], operation), "{when:?}");
    }
}
