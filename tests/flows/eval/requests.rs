//! From an operation and its arguments to the request that a client of the service would send.

use std::fmt::Write as _;

use aegis_crds::api::operation::Operation;
use aegis_decision::contract::HttpInput;
use serde_json::{Map, Value, json};

/// A body, and its media type where there is one.
type Body = (String, Option<&'static str>);

const WITHOUT_BODY: [&str; 3] = ["GET", "HEAD", "DELETE"];

/// The request of an operation. Arguments go where the operation declares them: path, query, body. What has no place of its
/// own goes into the body, or into the query where there is no body. `form`: a body of texts is written as a form.
pub fn of_operation(operation: &Operation, arguments: &Map<String, Value>, form: bool) -> HttpInput {
    let mut left = arguments.clone();
    let binding = &operation.http;
    let path: Vec<_> = binding.path.split('/').map(|part| segment(part, &mut left)).collect();
    let mut query = Vec::new();
    for parameter in &binding.query {
        match left.shift_remove(&parameter.name) {
            Some(Value::Array(values)) => {
                query.extend(values.iter().map(|value| (parameter.name.clone(), text(value))));
            }
            Some(value) => query.push((parameter.name.clone(), text(&value))),
            None => {}
        }
    }
    let method = binding.method.as_str();
    if WITHOUT_BODY.contains(&method) {
        query.extend(std::mem::take(&mut left).into_iter().map(|(name, value)| (name, text(&value))));
    }
    let place = operation.arguments_from.as_deref().unwrap_or_default();
    let query = (!query.is_empty()).then(|| pairs(&query));
    written(method, path.join("/"), query, body(left, place, form))
}

/// The request of something that the tool does not declare.
pub fn of_nothing(name: &str, arguments: &Map<String, Value>) -> HttpInput {
    written("POST", format!("/{}", encoded(name)), None, body(arguments.clone(), "", false))
}

fn written(method: &str, path: String, query: Option<String>, (body, media): Body) -> HttpInput {
    let headers = media.into_iter().map(|media| ("content-type".to_owned(), media.to_owned())).collect();
    HttpInput { method: method.to_owned(), path, query, headers, body }
}

/// A segment of a path. A parameter without argument must have some value all the same.
fn segment(declared: &str, arguments: &mut Map<String, Value>) -> String {
    let Some(name) = declared.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return declared.to_owned();
    };
    arguments.shift_remove(name).map_or_else(|| "none".to_owned(), |value| encoded(&text(&value)))
}

/// A body with the arguments at the place that a pointer names, and its media type; none of no arguments.
fn body(arguments: Map<String, Value>, place: &str, form: bool) -> Body {
    if arguments.is_empty() {
        return (String::new(), None);
    }
    if form && place.is_empty() && arguments.values().all(Value::is_string) {
        let fields: Vec<_> = arguments.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        return (pairs(&fields), Some("application/x-www-form-urlencoded"));
    }
    let around = |inner: Value, key: &str| json!({key: inner});
    let body = place.split('/').skip(1).collect::<Vec<_>>().into_iter().rfold(Value::Object(arguments), around);
    (body.to_string(), Some("application/json"))
}

fn pairs(pairs: &[(String, String)]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// A scalar as it stands in a path or a query; anything else as JSON.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Everything escaped but the unreserved bytes of RFC 3986.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
