//! Lists of known things, such as approved suppliers.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

mod by_key;

pub use by_key::ByKey;

/// The attribute whose texts are the hosts of an entry: host names, `*.` and a host name, or IP addresses. A text that
/// is none of these names no host.
pub const DOMAINS: &str = "domains";

/// One `Registry`: entries by key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registry {
    /// Name of the resource.
    pub name: String,
    /// What the key is called, such as `supplierId`.
    pub key: String,
    /// Attributes by key. Every attribute is a list of strings; most have one.
    pub entries: ByKey<Entry>,
    /// Documents of the entries that have some, by key. Left out when there are none, so that digests of such
    /// registries stay.
    #[serde(default, skip_serializing_if = "ByKey::is_empty")]
    pub documents: ByKey<Vec<Document>>,
}

/// The attributes of one entry.
pub type Entry = BTreeMap<String, Vec<String>>;

/// A document that an entry has, such as a certificate of insurance. Several may have one name: each renewal its own
/// time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Document {
    /// What it is, such as `insurance`.
    pub name: String,
    /// When it begins to be valid; none: it always was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// When it ceases to be valid: at that instant it no longer is. None: it stays so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
}

impl Document {
    /// Whether it is valid at that instant.
    pub fn is_valid_at(&self, instant: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= instant) && self.valid_until.is_none_or(|until| instant < until)
    }
}
