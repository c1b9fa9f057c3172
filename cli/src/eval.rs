//! `aegis eval`: one decision per line, byte for byte what the sidecar records.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;

use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::decision::DecisionOutput;
use aegis_decision::json::{self, Object, Value};
use anyhow::{Context as _, Result};
use jiff::Timestamp;
use kube::ResourceExt as _;
use serde::Deserialize as _;

use crate::args::EvalArgs;
use crate::io::Io;
use crate::output::{Answer, printable};
use crate::resources::{self, Judge};

/// Longest line in bytes. A tool's own limit on its requests is far below.
const MAX_LINE_BYTES: usize = 4 << 20;

/// Judges every line. A line that cannot be read does not stop the others.
pub(crate) fn run(args: &EvalArgs, io: &mut Io<'_>) -> Result<Answer> {
    let judges = judges(args)?;
    let at = args.at.unwrap_or(io.now);
    let mut file;
    let lines: &mut dyn BufRead = if args.calls == Path::new("-") {
        &mut *io.input
    } else {
        file =
            BufReader::new(File::open(&args.calls).with_context(|| format!("cannot read {}", args.calls.display()))?);
        &mut file
    };
    let mut answer = Answer::Yes;
    let mut number: u64 = 0;
    while let Some(line) = next_line(lines).with_context(|| format!("cannot read {}", args.calls.display()))? {
        number = number.saturating_add(1);
        let result = match &line {
            Line::Whole(bytes) if bytes.trim_ascii().is_empty() => continue,
            Line::Whole(bytes) => read(bytes, at).and_then(|input| judge(&judges, &input)),
            Line::TooLong => Err(Unreadable(format!("is longer than {MAX_LINE_BYTES} bytes"))),
        };
        match result {
            Ok(output) => {
                serde_json::to_writer(&mut io.out, &output).context("cannot write the decision")?;
                writeln!(io.out)?;
            }
            Err(Unreadable(problem)) => {
                // In the order of the lines, where both streams are looked at together.
                io.out.flush()?;
                writeln!(io.err, "{}:{number}: {}", args.calls.display(), printable(&problem))?;
                answer = Answer::Incomplete;
            }
        }
    }
    io.out.flush()?;
    Ok(answer)
}

/// Why a line is no call, with the field where there is one.
struct Unreadable(String);

fn judges(args: &EvalArgs) -> Result<BTreeMap<String, Judge>> {
    let resources = resources::load(&args.resources, &args.namespace)?;
    resources
        .agents
        .iter()
        .map(|agent| {
            let name = format!("{}/{}", resources::home(agent), agent.name_any());
            Ok((name, Judge::of(agent, &resources)?))
        })
        .collect()
}

fn judge(judges: &BTreeMap<String, Judge>, input: &DecisionInput) -> Result<DecisionOutput, Unreadable> {
    let Some(Judge { bundle, standing, delegations }) = judges.get(&input.agent) else {
        let known = judges.keys().cloned().collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "none".to_owned() } else { known };
        return Err(Unreadable(format!("agent: {} is not among the resources; they have: {known}", input.agent)));
    };
    if input.http.is_some() == input.operation.is_some() {
        return Err(Unreadable("http, operation: give exactly one of them".to_owned()));
    }
    if input.http.is_some() && input.arguments.is_some() {
        return Err(Unreadable("arguments: stand in the request where http is given".to_owned()));
    }
    if input.arguments.as_ref().is_some_and(|arguments| arguments.as_object().is_none()) {
        return Err(Unreadable("arguments: is not an object".to_owned()));
    }
    Ok(bundle.judge_input(input, standing, delegations))
}

fn read(line: &[u8], at: Timestamp) -> Result<DecisionInput, Unreadable> {
    let parsed = json::parse(line).map_err(|error| Unreadable(format!("is not strict JSON: {error}")))?;
    let Value::Object(mut members) = parsed else {
        return Err(Unreadable("is not a JSON object".to_owned()));
    };
    if members.get("response").is_some() {
        let problem = "response: what a tool returned is not supported yet; only calls are judged";
        return Err(Unreadable(problem.to_owned()));
    }
    if members.get("at").is_none() {
        // Cannot be refused: the member is not there yet.
        let _ = members.insert("at", Value::String(at.to_string()));
    }
    typed(members)
}

fn typed(members: Object) -> Result<DecisionInput, Unreadable> {
    let whole = json::to_serde(&Value::Object(members));
    DecisionInput::deserialize(&whole).map_err(|error| {
        Unreadable(match wrong_member(&whole) {
            Some((name, error)) => format!("{name}: {error}"),
            None => error.to_string(),
        })
    })
}

/// The member that is not of its type, since the reader of the whole line does not name it.
fn wrong_member(whole: &serde_json::Value) -> Option<(&str, serde_json::Error)> {
    whole.as_object()?.iter().find_map(|(name, value)| {
        let read = match name.as_str() {
            "agent" | "tool" | "operation" | "delegation" | "run" => String::deserialize(value).map(drop),
            "http" => HttpInput::deserialize(value).map(drop),
            "facts" => BTreeMap::<String, serde_json::Value>::deserialize(value).map(drop),
            "at" => Timestamp::deserialize(value).map(drop),
            _ => Ok(()),
        };
        read.err().map(|error| (name.as_str(), error))
    })
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// The next line without its end, or none at the end of the input. What is too long is skipped, not kept.
fn next_line(input: &mut dyn BufRead) -> std::io::Result<Option<Line>> {
    let mut line = Vec::new();
    let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    if input.take(limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
    } else if line.len() > MAX_LINE_BYTES {
        input.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(Line::Whole(line)))
}
