//! One finding, and the list of all that there are.

use std::fmt;

use kube::{Resource, ResourceExt as _};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look.
    Info,
    /// Hardly meant.
    Warning,
    /// Does not work.
    Error,
}

impl Severity {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What is looked for. Names and severities are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lint {
    /// A resource that cannot be used.
    InvalidResource,
    /// A rule, or one of its operations, that no call ever meets, or an Allow rule that is never true.
    UnreachableRule,
    /// A Deny or `RequireApproval` rule that is never true.
    NeverTrueRule,
    /// A rule that never decides because of others.
    ShadowedRule,
    /// A Commit that is allowed whatever the amount.
    UnboundedCommit,
    /// A pattern that excludes nothing.
    MatchAllPattern,
    /// A Registry that nothing looks at.
    UnusedRegistry,
    /// A rule that holds in no test.
    MissingTest,
    /// Operations that one path could mean.
    OverlappingTemplates,
    /// An annotation that cannot be read.
    BadSuppression,
    /// An annotation that suppresses nothing.
    UnusedSuppression,
}

impl Lint {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::InvalidResource,
        Self::UnreachableRule,
        Self::NeverTrueRule,
        Self::ShadowedRule,
        Self::UnboundedCommit,
        Self::MatchAllPattern,
        Self::UnusedRegistry,
        Self::MissingTest,
        Self::OverlappingTemplates,
        Self::BadSuppression,
        Self::UnusedSuppression,
    ];

    /// Its stable id.
    pub fn id(self) -> &'static str {
        match self {
            Self::InvalidResource => "invalid-resource",
            Self::UnreachableRule => "unreachable-rule",
            Self::NeverTrueRule => "never-true-rule",
            Self::ShadowedRule => "shadowed-rule",
            Self::UnboundedCommit => "unbounded-commit",
            Self::MatchAllPattern => "match-all-pattern",
            Self::UnusedRegistry => "unused-registry",
            Self::MissingTest => "missing-test",
            Self::OverlappingTemplates => "overlapping-templates",
            Self::BadSuppression => "bad-suppression",
            Self::UnusedSuppression => "unused-suppression",
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Self::InvalidResource | Self::BadSuppression => Severity::Error,
            Self::UnreachableRule
            | Self::NeverTrueRule
            | Self::ShadowedRule
            | Self::UnboundedCommit
            | Self::MatchAllPattern
            | Self::UnusedSuppression => Severity::Warning,
            Self::UnusedRegistry | Self::MissingTest | Self::OverlappingTemplates => Severity::Info,
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::InvalidResource => "mend the field; until then no agent gets a bundle with it",
            Self::UnreachableRule => "correct the operation or the checks, or delete the rule",
            Self::NeverTrueRule => {
                "correct the checks; as it stands the rule only counts where a field is missing or of another type"
            }
            Self::ShadowedRule => "delete the rule, or narrow the one that stands before it",
            Self::UnboundedCommit => {
                "add atMost to the rule, or a Deny or RequireApproval rule with greaterThan; suppress it where there is \
                 no amount"
            }
            Self::MatchAllPattern => "write what is accepted, or use exists",
            Self::UnusedRegistry => "use it in a check, or delete the name",
            Self::MissingTest => "add a test in which the rule holds",
            Self::OverlappingTemplates => "make sure that this is meant; rules on the one do not hold for the other",
            Self::BadSuppression => "write ID: REASON, or ID PART: REASON, in each line",
            Self::UnusedSuppression => "delete the line",
        }
    }

    /// The lint of that id.
    pub fn of_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lint| lint.id() == id)
    }
}

impl Serialize for Lint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

/// The resource that a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Subject {
    /// Kind.
    pub kind: &'static str,
    /// Namespace; `default` where it names none.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Subject {
    pub(super) fn of<K: Resource>(kind: &'static str, object: &K) -> Self {
        Self { kind, namespace: home(object), name: object.name_any() }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// Something that is wrong, or was hardly meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What.
    pub id: Lint,
    /// How bad.
    pub severity: Severity,
    /// The file that holds the resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The resource.
    #[serde(flatten)]
    pub subject: Subject,
    /// The field, such as `spec.rules[2].when[0].matches`.
    pub field: String,
    /// Name of the rule, operation or registry within the resource that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do.
    pub advice: &'static str,
    /// Why it does not count, in the words of whoever suppressed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

impl Finding {
    pub(super) fn new(id: Lint, subject: Subject, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            id,
            severity: id.severity(),
            file: None,
            subject,
            field: field.into(),
            part: None,
            message: message.into(),
            advice: id.advice(),
            suppressed: None,
        }
    }

    pub(super) fn about(mut self, part: &str) -> Self {
        self.part = Some(part.to_owned());
        self
    }

    pub(super) fn order(&self) -> (&Option<String>, &Subject, &str, &str, &str) {
        (&self.file, &self.subject, &self.field, self.id.id(), &self.message)
    }
}

pub(super) fn home<K: Resource>(object: &K) -> String {
    object.namespace().unwrap_or_else(|| "default".to_owned())
}
