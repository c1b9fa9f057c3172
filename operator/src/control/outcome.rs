//! How a claimed call ended, as its sidecar reports it.

use std::sync::Arc;

use aegis_crds::api::approval::{Execution, Receipt};
use aegis_decision::approval::ExecutionPhase;
use aegis_decision::control::{Execution as Reported, OutcomeReport};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;

use super::auth::Caller;
use super::requests;
use super::{Control, Refusal};
use crate::approvals::write;
use crate::report::EventKind;

/// Attempts against concurrent writers before the sidecar is told to try again.
const ATTEMPTS: usize = 5;

/// `POST /v1/approvals/{uid}/outcome`. Reporting the same outcome twice changes nothing.
pub async fn report(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Path(uid): Path<String>,
    Json(report): Json<OutcomeReport>,
) -> Result<StatusCode, Refusal> {
    if report.record.is_empty() || report.record.len() > 128 {
        return Err(Refusal::Malformed("record must have 1 to 128 bytes".to_owned()));
    }
    let wanted = match report.execution {
        Reported::Succeeded => Execution::Succeeded,
        Reported::Failed => Execution::Failed,
        Reported::Indeterminate => Execution::Indeterminate,
    };
    for _ in 0..ATTEMPTS {
        let (api, request) = requests::read(&control, &claims, &uid).await?;
        let status = request.status.clone().unwrap_or_default();
        if status.claim.as_ref().is_none_or(|claim| claim.nonce != report.nonce) {
            return Err(Refusal::Malformed("nonce is not the one of the claim".to_owned()));
        }
        let current = status.execution.unwrap_or_default();
        if current != Execution::Claimed {
            // Ended already: by an earlier report, or as unknown because this one came too late.
            return Ok(StatusCode::NO_CONTENT);
        }
        let now = Timestamp::now();
        let receipt =
            Receipt { sent: report.sent, status: report.status, record: report.record.clone(), at: Time(now) };
        crate::failpoint!("store-outcome.before");
        match write::replace(&api, &write::ended(&request, wanted, receipt, now)).await {
            Ok(stored) => {
                crate::failpoint!("store-outcome.after");
                let (kind, name) = match ExecutionPhase::from(report.execution) {
                    ExecutionPhase::Succeeded => (EventKind::Normal, "Succeeded"),
                    ExecutionPhase::Failed => (EventKind::Warning, "Failed"),
                    _ => (EventKind::Warning, "OutcomeUnknown"),
                };
                control.metrics.ended(name);
                control.changes.requests.mark(&format!("{}/{}", claims.agent.namespace, stored.name_any()));
                control.events.publish_on_request(&stored, kind, name, "reported by the sidecar").await;
                return Ok(StatusCode::NO_CONTENT);
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Refusal::TooMany)
}
