//! Runs: what happened earlier in one execution of a workflow.
//!
//! A decision sees a run as a value ([`RunView`]): how the calls of each operation ended, and where the values that this
//! call must account for appeared in answers of tools. A shell keeps the memory behind it ([`RunIndex`]) and feeds it:
//! sidecar and `aegis eval` alike.
//!
//! The memory is bounded and forgets. What is forgotten is never taken for known: a value that was evicted is of unknown
//! origin, and a run that was evicted says of nothing how often it was done.

mod answer;
mod fingerprint;
mod index;
mod memory;
mod returned;
mod said;
mod seen;
mod view;

pub use answer::Answer;
pub use fingerprint::Fingerprinter;
pub use index::{Ended, Limits, RunIndex};
pub use returned::Returned;
pub use said::Said;
pub use view::{Asked, Outcomes, Place, RunView};
