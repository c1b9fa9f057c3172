//! `aegis policy diff`: the same calls judged by two sets of resources.

use std::path::Path;

use aegis_decision::contract::DecisionInput;
use aegis_decision::run::RunIndex;
use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::{FlipLimits, PolicyDiffArgs};
use crate::calls::{Input, Lines, Unreadable};
use crate::flips::{Flips, Limits, Side};
use crate::io::Io;
use crate::output::{self, Answer, Format, printable};
use crate::progress::Progress;
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
    let at = args.at.unwrap_or(io.now);
    let mut lines = Lines::of(&args.calls, io)?;
    let mut progress = Progress::of(io, lines.length);
    let mut runs = RunIndex::unkeyed();
    let mut report = Report { flips: Flips::default(), unreadable: 0, beyond: Vec::new() };
    while let Some(line) = lines.next().with_context(|| format!("cannot read {}", args.calls.display()))? {
        let Some(input) = line.input(at) else { continue };
        progress.at(lines.bytes);
        let both = match input {
            Ok(Input::Answered(answered)) => {
                answered.tell(&mut runs);
                continue;
            }
            Ok(Input::Call(call)) => both(&old, &new, &runs, *call),
            Err(unreadable) => Err(unreadable),
        };
        match both {
            Ok((from, to)) => report.flips.add(from, to, || lines.number.to_string()),
            Err(Unreadable(problem)) => {
                let told = format!("{}:{}: {}", args.calls.display(), lines.number, printable(&problem));
                progress.say(&mut io.err, &told)?;
                report.unreadable = report.unreadable.saturating_add(1);
            }
        }
    }
    drop(progress);
    report.beyond = report.flips.beyond(&limits(&args.limits));
    if args.output == Format::Table {
        write!(io.out, "{}", report.flips.text())?;
        io.out.flush()?;
    } else {
        output::document(args.output, &report, io)?;
    }
    answer(&report.beyond, report.unreadable > 0, io)
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
