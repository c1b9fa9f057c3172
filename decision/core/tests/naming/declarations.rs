//! Declarations that cannot be judged by are refused when the bundle is made.

use serde_json::{Value, json};
use test_case::test_case;

use super::fixture::{assemble, tool};

fn operation(name: &str, method: &str, path: &str, body: Value) -> Value {
    json!({"name": name, "class": "Draft", "http": {"method": method, "path": path, "body": body}})
}

#[test_case("/a", json!({}), "/a", json!({}), false; "same path")]
#[test_case("/{x}", json!({}), "/{y}", json!({}), false; "same shape")]
#[test_case("/a", json!({}), "/{y}", json!({}), true; "literal against parameter")]
#[test_case("/a/{x}", json!({}), "/{y}/b", json!({}), false; "crossing")]
#[test_case("/a/{x}", json!({"op": "1"}), "/{y}/b", json!({"op": "2"}), true; "crossing, told apart by the body")]
#[test_case("/a/{x}", json!({}), "/b/{x}", json!({}), true; "disjoint")]
#[test_case("/a", json!({}), "/a/", json!({}), true; "slash at the end")]
#[test_case("/a", json!({"op": "1"}), "/a", json!({"op": "2"}), true; "two values of one field")]
#[test_case("/a", json!({"op": "1"}), "/a", json!({}), true; "discriminator against none")]
#[test_case("/a", json!({"op": "1"}), "/a", json!({"op": "1"}), false; "same discriminators")]
#[test_case("/a", json!({"op": "1"}), "/a", json!({"kind": "1"}), false; "different fields")]
#[test_case("/a", json!({"op": "1", "kind": "1"}), "/a", json!({"op": "1"}), true; "more against fewer")]
#[test_case("/a", json!({"[\"op\"]": "1"}), "/a", json!({"op": "1"}), false; "two spellings of one field")]
fn two_operations_are_told_apart(first: &str, first_body: Value, second: &str, second_body: Value, accepted: bool) {
    let operations = vec![operation("one", "POST", first, first_body), operation("two", "POST", second, second_body)];
    let made = assemble(&tool(operations));
    match made {
        Ok(_) => assert!(accepted),
        Err(error) => {
            assert!(!accepted, "{error}");
            assert!(error.to_string().contains("operations one and two can match the same request"), "{error}");
        }
    }
}

#[test_case("POST", "a", "must start with a slash"; "no slash")]
#[test_case("POST", "/a//b", "empty segments"; "empty segment")]
#[test_case("POST", "/a/../b", "empty segments"; "dots")]
#[test_case("POST", "/a{x}", "one {parameter}"; "part of a segment")]
#[test_case("POST", "/{+x}", "a parameter's name"; "another level of RFC 6570")]
#[test_case("POST", "/{}", "a parameter's name"; "no name")]
#[test_case("POST", "/a%20b", "literal ASCII without escapes"; "escape")]
#[test_case("POST", "/ä", "literal ASCII without escapes"; "not ascii")]
#[test_case("POST", "/{x}/{x}", "two parameters are named x"; "one name twice")]
#[test_case("post", "/a", "must be GET, HEAD, POST"; "method in lower case")]
#[test_case("TRACE", "/a", "must be GET, HEAD, POST"; "trace")]
fn a_binding_is_refused(method: &str, path: &str, reason: &str) {
    let error = assemble(&tool(vec![operation("one", method, path, json!({}))])).unwrap_err().to_string();
    assert!(error.contains(reason) && error.contains("tool depot: operations[one].http"), "{error}");
}

#[test_case(json!({"argumentsFrom": "params"}), "argumentsFrom: must be empty or start with a slash"; "pointer without slash")]
#[test_case(json!({"argumentsFrom": "/a~2"}), "argumentsFrom: must write ~ as ~0"; "pointer with a bad escape")]
#[test_case(json!({"http": {"method": "GET", "path": "/a"}, "argumentsFrom": "/a"}), "argumentsFrom: this method has no body"; "pointer into no body")]
#[test_case(json!({"http": {"method": "GET", "path": "/a", "body": {"a": "1"}}}), "http.body[a]: this method has no body"; "discriminator in no body")]
#[test_case(json!({"http": {"method": "POST", "path": "/a", "body": {"a[*]": "1"}}}), "must name one field"; "discriminator over a list")]
#[test_case(json!({"http": {"method": "POST", "path": "/a", "body": {"$agent.name": "1"}}}), "must name one field"; "discriminator of another input")]
#[test_case(json!({"http": {"method": "POST", "path": "/a", "body": {"a": "1", "[\"a\"]": "2"}}}), "is given twice"; "discriminator twice")]
#[test_case(json!({"http": {"method": "GET", "path": "/{a}", "query": [{"name": "a"}]}}), "two parameters are named a"; "path and query")]
#[test_case(json!({"class": "Commit"}), "a Commit needs a JSON Schema"; "commit without schema")]
fn an_operation_is_refused(changes: Value, reason: &str) {
    let mut one = operation("one", "POST", "/a", json!({}));
    for (key, value) in changes.as_object().unwrap() {
        one[key] = value.clone();
    }
    let error = assemble(&tool(vec![one])).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn an_operation_has_its_name_alone() {
    let operations = vec![operation("one", "POST", "/a", json!({})), operation("one", "POST", "/b", json!({}))];
    assert!(assemble(&tool(operations)).unwrap_err().to_string().contains("two are named one"));
}

#[test_case("Content-Type", "a", "lower case"; "case")]
#[test_case("content-type", "a", "is set by Aegis"; "content type")]
#[test_case("aegis-run", "a", "is set by Aegis"; "ours")]
#[test_case("x y", "a", "must be a header name"; "space")]
#[test_case("x-site", "a", "is given twice"; "twice")]
#[test_case("authorization", "a", "is the credential's header"; "credential")]
#[test_case("x-a", "a\r\nb: c", "must have a value of visible ASCII"; "line break")]
fn a_constant_header_is_refused(name: &str, value: &str, reason: &str) {
    let mut tool = tool(vec![]);
    tool["credential"] = json!({"secret": "s", "key": "k", "header": "authorization"});
    tool["headers"].as_array_mut().unwrap().push(json!({"name": name, "value": value}));
    let error = assemble(&tool).unwrap_err().to_string();
    assert!(error.contains(reason), "{error}");
}
