//! The custom resource definitions, as they are installed and as they are kept in `crds/generated/`.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::api::{Agent, ApprovalRequest, ApprovalTier, Delegation, Registry, Tool, ToolPolicy};
use crate::schema::tidy;

const HEADER: &str =
    "# Generated from the types in crds/src/api. Change those, then run: AEGIS_BLESS=1 cargo test -p aegis-crds\n";

/// A definition that cannot be written. Cannot happen with the types of this crate; a test makes them all.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Not the JSON of a definition.
    #[error("a definition has no JSON form: {0}")]
    Json(#[from] serde_json::Error),
    /// Not writable as YAML.
    #[error("a definition cannot be written as YAML: {0}")]
    Yaml(String),
}

/// All definitions, ordered by name.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, DefinitionError> {
    derived().iter().map(|crd| Ok(serde_json::from_value(tidied(crd)?)?)).collect()
}

/// The definitions as YAML files: name of the file and its text.
pub fn files() -> Result<Vec<(String, String)>, DefinitionError> {
    derived()
        .iter()
        .map(|crd| {
            let name = crd.metadata.name.as_deref().unwrap_or_default();
            // Written from JSON, not from the typed definition, which keeps bounds as floats.
            let yaml =
                serde_saphyr::to_string(&tidied(crd)?).map_err(|error| DefinitionError::Yaml(error.to_string()))?;
            Ok((format!("{name}.yaml"), format!("{HEADER}{yaml}")))
        })
        .collect()
}

fn derived() -> [CustomResourceDefinition; 7] {
    [
        Agent::crd(),
        ApprovalRequest::crd(),
        ApprovalTier::crd(),
        Delegation::crd(),
        Registry::crd(),
        ToolPolicy::crd(),
        Tool::crd(),
    ]
}

fn tidied(crd: &CustomResourceDefinition) -> Result<Value, DefinitionError> {
    let mut crd = serde_json::to_value(crd)?;
    if let Some(Value::Array(versions)) = crd.pointer_mut("/spec/versions") {
        versions.iter_mut().filter_map(|version| version.pointer_mut("/schema/openAPIV3Schema")).for_each(tidy);
    }
    Ok(crd)
}
