//! The sidecar as a process, with a bundle from files, against a real HTTP upstream. Every test ends by verifying the
//! records: what was forwarded is what was recorded.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    reason = "a failed expectation of a helper is a failed test"
)]

mod approvals;
mod bed;
mod calls;
mod configuration;
mod control;
mod faults;
mod framing;
mod mesh;
mod modes;
mod namespace;
mod origins;
mod plans;
mod probe;
mod proxied;
mod rego;
mod runs;
mod sanitize;
mod sealed;
mod slow;
mod tls;
mod upstream;
mod ways;
