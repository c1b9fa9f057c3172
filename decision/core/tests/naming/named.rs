//! What is named, with which arguments, and what is sent.

use aegis_decision::call::Encoding;
use aegis_decision::json::emit;
use test_case::test_case;

use super::fixture::{json_call, name};

const BASE: &str = "https://depot.example:8443/base";

#[test_case("GET /", "", "root", "{}", "/"; "the root")]
#[test_case("GET /bins", "", "bins.list", "{}", "/bins"; "no parameters")]
#[test_case("GET /bins?", "", "bins.list", "{}", "/bins"; "an empty query is none")]
#[test_case("GET /bins?tag=a", "", "bins.list", r#"{"tag":["a"]}"#, "/bins?tag=a"; "one value of a repeated parameter is an array")]
#[test_case("GET /bins?tag=b&page=2&tag=a", "", "bins.list", r#"{"tag":["b","a"],"page":"2"}"#, "/bins?tag=b&page=2&tag=a"; "query order is kept")]
#[test_case("GET /bins?view=full", "", "bins.list", r#"{"view":"full"}"#, "/bins?view=full"; "a constant")]
#[test_case("GET /bins?%74ag=a+b%2B%20c", "", "bins.list", r#"{"tag":["a b+ c"]}"#, "/bins?tag=a%20b%2B%20c"; "query text is encoded in one way")]
#[test_case("GET /bins?page=a=b==", "", "bins.list", r#"{"page":"a=b=="}"#, "/bins?page=a%3Db%3D%3D"; "equals signs in a value")]
#[test_case("GET /bins?page=", "", "bins.list", r#"{"page":""}"#, "/bins?page="; "an empty value is a value")]
#[test_case("GET /bins?page=%E2%82%AC", "", "bins.list", r#"{"page":"€"}"#, "/bins?page=%E2%82%AC"; "beyond ASCII")]
#[test_case("GET /bins?page=50%25", "", "bins.list", r#"{"page":"50%"}"#, "/bins?page=50%25"; "a per cent sign")]
#[test_case("GET /bins/count", "", "bins.count", "{}", "/bins/count"; "a literal beats a parameter")]
#[test_case("GET /%62ins/%63ount", "", "bins.count", "{}", "/bins/count"; "a literal in escapes")]
#[test_case("GET /bins/A-7", "", "bins.read", r#"{"id":"A-7"}"#, "/bins/A-7"; "a path parameter")]
#[test_case("GET /bins/a%20b@c:d;e%3b+", "", "bins.read", r#"{"id":"a b@c:d;e;+"}"#, "/bins/a%20b%40c%3Ad%3Be%3B%2B"; "path text is encoded in one way")]
#[test_case("GET /bins/...", "", "bins.read", r#"{"id":"..."}"#, "/bins/..."; "three dots are a name")]
#[test_case("GET /bins/7?f=x&f=x", "", "bins.read", r#"{"id":"7","f":["x","x"]}"#, "/bins/7?f=x&f=x"; "a repeated constant")]
#[test_case("PUT /bins/7", r#"{"b":1.50,"a":{"z":-0}}"#, "bins.put", r#"{"b":1.5,"a":{"z":0},"id":"7"}"#, "/bins/7"; "body and path")]
#[test_case("PUT /bins/7", "[1,2]", "bins.put", r#"{"body":[1,2],"id":"7"}"#, "/bins/7"; "a body that is no object")]
#[test_case("PUT /bins/7", "", "bins.put", r#"{"id":"7"}"#, "/bins/7"; "no body")]
#[test_case("PUT /bins/7", "null", "bins.put", r#"{"body":null,"id":"7"}"#, "/bins/7"; "null is a body")]
#[test_case("POST /bins/7/move?dry=1", r#"{"to":"9"}"#, "bins.move", r#"{"to":"9","id":"7","dry":"1"}"#, "/bins/7/move?dry=1"; "three places")]
#[test_case("DELETE /bins/7", "", "bins.drop", r#"{"id":"7"}"#, "/bins/7"; "another method")]
#[test_case("POST /v1/bins:pack", "{}", "odd", "{}", "/v1/bins:pack"; "a literal with a colon")]
#[test_case("POST /v1/bins%3Apack", "{}", "odd", "{}", "/v1/bins:pack"; "the same in escapes")]
#[test_case("POST /rpc", r#"{"method":"look"}"#, "rpc.any", r#"{"method":"look"}"#, "/rpc"; "no discriminator holds")]
#[test_case("POST /rpc", r#"{"method":5}"#, "rpc.any", r#"{"method":5}"#, "/rpc"; "a number is not a text")]
#[test_case("POST /rpc", r#"{"method":"pay","params":{"x":1}}"#, "rpc.pay", r#"{"x":1}"#, "/rpc"; "a discriminator beats none")]
#[test_case("POST /rpc", r#"{"method":"pay"}"#, "rpc.pay", "{}", "/rpc"; "nothing where the arguments would be")]
#[test_case("POST /rpc", r#"{"method":"pay","params":[1]}"#, "rpc.pay", r#"{"body":[1]}"#, "/rpc"; "arguments that are no object")]
#[test_case("POST /rpc", r#"{"method":"pay","action":{"when":"now"},"params":{}}"#, "rpc.pay.now", "{}", "/rpc"; "more discriminators beat fewer")]
fn a_request_is_named(request: &str, body: &str, operation: &str, arguments: &str, target: &str) {
    let call = json_call(request, body).unwrap();
    assert_eq!((call.tool.as_str(), call.operation.as_str()), ("depot", operation));
    assert_eq!(String::from_utf8(emit(&call.arguments)).unwrap(), arguments);
    let sent = call.request.unwrap();
    assert_eq!(sent.url, format!("{BASE}{target}"));
    assert_eq!(sent.method, request.split(' ').next().unwrap());
    let mut headers = vec![("x-site".to_owned(), "north".to_owned())];
    if !body.is_empty() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    assert_eq!(sent.headers, headers);
    assert_eq!(sent.body.is_some(), !body.is_empty());
}

#[test]
fn the_whole_body_is_sent_in_order_with_canonical_tokens() {
    let call =
        json_call("POST /rpc", " {\"method\":\"p\\u0061y\",\n \"id\":1e0, \"params\":{\"b\":2.50,\"a\":1}} ").unwrap();
    let sent = call.request.unwrap();
    assert_eq!(sent.encoding, Encoding::Json);
    assert_eq!(sent.body_bytes(), br#"{"method":"pay","id":1,"params":{"b":2.5,"a":1}}"#);
}

#[test_case("a=1&b=x+y%2B%7E*", r#"{"a":"1","b":"x y+~*","id":"7"}"#, "a=1&b=x+y%2B%7E*"; "plus and escapes")]
#[test_case("items[0]=1", r#"{"items[0]":"1","id":"7"}"#, ""; "brackets must be encoded")]
#[test_case("items%5B0%5D=%C3%A4&=", "", ""; "a field must have a name")]
#[test_case("items%5b0%5d=%c3%a4", r#"{"items[0]":"ä","id":"7"}"#, "items%5B0%5D=%C3%A4"; "brackets stay in the name")]
fn a_form_becomes_arguments_and_a_form_again(form: &str, arguments: &str, sent_form: &str) {
    let headers = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8")];
    let named = name("PUT /bins/7", &headers, form.as_bytes());
    if sent_form.is_empty() {
        assert_eq!(named.unwrap_err().code.as_str(), "malformed_body");
        return;
    }
    let call = named.unwrap();
    assert_eq!(String::from_utf8(emit(&call.arguments)).unwrap(), arguments);
    let sent = call.request.unwrap();
    assert_eq!(sent.encoding, Encoding::Form);
    assert_eq!(String::from_utf8(sent.body_bytes()).unwrap(), sent_form);
    assert_eq!(sent.headers[1].1, "application/x-www-form-urlencoded");
}

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn headers_are_consumed_passed_or_dropped() {
    let headers = [
        ("accept", "text/plain, */*"),
        ("accept-language", "de"),
        ("Traceparent", TRACE),
        ("tracestate", "a=b"),
        ("aegis-run", "run-1"),
        ("aegis-delegation", "week-7.buying"),
        ("aegis-approval", "req-1"),
        ("aegis-other", "x"),
        ("idempotency-key", "k-1"),
        ("authorization", "Bearer stolen"),
        ("x-site", "south"),
        ("x-http-method-override", "DELETE"),
        ("cookie", "a=b"),
    ];
    let call = name("GET /bins/7", &headers, b"").unwrap();
    let given = (call.run.as_deref(), call.delegation.as_deref(), call.approval.as_deref());
    assert_eq!(given, (Some("run-1"), Some("week-7.buying"), Some("req-1")));
    assert_eq!((call.idempotency_key.as_deref(), call.traceparent.as_deref()), (Some("k-1"), Some(TRACE)));
    let sent = call.request.unwrap();
    assert_eq!(sent.headers, [("x-site".to_owned(), "north".to_owned())]);
    let passed: Vec<_> = sent.passed.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected =
        [("accept", "text/plain, */*"), ("accept-language", "de"), ("tracestate", "a=b"), ("traceparent", TRACE)];
    assert_eq!(passed, expected);
}

#[test]
fn the_run_is_the_trace_where_no_run_is_named() {
    let run = |headers: &[(&str, &str)]| name("GET /bins/7", headers, b"").unwrap().run;
    assert_eq!(run(&[("traceparent", TRACE)]).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_eq!(run(&[("aegis-run", "r"), ("traceparent", TRACE)]).as_deref(), Some("r"));
    assert_eq!(run(&[]), None);
    assert_eq!(name("GET /bins/7", &[("tracestate", "a=b")], b"").unwrap().request.unwrap().passed, []);
}
