//! Files of calls, one JSON object a line, as `aegis eval` and `aegis policy diff` read them: one line at a time, each
//! bounded, so a file may be of any length.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::path::Path;

use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::json::{self, Object, Value};
use aegis_decision::run::RunIndex;
use anyhow::{Context as _, Result};
use jiff::Timestamp;

use crate::io::Io;
use crate::output::printable;
use crate::progress::Progress;
use crate::runs::Answered;

/// Longest line in bytes. A tool's own limit on its requests is far below.
pub(crate) const MAX_LINE_BYTES: usize = 4 << 20;
/// What is read from a file at once.
const BUFFER_BYTES: usize = 1 << 18;

/// Why a line is no call, with the field where there is one.
#[derive(Debug)]
pub(crate) struct Unreadable(pub(crate) String);

/// Lines of a file, and how much of it was read.
pub(crate) struct Lines<'a> {
    input: Box<dyn BufRead + 'a>,
    line: Vec<u8>,
    /// Number of the line that was read last, from 1.
    pub(crate) number: u64,
    /// Bytes read so far.
    pub(crate) bytes: u64,
    /// Length of the file; none for the standard input and what has no length.
    pub(crate) length: Option<u64>,
}

/// What a line is.
pub(crate) enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// More than [`MAX_LINE_BYTES`]; it was skipped.
    TooLong,
}

impl<'a> Lines<'a> {
    /// Of a file, or of the standard input where the path is `-`.
    pub(crate) fn of(path: &Path, io: &mut Io<'a>) -> Result<Self> {
        let (input, length): (Box<dyn BufRead + 'a>, _) = if path == Path::new("-") {
            (std::mem::replace(&mut io.input, Box::new(std::io::empty())), None)
        } else {
            let unreadable = || format!("cannot read {}", path.display());
            let file = File::open(path).with_context(unreadable)?;
            let metadata = file.metadata().with_context(unreadable)?;
            let length = metadata.is_file().then_some(metadata.len());
            (Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), length)
        };
        Ok(Self { input, line: Vec::new(), number: 0, bytes: 0, length })
    }

    /// The next line, or none at the end. What is too long is skipped, not kept.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Line<'_>>> {
        self.line.clear();
        let limit = u64::try_from(MAX_LINE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
        let mut read = (&mut self.input).take(limit).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number = self.number.saturating_add(1);
        let ended = self.line.last() == Some(&b'\n');
        let too_long = !ended && self.line.len() > MAX_LINE_BYTES;
        if ended {
            self.line.pop();
        } else if too_long {
            read = read.saturating_add(self.input.skip_until(b'\n')?);
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(Some(if too_long { Line::TooLong } else { Line::Whole(&self.line) }))
    }
}

/// Judges each call of a file by what tools returned in the lines before it, and gives `then` the line's number and
/// what came of it. A line that cannot be read is printed and does not stop the others; answers how many there are.
/// Without a time a line is of `at`.
pub(crate) fn each<T>(
    file: &Path,
    at: Timestamp,
    io: &mut Io<'_>,
    judge: impl Fn(DecisionInput, &RunIndex) -> Result<T, Unreadable>,
    mut then: impl FnMut(u64, T, &mut Io<'_>) -> Result<()>,
) -> Result<u64> {
    let mut lines = Lines::of(file, io)?;
    let mut progress = Progress::of(io, lines.length);
    let mut runs = RunIndex::unkeyed();
    let mut unreadable = 0_u64;
    while let Some(line) = lines.next().with_context(|| format!("cannot read {}", file.display()))? {
        let Some(input) = line.input(at) else { continue };
        progress.at(lines.bytes);
        let judged = match input {
            Ok(Input::Answered(answered)) => {
                answered.tell(&mut runs);
                continue;
            }
            Ok(Input::Call(call)) => judge(*call, &runs),
            Err(problem) => Err(problem),
        };
        match judged {
            Ok(judged) => then(lines.number, judged, io)?,
            Err(Unreadable(problem)) => {
                unreadable = unreadable.saturating_add(1);
                // In the order of the lines, where both streams are looked at together.
                io.out.flush()?;
                let told = format!("{}:{}: {}", file.display(), lines.number, printable(&problem));
                progress.say(&mut io.err, &told)?;
            }
        }
    }
    Ok(unreadable)
}

/// What a line says.
enum Input {
    /// A call to judge.
    Call(Box<DecisionInput>),
    /// What a tool returned earlier in a run.
    Answered(Box<Answered>),
}

impl Line<'_> {
    /// What a line says; none for one that is empty. Without a time it is `at`.
    fn input(&self, at: Timestamp) -> Option<Result<Input, Unreadable>> {
        match self {
            Self::Whole(bytes) if bytes.trim_ascii().is_empty() => None,
            Self::Whole(bytes) => Some(input(bytes, at)),
            Self::TooLong => Some(Err(Unreadable(format!("is longer than {MAX_LINE_BYTES} bytes")))),
        }
    }
}

fn input(line: &[u8], at: Timestamp) -> Result<Input, Unreadable> {
    let members = members(line)?;
    if members.get("response").is_some() {
        return Answered::of(members, at).map(|answered| Input::Answered(Box::new(answered)));
    }
    call_of(members, at).map(|call| Input::Call(Box::new(call)))
}

/// The call that one JSON object describes. A call without a time is made `at`.
pub(crate) fn call(line: &[u8], at: Timestamp) -> Result<DecisionInput, Unreadable> {
    call_of(members(line)?, at)
}

fn members(line: &[u8]) -> Result<Object, Unreadable> {
    match json::parse(line).map_err(|error| Unreadable(format!("is not strict JSON: {error}")))? {
        Value::Object(members) => Ok(members),
        _ => Err(Unreadable("is not a JSON object".to_owned())),
    }
}

fn call_of(members: Object, at: Timestamp) -> Result<DecisionInput, Unreadable> {
    let input = read(members, at)?;
    if input.http.is_some() == input.operation.is_some() {
        return Err(Unreadable("http, operation: give exactly one of them".to_owned()));
    }
    if input.http.is_some() && input.arguments.is_some() {
        return Err(Unreadable("arguments: stand in the request where http is given".to_owned()));
    }
    if input.arguments.as_ref().is_some_and(|arguments| arguments.as_object().is_none()) {
        return Err(Unreadable("arguments: is not an object".to_owned()));
    }
    Ok(input)
}

/// Reads members by moving them, without another tree in between.
fn read(members: Object, at: Timestamp) -> Result<DecisionInput, Unreadable> {
    let mut input = DecisionInput::new("", "", at);
    let (mut has_agent, mut has_tool) = (false, false);
    for (name, value) in members {
        // An absent member may be written as null, but for those that every call has.
        match (name.as_str(), value) {
            ("agent", value) => (input.agent, has_agent) = (text("agent", value)?, true),
            ("tool", value) => (input.tool, has_tool) = (text("tool", value)?, true),
            ("at", value) => input.at = typed("at", &value)?,
            ("operation" | "delegation" | "run" | "http" | "arguments" | "runView", Value::Null) => {}
            ("operation", value) => input.operation = Some(text("operation", value)?),
            ("delegation", value) => input.delegation = Some(text("delegation", value)?),
            ("run", value) => input.run = Some(text("run", value)?),
            ("http", value) => input.http = Some(typed::<HttpInput>("http", &value)?),
            ("runView", value) => input.run_view = Some(typed("runView", &value)?),
            ("arguments", value) => input.arguments = Some(value),
            ("facts", Value::Object(facts)) => {
                input.facts = facts.into_iter().map(|(name, fact)| (name.into_string(), fact)).collect();
            }
            ("facts", _) => return Err(Unreadable("facts: is not an object".to_owned())),
            (unknown, _) => {
                return Err(Unreadable(format!("unknown field `{unknown}`, expected one of {FIELDS}")));
            }
        }
    }
    match (has_agent, has_tool) {
        (false, _) => Err(Unreadable("missing field `agent`".to_owned())),
        (_, false) => Err(Unreadable("missing field `tool`".to_owned())),
        _ => Ok(input),
    }
}

fn text(name: &str, value: Value) -> Result<String, Unreadable> {
    match value {
        Value::String(text) => Ok(text.into_string()),
        _ => Err(Unreadable(format!("{name}: is not a string"))),
    }
}

/// One member as its type.
pub(crate) fn typed<T: serde::de::DeserializeOwned>(name: &str, value: &Value) -> Result<T, Unreadable> {
    T::deserialize(&json::to_serde(value)).map_err(|error| Unreadable(format!("{name}: {error}")))
}

const FIELDS: &str = "`agent`, `tool`, `http`, `operation`, `arguments`, `delegation`, `run`, `facts`, `runView`, `at`";

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-05-04T10:30:00Z".parse().unwrap()
    }

    #[test]
    fn a_line_is_read_as_the_contract_writes_it() {
        for line in [
            r#"{"agent":"n/a","tool":"t","operation":"o","at":"2026-01-02T03:04:05Z"}"#,
            r#"{"agent":"n/a","tool":"t","operation":"o","arguments":{"b":[1,"2"],"a":null},"delegation":"d","run":"r","facts":{"f":{"x":1.5}},"at":"2026-01-02T03:04:05Z"}"#,
            r#"{"agent":"n/a","tool":"t","http":{"method":"GET","path":"/","query":"a=1","headers":[["accept","*/*"]]},"at":"2026-01-02T03:04:05Z"}"#,
        ] {
            let input = call(line.as_bytes(), now()).unwrap();
            assert_eq!(input, serde_json::from_str::<DecisionInput>(line).unwrap());
            assert_eq!(serde_json::to_string(&input).unwrap(), line);
        }
    }

    #[test]
    fn a_number_keeps_every_digit() {
        let line = r#"{"agent":"n/a","tool":"t","operation":"o","arguments":{"n":0.123456789012345}}"#;
        let input = call(line.as_bytes(), now()).unwrap();
        assert_eq!(json::emit(&input.arguments.unwrap()), br#"{"n":0.123456789012345}"#);
        assert_eq!(input.at, now());
    }

    #[test]
    fn lines_are_counted_and_bounded() {
        let text = format!("a\n{}\n\nlast", "x".repeat(MAX_LINE_BYTES + 1));
        let mut lines = Lines { input: Box::new(text.as_bytes()), line: Vec::new(), number: 0, bytes: 0, length: None };
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push(match line {
                Line::Whole(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
                Line::TooLong => "too long".to_owned(),
            });
        }
        assert_eq!(seen, ["a", "too long", "", "last"]);
        assert_eq!((lines.number, lines.bytes), (4, u64::try_from(text.len()).unwrap()));
        assert!(lines.line.capacity() <= 2 * MAX_LINE_BYTES + 2, "what is too long is not kept");
    }
}
