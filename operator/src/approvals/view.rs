//! An `ApprovalRequest` as the state machine sees it.

use aegis_crds::api::approval::{ApprovalVerdict, Execution, Phase};
use aegis_crds::api::{ApprovalRequest, Duty, approval};
use aegis_crds::lower::{self, Invalid};
use aegis_decision::approval::{self as core, ClaimView, DecisionView, RequestView, StoredVerdict};
use aegis_decision::digest::{Digest, DigestError};
use jiff::Timestamp;

use crate::hub::View;

/// Time to answer that is assumed for an operation that is gone, in seconds.
const UNKNOWN_TIMEOUT: u32 = 300;
/// Longest time to use a release, in seconds: 24 hours.
const MAX_RELEASE_TTL: u32 = 86_400;

/// Why a stored request cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A digest is garbled; the API server's pattern does not let this happen.
    #[error("a digest of the request {0}")]
    Digest(#[from] DigestError),
    /// A field is garbled.
    #[error(transparent)]
    Field(#[from] Invalid),
}

/// The request with what is known now about its agent and delegation. `view`: none when the agent is gone.
pub fn view(request: &ApprovalRequest, agent: Option<&View>, now: Timestamp) -> Result<RequestView, ViewError> {
    let spec = &request.spec;
    let status = request.status.clone().unwrap_or_default();
    let phase = status.phase.unwrap_or_default();
    let execution = status.execution.unwrap_or_default();
    Ok(RequestView {
        phase: phase_of(phase),
        execution: execution_of(execution),
        decision: spec.decision.as_ref().map(|decision| self::decision(decision, spec)).transpose()?,
        effect_digest: spec.action.effect_digest.parse()?,
        context: lower::context_parts(request)?,
        expires_at: spec.expires_at.0,
        release_ttl_seconds: release_ttl(request)?,
        decided_at: status.decided_at.map(|time| time.0),
        claim: status.claim.map(|claim| ClaimView { at: claim.at.0 }),
        timeout_seconds: timeout(request, agent),
        current_context: None,
        agent_active: agent.is_some_and(|view| {
            view.agent.uid == spec.agent.uid && view.grants.standing.may_call(view.agent.review_digest(), now).is_ok()
        }),
        delegation_effective: agent.is_some_and(|view| {
            view.grants.delegations.iter().any(|delegation| {
                delegation.uid == spec.delegation.uid
                    && delegation.state(now) == aegis_decision::delegation::DelegationState::Effective
            })
        }),
    })
}

fn timeout(request: &ApprovalRequest, agent: Option<&View>) -> u32 {
    let action = &request.spec.action;
    agent
        .and_then(|view| view.bundle.as_ref())
        .and_then(|published| published.bundle.tool(&action.tool)?.operation(&action.operation))
        .map_or(UNKNOWN_TIMEOUT, |operation| operation.timeout_seconds)
}

fn decision(
    decision: &approval::ApprovalDecision,
    spec: &approval::ApprovalRequestSpec,
) -> Result<DecisionView, DigestError> {
    Ok(DecisionView {
        verdict: match decision.verdict {
            ApprovalVerdict::Approved => StoredVerdict::Approved,
            ApprovalVerdict::Denied => StoredVerdict::Denied,
        },
        effect_digest: decision.effect_digest.parse()?,
        decider_allowed: decision.by.as_ref().is_some_and(|by| allowed(&by.username, spec)),
    })
}

/// The duties, once more, on the stored object: never a machine, and nobody whom a requirement leaves out.
fn allowed(username: &str, spec: &approval::ApprovalRequestSpec) -> bool {
    let duty = |duty| spec.requirements.iter().any(|requirement| requirement.separation_of_duties.contains(&duty));
    let left_out = duty(Duty::Requester) && username == spec.requester
        || duty(Duty::Delegator) && username == spec.delegation.delegator;
    !left_out && !username.starts_with("system:")
}

/// `spec.releaseTTL` in seconds.
pub fn release_ttl(request: &ApprovalRequest) -> Result<u32, Invalid> {
    lower::seconds(&request.spec.release_ttl, 1..=MAX_RELEASE_TTL, "spec.releaseTTL")
}

/// The effect's digest.
pub fn effect(request: &ApprovalRequest) -> Result<Digest, DigestError> {
    request.spec.action.effect_digest.parse()
}

/// The context's digest.
pub fn context(request: &ApprovalRequest) -> Result<Digest, DigestError> {
    request.spec.action.context_digest.parse()
}

fn phase_of(phase: Phase) -> core::Phase {
    match phase {
        Phase::Pending => core::Phase::Pending,
        Phase::Approved => core::Phase::Approved,
        Phase::Denied => core::Phase::Denied,
        Phase::Expired => core::Phase::Expired,
        Phase::Stale => core::Phase::Stale,
        Phase::Void => core::Phase::Void,
    }
}

fn execution_of(execution: Execution) -> core::ExecutionPhase {
    match execution {
        Execution::NotStarted => core::ExecutionPhase::NotStarted,
        Execution::Claimed => core::ExecutionPhase::Claimed,
        Execution::Succeeded => core::ExecutionPhase::Succeeded,
        Execution::Failed => core::ExecutionPhase::Failed,
        Execution::Indeterminate => core::ExecutionPhase::Indeterminate,
    }
}
