//! `make latency`: what the sidecar adds to a call, in a paired run against direct calls, and what memory and processor
//! time it takes. Prints a table; gates nothing, since a busy machine changes every one of these numbers.
//!
//! A tool that answers at once shows what the sidecar itself adds; the ERP shows what that is beside a real tool.

mod paired;
mod scene;

use std::process::ExitCode;

use aegis_tests::story::{Stage, Teller};
use aegis_tests::usage::{self, Usage};
use anyhow::{Context as _, Result};

use paired::Plan;
use scene::Scene;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("latency: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(measure()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("latency: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("aegis-latency-").tempdir().context("cannot make a folder")?;
    println!("load at the start: {}", usage::load()?);
    let stage = Stage::set(folder.path(), &Teller::silent()).await?;
    let scene = Scene::set(&stage).await?;
    let sidecar = stage.buyer.process().context("the sidecar is no process")?.pid();
    let operator = stage.operator().context("the operator is no process")?.process().pid();
    let idle = (Usage::of(sidecar)?, Usage::of(operator)?);

    println!("{}", paired::HEADING);
    Plan::new("control: direct against direct", 1000)
        .run(&scene.read_direct()?, &scene.read_direct()?, sidecar)
        .await?;
    Plan::new("Read, tool that answers at once", 1000).run(&scene.read_direct()?, &scene.read()?, sidecar).await?;
    Plan::new("Draft, tool that answers at once", 1000).run(&scene.draft_direct()?, &scene.draft()?, sidecar).await?;
    Plan::new("Read, the ERP", 200).run(&scene.erp_direct()?, &scene.erp()?, sidecar).await?;

    let after = (Usage::of(sidecar)?, Usage::of(operator)?);
    println!("resident memory before and after these calls:");
    println!("  sidecar  {:.1} -> {:.1} MiB", idle.0.resident_mib(), after.0.resident_mib());
    println!("  operator {:.1} -> {:.1} MiB", idle.1.resident_mib(), after.1.resident_mib());
    println!("load at the end: {}", usage::load()?);
    Ok(())
}
