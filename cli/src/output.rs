//! How a command ends, and how it prints: tables for people, JSON and YAML for programs, nothing that could take over a
//! terminal.

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use aegis_decision::disguise::disguises;
use anyhow::{Context as _, Result};
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::io::Io;

// What came from a server, a record or an agent goes through it before it reaches a terminal.
pub(crate) use aegis_decision::disguise::printable;

/// How to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document.
    Json,
    /// For programs: one YAML document.
    Yaml,
}

/// What a command found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It did what it was asked for.
    Yes,
    /// The answer is no, and the reason was printed.
    No,
    /// A part of the input could not be answered for; that was printed.
    Incomplete,
}

/// Exit code of the process; the help documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1: the answer is no.
    No,
    /// 2: no answer.
    Failed,
}

impl From<Answer> for Exit {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::Done,
            Answer::No => Self::No,
            Answer::Incomplete => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::No => Self::from(1),
            Exit::Failed => Self::from(2),
        }
    }
}

/// Prints why there is no answer.
pub(crate) fn report(error: &anyhow::Error, io: &mut Io<'_>) -> Exit {
    // Whoever read the answer, such as head, has closed it: they do not want more, so nothing is said either.
    let unread = error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe));
    if !unread {
        // Where not even the standard error can be written, the exit code is all that is left.
        let _ = io.out.flush();
        let _ = writeln!(io.err, "error: {}", printable_lines(&format!("{error:#}")));
    }
    Exit::Failed
}

/// Prints help or version, or what is wrong with the arguments.
pub(crate) fn report_usage(refused: &clap::Error, io: &mut Io<'_>) -> Exit {
    let asked_for = !refused.use_stderr();
    let text = refused.render();
    let written =
        if asked_for { write!(io.out, "{text}").and_then(|()| io.out.flush()) } else { write!(io.err, "{text}") };
    if asked_for && written.is_ok() { Exit::Done } else { Exit::Failed }
}

/// Writes what a command found: for people in the words of `text`, which end with a line break, else as a document.
pub(crate) fn print<T: Serialize>(
    format: Format,
    value: &T,
    text: impl FnOnce() -> String,
    io: &mut Io<'_>,
) -> Result<()> {
    if format != Format::Table {
        return document(format, value, io);
    }
    write!(io.out, "{}", printable_lines(&text()))?;
    Ok(io.out.flush()?)
}

/// Writes a document for programs.
pub(crate) fn document<T: Serialize>(format: Format, value: &T, io: &mut Io<'_>) -> Result<()> {
    let json = printable_json(&serde_json::to_string_pretty(value).context("cannot write the answer as JSON")?);
    let text = match format {
        Format::Yaml => yaml(value, json)?,
        Format::Json | Format::Table => json,
    };
    writeln!(io.out, "{}", text.trim_end())?;
    Ok(io.out.flush()?)
}

/// YAML, and where that would hold a character that hides or turns text, the JSON, which is YAML as well.
fn yaml<T: Serialize>(value: &T, json: String) -> Result<String> {
    // By way of a tree: the writer of YAML then sees maps and texts only, no types of ours.
    let tree = serde_json::to_value(value).context("cannot write the answer as YAML")?;
    let text = serde_saphyr::to_string(&tree).context("cannot write the answer as YAML")?;
    Ok(if text.chars().any(|c| c != '\n' && disguises(c)) { json } else { text })
}

/// Columns with a header, as kubectl prints them. Ends with a line break.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    format!("{}\n", table.trim_fmt())
}

/// A row of a description: a name, and a value that keeps its lines under each other.
pub(crate) fn row(out: &mut String, name: &str, value: &str) {
    out.push_str(format!("  {name:<14} {}", printable(value)).trim_end());
    out.push('\n');
}

/// As [`printable`], keeping line breaks.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// The same for JSON, where these characters stand in strings only (RFC 8259, section 7) and keep their meaning.
fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !disguises(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = fmt::Write::write_fmt(&mut shown, format_args!("\\u{unit:04x}"));
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(printable("a\u{1b}[2J\u{202e}b\r\n\u{9b}"), "a\\u{1b}[2J\\u{202e}b\\u{d}\\u{a}\\u{9b}");
        assert_eq!(printable_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let disguising: String = ('\0'..=char::MAX).filter(|c| disguises(*c)).collect();
        let value = serde_json::json!({"k\u{202e}": ["\u{1b}", "\u{e0041}", "ü", disguising]});
        let shown = printable_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|c| c != '\n' && disguises(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

    #[test]
    fn yaml_never_holds_what_a_terminal_obeys() {
        for text in ["\u{1b}[2J", "\u{202e}", "plain", "\u{9b}", "\u{a0}", "\u{fe0f}", "two\nlines", "# no: comment"] {
            let value = serde_json::json!({"key": text, "list": [{"a": 1}]});
            let shown = yaml(&value, printable_json(&serde_json::to_string_pretty(&value).unwrap())).unwrap();
            assert!(!shown.chars().any(|c| c != '\n' && disguises(c)), "{shown}");
            assert_eq!(serde_saphyr::from_str::<serde_json::Value>(&shown).unwrap(), value);
        }
    }
}
