//! A depot with one operation for each way of naming.

use aegis_decision::bundle::{AssembleError, Bundle, BundleSource};
use aegis_decision::call::{HttpRequest, ToolCall};
use aegis_decision::naming::Malformed;
use serde_json::{Value, json};

/// The tool of most tests.
pub fn depot() -> Value {
    let http = |method: &str, path: &str| json!({"method": method, "path": path});
    tool(vec![
        json!({"name": "root", "class": "Read", "http": http("GET", "/")}),
        json!({"name": "bins.list", "class": "Read", "http": {"method": "GET", "path": "/bins", "query": [
            {"name": "tag", "repeated": true}, {"name": "page"}, {"name": "view", "const": "full"},
        ]}}),
        json!({"name": "bins.read", "class": "Read", "http": {"method": "GET", "path": "/bins/{id}", "query": [
            {"name": "f", "repeated": true, "const": "x"}, {"name": "zone"},
        ]}}),
        json!({"name": "bins.count", "class": "Read", "http": http("GET", "/bins/count")}),
        json!({"name": "bins.put", "class": "Draft", "http": http("PUT", "/bins/{id}")}),
        json!({"name": "bins.move", "class": "Draft", "http": {"method": "POST", "path": "/bins/{id}/move", "query": [
            {"name": "dry"},
        ]}}),
        json!({"name": "bins.drop", "class": "Draft", "http": http("DELETE", "/bins/{id}")}),
        json!({"name": "rpc.any", "class": "Draft", "http": http("POST", "/rpc")}),
        json!({"name": "rpc.pay", "class": "Draft", "argumentsFrom": "/params", "http": {
            "method": "POST", "path": "/rpc", "body": {"method": "pay"},
        }}),
        json!({"name": "rpc.pay.now", "class": "Draft", "argumentsFrom": "/params", "http": {
            "method": "POST", "path": "/rpc", "body": {"method": "pay", "action.when": "now"},
        }}),
        json!({"name": "notes.put", "class": "Draft", "argumentsFrom": "/in/note", "http": {
            "method": "POST", "path": "/notes", "body": {"in.kind": "note", "tags[0]": "a"},
        }}),
        json!({"name": "odd", "class": "Draft", "http": http("POST", "/v1/bins:pack")}),
    ])
}

/// A tool with these operations.
pub fn tool(operations: Vec<Value>) -> Value {
    let complete = |mut operation: Value| {
        operation["timeoutSeconds"] = json!(9);
        operation
    };
    json!({
        "name": "depot",
        "endpoint": {"scheme": "https", "host": "depot.example", "port": 8443, "basePath": "/base"},
        "headers": [{"name": "x-site", "value": "north"}],
        "allowPrivateAddresses": false,
        "operations": operations.into_iter().map(complete).collect::<Vec<_>>(),
        "limits": {"requestBytes": 2000, "responseBytes": 2000, "concurrency": 1},
    })
}

/// A bundle with one tool and no policy.
pub fn assemble(tool: &Value) -> Result<Bundle, AssembleError> {
    let source: BundleSource = serde_json::from_value(json!({
        "agent": {
            "namespace": "harbour", "name": "crane", "tenant": "t", "businessUnit": "b", "owner": "o", "version": "1",
            "ceiling": "Commit", "serviceAccount": "s", "maxStalenessSeconds": 60, "tokenTtlSeconds": 300,
        },
        "tools": [tool], "policies": [], "registries": [], "tiers": [],
    }))
    .unwrap();
    Bundle::assemble(source)
}

/// Names a request `METHOD target` to the depot.
pub fn name(request: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<ToolCall, Malformed> {
    let (method, target) = request.split_once(' ').unwrap();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let request = HttpRequest { method, path, query, headers: &headers, body };
    assemble(&depot()).unwrap().name_call("depot", &request)
}

/// The same with a JSON body, if there is one.
pub fn json_call(request: &str, body: &str) -> Result<ToolCall, Malformed> {
    name(request, &[("content-type", "application/json")], body.as_bytes())
}
