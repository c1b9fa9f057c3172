//! The rules in Rego, in the form that is cheapest to evaluate: one rule that looks the supplier up, instead of 1,000.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::workload::{SUPPLIERS, bound, supplier};

/// The files of a policy.
#[derive(Debug, Clone)]
pub struct Rego {
    /// The module.
    pub module: PathBuf,
    /// The data that it reads.
    pub data: PathBuf,
}

impl Rego {
    /// Writes them. `call` is where the module finds the call, such as `input.parsed_body`.
    pub fn write(folder: &Path, call: &str) -> Result<Self> {
        let (module, data) = (folder.join("policy.rego"), folder.join("data.json"));
        fs::create_dir_all(folder)?;
        fs::write(&module, include_str!("policy.rego").replace("@CALL@", call))?;
        let bounds: BTreeMap<_, _> = (0..SUPPLIERS).map(|number| (supplier(number), bound(number))).collect();
        fs::write(&data, json!({"bounds": bounds}).to_string())?;
        Ok(Self { module, data })
    }
}
