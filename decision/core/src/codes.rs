//! The stable codes of answers. One list: the docs and a test compare with it.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $status:literal, $title:literal;)+) => {
        /// Why a call was not simply forwarded. Names are stable; the text is what answers, records and metrics carry.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $text)] $variant,)+ }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable text, snake case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// HTTP status of the answer.
            pub fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// Short title of the answer.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// One sentence about the cause, as in the documentation.
            pub fn cause(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+).trim_ascii_start(),)+ }
            }
        }
    };
}

codes! {
    /// No Allow rule of any policy that selects this agent and tool holds for this call.
    NoRuleAllows = "no_rule_allows", 403, "Denied by policy";
    /// A Deny rule holds, or cannot be judged because a field is missing or wrongly typed.
    RuleDenies = "rule_denies", 403, "Denied by policy";
    /// The tool does not declare an operation with this method and path.
    UnknownOperation = "unknown_operation", 403, "Unknown operation";
    /// The first path segment names no tool of this agent.
    UnknownTool = "unknown_tool", 404, "Unknown tool";
    /// No tool and no egress entry of this agent has this host and port.
    UnknownHost = "unknown_host", 403, "Unknown host";
    /// A tool is reached by its base URL or by plain HTTP: calls inside a tunnel would be judged by nobody.
    TunnelToTool = "tunnel_to_tool", 403, "No tunnel to a tool";
    /// A captured connection names no host: it is neither HTTP/1.1 nor TLS with a server name.
    UnnamedConnection = "unnamed_connection", 403, "Connection without a host";
    /// The operation's class is above the agent's ceiling.
    ClassAboveCeiling = "class_above_ceiling", 403, "Denied by policy";
    /// The agent is registered, suspended or retired.
    AgentNotActive = "agent_not_active", 403, "Agent is not active";
    /// The agent has no review, or its review has expired, or the agent changed since.
    AgentNotReviewed = "agent_not_reviewed", 403, "Agent is not reviewed";
    /// No delegation in force grants this operation.
    NoDelegation = "no_delegation", 403, "No delegation";
    /// The only delegations that grant this operation have expired.
    DelegationExpired = "delegation_expired", 403, "Delegation expired";
    /// The only delegations that grant this operation have not begun.
    DelegationNotYet = "delegation_not_yet", 403, "Delegation has not begun";
    /// The only delegations that grant this operation were revoked.
    DelegationRevoked = "delegation_revoked", 403, "Delegation revoked";
    /// Several delegations grant this operation; name one in Aegis-Delegation.
    AmbiguousDelegation = "ambiguous_delegation", 403, "Ambiguous delegation";
    /// The call is outside the data bounds of its delegation, or does not say what it is about.
    OutsideDelegation = "outside_delegation", 403, "Outside the delegation";
    /// A protected argument has a value that none of its policy's sources supplied.
    UnknownOrigin = "unknown_origin", 403, "Unknown origin";
    /// The arguments do not satisfy the operation's JSON Schema.
    SchemaViolation = "schema_violation", 403, "Arguments do not fit the schema";
    /// A Sanitize rule must change an argument and cannot, so nothing was sent.
    SanitizeFailed = "sanitize_failed", 403, "Arguments cannot be sanitized";
    /// The call needs approvals of more than 8 tiers.
    TooManyTiers = "too_many_tiers", 403, "Too many approvals needed";
    /// A person of the tier must approve this call; repeat it unchanged afterwards.
    ApprovalRequired = "approval_required", 428, "Approval required";
    /// This agent only proposes: the call is recorded and was not sent, and a person decides what to do.
    Proposed = "proposed", 202, "Proposed";
    /// A person denied this call.
    ApprovalDenied = "approval_denied", 403, "Approval denied";
    /// The call differs from the one that the named approval is for.
    ApprovalMismatch = "approval_mismatch", 403, "Approval is for another call";
    /// Too many requests of this agent wait for a decision.
    TooManyApprovals = "too_many_approvals", 429, "Too many open approvals";
    /// This approved call is being sent now.
    InFlight = "in_flight", 409, "Already in flight";
    /// This approved call was sent already, and succeeded.
    DuplicateEffect = "duplicate_effect", 409, "Already done";
    /// This approved call was sent, and nobody knows whether it took effect.
    OutcomeUnknown = "outcome_unknown", 409, "Outcome unknown";
    /// The body is not the strict JSON that Aegis judges.
    MalformedBody = "malformed_body", 400, "Malformed body";
    /// The request's path, query or headers are malformed.
    MalformedRequest = "malformed_request", 400, "Malformed request";
    /// Two places of the request supply the same argument.
    AmbiguousArgument = "ambiguous_argument", 400, "Ambiguous argument";
    /// A query parameter is not declared, or given more often than declared, or missing.
    UndeclaredParameter = "undeclared_parameter", 400, "Undeclared parameter";
    /// The body is larger than the tool's limit.
    BodyTooLarge = "body_too_large", 413, "Body too large";
    /// The content type or encoding of the body is not one that Aegis judges.
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type";
    /// The Host header or TLS server name and the connection do not agree.
    Misdirected = "misdirected", 421, "Misdirected request";
    /// Too many calls to this tool are under way.
    TooManyCalls = "too_many_calls", 429, "Too many calls";
    /// The sidecar has no policy yet.
    NotReady = "not_ready", 503, "Not ready";
    /// What the sidecar knows is too old to decide this class of call.
    Stale = "stale", 503, "Policy is stale";
    /// A Rego module did not answer in time on this machine; nothing was decided.
    PolicyTimeout = "policy_timeout", 503, "Policy took too long";
    /// The sidecar's token is not fresh enough for this class of call.
    TokenNotFresh = "token_not_fresh", 503, "Token is not fresh";
    /// The pod's probe found a way around the sidecar, or has not been heard of for too long.
    CaptureBroken = "capture_broken", 503, "Capture is not proven";
    /// The request did not come from a sidecar of this gateway's agent.
    NotThisAgent = "not_this_agent", 401, "Not this agent";
    /// The agent's gateway cannot be reached, or did not prove that it is this agent's; nothing was sent.
    GatewayUnavailable = "gateway_unavailable", 503, "Gateway unavailable";
    /// The decision could not be recorded, so the call was not sent.
    RecordNotWritable = "record_not_writable", 503, "Record not writable";
    /// The control service cannot be reached for an approval, so the call was not sent.
    ControlUnavailable = "control_unavailable", 503, "Control service unavailable";
    /// The upstream could not be reached; nothing was sent.
    UpstreamUnreachable = "upstream_unreachable", 502, "Upstream unreachable";
    /// The upstream's answer is broken or too large; the call may have taken effect.
    UpstreamFailed = "upstream_failed", 502, "Upstream failed";
    /// The upstream answered, and its answer could not be redacted, so it is withheld; `outcome` says how the call ended.
    RedactionFailed = "redaction_failed", 502, "Answer withheld";
    /// The upstream did not answer in time; the call may have taken effect.
    UpstreamTimeout = "upstream_timeout", 504, "Upstream timeout";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_snake_case() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        assert!(texts.iter().all(|text| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
