//! What is measured, and how long. `bench/whole` fills in where the peers' programs are.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Measures the whole sidecar beside its peers.
#[derive(Debug, Parser)]
#[command(name = "whole", args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Something else than measuring
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Envoy's program; left out without it
    #[arg(long, requires = "opa")]
    pub envoy: Option<PathBuf>,
    /// The program of bench/opa
    #[arg(long, requires = "envoy")]
    pub opa: Option<PathBuf>,
    /// Praxis' program; left out without it
    #[arg(long)]
    pub praxis: Option<PathBuf>,
    /// Rounds; each measures every way twice, forwards and backwards
    #[arg(long, default_value = "40")]
    pub rounds: NonZeroUsize,
    /// Milliseconds of one measurement: a machine that is shared drifts within seconds
    #[arg(long, default_value = "300")]
    pub slice: NonZeroU32,
    /// Connections of the closed loop, each with one call under way
    #[arg(long, default_value = "16")]
    pub connections: NonZeroUsize,
    /// Calls a second of the open loop
    #[arg(long, value_delimiter = ',', default_value = "500,1000,3000")]
    pub rates: Vec<NonZeroU32>,
}

/// Something else than measuring.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Prints the sidecar's memory instead, by few rules and by many, with many connections
    Memory,
    /// Forwards every request as it is: what the same HTTP libraries cost that Aegis is built of
    Relay {
        /// Where to
        #[arg(long)]
        upstream: SocketAddr,
        /// File that gets the address that it listens on
        #[arg(long)]
        address_file: PathBuf,
    },
}
