//! The operations of a `Tool` to core values.

use std::collections::BTreeMap;

use aegis_decision::path::Path;
use aegis_decision::schema::CompiledSchema;
use aegis_decision::tool::{HttpBinding, Operation, QueryParameter};
use serde_json::Value;

use super::{Invalid, dimension, duration, fact, sanitize, text};
use crate::api;

/// The operations, in the order written.
pub(super) fn operations(operations: &[api::operation::Operation]) -> Result<Vec<Operation>, Invalid> {
    if operations.is_empty() {
        return Err(Invalid::new("spec.operations", "is empty"));
    }
    let names =
        operations.iter().enumerate().map(|(at, one)| (one.name.as_str(), format!("spec.operations[{at}].name")));
    text::unique(names)?;
    operations
        .iter()
        .enumerate()
        .map(|(at, one)| lower_operation(one, operations, &format!("spec.operations[{at}]")))
        .collect()
}

fn lower_operation(
    operation: &api::operation::Operation,
    all: &[api::operation::Operation],
    field: &str,
) -> Result<Operation, Invalid> {
    let api::operation::Operation {
        name,
        class,
        http,
        arguments_from,
        aliases,
        dimensions,
        arguments,
        facts,
        record,
        sensitive,
        response,
        timeout,
    } = operation;
    if *class == api::Class::Commit && arguments.is_none() {
        return Err(Invalid::new(format!("{field}.arguments"), "is missing; a Commit needs a JSON Schema"));
    }
    let aliases = lower_aliases(aliases, &format!("{field}.aliases"))?;
    let dimensions =
        dimensions.as_ref().map(|written| dimension::dimensions(written, &aliases, &format!("{field}.dimensions")));
    Ok(Operation {
        name: text::operation(name, &format!("{field}.name"))?,
        class: (*class).into(),
        http: lower_binding(http, &format!("{field}.http"))?,
        arguments_from: lower_pointer(arguments_from.as_deref(), &format!("{field}.argumentsFrom"))?,
        dimensions: dimensions.transpose()?.unwrap_or_default(),
        aliases,
        arguments: lower_schema(arguments.as_ref(), &format!("{field}.arguments"))?,
        facts: fact::facts(facts, all, &format!("{field}.facts"))?,
        record_clear: match record {
            Some(api::operation::Record { clear }) => text::paths(clear, &format!("{field}.record.clear"))?,
            None => Vec::new(),
        },
        sensitive: text::paths(sensitive, &format!("{field}.sensitive"))?,
        response: sanitize::response(response.as_ref(), &format!("{field}.response"))?,
        timeout_seconds: duration::seconds(timeout, 1..=300, &format!("{field}.timeout"))?,
    })
}

/// Method, path and parameters. Whether operations can be told apart is seen when the bundle is assembled.
fn lower_binding(http: &api::operation::HttpBinding, field: &str) -> Result<HttpBinding, Invalid> {
    let api::operation::HttpBinding { method, path, query, body } = http;
    if !path.starts_with('/') || path.len() > 256 {
        return Err(Invalid::new(format!("{field}.path"), "does not begin with / or is longer than 256 bytes"));
    }
    let names = query.iter().enumerate().map(|(at, one)| (one.name.as_str(), format!("{field}.query[{at}].name")));
    text::unique(names)?;
    for name in body.keys() {
        text::path(name, &format!("{field}.body"))?;
    }
    let query = query
        .iter()
        .enumerate()
        .map(|(at, api::operation::QueryParameter { name, repeated, constant, required })| {
            Ok(QueryParameter {
                name: text::name(name, &format!("{field}.query[{at}].name"))?,
                repeated: *repeated,
                constant: constant.clone(),
                required: *required,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(HttpBinding { method: method.as_str().to_owned(), path: path.clone(), query, body: body.clone() })
}

/// An RFC 6901 pointer; empty for the body itself.
fn lower_pointer(pointer: Option<&str>, field: &str) -> Result<String, Invalid> {
    let pointer = pointer.unwrap_or_default();
    let escapes = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if escapes && (pointer.is_empty() || pointer.starts_with('/')) && pointer.len() <= 256 {
        Ok(pointer.to_owned())
    } else {
        Err(Invalid::new(field, "is no JSON pointer (RFC 6901), such as /params"))
    }
}

fn lower_aliases(aliases: &BTreeMap<String, String>, field: &str) -> Result<BTreeMap<String, Path>, Invalid> {
    aliases
        .iter()
        .map(|(name, path)| {
            let name = text::name(name, field)?;
            let path = text::path(path, &format!("{field}.{name}"))?;
            Ok((name, path))
        })
        .collect()
}

/// The schema, once it is known to compile.
fn lower_schema(schema: Option<&serde_json::Map<String, Value>>, field: &str) -> Result<Option<Value>, Invalid> {
    let Some(schema) = schema else { return Ok(None) };
    let schema = Value::Object(schema.clone());
    CompiledSchema::compile(&schema).map_err(|error| Invalid::new(field, error.to_string()))?;
    Ok(Some(schema))
}
