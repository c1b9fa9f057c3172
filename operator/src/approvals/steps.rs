//! The controller of approval requests: looks at each one that changed, or whose time has come, and takes its step.

use std::collections::BTreeMap;
use std::sync::Arc;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::{Execution, Phase};
use aegis_decision::approval::{Release, Step, advance};
use aegis_runtime::tasks::TaskResult;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt as _};

use super::{view, write};
use crate::control::{Control, Refusal};
use crate::report::EventKind;
use crate::wait;

/// Time after which a failed step is tried again.
const RETRY: SignedDuration = SignedDuration::from_secs(2);

/// Runs until the drain begins.
pub async fn run(control: Arc<Control>, retain: SignedDuration) -> TaskResult {
    let mut due: BTreeMap<String, Timestamp> = BTreeMap::new();
    loop {
        let next = due.values().min().copied();
        let keys = tokio::select! {
            () = control.drain.begun() => return Ok(()),
            keys = control.changes.requests.take() => keys,
            () = wait::until(next) => {
                let now = Timestamp::now();
                due.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect()
            }
        };
        for key in keys {
            match look(&control, &key, retain).await {
                Ok(Some(again)) => due.insert(key, again),
                Ok(None) => due.remove(&key),
                Err(refusal) => {
                    tracing::warn!(request = key, %refusal, "step not taken, trying again");
                    due.insert(key, Timestamp::now().saturating_add(RETRY).unwrap_or(Timestamp::MAX))
                }
            };
        }
    }
}

/// Looks at one request; says when to look again.
async fn look(control: &Control, key: &str, retain: SignedDuration) -> Result<Option<Timestamp>, Refusal> {
    let Some((namespace, name)) = key.split_once('/') else { return Ok(None) };
    // After a start, an agent without a view is not gone but not planned yet. The first plan brings all requests back here.
    if !control.hub.is_planned(namespace) {
        return Ok(None);
    }
    let api: Api<ApprovalRequest> = Api::namespaced(control.client.clone(), namespace);
    let Some(request) = api.get_opt(name).await? else { return Ok(None) };
    let uid = request.uid().unwrap_or_default();
    let now = Timestamp::now();
    let agent = control.hub.view(&request.spec.agent.uid);
    let view = view::view(&request, agent.as_ref(), now).map_err(|error| Refusal::Malformed(error.to_string()))?;
    let step = advance(&view, now);

    let usable = |request: &ApprovalRequest| {
        let status = request.status.as_ref();
        status.is_some_and(|status| status.phase == Some(Phase::Approved) && status.claim.is_none())
    };
    let to_release = matches!(step, Step::SetApproved { .. }) || (usable(&request) && !control.released.contains(&uid));
    let leads = control.leadership.leads();
    if to_release && let Err(refusal) = guards_in_place(control).await {
        if leads {
            say_held_back(&api, &request, &refusal, now).await?;
        }
        return Err(refusal);
    }
    if matches!(step, Step::SetApproved { .. }) {
        crate::failpoint!("approve.before");
    }
    let stored = match write::stepped(&request, &step, now) {
        // The replica that leads takes the step; the watch brings it here.
        Some(_) if !leads => request,
        Some(next) => match write::replace(&api, &next).await {
            Ok(stored) => stored,
            // Somebody was faster: the watch brings the newer object.
            Err(kube::Error::Api(status)) if status.code == 409 => return Ok(Some(now)),
            Err(error) => return Err(error.into()),
        },
        None => request,
    };

    if matches!(step, Step::SetApproved { .. }) {
        crate::failpoint!("approve.after");
    }
    let changed = if usable(&stored) { release(control, &stored, &uid)? } else { control.released.remove(&uid) };
    if changed {
        control.changes.namespaces.mark(namespace);
    }
    if !leads {
        return Ok(None);
    }
    announce(control, &stored, &step).await;
    match step {
        Step::Nothing { check_again_at: Some(at) } => Ok(Some(at)),
        Step::Nothing { check_again_at: None } => end_of_life(&api, &stored, retain, now).await,
        _ => Ok(Some(now)),
    }
}

/// A decided request that waits for the guards says so.
async fn say_held_back(
    api: &Api<ApprovalRequest>,
    request: &ApprovalRequest,
    refusal: &Refusal,
    now: Timestamp,
) -> Result<(), Refusal> {
    let next = write::held_back(request, &refusal.to_string(), now);
    if next.status == request.status {
        return Ok(());
    }
    match write::replace(api, &next).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Signs the release of an approved request, its guards found in place; says whether it is new.
fn release(control: &Control, request: &ApprovalRequest, uid: &str) -> Result<bool, Refusal> {
    if control.released.contains(uid) {
        return Ok(false);
    }
    let garbled = |error: aegis_decision::digest::DigestError| Refusal::Malformed(error.to_string());
    let decided_at = request.status.as_ref().and_then(|status| status.decided_at.clone());
    let ttl = view::release_ttl(request).map_err(|invalid| Refusal::Malformed(invalid.to_string()))?;
    let Some(end) = decided_at.and_then(|at| at.0.saturating_add(SignedDuration::from_secs(i64::from(ttl))).ok())
    else {
        return Ok(false);
    };
    let release = Release {
        request_name: request.name_any(),
        request_uid: uid.to_owned(),
        agent_uid: request.spec.agent.uid.clone(),
        effect_digest: view::effect(request).map_err(garbled)?,
        context_digest: view::context(request).map_err(garbled)?,
        expires_at: end,
    };
    let token = release.sign(&control.keys.releases)?;
    Ok(control.released.insert(uid, &request.spec.agent.uid, token))
}

/// Nothing is released while a guard is missing or altered.
pub async fn guards_in_place(control: &Control) -> Result<(), Refusal> {
    let faults = control.guards.faults(&control.client).await;
    control.metrics.guards(faults.len());
    if faults.is_empty() {
        return Ok(());
    }
    let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Err(Refusal::GuardsMissing(text.join("; ")))
}

/// Ended requests are deleted after their retention; one with unknown outcome never by itself.
async fn end_of_life(
    api: &Api<ApprovalRequest>,
    request: &ApprovalRequest,
    retain: SignedDuration,
    now: Timestamp,
) -> Result<Option<Timestamp>, Refusal> {
    let status = request.status.clone().unwrap_or_default();
    if matches!(status.execution, Some(Execution::Indeterminate | Execution::Claimed)) {
        return Ok(None);
    }
    let ended = status.conditions.iter().map(|condition| condition.last_transition_time.0).max().unwrap_or(now);
    let end = ended.saturating_add(retain).unwrap_or(Timestamp::MAX);
    if now < end {
        return Ok(Some(end));
    }
    let only_this = Preconditions { uid: request.uid(), resource_version: request.resource_version() };
    let parameters = DeleteParams { preconditions: Some(only_this), ..Default::default() };
    match api.delete(&request.name_any(), &parameters).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Events on the request, and on its agent, for what a person waits for.
async fn announce(control: &Control, request: &ApprovalRequest, step: &Step) {
    let (kind, reason) = match step {
        Step::SetApproved { .. } => (EventKind::Normal, "Approved"),
        Step::SetDenied { .. } => (EventKind::Normal, "Denied"),
        Step::SetExpired => (EventKind::Warning, "Expired"),
        Step::SetStale { .. } => (EventKind::Warning, "Stale"),
        Step::SetVoid { .. } => (EventKind::Warning, "Void"),
        Step::SetIndeterminate => (EventKind::Warning, "OutcomeUnknown"),
        Step::Nothing { .. } => return,
    };
    let ready = request.status.as_ref().and_then(|status| status.conditions.first());
    let note = ready.map_or_else(String::new, |condition| condition.message.clone());
    control.events.publish_on_request(request, kind, reason, &note).await;
    if matches!(step, Step::SetApproved { .. } | Step::SetDenied { .. }) {
        let waited = Timestamp::now().duration_since(request.spec.requested_at.0);
        control.metrics.decided(reason, waited.as_secs_f64());
    }
}
