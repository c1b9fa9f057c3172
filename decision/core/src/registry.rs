//! Lists of known things, such as approved suppliers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One `Registry`: entries by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registry {
    /// Name of the resource.
    pub name: String,
    /// What the key is called, such as `supplierId`.
    pub key: String,
    /// Attributes by key. Every attribute is a list of strings; most have one.
    pub entries: BTreeMap<String, Entry>,
}

/// The attributes of one entry.
pub type Entry = BTreeMap<String, Vec<String>>;
