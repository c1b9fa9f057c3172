//! The life of a request as one pure function: what the operator must write next, or when to look again.
//!
//! ```text
//! Pending --> Approved --> (claimed) NotStarted -> Claimed -> Succeeded | Failed | Indeterminate
//!    |            |
//!    |            +-> Expired | Stale | Void      only while unclaimed
//!    +-> Denied | Expired | Stale | Void
//! ```
//! No edge goes back ([`is_forward`]). The claim itself and the outcome are written by the control service, each by
//! compare-and-set; they are no steps of this function.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::control::Execution;
use crate::decision::ContextParts;
use crate::digest::Digest;

/// Seconds after an operation's timeout at which a claim without outcome counts as indeterminate.
pub const CLAIM_GRACE_SECONDS: u32 = 30;

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Waits for a person.
    Pending,
    /// A person approved; it can be claimed, or was.
    Approved,
    /// A person denied.
    Denied,
    /// Nobody decided in time, or the release was not used in time.
    Expired,
    /// What it rested on changed.
    Stale,
    /// The agent or its delegation ended.
    Void,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 6] = [Self::Pending, Self::Approved, Self::Denied, Self::Expired, Self::Stale, Self::Void];
}

/// What became of an approved call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ExecutionPhase {
    /// Not claimed.
    NotStarted,
    /// Claimed; being sent, or lost.
    Claimed,
    /// 2xx.
    Succeeded,
    /// Refused by the tool, or never sent.
    Failed,
    /// Nobody knows.
    Indeterminate,
}

impl ExecutionPhase {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::NotStarted, Self::Claimed, Self::Succeeded, Self::Failed, Self::Indeterminate];
}

impl From<Execution> for ExecutionPhase {
    fn from(execution: Execution) -> Self {
        match execution {
            Execution::Succeeded => Self::Succeeded,
            Execution::Failed => Self::Failed,
            Execution::Indeterminate => Self::Indeterminate,
        }
    }
}

/// A person's verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StoredVerdict {
    /// Yes, for this one effect.
    Approved,
    /// No.
    Denied,
}

/// The verdict as it is stored (`spec.decision`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecisionView {
    /// What the person said.
    pub verdict: StoredVerdict,
    /// The effect that they said it about.
    pub effect_digest: Digest,
    /// Whether the stored decider is one that the request's duties allow. The API server judged it when it was written;
    /// this counts a verdict out that was written while the guards were missing.
    pub decider_allowed: bool,
}

/// The claim as it is stored (`status.claim`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimView {
    /// When it was won.
    pub at: Timestamp,
}

/// A request, and the world around it, as read without a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestView {
    /// `status.phase`.
    pub phase: Phase,
    /// `status.execution`.
    pub execution: ExecutionPhase,
    /// `spec.decision`.
    pub decision: Option<DecisionView>,
    /// `spec.action.effectDigest`.
    pub effect_digest: Digest,
    /// `spec.action.contextParts`.
    pub context: ContextParts,
    /// `spec.expiresAt`: when it ends undecided.
    pub expires_at: Timestamp,
    /// `spec.releaseTTL` in seconds.
    pub release_ttl_seconds: u32,
    /// `status.decidedAt`: when the operator saw the verdict.
    pub decided_at: Option<Timestamp>,
    /// `status.claim`.
    pub claim: Option<ClaimView>,
    /// The operation's timeout in seconds.
    pub timeout_seconds: u32,
    /// The context as it is now; none: not known here (arguments and facts are the sidecar's), so not compared. The
    /// claim compares it in any case.
    pub current_context: Option<ContextParts>,
    /// Whether the agent may call.
    pub agent_active: bool,
    /// Whether the delegation is in force; true where the call needs none.
    pub delegation_effective: bool,
}

impl RequestView {
    /// When a release of it ends: `decidedAt` + `releaseTTL`. None while it is not decided.
    pub fn release_expires_at(&self) -> Option<Timestamp> {
        self.decided_at.map(|at| later(at, self.release_ttl_seconds))
    }

    /// Whether it was claimed, by either of the two fields that say so.
    pub fn is_claimed(&self) -> bool {
        self.claim.is_some() || self.execution != ExecutionPhase::NotStarted
    }
}

/// Names of the context's parts that changed.
pub type Changed = Vec<&'static str>;

/// Why a request is void.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VoidReason {
    /// The agent is suspended, retired or not reviewed.
    AgentNotActive,
    /// The delegation was revoked, has ended, or is gone.
    DelegationEnded,
    /// The stored verdict is about another effect. The API server does not let this happen.
    VerdictForOtherEffect,
    /// The stored verdict names nobody, or somebody who may not decide. The API server does not let this happen.
    DeciderNotAllowed,
}

impl VoidReason {
    /// The condition's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AgentNotActive => "AgentNotActive",
            Self::DelegationEnded => "DelegationEnded",
            Self::VerdictForOtherEffect => "VerdictForOtherEffect",
            Self::DeciderNotAllowed => "DeciderNotAllowed",
        }
    }
}

/// What is to be written next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Phase Approved; a release follows.
    SetApproved {
        /// `status.decidedAt`.
        decided_at: Timestamp,
    },
    /// Phase Denied.
    SetDenied {
        /// `status.decidedAt`.
        decided_at: Timestamp,
    },
    /// Phase Expired.
    SetExpired,
    /// Phase Stale.
    SetStale {
        /// What changed.
        changed: Changed,
    },
    /// Phase Void.
    SetVoid {
        /// Why.
        reason: VoidReason,
    },
    /// Execution Indeterminate.
    SetIndeterminate,
    /// Nothing now.
    Nothing {
        /// When time alone can change the answer; none: never.
        check_again_at: Option<Timestamp>,
    },
}

impl Step {
    /// Phase and execution after it.
    pub fn after(&self, phase: Phase, execution: ExecutionPhase) -> (Phase, ExecutionPhase) {
        match self {
            Self::SetApproved { .. } => (Phase::Approved, execution),
            Self::SetDenied { .. } => (Phase::Denied, execution),
            Self::SetExpired => (Phase::Expired, execution),
            Self::SetStale { .. } => (Phase::Stale, execution),
            Self::SetVoid { .. } => (Phase::Void, execution),
            Self::SetIndeterminate => (phase, ExecutionPhase::Indeterminate),
            Self::Nothing { .. } => (phase, execution),
        }
    }
}

/// What is to be done about a request at `now`, by the operator's clock.
pub fn advance(view: &RequestView, now: Timestamp) -> Step {
    match view.phase {
        Phase::Pending => pending(view, now),
        Phase::Approved if view.is_claimed() => claimed(view, now),
        Phase::Approved => released(view, now),
        Phase::Denied | Phase::Expired | Phase::Stale | Phase::Void => Step::Nothing { check_again_at: None },
    }
}

/// Time comes first: a verdict first seen after the promised time does not count. A denial counts before all that
/// would end the request otherwise, so that the agent is told what the person said.
fn pending(view: &RequestView, now: Timestamp) -> Step {
    if now >= view.expires_at {
        return Step::SetExpired;
    }
    match view.decision {
        Some(decision) if decision.effect_digest != view.effect_digest => {
            Step::SetVoid { reason: VoidReason::VerdictForOtherEffect }
        }
        Some(DecisionView { verdict: StoredVerdict::Denied, .. }) => Step::SetDenied { decided_at: now },
        Some(DecisionView { verdict: StoredVerdict::Approved, .. }) => {
            ended(view).unwrap_or(Step::SetApproved { decided_at: now })
        }
        None => ended(view).unwrap_or(Step::Nothing { check_again_at: Some(view.expires_at) }),
    }
}

fn released(view: &RequestView, now: Timestamp) -> Step {
    match view.release_expires_at() {
        Some(end) if now < end => ended(view).unwrap_or(Step::Nothing { check_again_at: Some(end) }),
        // Approved without a time is not ours: it must not stay usable for ever.
        Some(_) | None => Step::SetExpired,
    }
}

/// What ends an open or unclaimed request before its time.
fn ended(view: &RequestView) -> Option<Step> {
    if view.decision.is_some_and(|decision| !decision.decider_allowed) {
        return Some(Step::SetVoid { reason: VoidReason::DeciderNotAllowed });
    }
    if !view.agent_active {
        return Some(Step::SetVoid { reason: VoidReason::AgentNotActive });
    }
    if !view.delegation_effective {
        return Some(Step::SetVoid { reason: VoidReason::DelegationEnded });
    }
    let changed = view.context.changed(view.current_context.as_ref()?);
    if changed.is_empty() { None } else { Some(Step::SetStale { changed }) }
}

/// A claimed request ends only by its outcome; without one, it is indeterminate after the longest time that the call
/// could have taken. Suspension does not reach a call that was sent.
fn claimed(view: &RequestView, now: Timestamp) -> Step {
    match view.execution {
        ExecutionPhase::NotStarted | ExecutionPhase::Claimed => {
            let limit = view.timeout_seconds.saturating_add(CLAIM_GRACE_SECONDS);
            match view.claim.map(|claim| later(claim.at, limit)) {
                Some(end) if now < end => Step::Nothing { check_again_at: Some(end) },
                Some(_) | None => Step::SetIndeterminate,
            }
        }
        ExecutionPhase::Succeeded | ExecutionPhase::Failed | ExecutionPhase::Indeterminate => {
            Step::Nothing { check_again_at: None }
        }
    }
}

/// Whether a request may go from one state to another: the same rule as the API server's, for tests and checks.
pub fn is_forward(from: (Phase, ExecutionPhase), to: (Phase, ExecutionPhase)) -> bool {
    use ExecutionPhase::{Claimed, Failed, Indeterminate, NotStarted, Succeeded};
    let execution = from.1 == to.1
        || matches!(
            (from.1, to.1),
            (NotStarted, Claimed) | (Claimed, Succeeded | Failed | Indeterminate) | (Indeterminate, Succeeded | Failed)
        );
    let phase = match (from.0, to.0) {
        (a, b) if a == b => true,
        (Phase::Pending, _) => true,
        (Phase::Approved, Phase::Expired | Phase::Stale | Phase::Void) => from.1 == NotStarted && to.1 == NotStarted,
        _ => false,
    };
    let together = to.1 == from.1 || to.0 == Phase::Approved && from.0 == Phase::Approved;
    execution && phase && together
}

fn later(at: Timestamp, seconds: u32) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MAX)
}
