//! The story of `examples/procurement`, told by `make demo` and checked by a test: an agent buys in a real ERP, is
//! refused, is held, is released once, and is suspended. Every chapter asserts what it tells.

mod cast;
mod chapters;
mod evidence;
mod people;
mod stage;
mod teller;

pub use cast::Agent;
pub use chapters::tell;
pub use people::{DELEGATOR, FINANCE, REQUESTER, RESPONDER, REVIEWER};
pub use stage::{Ground, Stage, delegate, example, people, resources, review, wait_ready};
pub use teller::Teller;
