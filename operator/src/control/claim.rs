//! The claim: the one compare-and-set that lets an approved call out, once.

use std::sync::Arc;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::{ApprovalRequestStatus, Claim, Execution, Phase};
use aegis_decision::approval::{ClaimReceipt, Step, advance};
use aegis_decision::codes::Code;
use aegis_decision::control::{ClaimAnswer, ClaimRequest};
use aegis_decision::decision::ContextParts;
use aegis_decision::token::AgentClaims;
use axum::Json;
use axum::extract::{Path, State};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, ResourceExt as _};

use super::auth::Caller;
use super::requests;
use super::{Control, Refusal};
use crate::approvals::steps::guards_in_place;
use crate::approvals::{view, write};
use crate::hub::View;

/// `POST /v1/approvals/{uid}/claim`.
pub async fn claim(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Path(uid): Path<String>,
    Json(wanted): Json<ClaimRequest>,
) -> Result<Json<ClaimAnswer>, Refusal> {
    let result = attempt(&control, &claims, &uid, &wanted).await;
    control.metrics.claimed(result.as_ref().map_or_else(Refusal::reason, |_| "won"));
    result.map(Json)
}

async fn attempt(
    control: &Control,
    claims: &AgentClaims,
    uid: &str,
    wanted: &ClaimRequest,
) -> Result<ClaimAnswer, Refusal> {
    if wanted.nonce.len() != 22 || aegis_decision::jws::from_base64url(&wanted.nonce).is_none() {
        return Err(Refusal::Malformed("nonce must be 16 bytes, base64url without padding".to_owned()));
    }
    let (api, request) = requests::read(control, claims, uid).await?;
    let now = Timestamp::now();
    may_be_claimed(control, &api, &request, wanted, now).await?;
    guards_in_place(control).await?;

    let mut next = request.clone();
    let status = next.status.get_or_insert_default();
    status.claim = Some(Claim {
        pod: claims.pod.uid.clone(),
        nonce: wanted.nonce.clone(),
        jti: claims.jti.clone(),
        at: Time(now),
    });
    status.execution = Some(Execution::Claimed);
    write::describe(&mut next, "", now);
    crate::failpoint!("store-claim.before");
    let stored = match write::replace(&api, &next).await {
        Ok(stored) => stored,
        Err(error) => read_back(&api, &request, &wanted.nonce, error).await?,
    };
    crate::failpoint!("store-claim.after");
    control.released.remove(uid);
    control.changes.requests.mark(&format!("{}/{}", claims.agent.namespace, stored.name_any()));
    control.changes.namespaces.mark(&claims.agent.namespace);
    let receipt = ClaimReceipt {
        request_uid: uid.to_owned(),
        nonce: wanted.nonce.clone(),
        effect_digest: wanted.effect_digest,
        at: now,
    };
    Ok(ClaimAnswer { receipt: receipt.sign(&control.keys.releases)? })
}

/// An error may hide a success: the object says who won.
async fn read_back(
    api: &Api<ApprovalRequest>,
    request: &ApprovalRequest,
    nonce: &str,
    error: kube::Error,
) -> Result<ApprovalRequest, Refusal> {
    let now = api.get(&request.name_any()).await?;
    let same = now.uid() == request.uid();
    match now.status.as_ref().and_then(|status| status.claim.as_ref()) {
        Some(claim) if same && claim.nonce == nonce => Ok(now),
        Some(_) => Err(in_flight()),
        None => Err(error.into()),
    }
}

/// Checks the object as it is stored now, with the same state machine that the controller uses.
async fn may_be_claimed(
    control: &Control,
    api: &Api<ApprovalRequest>,
    request: &ApprovalRequest,
    wanted: &ClaimRequest,
    now: Timestamp,
) -> Result<(), Refusal> {
    let status = request.status.clone().unwrap_or_default();
    if let Some(refusal) = not_open(&status) {
        return Err(refusal);
    }
    let agent = control.hub.view(&request.spec.agent.uid);
    let mut view = view::view(request, agent.as_ref(), now).map_err(|error| Refusal::Malformed(error.to_string()))?;
    if view.effect_digest != wanted.effect_digest {
        let text = "the approval is for another call; repeat the call that was approved, unchanged";
        return Err(Refusal::Code(Code::ApprovalMismatch, text.to_owned()));
    }
    if wanted.context_parts.digest() != wanted.context_digest {
        return Err(Refusal::Malformed("contextDigest is not the digest of contextParts".to_owned()));
    }
    view.current_context = Some(current_context(request, agent.as_ref(), &wanted.context_parts)?);
    match advance(&view, now) {
        Step::Nothing { .. } => Ok(()),
        step => {
            // The request has ended, and says so before the sidecar hears it.
            if let Some(next) = write::stepped(request, &step, now) {
                write::replace(api, &next).await?;
            }
            let text = match &step {
                Step::SetStale { changed } => format!("changed since the call was approved: {}", changed.join(", ")),
                Step::SetExpired => "the approval was not used in time".to_owned(),
                _ => "the agent or its delegation ended".to_owned(),
            };
            Err(Refusal::Code(Code::ApprovalRequired, text))
        }
    }
}

/// Rules, tool and delegation are compared as the control service knows them: a sidecar that lags, or lies, cannot claim
/// by what is gone. Facts and registry reads depend on the call, which only the sidecar has.
///
/// An agent without a bundle (its policy was never valid since this operator started) can claim nothing: there is nothing
/// to compare with but the sidecar's word.
fn current_context(
    request: &ApprovalRequest,
    agent: Option<&View>,
    reported: &ContextParts,
) -> Result<ContextParts, Refusal> {
    // Without agent or delegation the request is void in any case, which the caller finds by itself.
    let Some(view) = agent else { return Ok(reported.clone()) };
    let mut delegations = view.grants.delegations.iter();
    let Some(delegation) = delegations.find(|delegation| delegation.uid == request.spec.delegation.uid) else {
        return Ok(reported.clone());
    };
    let bundle = &view.bundle.as_ref().ok_or(Refusal::BundleChanged)?.bundle;
    let action = &request.spec.action;
    Ok(bundle.current_parts(&action.tool, &action.operation, delegation, reported))
}

/// Why a request cannot be claimed whatever the time.
fn not_open(status: &ApprovalRequestStatus) -> Option<Refusal> {
    match (status.phase.unwrap_or_default(), status.execution.unwrap_or_default()) {
        (Phase::Approved, Execution::NotStarted) if status.claim.is_none() => None,
        (Phase::Approved, Execution::Succeeded) => {
            Some(Refusal::Code(Code::DuplicateEffect, "this approved call was sent already".to_owned()))
        }
        (Phase::Approved, Execution::Indeterminate) => {
            Some(Refusal::Code(Code::OutcomeUnknown, "the outcome of this approved call is not known".to_owned()))
        }
        (Phase::Approved, _) => Some(in_flight()),
        (Phase::Denied, _) => Some(Refusal::Code(Code::ApprovalDenied, "a person denied this call".to_owned())),
        _ => Some(Refusal::Code(Code::ApprovalRequired, "the approval is not in force any more".to_owned())),
    }
}

fn in_flight() -> Refusal {
    Refusal::Code(Code::InFlight, "another attempt claimed this approval".to_owned())
}
