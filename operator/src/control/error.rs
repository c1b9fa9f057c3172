//! Refusals of the control service: one enum, one match to HTTP.

use aegis_decision::codes::Code;
use aegis_decision::control::ControlError;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::pods::ProofFault;

/// Why a request of a sidecar is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The form or JSON is not what it should be.
    #[error("{0}")]
    Malformed(String),
    /// No token, or not one for this connection, or an expired one.
    #[error("the agent token is missing or not valid for this connection")]
    Unauthenticated,
    /// The proof of the workload does not hold.
    #[error("{0}")]
    NotThisAgent(&'static str),
    /// The pod does not have the form that injection gives: containers and fields, no values.
    #[error("the pod is not governed: {0}")]
    NotGoverned(String),
    /// Nothing shows that the pod's capture holds.
    #[error("the pod's capture is not proven: {0}")]
    NotProven(#[from] ProofFault),
    /// Another agent's request, or none of that uid.
    #[error("there is no such request of this agent")]
    UnknownRequest,
    /// The agent is not known (any more).
    #[error("this agent is not known; create or restore its Agent resource")]
    UnknownAgent,
    /// The sidecar judged with another bundle than the current one.
    #[error("the bundle changed meanwhile; decide again")]
    BundleChanged,
    /// The control service comes to another result.
    #[error("the call is not held: decided again it is {0}")]
    NotHeld(&'static str),
    /// The claim or submission is refused with a code for the agent.
    #[error("{1}")]
    Code(Code, String),
    /// The guards in the API server are missing or altered.
    #[error("approvals are suspended: {0}; a cluster administrator must install the guards of this version again")]
    GuardsMissing(String),
    /// Too many requests at once.
    #[error("too many requests; wait and try again")]
    TooMany,
    /// The request did not arrive, or could not be answered, in time.
    #[error("the request took too long; try again")]
    TooSlow,
    /// The API server cannot be reached, or its answer is not known.
    #[error("the cluster's API server did not answer; try again")]
    Upstream(#[source] kube::Error),
    /// The agent's bundle cannot be judged with.
    #[error("the agent's bundle cannot be compiled; the operator's log says why")]
    NotCompiled,
    /// A value could not be signed.
    #[error("cannot sign")]
    Signing(#[from] aegis_decision::jws::JwsError),
}

impl Refusal {
    /// The stable reason: metric label and `error` member.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "invalid_request",
            Self::Unauthenticated => "invalid_token",
            Self::NotThisAgent(_) => "invalid_grant",
            Self::NotGoverned(_) => "pod_not_governed",
            Self::NotProven(_) => "capture_not_proven",
            Self::UnknownRequest => "unknown_request",
            Self::UnknownAgent => "unknown_agent",
            Self::BundleChanged => "bundle_changed",
            Self::NotHeld(_) => "not_held",
            Self::Code(code, _) => code.as_str(),
            Self::GuardsMissing(_) => "guards_missing",
            Self::TooMany => "slow_down",
            Self::TooSlow => "too_slow",
            Self::Upstream(_) => "temporarily_unavailable",
            Self::NotCompiled | Self::Signing(_) => "server_error",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::NotThisAgent(_) | Self::NotGoverned(_) | Self::NotProven(_) => StatusCode::FORBIDDEN,
            Self::UnknownRequest | Self::UnknownAgent => StatusCode::NOT_FOUND,
            Self::BundleChanged | Self::NotHeld(_) => StatusCode::CONFLICT,
            Self::Code(code, _) => StatusCode::from_u16(code.status()).unwrap_or(StatusCode::CONFLICT),
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            // Not 408: what was asked may have been done, and the sidecar must treat it so.
            Self::TooSlow | Self::GuardsMissing(_) | Self::Upstream(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotCompiled | Self::Signing(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        Self::Upstream(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        if let Self::Upstream(source) = &self {
            tracing::warn!(error = %source, "api server");
        }
        let code = if let Self::Code(code, _) = &self { Some(*code) } else { None };
        let body = ControlError { error: self.reason().to_owned(), error_description: self.to_string(), code };
        (self.status(), Json(body)).into_response()
    }
}
