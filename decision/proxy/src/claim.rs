//! The claim: the one step after which an approved call may be sent, and the approval is spent.

use aegis_decision::approval::{ClaimReceipt, Release};
use aegis_decision::codes::Code;
use aegis_decision::control::{ClaimRequest, Execution, OutcomeReport};
use aegis_decision::decision::DecisionOutput;
use aegis_decision::jws::base64url;
use aegis_decision::permit::{OncePermit, Permit};

use crate::control::ControlFault;
use crate::failpoint;
use crate::record::Intent;
use crate::report::Report;
use crate::state::View;
use crate::worker::Shared;

/// What came of a claim.
#[derive(Debug)]
pub enum Claimed {
    /// Won: this attempt may send, once, and its records have their room.
    Won(Box<Permit>, Won, Box<Intent>),
    /// The release cannot be used any more; another request may be opened.
    Again(String),
    /// The call is refused.
    Refused(Code, Release),
}

/// A claim that was won.
#[derive(Debug, Clone)]
pub struct Won {
    /// The release that it spends.
    pub release: Release,
    /// The control service's receipt.
    pub receipt: ClaimReceipt,
}

impl Won {
    /// The report of how it ended.
    pub fn report(&self, execution: Execution, sent: bool, status: Option<u16>, record: &str) -> Report {
        let nonce = self.receipt.nonce.clone();
        let outcome = OutcomeReport { nonce, execution, sent, status, record: record.to_owned() };
        Report { uid: self.release.request_uid.clone(), outcome }
    }
}

/// Claims the release that allows a call. Never retried: an answer that does not arrive may have been a win, so it is
/// reported as not sent and the agent asks again.
///
/// It takes the room of the call's records, since a claim that is won and cannot be recorded burns the approval; it is given
/// back with a claim that is not won.
pub async fn claim(
    shared: &Shared,
    view: &View,
    once: OncePermit,
    output: &DecisionOutput,
    record: &str,
    intent: Intent,
) -> Claimed {
    let release = once.release().clone();
    let (Some(control), Some(context_digest), Some(context_parts)) =
        (&shared.control, output.context_digest, output.context_parts.clone())
    else {
        return Claimed::Refused(Code::ControlUnavailable, release);
    };
    let nonce = base64url(&rand::random::<[u8; 16]>());
    let request = ClaimRequest { nonce: nonce.clone(), effect_digest: once.effect(), context_digest, context_parts };
    let bearer = view.bearer();
    failpoint!("claim.before");
    let fault = match control.claim(bearer, &release.request_uid, &request).await {
        Ok((answer, keys)) => {
            failpoint!("claim.after");
            match once.claimed(&answer.receipt, &nonce, &keys) {
                Ok((permit, receipt)) => {
                    shared.metrics.claims.inc();
                    return Claimed::Won(Box::new(permit), Won { release, receipt }, Box::new(intent));
                }
                Err(error) => {
                    tracing::error!(%error, request = release.request_name, "claim receipt is not valid");
                    None
                }
            }
        }
        Err(fault) => Some(fault),
    };
    if let Some(ControlFault::Refused { status, error }) = &fault
        && status.is_client_error()
    {
        tracing::info!(request = release.request_name, reason = error.error, "claim refused");
        return match (error.code, status.as_u16()) {
            // It holds no longer, for a reason that another request can cure.
            (Some(Code::ApprovalRequired), _) | (None, 400 | 404 | 409) => Claimed::Again(release.request_uid),
            (Some(code), _) => Claimed::Refused(code, release),
            (None, _) => Claimed::Refused(Code::ControlUnavailable, release),
        };
    }
    if let Some(error) = &fault {
        tracing::warn!(error = error as &dyn std::error::Error, request = release.request_name, "claim not answered");
    }
    let outcome =
        OutcomeReport { nonce, execution: Execution::Failed, sent: false, status: None, record: record.to_owned() };
    shared.reports.send(Report { uid: release.request_uid.clone(), outcome }).await;
    Claimed::Refused(Code::ControlUnavailable, release)
}
