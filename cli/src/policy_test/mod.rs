//! `aegis policy test`: the tests of policies, and the rules and checks that none of them reaches.

mod junit;
mod report;

use anyhow::{Result, ensure};

use crate::args::PolicyTestArgs;
use crate::io::Io;
use crate::output::{self, Answer};
use crate::{resources, watch};

/// Runs the tests of all policies, and with `--watch` again whenever a file changes.
pub(crate) fn run(args: &PolicyTestArgs, io: &mut Io<'_>) -> Result<Answer> {
    if !args.watch {
        return run_once(args, io);
    }
    watch::repeat(args.folder.path(), args.junit.as_deref(), args.max_runs, io, |io| run_once(args, io))
}

fn run_once(args: &PolicyTestArgs, io: &mut Io<'_>) -> Result<Answer> {
    let folder = args.folder.path();
    let resources = resources::load(folder, "default")?;
    ensure!(!resources.policies.is_empty(), "{} holds no ToolPolicy", folder.display());
    let report = report::Report::of(&resources, args.at.unwrap_or(io.now))?;
    let covered = args.min_coverage.is_none_or(|least| report.coverage.percent >= least);
    if let Some(file) = &args.junit {
        junit::write(&report, file)?;
    }
    output::print(args.output, &report, || report.text(args.coverage || !covered), io)?;
    if let (false, Some(least)) = (covered, args.min_coverage) {
        writeln!(io.err, "The coverage of {} % is below the {least} % of --min-coverage.", report.coverage.percent)?;
    }
    Ok(if report.failed == 0 && covered { Answer::Yes } else { Answer::No })
}
