//! `aegis eval`: one decision per line, byte for byte what the sidecar records.

use std::io::Write as _;
use std::sync::Arc;

use aegis_decision::contract::DecisionInput;
use aegis_decision::decision::DecisionOutput;
use aegis_decision::json::Value;
use aegis_decision::run::RunIndex;
use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::args::EvalArgs;
use crate::calls::{self, Unreadable};
use crate::io::Io;
use crate::output::Answer;
use crate::resources::Judges;

/// Judges every line. A line that cannot be read does not stop the others.
pub(crate) fn run(args: &EvalArgs, io: &mut Io<'_>) -> Result<Answer> {
    let judges = Judges::load(&args.resources, &args.namespace)?;
    let mut written = Vec::new();
    let unreadable = calls::each(
        &args.calls,
        args.at.unwrap_or(io.now),
        io,
        |call, runs| judged(&judges, runs, call, args.arguments),
        |_, decision, io| {
            written.clear();
            serde_json::to_writer(&mut written, &decision).context("cannot write the decision")?;
            written.push(b'\n');
            Ok(io.out.write_all(&written)?)
        },
    )?;
    io.out.flush()?;
    Ok(if unreadable == 0 { Answer::Yes } else { Answer::Incomplete })
}

/// What is printed of a line.
#[derive(Serialize)]
#[serde(untagged)]
enum Judged {
    /// The bytes that a sidecar records.
    Plain(DecisionOutput),
    /// The same, and the arguments as they were judged; none of a request that could not be named.
    WithArguments {
        #[serde(flatten)]
        output: DecisionOutput,
        #[serde(skip_serializing_if = "Option::is_none")]
        arguments: Option<Value>,
    },
}

fn judged(judges: &Judges, runs: &RunIndex, input: DecisionInput, with_arguments: bool) -> Result<Judged, Unreadable> {
    if !with_arguments {
        return judges.judge(input, runs).map(Judged::Plain);
    }
    let arguments =
        judges.of(&input.agent)?.bundle.call_of_input(&input).ok().map(|call| Arc::unwrap_or_clone(call.arguments));
    Ok(Judged::WithArguments { output: judges.judge(input, runs)?, arguments })
}
