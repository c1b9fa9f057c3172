//! Path templates, percent-decoding and heads of requests: what is sent names the same call again, and the path that is
//! sent has one reading.
//!
//! The input is text: a line of path templates, then a request as in HTTP/1 (`METHOD target`, headers, an empty line, the
//! body). Each template is declared for GET, POST and DELETE.

use aegis_decision::bundle::{Bundle, BundleSource};
use aegis_decision::call::{HttpRequest, ToolCall};
use aegis_decision::codes::Code;
use aegis_decision::naming::Malformed;
use serde_json::{Value, json};

/// Most templates of one tool: each of them is compiled alone as well.
const MAX_TEMPLATES: usize = 5;
/// Where the tool is; what follows was the agent's.
const BASE: &str = "https://depot.example:8443/base";
/// A word that no refusal may repeat.
const SECRET: &str = "s3cret";

/// Panics where a request is named as another one than it is sent as.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Some((templates, request)) = text.split_once('\n') else { return };
    let templates: Vec<&str> = templates.split(' ').take(MAX_TEMPLATES).collect();
    let Some(bundle) = depot(&templates) else { return };
    let Some(request) = Request::read(request) else { return };
    match request.name(&bundle) {
        Ok(call) => {
            sent_again(&request, &bundle, &call);
            alone(&request, &templates, &call);
        }
        Err(Malformed { code, detail, .. }) => {
            assert!(!detail.is_empty());
            assert!(
                templates.iter().any(|known| known.contains(SECRET)) || !detail.contains(SECRET),
                "repeated: {detail}"
            );
            if code == Code::UnknownOperation {
                let knows = |template: &&str| depot(&[template]).is_some_and(|one| request.name(&one).is_ok());
                assert!(!templates.iter().any(knows), "known alone, unknown among others");
            }
        }
    }
}

/// The request that would be sent is the same call, by the same names, in the same bytes.
fn sent_again(request: &Request<'_>, bundle: &Bundle, call: &ToolCall) {
    let sent = call.request.as_ref().expect("a call that came as a request has one");
    let target = sent.url.strip_prefix(BASE).expect("it goes to the tool");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    one_reading(path);
    query.split(['&', '=']).for_each(|part| drop(decoded_once(part)));
    let body = sent.body_bytes();
    let again = Request { method: &sent.method, target, headers: request.headers.clone(), body: &body };
    assert_eq!(again.name(bundle).as_ref(), Ok(call), "what is sent names another call");
}

/// Which operation it is does not rest on the others: the one that was chosen gives the same call alone.
fn alone(request: &Request<'_>, templates: &[&str], call: &ToolCall) {
    let at = call.operation.rsplit('.').next().and_then(|index| index.parse::<usize>().ok()).expect("its index");
    let one = depot(&templates[at..=at]).expect("part of a tool that compiles");
    let named = request.name(&one).expect("it is this operation");
    assert_eq!((&named.arguments, &named.request), (&call.arguments, &call.request), "another call alone");
}

/// No reader between here and the tool can take one segment for two, or for a step up.
fn one_reading(path: &str) {
    assert!(path.starts_with('/') && path.is_ascii(), "{path}");
    let inner = path[1..].strip_suffix('/').unwrap_or(&path[1..]);
    for segment in inner.split('/').filter(|_| !inner.is_empty()) {
        let decoded = decoded_once(segment);
        let name = decoded.split(|byte| *byte == b';').next().unwrap_or_default();
        assert!(!name.is_empty() || decoded.starts_with(b";"), "an empty segment in {path}");
        assert!(name != b"." && name != b"..", "a step in {path}");
        assert!(!decoded.iter().any(|byte| matches!(byte, b'/' | b'\\') || byte.is_ascii_control()), "{path}");
    }
}

/// RFC 3986, section 2.1, by the letter. No escape is left: a reader that decodes twice sees the same.
fn decoded_once(part: &str) -> Vec<u8> {
    let bytes = decoded(part);
    let escapes = bytes.windows(3).filter(|at| at[0] == b'%' && at[1..].iter().all(u8::is_ascii_hexdigit));
    assert_eq!(escapes.count(), 0, "encoded twice: {part}");
    bytes
}

fn decoded(segment: &str) -> Vec<u8> {
    let mut parts = segment.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2).expect("two digits after %");
        assert_eq!(digits.to_ascii_uppercase(), digits, "an escape in lower case");
        bytes.push(u8::from_str_radix(digits, 16).expect("two hex digits after %"));
        bytes.extend(rest.as_bytes());
    }
    bytes
}

/// A request, as far as it was split.
struct Request<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(String, String)>,
    body: &'a [u8],
}

impl<'a> Request<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.split('\n');
        let (method, target) = lines.next()?.split_once(' ')?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { method, target, headers: lines.map(header).collect::<Option<_>>()?, body: body.as_bytes() })
    }

    fn name(&self, bundle: &Bundle) -> Result<ToolCall, Malformed> {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target, None),
        };
        let Self { method, headers, body, .. } = self;
        bundle.name_call("depot", &HttpRequest { method, path, query, headers, body })
    }
}

/// A bundle of one tool with these templates, where they can be told apart.
fn depot(templates: &[&str]) -> Option<Bundle> {
    let operation = |method: &str, at: usize, template: &str| {
        json!({"name": format!("{method}.{at}"), "class": "Read", "timeoutSeconds": 9, "http": {
            "method": method, "path": template,
            "query": [{"name": "q"}, {"name": "tag", "repeated": true}, {"name": "view", "const": "full"}],
        }})
    };
    let operations: Vec<Value> = ["GET", "POST", "DELETE"]
        .into_iter()
        .flat_map(|method| templates.iter().enumerate().map(move |(at, template)| operation(method, at, template)))
        .collect();
    let source: BundleSource = serde_json::from_value(json!({
        "agent": {
            "namespace": "harbour", "name": "crane", "tenant": "t", "businessUnit": "b", "owner": "o", "version": "1",
            "ceiling": "Commit", "serviceAccount": "s", "maxStalenessSeconds": 60, "tokenTtlSeconds": 300,
        },
        "tools": [{
            "name": "depot", "endpoint": {"scheme": "https", "host": "depot.example", "port": 8443, "basePath": "/base"},
            "allowPrivateAddresses": false, "operations": operations,
            "limits": {"requestBytes": 2000, "responseBytes": 2000, "concurrency": 1},
        }],
        "policies": [], "registries": [], "tiers": [],
    }))
    .expect("the depot is a source");
    Bundle::assemble(source).ok()
}
