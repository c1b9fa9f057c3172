//! The runs of the lines: what tools returned, fed to the same memory that a sidecar has.

use aegis_decision::bundle::Bundle;
use aegis_decision::contract::DecisionInput;
use aegis_decision::json::{Object, Value};
use aegis_decision::run::{Answer, Ended, Fingerprinter, Limits, RunIndex, RunView};
use jiff::Timestamp;
use serde::Deserialize;

use crate::calls::{Unreadable, typed};

/// Runs by name.
pub(crate) struct Runs(RunIndex);

/// A line `{"run": ..., "response": ...}`.
#[derive(Debug)]
pub(crate) struct Returned {
    run: String,
    response: Response,
    at: Timestamp,
}

impl Returned {
    /// From the members of a line; one without a time is `at`.
    pub(crate) fn of(members: Object, at: Timestamp) -> Result<Self, Unreadable> {
        let (mut run, mut response, mut when) = (None, None, at);
        for (name, value) in members {
            match name.as_str() {
                "run" => run = Some(typed("run", &value)?),
                "response" => response = Some(typed("response", &value)?),
                "at" => when = typed("at", &value)?,
                unknown => {
                    let problem = format!("unknown field `{unknown}`, expected one of `run`, `response`, `at`");
                    return Err(Unreadable(problem));
                }
            }
        }
        match (run, response) {
            (Some(run), Some(response)) => Ok(Self { run, response, at: when }),
            (None, _) => Err(Unreadable("missing field `run`".to_owned())),
            (_, None) => Err(Unreadable("missing field `response`".to_owned())),
        }
    }
}

/// What a tool returned.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Response {
    tool: String,
    operation: String,
    /// JSON; a text that is an answer by itself tells words only, as in a sidecar.
    content: Value,
    /// Arguments of the call that it answers: what it only repeats of them, it does not supply.
    #[serde(default)]
    arguments: Option<Value>,
}

impl Default for Runs {
    fn default() -> Self {
        // The memory ends with this process and is shown to nobody, so its key need not be secret.
        Self(RunIndex::new(Fingerprinter::new([0; 32]), Limits::default()))
    }
}

impl Runs {
    /// Takes an answer for the outcome of a call that succeeded.
    pub(crate) fn learn(&mut self, Returned { run, response, at }: &Returned) {
        let Response { tool, operation, content, arguments } = response;
        let fingerprinter = self.0.fingerprinter();
        let answer = match content {
            Value::String(text) => Answer::of_bytes(text.as_bytes(), fingerprinter),
            content => Answer::of_value(content, fingerprinter),
        };
        let answer = match arguments {
            Some(arguments) => answer.to(&Answer::of_value(arguments, fingerprinter)),
            None => answer,
        };
        self.0.sent(run, operation, *at);
        self.0.ended(run, operation, Ended::Succeeded, *at);
        self.0.learn(run, tool, operation, answer, *at);
    }

    /// What is known of the run of a call; none for a call without one, or one that cannot be named.
    pub(crate) fn view(&self, bundle: &Bundle, input: &DecisionInput) -> Option<RunView> {
        if input.run.is_none() && input.http.is_none() {
            return None;
        }
        bundle.run_view(&bundle.call_of_input(input).ok()?, &self.0, input.at)
    }
}
