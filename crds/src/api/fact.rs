//! A fact of an operation: a read that the sidecar makes itself before it decides.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::schema::{NAME, OPERATION};

/// A Read operation of the same tool that the sidecar makes itself. Rules see its answer as $fact.NAME.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// Name of the fact, unique in the operation.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub name: String,
    /// Name of the Read operation of this tool that gives the answer.
    #[schemars(length(min = 1, max = 128), regex(pattern = OPERATION))]
    pub operation: String,
    /// Arguments of that operation by name. Each has exactly one of from, value and values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "arguments")]
    pub arguments: BTreeMap<String, FactArgument>,
    /// Paths of the answer that are kept. Everything else is dropped before rules, digests and records see it.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 256)))]
    pub paths: Vec<String>,
}

/// Where an argument of a fact's operation comes from.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.from), has(self.value), has(self.values)].exists_one(given, given)")
    .message("exactly one of from, value and values is given")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct FactArgument {
    /// Path into the arguments of the call that is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub from: Option<String>,
    /// A constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub value: Option<String>,
    /// Constants of a repeated parameter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(max = 256)))]
    pub values: Option<Vec<String>>,
}

fn arguments(generator: &mut SchemaGenerator) -> Schema {
    let argument = generator.subschema_for::<FactArgument>();
    json_schema!({ "type": "object", "maxProperties": 16, "additionalProperties": argument })
}
