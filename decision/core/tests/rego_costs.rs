//! No function that a module may call can cost a second or half a gigabyte: each is called by the whole path with the
//! largest arguments that the bounds of calls and texts and the budget let a module hold. Nor can a module that was written
//! to cost.
//!
//! What a function does is no instruction, so units of work do not tell it. What is measured is time of the processor, by
//! the clock of the thread, which waits for nobody, and the most memory that the process ever had: a program of its own,
//! so that it is that of these calls.

// A scene that cannot be made must stop the test where it stands.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[path = "rego/hostile_modules.rs"]
mod hostile_modules;
#[path = "rego/scene.rs"]
#[allow(dead_code)]
mod scene;
#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;
use std::time::Duration;

use aegis_decision::bundle::Bundle;
use aegis_decision::decision::Verdict;
use aegis_decision::registry::Registry;
use aegis_decision::rego::builtins::ALLOWED;
use aegis_decision::rego::{FUEL, Failure, MAX_TEXT_BYTES, Worker};
use nix::time::ClockId;
use serde_json::{Map, Value, json};

use scene::{Asked, ask_by, module, scene};
use support::situation::Scene;

/// Time of the processor that one evaluation must not reach, the function's call included.
const TIME: Duration = Duration::from_secs(1);
/// Memory that the process must not reach, in bytes.
const MEMORY: u64 = 512 * 1024 * 1024;

const SAID: &str = r#"{"effect": "Allow", "reason": "fine", "message": "all is well"}"#;

/// Elements of the longest list: a call has at most 10,000 values, and a list can be joined with itself while there is
/// something left of the budget.
const ELEMENTS: usize = 9_000;

/// Arguments by name. A call has those that its module reads.
static GIVEN: LazyLock<Vec<(&str, Value)>> = LazyLock::new(|| {
    let name = |at: usize| format!("m-{at:05}");
    let record = |members: usize| (0..members).map(|at| (name(at), json!(at))).collect::<Map<_, _>>();
    // Alike but for their end, so that comparing two goes through both.
    let texts = |count: usize| (0..count).map(|at| format!("{}{at:02}", "a".repeat(MAX_TEXT_BYTES - 2)));
    vec![
        // In no order.
        ("list", (0..ELEMENTS).map(|at| json!(at * 7_919 % 10_007)).collect()),
        ("record", Value::Object(record(ELEMENTS))),
        ("half_record", Value::Object(record(ELEMENTS / 2))),
        ("names", (0..ELEMENTS / 2).map(|at| json!(name(at))).collect()),
        ("number", json!(-99_999_999_999_999.5)),
        ("text", json!(format!("{}b", "a".repeat(MAX_TEXT_BYTES - 1)))),
        ("text_end", json!(format!("{}b", "a".repeat(MAX_TEXT_BYTES / 2)))),
        ("text_start", json!("a".repeat(MAX_TEXT_BYTES / 2))),
        // In upper case three times as long, and in lower case half as long again: no letters do more.
        ("growing", json!("\u{390}".repeat(MAX_TEXT_BYTES / 2))),
        ("dotted", json!("\u{130}".repeat(MAX_TEXT_BYTES / 2))),
        ("spaces", json!(format!("{0}a{0}", " ".repeat(MAX_TEXT_BYTES / 2 - 1)))),
        // As many as the budget pays for once, and twice.
        ("texts", texts(47).map(Value::from).collect()),
        ("some_texts", texts(24).map(Value::from).collect()),
    ]
});

/// Registries that cost nearly the whole budget as one argument, as one of two and as one of three. Texts, lists and
/// attributes are as many and as long as the API lets them be.
static REGISTRIES: LazyLock<[Registry; 3]> = LazyLock::new(|| {
    let entry = |at: usize| {
        let text = |name: usize, text: usize| format!("{at:0>240}-{name:07}-{text:07}");
        let texts = |name: usize| (0..16).map(|place| text(name, place)).collect::<Vec<_>>();
        (0..16).map(|name| (format!("a-{name:02}"), texts(name))).collect::<BTreeMap<_, _>>()
    };
    let registry = |(name, entries): (&str, usize)| Registry {
        name: name.to_owned(),
        key: "id".to_owned(),
        entries: (0..entries).map(|at| (format!("e-{at:03}"), entry(at))).collect(),
        documents: BTreeMap::new().into(),
    };
    [("whole", 45), ("half", 22), ("third", 15)].map(registry)
});

/// Each function, and the body of a rule that calls it.
fn cases() -> Vec<(&'static str, String)> {
    let plain = |call: &str| format!("x := {call}");
    // What may be false is put into a list, so that the rule holds.
    let listed = |call: &str| format!("x := [{call}]");
    let many = |call: &str| {
        format!(
            "two := array.concat(input.arguments.list, input.arguments.list)\nmany := array.concat(two, two)\nx := {call}"
        )
    };
    let keys = |call: &str| format!("keys := object.keys(input.arguments.record)\nx := {call}");
    let grown = |call: &str| format!("grown := upper(input.arguments.growing)\nx := {call}");
    vec![
        ("__builtin_sets.intersection", keys("keys & keys")),
        ("__builtin_sets.union", keys("keys | keys")),
        ("abs", plain("abs(input.arguments.number)")),
        ("array.concat", many("count(many)")),
        ("array.reverse", many("array.reverse(many)")),
        ("array.slice", many("array.slice(many, 1, 35999)")),
        ("ceil", plain("ceil(input.arguments.number)")),
        ("contains", listed("contains(input.arguments.text, input.arguments.text_end)")),
        ("count", many("count(many)")),
        ("count", grown("count(grown)")),
        ("endswith", listed("endswith(input.arguments.text, input.arguments.text_end)")),
        ("floor", plain("floor(input.arguments.number)")),
        ("is_array", listed("is_array(data.registries.whole)")),
        ("is_boolean", listed("is_boolean(data.registries.whole)")),
        ("is_null", listed("is_null(data.registries.whole)")),
        ("is_number", listed("is_number(data.registries.whole)")),
        ("is_object", listed("is_object(data.registries.whole)")),
        ("is_set", listed("is_set(data.registries.whole)")),
        ("is_string", listed("is_string(data.registries.whole)")),
        ("lower", plain("lower(input.arguments.dotted)")),
        ("max", many("max(many)")),
        ("max", plain("max(input.arguments.texts)")),
        ("min", many("min(many)")),
        ("min", plain("min(input.arguments.texts)")),
        ("object.get", plain(r#"object.get(data.registries.whole, ["e-044", "a-15"], 0)"#)),
        ("object.get", plain("object.get(input.arguments.half_record, input.arguments.names, 0)")),
        ("object.keys", plain("object.keys(input.arguments.record)")),
        ("object.keys", plain("object.keys(data.registries.whole)")),
        ("object.remove", plain("object.remove(input.arguments.half_record, input.arguments.names)")),
        ("object.union", plain("object.union(input.arguments.record, input.arguments.record)")),
        ("object.union", plain("object.union(data.registries.third, data.registries.third)")),
        ("round", plain("round(input.arguments.number)")),
        ("sort", many("sort(many)")),
        ("sort", plain("sort(input.arguments.some_texts)")),
        ("split", grown(r#"split(grown, "")"#)),
        ("split", plain(r#"split(input.arguments.text, "a")"#)),
        ("startswith", listed("startswith(input.arguments.text, input.arguments.text_start)")),
        ("strings.reverse", grown("strings.reverse(grown)")),
        ("substring", grown("substring(grown, 0, -1)")),
        ("substring", grown("substring(grown, 98303, 1)")),
        ("sum", many("sum(many)")),
        ("trim_prefix", plain("trim_prefix(input.arguments.text, input.arguments.text_start)")),
        ("trim_space", plain("trim_space(input.arguments.spaces)")),
        ("trim_suffix", plain("trim_suffix(input.arguments.text, input.arguments.text_end)")),
        ("type_name", plain("type_name(data.registries.whole)")),
        ("upper", plain("upper(input.arguments.growing)")),
    ]
}

/// A call under a module with that body, with the arguments and the registries that it names.
fn prepared(body: &str) -> Scene {
    let reads = |name: &str| body.contains(&format!("input.arguments.{name}"));
    let arguments =
        GIVEN.iter().filter(|(name, _)| reads(name)).map(|(name, value)| ((*name).to_owned(), value.clone()));
    let arguments = Value::Object(arguments.collect());
    let module = module(&format!("verdicts contains {SAID} if {{\n{body}\n}}"));
    let mut scene = scene(&module, &arguments).unwrap_or_else(|error| panic!("{body}: {error}"));
    let sees = |registry: &&Registry| body.contains(&format!("data.registries.{}", registry.name));
    let mut source = scene.bundle.source().clone();
    source.registries = REGISTRIES.iter().filter(sees).cloned().collect();
    let names: Vec<_> = source.registries.iter().map(|registry| registry.name.clone()).collect();
    for policy in &mut source.policies {
        policy.registries.clone_from(&names);
    }
    scene.bundle = Bundle::assemble(source).unwrap_or_else(|error| panic!("{body}: {error}"));
    scene
}

/// Judges the call; fails where that took too much.
fn within_bounds(function: &str, body: &str) -> Asked {
    measured(function, body, &prepared(body))
}

fn measured(function: &str, body: &str, scene: &Scene) -> Asked {
    let mut worker = Worker::new();
    // The worker's own copy of the registries is made once, not for each call.
    worker.prepare(&scene.bundle, &scene.input.tool);
    let began = worked();
    let asked = ask_by(&mut worker, scene);
    // What is freed costs as well.
    drop(worker);
    let (time, memory) = (worked().saturating_sub(began), most_memory());
    println!("{function}: {} units, {time:?}, at most {memory} bytes so far", asked.spent);
    assert!(time < TIME, "{function} took {time:?}:\n{body}");
    assert!(memory < MEMORY, "{function} took the process to {memory} bytes:\n{body}");
    asked
}

/// Time that this thread had of a processor.
fn worked() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("the clock of the thread").into()
}

/// Most bytes of memory that the process ever had.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the kernel tells of the process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its most memory");
    let kib: u64 = line.trim().strip_suffix(" kB").expect("in KiB").parse().expect("as a number");
    kib * 1024
}

#[test]
fn no_function_costs_a_second_or_half_a_gigabyte() {
    let cases = cases();
    let called: BTreeSet<_> = cases.iter().map(|(function, _)| *function).collect();
    let allowed: BTreeSet<_> = ALLOWED.iter().map(|builtin| builtin.name).collect();
    assert_eq!(called, allowed, "each function of the list has a case");
    for (function, body) in &cases {
        let asked = within_bounds(function, body);
        // It was called, and the call was judged within the budget.
        assert_eq!(asked.output.verdict, Verdict::Allow, "{function}: {:?}\n{body}", asked.output);
    }
}

#[test]
fn no_hostile_module_costs_a_second_or_half_a_gigabyte() {
    for (name, body, _) in hostile_modules::hostile() {
        let scene = scene(&module(&body), &hostile_modules::arguments()).unwrap_or_else(|error| panic!("{error}"));
        let asked = measured(name, &body, &scene);
        assert_eq!(asked.output.verdict, Verdict::Deny, "{name}: {:?}", asked.output);
    }
}

/// What a function does not take may be told in a message of any length, before the call is denied.
///
/// The arguments take nearly all of the budget and are paid for before the call: where that much is spent and the budget has
/// not run out, the function was called.
#[test]
fn no_function_costs_more_where_it_is_given_what_it_does_not_take() {
    for builtin in ALLOWED {
        let argument = match builtin.arguments {
            1 => "data.registries.whole",
            2 => "data.registries.half",
            _ => "data.registries.third",
        };
        let call = match builtin.name {
            "__builtin_sets.intersection" => format!("{argument} & {argument}"),
            "__builtin_sets.union" => format!("{argument} | {argument}"),
            // These two take an object for anything, and what they give is paid for as well.
            "object.get" => "object.get(data.registries.half, data.registries.half, 0)".to_owned(),
            "object.union" => "object.union(data.registries.third, data.registries.third)".to_owned(),
            name => format!("{name}({})", vec![argument; builtin.arguments].join(", ")),
        };
        let asked = within_bounds(builtin.name, &format!("x := {call}"));
        let told = asked.output.detail.as_deref().unwrap_or_default();
        assert!(
            !told.contains(&Failure::Budget.to_string()),
            "{}: the budget ran out before or behind it",
            builtin.name
        );
        assert!(asked.spent > FUEL / 10 * 9, "{}: {} units, so it was not called", builtin.name, asked.spent);
    }
}
