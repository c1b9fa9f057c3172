//! Init container of a captured pod: loads the ruleset, reads it back, says in one line of JSON what stands.

use std::path::PathBuf;
use std::process::ExitCode;

use aegis_capture::ruleset::{CaptureError, Loaded, Plan, load};
use clap::Parser;

/// Lets nothing leave this network namespace but what the sidecar sends.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// User of the sidecar: the only one whose packets leave
    #[arg(long, value_name = "UID")]
    sidecar_uid: u32,
    /// Ports at which the pod is called from outside, such as 8080,9090
    #[arg(long, value_name = "PORTS", default_value = "", hide_default_value = true)]
    inbound_tcp: String,
    /// The nft program
    #[arg(long, value_name = "FILE", default_value = "/usr/sbin/nft")]
    nft: PathBuf,
}

fn capture(args: &Args) -> Result<Loaded, CaptureError> {
    load(&args.nft, &Plan::new(args.sidecar_uid, &args.inbound_tcp)?)
}

fn main() -> ExitCode {
    match capture(&Args::parse()) {
        Ok(loaded) => {
            println!("{}", serde_json::json!(loaded));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("aegis-capture: {error}");
            ExitCode::FAILURE
        }
    }
}
