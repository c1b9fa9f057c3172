//! What the outside sees: status, written only when it differs, and Events.

use aegis_crds::api::ApprovalRequest;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::json;

use crate::approvals::write::MANAGER;
use crate::stores::Watched;

/// Kind of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// As expected.
    Normal,
    /// Worth a look.
    Warning,
}

/// Publishes Events; a failure is logged, never returned: an Event must not hold anything up.
#[derive(Clone)]
pub struct Events(Recorder);

impl Events {
    /// Events of the operator.
    pub fn new(client: Client) -> Self {
        Self(Recorder::new(client, Reporter { controller: "aegis-operator".to_owned(), instance: None }))
    }

    /// An Event on any object.
    pub async fn publish(&self, on: &ObjectReference, kind: EventKind, reason: &str, note: &str) {
        let event = Event {
            type_: match kind {
                EventKind::Normal => EventType::Normal,
                EventKind::Warning => EventType::Warning,
            },
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: reason.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.0.publish(&event, on).await {
            tracing::warn!(%error, reason, "event not published");
        }
    }

    /// An Event on a request and on its agent.
    pub async fn publish_on_request(&self, request: &ApprovalRequest, kind: EventKind, reason: &str, note: &str) {
        self.publish(&request.object_ref(&()), kind, reason, note).await;
        let agent = ObjectReference {
            api_version: Some("aegis.dev/v1alpha1".to_owned()),
            kind: Some("Agent".to_owned()),
            name: Some(request.spec.agent.name.clone()),
            namespace: request.namespace(),
            uid: Some(request.spec.agent.uid.clone()),
            ..Default::default()
        };
        let note = format!("{}: {note}", request.name_any());
        self.publish(&agent, kind, &format!("Approval{reason}"), &note).await;
    }
}

/// Writes a status by server-side apply, if it differs from the one that the object has.
pub async fn status<K, S>(client: &Client, object: &K, current: Option<&S>, wanted: &S) -> Result<bool, kube::Error>
where
    K: Watched + Resource<DynamicType = ()>,
    S: Serialize + PartialEq,
{
    write(client, object, current, wanted, None).await
}

/// As [`status`], refused with 409 when the object is not in the version that was planned for.
pub async fn status_of_version<K, S>(
    client: &Client,
    object: &K,
    current: Option<&S>,
    wanted: &S,
) -> Result<bool, kube::Error>
where
    K: Watched + Resource<DynamicType = ()>,
    S: Serialize + PartialEq,
{
    write(client, object, current, wanted, object.resource_version()).await
}

async fn write<K, S>(
    client: &Client,
    object: &K,
    current: Option<&S>,
    wanted: &S,
    version: Option<String>,
) -> Result<bool, kube::Error>
where
    K: Watched + Resource<DynamicType = ()>,
    S: Serialize + PartialEq,
{
    if current == Some(wanted) {
        return Ok(false);
    }
    let namespace = object.namespace().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    let mut patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": object.name_any(), "uid": object.uid()},
        "status": wanted,
    });
    if let (Some(version), Some(metadata)) = (version, patch.get_mut("metadata").and_then(|it| it.as_object_mut())) {
        metadata.insert("resourceVersion".to_owned(), version.into());
    }
    api.patch_status(&object.name_any(), &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await?;
    Ok(true)
}
