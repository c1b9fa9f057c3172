//! From body, path and query to one object of arguments.

use std::sync::Arc;

use super::error::Malformed;
use super::router::Route;
use crate::codes::Code;
use crate::json::{Object, Value};
use crate::path::Step;
use crate::tool::{Operation, QueryParameter};

/// Checks query pairs against the declaration: every one declared, constants as declared, as often as declared, and
/// the required ones there.
pub(crate) fn check_query(operation: &Operation, pairs: &[(String, String)]) -> Result<(), Malformed> {
    let refuse = |detail: String| Malformed::new(Code::UndeclaredParameter, detail);
    for (name, value) in pairs {
        let Some(parameter) = operation.http.query.iter().find(|parameter| parameter.name == *name) else {
            let declared: Vec<_> =
                operation.http.query.iter().map(|parameter| parameter.name.as_str()).take(16).collect();
            let declared = if declared.is_empty() { "none".to_owned() } else { declared.join(", ") };
            return Err(refuse(format!("a query parameter is not declared; declared are: {declared}")));
        };
        if parameter.constant.as_ref().is_some_and(|constant| constant != value) {
            return Err(refuse(format!("query parameter {name} must have the value that the tool declares")));
        }
    }
    for QueryParameter { name, repeated, required, .. } in &operation.http.query {
        match pairs.iter().filter(|(given, _)| given == name).count() {
            0 if *required => return Err(refuse(format!("query parameter {name} is required"))),
            0 | 1 => {}
            _ if *repeated => {}
            _ => return Err(refuse(format!("query parameter {name} may be given once"))),
        }
    }
    Ok(())
}

/// Merges all places into one object. A name that two of them supply is refused: which one the tool would take is
/// anybody's guess.
pub(crate) fn merge(
    operation: &Operation,
    route: &Route,
    body: Option<&Arc<Value>>,
    path: &[(String, String)],
    query: &[(String, String)],
) -> Result<Arc<Value>, Malformed> {
    if let Some(body) = body
        && matches!(**body, Value::Object(_))
        && route.arguments_from.is_empty()
        && path.is_empty()
        && query.is_empty()
    {
        return Ok(Arc::clone(body));
    }
    let mut arguments = match body {
        Some(body) => of_body(route, body)?,
        None => Object::new(),
    };
    let mut add = |name: &str, value: Value| {
        arguments.insert(name, value).map_err(|_| {
            let detail = format!("argument {name} is given in two places; give it once");
            Malformed::new(Code::AmbiguousArgument, detail)
        })
    };
    for (name, value) in path {
        add(name, Value::String(value.into()))?;
    }
    for QueryParameter { name, repeated, .. } in &operation.http.query {
        let mut values = query.iter().filter(|(given, _)| given == name).map(|(_, value)| Value::String(value.into()));
        if *repeated {
            let values: Vec<_> = values.collect();
            if !values.is_empty() {
                add(name, Value::Array(values))?;
            }
        } else if let Some(value) = values.next() {
            add(name, value)?;
        }
    }
    Ok(Arc::new(Value::Object(arguments)))
}

/// Longest id of a JSON-RPC request, in bytes: enough for any that only tells answers apart.
const MAX_ID_BYTES: usize = 64;

/// What `argumentsFrom` points at. Nothing there: no arguments, and the schema tells whether some are missing. Beside the
/// way there the body holds nothing that would reach the tool unjudged.
fn of_body(route: &Route, body: &Value) -> Result<Object, Malformed> {
    let mut found = Some(body);
    let mut place: Vec<Step> = Vec::with_capacity(route.arguments_from.len());
    for key in &route.arguments_from {
        found = match found {
            Some(Value::Object(object)) => {
                for (name, value) in object.iter().filter(|(name, _)| *name != key.as_str()) {
                    let envelope = place.is_empty() && key == "params" && is_envelope(name, value);
                    place.push(Step::Key(name.to_owned()));
                    if !envelope && !route.is_recognised_by(&mut place, value) {
                        return Err(beside(route));
                    }
                    place.pop();
                }
                place.push(Step::Key(key.clone()));
                object.get(key)
            }
            None => None,
            // Only objects are passed through: the other elements of an array would reach the tool unjudged.
            Some(_) => {
                let detail = "the arguments must be where the tool declares them, inside objects only";
                return Err(Malformed::new(Code::MalformedBody, detail));
            }
        };
    }
    match found {
        None => Ok(Object::new()),
        Some(Value::Object(object)) => Ok(object.clone()),
        Some(other) => {
            let mut object = Object::new();
            let _taken = object.insert("body", other.clone());
            Ok(object)
        }
    }
}

/// Whether a member beside `params` is JSON-RPC's own (JSON-RPC 2.0, section 4). The third one, `method`, says what is
/// done: it must be declared in `http.body`.
fn is_envelope(name: &str, value: &Value) -> bool {
    match (name, value) {
        ("jsonrpc", Value::String(version)) => version.as_str() == "2.0",
        ("id", Value::String(id)) => id.len() <= MAX_ID_BYTES,
        ("id", Value::Number(_) | Value::Null) => true,
        _ => false,
    }
}

/// What may stand there. The member's name is the agent's own text, so it is not repeated.
fn beside(route: &Route) -> Malformed {
    let place = route.arguments_from.join("/");
    let mut may: Vec<String> = route.discriminators.iter().map(|(path, _)| path.to_string()).collect();
    if route.arguments_from.first().is_some_and(|key| key == "params") {
        may.extend(["jsonrpc".to_owned(), format!("id (null, a number, or a text of at most {MAX_ID_BYTES} bytes)")]);
    }
    let may = if may.is_empty() { "nothing".to_owned() } else { may.join(", ") };
    let detail = format!(
        "the arguments are the object at /{place}; beside it the body may hold: {may}. Put other members into that object"
    );
    Malformed::new(Code::MalformedBody, detail)
}
