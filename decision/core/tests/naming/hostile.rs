//! Requests that some reader could understand differently: each is refused, with a code, and echoes nothing.

use aegis_decision::naming::Malformed;
use aegis_decision::tool::Class;
use test_case::test_case;

use super::fixture::{assemble, depot, json_call, name};

#[test_case("GET bins", "malformed_request"; "no slash at the start")]
#[test_case("GET //bins", "malformed_request"; "empty segment")]
#[test_case("GET /bins//7", "malformed_request"; "empty segment inside")]
#[test_case("GET /bins/", "malformed_request"; "slash at the end")]
#[test_case("GET /bins/./7", "malformed_request"; "dot")]
#[test_case("GET /bins/../bins", "malformed_request"; "two dots")]
#[test_case("GET /bins/..", "malformed_request"; "two dots at the end")]
#[test_case("GET /bins/%2e%2E", "malformed_request"; "two dots in escapes")]
#[test_case("GET /bins/.%2e", "malformed_request"; "two dots half in escapes")]
#[test_case("GET /bins/..;a=b", "malformed_request"; "two dots with a path parameter")]
#[test_case("GET /bins/..%3Ba", "malformed_request"; "two dots with an encoded path parameter")]
#[test_case("GET /bins/a%2Fb", "malformed_request"; "encoded slash")]
#[test_case("GET /bins/a%2fb", "malformed_request"; "encoded slash in lower case")]
#[test_case("GET /bins/a%5Cb", "malformed_request"; "encoded backslash")]
#[test_case("GET /bins/a\\b", "malformed_request"; "backslash")]
#[test_case("GET /bins/a%00", "malformed_request"; "encoded nul")]
#[test_case("GET /bins/a%0d%0aX:1", "malformed_request"; "encoded line break")]
#[test_case("GET /bins/a%C2%85", "malformed_request"; "encoded control character beyond ASCII")]
#[test_case("GET /bins/%", "malformed_request"; "per cent at the end")]
#[test_case("GET /bins/%4", "malformed_request"; "half an escape")]
#[test_case("GET /bins/%zz", "malformed_request"; "no hex digits")]
#[test_case("GET /bins/%u0041", "malformed_request"; "escape of another dialect")]
#[test_case("GET /bins/%252e", "malformed_request"; "encoded twice")]
#[test_case("GET /bins/%25%32%65", "malformed_request"; "encoded twice, all of it")]
#[test_case("GET /bins/%c0%af", "malformed_request"; "overlong slash")]
#[test_case("GET /bins/%ff", "malformed_request"; "not utf 8")]
#[test_case("GET /bins/a b", "malformed_request"; "space")]
#[test_case("GET /bins/ä", "malformed_request"; "raw non-ascii")]
#[test_case("GET /bins/{id}", "malformed_request"; "braces")]
#[test_case("GET /bins/a#b", "malformed_request"; "fragment")]
#[test_case("GET http://other.example/bins", "malformed_request"; "absolute form")]
#[test_case("GET /bins?page", "malformed_request"; "parameter without a value")]
#[test_case("GET /bins?=1", "malformed_request"; "parameter without a name")]
#[test_case("GET /bins?page=1&", "malformed_request"; "empty pair at the end")]
#[test_case("GET /bins?&page=1", "malformed_request"; "empty pair at the start")]
#[test_case("GET /bins?page=%zz", "malformed_request"; "bad escape in the query")]
#[test_case("GET /bins?page=%2561", "malformed_request"; "query encoded twice")]
#[test_case("GET /bins?page=%00", "malformed_request"; "nul in the query")]
#[test_case("GET /bins?page=a b", "malformed_request"; "space in the query")]
#[test_case("GET /bins?page=[]", "malformed_request"; "brackets in the query")]
#[test_case("GET /bins?page=1&page=2", "undeclared_parameter"; "a second value")]
#[test_case("GET /bins?page=1&p%61ge=2", "undeclared_parameter"; "a second value under an encoded name")]
#[test_case("GET /bins?Page=1", "undeclared_parameter"; "names are exact")]
#[test_case("GET /bins?tag[]=1", "malformed_request"; "array spelling")]
#[test_case("GET /bins?tag%5B%5D=1", "undeclared_parameter"; "encoded array spelling")]
#[test_case("GET /bins?view=short", "undeclared_parameter"; "not the constant")]
#[test_case("GET /bins/7?f=x&f=y", "undeclared_parameter"; "one of several is not the constant")]
#[test_case("GET /bins/7?id=8", "undeclared_parameter"; "a path parameter in the query")]
#[test_case("GET /bins/7?zone=1;f=x", "named"; "a semicolon separates nothing")]
#[test_case("GET /Bins", "unknown_operation"; "literals are exact")]
#[test_case("POST /bins", "unknown_operation"; "method of no operation")]
#[test_case("get /bins", "unknown_operation"; "methods are exact")]
#[test_case("OPTIONS /bins", "unknown_operation"; "options")]
#[test_case("GET /bins;a/7", "unknown_operation"; "path parameter on a literal")]
#[test_case("GET /bins/7/8", "unknown_operation"; "one segment more")]
fn a_target_is_refused(request: &str, code: &str) {
    let named = json_call(request, "").map(|_| "named").map_err(|malformed| malformed.code.as_str());
    assert_eq!(named.unwrap_or_else(|code| code), code);
}

#[test_case("application/json", r#"{"id":"8"}"#, "ambiguous_argument"; "body and path")]
#[test_case("application/json", r#"{"\u0069d":"8"}"#, "ambiguous_argument"; "body and path under an escaped key")]
#[test_case("application/json", r#"{"a":1,"a":2}"#, "malformed_body"; "duplicate key")]
#[test_case("application/json", "{", "malformed_body"; "cut")]
#[test_case("application/json", "a=1", "malformed_body"; "form as JSON")]
#[test_case("application/x-www-form-urlencoded", r#"{"a":1}"#, "malformed_body"; "JSON as form")]
#[test_case("application/x-www-form-urlencoded", "a=1&a=2", "malformed_body"; "repeated field")]
#[test_case("application/x-www-form-urlencoded", "a=1&%61=2", "malformed_body"; "repeated field in escapes")]
#[test_case("application/x-www-form-urlencoded", "a=1&", "malformed_body"; "empty field")]
#[test_case("application/x-www-form-urlencoded", "a=%F", "malformed_body"; "bad escape in a form")]
#[test_case("application/x-www-form-urlencoded", "id=8", "ambiguous_argument"; "form and path")]
#[test_case("text/plain", "{}", "unsupported_media_type"; "text")]
#[test_case("multipart/form-data; boundary=x", "{}", "unsupported_media_type"; "multipart")]
#[test_case("application/json; charset=utf-16", "{}", "unsupported_media_type"; "another charset")]
#[test_case("application/json; charset=utf-8; x=y", "{}", "unsupported_media_type"; "another parameter")]
#[test_case("application/json, text/plain", "{}", "unsupported_media_type"; "two types")]
#[test_case("application/jsonx", "{}", "unsupported_media_type"; "a longer name")]
#[test_case("", "{}", "unsupported_media_type"; "no type")]
#[test_case("Application/JSON;Charset=\"UTF-8\"", "{}", "named"; "spelling of the type does not matter")]
fn a_body_is_refused(content_type: &str, body: &str, code: &str) {
    let named = name("PUT /bins/7", &[("content-type", content_type)], body.as_bytes());
    assert_eq!(named.map_or_else(|malformed| malformed.code.as_str(), |_| "named"), code);
}

#[test_case("POST /rpc", r#"{"method":"pay","params":{}}"#, true; "nothing beside")]
#[test_case("POST /rpc", r#"{"method":"pay","params":{},"jsonrpc":"2.0","id":"a"}"#, true; "envelope")]
#[test_case("POST /rpc", r#"{"method":"pay","params":{},"id":{"a":1}}"#, false; "an id that is no scalar")]
#[test_case("POST /rpc", r#"{"method":"pay","params":{},"id":true}"#, false; "an id that is a truth value")]
#[test_case("POST /rpc", r#"{"method":"pay","params":{},"jsonrpc":"3"}"#, false; "another version")]
#[test_case("POST /rpc", r#"{"method":"pay","params":{},"Params":{}}"#, false; "another case")]
#[test_case("POST /rpc", r#"{"method":"pay","x":1}"#, false; "no arguments")]
#[test_case("POST /rpc", r#"{"method":"pay","action":{"when":"later"},"params":{}}"#, false; "what recognises another operation only")]
#[test_case("POST /rpc", r#"{"method":"pay","action":{"when":"now"},"params":{}}"#, true; "what recognises it")]
#[test_case("POST /rpc", r#"{"method":"pay","action":{"when":"now","by":1},"params":{}}"#, false; "a member beside what recognises it")]
#[test_case("POST /notes", r#"{"in":{"kind":"note","note":{"x":1}},"tags":["a"]}"#, true; "inner level")]
#[test_case("POST /notes", r#"{"in":{"kind":"note","note":{"x":1},"y":1},"tags":["a"]}"#, false; "a member of the inner level")]
#[test_case("POST /notes", r#"{"in":{"kind":"note","note":{"x":1}},"tags":["a","b"]}"#, false; "an element beside")]
#[test_case("POST /notes", r#"{"in":{"kind":"note"},"tags":["a"],"id":1}"#, false; "an id without JSON-RPC")]
fn beside_the_arguments_stands_only_what_names_the_operation(request: &str, body: &str, accepted: bool) {
    let named = json_call(request, body).map_err(|malformed| malformed.code.as_str());
    assert_eq!(named.map(|_| ()), if accepted { Ok(()) } else { Err("malformed_body") });
}

#[test]
fn an_id_beside_the_arguments_is_short() {
    let with = |bytes: usize| json_call("POST /rpc", &format!(r#"{{"method":"pay","id":"{}"}}"#, "i".repeat(bytes)));
    assert!(with(64).is_ok());
    assert!(with(65).is_err());
}

#[test]
fn a_body_over_the_limit_or_without_type_or_encoded_is_refused() {
    let code = |headers: &[(&str, &str)], body: &[u8]| name("PUT /bins/7", headers, body).unwrap_err().code.as_str();
    let json = ("content-type", "application/json");
    let filled = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2)).into_bytes();
    assert!(name("PUT /bins/7", &[json], &filled(2000)).is_ok());
    assert_eq!(code(&[json], &filled(2001)), "body_too_large");
    assert_eq!(code(&[], b"{}"), "unsupported_media_type");
    assert_eq!(code(&[json, ("content-encoding", "gzip")], b"{}"), "unsupported_media_type");
    assert_eq!(code(&[json, ("content-encoding", "identity, gzip")], b"{}"), "unsupported_media_type");
    assert_eq!(code(&[json, ("content-encoding", "gzip")], b""), "unsupported_media_type");
    assert_eq!(code(&[json, json], b"{}"), "malformed_request");
    assert_eq!(code(&[json], b"\xEF\xBB\xBF{}"), "malformed_body");
    assert_eq!(code(&[json], b"\"\xFF\""), "malformed_body");
    assert!(name("PUT /bins/7", &[json, ("content-encoding", "identity")], b"{}").is_ok());
}

#[test_case("GET /bins/7"; "get")]
#[test_case("DELETE /bins/7"; "delete")]
fn a_body_where_none_belongs_is_refused(request: &str) {
    let malformed = json_call(request, "{}").unwrap_err();
    assert_eq!(malformed.code.as_str(), "malformed_request");
}

#[test_case("aegis-run", "", false; "empty")]
#[test_case("aegis-run", "a b", false; "space")]
#[test_case("aegis-run", "a\u{7f}", false; "control")]
#[test_case("aegis-delegation", "Week", false; "not a name")]
#[test_case("aegis-delegation", "a..b", false; "empty label")]
#[test_case("aegis-approval", "-a", false; "dash at the start")]
#[test_case("aegis-plan", "4BF92F3577B34DA6A3CE929D0E0E4736", false; "upper case id")]
#[test_case("aegis-plan", "4bf92f3577b34da6a3ce929d0e0e473", false; "short id")]
#[test_case("aegis-plan", "4bf92f3577b34da6a3ce929d0e0e4736", true; "an id")]
#[test_case("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", false; "zero trace")]
#[test_case("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false; "upper case")]
#[test_case("traceparent", "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", false; "other version")]
#[test_case("accept", "text/plain\r\nx: y", false; "line break")]
#[test_case("idempotency-key", "ä", false; "non-ascii")]
#[test_case("x-other", "ä", true; "a dropped header may be anything")]
fn a_header_is_checked(header: &str, value: &str, accepted: bool) {
    let named = name("GET /bins/7", &[(header, value)], b"");
    assert_eq!(named.is_ok(), accepted);
    if let Err(malformed) = named {
        assert_eq!(malformed.code.as_str(), "malformed_request");
        assert!(malformed.detail.contains(header), "{}", malformed.detail);
    }
}

#[test]
fn headers_are_bounded_and_given_once() {
    let key = |bytes: usize| name("GET /bins/7", &[("idempotency-key", &"k".repeat(bytes))], b"");
    assert!(key(255).is_ok());
    assert!(key(256).is_err());
    for header in
        ["aegis-run", "aegis-delegation", "aegis-approval", "aegis-plan", "accept", "traceparent", "idempotency-key"]
    {
        let malformed = name("GET /bins/7", &[(header, "a"), (header, "a")], b"").unwrap_err();
        assert_eq!(malformed.detail, format!("header {header} is given more than once"));
    }
}

#[test]
fn a_refusal_names_the_operation_once_it_is_known() {
    let blamed = |malformed: Malformed| (malformed.operation, malformed.class);
    let put = (Some("bins.put".to_owned()), Some(Class::Draft));
    assert_eq!(blamed(json_call("PUT /bins/7", "{").unwrap_err()), put);
    assert_eq!(blamed(json_call("PUT /bins/7?x=1", "{}").unwrap_err()), put);
    assert_eq!(blamed(json_call("PUT /bins/7", r#"{"id":1}"#).unwrap_err()), put);
    // The body says which operation it is, and it cannot be read.
    assert_eq!(blamed(json_call("POST /rpc", "{").unwrap_err()), (None, None));
    assert_eq!(blamed(json_call("PUT /none", "{").unwrap_err()), (None, None));
}

#[test]
fn a_refusal_says_what_there_is_and_echoes_nothing() {
    let detail = |request: &str, body: &str| json_call(request, body).unwrap_err().detail;
    let near = detail("POST /bins/s3cret", "");
    assert!(near.starts_with("no operation has this method and path; nearest are: GET /bins/{id}, "), "{near}");
    assert_eq!(near.matches(", ").count(), 3);
    assert_eq!(detail("GET /bins?s3cret=1", ""), "a query parameter is not declared; declared are: tag, page, view");
    assert_eq!(detail("PUT /bins/7", r#"{"id":"s3cret"}"#), "argument id is given in two places; give it once");
    for (request, body) in [
        ("GET /s3cret", ""),
        ("GET /s3cret%zz", ""),
        ("PUT /bins/7", "{\"s3cret\""),
        ("POST /rpc", "{\"method\":\"pay\",\"s3cret\":1}"),
    ] {
        assert!(!detail(request, body).contains("s3cret"));
    }
    let bundle = assemble(&depot()).unwrap();
    let unknown = bundle.call_of("bank", "x", aegis_decision::json::Value::Null).unwrap_err();
    assert_eq!(unknown.detail, "the first path segment must name a tool; there are: depot");
    let unknown = bundle.call_of("depot", "x", aegis_decision::json::Value::Null).unwrap_err();
    assert!(unknown.detail.starts_with("the tool has no operation of that name; it has: root, bins.list"));
    let not_object = bundle.call_of("depot", "root", aegis_decision::json::Value::Null).unwrap_err();
    assert_eq!(not_object.code.as_str(), "malformed_body");
}
