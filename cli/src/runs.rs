//! Lines that say what tools returned, for the same memory of runs that a sidecar has.

use aegis_decision::json::Object;
use aegis_decision::run::{Returned, RunIndex};
use jiff::Timestamp;

use crate::calls::{Unreadable, typed};

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

    /// Takes the answer for the outcome of a call that succeeded.
    pub(crate) fn tell(&self, runs: &mut RunIndex) {
        runs.returned(&self.run, &self.response, self.at);
    }
}
