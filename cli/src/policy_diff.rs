//! `aegis policy diff`: the same calls judged by two sets of resources.

use std::path::Path;

use aegis_decision::contract::DecisionInput;
use aegis_decision::run::RunIndex;
use anyhow::Result;
use serde::Serialize;

use crate::args::{FlipLimits, PolicyDiffArgs};
use crate::calls::{self, Unreadable};
use crate::flips::{Flips, Limits, Side};
use crate::io::Io;
use crate::output::{self, Answer};
use crate::resources::Judges;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    flips: Flips,
    /// Lines that are no call of both sides.
    unreadable: u64,
    /// Limits that are not kept.
    beyond: Vec<String>,
}

/// Judges every line twice, and counts what differs.
pub(crate) fn run(args: &PolicyDiffArgs, io: &mut Io<'_>) -> Result<Answer> {
    let side = |path: &Path| Judges::load(path, &args.namespace);
    let (old, new) = (side(&args.old)?, side(&args.new)?);
    let mut flips = Flips::default();
    let unreadable = calls::each(
        &args.calls,
        args.at.unwrap_or(io.now),
        io,
        |call, runs| both(&old, &new, runs, call),
        |line, (from, to), _| {
            flips.add(from, to, || line.to_string());
            Ok(())
        },
    )?;
    let report = Report { beyond: flips.beyond(&limits(&args.limits)), flips, unreadable };
    output::print(args.output, &report, || report.flips.text(), io)?;
    answer(&report.beyond, unreadable > 0, io)
}

fn both(old: &Judges, new: &Judges, runs: &RunIndex, call: DecisionInput) -> Result<(Side, Side), Unreadable> {
    Ok((Side::of(&old.judge(call.clone(), runs)?), Side::of(&new.judge(call, runs)?)))
}

/// The limits as given.
pub(crate) fn limits(args: &FlipLimits) -> Limits<'_> {
    Limits { max_flips: args.max_flips, fail_on: &args.fail_on }
}

/// No where a limit is not kept, incomplete where a part was not judged and no limit says no already.
pub(crate) fn answer(beyond: &[String], incomplete: bool, io: &mut Io<'_>) -> Result<Answer> {
    for words in beyond {
        writeln!(io.err, "Not within the limits: {words}.")?;
    }
    Ok(match (beyond.is_empty(), incomplete) {
        (false, _) => Answer::No,
        (true, true) => Answer::Incomplete,
        (true, false) => Answer::Yes,
    })
}
