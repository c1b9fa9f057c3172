//! The result of judging a call: a value for the shell to act on, and the same for people and machines to read.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::codes::Code;
use crate::digest::Digest;
use crate::permit::{OncePermit, Permit};
use crate::policy::Source;
use crate::run::Place;
use crate::tier::Tier;
use crate::tool::Class;

/// What was decided. `outcome` acts, `output` explains; both come from one evaluation.
#[derive(Debug)]
pub struct Decision {
    /// What the shell may do.
    pub outcome: Outcome,
    /// The documented, deterministic explanation. Holds no id, time or latency.
    pub output: DecisionOutput,
}

/// What the shell may do.
#[derive(Debug)]
pub enum Outcome {
    /// Send it. `None`: the call came without an HTTP request (offline), so there is nothing to send.
    Allow(Option<Box<Permit>>),
    /// Send it once its approval is claimed.
    AllowOnce(Box<OncePermit>),
    /// Ask for approval.
    Hold,
    /// Refuse it.
    Deny(Code),
    /// Record it and send nothing, whatever anybody says: there is no permit for it.
    Propose,
}

/// The verdict's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Forwarded.
    Allow,
    /// Forwarded once, under an approval.
    AllowOnce,
    /// Waits for a person.
    Hold,
    /// Refused.
    Deny,
    /// Recorded and not sent, because the agent only proposes.
    Propose,
}

impl Verdict {
    /// The name used in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::AllowOnce => "allowOnce",
            Self::Hold => "hold",
            Self::Deny => "deny",
            Self::Propose => "propose",
        }
    }

    /// Whether two verdicts say the same of a call: that it goes, that a person is asked, or that it is refused.
    pub fn agrees_with(self, other: Self) -> bool {
        let asked = |verdict| if verdict == Self::AllowOnce { Self::Hold } else { verdict };
        asked(self) == asked(other)
    }
}

/// The documented result: the same bytes from sidecar and `aegis eval` for the same bundle, call, evidence and time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionOutput {
    /// Version of this shape.
    pub v: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it was not simply allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// One plain sentence that says what to do. Values only of fields declared clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Tool.
    pub tool: String,
    /// Operation; none when the request could not be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Class; none when the request could not be named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// The rule that decided: the `Deny` that denies, the first that asks for an approval, or the `Allow` that allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// Checks that failed, for people and models.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<FailedCheck>,
    /// What would pass, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
    /// Arguments that `Sanitize` rules changed, in the order of their paths; never a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanitized: Vec<Sanitized>,
    /// Rules with their truth, in order. Where the call simply went, the rule that allowed it; else the rules of the
    /// operation, of more than [`MAX_RULES_TOLD`] those that matter most: rules that hold, then those that cannot be told,
    /// then those that miss the fewest checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleOutcome>,
    /// Rules of the operation that would be in `rules` if there were room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rules_omitted: usize,
    /// Allow rules that were nearest, where none allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<RuleRef>,
    /// Approvals needed, one per tier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// Protected values of unknown origin, in the order of policies and places; the first [`MAX_UNKNOWN`]. Also those whose
    /// policy lets them go. Empty for a call that was refused before a delegation was found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_origins: Vec<UnknownValue>,
    /// The delegation it was judged under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegation: Option<DelegationRef>,
    /// Digest of the whole effect; none where there is nothing to send or the agent has no uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_digest: Option<Digest>,
    /// Digest of [`ContextParts`]; none where the effect digest is none, where the call was refused before a delegation
    /// was found, or where the delegation has no uid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_digest: Option<Digest>,
    /// What the context digest is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_parts: Option<ContextParts>,
    /// Digests of the facts that were read, by name; none for one that could not be read. Empty for a call that was
    /// refused before its rules were judged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Option<Digest>>,
    /// What would become of the call if everything that is tried out were enforced: the agent's mode, `Audit` policies,
    /// rollouts. None where nothing is tried out that makes a difference to the operation, and for a call that was refused
    /// before its rules were judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would: Option<Would>,
    /// Digest of the bundle.
    pub bundle: Digest,
}

/// A verdict without effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Would {
    /// `allow`, `hold` or `deny`. Without regard to releases: what an approval lets through is `hold`.
    pub verdict: Verdict,
    /// Why it would not simply be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The same in one sentence. Values only of fields declared clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The rule that would decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleRef>,
    /// Tiers that would be asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<String>,
    /// Names of the policies that are counted here and not in the verdict. Empty: the same policies, and only the agent's
    /// mode makes the difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

impl Would {
    /// Whether a difference to the verdict in effect is this policy's: its rule would decide, or no rule of any policy
    /// that is tried out.
    pub fn is_due_to(&self, policy: &str) -> bool {
        match &self.rule {
            Some(rule) => rule.policy == policy || !self.policies.contains(&rule.policy),
            None => true,
        }
    }
}

/// Names a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleRef {
    /// Policy.
    pub policy: String,
    /// Rule.
    pub rule: String,
    /// The author's reason code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl fmt::Display for RuleRef {
    /// `policy/rule`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.policy, self.rule)
    }
}

/// An argument that was changed before it was judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sanitized {
    /// Path into the arguments, an alias in the rule replaced.
    pub field: String,
    /// `remove`, `mask`, `set`, `truncate` or `round`.
    pub action: String,
    /// The rule.
    pub rule: RuleRef,
}

/// Kleene truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Truth {
    /// Holds.
    True,
    /// Does not hold.
    False,
    /// Cannot be told.
    Indeterminate,
}

/// A rule with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RuleOutcome {
    /// Policy.
    pub policy: String,
    /// Rule.
    pub rule: String,
    /// `Allow`, `Deny`, `RequireApproval` or `Sanitize`.
    pub effect: String,
    /// Whether its `when` holds.
    pub truth: Truth,
    /// Reason of the verdict, of what a Rego module says: all that it says has one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its checks in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckOutcome>,
}

/// A check with what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckOutcome {
    /// Path as written in the rule.
    pub field: String,
    /// Predicate's name, with `not ` before it when negated.
    pub check: String,
    /// What came out.
    pub truth: Truth,
}

/// A check that failed, with its limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailedCheck {
    /// Path as written in the rule.
    pub field: String,
    /// Predicate's name.
    pub check: String,
    /// The rule's own bound, in words; never a value of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The call's value, only for fields that the tool declares clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// `missing or wrongly typed` rather than false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub indeterminate: bool,
}

/// Most rules that an output lists.
pub const MAX_RULES_TOLD: usize = 64;

/// Most values of unknown origin that an output lists.
pub const MAX_UNKNOWN: usize = 16;

// serde asks with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// A protected value that none of its policy's sources supplied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnknownValue {
    /// Policy.
    pub policy: String,
    /// Place of the entry in the policy's `provenance`.
    pub entry: usize,
    /// Where the value stands in the arguments, such as `lines[0].iban`.
    pub field: String,
    /// Who could have supplied it.
    pub from: Vec<Source>,
    /// What the entry says of such a value.
    pub unknown_origin: UnknownEffect,
    /// Where the value first appeared in what tools answered in this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_seen: Option<Place>,
}

/// What becomes of a call with a value of unknown origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum UnknownEffect {
    /// It waits for a person.
    Hold,
    /// It is refused.
    Deny,
    /// It goes.
    Allow,
}

/// One approval that the call needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Requirement {
    /// The tier, as it stood when the call was decided.
    pub tier: Tier,
    /// The rules that ask for it.
    pub asked_by: Vec<RuleRef>,
    /// Seconds to keep the agent's call waiting: the longest of the rules'.
    pub hold_seconds: u32,
}

/// The delegation that a call was judged under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DelegationRef {
    /// Name.
    pub name: String,
    /// Uid; empty when it was not read from a server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Generation.
    pub generation: i64,
    /// Who lends authority.
    pub delegator: String,
    /// Whose task it is: the requester, else the delegator.
    pub requester: String,
    /// Workflow.
    pub workflow: String,
}

/// What a decision rested on beside the call itself, a digest each, so that a stale approval can name what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContextParts {
    /// Rules of this tool and operation that select this agent, with the tiers that they name.
    pub rules: Digest,
    /// Registry entries that the checks name (a missing one counts as absent).
    pub registries: Digest,
    /// Facts that were read, what checks about the run answered, and which protected values are of known origin.
    pub facts: Digest,
    /// Uid and generation of the delegation.
    pub delegation: Digest,
    /// The tool's operation, endpoint, TLS settings, constant headers and the name of its credential.
    pub tool: Digest,
}

impl ContextParts {
    /// The context digest.
    pub fn digest(&self) -> Digest {
        Digest::of(self)
    }

    /// Names of the parts that differ.
    pub fn changed(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            ("rules", self.rules == other.rules),
            ("registries", self.registries == other.registries),
            ("facts", self.facts == other.facts),
            ("delegation", self.delegation == other.delegation),
            ("tool", self.tool == other.tool),
        ];
        parts.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}
