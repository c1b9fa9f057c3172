//! Arguments that every program has; each struct flattens into the program's own.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, ValueEnum};

use crate::exit;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Logging.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Form of the log lines on standard error
    #[arg(long, env = "AEGIS_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// What is logged: a level, or directives such as `info,aegis_proxy=debug`
    #[arg(long, env = "AEGIS_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// The admin port: liveness, readiness, metrics; read-only.
#[derive(Debug, Clone, Args)]
pub struct AdminArgs {
    /// Address of the admin port; port 0 takes a free one and logs it
    #[arg(long, env = "AEGIS_ADMIN_LISTEN", default_value = "127.0.0.1:9900")]
    pub admin_listen: SocketAddr,
}

/// The end of the process.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {
    /// Seconds to finish what is under way after the first signal
    #[arg(long, env = "AEGIS_DRAIN", default_value = "20", value_parser = seconds)]
    pub drain: Duration,
}

/// The program's arguments; else the exit code: 0 after `--help` and `--version`, 64 for what is wrong.
pub fn parse<T: Parser>() -> Result<T, ExitCode> {
    T::try_parse().map_err(|error| {
        // Standard error may be closed: there is nobody to tell then.
        let _ = error.print();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
            _ => ExitCode::from(exit::BAD_CONFIGURATION),
        }
    })
}

/// Parses whole seconds.
pub fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "write whole seconds, such as 20".to_owned())
}

/// Longest validity of a server's certificate.
const MAX_LEAF: Duration = Duration::from_hours(90 * 24);

/// Parses the validity of a server's certificate in whole seconds: at most 90 days.
pub fn leaf_life(text: &str) -> Result<Duration, String> {
    let life = seconds(text)?;
    if life.is_zero() || life > MAX_LEAF { Err("must lie between 1 and 7776000".to_owned()) } else { Ok(life) }
}
