//! Whether the guards in the API server are in place and unchanged.
//!
//! A verdict is only worth something while the policies that judged it are the ones that Aegis ships. A cluster
//! administrator can delete or change them; then nothing is released, and a condition says so.

use aegis_crds::guards as shipped;
use kube::api::{DynamicObject, GroupVersionKind};
use kube::core::ApiResource;
use kube::{Api, Client};
use serde_json::{Map, Value};

/// CRDs whose schema holds rules that approvals rest on.
const CRDS: [&str; 2] = [
    include_str!("../../crds/generated/approvalrequests.aegis.dev.yaml"),
    include_str!("../../crds/generated/delegations.aegis.dev.yaml"),
];

/// What is wrong with one guard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not there.
    #[error("{0} is missing")]
    Missing(String),
    /// There, but not as shipped.
    #[error("{0} differs from what this version of Aegis ships")]
    Altered(String),
    /// Could not be read.
    #[error("{0} cannot be read")]
    Unreadable(String),
}

/// The guards that must be there.
#[derive(Debug, Clone)]
pub struct Guards {
    wanted: Vec<Wanted>,
}

#[derive(Debug, Clone)]
struct Wanted {
    resource: ApiResource,
    name: String,
    spec: Value,
}

/// The shipped manifests cannot be parsed: a fault of the build.
#[derive(Debug, thiserror::Error)]
#[error("a shipped guard is no manifest: {0}")]
pub struct ShippedError(String);

impl Guards {
    /// The guards that this version ships.
    pub fn shipped() -> Result<Self, ShippedError> {
        let mut documents = shipped::objects().map_err(|error| ShippedError(error.to_string()))?;
        for definition in CRDS {
            documents.push(serde_saphyr::from_str(definition).map_err(|error| ShippedError(error.to_string()))?);
        }
        let wanted = documents.iter().map(Wanted::parse).collect::<Option<_>>();
        Ok(Self { wanted: wanted.ok_or_else(|| ShippedError("kind, name or spec".to_owned()))? })
    }

    /// Every fault, read from the API server now, never from a cache.
    pub async fn faults(&self, client: &Client) -> Vec<Fault> {
        let checks = self.wanted.iter().map(|wanted| wanted.fault(client));
        futures::future::join_all(checks).await.into_iter().flatten().collect()
    }
}

impl Wanted {
    async fn fault(&self, client: &Client) -> Option<Fault> {
        let what = format!("{} {}", self.resource.kind, self.name);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &self.resource);
        match api.get_opt(&self.name).await {
            Ok(Some(found)) if same(&self.spec, found.data.get("spec").unwrap_or(&Value::Null)) => None,
            Ok(Some(_)) => Some(Fault::Altered(what)),
            Ok(None) => Some(Fault::Missing(what)),
            Err(error) => {
                tracing::warn!(guard = what, %error, "cannot read guard");
                Some(Fault::Unreadable(what))
            }
        }
    }

    fn parse(document: &Value) -> Option<Self> {
        let (group, version) = document.get("apiVersion")?.as_str()?.split_once('/')?;
        let gvk = GroupVersionKind::gvk(group, version, document.get("kind")?.as_str()?);
        let plural = match gvk.kind.as_str() {
            "CustomResourceDefinition" => "customresourcedefinitions",
            kind => shipped::plural(kind)?,
        };
        Some(Self {
            resource: ApiResource::from_gvk_with_plural(&gvk, plural),
            name: document.get("metadata")?.get("name")?.as_str()?.to_owned(),
            spec: document.get("spec")?.clone(),
        })
    }
}

/// Equal once the server's defaults are taken off both.
fn same(wanted: &Value, found: &Value) -> bool {
    without_defaults(wanted) == without_defaults(found)
}

/// What the API server fills in when a manifest leaves it out. A default that was *changed* is kept, and so shows.
fn without_defaults(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(key, value)| !is_default(key, value))
                .map(|(key, value)| (key.clone(), without_defaults(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(without_defaults).collect()),
        Value::String(text) => Value::String(text.trim_end().to_owned()),
        other => other.clone(),
    }
}

fn is_default(key: &str, value: &Value) -> bool {
    match (key, value) {
        ("matchPolicy", Value::String(text)) => text == "Equivalent",
        ("scope", Value::String(text)) => text == "*",
        ("namespaceSelector" | "objectSelector", Value::Object(members)) => members.is_empty(),
        ("conversion", Value::Object(members)) => members.get("strategy").is_some_and(|strategy| strategy == "None"),
        ("listKind", Value::String(_)) | (_, Value::Null) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shipped_guard_is_watched() {
        let kinds: Vec<_> =
            Guards::shipped().unwrap().wanted.iter().map(|wanted| wanted.resource.kind.clone()).collect();
        assert_eq!(kinds.iter().filter(|kind| *kind == "ValidatingAdmissionPolicy").count(), 7);
        assert_eq!(kinds.iter().filter(|kind| *kind == "ValidatingAdmissionPolicyBinding").count(), 7);
        assert_eq!(kinds.iter().filter(|kind| *kind == "MutatingAdmissionPolicy").count(), 2);
        assert_eq!(kinds.iter().filter(|kind| *kind == "CustomResourceDefinition").count(), 2);
    }

    #[test]
    fn a_default_is_no_difference_but_another_value_is() {
        let wanted = json!({"matchConstraints": {"resourceRules": [{"resources": ["agents"]}]}});
        let served = json!({"matchConstraints": {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{"resources": ["agents"], "scope": "*"}]}});
        assert!(same(&wanted, &served));
        let narrowed = json!({"matchConstraints": {"namespaceSelector": {"matchLabels": {"a": "b"}},
            "resourceRules": [{"resources": ["agents"], "scope": "*"}]}});
        assert!(!same(&wanted, &narrowed));
    }
}
