//! The readers that are asked: one process each, all documents through it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a reader makes of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It reads this.
    Form(String),
    /// It reads this, and some object in it names a member twice.
    Twice(String),
    /// It refuses.
    Refused,
}

/// A script beside this file.
pub fn script(name: &str) -> String {
    format!("{}/tests/json_readers/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Asks a program about all documents, in order.
pub fn ask(program: &str, arguments: &[&str], documents: &[Vec<u8>]) -> Vec<String> {
    let mut child =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap_or_else(
            |error| panic!("{program} is needed to compare readers of JSON ({error}); run scripts/tools"),
        );
    let mut input = child.stdin.take().expect("a pipe");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let answers: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(move || {
            for document in documents {
                let line = format!("{} {}\n", document.len(), STANDARD.encode(document));
                // When the program has ended, its exit code tells more than the broken pipe.
                if input.write_all(line.as_bytes()).is_err() {
                    break;
                }
            }
        });
        output.lines().map(|line| line.expect("answers are UTF-8")).collect()
    });
    let status = child.wait().expect("it was started");
    assert!(status.success(), "{program} ended with {status} after {} answers", answers.len());
    assert_eq!(answers.len(), documents.len(), "{program} did not answer once per document");
    answers
}

/// An answer in forms.
pub fn form(answer: String) -> Answer {
    match answer.strip_prefix('2') {
        _ if answer == "!" => Answer::Refused,
        Some(form) => Answer::Twice(form.to_owned()),
        None => Answer::Form(answer),
    }
}
