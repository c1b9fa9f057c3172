//! Kind `Registry`: a list of known things, such as approved suppliers.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{self, MAX_INTEGER, NAME};

/// A list of known things, such as approved suppliers. Rules look values up in it.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "Registry",
    doc = "A list of known things, such as approved suppliers. Rules look values up in it; who may change it is RBAC.",
    namespaced,
    category = "aegis",
    shortname = "areg",
    status = "RegistryStatus",
    derive = "PartialEq",
    printcolumn(name = "KEY", type_ = "string", json_path = ".spec.key"),
    printcolumn(name = "ENTRIES", type_ = "integer", json_path = ".status.entries"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RegistrySpec {
    /// What the ids of the entries are called, such as supplierId. Shown in explanations.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub key: String,
    /// The entries. Ids must be unique. The list is changed as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub entries: Vec<RegistryEntry>,
}

/// One known thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryEntry {
    /// Its id, unique in the registry. A number in a call is looked up by its decimal text.
    #[schemars(length(min = 1, max = 128))]
    pub id: String,
    /// Its attributes by name, such as name, iban or domains. Each is a list of texts, at most 16 attributes of at most 16 texts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::attributes")]
    pub attributes: BTreeMap<String, Vec<String>>,
    /// Its documents, such as a certificate of insurance. Several may have one name, each for its own time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub documents: Vec<RegistryDocument>,
}

/// A document that an entry has.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.validFrom) || !has(self.validUntil) || self.validFrom < self.validUntil")
    .message("validUntil lies after validFrom")
    .reason(Reason::FieldValueInvalid)
    .field_path(".validUntil"))]
#[serde(rename_all = "camelCase")]
pub struct RegistryDocument {
    /// What it is, such as insurance. Rules name it.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub name: String,
    /// When it begins to be valid. It always was, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Time>,
    /// When it ceases to be valid: from this instant on it no longer is. It stays valid, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Time>,
}

/// What the operator found out about the registry.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistryStatus {
    /// Generation of the registry that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reconciling, Stalled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Number of entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2000))]
    pub entries: Option<u32>,
}
