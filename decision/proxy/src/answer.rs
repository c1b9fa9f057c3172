//! What the agent gets: the upstream's answer, or one problem document (RFC 9457) that a program, a model and a person
//! each can act on.

use aegis_decision::codes::Code;
use aegis_decision::decision::{DecisionOutput, FailedCheck, Would};
use aegis_decision::record::RecordedExecution;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use http_body_util::Full;
use serde::Serialize;

use crate::forward::UpstreamAnswer;

/// Where every code has its anchor.
const DOCUMENTATION: &str = "https://aegis.dev/docs/errors#";
/// The decision's id, in every answer.
pub(crate) const DECISION: HeaderName = HeaderName::from_static("aegis-decision");
/// The approval request's name, where the call waits for one.
const APPROVAL: HeaderName = HeaderName::from_static("aegis-approval");

/// What the agent gets.
#[derive(Debug)]
pub enum Answer {
    /// What the upstream said.
    Upstream(UpstreamAnswer),
    /// What the gateway said, with its own decision's id.
    Relayed(UpstreamAnswer),
    /// What the sidecar itself says, as JSON.
    Own(Bytes),
    /// Why there is no such answer.
    Problem(Box<Problem>),
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    /// Stable.
    pub code: Code,
    #[serde(skip_serializing_if = "String::is_empty")]
    decision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failed: Vec<FailedCheck>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<RecordedExecution>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Would>,
}

impl Problem {
    /// A problem with its code's own sentence.
    pub fn new(code: Code) -> Self {
        Self::with_detail(code, code.cause().to_owned())
    }

    /// A problem with a sentence of its own.
    pub fn with_detail(code: Code, detail: String) -> Self {
        Self {
            kind: format!("{DOCUMENTATION}{code}"),
            title: code.title(),
            status: code.status(),
            detail,
            code,
            decision: String::new(),
            policy: None,
            rule: None,
            failed: Vec::new(),
            allowed: None,
            approval: None,
            outcome: None,
            would: None,
        }
    }

    /// A refused or held call, with the rule, the failed checks and what would pass. A proposal says what would become of
    /// it.
    pub fn decided(code: Code, output: &DecisionOutput) -> Self {
        let detail = output.detail.clone().unwrap_or_else(|| code.cause().to_owned());
        Self {
            policy: output.rule.as_ref().map(|rule| rule.policy.clone()),
            rule: output.rule.as_ref().map(|rule| rule.rule.clone()),
            failed: output.failed.clone(),
            allowed: output.allowed.clone(),
            would: output.would.clone().filter(|_| code == Code::Proposed),
            ..Self::with_detail(code, detail)
        }
    }

    /// Names the approval request that it is about.
    #[must_use]
    pub fn about(mut self, approval: impl Into<String>) -> Self {
        self.approval = Some(approval.into());
        self
    }

    /// Says how the call ended.
    #[must_use]
    pub fn ended(mut self, outcome: RecordedExecution) -> Self {
        self.outcome = Some(outcome);
        self
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Code> for Answer {
    fn from(code: Code) -> Self {
        Problem::new(code).into()
    }
}

impl Answer {
    /// The code; none for an upstream's answer.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Upstream(_) | Self::Relayed(_) | Self::Own(_) => None,
            Self::Problem(problem) => Some(problem.code),
        }
    }

    /// As HTTP, with the decision's id.
    pub fn into_response(self, decision: &str) -> Response<Full<Bytes>> {
        let mut response = match self {
            Self::Relayed(answer) => return passed_on(answer),
            Self::Upstream(answer) => passed_on(answer),
            Self::Own(json) => {
                let mut response = Response::new(Full::new(json));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Self::Problem(mut problem) => {
                decision.clone_into(&mut problem.decision);
                problem_response(&problem)
            }
        };
        if let Ok(id) = HeaderValue::from_str(decision) {
            response.headers_mut().insert(DECISION, id);
        }
        response
    }
}

/// The last answer of its connection, to a request of this version.
pub(crate) fn last(mut response: Response<Full<Bytes>>, version: Version) -> Response<Full<Bytes>> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    // To an HTTP/1.0 agent that asked for `keep-alive`, hyper adds that to an answer of HTTP/1.1, beside `close`.
    *response.version_mut() = version;
    response
}

fn passed_on(UpstreamAnswer { status, headers, body, held }: UpstreamAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(held.around(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn problem_response(problem: &Problem) -> Response<Full<Bytes>> {
    // A problem is plain data: it always has a JSON form.
    let mut response = Response::new(Full::new(serde_json::to_vec(problem).unwrap_or_default().into()));
    *response.status_mut() = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    // What is proposed is no problem (RFC 9457), and told in the same words.
    let kind = if problem.code == Code::Proposed { "application/json" } else { "application/problem+json" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(seconds) = retry_after(problem.code) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if problem.code == Code::ApprovalRequired
        && let Some(name) = problem.approval.as_deref().and_then(|name| HeaderValue::from_str(name).ok())
    {
        headers.insert(APPROVAL, name);
    }
    response
}

/// Seconds after which the identical call may fare better. Exhaustive: a new code must say.
fn retry_after(code: Code) -> Option<u32> {
    match code {
        Code::TooManyCalls | Code::NotReady | Code::PolicyTimeout => Some(1),
        Code::Stale
        | Code::TokenNotFresh
        | Code::CaptureBroken
        | Code::GatewayUnavailable
        | Code::RecordNotWritable
        | Code::ControlUnavailable => Some(5),
        Code::ApprovalRequired => Some(15),
        Code::TooManyApprovals => Some(60),
        Code::NoRuleAllows
        | Code::RuleDenies
        | Code::UnknownOperation
        | Code::UnknownTool
        | Code::UnknownHost
        | Code::TunnelToTool
        | Code::UnnamedConnection
        | Code::ClassAboveCeiling
        | Code::AgentNotActive
        | Code::NotThisAgent
        | Code::AgentNotReviewed
        | Code::NoDelegation
        | Code::DelegationExpired
        | Code::DelegationNotYet
        | Code::DelegationRevoked
        | Code::AmbiguousDelegation
        | Code::OutsideDelegation
        | Code::UnknownOrigin
        | Code::SchemaViolation
        | Code::SanitizeFailed
        | Code::TooManyTiers
        | Code::Proposed
        | Code::ApprovalDenied
        | Code::ApprovalMismatch
        | Code::InFlight
        | Code::DuplicateEffect
        | Code::OutcomeUnknown
        | Code::MalformedBody
        | Code::MalformedRequest
        | Code::AmbiguousArgument
        | Code::UndeclaredParameter
        | Code::BodyTooLarge
        | Code::UnsupportedMediaType
        | Code::Misdirected
        | Code::UpstreamUnreachable
        | Code::UpstreamFailed
        | Code::RedactionFailed
        | Code::UpstreamTimeout => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn shown(answer: Answer) -> (http::response::Parts, serde_json::Value) {
        let (parts, body) = answer.into_response("d1").into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (parts, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_held_call_says_what_to_do() {
        let problem = Problem::new(Code::ApprovalRequired).about("buyer-1a2b-1");
        let (parts, body) = shown(problem.into()).await;
        assert_eq!(parts.status, 428);
        assert_eq!(parts.headers["aegis-decision"], "d1");
        assert_eq!(parts.headers["aegis-approval"], "buyer-1a2b-1");
        assert_eq!(parts.headers["retry-after"], "15");
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(body["type"], "https://aegis.dev/docs/errors#approval_required");
        assert_eq!(body["decision"], "d1");
        assert_eq!(body["approval"], "buyer-1a2b-1");
    }

    #[tokio::test]
    async fn every_code_has_its_status_and_every_temporary_one_a_time() {
        for code in Code::ALL {
            let (parts, body) = shown((*code).into()).await;
            assert_eq!(parts.status.as_u16(), code.status());
            assert_eq!(body["code"], code.as_str());
            assert!(!body["detail"].as_str().unwrap().is_empty() && !body["title"].as_str().unwrap().is_empty());
            let temporary = matches!(code.status(), 428 | 429 | 503);
            assert_eq!(parts.headers.contains_key("retry-after"), temporary, "{code}");
        }
    }
}
