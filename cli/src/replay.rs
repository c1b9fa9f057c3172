//! `aegis replay`: recorded calls judged again. What a record hides is not guessed: such a record is named and counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use aegis_decision::codes::Code;
use aegis_decision::decide::replay::{Unjudged, replay};
use aegis_decision::decision::{RuleRef, Would};
use aegis_decision::record::{DecisionRecord, Record};
use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::ReplayArgs;
use crate::calls::{Line, Lines};
use crate::flips::{Flips, Side};
use crate::io::Io;
use crate::output::{self, Answer, Format, printable};
use crate::policy_diff::{answer, limits};
use crate::progress::Progress;
use crate::resources::{Judge, Judges};
use crate::why;

/// Why a record of an agent that is not among the resources cannot be judged.
const UNKNOWN_AGENT: &str = "unknownAgent";

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    #[serde(flatten)]
    flips: Flips,
    /// Against what the calls would come to if everything that the resources try out were enforced.
    #[serde(skip_serializing_if = "Flips::is_empty")]
    would: Flips,
    /// Records that cannot be judged, by reason.
    unjudged: BTreeMap<&'static str, u64>,
    /// Lines that are longer than any record.
    unreadable: u64,
    /// Limits that are not kept.
    beyond: Vec<String>,
}

/// Replays every decision record.
pub(crate) fn run(args: &ReplayArgs, io: &mut Io<'_>) -> Result<Answer> {
    let judges = Judges::load(&args.resources, &args.namespace)?;
    let mut report = Report::default();
    for file in why::files(&args.records)? {
        replay_file(&file, &judges, &mut report, io).with_context(|| format!("cannot read {}", file.display()))?;
    }
    let unjudged = report.unjudged.values().copied().fold(0_u64, u64::saturating_add);
    report.beyond = report.flips.beyond(&limits(&args.limits));
    if let Some(most) = args.max_unjudged.filter(|most| unjudged > *most) {
        report.beyond.push(format!("{unjudged} records that cannot be judged are more than {most}"));
    }
    if args.output == Format::Table {
        write!(io.out, "{}{}", report.flips.text(), unjudged_text(&report.unjudged, unjudged))?;
        if !report.would.is_empty() {
            write!(io.out, "\nIf everything that is tried out were enforced:\n{}", report.would.text())?;
        }
        io.out.flush()?;
    } else {
        output::document(args.output, &report, io)?;
    }
    answer(&report.beyond, report.unreadable > 0, io)
}

fn replay_file(file: &Path, judges: &Judges, report: &mut Report, io: &mut Io<'_>) -> Result<()> {
    let mut lines = Lines::of(file, io)?;
    let mut progress = Progress::of(io, lines.length);
    while let Some(line) = lines.next()? {
        let record = match line {
            // Other lines prove the records, or are of another kind.
            Line::Whole(bytes) => match Record::from_bytes(bytes.trim_ascii_end()) {
                Ok(Record::Decision(record)) => Some(record),
                Ok(_) | Err(_) => None,
            },
            Line::TooLong => {
                report.unreadable = report.unreadable.saturating_add(1);
                None
            }
        };
        progress.at(lines.bytes);
        let Some(record) = record else { continue };
        if let Some((reason, told)) = add(&record, judges, report) {
            let count = report.unjudged.entry(reason).or_default();
            *count = count.saturating_add(1);
            let told = format!("{}: {} cannot be judged: {told}", file.display(), record.id);
            progress.say(&mut io.err, &printable(&told))?;
        }
    }
    Ok(())
}

/// Counts a record, or says why it cannot be judged.
fn add(record: &DecisionRecord, judges: &Judges, report: &mut Report) -> Option<(&'static str, String)> {
    let agent = format!("{}/{}", record.agent.namespace, record.agent.name);
    let Ok(Judge { bundle, standing, delegations, worker }) = judges.of(&agent) else {
        return Some((UNKNOWN_AGENT, format!("agent {agent} is not among the resources")));
    };
    match replay(bundle, record, standing, delegations, &mut worker.borrow_mut()) {
        Ok(now) => {
            let to = |verdict, rule: Option<RuleRef>, code: Option<Code>| {
                let rule = rule.map(|rule| rule.to_string());
                Side::new(verdict, rule, code.map(Code::as_str))
            };
            if let Some(Would { verdict, rule, code, .. }) = now.would {
                report.would.add(Side::of(&record.decision), to(verdict, rule, code), || record.id.clone());
            }
            report.flips.add(Side::of(&record.decision), to(now.verdict, now.rule, now.code), || record.id.clone());
            None
        }
        Err(unjudged) => Some((Unjudged::reason(&unjudged), unjudged.to_string())),
    }
}

fn unjudged_text(reasons: &BTreeMap<&'static str, u64>, all: u64) -> String {
    let mut text = format!("{all} records cannot be judged");
    let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if !reasons.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(text, " ({})", reasons.join(", "));
    }
    text.push('\n');
    text
}
