//! Modules that were written to cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;

/// A verdict that lets a call go.
pub const SAID: &str = r#"{"effect": "Allow", "reason": "fine", "message": "all is well"}"#;

/// `x0` is `first`; each further one is made from the one before.
fn doubled(name: &str, first: &str, next: impl Fn(&str) -> String, count: usize) -> String {
    let mut text = format!("{name}0 := {first}\n");
    for index in 1..=count {
        let before = format!("{name}{}", index - 1);
        writeln!(text, "{name}{index} := {}", next(&before)).unwrap();
    }
    text
}

/// `f0` puts its argument into a list; each further one calls the one before twice.
fn tower(count: usize) -> String {
    let mut text = "f0(x) := [x]\n".to_owned();
    for index in 1..=count {
        writeln!(text, "f{index}(x) := f{}(f{}(x))", index - 1, index - 1).unwrap();
    }
    text
}

/// Name of each, the module behind its head, and what the denial says.
pub fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let budget = "units of work";
    let some_in_items = |count: usize| {
        let lines: Vec<_> = (0..count).map(|index| format!("some x{index} in input.arguments.items\n")).collect();
        lines.concat()
    };
    let pair = |before: &str| format!("[{before}, {before}]");
    vec![
        (
            "an object searched from the front, again and again",
            format!("verdicts contains {SAID} if {{\n{}[1, 2, 0] in input.arguments.members\n}}", some_in_items(2)),
            budget,
        ),
        (
            "steps through a set of values that differ at their end",
            format!(
                "s := {{list | some list in input.arguments.lists}}\nverdicts contains {SAID} if {{\nsome a in s\nsome b in s\nsome c in s\na == 1\n}}"
            ),
            budget,
        ),
        ("loops in loops", format!("verdicts contains {SAID} if {{\n{}x0 == \"none\"\n}}", some_in_items(8)), budget),
        (
            "a comprehension over itself",
            format!(
                "xs := [[a, b, c, d] |\nsome a in input.arguments.items\nsome b in input.arguments.items\nsome c in input.arguments.items\nsome d in input.arguments.items\n]\nverdicts contains {SAID} if count(xs) > 0"
            ),
            budget,
        ),
        (
            "two values of 2^60 leaves, compared",
            format!(
                "{}{}verdicts contains {SAID} if x60 == y60",
                doubled("x", "[1]", pair, 60),
                doubled("y", "[1]", pair, 60)
            ),
            budget,
        ),
        (
            "a set of values of 2^60 leaves",
            format!("{}verdicts contains {SAID} if count({{x60, x59}}) == 2", doubled("x", "[1]", pair, 60)),
            budget,
        ),
        (
            "lists of lists of lists, each comprehension cheap",
            format!(
                "items := input.arguments.items\nxs := [[1, 2, 3] | some a in items; some b in items]\nys := [xs | some a in items; some b in items]\nzs := [ys | some a in items; some b in items]\nws := [ys | some a in items; some b in items]\nverdicts contains {SAID} if zs == ws"
            ),
            budget,
        ),
        (
            "lists joined with themselves",
            format!(
                "{}verdicts contains {SAID} if count(x60) > 0",
                doubled("x", "[1, 2]", |before| format!("array.concat({before}, {before})"), 60)
            ),
            budget,
        ),
        (
            "numbers squared",
            format!(
                "{}verdicts contains {SAID} if x40 > 0",
                doubled("x", "9007199254740991", |before| format!("{before} * {before}"), 40)
            ),
            "64 bits",
        ),
        (
            "a tower of functions, 2^18 levels",
            format!("{}verdicts contains {SAID} if f18(1) != 2", tower(18)),
            "levels",
        ),
        (
            "sets of sets",
            format!(
                "s := {{[a, b] | some a in input.arguments.items; some b in input.arguments.items}}\nt := {{[a, b] | some a in s; some b in s}}\nverdicts contains {SAID} if count(t) > 0"
            ),
            budget,
        ),
        (
            "a long text, split over and over",
            format!(
                "verdicts contains {SAID} if {{\nsome x in input.arguments.items\ncount(split(input.arguments.text, \"\")) == 0\n}}"
            ),
            budget,
        ),
        (
            "a rule with another value elsewhere",
            format!(
                "{}r := x60 if input.arguments.amount else := x59\nverdicts contains {SAID} if r",
                doubled("x", "[1]", pair, 60)
            ),
            budget,
        ),
    ]
}

/// Of a call to all of them.
pub fn arguments() -> serde_json::Value {
    let items: Vec<_> = (0..60).map(|index| format!("item-{index}")).collect();
    let members: BTreeMap<_, _> = (1..=400).map(|index| (format!("m-{index}"), [1, 2, index])).collect();
    let list = |last| (0..400).map(|at| if at == 399 { last } else { 1 }).collect::<Vec<_>>();
    let lists: Vec<_> = (0..11).map(list).collect();
    json!({
        "amount": 50, "supplier": "s-2", "items": items, "text": "a".repeat(60_000), "members": members, "lists": lists,
    })
}
