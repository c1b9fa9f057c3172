//! `aegis why`: one decision, about a call or a connection, in plain words, looked up in the records of a sidecar.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use aegis_decision::record::{
    ConnectionEndRecord, ConnectionRecord, DecisionRecord, MAX_RECORD_BYTES, OutcomeRecord, Record, explain,
    explain_connection,
};
use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

use crate::args::WhyArgs;
use crate::io::Io;
use crate::output::{self, Answer, Format, printable, printable_lines};

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
    let files = files(&args.records)?;
    let mut found = Found::default();
    for file in &files {
        search(file, &args.decision, &mut found).with_context(|| format!("cannot read {}", file.display()))?;
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
    if args.output == Format::Table {
        write!(io.out, "{}", printable_lines(&explained))?;
        io.out.flush()?;
        let file = found.file.as_deref().unwrap_or(&args.records).display();
        writeln!(io.err, "\nFrom {file}, as it stands there; aegis verify proves that it was not changed.")?;
    } else {
        output::document(args.output, &found, io)?;
    }
    Ok(Answer::Yes)
}

/// The files of a folder, ordered by name; the path itself where it is a file.
pub(crate) fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("cannot read {}", path.display());
    if fs::metadata(path).with_context(unreadable)?.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = fs::read_dir(path)
        .with_context(unreadable)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()
        .with_context(unreadable)?;
    files.retain(|path| path.is_file());
    files.sort();
    ensure!(!files.is_empty(), "{} holds no record files", path.display());
    Ok(files)
}

/// Looks for both records of a call. The first of each counts: ids do not repeat.
fn search(file: &Path, id: &str, found: &mut Found) -> std::io::Result<()> {
    let mut lines = BufReader::new(File::open(file)?);
    let limit = u64::try_from(MAX_RECORD_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') && line.len() > MAX_RECORD_BYTES {
            // Longer than any record: not one.
            lines.skip_until(b'\n')?;
            continue;
        }
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
}
