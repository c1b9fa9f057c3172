//! `aegis verify`: what a record file proves, with the control service's keys and nothing else.

use std::fs;
use std::path::Path;

use aegis_decision::json;
use aegis_decision::jws::{KeySet, Purpose};
use aegis_decision::segment::{self, End, Finding, Report, Torn};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::VerifyArgs;
use crate::io::Io;
use crate::output::{self, Answer, printable, row};

/// What came of one file.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    file: String,
    #[serde(rename = "verified")]
    proven: bool,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Outcome {
    /// It holds what it says.
    Report(Box<Report>),
    /// It was changed, or the keys are not those of its time.
    Findings(Vec<Told>),
    /// It cannot be read.
    Error(String),
}

/// A finding, in words too.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(flatten)]
    finding: Finding,
    message: String,
}

/// Verifies each file.
pub(crate) fn run(args: &VerifyArgs, io: &mut Io<'_>) -> Result<Answer> {
    ensure!(
        args.head.is_none() || args.files.len() == 1,
        "--head is the head of one sidecar's start; give the one FILE that belongs to it"
    );
    let keys = keys(&args.keys)?;
    let verified: Vec<Verified> = args.files.iter().map(|file| verify(file, &keys, args)).collect();
    output::print(args.output, &verified, || verified.iter().map(Verified::text).collect(), io)?;
    Ok(if verified.iter().any(|one| matches!(one.outcome, Outcome::Findings(_))) {
        Answer::No
    } else if verified.iter().any(|one| matches!(one.outcome, Outcome::Error(_))) {
        Answer::Incomplete
    } else {
        Answer::Yes
    })
}

fn keys(path: &Path) -> Result<KeySet> {
    let bytes = fs::read(path).with_context(|| format!("cannot read the keys in {}", path.display()))?;
    let keys: KeySet = json::read(&bytes).with_context(|| format!("{} is no key set of Aegis", path.display()))?;
    ensure!(
        keys.iter().any(|(_, purpose, _)| purpose == Purpose::Attestations),
        "{} holds no key that attests record keys; fetch /jwks.json of the control service",
        path.display()
    );
    Ok(keys)
}

fn verify(file: &Path, keys: &KeySet, args: &VerifyArgs) -> Verified {
    let outcome = match fs::read(file) {
        Err(error) => Outcome::Error(format!("cannot be read: {error}")),
        Ok(bytes) => match segment::verify(&bytes, keys, args.head.as_ref()) {
            Ok(report) => Outcome::Report(Box::new(report)),
            Err(findings) => Outcome::Findings(
                findings.into_iter().map(|finding| Told { message: finding.to_string(), finding }).collect(),
            ),
        },
    };
    let proven = matches!(outcome, Outcome::Report(_));
    Verified { file: file.display().to_string(), proven, outcome }
}

impl Verified {
    /// For people. Ends with a line break.
    fn text(&self) -> String {
        let file = printable(&self.file);
        match &self.outcome {
            Outcome::Report(report) => format!("{file}: verified\n{}", checks(report)),
            Outcome::Findings(findings) => {
                let mut text = format!("{file}: NOT verified\n");
                for told in findings {
                    text.extend(["  ", &printable(&told.message), "\n"]);
                }
                text
            }
            Outcome::Error(problem) => format!("{file}: {}\n", printable(problem)),
        }
    }
}

/// Each check, and what it proves.
fn checks(report: &Report) -> String {
    let Report { epoch, agent, pod, records, batches, complete_to, root, last_at, end, torn } = report;
    let mut text = String::new();
    row(
        &mut text,
        "attestation",
        &format!(
            "the control service confirmed the record key to pod {} for agent {}/{} version {}",
            pod.name, agent.namespace, agent.name, agent.version
        ),
    );
    row(
        &mut text,
        "signatures",
        &format!("header and {batches} batches are signed by that key, while it was attested"),
    );
    row(&mut text, "chain", "each batch follows the one before it: no line was changed, moved, added or taken out");
    row(&mut text, "sequence", &format!("{records} records, complete to {complete_to}: none is missing before that"));
    if let Some(at) = last_at {
        row(&mut text, "last batch", &format!("sealed at {at}"));
    }
    let end = match end {
        End::Proven { to } => format!("proven to record {to}: the given head is in the file"),
        End::NotProven => {
            format!("complete to {complete_to}, end not proven: later batches may have been cut off; --head tells")
        }
    };
    row(&mut text, "end", &end);
    if let Some(Torn { line, bytes }) = torn {
        let torn = format!("{bytes} bytes from line {line} on were never sealed, so they prove nothing");
        row(&mut text, "torn", &torn);
    }
    row(&mut text, "head", &format!("{epoch}:{complete_to}:{root}"));
    text
}
