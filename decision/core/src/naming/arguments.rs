//! From body, path and query to one object of arguments.

use super::error::Malformed;
use super::router::Route;
use crate::codes::Code;
use crate::json::{Object, Value};
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
    body: Option<&Value>,
    path: &[(String, String)],
    query: &[(String, String)],
) -> Result<Value, Malformed> {
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
    Ok(Value::Object(arguments))
}

/// What `argumentsFrom` points at. Nothing there: no arguments, and the schema tells whether some are missing.
fn of_body(route: &Route, body: &Value) -> Result<Object, Malformed> {
    let mut found = Some(body);
    for key in &route.arguments_from {
        found = match found {
            Some(Value::Object(object)) => object.get(key),
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
