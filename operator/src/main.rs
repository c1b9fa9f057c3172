//! `aegis-operator`: reconciles the custom resources and serves bundles, tokens and approvals.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    aegis_runtime::install_crypto();
    aegis_operator::run(aegis_operator::args::Args::parse())
}
