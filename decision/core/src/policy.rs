//! Policies as the core sees them: rules, checks and predicates, already parsed.

use serde::{Deserialize, Deserializer, Serialize};

use crate::path::Path;
use crate::rego::ModuleSource;

mod format;
mod provenance;
mod rollout;
mod rules;
pub mod transform;
mod window;

pub use format::Format;
pub use provenance::{Provenance, Source, UnknownOrigin};
pub use rollout::{Mode, Rollout, Share};
pub use rules::Rules;
pub use transform::Transform;
pub use window::{Day, Window};

/// Longest time that a rule may let a call wait for people, in seconds.
pub const MAX_HOLD_SECONDS: u32 = 300;

/// The rules of one `ToolPolicy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policy {
    /// Name of the resource.
    pub name: String,
    /// Tools it applies to.
    pub tools: Vec<String>,
    /// Agents it applies to; none: every agent of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agents: Option<Vec<String>>,
    /// Its rules, in order; names are unique.
    pub rules: Rules,
    /// Registries that its checks may name, and that its module sees.
    #[serde(default)]
    pub registries: Vec<String>,
    /// Arguments whose values must come from somewhere known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provenance: Vec<Provenance>,
    /// Whether its rules have effect.
    #[serde(default, skip_serializing_if = "Mode::is_enforce")]
    pub mode: Mode,
    /// The share of runs on which they have; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// What rules cannot say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rego: Option<ModuleSource>,
}

impl Policy {
    /// Whether it selects the agent and the tool.
    pub fn applies_to(&self, agent: &str, tool: &str) -> bool {
        self.tools.iter().any(|name| name == tool)
            && self.agents.as_ref().is_none_or(|agents| agents.iter().any(|name| name == agent))
    }

    /// Whether it changes arguments.
    pub(crate) fn sanitizes(&self) -> bool {
        self.rules.iter().any(|rule| rule.effect.transforms().is_some())
    }

    /// Whether it applies to every agent that the other one applies to.
    pub fn covers_agents_of(&self, other: &Self) -> bool {
        match (&self.agents, &other.agents) {
            (None, _) => true,
            (Some(own), Some(others)) => others.iter().all(|agent| own.contains(agent)),
            (Some(_), None) => false,
        }
    }
}

/// One rule: if every check holds, its effect counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// Name, unique in its policy.
    pub name: String,
    /// Operations it applies to; `*` alone: all.
    pub operations: Vec<String>,
    /// All must hold. Empty only for an unconditional rule.
    #[serde(default, deserialize_with = "without_room")]
    pub when: Vec<Check>,
    /// What it means when it holds.
    pub effect: Effect,
    /// Stable reason code of the rule's author, snake case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Sentence for the agent and the approver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Rule {
    /// Whether it is about the operation.
    pub fn applies_to(&self, operation: &str) -> bool {
        names_operation(&self.operations, operation)
    }
}

/// A list that takes no more memory than its elements do: what a rule's checks are read into has room for four, and most
/// rules have one or two.
fn without_room<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    let mut list = Vec::deserialize(from)?;
    list.shrink_to_fit();
    Ok(list)
}

/// Whether a list of operations has this one; `*` stands for all.
pub(crate) fn names_operation(operations: &[String], operation: &str) -> bool {
    operations.iter().any(|name| name == operation || name == "*")
}

/// What a rule that holds means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// The call may go, unless something else denies or holds it.
    Allow,
    /// The call is refused; nothing outweighs it.
    Deny,
    /// The call waits for a person of the tier. It never allows by itself.
    RequireApproval {
        /// Name of the `ApprovalTier`.
        tier: String,
        /// Seconds that the sidecar keeps the agent's call waiting before it answers 428.
        #[serde(default, rename = "holdSeconds")]
        hold_seconds: u32,
    },
    /// The arguments are changed before anything else looks at them; what is judged and sent is what comes out.
    Sanitize(Vec<Transform>),
}

impl Effect {
    /// The name used in the API and in explanations.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
            Self::RequireApproval { .. } => "RequireApproval",
            Self::Sanitize(_) => "Sanitize",
        }
    }

    /// What it changes, if it changes arguments; such a rule has no say in the verdict.
    pub fn transforms(&self) -> Option<&[Transform]> {
        match self {
            Self::Sanitize(transforms) => Some(transforms),
            Self::Allow | Self::Deny | Self::RequireApproval { .. } => None,
        }
    }
}

/// One question about the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Check {
    /// What is looked at.
    pub field: Path,
    /// Negates the whole check, after its quantifier; indeterminate stays indeterminate.
    #[serde(default)]
    pub not: bool,
    /// How strings are changed before they are compared.
    #[serde(default)]
    pub normalize: Normalize,
    /// The question.
    pub predicate: Predicate,
}

impl Check {
    /// Every path that it follows, its field first.
    pub(crate) fn paths(&self) -> Vec<&Path> {
        let mut paths = vec![&self.field];
        match &self.predicate {
            Predicate::EqualsField(path) | Predicate::RegistryField { key: path, .. } => paths.push(path),
            Predicate::AtMost(amount)
            | Predicate::AtLeast(amount)
            | Predicate::LessThan(amount)
            | Predicate::GreaterThan(amount) => paths.extend(amount.currency.as_ref().map(|currency| &currency.field)),
            Predicate::SumEquals(sum) | Predicate::SumAtMost(sum) => {
                paths.push(&sum.of);
                paths.extend(&sum.times);
                if let SumBound::Field(path) = &sum.bound {
                    paths.push(path);
                }
            }
            Predicate::Document { key, .. } => paths.extend(key),
            Predicate::Equals(_)
            | Predicate::In(_)
            | Predicate::IsTrue(_)
            | Predicate::Matches(_)
            | Predicate::Prefix(_)
            | Predicate::Suffix(_)
            | Predicate::Contains(_)
            | Predicate::Length { .. }
            | Predicate::Exists
            | Predicate::Absent
            | Predicate::Format(_)
            | Predicate::InRegistry(_)
            | Predicate::HostIn { .. }
            | Predicate::Within(_) => {}
        }
        paths
    }
}

/// How strings are changed before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub enum Normalize {
    /// As they are.
    #[default]
    None,
    /// Without white space at both ends.
    Trim,
    /// Trimmed and in lower case (Unicode simple lower case; no letter beyond ASCII becomes an ASCII one).
    Case,
    /// Without any white space, in upper case (no letter beyond ASCII becomes an ASCII one): for IBANs and document
    /// numbers.
    Spaces,
}

/// The question of a check. Decimals are kept as the text they were written in and compared exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Predicate {
    /// Equal to a string or a decimal.
    Equals(Scalar),
    /// Equal to one of these.
    In(Vec<Scalar>),
    /// A boolean with that value.
    IsTrue(bool),
    /// Whole-match of a linear regular expression of at most 1,024 bytes. Of strings over 16 KiB (less for a pattern
    /// that compiles large) it cannot tell.
    Matches(String),
    /// String starts with.
    Prefix(String),
    /// String ends with.
    Suffix(String),
    /// String contains.
    Contains(String),
    /// Number at most.
    AtMost(Amount),
    /// Number at least.
    AtLeast(Amount),
    /// Number less than.
    LessThan(Amount),
    /// Number greater than.
    GreaterThan(Amount),
    /// Characters of a string or elements of an array.
    Length {
        /// At least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<u32>,
        /// At most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<u32>,
    },
    /// The field is there, `null` included. Indeterminate only over an empty `[*]` and for a fact that was not read.
    Exists,
    /// The field is not there. Indeterminate only over an empty `[*]` and for a fact that was not read.
    Absent,
    /// A string of a known format.
    Format(Format),
    /// Equal to another path, with the same normalisation.
    EqualsField(Path),
    /// The sum of a list equals.
    SumEquals(Sum),
    /// The sum of a list is at most.
    SumAtMost(Sum),
    /// The value is a key of the registry.
    InRegistry(String),
    /// The value equals an attribute of the registry's entry that another path names.
    RegistryField {
        /// Name of the registry.
        registry: String,
        /// Path of the entry's key.
        key: Path,
        /// Attribute of the entry.
        attribute: String,
    },
    /// The entry has a document that is valid when the call is judged.
    Document {
        /// Name of the registry.
        registry: String,
        /// Path of the entry's key; none: the check's own field is the key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Path>,
        /// Name of the document.
        name: String,
    },
    /// The host of a URL, or a host by itself, is one of these. At least one of both is given.
    HostIn {
        /// Host names, `*.` and a host name (every name below it, not itself), or IP addresses.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        names: Vec<String>,
        /// Name of a registry: one of its entries has the host in its attribute [`crate::registry::DOMAINS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        registry: Option<String>,
    },
    /// A time that lies in a window of the week.
    Within(Window),
}

/// A value that a rule compares with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scalar {
    /// An integer, compared as a decimal.
    Integer(i64),
    /// A string; compared as a decimal with a number when it reads as one.
    Text(String),
}

/// A bound: a decimal, and the currency that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Amount {
    /// Decimal text, such as `5000.00`.
    pub value: String,
    /// ISO 4217 code that the call must name in `currency_field`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
}

/// The currency of a bound and where the call names its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Currency {
    /// ISO 4217 code.
    pub code: String,
    /// Path of the call's currency; another code there is indeterminate.
    pub field: Path,
}

/// A sum over a list, exact: the elements of `of`, each times the element of `times` at the same place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sum {
    /// Path with one `[*]`.
    pub of: Path,
    /// Path with one `[*]`, as long as `of`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Path>,
    /// What the sum is compared with.
    pub bound: SumBound,
}

/// What a sum is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SumBound {
    /// The check's own field.
    OwnField,
    /// Another path.
    Field(Path),
    /// A decimal.
    Value(String),
}
