//! What a repeated call meets: the newest request for its effect and delegation decides.

use jiff::Timestamp;

use super::machine::{ExecutionPhase, Phase, RequestView, Step, advance};
use crate::codes::Code;

/// What to do with a call for whose effect there is a request already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repeat {
    /// It waits with the same request, or uses its release.
    Join,
    /// The request no longer holds in this context: set it Stale, then open the next number.
    Replace,
    /// The request has ended and blocks nothing: open the next number.
    New,
    /// A step of [`advance`] is due that ends the request: take it first, then ask again.
    Settle(Step),
    /// The call is refused.
    Refuse(Code),
}

/// Answers for a repeated call. `same_context`: its context digest equals the request's.
pub fn answer_for_repeat(view: &RequestView, same_context: bool, now: Timestamp) -> Repeat {
    match view.phase {
        Phase::Pending | Phase::Approved => match advance(view, now) {
            Step::SetApproved { .. } | Step::Nothing { .. } => open(view, same_context),
            step => Repeat::Settle(step),
        },
        Phase::Denied if now < view.expires_at => Repeat::Refuse(Code::ApprovalDenied),
        Phase::Denied | Phase::Expired | Phase::Stale | Phase::Void => Repeat::New,
    }
}

fn open(view: &RequestView, same_context: bool) -> Repeat {
    match view.execution {
        ExecutionPhase::Succeeded => Repeat::Refuse(Code::DuplicateEffect),
        ExecutionPhase::Failed => Repeat::New,
        ExecutionPhase::Indeterminate => Repeat::Refuse(Code::OutcomeUnknown),
        ExecutionPhase::NotStarted | ExecutionPhase::Claimed if view.is_claimed() => Repeat::Refuse(Code::InFlight),
        ExecutionPhase::NotStarted | ExecutionPhase::Claimed if same_context => Repeat::Join,
        ExecutionPhase::NotStarted | ExecutionPhase::Claimed => Repeat::Replace,
    }
}
