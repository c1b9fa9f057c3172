//! `--remove-configurations`: what an uninstall does first, so that nothing is left that could refuse other people's
//! requests when Aegis' own pods are gone.

use aegis_crds::guards;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::DeleteParams;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::Value;

/// Why not everything was removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// No cluster.
    #[error("cannot find a cluster: set KUBECONFIG or run in a pod")]
    Config(#[from] kube::config::InferConfigError),
    /// The API server refused, or could not be reached.
    #[error("cannot delete {what}")]
    Delete {
        /// What was to go.
        what: String,
        /// Why it did not.
        source: kube::Error,
    },
    /// A client cannot be made.
    #[error("cannot talk to the API server")]
    Client(#[source] kube::Error),
    /// A shipped manifest cannot be read.
    #[error(transparent)]
    Shipped(#[from] guards::NoManifest),
}

/// Deletes both webhook configurations, then the bindings of every shipped admission policy. What is not there is fine.
pub async fn configurations(name: &str) -> Result<(), RemoveError> {
    let client = Client::try_from(kube::Config::infer().await?).map_err(RemoveError::Client)?;
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    gone(mutating.delete(name, &DeleteParams::default()).await, "MutatingWebhookConfiguration", name)?;
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    gone(validating.delete(name, &DeleteParams::default()).await, "ValidatingWebhookConfiguration", name)?;
    for object in guards::objects()? {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (kind, name) = (text("/kind"), text("/metadata/name"));
        let group_version = text("/apiVersion").split_once('/');
        let (Some((group, version)), Some(plural), true) =
            (group_version, guards::plural(kind), kind.ends_with("Binding"))
        else {
            continue;
        };
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        gone(api.delete(name, &DeleteParams::default()).await, kind, name)?;
    }
    Ok(())
}

/// Deleted, or not there: by name, or because this API server does not serve the kind.
fn gone<T>(result: Result<T, kube::Error>, kind: &str, name: &str) -> Result<(), RemoveError> {
    match result {
        Ok(_) => {
            tracing::info!(kind, name, "deleted");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(RemoveError::Delete { what: format!("{kind} {name}"), source }),
    }
}
