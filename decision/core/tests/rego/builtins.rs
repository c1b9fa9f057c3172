//! No function of the list does more than its arguments say: each is called with arguments so large that growth
//! beyond them shows, and what it gives is measured.

use aegis_decision::rego::builtins::ALLOWED;
use aegis_decision::rego::{MAX_TEXT_BYTES, ModuleSource};
use regorus::{Engine, Value};

/// Values of each type, so large that growth beyond the arguments shows.
fn largest() -> Vec<(&'static str, Value)> {
    let text = |of: &str| Value::from(of.repeat(MAX_TEXT_BYTES / 4 / of.len()));
    let numbers = || (0..500_i64).map(Value::from);
    vec![
        ("text", text("a")),
        ("growing text", text("\u{149}")),
        ("spaces", text(" ")),
        ("short text", Value::from("a")),
        ("no text", Value::from("")),
        ("list", Value::from(numbers().collect::<Vec<_>>())),
        ("list of texts", Value::from(vec![text("a"); 2])),
        ("set", Value::from(numbers().collect::<std::collections::BTreeSet<_>>())),
        ("object", Value::from(numbers().map(|n| (n.clone(), n)).collect::<std::collections::BTreeMap<_, _>>())),
        ("largest number", Value::from(i64::MAX)),
        ("smallest number", Value::from(i64::MIN)),
        ("largest fraction", Value::from(1e300)),
        ("zero", Value::from(0_i64)),
        ("minus one", Value::from(-1_i64)),
        ("null", Value::Null),
    ]
}

/// Values in a value, a text counted by its bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => 1 + text.len(),
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Set(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(object) => 1 + object.iter().map(|(key, member)| size(key) + size(member)).sum::<usize>(),
        Value::Number(number) if number.as_big().is_some() => number.format_decimal().len(),
        _ => 1,
    }
}

#[test]
fn no_function_gives_more_than_a_small_multiple_of_what_it_was_given() {
    let largest: Vec<_> = largest().into_iter().map(|(name, value)| (name, size(&value), value)).collect();
    let mut asked = 0_u32;
    for builtin in ALLOWED {
        let call = match builtin.name {
            "__builtin_sets.intersection" => "input.a & input.b".to_owned(),
            "__builtin_sets.union" => "input.a | input.b".to_owned(),
            name => format!("{name}({})", ["input.a", "input.b", "input.c"][..builtin.arguments].join(", ")),
        };
        let mut engine = Engine::new();
        engine.add_policy("t".to_owned(), format!("package t\nx := {call}\n")).unwrap();
        let mut answers = 0;
        for (first, size_a, a) in &largest {
            for (second, size_b, b) in &largest {
                if builtin.arguments == 1 && first != second {
                    continue;
                }
                for (third, size_c, c) in &largest {
                    // A third one is a number of elements, or what is given instead of a member.
                    let counts = c.as_number().is_ok() || *third == "list";
                    if if builtin.arguments < 3 { third != second } else { !counts } {
                        continue;
                    }
                    let input = [("a", a), ("b", b), ("c", c)].map(|(name, value)| (Value::from(name), value.clone()));
                    engine.set_input(Value::from(std::collections::BTreeMap::from(input)));
                    let given: usize = [size_a, size_b, size_c][..builtin.arguments].iter().copied().sum();
                    asked += 1;
                    let Ok(value) = engine.eval_rule("data.t.x".to_owned()) else { continue };
                    answers += 1;
                    let got = size(&value);
                    // `split` by nothing makes a value of each character, and lower case can take three times the bytes.
                    assert!(got <= 3 * given + 16, "{}({first}, {second}, {third}): {given} -> {got}", builtin.name);
                }
            }
        }
        assert!(answers > 0, "{} was never called as it wants to be", builtin.name);
    }
    assert!(asked > 1_000, "{asked}");
}

/// The list names what exists: a function that regorus renames or drops shows here.
#[test]
fn every_function_of_the_list_can_be_called() {
    for builtin in ALLOWED {
        let call = match builtin.name {
            "__builtin_sets.intersection" => "input.a & input.b".to_owned(),
            "__builtin_sets.union" => "input.a | input.b".to_owned(),
            name => format!("{name}({})", ["input.a", "input.b", "input.c"][..builtin.arguments].join(", ")),
        };
        let said = r#"{"effect": "Deny", "reason": "r", "message": "m"}"#;
        let source = ModuleSource {
            module: format!("package aegis\nverdicts contains {said} if {{\n  x := {call}\n  x == 1\n}}\n").into(),
            tiers: Vec::new(),
        };
        aegis_decision::rego::Module::compile(&source, &[], &[]).unwrap_or_else(|error| panic!("{call}: {error}"));
    }
}
