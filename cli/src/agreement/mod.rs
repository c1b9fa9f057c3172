//! `aegis agreement`: how often what is tried out agrees with what is in force, and what agents proposed with what people
//! did, by the records of sidecars.

mod people;
mod trials;

use std::fmt::Write as _;
use std::path::Path;

use aegis_decision::decision::Verdict;
use aegis_decision::json;
use aegis_decision::record::{DecisionRecord, Mode};
use aegis_decision::trial::Percent;
use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::AgreementArgs;
use crate::calls::{Line, Lines};
use crate::flips::{Flips, Side};
use crate::io::Io;
use crate::output::{self, Answer, printable, table};
use crate::policy_diff::answer;
use crate::progress::Progress;
use crate::records;

use people::{Deed, Paired, Proposals};
use trials::{Row, Trials};

/// What was counted.
#[derive(Default)]
struct Counted {
    trials: Trials,
    flips: Flips,
    proposals: Proposals,
    /// Lines that are longer than any record, or no deed.
    unreadable: u64,
}

/// What is printed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    trials: Vec<Row<'a>>,
    /// Verdicts that would differ, from what was to what would be.
    #[serde(flatten)]
    flips: &'a Flips,
    #[serde(skip_serializing_if = "Option::is_none")]
    proposals: Option<Paired>,
    /// Counts of policies beyond those that are counted by themselves.
    not_counted: u64,
    unreadable: u64,
    /// What is below the share that was asked for.
    beyond: Vec<String>,
}

/// Counts every decision record.
pub(crate) fn run(args: &AgreementArgs, io: &mut Io<'_>) -> Result<Answer> {
    let mut counted = Counted::default();
    let too_long = records::decisions(&args.records, io, |record| {
        counted.add(record);
        None
    })?;
    counted.unreadable = too_long;
    if let Some(done) = &args.done {
        counted.proposals.sort();
        pair(done, args, &mut counted, io).with_context(|| format!("cannot read {}", done.display()))?;
    }
    let Counted { trials, flips, proposals, unreadable } = counted;
    let proposed = proposals.proposed();
    let paired = args.done.as_ref().map(|_| proposals.report());
    let rows: Vec<Row<'_>> = trials.rows().collect();
    let beyond = below(args.at_least, &rows, paired.as_ref());
    let mut report =
        Report { trials: rows, flips: &flips, proposals: paired, not_counted: trials.not_listed(), unreadable, beyond };
    output::print(args.output, &report, || text(&report, proposed), io)?;
    answer(&std::mem::take(&mut report.beyond), unreadable > 0, io)
}

fn pair(done: &Path, args: &AgreementArgs, counted: &mut Counted, io: &mut Io<'_>) -> Result<()> {
    let mut lines = Lines::of(done, io)?;
    let mut progress = Progress::of(io, lines.length);
    while let Some(line) = lines.next()? {
        let deed = match line {
            Line::Whole(bytes) if bytes.trim_ascii().is_empty() => continue,
            Line::Whole(bytes) => json::read::<Deed>(bytes.trim_ascii()).map_err(|error| error.to_string()),
            Line::TooLong => Err("is too long".to_owned()),
        };
        progress.at(lines.bytes);
        match deed {
            Ok(deed) => counted.proposals.pair(&deed, args.within),
            Err(problem) => {
                counted.unreadable = counted.unreadable.saturating_add(1);
                let told = format!("{}:{}: {}", done.display(), lines.number, printable(&problem));
                progress.say(&mut io.err, &told)?;
            }
        }
    }
    Ok(())
}

impl Counted {
    /// Steps of plans are no calls.
    fn add(&mut self, record: DecisionRecord) {
        if record.mode == Mode::Plan {
            return;
        }
        if record.decision.verdict == Verdict::Propose {
            return self.proposals.add(record);
        }
        let Some(would) = &record.decision.would else { return };
        self.trials.add(&record.agent.namespace, record.decision.verdict, would);
        let to = Side::new(would.verdict, would.rule.as_ref(), would.code);
        self.flips.add(Side::of(&record.decision), to, || record.id.clone());
    }
}

/// What does not reach the share. Where nothing can be compared, that is not reached either.
fn below(at_least: Option<Percent>, rows: &[Row<'_>], paired: Option<&Paired>) -> Vec<String> {
    let Some(at_least) = at_least else { return Vec::new() };
    let trials = rows.iter().map(|row| (row.policy.unwrap_or("agents of mode Audit").to_owned(), row.agreement));
    let people = paired.map(|paired| ("proposals".to_owned(), paired.agreement));
    let all: Vec<_> = trials.chain(people).collect();
    if all.is_empty() {
        return vec![format!("no record says of a trial, so nothing agrees to {at_least} %")];
    }
    let reached = |share: Option<Percent>| share.is_some_and(|share| share >= at_least);
    let words =
        |share: Option<Percent>| share.map_or_else(|| "nothing to compare".to_owned(), |share| format!("{share} %"));
    let missed = all.into_iter().filter(|(_, share)| !reached(*share));
    missed.map(|(what, share)| format!("{what}: {} is less than {at_least} %", words(share))).collect()
}

/// For people. Ends with a line break.
fn text(report: &Report<'_>, proposed: u64) -> String {
    let mut text = String::new();
    if !report.trials.is_empty() {
        let header = ["TRIED OUT", "CALLS", "AGREE", "SHARE", "WOULD DENY", "WOULD HOLD", "WOULD ALLOW"];
        text.push_str(&table(header, report.trials.iter().map(Row::cells)));
        text.push('\n');
    }
    text.push_str(&report.flips.text());
    // Writing to a String cannot fail.
    let _ = match &report.proposals {
        None => writeln!(text, "{proposed} calls proposed"),
        Some(Paired { proposed, done, agreed, unproposed, not_kept: _, agreement }) => {
            let share = agreement.map(|share| format!(" ({share} %)")).unwrap_or_default();
            writeln!(
                text,
                "{proposed} calls proposed, {done} of them done, {agreed} as expected{share}; {unproposed} done without a proposal"
            )
        }
    };
    text
}
