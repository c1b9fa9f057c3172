//! What the derived schemas lack: shapes that Rust types do not say, and Kubernetes' dialect of JSON Schema.

use kube::core::{Reason, Rule};
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

/// A DNS label: what namespaces, agents and tools are named like.
pub(crate) const DNS_LABEL: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";
/// The name of a rule, or the place of an entry of `provenance`.
pub(crate) const RULE_OR_ENTRY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?|provenance\[[0-9]{1,3}\])$";
/// A DNS subdomain: what most Kubernetes objects are named like.
pub(crate) const DNS_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// Name of an operation: words separated by dots.
pub(crate) const OPERATION: &str = "^[A-Za-z][A-Za-z0-9_-]*([.][A-Za-z0-9_-]+)*$";
/// Name of an operation, or `*`.
pub(crate) const OPERATION_OR_ALL: &str = "^([*]|[A-Za-z][A-Za-z0-9_-]*([.][A-Za-z0-9_-]+)*)$";
/// Name of an argument, alias, fact or attribute.
pub(crate) const NAME: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";
/// A stable code.
pub(crate) const CODE: &str = "^[a-z][a-z0-9_]*$";
/// SHA-256, written as everywhere in Aegis.
pub(crate) const DIGEST: &str = "^sha256:[0-9a-f]{64}$";
/// Hours, minutes and seconds: `15m`, `1h30m`.
pub(crate) const DURATION: &str = "^([0-9]{1,5}h)?([0-9]{1,6}m)?([0-9]{1,7}s)?$";
/// Hours of a day: `08:00-18:00`. The end may be `24:00`.
pub(crate) const HOURS: &str = "^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$";
/// A decimal without exponent.
pub(crate) const DECIMAL: &str = "^-?[0-9]+([.][0-9]+)?$";
/// A share in percent with two places: `99.57`.
pub(crate) const PERCENT: &str = "^[0-9]{1,3}[.][0-9]{2}$";

/// The largest integer that every JSON reader keeps exactly.
pub const MAX_INTEGER: i64 = 9_007_199_254_740_991;

/// Headers that a Tool may not set: the sidecar or the connection does, or the agent's own are passed on.
pub(crate) const RESERVED_HEADERS: [&str; 20] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// The rule that a header's name is none of [`RESERVED_HEADERS`] and none of ours.
pub(crate) fn free_header() -> Rule {
    let names: Vec<String> = RESERVED_HEADERS.iter().map(|name| format!("'{name}'")).collect();
    Rule::new(format!("!(self in [{}]) && !self.startsWith('aegis-')", names.join(", ")))
        .message("this header is set by the sidecar or belongs to the connection")
        .reason(Reason::FieldValueForbidden)
}

/// An object of any shape.
pub(crate) fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A value of any shape.
pub(crate) fn any_value(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A map of at most `ITEMS` values of any shape.
pub(crate) fn any_map<const ITEMS: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ITEMS,
        "additionalProperties": { "x-kubernetes-preserve-unknown-fields": true },
    })
}

/// A map of at most `ITEMS` texts of at most `LENGTH` characters.
pub(crate) fn text_map<const ITEMS: u32, const LENGTH: u32>(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": ITEMS,
        "additionalProperties": { "type": "string", "maxLength": LENGTH },
    })
}

/// The attributes of a registry's entry: lists of texts by name.
pub(crate) fn attributes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "type": "array",
            "minItems": 1,
            "maxItems": 16,
            "items": { "type": "string", "minLength": 1, "maxLength": 256 },
        },
    })
}

/// A number or a text.
pub(crate) fn scalar(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 256 })
}

/// A list of numbers or texts.
pub(crate) fn scalars(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 256,
        "items": { "x-kubernetes-int-or-string": true, "maxLength": 256 },
        "x-kubernetes-list-type": "atomic",
    })
}

/// An exact decimal: an integer, or a text such as `5000.00`.
pub(crate) fn decimal(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true, "maxLength": 32, "pattern": DECIMAL })
}

/// A boolean that can only be true: a switch that is absent or on.
pub(crate) fn only_true(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "boolean", "enum": [true] })
}

/// Kubernetes' conditions: a list map by type, with the bounds that the API server's own types have.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "reason", "message", "lastTransitionTime"],
            "properties": {
                "type": { "type": "string", "maxLength": 316, "description": "What the condition is about." },
                "status": {
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                    "description": "Whether it holds.",
                },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 128,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "Why, as one word of a closed set.",
                },
                "message": {
                    "type": "string",
                    "maxLength": 4096,
                    "description": "Why, as a sentence. Names fields, never their values.",
                },
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When the status last changed.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "maximum": MAX_INTEGER,
                    "description": "Generation of the object that this was found on.",
                },
            },
        },
    })
}

/// Turns a derived schema into the one that is installed.
///
/// Takes away `nullable` (an explicit null makes CEL's `has()` true, so none may be stored), formats that Kubernetes
/// does not know, and titles; writes bounds of integers as integers.
pub(crate) fn tidy(schema: &mut Value) {
    let Value::Object(node) = schema else { return };
    node.remove("nullable");
    node.remove("title");
    if node.get("default").is_some_and(Value::is_null) {
        node.remove("default");
    }
    if node.get("type").and_then(Value::as_str) == Some("integer") {
        tidy_integer(node);
    }
    for key in ["properties", "additionalProperties", "items"] {
        match node.get_mut(key) {
            Some(Value::Object(properties)) if key == "properties" => properties.values_mut().for_each(tidy),
            Some(inner) => tidy(inner),
            None => {}
        }
    }
}

fn tidy_integer(node: &mut Map<String, Value>) {
    if node.get("format").and_then(Value::as_str).is_some_and(|format| !matches!(format, "int32" | "int64")) {
        node.remove("format");
    }
    for bound in ["minimum", "maximum"] {
        let whole = node.get(bound).and_then(Value::as_f64).filter(|number| number.fract() == 0.0);
        // No bound is larger than MAX_INTEGER, so each is exact as a double.
        #[allow(clippy::cast_possible_truncation)]
        if let Some(number) = whole {
            node.insert(bound.to_owned(), Value::from(number as i64));
        }
    }
}
