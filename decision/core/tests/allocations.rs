//! How often a decision allocates: among 10,000 rules no oftener than among 10.
//!
//! Counted is what the whole process allocates, so this is the only test of its program.

// A workload that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::indexing_slicing)]

// Some of it only the benchmarks are about, and it is theirs how it is written.
#[allow(dead_code, unused_imports, clippy::pedantic)]
#[path = "../benches/workload/mod.rs"]
mod workload;

use aegis_decision::bundle::Bundle;
use aegis_decision::call::ToolCall;
use aegis_decision::decide::{decide, decide_in_full};
use aegis_decision::decision::{Decision, Outcome};
use dhat::{HeapStats, Profiler};
use serde_json::{Value, json};

use workload::{Desk, Request, Rules, payment};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

/// Numbers of rules.
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

/// So many rules of every kind, and a payment that the middle one allows.
fn given(rules: usize) -> (Desk, ToolCall) {
    let mut source = workload::source(Rules::Mixed, rules);
    let policy = source.policies.first_mut().expect("the workload has a policy");
    // The kinds that ten rules of the mix lack: another document, a set, and hosts, of a rule that allows and of one that
    // denies.
    let read = |when: Value| serde_json::from_value(when).expect("checks");
    policy.rules[0].when = read(json!([
        {"field": "costCentre", "predicate": {"equals": {"text": "centre"}}},
        {"field": "iban", "predicate": {"registryField": {"registry": "suppliers", "key": "supplier", "attribute": "iban"}}},
    ]));
    policy.rules[1].when =
        read(json!([{"field": "bic", "predicate": {"hostIn": {"names": ["a.example", "*.a.example"]}}}]));
    policy.rules[3].when =
        read(json!([{"field": "bic", "predicate": {"hostIn": {"names": ["b.example", "10.0.0.7"]}}}]));
    policy.rules[4].when =
        read(json!([{"field": "costCentre", "predicate": {"in": [{"text": "centre-a"}, {"text": "centre-b"}]}}]));
    // It is told, and a longer name could take one growth of a text more.
    "matches".clone_into(&mut policy.rules[rules / 2].name);
    let desk = Desk::of(Bundle::assemble(source).expect("the workload is a bundle"));
    let request = Request::new("/payments", payment());
    let call = desk.bundle.name_call("bank", &request.http()).expect("the workload is a call");
    (desk, call)
}

/// By the table.
fn judged(desk: &Desk, call: ToolCall) -> Decision {
    decide(&desk.bundle, call, &desk.evidence(), desk.now)
}

/// By a look at every rule.
fn judged_in_full(desk: &Desk, call: ToolCall) -> Decision {
    decide_in_full(&desk.bundle, call, &desk.evidence(), desk.now)
}

/// How often one decision allocates; where memory grows, it counts once more.
fn allocations(judge: fn(&Desk, ToolCall) -> Decision, desk: &Desk, call: ToolCall) -> u64 {
    let before = HeapStats::get().total_blocks;
    let decision = judge(desk, call);
    let after = HeapStats::get().total_blocks;
    assert!(matches!(decision.outcome, Outcome::Allow(Some(_))), "{:?}", decision.output.detail);
    after - before
}

#[test]
fn a_decision_allocates_as_often_among_ten_thousand_rules_as_among_ten() {
    let desks = SIZES.map(given);
    for (desk, call) in &desks {
        // What is made once and kept, such as the memory of patterns, is made now.
        drop([judged(desk, call.clone()), judged_in_full(desk, call.clone())]);
    }
    let _profiler = Profiler::builder().testing().build();
    let counts = |judge: fn(&Desk, ToolCall) -> Decision| {
        desks.each_ref().map(|(desk, call)| allocations(judge, desk, call.clone()))
    };
    let (by_table, in_full) = (counts(judged), counts(judged_in_full));
    println!("allocations by the table {by_table:?}, by a look at each of {SIZES:?} rules {in_full:?}");
    let [few, ..] = by_table;
    assert!(few > 0, "nothing was counted");
    assert_eq!(by_table, [few; SIZES.len()]);
    assert!(in_full.is_sorted_by(|fewer, more| fewer < more), "a look at each rule allocates for each: {in_full:?}");
}
