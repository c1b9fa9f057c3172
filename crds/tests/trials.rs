//! The tests of a policy that is tried out run as if it were enforced, whatever else is tried out.

// Helpers of tests fail by panicking, as tests do.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

use aegis_crds::load::{self, Resources};
use aegis_crds::policy_test::Suite;

/// A desk where `old` allows and `new` denies. Each has a test that says so. `members` are of `new`.
fn desk(members: &str, agent: &str) -> Resources {
    let text = format!(
        "
apiVersion: aegis.dev/v1alpha1
kind: Tool
metadata: {{name: desk}}
spec:
  endpoint: https://desk.example
  operations: [{{name: look, class: Read, http: {{method: GET, path: /}}}}]
---
apiVersion: aegis.dev/v1alpha1
kind: Agent
metadata: {{name: clerk}}
spec:
  tenant: acme
  businessUnit: office
  owner: {{name: Office}}
  version: '1'
  ceiling: Commit
  workload: {{serviceAccountName: clerk}}
{agent}
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {{name: old}}
spec:
  tools: [desk]
  rules: [{{name: all, operations: [look], unconditional: true, effect: Allow}}]
  tests: [{{name: goes, call: {{tool: desk, operation: look}}, expect: {{verdict: Allow, rule: all}}}}]
---
apiVersion: aegis.dev/v1alpha1
kind: ToolPolicy
metadata: {{name: new}}
spec:
  tools: [desk]
{members}
  rules: [{{name: stop, operations: [look], unconditional: true, effect: Deny}}]
  tests: [{{name: stops, call: {{tool: desk, operation: look}}, expect: {{verdict: Deny, rule: stop}}}}]
"
    );
    load::load("desk.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What the tests of `old` and `new` come to.
fn judged(members: &str, agent: &str) -> [(bool, String); 2] {
    let resources = desk(members, agent);
    let mut suite = Suite::new(&resources);
    ["old", "new"].map(|name| {
        let policy = resources.policies.iter().find(|one| one.metadata.name.as_deref() == Some(name)).unwrap();
        let judged = suite.judge(policy, &policy.spec.tests[0], "2026-05-04T10:00:00Z".parse().unwrap()).unwrap();
        (judged.passed, judged.found.words())
    })
}

#[test]
fn each_policy_is_tested_as_if_it_were_enforced() {
    for members in [
        "  mode: Audit",
        "  rollout: {percent: 0}",
        "  rollout: {percent: 50, replaces: old}",
        "  rollout: {percent: 100, replaces: old}",
    ] {
        for agent in ["", "  enforcement: {mode: Audit}", "  enforcement: {mode: Propose}"] {
            let [old, new] = judged(members, agent);
            assert!(old.0, "{members} {agent}: {}", old.1);
            assert!(new.0, "{members} {agent}: {}", new.1);
        }
    }
}

#[test]
fn what_has_effect_on_all_runs_counts_for_the_others_too() {
    for members in ["", "  rollout: {percent: 100}"] {
        let [old, new] = judged(members, "");
        assert!(!old.0 && new.0, "{members}: {} {}", old.1, new.1);
    }
}
