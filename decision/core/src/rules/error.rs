//! Why a rule cannot be compiled: which rule, which field, what is wrong.

use crate::room::NoRoom;

/// A rule that cannot be compiled, such as `rules[2] (ceiling): when[0].atMost: is not a decimal`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rules[{index}] ({rule}): {field}: {problem}")]
pub struct RuleError {
    /// Place of the rule in its policy.
    pub index: usize,
    /// Name of the rule.
    pub rule: String,
    /// Field in the rule, such as `when[0].atMost`.
    pub field: String,
    /// What is wrong with it.
    pub problem: RuleProblem,
}

/// A field and what is wrong with it.
pub(super) type Wrong = (String, RuleProblem);

/// What is wrong with a field of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// Two rules of one name.
    #[error("is the name of an earlier rule")]
    DuplicateName,
    /// Nothing to compare with.
    #[error("needs at least one value")]
    NoValue,
    /// An empty text, or one that is empty once normalised: it would be part of every string.
    #[error("is empty once normalised")]
    EmptyText,
    /// Not a decimal of at most 38 digits.
    #[error("is not a decimal")]
    NotADecimal,
    /// Not an ISO 4217 code.
    #[error("is not an ISO 4217 code")]
    NotACurrency,
    /// Neither bound, or bounds that nothing meets.
    #[error("needs min or max, and min must not be above max")]
    EmptyRange,
    /// A pattern that is too long.
    #[error("is longer than {} bytes", super::MAX_PATTERN_BYTES)]
    PatternTooLong,
    /// A pattern that compiles to too large an automaton.
    #[error("is too large once compiled; use smaller repetitions or ASCII classes such as [0-9]")]
    PatternTooBig,
    /// Patterns that are too large together.
    #[error(transparent)]
    PatternsTooBig(#[from] NoRoom),
    /// Not a regular expression.
    #[error("is not a regular expression: {0}")]
    NotAPattern(String),
    /// A member of an input that does not exist.
    #[error("names {0}, which does not exist")]
    UnknownInput(String),
    /// A fact that the operation does not declare.
    #[error("names fact {fact}, which operation {operation} does not declare")]
    UndeclaredFact {
        /// Fact.
        fact: String,
        /// Operation.
        operation: String,
    },
    /// A path of a fact that is not kept.
    #[error("names a path that fact {fact} of operation {operation} does not keep")]
    UndeclaredFactPath {
        /// Fact.
        fact: String,
        /// Operation.
        operation: String,
    },
    /// A dimension that the operation does not declare.
    #[error("names dimension {dimension}, which operation {operation} does not declare")]
    UndeclaredDimension {
        /// Dimension.
        dimension: &'static str,
        /// Operation.
        operation: String,
    },
    /// A count of an operation that does not exist.
    #[error("counts operation {0}, which no tool of the policy declares")]
    UnknownOperation(String),
    /// A path inside a predicate that ranges over a list of its own.
    #[error("ranges over a list that the check's field does not range over")]
    Uncorrelated,
    /// A path of a sum without exactly one `[*]`.
    #[error("must have one [*] and no [?]")]
    NotAList,
    /// A name of `hostIn` that is no host.
    #[error("is not a host name, `*.` and a host name, or an IP address")]
    NotAHost,
    /// A `*.` name under which strangers have names.
    #[error("would cover every name below a public suffix")]
    PublicSuffix,
    /// Hours that are no window.
    #[error("is not HH:MM-HH:MM with two different times, the last at most 24:00")]
    NotHours,
    /// A window that holds always.
    #[error("needs days or hours")]
    NoWindow,
    /// A time zone that is not compiled in.
    #[error("is not a time zone of the IANA database, such as Europe/Zurich or UTC")]
    UnknownTimeZone,
    /// A transform that is none, or a check that no `Sanitize` rule may have.
    #[error("{0}")]
    NotSanitizing(&'static str),
    /// A registry that the policy does not list.
    #[error("names registry {0}, which the policy does not list")]
    UnlistedRegistry(String),
}
