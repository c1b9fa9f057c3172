//! The command `aegis`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // An error says that a provider is installed already: only one is compiled in, so it is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    aegis_cli::run(std::env::args_os(), &mut aegis_cli::Io::of_process()).into()
}
