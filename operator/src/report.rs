//! What the outside sees: status, written only when it differs, and Events.
//!
//! The plan does not say how trials go ([`crate::trials`]): that is neither compared nor written here, and stays as it is.

use aegis_cluster::Watched;
use aegis_crds::api::{
    AgentStatus, ApprovalRequest, ApprovalTierStatus, DelegationStatus, RegistryStatus, ToolPolicyStatus, ToolStatus,
};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::core::object::HasStatus;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::json;

use crate::approvals::write::MANAGER;

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

/// A status that is planned, but for how trials go.
pub trait Planned: Serialize {
    /// Whether a stored status says what is planned.
    fn is_as(&self, planned: &Self) -> bool;
}

macro_rules! planned_whole {
    ($($status:ty),*) => {
        $(impl Planned for $status {
            fn is_as(&self, planned: &Self) -> bool {
                self == planned
            }
        })*
    };
}
planned_whole!(ToolStatus, RegistryStatus, DelegationStatus, ApprovalTierStatus);

impl Planned for AgentStatus {
    fn is_as(&self, planned: &Self) -> bool {
        Self { trial: None, ..self.clone() } == *planned
    }
}

impl Planned for ToolPolicyStatus {
    fn is_as(&self, planned: &Self) -> bool {
        Self { trial: None, ..self.clone() } == *planned
    }
}

/// Writes a status by server-side apply, if it differs from the one that the object has; says whether it did. Where a
/// `version` is named, the write is refused with 409 once the object has another one.
pub async fn status<K>(
    client: &Client,
    object: &K,
    wanted: &K::Status,
    version: Option<String>,
) -> Result<bool, kube::Error>
where
    K: Watched + HasStatus<Status: Planned>,
{
    if object.status().is_some_and(|status| status.is_as(wanted)) {
        return Ok(false);
    }
    let (name, namespace) = (object.name_any(), object.namespace().unwrap_or_default());
    let metadata =
        ObjectMeta { name: Some(name.clone()), uid: object.uid(), resource_version: version, ..ObjectMeta::default() };
    let patch = json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": metadata,
        "status": wanted,
    });
    let api: Api<K> = Api::namespaced(client.clone(), &namespace);
    api.patch_status(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&patch)).await?;
    Ok(true)
}
