//! `aegis-operator`: reconciles the custom resources and serves bundles, tokens and approvals.

use std::process::ExitCode;

fn main() -> ExitCode {
    aegis_runtime::install_crypto();
    match aegis_runtime::args::parse() {
        Ok(args) => aegis_operator::run(args),
        Err(code) => code,
    }
}
