//! `aegis-webhook`: injects the sidecar into agents' pods, and refuses policies that cannot work.

use std::process::ExitCode;

fn main() -> ExitCode {
    aegis_runtime::install_crypto();
    match aegis_runtime::args::parse() {
        Ok(args) => aegis_webhook::run(args),
        Err(code) => code,
    }
}
