//! `aegis-proxy`: arguments, runtime, run.

use std::process::ExitCode;

use aegis_proxy::args::Args;
use aegis_runtime::exit;
use clap::Parser;

fn main() -> ExitCode {
    aegis_runtime::install_crypto();
    match Args::parse().into_settings() {
        Ok(settings) => aegis_proxy::start::run(settings),
        Err(error) => exit::bad_configuration(&error),
    }
}
