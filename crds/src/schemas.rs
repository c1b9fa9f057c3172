//! JSON Schemas of what people write, for editors: one for each kind, one for files of tests, and one for all kinds.
//!
//! They are made from the definitions, and as strict as [`load`](mod@crate::load): a field that a kind does not have is an
//! error. Rules in CEL are not in them.

use serde_json::{Map, Value, json};

use crate::definitions::{DefinitionError, definitions};
use crate::test_files::PolicyTests;

/// Dialect of the schemas.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Name of the schema of files with tests.
pub const TESTS: &str = "PolicyTests";
/// Name of the schema of all kinds.
pub const ALL: &str = "all";

/// Every schema by name: the kinds, [`TESTS`] and [`ALL`].
pub fn schemas() -> Result<Vec<(String, Value)>, DefinitionError> {
    let mut schemas = Vec::new();
    for definition in definitions()? {
        let kind = definition.spec.names.kind.clone();
        let api_version = |version: &str| format!("{}/{version}", definition.spec.group);
        for version in &definition.spec.versions {
            let schema = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
            let schema = serde_json::to_value(schema)?;
            schemas.push((kind.clone(), of_kind(&kind, &api_version(&version.name), &schema)));
        }
    }
    let all = all(&schemas);
    schemas.push((TESTS.to_owned(), tests()?));
    schemas.push((ALL.to_owned(), all));
    Ok(schemas)
}

fn of_kind(kind: &str, api_version: &str, definition: &Value) -> Value {
    let mut properties = Map::from_iter([
        ("apiVersion".to_owned(), json!({"const": api_version})),
        ("kind".to_owned(), json!({"const": kind})),
        ("metadata".to_owned(), metadata()),
    ]);
    for part in ["spec", "status"] {
        if let Some(schema) = definition.pointer(&format!("/properties/{part}")) {
            properties.insert(part.to_owned(), plain(schema));
        }
    }
    json!({
        "$schema": DIALECT,
        "title": kind,
        "description": definition.get("description"),
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": properties,
        "additionalProperties": false,
    })
}

/// What Aegis reads of metadata; servers and tools add more.
fn metadata() -> Value {
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253},
            "namespace": {"type": "string", "minLength": 1, "maxLength": 63},
            "labels": texts,
            "annotations": texts,
        },
    })
}

/// A schema of Kubernetes' dialect in that of JSON Schema.
fn plain(schema: &Value) -> Value {
    let Value::Object(node) = schema else { return schema.clone() };
    let extension = |name: &str| node.get(name).and_then(Value::as_bool) == Some(true);
    let mut plain = Map::new();
    for (key, value) in node.iter().filter(|(key, _)| !key.starts_with("x-kubernetes-")) {
        let value = match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                Value::Object(properties.iter().map(|(name, schema)| (name.clone(), self::plain(schema))).collect())
            }
            ("items" | "additionalProperties", schema) => self::plain(schema),
            (_, value) => value.clone(),
        };
        plain.insert(key.clone(), value);
    }
    if extension("x-kubernetes-int-or-string") {
        plain.insert("type".to_owned(), json!(["integer", "string"]));
    }
    let open = extension("x-kubernetes-preserve-unknown-fields") || plain.contains_key("additionalProperties");
    if plain.contains_key("properties") && !open {
        plain.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    Value::Object(plain)
}

/// Which kind a document is decides by which schema it is read, so that an editor tells what is wrong with that kind.
fn all(kinds: &[(String, Value)]) -> Value {
    let names: Vec<&String> = kinds.iter().map(|(kind, _)| kind).collect();
    let branch = |kind: &String| json!({"if": {"properties": {"kind": {"const": kind}}}, "then": {"$ref": format!("#/$defs/{kind}")}});
    let without_dialect = |schema: &Value| {
        let mut schema = schema.clone();
        if let Value::Object(node) = &mut schema {
            node.remove("$schema");
        }
        schema
    };
    let definitions: Map<String, Value> =
        kinds.iter().map(|(kind, schema)| (kind.clone(), without_dialect(schema))).collect();
    json!({
        "$schema": DIALECT,
        "title": "Resources of Aegis",
        "type": "object",
        "required": ["kind"],
        "properties": {"kind": {"enum": names}},
        "allOf": names.iter().map(|kind| branch(kind)).collect::<Vec<_>>(),
        "$defs": definitions,
    })
}

/// Types of Rust become references, which stay as they are; objects with fields take no others.
fn tests() -> Result<Value, DefinitionError> {
    let mut schema = serde_json::to_value(schemars::schema_for!(PolicyTests))?;
    close(&mut schema);
    Ok(plain(&schema))
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(node) => {
            let is_object = node.get("type").and_then(Value::as_str) == Some("object");
            if is_object && node.contains_key("properties") && !node.contains_key("additionalProperties") {
                node.insert("additionalProperties".to_owned(), Value::Bool(false));
            }
            node.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
