//! The webhook: injects the sidecar into agents' pods, and refuses policies that cannot work.
//!
//! ```text
//! API server -> serve (strict review) -> inject   (pure) -> patch or refusal
//!                                     -> validate (pure) -> warnings or refusal
//! certificates: own authority in a Secret -> caBundle -> leaf of each replica, in memory
//! ```
//! It changes or refuses what the API server asks about, and nothing else: whoever reaches its port can ask, so an answer
//! has no effect but on the request that it answers. Deliberately absent: signing, tokens, notices, and writing anything
//! but its own certificates.

pub mod args;
pub mod certificates;
pub mod inject;
pub mod metrics;
pub mod remove;
pub mod serve;
pub mod stores;
pub mod validate;

mod start;

use std::process::ExitCode;

use aegis_crds::mesh::Settings;
use aegis_runtime::{exit, process};

pub use inject::{AgentFacts, Refusal, inject};

/// Runs the webhook to its end.
pub fn run(args: args::Args) -> ExitCode {
    if args.remove_configurations {
        return remove(&args);
    }
    let (settings, lifetimes) = match read(&args) {
        Ok(read) => read,
        Err(error) => return exit::bad_configuration(error.as_ref()),
    };
    let (log, bound) = (args.log.clone(), args.drain.drain);
    process::run(&log, bound, |drain| start::serve(args, settings, lifetimes, drain))
}

/// Runs `--remove-configurations`.
fn remove(args: &args::Args) -> ExitCode {
    if let Err(error) = aegis_runtime::telemetry::init(&args.log) {
        return exit::bad_configuration(&error);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(&error),
    };
    match runtime.block_on(remove::configurations(&args.configuration)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::failed(&error),
    }
}

/// All of the configuration that can be wrong, before anything is started.
fn read(args: &args::Args) -> Result<(Settings, aegis_runtime::tls::rotation::Lifetimes), Box<dyn std::error::Error>> {
    let file = args.mesh_settings.as_deref().ok_or("--mesh-settings is missing")?;
    let text = std::fs::read_to_string(file).map_err(|error| format!("--mesh-settings {}: {error}", file.display()))?;
    Ok((Settings::from_yaml(&text)?, args.lifetimes()?))
}
