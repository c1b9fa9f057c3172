//! Plans: calls that an agent intends, judged before the first of them is made. Nothing is sent, reserved or released.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bundle::Bundle;
use crate::call::{Encoding, HttpRequest};
use crate::codes::Code;
use crate::contract::{DecisionInput, HttpInput};
use crate::decision::{DecisionOutput, FailedCheck, Sanitized, UnknownValue, Verdict, Would};
use crate::digest::Digest;
use crate::json::{self, Value};
use crate::naming::{CallHeaders, Malformed, media};

/// Most steps of a plan.
pub const MAX_STEPS: usize = 32;

/// Calls that are intended, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Plan {
    /// 1 to [`MAX_STEPS`].
    pub steps: Vec<Step>,
}

/// One call: a request, or operation and arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Step {
    /// Tool.
    pub tool: String,
    /// The request as it would come in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpInput>,
    /// Operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Arguments: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// Delegation, where the step's differs from the plan's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<String>,
}

/// What would become of a step now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judged {
    /// Id of the step's record.
    pub decision: String,
    /// The verdict. A fact is not read for a plan, so a check on one cannot be told.
    pub verdict: Verdict,
    /// Why it would not simply go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Operation; none for a step that cannot be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Policy of the rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Checks that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedCheck>,
    /// What would pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// The arguments as they would be judged and sent, where `Sanitize` rules change those that were given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Value>,
    /// The places in them that change, and by which rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanitized: Vec<Sanitized>,
    /// Tiers whose approval it would need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// Arguments of unknown origin.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_origins: Vec<UnknownValue>,
    /// Facts that the call itself would be judged with, and that were not read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread_facts: Vec<String>,
    /// What would become of it if everything that is tried out were enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<Would>,
    /// The effect, for a step given as a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_digest: Option<Digest>,
}

/// A plan as an agent sends it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Its steps.
    pub plan: Plan,
    /// `Aegis-Delegation`.
    pub delegation: Option<String>,
    /// `Aegis-Run`, else the trace id.
    pub run: Option<String>,
}

impl Sent {
    /// Reads the request. Its headers are read as those of a call.
    ///
    /// # Errors
    /// What is accepted, where the media type is another, the body no plan of 1 to [`MAX_STEPS`] steps, or a header not
    /// well formed.
    pub fn read(request: &HttpRequest<'_>) -> Result<Self, Malformed> {
        let CallHeaders { run, delegation, .. } = CallHeaders::read(request)?;
        if media::declared(request)? != Some(Encoding::Json) {
            return Err(Malformed::new(Code::UnsupportedMediaType, "send the plan as application/json"));
        }
        let malformed = |detail: String| Malformed::new(Code::MalformedBody, detail);
        let plan: Plan =
            json::read(request.body).map_err(|error| malformed(format!("the body is no plan: {error}")))?;
        if plan.steps.is_empty() || plan.steps.len() > MAX_STEPS {
            return Err(malformed(format!("steps: a plan has 1 to {MAX_STEPS} of them")));
        }
        if plan.steps.iter().any(|Step { http, operation, .. }| http.is_some() == operation.is_some()) {
            return Err(malformed("steps: give each either as http or by operation and arguments".to_owned()));
        }
        Ok(Self { plan, delegation, run })
    }
}

impl Step {
    /// The step as the call that it intends. Delegation and run are the plan's, where the step names none.
    pub fn into_input(
        self,
        bundle: &Bundle,
        delegation: Option<&str>,
        run: Option<&str>,
        at: Timestamp,
    ) -> DecisionInput {
        let Self { tool, http, operation, arguments, delegation: own } = self;
        // A request names its own in its headers; what differs is then refused as a contradiction.
        let named = |name: &str| {
            http.as_ref().is_some_and(|http| http.headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)))
        };
        let delegation = own.or_else(|| delegation.filter(|_| !named("aegis-delegation")).map(str::to_owned));
        let run = run.filter(|_| !named("aegis-run") && !named("traceparent")).map(str::to_owned);
        DecisionInput {
            http,
            operation,
            arguments,
            delegation,
            run,
            ..DecisionInput::new(bundle.agent().full_name(), tool, at)
        }
    }
}

impl Judged {
    /// What an agent is told of a step's decision, and of the arguments that were judged where they are not its own.
    pub fn of(decision: String, output: &DecisionOutput, sanitized: Option<Value>) -> Self {
        Self {
            decision,
            verdict: output.verdict,
            code: output.code,
            detail: output.detail.clone(),
            operation: output.operation.clone(),
            policy: output.rule.as_ref().map(|rule| rule.policy.clone()),
            rule: output.rule.as_ref().map(|rule| rule.rule.clone()),
            failed: output.failed.clone(),
            allowed: output.allowed.clone(),
            arguments: sanitized,
            sanitized: output.sanitized.clone(),
            approvals: output.requirements.iter().map(|needed| needed.tier.name.clone()).collect(),
            unknown_origins: output.unknown_origins.clone(),
            unread_facts: output.facts.keys().cloned().collect(),
            would: output.would.clone(),
            effect_digest: output.effect_digest,
        }
    }
}
