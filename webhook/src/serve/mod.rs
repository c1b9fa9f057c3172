//! What the API server asks, and the answers: `POST /inject` for pods, `POST /validate` for our own kinds.

mod bounded;
mod review;

use std::sync::Arc;
use std::time::Instant;

use aegis_crds::api::{ApprovalTier, Registry, Tool, ToolPolicy};
use aegis_crds::load::Resources;
use aegis_crds::mesh::{SIDECAR_UIDS, Settings};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use jiff::Timestamp;
use kube::Client;
use kube::core::DynamicObject;
use kube::core::admission::{AdmissionRequest, AdmissionResponse, Operation};
use rand::Rng as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::inject::{Refusal, agent_of, inject};
use crate::metrics::Metrics;
use crate::stores::{Stores, fresh};
use crate::validate::{self, Verdict};

use bounded::{Bounded, Slot};

pub use review::Malformed;

/// Most bytes of a question: an object of 3 MiB, which is what the API server takes, new and old, and what stands around.
const MAX_BODY: usize = 8 << 20;
/// Policies that are compiled and tested at once.
const VALIDATIONS: usize = 4;

/// What answers need.
pub struct Hooks {
    /// Views of the resources.
    pub stores: Stores,
    /// For what views may not know yet.
    pub client: Client,
    /// Settings of the mesh.
    pub settings: Settings,
    /// Metrics.
    pub metrics: Metrics,
    /// Bounds [`VALIDATIONS`].
    validations: Bounded,
}

impl Hooks {
    /// With nothing under way.
    pub fn new(stores: Stores, client: Client, settings: Settings, metrics: Metrics) -> Self {
        Self { stores, client, settings, metrics, validations: Bounded::new(VALIDATIONS) }
    }
}

/// The routes.
pub fn router(hooks: Arc<Hooks>) -> Router {
    Router::new()
        .route("/inject", post(injection))
        .route("/validate", post(validation))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(hooks)
}

async fn injection(State(hooks): State<Arc<Hooks>>, body: Bytes) -> Response {
    answer(&hooks, "inject", &body, async |request| hooks.inject(request).await).await
}

async fn validation(State(hooks): State<Arc<Hooks>>, body: Bytes) -> Response {
    Box::pin(answer(&hooks, "validate", &body, async |request| hooks.validate(request).await)).await
}

/// A response and its label for metrics.
type Answered = (AdmissionResponse, &'static str);

async fn answer(
    hooks: &Hooks,
    hook: &'static str,
    body: &[u8],
    act: impl AsyncFnOnce(AdmissionRequest<DynamicObject>) -> Result<Answered, Malformed>,
) -> Response {
    let start = Instant::now();
    let answered = match review::read(body) {
        Ok(request) => act(request).await,
        Err(malformed) => Err(malformed),
    };
    let (response, result) = match answered {
        Ok((answer, result)) => (review::write(answer), result),
        Err(malformed) => {
            tracing::warn!(hook, error = %malformed, "question refused");
            (malformed.into_response(), "malformed")
        }
    };
    hooks.metrics.admitted(hook, result, start.elapsed());
    response
}

impl Hooks {
    async fn inject(&self, request: AdmissionRequest<DynamicObject>) -> Result<Answered, Malformed> {
        review::expect(&request, "", "pods", &[Operation::Create])?;
        let response = AdmissionResponse::from(&request);
        let namespace = request.namespace.ok_or(Malformed::Missing("request.namespace"))?;
        let pod = review::object(request.object)?;
        let uid = rand::rng().random_range(SIDECAR_UIDS);
        let seen = agent_of(&pod).and_then(|name| self.stores.facts(&namespace, name));
        let mut result = self.injected(&pod, &namespace, seen.as_ref(), uid);
        if let (Err(Refusal::UnknownAgent { .. } | Refusal::ServiceAccount { .. }), Some(name)) =
            (&result, agent_of(&pod))
        {
            let now = fresh::facts(&self.client, &namespace, name).await.map_err(Malformed::Unread)?;
            result = self.injected(&pod, &namespace, now.as_ref(), uid);
        }
        let dry_run = request.dry_run;
        match result {
            Ok(None) => Ok((response, "left")),
            Ok(Some(patch)) => {
                tracing::info!(namespace, agent = agent_of(&pod), pod = name_of(&pod), dry_run, "pod injected");
                Ok((response.with_patch(patch)?, "injected"))
            }
            Err(refusal) => {
                tracing::info!(namespace, agent = agent_of(&pod), pod = name_of(&pod), %refusal, "pod refused");
                Ok((review::refused(response, 403, "Forbidden", &refusal), refusal.reason()))
            }
        }
    }

    fn injected(
        &self,
        pod: &Value,
        namespace: &str,
        agent: Option<&crate::AgentFacts>,
        uid: i64,
    ) -> Result<Option<json_patch::Patch>, Refusal> {
        match (agent, agent_of(pod)) {
            (Some(agent), _) => inject(pod, agent, &self.settings, uid),
            (None, Some(name)) => Err(Refusal::UnknownAgent { name: name.to_owned(), namespace: namespace.to_owned() }),
            (None, None) => Err(Refusal::NoAgent),
        }
    }

    async fn validate(&self, request: AdmissionRequest<DynamicObject>) -> Result<Answered, Malformed> {
        let resource = request.resource.resource.clone();
        review::expect(&request, "aegis.dev", &resource, &[Operation::Create, Operation::Update])?;
        let response = AdmissionResponse::from(&request);
        let namespace = request.namespace.ok_or(Malformed::Missing("request.namespace"))?;
        let object = review::object(request.object)?;
        let old = request.old_object.map(|old| review::object(Some(old))).transpose()?;
        // What is stored already must stay changeable: its labels, and the finalizers of one that is deleted.
        if old.is_some_and(|old| old.get("spec") == object.get("spec")) {
            return Ok((response, "accepted"));
        }
        let verdict = match resource.as_str() {
            "toolpolicies" => self.policy(&namespace, typed(object)?).await?,
            "tools" => validate::tool(&typed::<Tool>(object)?),
            "registries" => validate::registry(&typed::<Registry>(object)?),
            "approvaltiers" => validate::tier(&typed::<ApprovalTier>(object)?),
            _ => return Err(Malformed::Unexpected("request.resource")),
        };
        match verdict {
            Verdict::Accepted(warnings) if warnings.is_empty() => Ok((response, "accepted")),
            Verdict::Accepted(warnings) => Ok((review::warned(response, warnings), "warned")),
            Verdict::Refused(why) => {
                tracing::info!(namespace, resource, why, "resource refused");
                Ok((review::refused(response, 422, "Invalid", &why), "refused"))
            }
        }
    }

    async fn policy(&self, namespace: &str, policy: ToolPolicy) -> Result<Verdict, Malformed> {
        let policy = Arc::new(policy);
        // Resources are copied for each validation, so it waits for its slot first.
        let slot = self.slot().await?;
        match judged(slot, &policy, self.stores.resources(namespace)).await? {
            accepted @ Verdict::Accepted(_) => Ok(accepted),
            // A tool that was changed just before may not have been seen yet.
            Verdict::Refused(_) => {
                let slot = self.slot().await?;
                let now = fresh::resources(&self.client, namespace).await.map_err(Malformed::Unread)?;
                judged(slot, &policy, now).await
            }
        }
    }

    async fn slot(&self) -> Result<Slot, Malformed> {
        self.validations.slot().await.map_err(|_| Malformed::Unexpected("the end of the process"))
    }
}

/// What becomes of a policy beside these resources.
async fn judged(slot: Slot, policy: &Arc<ToolPolicy>, resources: Resources) -> Result<Verdict, Malformed> {
    let policy = Arc::clone(policy);
    let judged = slot.run(move || validate::policy(&policy, resources, Timestamp::now())).await;
    judged.map_err(|_| Malformed::Unexpected("a failure of the validation"))
}

fn typed<K: DeserializeOwned>(object: Value) -> Result<K, Malformed> {
    serde_json::from_value(object).map_err(Malformed::Json)
}

fn name_of(pod: &Value) -> Option<&str> {
    let metadata = pod.get("metadata")?;
    metadata.get("name").or_else(|| metadata.get("generateName"))?.as_str()
}
