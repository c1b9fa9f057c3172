//! No match of a pattern and no value of a redacted place is left in an answer that is passed on.

use std::cell::RefCell;

use aegis_decision::path::Step;
use aegis_decision::policy::transform::{Action, End};
use aegis_decision::sanitize::{RESPONSE_LIMITS, RedactError, RedactionError, Redactor};
use aegis_decision::tool::Redaction;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use regex::Regex;
use serde_json::{Value, json};

use crate::answers::{answer, pattern, redactions, text};

const JSON: Option<&str> = Some("application/json");

/// How often each outcome came.
#[derive(Debug, Default)]
struct Seen {
    changed: u32,
    same: u32,
    withheld: u32,
    conflicts: u32,
}

fn run<S: Strategy>(cases: u32, of: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner.run(of, test).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_match_and_no_redacted_value_survives() {
    let seen = RefCell::new(Seen::default());
    run(2_000, &(answer(), redactions()), |(answer, redactions)| {
        let mut seen = seen.borrow_mut();
        let redactor = match Redactor::compile(&redactions) {
            Ok(redactor) => redactor.expect("there are some"),
            Err(RedactionError::Conflict { .. }) => {
                seen.conflicts += 1;
                return Ok(());
            }
            Err(other) => panic!("{other}"),
        };
        let came = serde_json::to_vec(&answer).unwrap();
        let left = match redactor.redact(JSON, &came) {
            Ok(left) => left,
            Err(error) => {
                prop_assert!(matches!(error, RedactError::Shape(_) | RedactError::Key), "{error}");
                seen.withheld += 1;
                return Ok(());
            }
        };
        let left: Value = serde_json::from_slice(&left).unwrap();
        *(if left == answer { &mut seen.same } else { &mut seen.changed }) += 1;
        for redaction in &redactions {
            prop_assert!(is_done(redaction, &left), "{redaction:?} left {left}");
        }
        Ok(())
    });
    let seen = seen.into_inner();
    println!("{seen:?}");
    let least = [(seen.changed, 200), (seen.same, 20), (seen.withheld, 20), (seen.conflicts, 20)];
    assert!(least.into_iter().all(|(count, least)| count >= least), "{seen:?}");
}

#[test]
fn no_match_survives_in_plain_text() {
    let changed = RefCell::new(0_u32);
    run(800, &(text(), vec(pattern(), 1..5)), |(text, patterns)| {
        let everywhere = |pattern: &String| Redaction::Pattern { pattern: pattern.clone(), field: None };
        let redactions: Vec<_> = patterns.iter().map(everywhere).collect();
        let redactor = Redactor::compile(&redactions).unwrap().expect("there are some");
        let left = redactor.redact(Some("text/plain"), text.as_bytes()).unwrap();
        let left = String::from_utf8(left).unwrap();
        for pattern in &patterns {
            prop_assert!(!Regex::new(pattern).unwrap().is_match(&left), "{pattern} matches {left:?}");
        }
        prop_assert_eq!(left.chars().count(), text.chars().count());
        prop_assert!(left.chars().zip(text.chars()).all(|(left, came)| left == came || left == '*'), "{left:?}");
        *changed.borrow_mut() += u32::from(left != text);
        Ok(())
    });
    let changed = changed.into_inner();
    assert!(changed >= 200, "only {changed} texts had a match");
}

/// What is too much to be looked through is withheld whole, though nothing in it matches.
#[test]
fn an_answer_over_a_limit_is_withheld() {
    let by_pattern = Redaction::Pattern { pattern: "[0-9]{13,19}".to_owned(), field: None };
    let redactor = Redactor::compile(&[by_pattern]).unwrap().unwrap();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let long = |nodes: usize| Value::from(vec![7; nodes]).to_string();
    let named = |bytes: usize| json!({"k".repeat(bytes): 1}).to_string();
    let [depth, nodes, bytes] = [RESPONSE_LIMITS.depth, RESPONSE_LIMITS.nodes, RESPONSE_LIMITS.key_bytes];
    for within in [nested(depth - 1), long(nodes - 1), named(bytes)] {
        assert_eq!(redactor.redact(JSON, within.as_bytes()), Ok(within.into_bytes()));
    }
    for beyond in [nested(depth + 1), long(nodes + 1), named(bytes + 1)] {
        let answered = redactor.redact(JSON, beyond.as_bytes());
        assert!(matches!(answered, Err(RedactError::Json(_))), "{} bytes: {answered:?}", beyond.len());
    }
}

/// Whether nothing of what it takes out is left.
fn is_done(redaction: &Redaction, left: &Value) -> bool {
    match redaction {
        Redaction::Pattern { pattern, field } => {
            let regex = Regex::new(pattern).unwrap();
            let steps = field.as_ref().map_or(&[] as &[Step], |field| field.steps.as_slice());
            at(left, steps).into_iter().all(|value| !is_matched(value, &regex))
        }
        Redaction::At(transform) => {
            let mut values = at(left, &transform.field.steps).into_iter().filter(|value| !value.is_null());
            match transform.action {
                Action::Mask { keep, end } => {
                    values.all(|value| value.as_str().is_some_and(|text| is_masked(text, keep, end)))
                }
                Action::Truncate { characters } => values.all(|value| {
                    value.as_str().is_some_and(|text| text.chars().count() <= usize::try_from(characters).unwrap())
                }),
                _ => at(left, &transform.field.steps).is_empty(),
            }
        }
    }
}

/// Whether only stars stand there, but for so many characters at one end of a longer text.
fn is_masked(text: &str, keep: u8, end: End) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let keep = if characters.len() > usize::from(keep) { usize::from(keep) } else { 0 };
    let hidden = match end {
        End::Start => &characters[keep..],
        End::End => &characters[..characters.len() - keep],
    };
    hidden.iter().all(|character| *character == '*')
}

/// Whether a text, a number or a name in it has a match.
fn is_matched(value: &Value, regex: &Regex) -> bool {
    match value {
        Value::Null | Value::Bool(_) => false,
        Value::Number(number) => regex.is_match(&number.to_string()),
        Value::String(text) => regex.is_match(text),
        Value::Array(items) => items.iter().any(|item| is_matched(item, regex)),
        Value::Object(object) => object.iter().any(|(name, member)| regex.is_match(name) || is_matched(member, regex)),
    }
}

/// All that the path leads to.
fn at<'a>(value: &'a Value, steps: &[Step]) -> Vec<&'a Value> {
    let Some((step, rest)) = steps.split_first() else { return vec![value] };
    let next: Vec<&Value> = match (step, value) {
        (Step::Key(name), Value::Object(object)) => object.get(name).into_iter().collect(),
        (Step::Index(index), Value::Array(items)) => items.get(*index).into_iter().collect(),
        (Step::All, Value::Array(items)) => items.iter().collect(),
        _ => Vec::new(),
    };
    next.into_iter().flat_map(|value| at(value, rest)).collect()
}
