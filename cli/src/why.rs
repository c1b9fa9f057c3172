//! `aegis why`: one decision, about a call or a connection, in plain words, looked up in the records of a sidecar.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use aegis_decision::record::{
    ConnectionEndRecord, ConnectionRecord, DecisionRecord, OutcomeRecord, Record, explain, explain_connection,
};
use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::WhyArgs;
use crate::calls::{Line, Lines};
use crate::io::Io;
use crate::output::{self, Answer, Format, printable};
use crate::records;

/// What is known of one call or connection.
#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Found {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Box<DecisionRecord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<Box<OutcomeRecord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Box<ConnectionRecord>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_end: Option<Box<ConnectionEndRecord>>,
}

impl Found {
    fn is_whole(&self) -> bool {
        self.decision.is_some() && self.outcome.is_some() || self.connection.is_some() && self.connection_end.is_some()
    }

    fn explained(&self) -> Option<String> {
        match (&self.decision, &self.connection) {
            (Some(decision), _) => Some(explain(decision, self.outcome.as_deref())),
            (None, Some(connection)) => Some(explain_connection(connection, self.connection_end.as_deref())),
            (None, None) => None,
        }
    }
}

/// Explains the decision, or says where it was looked for.
pub(crate) fn run(args: &WhyArgs, io: &mut Io<'_>) -> Result<Answer> {
    let files = records::files(&args.records)?;
    let mut found = Found::default();
    for file in &files {
        search(file, &args.decision, &mut found, io)?;
        if found.is_whole() {
            break;
        }
    }
    let Some(explained) = found.explained() else {
        writeln!(io.err, "No decision {} in:", printable(&args.decision))?;
        for file in &files {
            writeln!(io.err, "  {}", file.display())?;
        }
        writeln!(io.err, "Each sidecar keeps the records of its own calls; look in those of the pod that answered.")?;
        return Ok(Answer::No);
    };
    output::print(args.output, &found, || explained, io)?;
    if args.output == Format::Table {
        let file = found.file.as_deref().unwrap_or(&args.records).display();
        writeln!(io.err, "\nFrom {file}, as it stands there; aegis verify proves that it was not changed.")?;
    }
    Ok(Answer::Yes)
}

/// Looks for both records of a call. The first of each counts: ids do not repeat.
fn search(file: &Path, id: &str, found: &mut Found, io: &mut Io<'_>) -> Result<()> {
    let mut lines = Lines::of(file, io)?;
    while let Some(line) = lines.next().with_context(|| format!("cannot read {}", file.display()))? {
        // What is longer is no record.
        let Line::Whole(line) = line else { continue };
        if !line.windows(id.len().max(1)).any(|window| window == id.as_bytes()) {
            continue;
        }
        match Record::from_bytes(line.trim_ascii_end()) {
            Ok(Record::Decision(record)) if record.id == id && found.decision.is_none() => {
                found.file = Some(file.to_owned());
                found.decision = Some(record);
            }
            Ok(Record::Outcome(record)) if record.decision == id && found.outcome.is_none() => {
                found.outcome = Some(record);
            }
            Ok(Record::Connection(record)) if record.id == id && found.connection.is_none() => {
                found.file = Some(file.to_owned());
                found.connection = Some(record);
            }
            Ok(Record::ConnectionEnd(record)) if record.connection == id && found.connection_end.is_none() => {
                found.connection_end = Some(record);
            }
            // Another record, or another kind of line.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
