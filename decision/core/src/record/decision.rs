//! The record before the effect: who, on whose behalf, what, by which rule.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::head::record;
use crate::agent::{self, Agent};
use crate::call::ToolCall;
use crate::decision::DecisionOutput;
use crate::digest::Digest;
use crate::json::Value;
use crate::path::{Path, Root, Step};
use crate::tool::Operation;

/// Version of the shape.
pub const DECISION_RECORD_V1: &str = "aegis.dev/decision-record/v1";

record! {
    /// What was decided about one call, written before anything is sent.
    pub struct DecisionRecord(DecisionTag::Decision = "decision", DECISION_RECORD_V1) {
        /// The agent.
        pub agent: AgentRef,
        /// The pod.
        pub pod: PodRef,
        /// What the verdict is for.
        pub mode: Mode,
        /// `scheme://host:port` that the call would go to; none for a call that could not be named.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub target: Option<String>,
        /// Version of the bundle that judged; its digest is in `decision`. None when there was none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub bundle_version: Option<u64>,
        /// The whole explanation: tool, operation, class, verdict, code, rule, every check with its outcome, the nearest
        /// rules, requirements, delegation with delegator and requester, digests of effect, context, facts and bundle.
        pub decision: DecisionOutput,
        /// The request that the call waits for or was released by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub approval: Option<ApprovalRef>,
        /// The claim that was won for it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub claim: Option<ClaimRef>,
        /// W3C trace context.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub traceparent: Option<String>,
        /// Run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub run: Option<String>,
        /// The plan that the call is a step of: its id. With mode `Plan` the call was judged in it; else it is what the agent
        /// says (`Aegis-Plan`), which nobody compared.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub plan: Option<String>,
        /// Purpose of the delegation, in its author's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub purpose: Option<String>,
        /// Values by path, of the fields that the tool declares clear, see [`clear_values`].
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        pub values: BTreeMap<String, Value>,
        /// Microseconds from the request's last byte to the verdict, facts included.
        #[serde(default)]
        pub latency_micros: u64,
        /// Whether the explanation and the values were left out, since the record would be longer than
        /// [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES): who, what, the verdict, its rule and all digests stay.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pub shortened: bool,
    }
}

impl DecisionRecord {
    /// Leaves out what may be long. What is left has an end: names and digests.
    pub(super) fn shorten(&mut self) {
        let decision = &mut self.decision;
        decision.rules_omitted = decision.rules_omitted.saturating_add(decision.rules.len());
        decision.rules.clear();
        decision.failed.clear();
        decision.allowed = None;
        decision.detail = decision.detail.take().map(|detail| beginning(&detail));
        decision.nearest.clear();
        decision.sanitized.clear();
        decision.unknown_origins.clear();
        for requirement in &mut decision.requirements {
            requirement.asked_by.truncate(1);
        }
        self.values.clear();
        self.shortened = true;
    }
}

/// Most bytes that are left of a sentence.
const MAX_DETAIL_BYTES: usize = 1024;

fn beginning(text: &str) -> String {
    if text.len() <= MAX_DETAIL_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_DETAIL_BYTES);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// How policies act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Mode {
    /// A verdict has its effect.
    #[default]
    Enforce,
    /// Nothing is sent, whatever the verdict: the call is a step of a plan.
    Plan,
    /// The agent proposes: a Draft or Commit is never sent.
    Propose,
    /// The agent is audited: what policies refuse or hold is sent all the same.
    Audit,
}

impl From<agent::Mode> for Mode {
    fn from(mode: agent::Mode) -> Self {
        match mode {
            agent::Mode::Enforce => Self::Enforce,
            agent::Mode::Propose => Self::Propose,
            agent::Mode::Audit => Self::Audit,
        }
    }
}

/// The agent, as it was when it called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AgentRef {
    /// Tenant.
    pub tenant: String,
    /// Business unit.
    pub business_unit: String,
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the resource.
    pub name: String,
    /// Uid of the resource.
    pub uid: String,
    /// Version of its configuration.
    pub version: String,
}

impl From<&Agent> for AgentRef {
    fn from(agent: &Agent) -> Self {
        Self {
            tenant: agent.tenant.clone(),
            business_unit: agent.business_unit.clone(),
            namespace: agent.namespace.clone(),
            name: agent.name.clone(),
            uid: agent.uid.clone(),
            version: agent.version.clone(),
        }
    }
}

/// The pod that the sidecar runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodRef {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

/// An approval request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApprovalRef {
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Usernames of who approved, where the sidecar was told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvers: Vec<String>,
    /// Digest of what they saw, where the sidecar was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_digest: Option<Digest>,
}

/// A claim that was won.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimRef {
    /// The attempt's nonce.
    pub nonce: String,
    /// When it was won.
    pub at: Timestamp,
}

/// Most values in one record.
const MAX_VALUES: usize = 64;
/// Longest string value in bytes; a longer one is left out, since half a value is none.
const MAX_VALUE_BYTES: usize = 1024;

/// The scalar values of the fields that the operation declares clear, by the path that they were found at: a declared
/// `lines[*].price` gives `lines[0].price`, `lines[1].price`. At most 64.
pub fn clear_values(operation: &Operation, call: &ToolCall) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for path in operation.record_clear.iter().filter(|path| path.root == Root::Arguments) {
        let here = Path { root: Root::Arguments, steps: Vec::new() };
        collect(&call.arguments, &path.steps, here, &mut values);
    }
    values
}

fn collect(value: &Value, steps: &[Step], mut here: Path, values: &mut BTreeMap<String, Value>) {
    if values.len() >= MAX_VALUES {
        return;
    }
    let Some((step, rest)) = steps.split_first() else {
        let short = value.as_str().is_none_or(|text| text.len() <= MAX_VALUE_BYTES);
        if short && !matches!(value, Value::Array(_) | Value::Object(_)) {
            values.insert(here.to_string(), value.clone());
        }
        return;
    };
    match (step, value) {
        (Step::Key(key), Value::Object(object)) => {
            if let Some(member) = object.get(key) {
                here.steps.push(step.clone());
                collect(member, rest, here, values);
            }
        }
        (Step::Index(index), Value::Array(items)) => {
            if let Some(item) = items.get(*index) {
                here.steps.push(step.clone());
                collect(item, rest, here, values);
            }
        }
        (Step::All | Step::Any, Value::Array(items)) => {
            for (index, item) in items.iter().enumerate().take(MAX_VALUES) {
                let mut at = here.clone();
                at.steps.push(Step::Index(index));
                collect(item, rest, at, values);
            }
        }
        _ => {}
    }
}
