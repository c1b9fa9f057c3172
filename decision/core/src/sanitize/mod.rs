//! What is taken out of a call before anything judges it, and out of an answer before the agent sees it.
//!
//! `Sanitize` rules work on the arguments as they came, all at once: their order does not matter, because two that would
//! change the same place in two ways make no bundle ([`Sanitizers`]). What comes out is judged, hashed and sent; nothing
//! downstream ever sees what was there before. It follows from the request and the bundle alone, so that an approval
//! stays good for what it was given for.
//!
//! Nothing is left as it is because it could not be changed: a text where a list should be, a number that cannot be
//! masked, a rule of which it cannot be told whether it holds and which would add something, each refuses the call
//! ([`Failure`]). A place that is not there, or is `null`, holds nothing that could be taken away.
//!
//! [`Redactor`] does the same to answers, with patterns too.

mod failure;
mod plan;
mod redact;
mod redactor;
mod transform;
mod tree;

pub use failure::{Failure, SanitizeProblem};
pub(crate) use plan::Sanitizers;
pub use redact::{MAX_MATCH_BYTES, MAX_REDACTIONS, RESPONSE_LIMITS, RedactError};
pub(crate) use redactor::Patterns;
pub use redactor::{RedactionError, Redactor};
pub use tree::Unfit;
pub(crate) use tree::count;

use crate::decision::{RuleOutcome, Sanitized};

/// What `Sanitize` rules made of a call's arguments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sanitation {
    /// The places that changed, in the order of their paths.
    pub changed: Vec<Sanitized>,
    /// The rules with what became of them, in the order of policies and rules.
    pub rules: Vec<RuleOutcome>,
    /// Why the call cannot be sanitized. Its arguments are then empty, and there is nothing to send.
    pub failure: Option<Failure>,
}
