//! The runs of the lines: what tools returned, fed to the same memory that a sidecar has.

use aegis_decision::bundle::Bundle;
use aegis_decision::contract::DecisionInput;
use aegis_decision::json::Object;
use aegis_decision::run::{Returned, RunIndex, RunView};
use jiff::Timestamp;

use crate::calls::{Unreadable, typed};

/// Runs by name.
pub(crate) struct Runs(RunIndex);

/// A line `{"run": ..., "response": ...}`.
#[derive(Debug)]
pub(crate) struct Answered {
    run: String,
    response: Returned,
    at: Timestamp,
}

impl Answered {
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

impl Default for Runs {
    fn default() -> Self {
        Self(RunIndex::unkeyed())
    }
}

impl Runs {
    /// Takes an answer for the outcome of a call that succeeded.
    pub(crate) fn learn(&mut self, Answered { run, response, at }: &Answered) {
        self.0.returned(run, response, *at);
    }

    /// What is known of the run of a call; none for a call without one, or one that cannot be named.
    pub(crate) fn view(&self, bundle: &Bundle, input: &DecisionInput) -> Option<RunView> {
        if input.run.is_none() && input.http.is_none() {
            return None;
        }
        bundle.run_view(&bundle.call_of_input(input).ok()?, &self.0, input.at)
    }
}
