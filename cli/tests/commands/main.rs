//! Every command as its user meets it: arguments in, streams and exit code out.

// All of this is test code, but clippy spares only functions that are marked as tests.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod agreement;
mod approvals;
mod cookbook;
mod cookbook_http;
mod eval;
mod flips;
mod help;
mod long_files;
mod policy_files;
mod policy_lint;
mod policy_test;
mod progress;
mod records;
mod rego;
mod schema;
mod verify;
mod why;

use std::io::Cursor;
use std::path::PathBuf;

use aegis_cli::{Exit, Io};

/// What a command printed and how it ended.
struct Ran {
    exit: Exit,
    out: String,
    err: String,
}

impl Ran {
    /// All of it in one text, for a snapshot.
    fn whole(&self) -> String {
        format!("{:?}\n--- out\n{}--- err\n{}", self.exit, self.out, self.err)
    }
}

/// Runs a command at a fixed time, without a terminal.
fn aegis(arguments: &[&str], input: &str) -> Ran {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = {
        let mut io = Io {
            input: Box::new(Cursor::new(input.as_bytes())),
            out: Box::new(&mut out),
            err: Box::new(&mut err),
            interactive: false,
            watched: false,
            now: "2026-05-04T10:30:00Z".parse().unwrap(),
        };
        aegis_cli::run(std::iter::once("aegis").chain(arguments.iter().copied()).map(Into::into), &mut io)
    };
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { exit, out: text(out), err: text(err) }
}

/// The shipped example.
fn procurement() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/procurement")
}
