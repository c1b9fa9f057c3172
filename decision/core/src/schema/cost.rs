//! What a schema may refer to, and what judging one value by it may cost.
//!
//! A schema's author is not trusted with the sidecar's time. References make a small schema large: in a circle they
//! never end, and `allOf` over two references doubles with every level of the value. Counted is how many subschemas
//! apply along one way from the top of a value of the deepest accepted nesting to its bottom.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::SchemaError;
use crate::json::Limits;

/// Most subschemas that may apply along one way through a value.
pub(super) const MAX_APPLIED: u32 = 4_096;
/// Most subschemas that may stand in each other over one value.
const MAX_IN_PLACE: usize = 64;

/// Keywords of one subschema that judges the same value.
const IN_PLACE: [&str; 4] = ["not", "if", "then", "else"];
/// Keywords of lists of them.
const IN_PLACE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// Keywords of one subschema that judges members or elements, all of which can judge the same one.
const INSIDE: [&str; 7] = [
    "additionalProperties",
    "propertyNames",
    "unevaluatedProperties",
    "items",
    "contains",
    "unevaluatedItems",
    "additionalItems",
];

/// Refuses references out of the schema, circles, and schemas that cost too much.
pub(super) fn check(schema: &Value) -> Result<(), SchemaError> {
    references(schema, "")?;
    let mut walk = Walk { root: schema, known: HashMap::new() };
    let applied = walk.applied(schema, Limits::STRICT.depth, &mut Vec::new())?;
    if applied > MAX_APPLIED { Err(SchemaError::TooCostly(String::new())) } else { Ok(()) }
}

/// Looks at every object of the document, schema or not: what is refused is refused anywhere.
fn references(value: &Value, pointer: &str) -> Result<(), SchemaError> {
    let at = |key: &str| format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value.as_str()) {
                    ("$ref", Some(target)) if !target.starts_with('#') => {
                        return Err(SchemaError::RemoteReference(at(key)));
                    }
                    ("$ref", Some(target)) if target != "#" && (!target.starts_with("#/") || target.contains('%')) => {
                        return Err(SchemaError::Unsupported(at(key)));
                    }
                    ("$schema", Some(draft))
                        if draft.trim_end_matches('#') != "https://json-schema.org/draft/2020-12/schema" =>
                    {
                        return Err(SchemaError::Draft(pointer.to_owned()));
                    }
                    ("$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef", Some(_)) => {
                        return Err(SchemaError::Unsupported(at(key)));
                    }
                    // Below the top an id would change what `#` means.
                    ("$id", Some(_)) if !pointer.is_empty() => return Err(SchemaError::Unsupported(at(key))),
                    _ => references(value, &at(key))?,
                }
            }
            Ok(())
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(index, item)| references(item, &at(&index.to_string())))
        }
        _ => Ok(()),
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// By subschema (its address) and levels left.
    known: HashMap<(*const Value, usize), u32>,
}

impl<'a> Walk<'a> {
    /// How many subschemas apply along one way through a value of `depth` more levels. `path` are the subschemas that
    /// are being applied to the same value.
    fn applied(&mut self, schema: &'a Value, depth: usize, path: &mut Vec<*const Value>) -> Result<u32, SchemaError> {
        let Value::Object(keywords) = schema else { return Ok(1) };
        let address = std::ptr::from_ref(schema);
        if let Some(known) = self.known.get(&(address, depth)) {
            return Ok(*known);
        }
        if path.contains(&address) {
            return Err(SchemaError::Circle(place(keywords)));
        }
        if path.len() >= MAX_IN_PLACE {
            return Err(SchemaError::TooCostly(place(keywords)));
        }
        path.push(address);
        let mut total: u32 = 1;
        for applied in in_place(self.root, keywords) {
            total = total.saturating_add(self.applied(applied, depth, path)?);
        }
        path.pop();
        if let Some(below) = depth.checked_sub(1) {
            for group in inside(keywords) {
                let mut most = 0;
                for applied in group {
                    most = most.max(self.applied(applied, below, &mut Vec::new())?);
                }
                total = total.saturating_add(most);
            }
        }
        self.known.insert((address, depth), total);
        Ok(total)
    }
}

/// A name for messages: where the reference leads that closes the circle.
fn place(keywords: &Map<String, Value>) -> String {
    keywords.get("$ref").and_then(Value::as_str).unwrap_or("#").to_owned()
}

/// Subschemas that judge the same value.
fn in_place<'a>(root: &'a Value, keywords: &'a Map<String, Value>) -> Vec<&'a Value> {
    let single = IN_PLACE.iter().filter_map(|keyword| keywords.get(*keyword));
    let lists = IN_PLACE_LISTS.iter().filter_map(|keyword| keywords.get(*keyword)?.as_array()).flatten();
    let dependent = ["dependentSchemas", "dependencies"]
        .into_iter()
        .filter_map(|keyword| keywords.get(keyword)?.as_object())
        .flat_map(Map::values);
    let reference = keywords.get("$ref").and_then(Value::as_str).and_then(|target| root.pointer(target.get(1..)?));
    single.chain(lists).chain(dependent).chain(reference).collect()
}

/// Groups of subschemas that judge members or elements: of each group at most one judges the same one.
fn inside(keywords: &Map<String, Value>) -> Vec<Vec<&Value>> {
    let mut groups: Vec<Vec<&Value>> = Vec::new();
    groups.extend(keywords.get("properties").and_then(Value::as_object).map(|members| members.values().collect()));
    groups.extend(keywords.get("prefixItems").and_then(Value::as_array).map(|items| items.iter().collect()));
    let patterns = keywords.get("patternProperties").and_then(Value::as_object).into_iter().flat_map(Map::values);
    groups.extend(patterns.map(|pattern| vec![pattern]));
    groups.extend(INSIDE.iter().filter_map(|keyword| keywords.get(*keyword)).map(|one| vec![one]));
    groups
}
