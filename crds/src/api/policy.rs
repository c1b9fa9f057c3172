//! Kind `ToolPolicy`: rules on the calls of agents to tools, with the tests that prove them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::provenance::Provenance;
use super::sanitize::Transform;
use super::trial::Trial;
use crate::schema::{self, CODE, DIGEST, DNS_LABEL, DNS_NAME, DURATION, MAX_INTEGER, OPERATION, OPERATION_OR_ALL};

/// Rules on the calls of agents to tools.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "aegis.dev",
    version = "v1alpha1",
    kind = "ToolPolicy",
    doc = "Rules on the calls of agents to tools. What no rule allows is refused; Deny outweighs everything; RequireApproval holds a call for a person.",
    namespaced,
    category = "aegis",
    shortname = "tpol",
    status = "ToolPolicyStatus",
    derive = "PartialEq",
    printcolumn(name = "TOOLS", type_ = "string", json_path = ".spec.tools"),
    printcolumn(name = "MODE", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "RULES", type_ = "integer", json_path = ".status.rules"),
    printcolumn(name = "READY", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "REASON", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].reason"),
    printcolumn(name = "AGENTS", type_ = "string", json_path = ".spec.agents", priority = 1),
    printcolumn(name = "PERCENT", type_ = "integer", json_path = ".spec.rollout.percent", priority = 1),
    printcolumn(name = "AGREEMENT", type_ = "string", json_path = ".status.trial.agreement", priority = 1),
    printcolumn(name = "WOULD-DENY", type_ = "integer", json_path = ".status.trial.wouldDeny", priority = 1),
    printcolumn(name = "WOULD-HOLD", type_ = "integer", json_path = ".status.trial.wouldHold", priority = 1),
    printcolumn(name = "AGE", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.spec.?rollout.?replaces.orValue('') != self.metadata.name")
        .message("spec.rollout.replaces names another policy than this one")
        .reason(Reason::FieldValueInvalid),
)]
#[x_kube(
    validation = Rule::new("!has(self.rollout) || self.mode == 'Enforce'")
        .message("a policy of mode Audit has effect on no share of the runs: leave rollout out, or take mode Enforce and percent 0")
        .reason(Reason::FieldValueInvalid)
        .field_path(".rollout"),
    validation = Rule::new("!has(self.rollout) || self.rules.all(rule, rule.effect != 'Sanitize')")
        .message("Sanitize rules have effect on all runs or none: put them into a policy without rollout")
        .reason(Reason::FieldValueInvalid)
        .field_path(".rollout")
)]
#[serde(rename_all = "camelCase")]
pub struct ToolPolicySpec {
    /// Names of the Tools that the rules apply to.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tools: Vec<String>,
    /// Names of the Agents that the rules apply to. Absent: every Agent of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub agents: Option<Vec<String>>,
    /// Whether the rules have effect. Enforce: they decide. Audit: they decide nothing and allow nothing; what they
    /// would change is reported in records and metrics.
    #[serde(default)]
    pub mode: Mode,
    /// The share of runs on which the rules have effect. Outside it they are audited. Absent: all runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The rules. Order has no meaning for the verdict.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub rules: Vec<PolicyRule>,
    /// Names of the Registries that checks look values up in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253), regex(pattern = DNS_NAME)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub registries: Vec<String>,
    /// Arguments whose values must come from somewhere known: the delegation, the requester's words, a registry, an
    /// earlier answer of a trusted tool.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub provenance: Vec<Provenance>,
    /// A module of Rego, for what rules cannot say. What it says counts as rules that hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<RegoModule>,
    /// Calls with the verdict that the policy must give them. Run by aegis policy test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_owned()]))]
    pub tests: Vec<PolicyTest>,
}

/// A module of Rego.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegoModule {
    /// Rego version 1 of package aegis, with a set verdicts of objects {effect, reason, message, approval}. It sees the
    /// call as input and the policy's registries as data.registries. Only the functions of docs/reference/rego.md are
    /// available; what a call may cost is bounded, and a module that fails denies.
    #[schemars(length(min = 1, max = 16_384))]
    pub module: String,
    /// Names of the ApprovalTiers that its verdicts may ask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63), regex(pattern = DNS_LABEL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub tiers: Vec<String>,
}

/// Whether rules have effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// They decide.
    #[default]
    Enforce,
    /// They decide nothing. What they would change is reported.
    Audit,
}

/// The share of runs on which a policy's rules have effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// Size of the share in percent. A hash of agent and run says which runs are in it; a larger share holds all runs of
    /// a smaller one. 0 audits the policy as a replacement.
    #[schemars(range(min = 0, max = 100))]
    pub percent: u8,
    /// Name of the ToolPolicy that has effect outside the share only, on the tools and agents that both select.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub replaces: Option<String>,
}

/// One rule: if every check holds, its effect counts.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("(has(self.when) && self.when.size() > 0) != has(self.unconditional)")
        .message("a rule has either checks in when or unconditional: true")
        .reason(Reason::FieldValueInvalid)
        .field_path(".when"),
    validation = Rule::new("(self.effect == 'RequireApproval') == has(self.approval)")
        .message("approval is given exactly for the effect RequireApproval")
        .reason(Reason::FieldValueInvalid)
        .field_path(".approval"),
    validation = Rule::new("(self.effect == 'Sanitize') == has(self.sanitize)")
        .message("sanitize is given exactly for the effect Sanitize")
        .reason(Reason::FieldValueInvalid)
        .field_path(".sanitize"),
    validation = Rule::new("self.operations.size() == 1 || !('*' in self.operations)")
        .message("* stands alone")
        .reason(Reason::FieldValueInvalid)
        .field_path(".operations")
)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Name of the rule, unique in its policy.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// Operations that it applies to, or * alone for all.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 128), regex(pattern = OPERATION_OR_ALL)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub operations: Vec<String>,
    /// Checks that must all hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub when: Vec<Check>,
    /// The rule always holds. Instead of when, never beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::only_true")]
    pub unconditional: Option<bool>,
    /// What it means when the rule holds. Allow: the call may go. Deny: it is refused, whatever else holds.
    /// RequireApproval: it waits for a person, and needs an Allow as well. Sanitize: the arguments are changed before
    /// anything else looks at them.
    pub effect: Effect,
    /// Stable code for the answer, in snake case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CODE))]
    pub reason: Option<String>,
    /// Sentence for the agent and the approver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub message: Option<String>,
    /// Who approves. Exactly for the effect RequireApproval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalBy>,
    /// What is changed in the arguments, all at once. Exactly for the effect Sanitize, whose checks may look at the
    /// arguments, the agent and registries, not at facts, the delegation or the time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub sanitize: Vec<Transform>,
}

/// What a rule that holds means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Effect {
    /// The call may go, unless something else denies or holds it.
    Allow,
    /// The call is refused.
    Deny,
    /// The call waits for a person.
    RequireApproval,
    /// The arguments are changed before they are judged and sent.
    Sanitize,
}

/// Who approves a held call.
#[derive(KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalBy {
    /// Name of the ApprovalTier.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tier: String,
    /// Time that the sidecar keeps the agent waiting for the decision before it answers 428.
    #[serde(default = "default_hold")]
    #[schemars(length(min = 2, max = 16), regex(pattern = DURATION))]
    #[x_kube(validation = Rule::new("duration(self) >= duration('0s') && duration(self) <= duration('5m')")
        .message("hold lies between 0s and 5m")
        .reason(Reason::FieldValueInvalid))]
    pub hold: String,
}

fn default_hold() -> String {
    "20s".to_owned()
}

/// A call and the verdict that it must get.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTest {
    /// Name of the test, unique in its policy.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub name: String,
    /// The call.
    pub call: TestCall,
    /// What must become of it.
    pub expect: Expectation,
}

/// A call of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TestCall {
    /// Name of the Agent. Absent: any that the policy selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub agent: Option<String>,
    /// Name of the Tool.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tool: String,
    /// Name of the operation.
    #[schemars(length(min = 1, max = 128), regex(pattern = OPERATION))]
    pub operation: String,
    /// Arguments by name.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// Name of the Delegation that the call is made under. Absent: one that grants the operation is assumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = DNS_NAME))]
    pub delegation: Option<String>,
    /// Facts by name, as the tool would answer. A fact that is not here cannot be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::any_map::<8>")]
    pub facts: BTreeMap<String, serde_json::Value>,
    /// Calls that were done earlier in the run, in this order. None: the call is the first of its run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub earlier: Vec<EarlierCall>,
}

/// A call that was done before the call of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EarlierCall {
    /// Name of the Tool.
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub tool: String,
    /// Name of the operation.
    #[schemars(length(min = 1, max = 128), regex(pattern = OPERATION))]
    pub operation: String,
    /// Arguments by name. What an answer only repeats of them, it does not supply.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(schema_with = "schema::any_object")]
    pub arguments: serde_json::Map<String, serde_json::Value>,
    /// What the tool returned. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_value")]
    pub content: Option<serde_json::Value>,
}

/// What must become of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Its verdict: Allow, Hold or Deny.
    pub verdict: ExpectedVerdict,
    /// Name of the rule of this policy that decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = DNS_LABEL))]
    pub rule: Option<String>,
    /// Code of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = CODE))]
    pub code: Option<String>,
}

/// The verdict that a test expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ExpectedVerdict {
    /// The call goes.
    Allow,
    /// The call waits for a person.
    Hold,
    /// The call is refused.
    Deny,
}

/// What the operator found out about the policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolPolicyStatus {
    /// Generation of the policy that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = MAX_INTEGER))]
    pub observed_generation: Option<i64>,
    /// Conditions: Ready, Reconciling, Stalled, Accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Digest of the policy's rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = DIGEST))]
    pub digest: Option<String>,
    /// Number of rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 64))]
    pub rules: Option<u32>,
    /// Number of Agents that the policy applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub agents: Option<u32>,
    /// What the policy would have changed where it is tried out. Absent before the first such call. Sidecars count, and
    /// the counts are written at most once a minute, while they grow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}
