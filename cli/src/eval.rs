//! `aegis eval`: one decision per line, byte for byte what the sidecar records.

use std::io::Write as _;

use anyhow::{Context as _, Result};

use crate::args::EvalArgs;
use crate::calls::{Lines, Unreadable};
use crate::io::Io;
use crate::output::{Answer, printable};
use crate::progress::Progress;
use crate::resources::Judges;

/// Judges every line. A line that cannot be read does not stop the others.
pub(crate) fn run(args: &EvalArgs, io: &mut Io<'_>) -> Result<Answer> {
    let judges = Judges::load(&args.resources, &args.namespace)?;
    let at = args.at.unwrap_or(io.now);
    let mut lines = Lines::of(&args.calls, io)?;
    let mut progress = Progress::of(io, lines.length);
    let mut answer = Answer::Yes;
    let mut written = Vec::new();
    while let Some(line) = lines.next().with_context(|| format!("cannot read {}", args.calls.display()))? {
        let Some(call) = line.call(at) else { continue };
        progress.at(lines.bytes);
        match call.and_then(|input| judges.judge(input)) {
            Ok(output) => {
                written.clear();
                serde_json::to_writer(&mut written, &output).context("cannot write the decision")?;
                written.push(b'\n');
                io.out.write_all(&written)?;
            }
            Err(Unreadable(problem)) => {
                // In the order of the lines, where both streams are looked at together.
                io.out.flush()?;
                let told = format!("{}:{}: {}", args.calls.display(), lines.number, printable(&problem));
                progress.say(&mut io.err, &told)?;
                answer = Answer::Incomplete;
            }
        }
    }
    io.out.flush()?;
    Ok(answer)
}
