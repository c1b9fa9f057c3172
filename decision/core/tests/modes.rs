//! What holds of policies and agents that are tried out, on generated policies and calls.

// A generated value that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "table/calls.rs"]
mod calls;
#[path = "support/desk.rs"]
mod desk;
#[path = "table/policies.rs"]
mod policies;
#[path = "support/seeded.rs"]
mod seeded;

use std::cell::Cell;
use std::collections::BTreeSet;

use aegis_decision::agent;
use aegis_decision::approval::Release;
use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::codes::Code;
use aegis_decision::decide::replay::replay;
use aegis_decision::decision::{Decision, DecisionOutput, Outcome, Verdict, Would};
use aegis_decision::digest::Digest;
use aegis_decision::outline::Outline;
use aegis_decision::policy::{Effect, Mode, Rollout, Rule, Share};
use aegis_decision::record::{DecisionRecord, clear_values};
use aegis_decision::rego::Worker;
use aegis_decision::tool::Class;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use calls::Call;

/// Bundles of each test.
const BUNDLES: u32 = 240;
/// Policies that are tried out, beside eight that are not.
const TRIED: u32 = 24;
/// Calls of each test that must have shown something: a generator without any shows nothing.
const LEAST: usize = 100;
/// Refusals of an audited agent: never by a policy.
const POLICY_CODES: [Code; 5] =
    [Code::RuleDenies, Code::NoRuleAllows, Code::UnknownOrigin, Code::TooManyTiers, Code::ApprovalRequired];

/// With everything enforced: what was tried out decides, and what it replaces is gone.
fn promoted(source: &BundleSource) -> BundleSource {
    let mut source = enforced(source);
    let replaced: Vec<String> = source
        .policies
        .iter()
        .filter(|policy| policy.applies_to(&source.agent.name, "desk"))
        .filter_map(|policy| policy.rollout.as_ref()?.replaces.clone())
        .collect();
    source.policies.retain(|policy| !replaced.contains(&policy.name));
    for policy in &mut source.policies {
        policy.mode = Mode::Enforce;
        policy.rollout = None;
    }
    source
}

/// By an agent that enforces.
fn enforced(source: &BundleSource) -> BundleSource {
    in_mode(source, agent::Mode::Enforce)
}

fn in_mode(source: &BundleSource, mode: agent::Mode) -> BundleSource {
    let mut source = source.clone();
    source.agent.mode = mode;
    source
}

/// Where no rule denies, and one allows: most calls go, or wait.
fn lenient(mut source: BundleSource) -> BundleSource {
    let anything = json!({"name": "anything", "operations": ["*"], "effect": "Allow"});
    let anything: Rule = serde_json::from_value(anything).expect("a rule");
    for policy in &mut source.policies {
        policy.rules.retain(|rule| rule.effect != Effect::Deny);
        policy.rules.push(anything.clone());
    }
    source
}

fn bundle(source: &BundleSource) -> Bundle {
    Bundle::assemble(source.clone()).expect("generated policies are well formed")
}

fn judged(bundle: &Bundle, call: &Call, releases: &[Release]) -> Decision {
    bundle.decide_input(&call.input, &desk::standing(bundle), &call.delegations, releases)
}

fn output(source: &BundleSource, call: &Call) -> DecisionOutput {
    judged(&bundle(source), call, &[]).output
}

/// All but what is tried out, and the digest of the bundle that says so.
fn in_effect(output: DecisionOutput) -> DecisionOutput {
    DecisionOutput { would: None, bundle: Digest::of_bytes(b""), ..output }
}

/// The verdict that a report tells.
fn reported(would: &Would) -> (Verdict, Option<Code>) {
    (would.verdict, would.code)
}

fn enough(seen: &Cell<usize>) {
    assert!(seen.get() >= LEAST, "only {} calls showed anything", seen.get());
}

fn count(seen: &Cell<usize>) {
    seen.set(seen.get() + 1);
}

#[test]
fn audit_policies_change_no_decision() {
    let seen = Cell::new(0);
    let case = (policies::source(TRIED), vec(calls::call(), 8));
    seeded::run(BUNDLES, &case, |(source, calls)| {
        let mut without = source.0.clone();
        without.policies.retain(|policy| policy.mode == Mode::Enforce);
        for call in &calls {
            let with = output(&source.0, call);
            if with.would.is_some() {
                count(&seen);
            }
            prop_assert_eq!(in_effect(with), in_effect(output(&without, call)));
        }
        Ok(())
    });
    enough(&seen);
}

#[test]
fn a_report_is_what_enforcement_comes_to() {
    let seen = Cell::new(0);
    let case = (policies::source(TRIED), vec(calls::call(), 8));
    seeded::run(BUNDLES, &case, |(source, calls)| {
        let then = promoted(&source.0);
        for call in &calls {
            let (now, then) = (output(&source.0, call), output(&then, call));
            let Some(would) = now.would else {
                prop_assert_eq!((now.verdict, now.code, now.rule), (then.verdict, then.code, then.rule));
                continue;
            };
            count(&seen);
            prop_assert_eq!(reported(&would), (then.verdict, then.code));
            prop_assert_eq!((would.rule, would.detail), (then.rule, then.detail));
        }
        Ok(())
    });
    enough(&seen);
}

#[test]
fn a_rollout_is_the_old_policy_or_the_new_one() {
    let seen = Cell::new(0);
    let case = (policies::source(TRIED), vec(calls::call(), 4), 0..=100_u8, "[a-z]{1,8}");
    seeded::run(BUNDLES, &case, |(source, calls, percent, run)| {
        let mut plain = source.0;
        for policy in &mut plain.policies {
            (policy.mode, policy.rollout) = (Mode::Enforce, None);
        }
        let [old, new] = ["p0", "p1"].map(|name| plain.policies.iter().any(|policy| policy.name == name));
        if !old || !new || !plain.policies.iter().all(|policy| policy.applies_to("clerk", "desk")) {
            return Ok(());
        }
        let mut rolled = plain.clone();
        rolled.policies[1].rollout = Some(Rollout { percent, replaces: Some("p0".to_owned()) });
        let inside = Share::of("u1", Some(&run)).is_below(percent);
        let mut alone = plain;
        alone.policies.retain(|policy| policy.name != if inside { "p0" } else { "p1" });
        for mut call in calls.into_iter().chain([calls::of(&json!({"name": "a"}))]) {
            count(&seen);
            call.input.run = Some(run.clone());
            prop_assert_eq!(in_effect(output(&rolled, &call)), in_effect(output(&alone, &call)));
        }
        Ok(())
    });
    enough(&seen);
}

#[test]
fn an_agent_that_proposes_never_gets_a_permit_for_an_effect() {
    let seen = Cell::new(0);
    let case = (policies::source(TRIED), vec(calls::call(), 8), any::<bool>());
    seeded::run(BUNDLES, &case, |(source, calls, passes)| {
        let source = if passes { lenient(source.0) } else { source.0 };
        let (proposing, enforcing) = (bundle(&in_mode(&source, agent::Mode::Propose)), bundle(&enforced(&source)));
        for call in &calls {
            let then = judged(&enforcing, call, &[]).output;
            // Also with what would release the same call of an agent that enforces.
            let release = then.effect_digest.zip(then.context_digest).map(|(effect_digest, context_digest)| Release {
                request_name: "apr-1".to_owned(),
                request_uid: "r1".to_owned(),
                agent_uid: "u1".to_owned(),
                effect_digest,
                context_digest,
                expires_at: "2026-06-01T13:00:00Z".parse().unwrap(),
            });
            let releases: Vec<Release> = release.into_iter().collect();
            let Decision { outcome, output } = judged(&proposing, call, &releases);
            prop_assert!(output.class > Some(Class::Read));
            match outcome {
                Outcome::Propose => {
                    count(&seen);
                    prop_assert_eq!(output.verdict, Verdict::Propose);
                }
                Outcome::Deny(code) => prop_assert_eq!((then.verdict, then.code), (Verdict::Deny, Some(code))),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        Ok(())
    });
    enough(&seen);
}

#[test]
fn an_audited_agent_is_refused_by_no_policy() {
    let seen = Cell::new(0);
    let case = (policies::source(TRIED), vec(calls::call(), 8));
    seeded::run(BUNDLES, &case, |(source, calls)| {
        let audited = in_mode(&source.0, agent::Mode::Audit);
        let then = promoted(&source.0);
        for call in &calls {
            let (now, then) = (output(&audited, call), output(&then, call));
            if now.verdict == Verdict::Allow {
                count(&seen);
                prop_assert_eq!(now.would.as_ref().map(reported), Some((then.verdict, then.code)));
            } else {
                prop_assert_eq!(now.verdict, Verdict::Deny);
                prop_assert!(now.code.is_some_and(|code| !POLICY_CODES.contains(&code)), "{:?}", now.code);
                prop_assert_eq!(then.verdict, Verdict::Deny, "only what would be refused anyhow");
            }
        }
        Ok(())
    });
    enough(&seen);
}

#[test]
fn a_replay_says_the_same_of_trials() {
    let seen = Cell::new(0);
    let modes = prop_oneof![Just(agent::Mode::Enforce), Just(agent::Mode::Propose), Just(agent::Mode::Audit)];
    let case = (policies::source(TRIED), modes, vec(calls::call(), 24), any::<bool>());
    seeded::run(BUNDLES, &case, |(source, mode, calls, passes)| {
        // What a Deny rule asks is seldom in a record.
        let source = if passes { lenient(source.0) } else { source.0 };
        let bundle = bundle(&in_mode(&source, mode));
        // As in a namespace, which two delegations of one name cannot share.
        let one_of_each_name = |call: &&Call| {
            let names: BTreeSet<&str> = call.delegations.iter().map(|one| one.name.as_str()).collect();
            names.len() == call.delegations.len()
        };
        for call in calls.iter().filter(one_of_each_name) {
            let now = judged(&bundle, call, &[]).output;
            let record = record(&bundle, call, &now);
            let standing = desk::standing(&bundle);
            let again = replay(&bundle, &record, &standing, &call.delegations, &mut Worker::new());
            let Ok(again) = again else { continue };
            prop_assert_eq!((again.verdict, again.code), (now.verdict, now.code));
            let Some(would) = again.would else { continue };
            count(&seen);
            prop_assert_eq!(Some(reported(&would)), now.would.as_ref().map(reported));
            prop_assert_eq!(Some(would.policies), now.would.map(|would| would.policies));
        }
        Ok(())
    });
    enough(&seen);
}

fn record(bundle: &Bundle, call: &Call, decision: &DecisionOutput) -> DecisionRecord {
    let named = bundle.call_of_input(&call.input).expect("generated calls can be named");
    let operation = bundle.tool("desk").unwrap().operation(&named.operation).unwrap();
    serde_json::from_value(json!({
        "type": "decision", "v": "aegis.dev/decision-record/v1", "id": "d-1", "sequence": 1, "epoch": "e",
        "time": call.input.at, "monotonicMicros": 1,
        "agent": {"tenant": "acme", "businessUnit": "b", "namespace": "n", "name": "clerk", "uid": "u1", "version": "1"},
        "pod": {"name": "p", "uid": "p1"}, "mode": "Enforce", "decision": decision,
        "values": clear_values(operation, &named),
    }))
    .expect("a record")
}

/// Which side a run is on is not known where an approval is claimed: the rules of both count, and none that are gone.
#[test]
fn an_approval_is_claimed_by_the_rules_of_either_side() {
    let asking = |name: &str| {
        json!({"name": name, "tools": ["desk"], "rules": [
            {"name": "all", "operations": ["*"], "effect": "Allow"},
            {"name": "ask", "operations": ["*"], "effect": {"RequireApproval": {"tier": "lead", "holdSeconds": 1}}}]})
    };
    let mut new = asking("new");
    new["rollout"] = json!({"percent": 50, "replaces": "old"});
    let rolling = bundle(&policies::with(&[asking("old"), new]));
    let known = Outline::from(bundle(rolling.source()));
    let back = Outline::from(bundle(&policies::with(&[asking("old")])));
    let sides: BTreeSet<bool> = (0..20)
        .map(|run| {
            let run = format!("run-{run}");
            let mut call = calls::of(&json!({}));
            call.input.run = Some(run.clone());
            let held = judged(&rolling, &call, &[]).output;
            assert_eq!(held.verdict, Verdict::Hold);
            let parts = held.context_parts.expect("a held call over HTTP has a context");
            let delegation = &call.delegations[0];
            assert!(known.current_parts("desk", "write", delegation, &parts).changed(&parts).is_empty());
            let inside = Share::of("u1", Some(&run)).is_below(50);
            let gone = back.current_parts("desk", "write", delegation, &parts);
            assert_eq!(gone.changed(&parts).is_empty(), !inside, "{run}");
            inside
        })
        .collect();
    assert_eq!(sides.len(), 2, "the runs are on both sides");
}
