//! Properties: any request ends in a call or a refusal, and what is sent names the same call again.

use std::sync::LazyLock;

use aegis_decision::bundle::Bundle;
use aegis_decision::call::{HttpRequest, ToolCall};
use aegis_decision::naming::Malformed;
use proptest::prelude::*;

use super::fixture::{assemble, depot};

static DEPOT: LazyLock<Bundle> = LazyLock::new(|| assemble(&depot()).unwrap());

fn name(bundle: &Bundle, method: &str, target: &str, content_type: &str, body: &[u8]) -> Result<ToolCall, Malformed> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let headers = [("content-type".to_owned(), content_type.to_owned())];
    bundle.name_call("depot", &HttpRequest { method, path, query, headers: &headers, body })
}

/// Targets near those that are declared.
fn target() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/bins",
        "/",
        "/7",
        "/count",
        "/move",
        "?",
        "&",
        "=",
        "tag=",
        "page=1",
        "view=full",
        "f=x",
        "dry=",
        "%2e",
        ".",
        "%2F",
        "%20",
        "+",
        ";",
        "%25",
        "%C3%A4",
        "a",
        "~",
        "*",
        "%",
        "..",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_sent_names_the_same_call(
        declared in prop::sample::select(vec!["GET /bins", "GET /bins/", "PUT /bins/", "POST /rpc", "DELETE /bins/"]),
        rest in prop_oneof![target(), "[a-zA-Z0-9%+;:@ ä/?&=.]{0,20}", Just(String::new())],
        body in prop::sample::select(vec!["", "{}", r#"{"b":1.50,"a":[1e2]}"#, "a=1&b=+%41", "x=", "[", r#"{"method":"pay"}"#]),
        content_type in prop::sample::select(vec!["application/json", "application/x-www-form-urlencoded"]),
    ) {
        let bundle = &*DEPOT;
        let (method, start) = declared.split_once(' ').unwrap();
        let body = if method == "GET" || method == "DELETE" { "" } else { body };
        if let Ok(call) = name(bundle, method, &format!("{start}{rest}"), content_type, body.as_bytes()) {
            let sent = call.request.clone().unwrap();
            let target = sent.url.strip_prefix("https://depot.example:8443/base").unwrap();
            let again = name(bundle, &sent.method, target, content_type, &sent.body_bytes()).unwrap();
            prop_assert_eq!(again, call);
        }
    }

    #[test]
    fn any_request_ends_in_a_call_or_a_refusal_that_echoes_nothing(
        method in "[A-Z]{0,7}|GET|PUT",
        path in "/?.{0,12}s3cret.{0,12}",
        query in prop::option::of(".{0,24}"),
        value in ".{0,24}",
        body in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let bundle = &*DEPOT;
        let headers = ["aegis-run", "content-type", "accept"].map(|name| (name.to_owned(), value.clone()));
        let request = HttpRequest { method: &method, path: &path, query: query.as_deref(), headers: &headers, body: &body };
        if let Err(malformed) = bundle.name_call("depot", &request) {
            prop_assert!(!malformed.detail.contains("s3cret"));
            prop_assert!(malformed.detail.len() < 512);
        }
    }
}
