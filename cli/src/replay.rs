//! `aegis replay`: recorded calls judged again. What a record hides is not guessed: such a record is named and counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use aegis_decision::decide::replay::{Unjudged, replay};
use aegis_decision::decision::Would;
use aegis_decision::record::DecisionRecord;
use anyhow::Result;
use serde::Serialize;

use crate::args::ReplayArgs;
use crate::flips::{Flips, Side};
use crate::io::Io;
use crate::output::{self, Answer};
use crate::policy_diff::{answer, limits};
use crate::records;
use crate::resources::{Judge, Judges};

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
    let unreadable = records::decisions(&args.records, io, |record| {
        let (reason, told) = add(&record, &judges, &mut report)?;
        let count = report.unjudged.entry(reason).or_default();
        *count = count.saturating_add(1);
        Some(format!("{} cannot be judged: {told}", record.id))
    })?;
    let unjudged = report.unjudged.values().copied().fold(0_u64, u64::saturating_add);
    report.unreadable = unreadable;
    report.beyond = report.flips.beyond(&limits(&args.limits));
    if let Some(most) = args.max_unjudged.filter(|most| unjudged > *most) {
        report.beyond.push(format!("{unjudged} records that cannot be judged are more than {most}"));
    }
    output::print(args.output, &report, || report.text(unjudged), io)?;
    answer(&report.beyond, unreadable > 0, io)
}

/// Counts a record, or says why it cannot be judged.
fn add(record: &DecisionRecord, judges: &Judges, report: &mut Report) -> Option<(&'static str, String)> {
    let agent = format!("{}/{}", record.agent.namespace, record.agent.name);
    let Ok(Judge { bundle, standing, delegations, worker }) = judges.of(&agent) else {
        return Some((UNKNOWN_AGENT, format!("agent {agent} is not among the resources")));
    };
    match replay(bundle, record, standing, delegations, &mut worker.borrow_mut()) {
        Ok(now) => {
            let (was, id) = (Side::of(&record.decision), || record.id.clone());
            if let Some(Would { verdict, rule, code, .. }) = &now.would {
                report.would.add(was.clone(), Side::new(*verdict, rule.as_ref(), *code), id);
            }
            report.flips.add(was, Side::new(now.verdict, now.rule.as_ref(), now.code), id);
            None
        }
        Err(unjudged) => Some((Unjudged::reason(&unjudged), unjudged.to_string())),
    }
}

impl Report {
    /// For people. Ends with a line break.
    fn text(&self, unjudged: u64) -> String {
        let mut text = format!("{}{unjudged} records cannot be judged", self.flips.text());
        let reasons: Vec<String> = self.unjudged.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        // Writing to a String cannot fail.
        if !reasons.is_empty() {
            let _ = write!(text, " ({})", reasons.join(", "));
        }
        text.push('\n');
        if !self.would.is_empty() {
            let _ = write!(text, "\nIf everything that is tried out were enforced:\n{}", self.would.text());
        }
        text
    }
}
