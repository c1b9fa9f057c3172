//! Failures that `Bundle::assemble` and the parser do not let happen, injected from inside the crate: each one must end
//! in a refusal or a hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use test_case::test_case;

use super::*;
use crate::agent::Agent;
use crate::bundle::BundleSource;
use crate::call::{Emitted, Encoding};
use crate::json::{Object, Value};
use crate::outline::Outline;
use crate::sanitize::Sanitation;
use crate::tool::Class;

/// Everything allowed but for what `rules` add.
fn bundle(rules: &serde_json::Value) -> Bundle {
    let operation = |name: &str, class: &str, path: &str| {
        json!({"name": name, "class": class, "http": {"method": "POST", "path": path}, "arguments": {"type": "object"},
               "facts": [], "timeoutSeconds": 5})
    };
    let mut all = vec![json!({"name": "all", "operations": ["*"], "effect": "Allow"})];
    all.extend(rules.as_array().cloned().unwrap_or_default());
    let source: BundleSource = serde_json::from_value(json!({
        "agent": {"namespace": "n", "name": "clerk", "uid": "u1", "tenant": "t", "businessUnit": "b", "owner": "o",
                  "version": "1", "ceiling": "Commit", "serviceAccount": "clerk", "maxStalenessSeconds": 60,
                  "tokenTtlSeconds": 300},
        "tools": [{"name": "post", "uid": "t1", "endpoint": {"scheme": "https", "host": "post.example", "port": 443,
                   "basePath": ""}, "allowPrivateAddresses": false,
                   "operations": [operation("send", "Commit", "/send"), operation("note", "Draft", "/note")],
                   "limits": {"requestBytes": 1000, "responseBytes": 1000, "concurrency": 1}}],
        "policies": [{"name": "rules", "tools": ["post"], "rules": all, "registries": ["people"]}],
        "registries": [{"name": "people", "key": "id", "entries": {"p1": {"mail": ["p1@post.example"]}}}],
        "tiers": [{"name": "lead", "minimum": 1, "separationOfDuties": [], "decideWithinSeconds": 60,
                   "releaseTtlSeconds": 60}],
    }))
    .unwrap();
    Bundle::assemble(source).unwrap()
}

fn ask() -> serde_json::Value {
    json!([{"name": "ask", "operations": ["send"], "effect": {"RequireApproval": {"tier": "lead"}}}])
}

fn call() -> ToolCall {
    let mut arguments = Object::new();
    arguments.insert("to", Value::String("p1".into())).unwrap();
    ToolCall {
        tool: "post".to_owned(),
        operation: "send".to_owned(),
        class: Class::Commit,
        request: Some(Emitted {
            method: "POST".to_owned(),
            url: "https://post.example/send".to_owned(),
            headers: Vec::new(),
            passed: Vec::new(),
            body: Some(Arc::new(Value::Object(arguments.clone()))),
            encoding: Encoding::Json,
        }),
        arguments: Arc::new(Value::Object(arguments)),
        sanitation: Sanitation::default(),
        delegation: None,
        run: None,
        approval: None,
        plan: None,
        idempotency_key: None,
        traceparent: None,
    }
}

fn standing(agent: &Agent) -> Standing {
    serde_json::from_value(json!({"lifecycle": "Active", "review": {
        "by": "r", "at": "2026-01-01T00:00:00Z", "digest": agent.review_digest(),
    }}))
    .unwrap()
}

fn delegation() -> Delegation {
    serde_json::from_value(json!({
        "name": "d", "uid": "d1", "generation": 1, "agent": "clerk", "requestedBy": "x", "delegator": "x",
        "workflow": "w", "purpose": "p", "grants": [{"tool": "post", "operations": ["*"]}],
        "notBefore": "2026-01-01T00:00:00Z", "expiresAt": "2027-01-01T00:00:00Z",
    }))
    .unwrap()
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn judged(bundle: &Bundle, call: ToolCall, releases: &[Release]) -> Decision {
    let (standing, facts) = (standing(bundle.agent()), FactSet(BTreeMap::new()));
    let evidence = Evidence { standing: &standing, delegations: &[delegation()], facts: &facts, run: None, releases };
    decide(bundle, call, &evidence, now())
}

fn code(decision: &Decision) -> Option<Code> {
    assert_eq!(decision.output.verdict, Verdict::Deny, "{:?}", decision.output);
    decision.output.code
}

fn release(of: &DecisionOutput) -> Release {
    Release {
        request_name: "apr-1".to_owned(),
        request_uid: "r1".to_owned(),
        agent_uid: "u1".to_owned(),
        effect_digest: of.effect_digest.unwrap(),
        context_digest: of.context_digest.unwrap(),
        expires_at: now() + jiff::SignedDuration::from_secs(60),
    }
}

#[test]
fn the_fixture_is_allowed() {
    let decision = judged(&bundle(&json!([])), call(), &[]);
    assert!(matches!(decision.outcome, Outcome::Allow(Some(_))), "{:?}", decision.output);
}

#[test]
fn a_release_makes_a_once_permit_for_this_effect() {
    let bundle = bundle(&ask());
    let held = judged(&bundle, call(), &[]);
    assert!(matches!(held.outcome, Outcome::Hold));
    let release = release(&held.output);
    let decision = judged(&bundle, call(), std::slice::from_ref(&release));
    let Outcome::AllowOnce(once) = decision.outcome else { panic!("{:?}", decision.output) };
    assert_eq!(once.release(), &release);
    assert_eq!(Some(once.effect()), held.output.effect_digest);
}

#[test]
fn of_two_releases_the_one_that_lasts_longest_is_taken() {
    let bundle = bundle(&ask());
    let short = release(&judged(&bundle, call(), &[]).output);
    let long = Release {
        request_uid: "r2".to_owned(),
        expires_at: short.expires_at + jiff::SignedDuration::from_secs(1),
        ..short.clone()
    };
    for releases in [[short.clone(), long.clone()], [long.clone(), short]] {
        let Outcome::AllowOnce(once) = judged(&bundle, call(), &releases).outcome else { panic!() };
        assert_eq!(once.release(), &long);
    }
}

#[test]
fn a_call_of_a_tool_that_the_bundle_lost_is_refused() {
    let mut bundle = bundle(&json!([]));
    bundle.source.tools.clear();
    assert_eq!(code(&judged(&bundle, call(), &[])), Some(Code::UnknownTool));
}

#[test]
fn a_call_of_an_operation_that_the_tool_does_not_declare_is_refused() {
    let other = ToolCall { operation: "burn".to_owned(), ..call() };
    assert_eq!(code(&judged(&bundle(&json!([])), other, &[])), Some(Code::UnknownOperation));
}

#[test]
fn a_class_that_another_bundle_gave_is_not_believed() {
    let other = ToolCall { class: Class::Read, ..call() };
    assert_eq!(code(&judged(&bundle(&json!([])), other, &[])), Some(Code::UnknownOperation));
}

#[test]
fn a_schema_that_is_gone_refuses() {
    let mut bundle = bundle(&json!([]));
    bundle.schemas.clear();
    assert_eq!(code(&judged(&bundle, call(), &[])), Some(Code::SchemaViolation));
}

#[test]
fn a_draft_whose_schema_is_gone_refuses_too() {
    let mut bundle = bundle(&json!([]));
    bundle.schemas.clear();
    let draft = ToolCall { operation: "note".to_owned(), class: Class::Draft, ..call() };
    assert_eq!(code(&judged(&bundle, draft, &[])), Some(Code::SchemaViolation));
}

#[test]
fn rules_that_were_not_compiled_allow_nothing() {
    let mut bundle = bundle(&json!([]));
    bundle.policies.clear();
    assert_eq!(code(&judged(&bundle, call(), &[])), Some(Code::NoRuleAllows));
}

#[test]
fn a_deny_rule_that_was_not_compiled_denies() {
    let never = json!({"field": "to", "predicate": {"equals": {"text": "nobody"}}});
    let mut bundle = bundle(&json!([{"name": "stop", "operations": ["*"], "when": [never], "effect": "Deny"}]));
    assert!(matches!(judged(&bundle, call(), &[]).outcome, Outcome::Allow(_)), "the rule does not hold");
    bundle.policies.clear();
    assert_eq!(code(&judged(&bundle, call(), &[])), Some(Code::RuleDenies));
}

#[test]
fn a_sanitizer_that_was_not_compiled_takes_away_and_adds_nothing() {
    let sanitize = |action: &serde_json::Value| {
        let rule = json!({"name": "clean", "operations": ["*"], "effect": {"Sanitize": [{"field": "to", "action": action}]},
                          "when": [{"field": "to", "predicate": {"equals": {"text": "nobody"}}}]});
        let mut bundle = bundle(&json!([rule]));
        bundle.policies.clear();
        bundle.call_of("post", "send", Arc::unwrap_or_clone(call().arguments)).unwrap()
    };
    let removed = sanitize(&json!("remove"));
    assert_eq!(*removed.arguments, Value::Object(Object::new()), "the rule does not hold, but that cannot be told");
    assert_eq!(removed.sanitation.changed.len(), 1);
    let set = sanitize(&json!({"set": {"text": "p2"}}));
    assert!(set.sanitation.failure.is_some() && *set.arguments == Value::Object(Object::new()));
    assert_eq!(code(&judged(&bundle(&json!([])), set, &[])), Some(Code::SanitizeFailed));
}

#[test]
fn a_tier_that_is_gone_is_never_approved() {
    let mut bundle = bundle(&ask());
    bundle.source.tiers.clear();
    assert_eq!(code(&judged(&bundle, call(), &[])), Some(Code::RuleDenies));
}

#[test_case(&json!({"inRegistry": "people"}); "in registry")]
#[test_case(&json!({"registryField": {"registry": "people", "key": "to", "attribute": "mail"}}); "registry field")]
fn a_registry_that_is_gone_cannot_tell(predicate: &serde_json::Value) {
    let check = json!([{"field": "to", "predicate": predicate}]);
    let mut bundle = bundle(&json!([{"name": "stop", "operations": ["*"], "when": check, "effect": "Deny"}]));
    bundle.source.registries.clear();
    assert_eq!(code(&judged(&bundle, call(), &[])), Some(Code::RuleDenies));
}

#[test]
fn a_release_without_agent_uid_fits_no_agent_without_uid() {
    let mut bundle = bundle(&ask());
    let mut release = release(&judged(&bundle, call(), &[]).output);
    bundle.source.agent.uid = String::new();
    bundle.review_digest = bundle.source.agent.review_digest();
    release.agent_uid = String::new();
    assert!(matches!(judged(&bundle, call(), &[release]).outcome, Outcome::Hold));
}

#[test]
fn a_call_without_request_is_never_released() {
    let bundle = bundle(&ask());
    let release = release(&judged(&bundle, call(), &[]).output);
    let offline = ToolCall { request: None, ..call() };
    assert!(matches!(judged(&bundle, offline, &[release]).outcome, Outcome::Hold));
}

#[test]
fn a_suspended_agent_is_refused_before_facts_are_read() {
    let without = bundle(&json!([]));
    let mut source = without.source().clone();
    let operations = &mut source.tools[0].operations;
    let look = json!({"name": "look", "class": "Read", "http": {"method": "GET", "path": "/look"},
                      "arguments": {"type": "object"}, "facts": [], "timeoutSeconds": 5});
    operations.push(serde_json::from_value(look).unwrap());
    let fact = json!({"name": "f", "operation": "look", "arguments": {}, "paths": ["balance"]});
    operations[0].facts.push(serde_json::from_value(fact).unwrap());
    let bundle = Bundle::assemble(source).unwrap();
    let mut standing = standing(bundle.agent());
    assert!(refused_without_facts(&bundle, &call(), &standing, now()).is_none());
    standing.lifecycle = crate::agent::Lifecycle::Suspended;
    let early = refused_without_facts(&bundle, &call(), &standing, now()).unwrap();
    let facts = FactSet(BTreeMap::new());
    let evidence = Evidence { standing: &standing, delegations: &[], facts: &facts, run: None, releases: &[] };
    assert_eq!(early.output, decide(&bundle, call(), &evidence, now()).output, "the same answer either way");
    assert!(refused_without_facts(&without, &call(), &standing, now()).is_none(), "it reads nothing");
}

#[test]
fn a_text_that_can_be_no_tools_name_is_not_kept() {
    let judge = bundle(&json!([]));
    let unknown = || Malformed::new(Code::UnknownTool, "no such tool");
    assert_eq!(malformed(&judge, "bank", unknown()).tool, "bank");
    for text in ["a secret".to_owned(), "x".repeat(64), "%73ecret".to_owned()] {
        assert_eq!(malformed(&judge, &text, unknown()).tool, "", "{text}");
    }
}

#[test]
fn a_reported_context_counts_only_where_nothing_better_is_known() {
    let before = bundle(&json!([]));
    let parts = judged(&before, call(), &[]).output.context_parts.unwrap();
    let changed = |now: &Outline, operation: &str, delegation: &Delegation| {
        now.current_parts("post", operation, delegation, &parts).changed(&parts)
    };
    let before = Outline::from(before);
    assert!(changed(&before, "send", &delegation()).is_empty());
    assert_eq!(changed(&bundle(&ask()).into(), "send", &delegation()), ["rules"]);
    assert_eq!(changed(&before, "gone", &delegation()), ["rules", "tool"]);
    assert_eq!(changed(&before, "send", &Delegation { generation: 2, ..delegation() }), ["delegation"]);
}
