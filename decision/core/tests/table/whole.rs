//! What stands around the rules: sanitizers, protected arguments, the agent's mode, bounds of delegations, and runs.

use std::collections::BTreeMap;

use aegis_decision::agent::Mode;
use aegis_decision::run::RunView;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::calls::{self, Call};
use crate::policies::{self, REGISTRIES, Source, TEXTS};

/// What each sanitizing rule may change. No two rules share a place, so that none contradicts another.
const CHANGED: [[&str; 2]; 3] = [["who", "lines[*].sku"], ["amount", "lines[*].price"], ["tags[*]", "link"]];

/// A bundle whose agent may be tried out, with sanitizers and with arguments whose origin is asked for.
pub fn source() -> impl Strategy<Value = Source> {
    let mode = prop_oneof![8 => Just(Mode::Enforce), 1 => Just(Mode::Audit), 1 => Just(Mode::Propose)];
    let entries = prop_oneof![3 => Just(Vec::<Value>::new()), 1 => vec(entry(), 1..3)];
    let sanitizing = proptest::option::weighted(0.3, sanitizing());
    (policies::source(1), mode, entries, sanitizing).prop_map(|(Source(mut source), mode, entries, sanitizing)| {
        source.agent.mode = mode;
        source.policies[0].provenance = serde_json::from_value(Value::from(entries)).expect("entries");
        if let Some(rules) = sanitizing {
            let policy = json!({"name": "s", "tools": ["desk"], "rules": rules, "registries": REGISTRIES});
            source.policies.push(serde_json::from_value(policy).expect("a policy"));
        }
        Source(source)
    })
}

/// Up to three rules that sanitize, and others of the same policy.
fn sanitizing() -> impl Strategy<Value = Vec<Value>> {
    let rule = |[one, other]: [&'static str; 2]| {
        let transforms = (transform(one), proptest::option::of(transform(other)));
        (transforms, vec(policies::check(), 0..2)).prop_map(|((one, other), when)| {
            let transforms: Vec<Value> = std::iter::once(one).chain(other).collect();
            let when: Vec<Value> = when.into_iter().map(of_the_request).collect();
            json!({"effect": {"Sanitize": transforms}, "operations": ["write"], "when": when})
        })
    };
    let [first, second, third] = CHANGED.map(|fields| proptest::option::of(rule(fields)));
    (first, second, third, vec(policies::rule(), 0..3)).prop_map(|(first, second, third, others)| {
        let sanitizing = [first, second, third].into_iter().flatten();
        let named = |(at, mut rule): (usize, Value)| {
            rule["name"] = json!(format!("s{at}"));
            rule
        };
        sanitizing.chain(others).enumerate().map(named).collect::<Vec<_>>()
    })
}

fn transform(field: &'static str) -> impl Strategy<Value = Value> {
    let actions = if matches!(field, "amount" | "lines[*].price") {
        vec![
            json!("remove"),
            json!({"round": {"scale": 0, "mode": "HalfEven"}}),
            json!({"round": {"scale": 1, "mode": "Down"}}),
            json!({"set": {"integer": 7}}),
        ]
    } else {
        vec![
            json!("remove"),
            json!({"mask": {"keep": 1, "end": "End"}}),
            json!({"truncate": {"characters": 1}}),
            json!({"set": {"text": "a"}}),
        ]
    };
    select(actions).prop_map(move |action| json!({"field": field, "action": action}))
}

/// The check, or the nearest one that a sanitizing rule may have: it looks at the request only.
fn of_the_request(mut check: Value) -> Value {
    if check["field"].as_str().is_some_and(|field| field.starts_with('$')) {
        check["field"] = json!("name");
    }
    if check["predicate"].get("document").is_some() {
        check["predicate"] = json!("exists");
    }
    check
}

/// An argument whose origin is asked for.
fn entry() -> impl Strategy<Value = Value> {
    let field = select(vec!["name", "who", "tags[*]", "lines[*].sku", "link"]);
    let sources = vec!["Delegation", "Request", "Registry:people", "Registry:nowhere", "Response:mail"];
    let unknown = prop_oneof![
        2 => Just(json!("Allow")),
        1 => Just(json!({"Hold": {"tier": "lead", "holdSeconds": 1}})),
        1 => Just(json!("Deny")),
    ];
    (field, subsequence(sources, 1..4), unknown).prop_map(
        |(field, from, unknown)| json!({"operations": ["write"], "field": field, "from": from, "unknown": unknown}),
    )
}

/// Any call, some in a run, some under a delegation with bounds, some with values that the delegator supplied.
pub fn call() -> impl Strategy<Value = Call> {
    let bounds = prop_oneof![12 => Just(Vec::<Value>::new()), 1 => vec(bound(), 1..3)];
    let known = proptest::option::of(select(TEXTS.to_vec()));
    (calls::call(), bounds, known, proptest::option::of(run())).prop_map(|(mut call, bounds, known, run)| {
        for delegation in &mut call.delegations {
            delegation.data = serde_json::from_value(Value::from(bounds.clone())).expect("bounds");
            if let Some(text) = known {
                delegation.inputs.insert("known".to_owned(), text.to_owned());
                delegation.request = Some(format!("Pay {text} today"));
            }
        }
        (call.input.run, call.input.run_view) = run.unzip();
        call
    })
}

fn bound() -> impl Strategy<Value = Value> {
    let bounds = vec![
        json!({"dimension": "amount", "bound": {"atMost": {"value": "7.5"}}}),
        json!({"dimension": "amount", "bound": {"atMost": {"value": "100", "currency": "EUR"}}}),
        json!({"dimension": "supplier", "bound": {"in": ["a", "b", "INV-7"]}}),
        json!({"dimension": "region", "bound": {"in": ["a", "7"]}}),
        json!({"dimension": "account", "bound": {"in": ["a"]}}),
    ];
    select(bounds)
}

/// A run and what is known of it.
fn run() -> impl Strategy<Value = (String, RunView)> {
    let outcomes = btree_map(select(vec!["look", "write"]), (0..3_u32, 0..2_u32), 0..3);
    let origin = (select(vec!["name", "tags[0]", "link"]), select(vec!["mail", "web"]), any::<bool>());
    (select(vec!["r1", "r2", "r3"]), proptest::bool::weighted(0.9), outcomes, origin).prop_map(
        |(run, complete, outcomes, (path, tool, whole))| {
            let outcomes: BTreeMap<_, _> = outcomes
                .into_iter()
                .map(|(name, (succeeded, uncertain))| (name, json!({"succeeded": succeeded, "uncertain": uncertain})))
                .collect();
            let place = json!({"tool": tool, "operation": "read", "path": "x", "whole": whole});
            let view = json!({"complete": complete, "outcomes": outcomes, "origins": {path: [place]}});
            let view: RunView = serde_json::from_value(view).expect("a view");
            (run.to_owned(), view)
        },
    )
}
