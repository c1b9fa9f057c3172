//! `aegis completion`: a script that completes commands and options in a shell.

use std::io::Write as _;

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::args::Arguments;
use crate::io::Io;
use crate::output::Answer;

/// Prints the script.
pub(crate) fn run(shell: Shell, io: &mut Io<'_>) -> Result<Answer> {
    // Made in memory first: the generator panics where it cannot write, such as into a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "aegis", &mut script);
    io.out.write_all(&script)?;
    io.out.flush()?;
    Ok(Answer::Yes)
}
