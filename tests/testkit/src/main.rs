//! `aegis-testkit`: the agent and the outside world of tests, as one static program without a shell. Every command prints JSON, one line each.
mod call;
mod connect;
mod control;
mod dial;
mod dns;
mod emit;
mod load;
mod lookup;
mod repeat;
mod script;
mod serve;
mod sink;
mod stop;
mod tls;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use serde_json::json;

/// Small servers and clients for tests of Aegis. Exit code 0: done as asked; 1: not; 2: wrong usage.
#[derive(Parser)]
#[command(name = "aegis-testkit", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer HTTP with what was seen of each request; GET /count and GET /requests tell it later
    Serve(serve::Args),
    /// Count everything that arrives over TCP and UDP on a list of ports; GET /count on the control address tells it
    Sink(sink::Args),
    /// Send one HTTP request and print what came back
    Get(call::Args),
    /// Send the same request again and again at a rate
    Loop(repeat::Args),
    /// Make several kinds of calls in turn, on a steady schedule
    Load(load::Args),
    /// Resolve a name, by the system's resolver or by asking one server
    Lookup(lookup::Args),
    /// Open one TCP connection or send one datagram, and print what came back
    Connect(connect::Args),
    /// Try to read a file and print its size; exit code 1 when it cannot be read
    Read {
        /// The file
        path: PathBuf,
    },
    /// Do nothing until told to stop
    Idle,
    /// Do nothing for a while
    Sleep {
        /// Seconds
        seconds: u64,
    },
    /// Run commands from lines, in order
    RunScript(script::Args),
    /// Answer DNS from a table that may change from query to query; GET /count on the control address tells what was asked
    Dns(dns::Args),
}

/// Runs one command. `false` means that it worked and what it was asked for did not hold.
async fn run(command: Command) -> anyhow::Result<bool> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Sink(args) => sink::run(args).await,
        Command::Get(args) => call::run(&args).await,
        Command::Loop(args) => repeat::run(&args).await,
        Command::Load(args) => load::run(args).await,
        Command::Lookup(args) => lookup::run(&args).await,
        Command::Connect(args) => connect::run(&args).await,
        Command::Read { path } => Ok(read(&path)),
        Command::Idle => {
            emit::line(&json!({"idle": true}));
            std::future::pending().await
        }
        Command::Sleep { seconds } => {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(true)
        }
        Command::RunScript(args) => script::run(args).await,
        Command::Dns(args) => dns::run(args).await,
    }
}

/// Prints the size of a file, never what is in it: it may be a secret that leaked.
fn read(path: &std::path::Path) -> bool {
    match std::fs::read(path) {
        Ok(content) => {
            emit::line(&json!({"read": path, "bytes": content.len()}));
            true
        }
        Err(error) => {
            emit::line(&json!({"read": path, "error": error.to_string()}));
            false
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let serves = matches!(
        cli.command,
        Command::Serve(_) | Command::Sink(_) | Command::Dns(_) | Command::Load(_) | Command::Idle
    );
    let stopped = stop::asked();
    let result = tokio::select! {
        result = run(cli.command) => result,
        // A server that was told to stop did its work; a client that was told to stop did not.
        () = stopped => Ok(serves),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            emit::line(&json!({"error": format!("{error:#}")}));
            ExitCode::FAILURE
        }
    }
}
