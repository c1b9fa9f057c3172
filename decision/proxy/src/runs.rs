//! What the sidecar remembers of its agent's runs, fed by recorded outcomes and by the answers that the agent got.

use std::sync::{Mutex, MutexGuard, PoisonError};

use aegis_decision::bundle::Bundle;
use aegis_decision::call::ToolCall;
use aegis_decision::record::RecordedExecution;
use aegis_decision::run::{Answer, Ended, Fingerprinter, Limits, RunIndex, RunView};
use jiff::Timestamp;

use crate::forward::Exchange;

/// The memory of all workers. Fingerprints are made outside of its lock.
#[derive(Debug)]
pub struct Runs {
    index: Mutex<RunIndex>,
    fingerprinter: Fingerprinter,
}

/// A call as its run remembers it, taken before the verdict consumes the call.
#[derive(Debug)]
pub struct OfRun {
    run: String,
    tool: String,
    operation: String,
    /// What the call said, where some policy asks for origins.
    said: Option<Answer>,
}

impl Default for Runs {
    fn default() -> Self {
        let fingerprinter = Fingerprinter::new(rand::random());
        Self { index: Mutex::new(RunIndex::new(fingerprinter.clone(), Limits::default())), fingerprinter }
    }
}

impl Runs {
    /// What is known of the call's run now; none for a call without one.
    pub fn view(&self, bundle: &Bundle, call: &ToolCall, now: Timestamp) -> Option<RunView> {
        bundle.run_view(call, &self.index(), now)
    }

    /// The call as its run remembers it; none for a call without one.
    pub fn of_call(&self, bundle: &Bundle, call: &ToolCall) -> Option<OfRun> {
        Some(OfRun {
            run: call.run.clone()?,
            tool: call.tool.clone(),
            operation: call.operation.clone(),
            said: bundle.asks_for_origins().then(|| Answer::of_value(&call.arguments, &self.fingerprinter)),
        })
    }

    /// The call is about to be sent. Should nothing be heard of it any more, nobody knows whether it was done.
    pub fn sent(&self, call: Option<&OfRun>) {
        if let Some(call) = call {
            self.index().sent(&call.run, &call.operation, Timestamp::now());
        }
    }

    /// The call has ended. An outcome that could not be recorded does not count as known.
    pub fn ended(&self, call: Option<&OfRun>, exchange: &Exchange, recorded: bool) {
        let Some(call) = call else { return };
        let execution = exchange.execution();
        let ended = match execution {
            _ if !recorded => Ended::Unknown,
            RecordedExecution::Succeeded => Ended::Succeeded,
            RecordedExecution::Failed | RecordedExecution::NotSent => Ended::NotDone,
            RecordedExecution::Indeterminate => Ended::Unknown,
        };
        let answer = match (exchange, &call.said) {
            (Exchange::Answered(answer), Some(said)) => {
                let told = Answer::of_bytes(&answer.body, &self.fingerprinter).to(said);
                Some(if execution == RecordedExecution::Succeeded { told } else { told.refusing() })
            }
            _ => None,
        };
        let now = Timestamp::now();
        let mut index = self.index();
        index.ended(&call.run, &call.operation, ended, now);
        if let Some(answer) = answer {
            index.learn(&call.run, &call.tool, &call.operation, answer, now);
        }
    }

    fn index(&self) -> MutexGuard<'_, RunIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
