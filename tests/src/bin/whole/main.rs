//! `make whole`: the whole sidecar beside Envoy with OPA and beside Praxis with its policy engine, on the same machine in
//! the same run: processor time, throughput, latency at fixed rates, memory. Prints Markdown; gates nothing, and says so
//! when the run is not to be trusted.
//!
//! Each measured process has one thread for requests and one core, which it shares with none but its own helpers; load and
//! tool share another. All ways are measured in turn, forwards and backwards, and one of them twice: the control.

mod agree;
mod args;
mod calls;
mod closed;
mod cores;
mod envoy;
mod line;
mod memory;
mod open;
mod peer;
mod praxis;
mod rego;
mod relay;
mod resources;
mod scene;
mod stage;
mod table;
mod way;
mod workload;

use std::process::ExitCode;
use std::time::Duration;

use aegis_tests::usage;
use anyhow::{Context as _, Result, ensure};
use clap::Parser as _;
use tokio::runtime::Builder;

use args::{Args, Command};
use cores::Cores;
use stage::{CONTROL, REFERENCE, Stage};
use workload::SIZES;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = match &args.command {
        Some(Command::Relay { upstream, address_file }) => {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(relay::run(*upstream, address_file)))
        }
        Some(Command::Memory) => memory::measure(),
        None => measure(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whole: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("aegis-whole-").tempdir().context("cannot make a folder")?;
    let cores = Cores::find()?;
    // Before there are other threads: all inherit it.
    cores.leave()?;
    let runtime = Builder::new_multi_thread().enable_all().build()?;
    println!("load at the start: {}\n", usage::load()?);
    let stage = runtime.block_on(Stage::set(folder.path(), args, cores))?;
    let ways = stage.ways();
    let going = runtime.block_on(agree::prove(&ways, &stage.tool))?;
    let judging: Vec<_> = ways.iter().filter(|way| way.judges).map(|way| way.name).collect();
    println!("{} calls decided alike, {going} of them go: {}\n", calls::CALLS, judging.join("; "));
    let (rounds, slice) = (args.rounds.get(), Duration::from_millis(args.slice.get().into()));
    let mut sound = true;
    for (name, bytes) in SIZES {
        let plan = closed::Plan { rounds, slice, connections: args.connections.get() };
        let measured = closed::measure(&ways, bytes, plan)?;
        let compared = table::Compared { ways: &ways, rounds: &measured, reference: REFERENCE, control: CONTROL };
        let (table, trusted) = compared.table()?;
        sound &= trusted;
        println!("### Bodies of {name}: {} connections, {rounds} rounds of 2 x {slice:?}\n\n{table}", plan.connections);
    }
    for (name, bytes) in SIZES {
        for rate in &args.rates {
            let plan = open::Plan { rounds, slice, rate: rate.get() };
            let table = table::latency(&ways, &open::measure(&ways, bytes, plan)?)?;
            println!("### Bodies of {name} at {rate} calls a second, {rounds} rounds of 2 x {slice:?}\n\n{table}");
        }
    }
    println!("### Resident memory\n\n{}", table::memory(&stage.idle)?);
    println!("load at the end: {}", usage::load()?);
    ensure!(sound, "the control differs from itself by more than 5 %: discard this run");
    Ok(())
}
