//! An approval: the signed values that travel ([`Release`], [`ClaimReceipt`]) and the life of its request
//! ([`advance`], [`answer_for_repeat`]), which is pure. Who may decide is not judged here: the API server does that.

mod machine;
mod name;
mod release;
mod repeat;
#[cfg(test)]
mod tests;

pub use machine::{
    CLAIM_GRACE_SECONDS, Changed, ClaimView, DecisionView, ExecutionPhase, Phase, RequestView, Step, StoredVerdict,
    VoidReason, advance, is_forward,
};
pub use name::request_name;
pub use release::{ClaimError, ClaimReceipt, Release};
pub use repeat::{Repeat, answer_for_repeat};
