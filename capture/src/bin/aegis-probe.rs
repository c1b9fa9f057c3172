//! Tries to leave the pod as the agent's user, whenever the sidecar asks.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use aegis_capture::probe::{Sidecar, serve, written};
use aegis_capture::techniques::{self, Ground, NOWHERE_V4, NOWHERE_V6};
use aegis_decision::probe::ProbeReport;
use anyhow::Context;
use clap::{Parser, Subcommand};

/// Tries the ways around a sidecar from inside its pod.
///
/// Without an option it serves the sidecar: waits for an order, tries, hands in the report, for ever.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Socket of the sidecar
    #[arg(long, env = "AEGIS_PROBE_SOCKET", default_value = "/run/aegis/probe/sidecar.sock")]
    socket: PathBuf,
    /// Exit with 0 if the sidecar holds a passing report and can judge calls
    #[arg(long, conflicts_with = "once")]
    started: bool,
    /// Try once, without a sidecar's order; exit with 2 if something got out
    #[arg(long)]
    once: bool,
    /// Print JSON
    #[arg(long, requires = "once")]
    json: bool,
    /// Where to send by IPv4: a sink of yours
    #[arg(long, requires = "once", default_value_t = NOWHERE_V4)]
    sink_v4: Ipv4Addr,
    /// Where to send by IPv6: a sink of yours
    #[arg(long, requires = "once", default_value_t = NOWHERE_V6)]
    sink_v6: Ipv6Addr,
    /// The sidecar's user, where its sockets do not tell
    #[arg(long, requires = "once")]
    sidecar_uid: Option<u32>,
    /// Further addresses that must not be reached, as host:port
    #[arg(long, requires = "once", value_delimiter = ',')]
    targets: Vec<String>,
    /// Only these techniques, by number
    #[arg(long, requires = "once", value_delimiter = ',')]
    only: Vec<u8>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// One attempt that changes the process; started by the probe itself
    #[command(hide = true)]
    Attempt { number: u8, ground: String },
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(Command::Attempt { number, ground }) = &args.command {
        let ground = serde_json::from_str(ground).context("ground")?;
        println!("{}", serde_json::to_string(&techniques::child(*number, &ground))?);
        return Ok(ExitCode::SUCCESS);
    }
    let sidecar = Sidecar::at(&args.socket);
    if args.started {
        let state = sidecar.state()?;
        return Ok(if state.verified && state.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    if !args.once {
        serve(&sidecar, &Ground::default().executor, |line| eprintln!("aegis-probe: {line}"));
    }
    let ground = Ground {
        v4: args.sink_v4,
        v6: args.sink_v6,
        sidecar_uid: args.sidecar_uid,
        only: args.only,
        ..Ground::default()
    }
    .with_targets(&args.targets);
    let report = written(String::new(), techniques::run(&ground));
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print_table(&report);
    }
    Ok(if report.got_out().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn print_table(report: &ProbeReport) {
    println!("as user {}", report.uid);
    for attempt in &report.attempts {
        let outcome = format!("{:?}", attempt.outcome);
        println!("{:<7} {outcome:<14} {:<44} {}", attempt.technique, attempt.target, attempt.detail);
    }
    println!("{} attempts, {} got out", report.attempts.len(), report.got_out().len());
}
