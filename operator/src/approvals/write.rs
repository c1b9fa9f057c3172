//! Writes of an `ApprovalRequest`'s status: always a compare-and-set on the version that was read.

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::{ApprovalRequestStatus, Execution, Phase, Receipt};
use aegis_decision::approval::Step;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use crate::conditions::{self, Wanted};

/// Field manager of status writes.
pub const MANAGER: &str = "aegis-status";
/// Reason of the conditions of a decided request that waits for the guards.
const GUARDS_MISSING: &str = "GuardsMissing";

/// Replaces the status of the object as it was read. A conflict (409) means that somebody was faster.
pub async fn replace(api: &Api<ApprovalRequest>, request: &ApprovalRequest) -> Result<ApprovalRequest, kube::Error> {
    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
    api.replace_status(&request.name_any(), &parameters, request).await
}

/// The request with a step taken; none when the step changes nothing.
pub fn stepped(request: &ApprovalRequest, step: &Step, now: Timestamp) -> Option<ApprovalRequest> {
    let mut next = request.clone();
    let status = next.status.get_or_insert_default();
    match step {
        Step::SetApproved { decided_at } => {
            status.phase = Some(Phase::Approved);
            status.decided_at = Some(Time(*decided_at));
        }
        Step::SetDenied { decided_at } => {
            status.phase = Some(Phase::Denied);
            status.decided_at = Some(Time(*decided_at));
        }
        Step::SetExpired => status.phase = Some(Phase::Expired),
        Step::SetStale { changed } => {
            status.phase = Some(Phase::Stale);
            status.changed = changed.iter().map(|part| (*part).to_owned()).collect();
        }
        Step::SetVoid { .. } => status.phase = Some(Phase::Void),
        Step::SetIndeterminate => status.execution = Some(Execution::Indeterminate),
        Step::Nothing { .. } => {
            let was_held_back = status.conditions.iter().any(|condition| condition.reason == GUARDS_MISSING);
            if status.phase.is_some() && !was_held_back {
                return None;
            }
            status.phase.get_or_insert(Phase::Pending);
        }
    }
    status.execution.get_or_insert_default();
    let why = if let Step::SetVoid { reason } = step { reason.as_str() } else { "" };
    describe(&mut next, why, now);
    Some(next)
}

/// The request with the outcome of its execution.
pub fn ended(request: &ApprovalRequest, execution: Execution, receipt: Receipt, now: Timestamp) -> ApprovalRequest {
    let mut next = request.clone();
    let status = next.status.get_or_insert_default();
    status.execution = Some(execution);
    status.receipt = Some(receipt);
    describe(&mut next, "", now);
    next
}

/// The request with a condition that says why a stored verdict is not acted upon.
pub fn held_back(request: &ApprovalRequest, why: &str, now: Timestamp) -> ApprovalRequest {
    let mut next = request.clone();
    let generation = next.metadata.generation;
    let status = next.status.get_or_insert_default();
    status.phase.get_or_insert_default();
    status.execution.get_or_insert_default();
    let wanted = vec![
        Wanted::new("Ready", false, GUARDS_MISSING, why),
        Wanted::new("Reconciling", true, GUARDS_MISSING, why),
        Wanted::new("Stalled", true, GUARDS_MISSING, why),
    ];
    status.conditions = conditions::set(&status.conditions, wanted, generation, now);
    status.observed_generation = generation;
    next
}

/// Sets conditions and generation from phase and execution.
pub fn describe(request: &mut ApprovalRequest, why: &str, now: Timestamp) {
    let generation = request.metadata.generation;
    let by = request.spec.decision.as_ref().and_then(|decision| decision.by.as_ref());
    let by = by.map_or_else(|| "nobody".to_owned(), |by| by.username.clone());
    let status = request.status.get_or_insert_default();
    let (ready, reason, message) = summary(status, &by, why);
    let open = status.phase.unwrap_or_default() == Phase::Pending;
    let stalled = status.execution == Some(Execution::Indeterminate);
    let wanted = vec![
        Wanted { kind: "Ready", status: ready, reason, message: message.clone() },
        Wanted::new("Reconciling", open, if open { "WaitingForDecision" } else { "Settled" }, message.clone()),
        Wanted::new("Stalled", stalled, if stalled { "OutcomeUnknown" } else { "NotStalled" }, message),
    ];
    status.conditions = conditions::set(&status.conditions, wanted, generation, now);
    status.observed_generation = generation;
}

fn summary(status: &ApprovalRequestStatus, by: &str, why: &str) -> (Option<bool>, &'static str, String) {
    let phase = status.phase.unwrap_or_default();
    match (phase, status.execution.unwrap_or_default()) {
        (Phase::Pending, _) => (Some(false), "WaitingForDecision", "a person must approve or deny the call".to_owned()),
        (Phase::Denied, _) => (Some(true), "Denied", format!("denied by {by}")),
        (Phase::Expired, _) => (Some(true), "Expired", "was not decided, or not used, in time".to_owned()),
        (Phase::Stale, _) => {
            (Some(true), "Stale", format!("changed since the call was held: {}", status.changed.join(", ")))
        }
        (Phase::Void, _) => (Some(true), "Void", format!("agent or delegation ended {why}").trim_end().to_owned()),
        (Phase::Approved, Execution::NotStarted) => {
            (Some(true), "Approved", format!("approved by {by}; the agent may send this call once"))
        }
        (Phase::Approved, Execution::Claimed) => (Some(false), "Claimed", "the call is being sent".to_owned()),
        (Phase::Approved, Execution::Succeeded) => {
            (Some(true), "Succeeded", "the call was sent and succeeded".to_owned())
        }
        (Phase::Approved, Execution::Failed) => {
            (Some(true), "Failed", "the tool refused the call, or it was not sent".to_owned())
        }
        (Phase::Approved, Execution::Indeterminate) => (
            Some(false),
            "OutcomeUnknown",
            "the call was claimed and its outcome is not known; look at the tool".to_owned(),
        ),
    }
}
