//! How trials go, as a sidecar counts: checked, and kept until it is written into statuses.

use std::sync::Arc;

use aegis_decision::token::AgentClaims;
use aegis_decision::trial::TrialReport;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;

use super::auth::Caller;
use super::{Control, Refusal};

/// `POST /v1/trials`. Reporting the same twice changes nothing.
pub async fn take(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Json(report): Json<TrialReport>,
) -> Result<StatusCode, Refusal> {
    let result = keep(&control, &claims, &report);
    control.metrics.trials_told(result.as_ref().map_or_else(Refusal::reason, |()| "taken"));
    result.map(|()| StatusCode::NO_CONTENT)
}

/// Of which agent and policies it tells is said by the caller's token and by the bundle that its agent is given.
fn keep(control: &Control, claims: &AgentClaims, report: &TrialReport) -> Result<(), Refusal> {
    report.check().map_err(|fault| Refusal::Malformed(fault.to_string()))?;
    let agent = control.hub.view(&claims.agent.uid).ok_or(Refusal::UnknownAgent)?;
    let published = agent.bundle.ok_or(Refusal::BundleChanged)?;
    control.trials.take(&claims.pod.uid, published.bundle.source(), report, Timestamp::now());
    Ok(())
}
