//! The bypass suite: the 36 ways around a sidecar, tried and counted.
//!
//! `bypass netns` makes a pod and an outside of two network namespaces, loads the real ruleset with the real
//! `aegis-capture`, and tries everything as three personas. The truth is what arrives outside: a packet socket counts
//! every frame. `bypass pod` does the same inside a pod of a cluster. The other commands are parts of these two.

mod bed;
mod checks;
mod matrix;
mod persona;
mod pod;
mod report;
mod sink;
mod stand_in;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tries every known way around a sidecar and counts what gets out.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// In network namespaces of its own, without a cluster (needs root)
    Netns {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// A real sidecar as a shell command, instead of a stand-in that only takes what is captured
        #[arg(long)]
        sidecar: Option<String>,
        /// Folder of aegis-capture and aegis-probe; by default the one of this program
        #[arg(long)]
        programs: Option<PathBuf>,
    },
    /// Inside a pod of a cluster, through kubectl
    Pod(pod::Args),
    /// Count the frames that come in at an interface until standard input ends: prints a line when it begins, JSON at the end
    Sink {
        /// The interface
        #[arg(long)]
        device: String,
        /// Only frames from these addresses; all by default
        #[arg(long, value_delimiter = ',')]
        from: Vec<std::net::IpAddr>,
        /// But not TCP to this address, at which the sidecar may call a tool
        #[arg(long, value_name = "ADDRESS:PORT")]
        except: Option<SocketAddr>,
    },
    #[command(hide = true)]
    StandIn,
    #[command(hide = true)]
    Hold { tcp: SocketAddr, udp: SocketAddr },
    #[command(hide = true)]
    Blind,
    #[command(hide = true)]
    Serve { ports: Vec<u16> },
    #[command(hide = true)]
    Call { to: SocketAddr },
}

fn main() -> anyhow::Result<ExitCode> {
    match Args::parse().command {
        Command::Netns { json, sidecar, programs } => {
            let programs = bed::Programs::find(programs)?;
            let mut report = matrix::run(&programs, sidecar.as_deref())?;
            report.checks = checks::run(&programs)?;
            report.print(json)
        }
        Command::Pod(args) => pod::run(&args)?.print(args.json),
        Command::Sink { device, from, except } => sink::until_input_ends(&device, &from, except),
        Command::StandIn => stand_in::sidecar(),
        Command::Hold { tcp, udp } => stand_in::hold(tcp, udp),
        Command::Blind => stand_in::blind(),
        Command::Serve { ports } => stand_in::serve(&ports),
        Command::Call { to } => stand_in::call(to),
    }
}
