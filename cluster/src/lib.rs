//! The API server, as operator and webhook use it alike: what they watch, and the Secret that each keeps the authorities
//! of its certificates in.
//!
//! Deliberately absent: the custom resources, and what either program does with what it sees.

mod secret;
mod watched;

pub use secret::AuthoritySecret;
pub use watched::{Watched, watch};
