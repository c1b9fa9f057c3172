//! Pods as the operator sees them: what it keeps of them, what a probe's statement is worth, and the condition that says
//! so on the pod.

mod condition;
#[cfg(test)]
mod fixture;
mod proof;
mod slim;

pub use condition::{Verdict, condition, is_due, newest};
pub use proof::{Expected, ProofFault, judge};
pub(crate) use slim::label;
pub use slim::slim;
