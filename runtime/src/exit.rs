//! How a process ends, so that a restart loop and a typo can be told apart.

use std::process::ExitCode;

/// The arguments or a file that they name are wrong (`EX_USAGE` of sysexits.h): nothing was started, no port bound.
pub const BAD_CONFIGURATION: u8 = 64;
/// A task ended that should have run on.
pub const FAILED: u8 = 1;
/// The drain did not end in time, or a second signal came: work may have been cut.
pub const ABORTED: u8 = 3;

/// The exit code for a wrong configuration, after saying on standard error what is wrong.
pub fn bad_configuration(error: &dyn std::error::Error) -> ExitCode {
    report("bad configuration", error);
    ExitCode::from(BAD_CONFIGURATION)
}

/// The exit code for a failure while running, after saying on standard error what failed.
pub fn failed(error: &dyn std::error::Error) -> ExitCode {
    report("failed", error);
    ExitCode::from(FAILED)
}

/// Prints an error with its causes: telemetry may not be there yet, or be the thing that failed.
fn report(what: &str, error: &dyn std::error::Error) {
    let mut text = format!("{what}: {error}");
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(": ");
        text.push_str(&source.to_string());
        cause = source.source();
    }
    eprintln!("{text}");
}
