//! What of the language is there: each construct is either refused when a module is read, or means on the machine what it
//! means in the interpreter. A third thing, a construct that the machine reads otherwise, is what this looks for.

use aegis_decision::rego::Module;
use regorus::{Engine, Value};

use crate::scene::{ask, module, scene};

const INPUT: &str = r#"{"amount": 1, "supplier": "s-2", "n": 7, "t": "abc", "on": true, "off": false, "none": null, "xs": [3, 1, 2, 3],
    "o": {"a": 1, "b": {"c": [10, 20]}, "k-1": "v"}, "lines": [{"name": "a", "price": 1}, {"name": "b", "price": 2}, {"name": "a", "price": 3}]}"#;

/// Rules whose `x` is what is asked for.
const RUNS: &[&str] = &[
    "x := input.n + 1 - 2 * 3",
    "x := input.n / 2",
    "x := input.n % 4",
    "x := [input.xs[0], input.xs[3], input.o.b.c[1], input.o[\"k-1\"]]",
    "x := input.missing.more",
    "x if input.missing == 1",
    "x if not input.missing",
    "x if not input.on",
    "x if not input.off",
    "x if input.none == null",
    "x if input.xs[_] == 2",
    "x contains v if { some v in input.xs; v > 1 }",
    "x contains v if { v := input.xs[_]; v != 3 }",
    "x contains [i, v] if some i, v in input.xs",
    "x contains [k, v] if some k, v in input.o",
    "x := {k: v | some k, v in input.o}",
    "x := {v | some v in input.xs}",
    "x := [y | some v in input.xs; y := v * 2]",
    "x := [[i, j] | some i in input.xs; some j in input.xs; i < j]",
    "x := [ys | some line in input.lines; ys := [z | some other in input.lines; other.name == line.name; z := other.price]]",
    "x[line.name] := n if { some line in input.lines; n := count([1 | some o in input.lines; o.name == line.name]) }",
    "x if every v in input.xs { v > 0 }",
    "x if every v in input.xs { v > 1 }",
    "x if every v in [] { v > 1 }",
    "x if every i, v in input.xs { i < 9; v < 9 }",
    "f(3) := 1\nx if y := f(4)",
    "x := y if y := input.missing",
    "x := [y | some v in [1, 2]; y := input.xs[v + 9]]",
    "x[k] := v if { some line in input.lines; k := line.name; v := line.price }",
    "x if not 1 / 0",
    "x := {\"a\": input.missing}",
    "x := [1, input.missing]",
    "x := {1, input.missing}",
    "x := {input.missing: 1}",
    "f(a) := 1\nx := f(input.missing)",
    "f(a) := a\nx := f(input.missing)",
    "x if every v in 5 { v }",
    "x if every v in input.missing { v }",
    "x := input.missing + 1",
    "x if input.missing > 1",
    "x if not input.missing > 1",
    "x := count(input.missing)",
    "x if not count(input.missing) == 1",
    "x := input.xs[input.missing]",
    "x if input.n == input.missing",
    "x if input.n != input.missing",
    "x if not input.n == input.missing",
    "x contains input.missing",
    "x[k] := 1 if k := input.missing",
    "x := input.missing in [1]",
    "x if not input.missing in [1]",
    "x if some v in input.missing",
    "x := a + b if { a := 1; b := input.missing }",
    "x := {\"k\": v | some v in input.missing}",
    "x := {k: v | some k in [1]; v := input.missing}",
    "x := {input.missing | true}",
    "x := sum([1, input.missing])",
    "x := {1} | input.missing",
    "x := 1 if not { input.missing }",
    "y if input.n == 8\nx if not y",
    "y if input.n == 8\nx := [y]",
    "y if input.n == 8\nx := {\"a\": y}",
    "y := false\nx if not y",
    "f(a) if a > 5\nx if not f(1)",
    "f(a) if a > 5\nx := [f(1)]",
    "f(a) if a > 5\nx := b if b := f(1)",
    "f(a) if a > 5\nx := [b | some c in [1, 9]; b := f(c)]",
    "x if { input.t; input.n }",
    "x if input.off",
    "x := null == false",
    "x := 1 if input.n > 9 else := 2 if input.n > 5 else := 3",
    "default x := 5\nx := 6 if input.n > 100",
    "default x := {\"a\": [1, 2]}\nx := 6 if input.n > 100",
    "f(a, b) := a + b\nx := f(input.n, f(1, 2))",
    "f(a) := \"big\" if a > 5\nf(a) := \"small\" if a <= 5\nx := [f(1), f(9)]",
    "f(1) := \"one\"\nf(2) := \"two\"\nx := [y | some v in input.xs; y := f(v)]",
    "f([a, b]) := a + b\nx := f([1, 2])",
    "f({\"a\": a}) := a\nx := f({\"a\": 4})",
    "default f(_) := 0\nf(a) := a if a > 5\nx := [f(1), f(9)]",
    "x := y if [_, y] := [1, 2]",
    "x := y if {\"a\": y} := {\"a\": 3}",
    "x := y if { [y, 2] = [1, 2] }",
    "x := y if { {\"a\": y, \"b\": 2} = {\"a\": 1, \"b\": 2} }",
    "x := {1, 2} | {3}",
    "x := {1, 2} & {2, 3}",
    "x := {1, 2} - {2, 3}",
    "x if 2 in input.xs",
    "x if not 9 in input.xs",
    "x if \"a\", 1 in input.o",
    "x if {1, 2} == {2, 1}",
    "x if [1, 2] < [1, 3]",
    "x if {\"a\": 1} != {\"a\": 2}",
    "s := {1, 2, 3}\nx := [v | s[v]; v > 1]",
    "s contains v if some v in input.xs\nx := count(s)",
    "o := {\"a\": 1}\nx := o.a",
    "o := {\"a\": 1}\nx := [k | o[k]]",
    "o[k] := v if some k, v in input.o\nx := o.a",
    "a := b + 1\nb := c + 1\nc := 1\nx := a",
    "x := a.b if a := {\"b\": 2}",
    "x := y if { y := 1; z := 2; y < z }",
    "x := y if { some y; input.xs[y] == 2 }",
    "x := [y | y := input.xs[i]; i > 1]",
    "x := input.o[input.t]",
    "x := input[\"o\"][\"b\"]",
    "x := `raw\\n`",
    "x := \"a\\u00e9\\n\\\"\"",
    "x := -3",
    "x := -input.n",
    "x := 1e3",
    "x := 0.1 + 0.2",
    "x := 1 / 0",
    "x := 5 % 0",
    "x := count(5)",
    "x := not_there",
    "x if { not count(5) }",
    "x := 1 if input.n == 7\nx := 2 if input.n == 7",
    "x := 1 if input.n == 7\nx := 1 if input.n > 1",
    "x := true if { true; not false }",
    "import rego.v1\nx := 1",
    "import input.o as o\nx := o.a",
    "import input.o\nx := o.a",
    "import future.keywords.in\nx if 1 in [1]",
    "x := {\"a\": {\"b\": [y | some y in input.xs]}}",
    "x := {\"k\": v, \"l\": w} if { v := 1; w := input.n }",
    "x := {input.t: 1}",
    "x := [1, 2][1]",
    "x := {\"a\": 1}.a",
    "x := ((1 + 2)) * 3",
    "x := 1 == 1",
    "x := input.n > 3",
    "x = 3",
    "x { true }",
    "x[v] { v := input.xs[_] }",
    "x := y { y := 1 }",
    "x.a := 1\nx.b := 2",
    "x.a.b := 1",
    "x[\"a\"] := 1",
    "x[k][v] := 1 if some k, v in input.o",
    "x[k].y := v if some k, v in input.o",
    "x.y[k] := v if some k, v in input.o",
    "x[k] contains v if { some line in input.lines; k := line.name; v := line.price }",
    "x.a contains v if some v in input.xs",
    "x[\"a\"] contains v if some v in input.xs",
    "x [k] contains v if { some line in input.lines; k := line.name; v := line.price }",
    "x[k]\tcontains v if { some line in input.lines; k := line.name; v := line.price }",
    "x[k] if some k in input.xs",
    "x.a if input.n == 7",
    "x := $\"{input.n} is it\"",
    "x := y if y := input.n with input.n as 3",
    "x := data.aegis.z\nz := 1",
    "x := data.registries.none.a",
    "x if data.registries",
    "x := [id | some id, _ in data.registries.none]",
    "x := object.get(input, [\"o\", \"b\", \"c\"], 0)",
    "x := array.slice(input.xs, 1, 3)",
    "x := sort({3, 1, 2})",
    "x := split(\"a,b\", \",\")",
    "x := upper(input.t)",
    "x := substring(input.t, 1, -1)",
    "x := type_name(input.xs)",
    "x := input.xs[-1]",
    "x := {x1 | x1 := input.xs[_]; x1 > 1}\ny := 1",
    "x := v if { some i; v := input.xs[i]; v == 2 }",
    "x contains v if { some o in input.lines; some v in [o.name, o.price] }",
    "x contains 1\nx contains 2 if false\nx contains 3 if true",
    "x := count({r | some r in [1, 1, 2]}) if { every r in [1] { r == 1 } }",
    "x if { a := 1; b := a; not b == 2; some c in [b]; c == a }",
];

/// Where the machine differs, and what comes out: written down in `docs/reference/rego.md`.
const DIFFERS: &[(&str, &str)] = &[
    // The interpreter fails.
    ("x := [y | some y in 5]", "is_not"),
    // It leaves the element out.
    ("x := [input.missing | true]", "is_not"),
    // It orders values of different types; a denial that rests on the order must not be lost.
    ("x := \"a\" < 1", "rego_failed"),
    ("x if input.t < 1", "rego_failed"),
    ("x if not input.t <= 1", "rego_failed"),
    ("x if input.none > 1", "rego_failed"),
    ("x if not input.o >= 1", "rego_failed"),
    ("y if input.t > 1\nx if not y", "rego_failed"),
    ("x := y if y := input.xs < 1", "rego_failed"),
];

#[test]
fn what_differs_from_the_interpreter_is_what_the_page_says() {
    for (body, wanted) in DIFFERS {
        let body = body.replace("input.", "input.arguments.");
        let verdict = |reason: &str| {
            format!("verdicts contains {{\"effect\": \"Deny\", \"reason\": \"{reason}\", \"message\": \"m\"}}")
        };
        let text = module(&format!("{body}\n\n{} if x == 7\n{} if not x == 7", verdict("is"), verdict("is_not")));
        assert_eq!(decided(&text), *wanted, "{body}");
    }
}

/// What `x` is by the interpreter; none where it fails.
fn interpreted(text: &str) -> Option<Value> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    engine.add_policy("t".to_owned(), text.to_owned()).unwrap();
    engine.set_input(Value::from_json_str(&format!("{{\"arguments\": {INPUT}}}")).unwrap());
    engine.add_data(Value::from_json_str(r#"{"registries": {}}"#).unwrap()).unwrap();
    engine.eval_rule("data.aegis.x".to_owned()).ok()
}

/// The value as Rego writes it.
fn written(value: &Value) -> String {
    let list = |items: Vec<String>| items.join(", ");
    match value {
        Value::Array(items) => format!("[{}]", list(items.iter().map(written).collect())),
        Value::Set(items) if items.is_empty() => "set()".to_owned(),
        Value::Set(items) => format!("{{{}}}", list(items.iter().map(written).collect())),
        Value::Object(object) => {
            let members = object.iter().map(|(key, member)| format!("{}: {}", written(key), written(member)));
            format!("{{{}}}", list(members.collect()))
        }
        scalar => scalar.to_json_str().unwrap(),
    }
}

/// By the whole path: which of the three things holds.
fn decided(text: &str) -> String {
    let asked = ask(&scene(text, &serde_json::from_str(INPUT).unwrap()).unwrap());
    asked.output.rule.map_or_else(|| "nothing".to_owned(), |rule| rule.reason.unwrap_or_default())
}

#[test]
fn a_construct_is_refused_or_means_what_it_means_in_the_interpreter() {
    let (mut faults, mut refused, mut agreed) = (Vec::new(), Vec::new(), 0);
    let verdict = |reason: &str| {
        format!("verdicts contains {{\"effect\": \"Deny\", \"reason\": \"{reason}\", \"message\": \"m\"}}")
    };
    for body in RUNS {
        let body = body
            .replace("input.", "input.arguments.")
            .replace("(input,", "(input.arguments,")
            .replace("input[", "input.arguments[");
        let asks = |want: &str| {
            module(&format!("{body}\n\n{} if x == {want}\n{} if not x == {want}", verdict("is"), verdict("is_not")))
        };
        if let Err(error) = Module::check(&asks("0")) {
            refused.push(format!("{body}: {error}"));
            continue;
        }
        let by_interpreter = interpreted(&asks("0"));
        let (found, wanted) = match &by_interpreter {
            None => (decided(&asks("0")), "rego_failed"),
            Some(Value::Undefined) => (decided(&asks("0")), "is_not"),
            Some(value) => (decided(&asks(&written(value))), "is"),
        };
        if found == wanted {
            agreed += 1;
        } else {
            faults.push(format!("{body}\n    interpreter {by_interpreter:?}, expected {wanted}, found {found}"));
        }
    }
    assert!(faults.is_empty(), "{}\nrefused:\n{}", faults.join("\n"), refused.join("\n"));
    assert!(agreed >= 85, "only {agreed} agree; refused:\n{}", refused.join("\n"));
}
