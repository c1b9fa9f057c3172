//! The command line of Aegis: `aegis`, which is also `kubectl aegis`.
//!
//! One file per command. A command takes its arguments and an [`Io`], answers an [`Answer`] and leaves the rest to
//! [`run`]: only here an answer or an error becomes an exit code. No command needs rights in the cluster beyond those of
//! the caller, and all but the check and the approvals work without a cluster.
//!
//! Deliberately absent: deciding, explaining and verifying. That is the core's, so the command line cannot differ from
//! operator and sidecar.

mod agreement;
pub mod approvals;
pub mod args;
mod calls;
mod check;
mod cluster;
mod completion;
mod eval;
pub mod flips;
mod io;
pub mod output;
mod policy_diff;
mod policy_explain;
mod policy_lint;
mod policy_test;
mod progress;
mod records;
mod replay;
mod resources;
mod runs;
mod schema;
mod verify;
mod version;
mod watch;
mod why;

use std::ffi::OsString;

use clap::{ArgMatches, FromArgMatches as _};

use args::{Arguments, Command, PolicyCommand};
pub use io::Io;
pub use output::{Answer, Exit};

/// Runs the command that `arguments` name, the program's own name first. Errors go to `io.err`.
pub fn run(arguments: impl IntoIterator<Item = OsString>, io: &mut Io<'_>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = args::command_for(arguments.first())
        .try_get_matches_from(arguments)
        .and_then(|matches: ArgMatches| Arguments::from_arg_matches(&matches));
    match parsed {
        Ok(parsed) => match dispatch(parsed, io) {
            Ok(answer) => answer.into(),
            Err(error) => output::report(&error, io),
        },
        Err(refused) => output::report_usage(&refused, io),
    }
}

fn dispatch(arguments: Arguments, io: &mut Io<'_>) -> anyhow::Result<Answer> {
    match arguments.command {
        Command::Eval(args) => eval::run(&args, io),
        Command::Policy { command } => policy(command, io),
        Command::Approvals { cluster, command } => cluster::block_on(approvals::run(&cluster, command, io)),
        Command::Approve(args) => cluster::block_on(approvals::decide::approve(&args, io)),
        Command::Deny(args) => cluster::block_on(approvals::decide::deny(&args, io)),
        Command::Check(args) => cluster::block_on(check::run(&args, io)),
        Command::Agreement(args) => agreement::run(&args, io),
        Command::Replay(args) => replay::run(&args, io),
        Command::Schema(args) => schema::run(&args, io),
        Command::Why(args) => why::run(&args, io),
        Command::Verify(args) => verify::run(&args, io),
        Command::Completion { shell } => completion::run(shell, io),
        Command::Version { output } => version::run(output, io),
    }
}

fn policy(command: PolicyCommand, io: &mut Io<'_>) -> anyhow::Result<Answer> {
    match command {
        PolicyCommand::Test(args) => policy_test::run(&args, io),
        PolicyCommand::Lint(args) => policy_lint::run(&args, io),
        PolicyCommand::Diff(args) => policy_diff::run(&args, io),
        PolicyCommand::Explain(args) => policy_explain::run(&args, io),
    }
}
