//! Modules that are refused before anything is judged by them, each with its line and a sentence that helps.

use serde_json::json;

use crate::scene::{module, scene};

fn refusal(text: &str) -> String {
    match scene(text, &json!({"amount": 1, "supplier": "s-2"})) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}

const V: &str = r#"{"effect": "Allow", "reason": "r", "message": "m"}"#;

#[test]
fn a_refusal_names_the_line_and_what_would_do() {
    for (text, says) in [
        (module("verdicts contains {"), "line 4"),
        (module(&format!("x := 1\nverdicts contains {V} if undefined_function(1)")), "line 4"),
        (format!("package other\nverdicts contains {V}"), "expected package aegis"),
        (format!("package aegis.more\nverdicts contains {V}"), "expected package aegis"),
        (module("allow := true"), "has no rule verdicts"),
        (module(&format!("verdicts contains {V} if input.arguments.amount with input.arguments as {{}}")), "line 3"),
        (module(&format!("x := data.aegis[input.arguments.name]\nverdicts contains {V} if x")), "data.aegis"),
        (module(&format!("verdicts contains {V} if data.aegis")), "data.aegis"),
        ("x".repeat(16_385), "16385 bytes, at most 16384"),
        (String::new(), ""),
    ] {
        let told = refusal(&text);
        assert!(told.starts_with("policy p: rego: ") && told.contains(says), "{told} should say {says}");
    }
}

#[test]
fn functions_that_are_not_on_the_list_are_refused() {
    for call in [
        "numbers.range(1, 20000000)",
        "numbers.range_step(1, 20000000, 1)",
        "rand.intn(\"x\", 5)",
        "time.now_ns()",
        "uuid.rfc4122(\"x\")",
        "http.send({\"method\": \"get\", \"url\": \"https://internal.example\"})",
        "net.lookup_ip_addr(\"internal.example\")",
        "opa.runtime()",
        "sprintf(\"%999999999d\", [1])",
        "concat(\"x\", [\"a\"])",
        "replace(\"a\", \"a\", \"b\")",
        "strings.replace_n({\"a\": \"b\"}, \"a\")",
        "regex.match(\"(a+)+$\", \"aaaa\")",
        "glob.match(\"*\", [], \"a\")",
        "bits.lsh(1, 1000000000)",
        "product([1, 2])",
        "json.unmarshal(\"[]\")",
        "json.marshal({})",
        "format_int(1, 2)",
        "to_number(\"1e308\")",
        "walk(input)",
        "trace(\"x\")",
        "print(\"x\")",
        "units.parse(\"1E\")",
        "__builtin_host_await(1, \"x\")",
        "base64.encode(\"x\")",
    ] {
        for body in [
            format!("verdicts contains {V} if {{\n  x := {call}\n}}"),
            format!("default x := false\nx := {call}\nverdicts contains {V} if x"),
            format!("verdicts contains {V} if [y | y := {call}]"),
        ] {
            let told = refusal(&module(&body));
            assert!(told.contains("rego: "), "{told}");
        }
        // A default is evaluated when the module is compiled, by an interpreter without any budget.
        let told = refusal(&module(&format!("default x := {call}\nverdicts contains {V} if x")));
        assert!(told.contains("rego: "), "{told}");
    }
    let told = refusal(&module(&format!("verdicts contains {V} if {{\n  x := numbers.range(1, 2)\n}}")));
    assert_eq!(
        told,
        "policy p: rego: line 4: calls numbers.range, which is not available; docs/reference/rego.md lists the functions that are"
    );
}

/// What nests deep must not use up the stack of who reads it.
#[test]
fn deep_nesting_is_refused() {
    for text in [
        module(&format!("x := {}1{}\nverdicts contains {V}", "[\n".repeat(20_000), "]\n".repeat(20_000))),
        module(&format!("x := {}1{}\nverdicts contains {V}", "(\n".repeat(20_000), ")\n".repeat(20_000))),
        module(&format!("x := {}1\nverdicts contains {V}", "-\n".repeat(20_000))),
        module(&format!("verdicts contains {V} if {{\n{}true}}", "not ".repeat(200))),
        module(&format!("x := input{}\nverdicts contains {V} if x", "\n.a".repeat(15_000))),
        module(&format!("x := 1{}\nverdicts contains {V} if x", "\n+ 1".repeat(12_000))),
        module(&format!("x := 1{}\nverdicts contains {V} if x", "\n| 1".repeat(12_000))),
        module(&format!("verdicts contains {V} if {{\ntrue\n}}{}", " else := 1 if {\ntrue\n}".repeat(2_000))),
    ] {
        let told = refusal(&text);
        assert!(told.contains("rego: "), "{told}");
    }
}

/// What reading or compiling goes through again and again must not take for ever: for each of these it did.
#[test]
fn what_grows_with_each_level_is_refused() {
    let nested = |open: &str, close: &str, levels| format!("{}1{}", open.repeat(levels), close.repeat(levels));
    let indices = |index: &str, count| format!("a := 0\nv := input.x{}", index.repeat(count));
    for (body, says) in [
        ("x := 0e2000000000".to_owned(), "exponent"),
        ("x := 0.0E99999".to_owned(), "exponent"),
        ("x := 0e-2000000000".to_owned(), "exponent"),
        ("x := [1, 0e+1000]".to_owned(), "exponent"),
        (format!("x := {}", nested("[", "]", 30)), "brackets"),
        (format!("x := {}", nested("{", "}", 12)), "brackets"),
        (format!("x := {}", nested("{1: ", "}", 12)), "brackets"),
        (format!("x := {}", nested("[y | y := ", "]", 12)), "brackets"),
        (format!("x if {{\n{}\nv\n}}", indices("[a]", 40)), "indices"),
        (format!("x if {{\n{}\nv\n}}", indices("[[a, a, a]]", 6)), "indices"),
        (format!("x if {{\n{}\nv\n}}", indices("[a].b", 40)), "indices"),
        ("x[k] := 1 if {\nsome k in [1]\n} {\nk := 2\n}".to_owned(), "a second body of a rule without else"),
        ("x := 3 if {\nfalse\n} {\ntrue\n}".to_owned(), "a second body of a rule without else"),
    ] {
        let told = refusal(&module(&format!("{body}\nverdicts contains {V} if x")));
        assert!(told.contains(says), "{body}: {told}");
    }
    let told = refusal(&format!("package aegis\nverdicts contains {V}\nx := 0e2000000000"));
    assert!(told.contains("exponent"), "at the end of the text: {told}");
    // What is just within the bounds is read at once.
    for body in [
        "x := 0e999".to_owned(),
        "x := -1.5e-12".to_owned(),
        format!("x := {}", nested("[", "]", 8)),
        format!("x if {{\n{}\nv\n}}", indices("[a]", 8)),
        format!("x if {{\n{}\nv\n}}", indices("[0]", 40)),
        format!("x if {{\n{}\nv\n}}", indices("\n[a, a, a] == [0, 0, 0]", 40)),
        "x := 3 if {\nfalse\n} else := 4 if {\ntrue\n}".to_owned(),
    ] {
        let text = module(&format!("{body}\nverdicts contains {V} if x"));
        assert!(scene(&text, &json!({"amount": 1, "supplier": "s-2"})).is_ok(), "{body}");
    }
}

#[test]
fn a_default_is_a_value_that_is_written_out() {
    let endless = "[1 | some a in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]; some b in [a]; b == 99]";
    for default in [
        format!("default x := {endless}"),
        format!("default\nx := {endless}"),
        format!("default # so\nx := {endless}"),
        format!("default x\n:= {endless}"),
        format!("default x := # so\n{endless}"),
        format!("default x :=\n\n{endless}"),
        "default x := f(1)\nf(a) := f(a + 1)".to_owned(),
        "default\nx := [1 | f(1)]\nf(a) := f(a + 1)".to_owned(),
        "default x := y\ny := 1".to_owned(),
        "default x := input.arguments.amount".to_owned(),
        "default x := [1, {\"a\": {input}}]".to_owned(),
        "default f(_) := 0".to_owned(),
        "default x := concat(\"\", [\"a\"])".to_owned(),
    ] {
        let told = refusal(&module(&format!("{default}\nverdicts contains {V} if x")));
        assert!(told.contains("default that is not written out"), "{default}: {told}");
    }
    // More than one term is none to the parser.
    for value in ["1 + 1", "`a` in [1]", "[1][0]"] {
        refusal(&module(&format!("default x := {value}\nverdicts contains {V} if x")));
    }
    for value in ["false", "-1.5", "null", "`raw`", "[1,\n {\"a\": {2, 3}},\n]", "{\n\"a\": -1,\n}"] {
        let text = module(&format!("default x := {value}\nverdicts contains {V} if x == 5"));
        assert!(scene(&text, &json!({"amount": 1, "supplier": "s-2"})).is_ok(), "{value}");
    }
}
