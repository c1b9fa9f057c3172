//! Laws of sanitizing, on generated bodies and rules, and the same outcome as a plain reading of what the actions mean.

// A helper fails as a test does; the lints' own exceptions cover test functions only.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_in_result,
    clippy::unwrap_used
)]

mod answers;
mod generate;
mod redacted;
mod reference;

use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::call::{HttpRequest, ToolCall};
use aegis_decision::json;
use aegis_decision::policy::Transform;
use aegis_decision::sanitize::SanitizeProblem;
use generate::{body, transform};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

/// A bundle in which each transform is a rule of its own, in two policies.
fn bundle(transforms: &[Transform]) -> Result<Bundle, AssembleError> {
    let rules = |half: usize| -> Vec<Value> {
        let of_half = transforms.iter().enumerate().filter(|(at, _)| at % 2 == half);
        let rule = |(at, transform): (usize, &Transform)| json!({"name": format!("r{at}"), "operations": ["send"], "effect": {"Sanitize": [transform]}});
        of_half.map(rule).collect()
    };
    let source: BundleSource = serde_json::from_value(json!({
        "agent": {"namespace": "n", "name": "clerk", "uid": "u1", "tenant": "t", "businessUnit": "b", "owner": "o",
                  "version": "1", "ceiling": "Commit", "serviceAccount": "clerk", "maxStalenessSeconds": 60,
                  "tokenTtlSeconds": 300},
        "tools": [{"name": "post", "uid": "t1", "endpoint": {"scheme": "https", "host": "post.example", "port": 443,
                   "basePath": ""}, "allowPrivateAddresses": false,
                   "operations": [{"name": "send", "class": "Draft", "timeoutSeconds": 5,
                                   "http": {"method": "POST", "path": "/send"}}],
                   "limits": {"requestBytes": 100_000, "responseBytes": 1000, "concurrency": 1}}],
        "policies": [{"name": "one", "tools": ["post"], "rules": rules(0)}, {"name": "two", "tools": ["post"], "rules": rules(1)}],
        "registries": [],
        "tiers": [],
    }))
    .unwrap();
    Bundle::assemble(source)
}

fn named(bundle: &Bundle, body: &[u8]) -> ToolCall {
    let headers = [("content-type".to_owned(), "application/json".to_owned())];
    let request = HttpRequest { method: "POST", path: "/send", query: None, headers: &headers, body };
    bundle.name_call("post", &request).expect("a strict body")
}

fn text(value: &json::Value) -> String {
    String::from_utf8(json::emit(value)).unwrap()
}

/// How often each outcome came, so that the laws are not held by cases that say nothing.
#[derive(Debug, Default)]
struct Seen {
    changed: u32,
    same: u32,
    failed: u32,
    conflicts: u32,
    several: u32,
}

#[test]
fn sanitizing_is_what_a_plain_reading_says() {
    let mut runner = TestRunner::new(Config { cases: 4_000, failure_persistence: None, ..Config::default() });
    let seen = std::cell::RefCell::new(Seen::default());
    let cases = (body(), vec(transform(), 1..5));
    let outcome = runner.run(&cases, |(body, transforms)| {
        let mut seen = seen.borrow_mut();
        let bundle = match bundle(&transforms) {
            Ok(bundle) => bundle,
            Err(AssembleError::Sanitize { error, .. }) => {
                prop_assert!(matches!(*error, SanitizeProblem::Conflict { .. }), "{error}");
                seen.conflicts += 1;
                return Ok(());
            }
            // One element taken out of a list.
            Err(AssembleError::Rule { .. }) => return Ok(()),
            Err(other) => panic!("{other}"),
        };
        let bytes = serde_json::to_vec(&body).unwrap();
        let call = named(&bundle, &bytes);

        // By name or as a request, it is the same.
        let by_name = bundle.call_of("post", "send", json::parse(&bytes).unwrap()).unwrap();
        prop_assert_eq!(&by_name.arguments, &call.arguments);
        prop_assert_eq!(&by_name.sanitation, &call.sanitation);

        // The order of rules and policies is nothing.
        let mut reversed = transforms.clone();
        reversed.reverse();
        let other = named(&bundle_of(&reversed), &bytes);
        prop_assert_eq!(&other.arguments, &call.arguments);
        prop_assert_eq!(other.sanitation.failure.is_some(), call.sanitation.failure.is_some());
        let places = |call: &ToolCall| -> Vec<_> {
            call.sanitation.changed.iter().map(|one| (one.field.clone(), one.action.clone())).collect()
        };
        prop_assert_eq!(places(&other), places(&call));

        match reference::sanitized(&body, &transforms) {
            Err(reference::Impossible) => {
                seen.failed += 1;
                let failure = call.sanitation.failure.as_ref();
                prop_assert!(failure.is_some(), "{:?}", call.arguments);
                prop_assert!(call.request.is_none(), "there is something to send");
                prop_assert_eq!(text(&call.arguments), "{}");
                prop_assert!(call.sanitation.changed.is_empty());
            }
            Ok(expected) => {
                prop_assert_eq!(&call.sanitation.failure, &None);
                let expected = serde_json::to_string(&expected).unwrap();
                prop_assert_eq!(&text(&call.arguments), &expected, "arguments");
                let sent = call.request.as_ref().expect("a request").body_bytes();
                prop_assert_eq!(&String::from_utf8(sent).unwrap(), &expected, "what is sent");
                let same = expected == text(&json::parse(&bytes).unwrap());
                prop_assert_eq!(call.sanitation.changed.is_empty(), same, "what is said to have changed");
                seen.several += u32::from(call.sanitation.changed.len() > 1);
                *(if same { &mut seen.same } else { &mut seen.changed }) += 1;

                // Twice is once.
                let again = named(&bundle, expected.as_bytes());
                prop_assert_eq!(text(&again.arguments), expected);
                prop_assert_eq!(again.sanitation.changed, Vec::new());
                prop_assert_eq!(again.sanitation.failure, None);
            }
        }
        Ok(())
    });
    let seen = seen.into_inner();
    println!("{seen:?}");
    outcome.unwrap_or_else(|error| panic!("{error}"));
    for (what, count) in [
        ("changed", seen.changed),
        ("same", seen.same),
        ("failed", seen.failed),
        ("conflicts", seen.conflicts),
        ("several", seen.several),
    ] {
        assert!(count >= 100, "only {count} cases are {what}: {seen:?}");
    }
}

fn bundle_of(transforms: &[Transform]) -> Bundle {
    bundle(transforms).unwrap_or_else(|error| panic!("in another order it is refused: {error}"))
}

/// A place that no path leads to is emitted byte for byte as without any rule.
#[test]
fn what_no_path_covers_is_left_alone() {
    let other = transform().prop_map(|mut transform| {
        transform.field.steps[0] = aegis_decision::path::Step::Key("elsewhere".to_owned());
        transform
    });
    let mut runner = TestRunner::new(Config { cases: 500, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(body(), body(), other), |(body, elsewhere, transform)| {
        let Ok(bundle) = bundle(std::slice::from_ref(&transform)) else { return Ok(()) };
        let mut whole = body.clone();
        whole["elsewhere"] = elsewhere;
        let call = named(&bundle, &serde_json::to_vec(&whole).unwrap());
        if call.sanitation.failure.is_none() {
            let untouched = serde_json::to_string(&body).unwrap();
            let sent = text(&call.arguments);
            let common = untouched.trim_end_matches('}');
            prop_assert!(sent.starts_with(common), "{sent} does not begin with {common}");
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// Values that are added are bounded like values that came.
#[test]
fn what_is_added_stays_within_the_limits() {
    let set = json!({"field": "lines[*].by", "action": {"set": {"text": "x".repeat(256)}}});
    let set: Transform = serde_json::from_value(set).unwrap();
    let bundle = bundle(&[set]).unwrap();
    let body = |lines: usize| serde_json::to_vec(&json!({"lines": vec![json!({}); lines]})).unwrap();
    assert_eq!(named(&bundle, &body(300)).sanitation.failure, None);
    let too_large = named(&bundle, &body(500));
    assert!(too_large.sanitation.failure.unwrap().to_string().contains("larger than the tool allows"));
    let too_many = named(&bundle, &body(6_000));
    assert!(too_many.sanitation.failure.unwrap().to_string().contains("10000 values"));
    assert_eq!((too_many.request, text(&too_many.arguments)), (None, "{}".to_owned()));
}
