//! The tables, as read.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use json_patch::Patch;
use serde::Deserialize;
use serde_json::Value;

/// A pod that must start.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HonestCase {
    /// What is honest about it.
    pub name: String,
    /// Whose pod it is; nobody's without.
    pub agent: Option<String>,
    /// Whether it is the agent's gateway, which has no spec of its own.
    #[serde(default)]
    pub gateway: bool,
    /// Whether it carries the images of the version that is being replaced.
    #[serde(default)]
    pub previous: bool,
    /// Credentials that its sidecar holds.
    #[serde(default)]
    pub brokered: Vec<Credential>,
    /// Labels beside the agent's.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The pod's spec before injection.
    #[serde(default)]
    pub spec: Value,
}

/// A credential of a tool.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// Tool.
    pub tool: String,
    /// Secret.
    pub secret: String,
    /// Key of the Secret.
    pub key: String,
}

/// A pod, or a change of one, that must be refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostileCase {
    /// What is done.
    pub name: String,
    /// Threats of the threat model that it belongs to.
    pub threat: String,
    /// The honest case that is changed.
    pub base: String,
    /// How it reaches the server.
    #[serde(default)]
    pub act: Act,
    /// Change of the pod as people write it.
    #[serde(default)]
    pub before: Patch,
    /// Whether it is injected at all.
    #[serde(default = "yes")]
    pub injected: bool,
    /// Change of the injected pod.
    #[serde(default)]
    pub patch: Patch,
    /// Whether the API server refuses it by itself, in any namespace.
    #[serde(default)]
    pub by_server: bool,
    /// Part of the refusal.
    pub says: String,
}

fn yes() -> bool {
    true
}

/// How a hostile pod reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Act {
    /// It is created.
    #[default]
    Create,
    /// The honest pod is created, then replaced.
    Update,
    /// The honest pod is created, then its ephemeral containers are replaced.
    Ephemeral,
    /// The honest pod is created, then its status is replaced, labels and all.
    Status,
}

#[derive(Deserialize)]
struct Table<T> {
    cases: Vec<T>,
}

/// The pods that must start.
///
/// # Errors
/// When the table is malformed.
pub fn honest_cases() -> Result<Vec<HonestCase>> {
    let table: Table<HonestCase> =
        serde_saphyr::from_str(include_str!("../../flows/pods/honest.yaml")).context("honest.yaml")?;
    Ok(table.cases)
}

/// The pods that must be refused.
///
/// # Errors
/// When the table is malformed.
pub fn hostile_cases() -> Result<Vec<HostileCase>> {
    let table: Table<HostileCase> =
        serde_saphyr::from_str(include_str!("../../flows/pods/hostile.yaml")).context("hostile.yaml")?;
    Ok(table.cases)
}
