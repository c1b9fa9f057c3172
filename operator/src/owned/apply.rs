//! Writing an object that an Agent owns, and taking it away: only what is the Agent's own is ever touched.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::owner::{MANAGED_BY, OPERATOR};
use crate::approvals::write::MANAGER;

/// Why an object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else's object has the name.
    #[error("{kind} {name} exists and is not the Agent's")]
    Taken {
        /// Kind.
        kind: String,
        /// Name.
        name: String,
    },
    /// The API server refused, or did not answer.
    #[error("the API server refused it")]
    Api(#[from] kube::Error),
}

/// Writes the object by server-side apply, unless it is there as wanted.
pub async fn apply<K>(api: &Api<K>, kind: &str, wanted: &K) -> Result<(), ApplyError>
where
    K: Resource + Clone + Debug + Serialize + DeserializeOwned,
{
    let name = wanted.name_any();
    if let Some(found) = api.get_opt(&name).await? {
        if owner(&found) != owner(wanted) {
            return Err(ApplyError::Taken { kind: kind.to_owned(), name });
        }
        let (found, wanted) = (serde_json::to_value(&found), serde_json::to_value(wanted));
        if let (Ok(found), Ok(wanted)) = (found, wanted)
            && holds(&found, &wanted)
        {
            return Ok(());
        }
    }
    api.patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(wanted)).await?;
    tracing::info!(kind, name, "applied");
    Ok(())
}

/// Deletes what the operator once made for agents of this namespace and wants no longer.
pub async fn prune<K>(api: &Api<K>, kind: &str, wanted: &[String]) -> Result<(), kube::Error>
where
    K: Resource + Clone + Debug + DeserializeOwned,
{
    let made = api.list_metadata(&ListParams::default().labels(&format!("{MANAGED_BY}={OPERATOR}"))).await?;
    for object in made.items {
        let name = object.name_any();
        if owner(&object).is_none() || wanted.contains(&name) {
            continue;
        }
        // This very object: one that was made anew under the name meanwhile stays.
        let parameters = DeleteParams {
            preconditions: Some(Preconditions { uid: object.uid(), resource_version: None }),
            ..DeleteParams::background()
        };
        match api.delete(&name, &parameters).await {
            Ok(_) => tracing::info!(kind, name, "deleted: not wanted any more"),
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The Agent that an object belongs to.
fn owner<K: Resource>(object: &K) -> Option<&str> {
    let owners = object.meta().owner_references.iter().flatten();
    let mut agents = owners.filter(|owner| owner.kind == "Agent" && owner.api_version.starts_with("aegis.dev/"));
    agents.next().map(|owner| owner.uid.as_str())
}

/// An API of one namespace.
pub fn api<K>(client: &Client, namespace: &str) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    Api::namespaced(client.clone(), namespace)
}

/// Whether everything that is wanted stands in what was found. What the API server or others added is theirs; lists are
/// compared whole, so that an entry too many shows.
fn holds(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| wanted.is_null() || found.get(name).is_some_and(|found| holds(found, wanted))),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| holds(found, wanted))
        }
        // The API server leaves empty lists and objects out.
        (found, wanted) => found == wanted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_added_is_no_difference_and_an_entry_too_many_is() {
        let wanted = json!({"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}]}});
        let served = json!({"metadata": {"uid": "u"}, "spec": {"podSelector": {},
            "egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}]}});
        assert!(holds(&served, &wanted));
        let widened = json!({"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]}, {}]}});
        assert!(!holds(&widened, &wanted));
        let other = json!({"spec": {"egress": [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}]}});
        assert!(!holds(&other, &wanted));
        assert!(!holds(&json!({}), &wanted));
    }
}
