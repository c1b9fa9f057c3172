//! `aegis-proxy`: arguments, runtime, run.

use std::process::ExitCode;

use aegis_proxy::args::Args;
use aegis_runtime::{args, exit};
use mimalloc::MiMalloc;

/// That of musl, which the images are built with, takes one lock for all threads.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    aegis_runtime::install_crypto();
    match args::parse::<Args>().map(Args::into_settings) {
        Ok(Ok(settings)) => aegis_proxy::start::run(settings),
        Ok(Err(error)) => exit::bad_configuration(&error),
        Err(ended) => ended,
    }
}
