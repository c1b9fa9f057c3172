//! `aegis policy test`: the tests that policies carry, and the rules that none of them reaches.

mod report;

use anyhow::{Result, ensure};

use crate::args::PolicyTestArgs;
use crate::io::Io;
use crate::output::{self, Answer, Format};
use crate::resources;

/// Runs the tests of all policies.
pub(crate) fn run(args: &PolicyTestArgs, io: &mut Io<'_>) -> Result<Answer> {
    let resources = resources::load(&args.resources, "default")?;
    ensure!(!resources.policies.is_empty(), "{} holds no ToolPolicy", args.resources.display());
    let report = report::Report::of(&resources, args.at.unwrap_or(io.now))?;
    if args.output == Format::Table {
        write!(io.out, "{}", report.text())?;
        io.out.flush()?;
    } else {
        output::document(args.output, &report, io)?;
    }
    Ok(if report.failed == 0 { Answer::Yes } else { Answer::No })
}
