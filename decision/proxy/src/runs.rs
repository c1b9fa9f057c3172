//! What the sidecar remembers of its agent's runs, fed by recorded outcomes and by the answers that the agent got.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aegis_decision::bundle::Bundle;
use aegis_decision::call::ToolCall;
use aegis_decision::decision::{Decision, Outcome};
use aegis_decision::record::RecordedExecution;
use aegis_decision::run::{Answer, Ended, Fingerprinter, Limits, RunIndex, RunView, Said};
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
struct OfRun {
    run: String,
    tool: String,
    operation: String,
    /// What the call said, where some policy asks for origins.
    said: Option<Said>,
}

/// A call that goes. Dropped before it leaves, it was not done; dropped after that, nobody knows whether it was.
#[derive(Debug)]
pub struct Underway {
    runs: Arc<Runs>,
    call: OfRun,
    left: bool,
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

    /// Judges a call by what is known of its run. One that goes counts as under way from then on. Where rules of its
    /// operation ask about the run, no other call begins meanwhile: of two such calls at once, one sees the other.
    pub fn judge<E>(
        self: &Arc<Self>,
        bundle: &Bundle,
        call: ToolCall,
        now: Timestamp,
        decide: impl FnOnce(ToolCall, Option<&RunView>) -> Result<Decision, E>,
    ) -> Result<(Option<RunView>, Decision, Option<Underway>), E> {
        let of_run = self.of_call(bundle, &call);
        let index = self.index();
        let view = bundle.run_view(&call, &index, now);
        let alone = bundle.asks_about_run(&call).then_some(index);
        let decision = decide(call, view.as_ref())?;
        let goes = matches!(decision.outcome, Outcome::Allow(_) | Outcome::AllowOnce(_));
        let underway = of_run.filter(|_| goes).map(|call| {
            let mut index = alone.unwrap_or_else(|| self.index());
            index.sent(&call.run, &call.operation, now);
            Underway { runs: Arc::clone(self), call, left: false }
        });
        Ok((view, decision, underway))
    }

    fn of_call(&self, bundle: &Bundle, call: &ToolCall) -> Option<OfRun> {
        Some(OfRun {
            run: call.run.clone()?,
            tool: call.tool.clone(),
            operation: call.operation.clone(),
            said: bundle.asks_for_origins().then(|| Said::of_call(call, &self.fingerprinter)),
        })
    }

    fn index(&self) -> MutexGuard<'_, RunIndex> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Underway {
    /// The call is sent now.
    pub fn leaves(&mut self) {
        self.left = true;
    }

    /// The call has ended. An outcome that could not be recorded does not count as known.
    pub fn ended(mut self, exchange: &Exchange, recorded: bool) {
        let execution = exchange.execution();
        let ended = match execution {
            _ if !recorded => Ended::Unknown,
            RecordedExecution::Succeeded => Ended::Succeeded,
            RecordedExecution::Failed | RecordedExecution::NotSent => Ended::NotDone,
            RecordedExecution::Indeterminate => Ended::Unknown,
        };
        let OfRun { run, tool, operation, said } = &self.call;
        let answer = match (exchange, said) {
            (Exchange::Answered(answer), Some(said)) => {
                let told = Answer::of_bytes(&answer.body, &self.runs.fingerprinter).to(said);
                Some(if execution == RecordedExecution::Succeeded { told } else { told.refusing() })
            }
            _ => None,
        };
        let now = Timestamp::now();
        let mut index = self.runs.index();
        index.ended(run, operation, ended, now);
        if let Some(answer) = answer {
            index.learn(run, tool, operation, answer, now);
        }
        drop(index);
        self.left = true;
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if !self.left {
            self.runs.index().ended(&self.call.run, &self.call.operation, Ended::NotDone, Timestamp::now());
        }
    }
}
