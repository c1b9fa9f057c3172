//! The operator: turns custom resources into signed bundles, and serves tokens, the feed and approvals.
//!
//! ```text
//! stores -> reconcile (plan) -> hub -> control/feed -> sidecars
//!                                 ^
//! sidecars -> control/approvals -> ApprovalRequest -> approvals/steps -> released
//! sidecars -> control/trials -> trials -> status
//! ```
//! Deliberately absent: anything that decides whether a person may approve. The API server does; see `guards/`.

pub mod approvals;
pub mod args;
pub mod conditions;
pub mod control;
mod epochs;
#[macro_use]
pub mod failpoint;
pub mod guards;
pub mod hub;
pub mod keys;
pub mod leader;
pub mod metrics;
pub mod owned;
pub mod plan;
pub mod pods;
pub mod reconcile;
pub mod report;
pub mod stores;
pub mod trials;
pub mod trust;
pub mod wait;

mod start;

use std::process::ExitCode;

use aegis_runtime::{exit, process};

/// Runs the operator to its end.
pub fn run(args: args::Args) -> ExitCode {
    let mesh = match args.mesh() {
        Ok(mesh) => mesh,
        Err(error) => return exit::bad_configuration(&error),
    };
    let lifetimes = match args.lifetimes() {
        Ok(lifetimes) => lifetimes,
        Err(error) => return exit::bad_configuration(&error),
    };
    let (log, bound) = (args.log.clone(), args.drain.drain);
    process::run(&log, bound, |drain| start::serve(args, mesh, lifetimes, drain))
}
