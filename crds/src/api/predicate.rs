//! Predicates of a check that are objects of their own: documents, hosts, windows of the week.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::{DNS_NAME, HOURS, NAME};

/// A document of a registry's entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// Name of the Registry.
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub registry: String,
    /// Path of the entry's id. Without it the check's own field is the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub key: Option<String>,
    /// Name of the document.
    #[schemars(length(min = 1, max = 63), regex(pattern = NAME))]
    pub name: String,
}

/// Hosts that a URL or host may be at.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.names) || has(self.registry)")
    .message("hostIn has names, registry or both")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct HostIn {
    /// Host names, *. and a host name for every name below it, or IP addresses (IPv6 in brackets). Case, a dot at the
    /// end and the Unicode or ASCII form do not matter; ports are not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 255)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub names: Vec<String>,
    /// Name of a Registry: the host stands in the attribute domains of one of its entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub registry: Option<String>,
}

/// Days and hours of a time zone.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.days) || has(self.hours)")
    .message("within has days, hours or both")
    .reason(Reason::FieldValueInvalid))]
#[serde(rename_all = "camelCase")]
pub struct Within {
    /// Days on which the hours begin. Every day, if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub days: Vec<Day>,
    /// First minute and the one after the last, such as 08:00-18:00. If the end is before the start, it lies on the next
    /// day. The whole day, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 11, max = 11), regex(pattern = HOURS))]
    pub hours: Option<String>,
    /// Name of the time zone in the IANA database, such as Europe/Zurich or UTC.
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}
