//! What a command reads from and writes to, and what time it is: the edge of the program, in one value.

use std::io::{self, BufRead, IsTerminal as _, Write};

use jiff::Timestamp;

/// Streams and clock of a command. Tests give their own.
pub struct Io<'a> {
    /// Standard input.
    pub input: Box<dyn BufRead + 'a>,
    /// Standard output: the answer, and nothing else.
    pub out: Box<dyn Write + 'a>,
    /// Standard error: whatever is said beside the answer.
    pub err: Box<dyn Write + 'a>,
    /// Whether a person can be asked.
    pub interactive: bool,
    /// Whether somebody watches the standard error while the answer goes elsewhere, so that progress may be shown there.
    pub watched: bool,
    /// When the command began.
    pub now: Timestamp,
}

impl Io<'static> {
    /// Those of the process.
    pub fn of_process() -> Self {
        Self {
            input: Box::new(io::stdin().lock()),
            out: Box::new(io::BufWriter::new(io::stdout())),
            err: Box::new(io::stderr()),
            interactive: io::stdin().is_terminal() && io::stderr().is_terminal(),
            watched: io::stderr().is_terminal() && !io::stdout().is_terminal(),
            now: Timestamp::now(),
        }
    }
}
