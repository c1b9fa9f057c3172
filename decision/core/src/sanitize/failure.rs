//! Why arguments cannot be sanitized, and why a bundle with such rules cannot be made.

use std::fmt;

use crate::decision::RuleRef;

/// Why a call's arguments cannot be sanitized. Names the rule and the place; never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The rule; none where only all of them together are the fault.
    pub rule: Option<RuleRef>,
    /// Path into the arguments; empty where there is no rule.
    pub field: String,
    /// What the rule wants done there.
    pub action: &'static str,
    /// Why it cannot be.
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, field, action, reason } = self;
        match rule {
            Some(rule) => {
                write!(f, "{field} cannot be sanitized ({action}, by rule {rule}): {reason}")
            }
            None => write!(f, "the sanitized arguments cannot be sent: {reason}"),
        }
    }
}

/// What is wrong with the `Sanitize` rules of one operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SanitizeProblem {
    /// Two rules, or one, would make two things of one value.
    #[error(
        "{first} and {second} sanitize {path} in two ways, and neither comes first; leave one of them out, or make them alike"
    )]
    Conflict {
        /// `policy/rule` of the first.
        first: String,
        /// `policy/rule` of the second.
        second: String,
        /// The path where they meet, as the second has it.
        path: String,
    },
    /// A transform that this operation cannot have.
    #[error("{rule}: sanitize[{place}]: {path} {reason}")]
    Transform {
        /// `policy/rule`.
        rule: String,
        /// Place of the transform in its rule.
        place: usize,
        /// Its path.
        path: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// A check that an alias of this operation leads elsewhere.
    #[error("{rule}: when[{place}]: {reason}")]
    Check {
        /// `policy/rule`.
        rule: String,
        /// Place of the check in its rule.
        place: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// More work for one call than is done.
    #[error("its Sanitize rules have more than {0} transforms together")]
    TooMany(usize),
}
