//! What a pod's probe found, as its sidecar states it: verified, and written as a condition of the pod.

use std::sync::Arc;

use aegis_decision::control::ProbeSubmission;
use aegis_decision::probe::ProbeStatement;
use aegis_decision::token::{Attestation, PodName};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::auth::Caller;
use super::{Control, Refusal};
use crate::approvals::write::MANAGER;
use crate::hub::View;
use crate::pods::{self, Expected, ProofFault};

/// `POST /v1/probe`: what a run after the first found. One that got out is accepted: it is what the report is for.
pub async fn report(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Json(submission): Json<ProbeSubmission>,
) -> Result<StatusCode, Refusal> {
    let attestation = Attestation::verify(&submission.attestation, &control.public)
        .map_err(|_| Refusal::Malformed("attestation is none of this control service's".to_owned()))?;
    if attestation.pod != claims.pod || attestation.agent.uid != claims.agent.uid {
        return Err(Refusal::NotThisAgent("the attestation is for another pod or agent"));
    }
    let statement = ProbeStatement::verify(&submission.statement, &attestation.key);
    let statement = statement.map_err(|_| Refusal::NotProven(ProofFault::Signature))?;
    if statement.pod.is_none() || !attestation.covers(statement.at) {
        return Err(Refusal::NotProven(ProofFault::OtherPod));
    }
    let view = control.hub.view(&claims.agent.uid).ok_or(Refusal::UnknownAgent)?;
    let pods: Api<Pod> = Api::namespaced(control.client.clone(), &claims.agent.namespace);
    let pod = pods.get_opt(&claims.pod.name).await?.filter(|pod| pod.uid().as_deref() == Some(&claims.pod.uid));
    let pod = pod.ok_or(Refusal::NotThisAgent("the pod does not exist"))?;
    match settle(&control, &view, &pod, &claims.pod, &statement).await {
        Ok(()) | Err(Refusal::NotProven(ProofFault::GotOut)) => Ok(StatusCode::NO_CONTENT),
        Err(refusal) => Err(refusal),
    }
}

/// Judges a verified statement and writes the pod's condition, if it is worth a write.
pub async fn settle(
    control: &Control,
    view: &View,
    pod: &Pod,
    name: &PodName,
    statement: &ProbeStatement,
) -> Result<(), Refusal> {
    let interval = SignedDuration::from_mins(i64::from(control.mesh.probe_minutes));
    let expected = Expected { pod: name, agent_uid: &view.agent.uid, level: view.agent.level, interval };
    let now = Timestamp::now();
    let result = pods::judge(statement, &expected, now);
    control.metrics.probed(match &result {
        Ok(()) => "held",
        Err(ProofFault::GotOut) => "got_out",
        Err(_) => "refused",
    });
    if matches!(result, Ok(()) | Err(ProofFault::GotOut)) {
        let condition = pods::condition(pod, statement, now);
        if pods::is_due(pod, &condition, interval) {
            let patch = json!({"metadata": {"uid": name.uid}, "status": {"conditions": [condition]}});
            let api: Api<Pod> = Api::namespaced(control.client.clone(), &view.agent.namespace);
            let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            // Conditions are merged by type: those of the kubelet and others stay as they are.
            api.patch_status(&name.name, &parameters, &Patch::Strategic(patch)).await?;
        }
    }
    if let Err(fault) = &result {
        let got_out: Vec<String> = statement.got_out.iter().take(16).map(|text| super::loggable(text)).collect();
        tracing::warn!(pod = %name.name, agent = %view.agent.name, %fault, ?got_out, "capture not proven");
    }
    Ok(result?)
}
