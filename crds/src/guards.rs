//! The admission policies and bindings that are installed beside the definitions, as shipped.

use serde_json::Value;

/// The manifests. Roles and accounts of Aegis itself are in files of their own.
pub const MANIFESTS: [&str; 6] = [
    include_str!("../../guards/approvals.yaml"),
    include_str!("../../guards/delegations.yaml"),
    include_str!("../../guards/agents.yaml"),
    include_str!("../../guards/policies.yaml"),
    include_str!("../../guards/pods.yaml"),
    include_str!("../../guards/tokens.yaml"),
];

/// A shipped manifest cannot be read: a fault of the build.
#[derive(Debug, thiserror::Error)]
#[error("a shipped guard is no manifest: {0}")]
pub struct NoManifest(String);

/// Every object of the manifests, in order.
pub fn objects() -> Result<Vec<Value>, NoManifest> {
    let mut objects = Vec::new();
    for manifest in MANIFESTS {
        let documents: Vec<Value> =
            serde_saphyr::from_multiple(manifest).map_err(|error| NoManifest(error.to_string()))?;
        objects.extend(documents);
    }
    Ok(objects)
}

/// The plural of a kind that is shipped here; none for any other.
pub fn plural(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "ValidatingAdmissionPolicy" => "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding" => "validatingadmissionpolicybindings",
        "MutatingAdmissionPolicy" => "mutatingadmissionpolicies",
        "MutatingAdmissionPolicyBinding" => "mutatingadmissionpolicybindings",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_object_has_a_known_kind_and_a_name() {
        let objects = objects().unwrap();
        assert!(objects.len() >= 10);
        for object in objects {
            assert!(plural(object["kind"].as_str().unwrap()).is_some(), "{object}");
            assert!(object["metadata"]["name"].is_string());
        }
    }
}
