//! A program that serves, from its log to its exit code.

use std::process::ExitCode;
use std::time::Duration;

use crate::args::LogArgs;
use crate::exit;
use crate::shutdown::{self, Drain, Ended};
use crate::telemetry;

/// Runs a program on all cores to its end: the log begins, signals begin the drain, and the drain has a bound. What the
/// program needs of its configuration must have been read before.
pub fn run<F, E>(log: &LogArgs, bound: Duration, program: impl FnOnce(Drain) -> F) -> ExitCode
where
    F: Future<Output = Result<(), E>>,
    E: std::error::Error,
{
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(&error),
    };
    runtime.block_on(async {
        if let Err(error) = telemetry::init(log) {
            return exit::bad_configuration(&error);
        }
        let signals = match shutdown::signals() {
            Ok(signals) => signals,
            Err(error) => return exit::failed(&error),
        };
        let drain = Drain::new();
        match shutdown::run(program(drain.clone()), &drain, bound, signals).await {
            Ended::Finished(Ok(())) => ExitCode::SUCCESS,
            Ended::Finished(Err(error)) => exit::failed(&error),
            Ended::Aborted | Ended::TimedOut => ExitCode::from(exit::ABORTED),
        }
    })
}
