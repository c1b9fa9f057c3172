//! Facts: which reads a call leads to, and what is kept of their answers.

use aegis_decision::bundle::Bundle;
use aegis_decision::json::{emit, parse};
use serde_json::{Value, json};
use test_case::test_case;

use super::fixture::{assemble, tool};

fn read_order() -> Value {
    json!({"name": "orders.read", "class": "Read", "http": {"method": "GET", "path": "/orders/{id}", "query": [
        {"name": "f", "repeated": true}, {"name": "v", "const": "2", "required": true}, {"name": "at"},
    ]}, "arguments": {"properties": {"id": {"maxLength": 8}}}})
}

fn confirm(fact: Value) -> Value {
    json!({
        "name": "orders.confirm", "class": "Draft", "http": {"method": "POST", "path": "/confirm"},
        "aliases": {"order": "doc.order[0]"}, "facts": [fact],
    })
}

fn order_fact(id: Value) -> Value {
    json!({"name": "order", "operation": "orders.read", "paths": ["total", "lines[*].price", "party.id", "party.name"],
           "arguments": {"id": id, "f": {"values": ["total", "party"]}, "at": {"value": "now"}}})
}

fn bundle(fact: Value) -> Bundle {
    assemble(&tool(vec![read_order(), confirm(fact)])).unwrap()
}

fn urls(bundle: &Bundle, arguments: &str) -> Vec<String> {
    let call = bundle.call_of("depot", "orders.confirm", parse(arguments.as_bytes()).unwrap()).unwrap();
    bundle.fact_permits(&call).into_iter().map(|permit| permit.into_parts().1.url).collect()
}

#[test_case("id", r#"{"id":"7"}"#, Some("7"); "a string")]
#[test_case("id", r#"{"id":7.0}"#, Some("7"); "a number in its canonical form")]
#[test_case("id", r#"{"id":true}"#, Some("true"); "a boolean")]
#[test_case("id", r#"{"id":"a b?"}"#, Some("a%20b%3F"); "encoded")]
#[test_case("order", r#"{"doc":{"order":["x","y"]}}"#, Some("x"); "an alias")]
#[test_case("doc.order[1]", r#"{"doc":{"order":["x","y"]}}"#, Some("y"); "a deep path")]
#[test_case("id", "{}", None; "missing")]
#[test_case("id", r#"{"id":null}"#, None; "null")]
#[test_case("id", r#"{"id":["1","2"]}"#, None; "several")]
#[test_case("id", r#"{"id":{"a":1}}"#, None; "an object")]
#[test_case("id", r#"{"id":""}"#, None; "empty")]
#[test_case("id", r#"{"id":".."}"#, None; "dots")]
#[test_case("id", r#"{"id":"7/confirm"}"#, None; "slash")]
#[test_case("id", r#"{"id":"%2e%2e"}"#, None; "an escape")]
#[test_case("id", r#"{"id":"a\u0000"}"#, None; "nul")]
#[test_case("id", r#"{"id":"123456789"}"#, None; "does not fit the schema of the read")]
fn a_fact_is_read_with_the_arguments_of_the_call(from: &str, arguments: &str, segment: Option<&str>) {
    let bundle = bundle(order_fact(json!({"from": from})));
    let query = "?f=total&f=party&v=2&at=now";
    let expected: Vec<_> =
        segment.iter().map(|id| format!("https://depot.example:8443/base/orders/{id}{query}")).collect();
    assert_eq!(urls(&bundle, arguments), expected);
}

#[test]
fn a_list_of_the_call_fills_a_repeated_parameter() {
    let fact = json!({"name": "order", "operation": "orders.read", "paths": ["total"],
                      "arguments": {"id": {"value": "1"}, "f": {"from": "fields"}}});
    let bundle = bundle(fact);
    let url = "https://depot.example:8443/base/orders/1?f=a&f=2&v=2";
    assert_eq!(urls(&bundle, r#"{"fields":["a",2]}"#), [url]);
    assert_eq!(urls(&bundle, r#"{"fields":["a",{}]}"#), Vec::<String>::new());
}

#[test]
fn a_fact_is_sent_like_any_request_of_the_tool() {
    let bundle = bundle(order_fact(json!({"from": "id"})));
    let call = bundle.call_of("depot", "orders.confirm", parse(br#"{"id":"7"}"#).unwrap()).unwrap();
    let permit = bundle.fact_permits(&call).pop().unwrap();
    assert_eq!((permit.name(), permit.tool(), permit.timeout_seconds()), ("order", "depot", 9));
    let (_, sent) = permit.into_parts();
    assert_eq!((sent.method.as_str(), &sent.body), ("GET", &None));
    assert_eq!(sent.headers, [("x-site".to_owned(), "north".to_owned())]);
    assert_eq!(sent.passed, [("accept".to_owned(), "application/json".to_owned())]);
}

#[test_case(r#"{"x":1,"total":"9.90","secret":2}"#, Some(r#"{"total":"9.90"}"#); "other members are dropped")]
#[test_case(r#"{"total":{"a":[1,{"b":2}]}}"#, Some(r#"{"total":{"a":[1,{"b":2}]}}"#); "what a path ends at is kept whole")]
#[test_case(r#"{"lines":[{"price":1,"x":2},{"x":3},4,{"price":5}]}"#, Some(r#"{"lines":[{"price":1},{},null,{"price":5}]}"#); "lists keep their length")]
#[test_case(r#"{"party":{"name":"n","iban":"i","id":7}}"#, Some(r#"{"party":{"name":"n","id":7}}"#); "two paths under one member")]
#[test_case(r#"{"party":"p","lines":{}}"#, Some("{}"); "members of another shape are dropped")]
#[test_case("{}", Some("{}"); "an empty object")]
#[test_case("[]", None; "another shape")]
#[test_case("null", None; "null")]
#[test_case(r#"{"total":1,"total":2}"#, None; "duplicate keys")]
#[test_case(r#"{"total":1"#, None; "cut")]
#[test_case("", None; "nothing")]
fn only_the_declared_paths_of_an_answer_are_kept(answer: &str, kept: Option<&str>) {
    let bundle = bundle(order_fact(json!({"from": "id"})));
    let call = bundle.call_of("depot", "orders.confirm", parse(b"{}").unwrap()).unwrap();
    let narrowed = bundle.keep_fact(&call, "order", answer.as_bytes());
    assert_eq!(narrowed.as_ref().map(emit), kept.map(|kept| kept.as_bytes().to_vec()));
    if let Some(narrowed) = narrowed {
        assert_eq!(
            bundle.keep_fact(&call, "order", &emit(&narrowed)),
            Some(narrowed),
            "narrowing again changes nothing"
        );
    }
    assert_eq!(bundle.keep_fact(&call, "other", answer.as_bytes()), None);
}

#[test_case("name", json!("o.x"), "must be named with"; "name")]
#[test_case("operation", json!("orders.burn"), "names an operation that the tool does not declare"; "unknown operation")]
#[test_case("operation", json!("orders.confirm"), "must be a Read operation with method GET"; "not a read")]
#[test_case("paths", json!([]), "must keep at least one path"; "no paths")]
#[test_case("paths", json!(["lines[0]"]), "field names and [*] only"; "index")]
#[test_case("paths", json!(["$fact.a.b"]), "field names and [*] only"; "another input")]
#[test_case("arguments", json!({}), "must give every path parameter"; "argument missing")]
#[test_case("arguments", json!({"id": {"value": "1"}, "x": {"value": "1"}}), "no path or query parameter"; "unknown argument")]
#[test_case("arguments", json!({"id": {"from": "lines[*].id"}}), "names one value of the call"; "from several")]
#[test_case("arguments", json!({"id": {"from": "$agent.name"}}), "names one value of the call"; "from another input")]
#[test_case("arguments", json!({"id": {"values": ["1"]}}), "several values"; "several values")]
#[test_case("arguments", json!({"id": {"value": "1"}, "v": {"value": "3"}}), "another value than its constant"; "constant")]
fn a_fact_that_cannot_be_read_is_refused(field: &str, value: Value, reason: &str) {
    let mut fact = order_fact(json!({"from": "id"}));
    fact[field] = value;
    let error = assemble(&tool(vec![read_order(), confirm(fact)])).unwrap_err().to_string();
    assert!(error.contains(reason) && error.contains("operations[orders.confirm].facts["), "{error}");
}

#[test]
fn two_facts_of_one_name_are_refused() {
    let mut confirm = confirm(order_fact(json!({"from": "id"})));
    let twice = confirm["facts"][0].clone();
    confirm["facts"].as_array_mut().unwrap().push(twice);
    assert!(assemble(&tool(vec![read_order(), confirm])).unwrap_err().to_string().contains("is given twice"));
}
