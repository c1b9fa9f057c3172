//! Logs: structured lines on standard error. Metrics are pulled from [`crate::admin`].

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::util::TryInitError;

use crate::args::{LogArgs, LogFormat};

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `--log-level` is not understood.
    #[error("--log-level is no level and no list of directives")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something installed a subscriber before.
    #[error("logging is set up already")]
    Twice(#[from] TryInitError),
}

/// Starts logging for the whole process.
pub fn init(args: &LogArgs) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&args.log_level)?;
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init()?,
        LogFormat::Text => lines.with_ansi(false).finish().try_init()?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_level_is_an_error() {
        let args = LogArgs { log_format: LogFormat::Text, log_level: "aegis=loud".to_owned() };
        assert!(matches!(init(&args), Err(TelemetryError::Level(_))));
    }
}
