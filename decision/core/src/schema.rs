//! JSON Schema 2020-12 over a call's arguments: compiled once, no remote references, linear regular expressions.
//!
//! `format` is an annotation, as the draft says; rules assert formats. What is refused at compile time beside what the
//! draft refuses: references out of the schema, other drafts, and schemas whose references run in a circle without
//! stepping into the value, or multiply, since judging them would not end in time.

mod cost;
mod patterns;
mod tree;

use std::fmt;

use jsonschema::{Draft, PatternOptions, Validator};

use tree::{At, Indexes, Tree};

use crate::json::Value;
use crate::room::{BundleRoom, NoRoom, Room};

/// Largest schema, in bytes of JSON.
pub const MAX_BYTES: usize = 32 * 1024;
/// Largest compiled regular expression of a `pattern`, in bytes.
const MAX_PATTERN_BYTES: usize = 256 * 1024;
/// Most failures that are told.
pub const MAX_FAILURES: usize = 16;

/// Longest pointer that a failure tells, in bytes: keys are the agent's.
pub const MAX_POINTER_BYTES: usize = 256;

/// A compiled schema.
pub struct CompiledSchema {
    validator: Validator<Tree>,
}

impl fmt::Debug for CompiledSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledSchema").finish_non_exhaustive()
    }
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Too large.
    #[error("the schema may have at most {MAX_BYTES} bytes")]
    TooLarge,
    /// Another draft.
    #[error("{0}/$schema: the draft is 2020-12 (https://json-schema.org/draft/2020-12/schema)")]
    Draft(String),
    /// A reference out of the schema.
    #[error("{0}: a reference must start with # (nothing is fetched)")]
    RemoteReference(String),
    /// A keyword that is not supported.
    #[error("{0}: is not supported")]
    Unsupported(String),
    /// References in a circle.
    #[error("{0}: references run in a circle without stepping into the value")]
    Circle(String),
    /// References that multiply.
    #[error("{0}: too many subschemas apply to one value; the most is {limit}", limit = cost::MAX_APPLIED)]
    TooCostly(String),
    /// Patterns for which there is no room.
    #[error("{pointer}: {problem}")]
    NoRoom {
        /// Place in the schema of the first that does not fit.
        pointer: String,
        /// What is full.
        problem: NoRoom,
    },
    /// Not a valid schema.
    #[error("{pointer}: is not valid JSON Schema ({keyword})")]
    Invalid {
        /// Place in the schema.
        pointer: String,
        /// Keyword of the meta-schema that is not satisfied, or what failed.
        keyword: String,
    },
}

/// One place where arguments do not fit. Names, no values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SchemaFailure {
    /// RFC 6901 pointer into the arguments.
    pub pointer: String,
    /// Keyword that is not satisfied.
    pub keyword: String,
}

impl CompiledSchema {
    /// Compiles a schema.
    pub fn compile(schema: &serde_json::Value) -> Result<Self, SchemaError> {
        let bundle = BundleRoom::default();
        Self::compile_beside(schema, &Room::of_tool(&bundle))
    }

    /// Compiles a schema whose patterns fit beside those that the tool has already.
    pub(crate) fn compile_beside(schema: &serde_json::Value, room: &Room<'_>) -> Result<Self, SchemaError> {
        if schema.to_string().len() > MAX_BYTES {
            return Err(SchemaError::TooLarge);
        }
        cost::check(schema)?;
        patterns::check(schema, room)?;
        let validator = jsonschema::options_for::<Tree>()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(false)
            .with_pattern_options(
                PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES),
            )
            .offline()
            .build(schema)
            .map_err(|error| SchemaError::Invalid {
                pointer: error.instance_path().to_string(),
                keyword: error.kind().keyword().to_owned(),
            })?;
        Ok(Self { validator })
    }

    /// Checks arguments. At most [`MAX_FAILURES`] failures, each once, their pointers cut after
    /// [`MAX_POINTER_BYTES`].
    pub fn check(&self, value: &Value) -> Result<(), Vec<SchemaFailure>> {
        let indexes = Indexes::default();
        let top = At::top(value, &indexes);
        if self.validator.is_valid(top) {
            return Ok(());
        }
        let mut failures = Vec::new();
        for error in self.validator.iter_errors(top) {
            let keyword = error.kind().keyword().to_owned();
            let mut pointer = error.instance_path().to_string();
            pointer.truncate(pointer.floor_char_boundary(MAX_POINTER_BYTES));
            let failure = SchemaFailure { pointer, keyword };
            if !failures.contains(&failure) {
                failures.push(failure);
            }
            if failures.len() >= MAX_FAILURES {
                break;
            }
        }
        Err(failures)
    }
}

#[cfg(test)]
// Values of test cases are given away.
#[allow(clippy::needless_pass_by_value)]
mod tests {
    use serde_json::json;
    use test_case::test_case;

    use super::*;
    use crate::json::parse;

    fn failures(schema: &serde_json::Value, value: &str) -> Vec<(String, String)> {
        let schema = CompiledSchema::compile(schema).unwrap();
        let failures = schema.check(&parse(value.as_bytes()).unwrap()).err().unwrap_or_default();
        failures.into_iter().map(|failure| (failure.pointer, failure.keyword)).collect()
    }

    #[test]
    fn names_places_and_keywords_but_no_values() {
        let schema = json!({
            "type": "object", "required": ["amount"], "additionalProperties": false,
            "properties": {"amount": {"type": "number", "multipleOf": 0.01}, "lines": {"items": {"pattern": "^[a-z]+$"}}}
        });
        assert_eq!(failures(&schema, r#"{"amount": 149.90, "lines": ["abc"]}"#), vec![]);
        let pair = |pointer: &str, keyword: &str| (pointer.to_owned(), keyword.to_owned());
        assert_eq!(failures(&schema, r#"{"amount": "149.90"}"#), vec![pair("/amount", "type")]);
        assert_eq!(failures(&schema, r#"{"amount": 1, "lines": ["abc", "A"]}"#), vec![pair("/lines/1", "pattern")]);
        assert_eq!(failures(&schema, r#"{"secret": 1, "amount": 1.001}"#).len(), 2);
        assert_eq!(failures(&schema, r#"{"secret": 1, "amount": 1}"#), vec![pair("", "additionalProperties")]);
        assert_eq!(failures(&schema, "{}"), vec![pair("", "required")]);
    }

    #[test]
    fn failures_are_bounded() {
        let schema = json!({"additionalProperties": {"type": "string"}});
        let members: Vec<_> = (0..100).map(|index| format!("\"{index}\":1")).collect();
        assert_eq!(failures(&schema, &format!("{{{}}}", members.join(","))).len(), MAX_FAILURES);
        let long = format!("{{\"{}\":{{\"{}\":1}}}}", "ä".repeat(128), "b".repeat(256));
        let schema = json!({"additionalProperties": {"additionalProperties": {"type": "string"}}});
        assert!(failures(&schema, &long)[0].0.len() <= MAX_POINTER_BYTES);
    }

    #[test]
    fn numbers_reach_the_validator_exactly() {
        let schema = json!({"type": "integer", "maximum": 9_007_199_254_740_991_i64});
        assert_eq!(failures(&schema, "9007199254740991"), vec![]);
        assert_eq!(failures(&schema, "9007199254740992").len(), 1);
        assert_eq!(failures(&schema, "1.0"), vec![]);
        assert_eq!(failures(&schema, "1.5").len(), 1);
        assert_eq!(failures(&json!({"const": 0.1}), "0.10"), vec![]);
    }

    #[test]
    fn recursive_schemas_that_step_into_the_value_are_accepted() {
        let tree = json!({"type": "object", "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}},
                          "additionalProperties": false});
        assert_eq!(failures(&tree, r#"{"left": {"right": {}}, "right": {}}"#), vec![]);
        assert_eq!(failures(&tree, r#"{"left": {"right": {"x": 1}}}"#).len(), 1);
    }

    #[test_case(json!({"$ref": "https://example.com/x"}), "/$ref: a reference must start with"; "remote reference")]
    #[test_case(json!({"items": {"$ref": "other.json"}}), "/items/$ref: a reference must start with"; "relative reference")]
    #[test_case(json!({"$schema": "http://json-schema.org/draft-07/schema#"}), "/$schema: the draft is 2020-12"; "draft 7")]
    #[test_case(json!({"$ref": "#"}), "circle"; "itself")]
    #[test_case(json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}), "circle"; "each other")]
    #[test_case(json!({"$dynamicRef": "#x"}), "not supported"; "dynamic reference")]
    #[test_case(json!({"items": {"$id": "x"}}), "not supported"; "inner id")]
    #[test_case(json!({"type": 5}), "/type: is not valid JSON Schema"; "type is a number")]
    #[test_case(json!({"pattern": "(?=a)b"}), "/pattern"; "look-ahead is not linear")]
    #[test_case(json!({"pattern": "(a{1000}){1000}"}), "/pattern"; "expression too large")]
    #[test_case(json!({"$ref": "#/$defs/missing"}), "is not valid"; "reference to nothing")]
    #[test_case(json!({"enum": ["x".repeat(MAX_BYTES)]}), "at most 32768 bytes"; "too large")]
    fn refuses(schema: serde_json::Value, reason: &str) {
        let error = CompiledSchema::compile(&schema).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn references_that_multiply_are_refused() {
        let in_place: serde_json::Map<_, _> = (0..40)
            .map(|index| {
                let next = json!({"$ref": format!("#/$defs/{}", index + 1)});
                (index.to_string(), json!({"allOf": [next, next]}))
            })
            .chain([("40".to_owned(), json!({}))])
            .collect();
        let doubles_in_place = json!({"$defs": in_place, "$ref": "#/$defs/0"});
        let doubles_by_level = json!({"properties": {"a": {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
        for schema in [doubles_in_place, doubles_by_level] {
            assert!(matches!(CompiledSchema::compile(&schema), Err(SchemaError::TooCostly(_))));
        }
    }
}
