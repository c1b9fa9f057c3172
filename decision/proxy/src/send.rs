//! The second half of the flow: record, forward, outcome, answer.

use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::control::Execution;
use aegis_decision::decision::DecisionOutput;
use aegis_decision::permit::Permit;
use aegis_decision::record::ErrorClass;
use aegis_decision::tool::Tool;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::answer::{Answer, Problem};
use crate::claim::Won;
use crate::failpoint;
use crate::forward::{self, Exchange, Fault, idempotency_key};
use crate::gate::Call;
use crate::record::Intent;
use crate::record::compose;
use crate::runs::Underway;
use crate::state::View;

/// Time for a call of an operation that its tool does not declare. There is none: such a call gets no permit.
const UNDECLARED_SECONDS: u32 = 30;

impl Call {
    /// Records, forwards, records the outcome, answers. `intent` is the record of this decision, with its claim where one was
    /// won.
    pub(crate) async fn send(
        &mut self,
        view: &View,
        tool: &Tool,
        permit: Permit,
        output: &DecisionOutput,
        intent: Intent,
        won: Option<Won>,
    ) -> Answer {
        let shared = &self.worker.shared;
        let class = permit.class();
        let approved = won.is_some();
        failpoint!("intent.before" if approved);
        let Ok((receipt, room)) = self.recorder.decision(intent).await else {
            self.report(won.as_ref(), Execution::Failed, false, None).await;
            return Code::RecordNotWritable.into();
        };
        failpoint!("intent.after" if approved);
        // A suspension may have come while the record was written: what is not sent yet is not sent.
        let still = shared.state.view().ok_or(Code::NotReady);
        if let Err(code) = still.and_then(|view| view.may_still_send(class, Timestamp::now())) {
            let _ = self.recorder.outcome(compose::aborted(&self.recorder, &self.id), class, room).await;
            self.report(won.as_ref(), Execution::Failed, false, None).await;
            return code.into();
        }
        let seconds = output.operation.as_deref().and_then(|name| tool.operation(name)).map(|it| it.timeout_seconds);
        let time = Duration::from_secs(seconds.unwrap_or(UNDECLARED_SECONDS).into());
        let key = idempotency_key(&permit, &self.id);
        let began = Instant::now();
        let mut underway = self.underway.take();
        underway.iter_mut().for_each(Underway::leaves);
        failpoint!("send.before" if approved);
        // The agent gets, and the record knows, only what may be seen of the answer.
        let redactor = output.operation.as_deref().and_then(|name| view.policy.bundle.redactor(&tool.name, name));
        let exchange = self.worker.upstream.forward(permit, receipt, tool, time, key.as_deref(), redactor).await;
        failpoint!("send.after" if approved);
        let execution = exchange.execution();
        shared.metrics.ended(execution, &tool.name);
        let record = compose::outcome(&self.recorder, &self.id, &exchange, key, began.elapsed());
        failpoint!("outcome.before" if approved);
        let recorded = self.recorder.outcome(record, class, room).await.is_ok();
        if let Some(underway) = underway {
            underway.ended(&exchange, recorded);
        }
        if !recorded {
            // It happened all the same: the agent must not be told to try again.
            tracing::error!(decision = self.id, "outcome not durable yet: it waits for records to be writable");
        }
        failpoint!("outcome.after" if approved);
        self.report(won.as_ref(), execution.into(), exchange.sent(), exchange.status()).await;
        forwarded(exchange)
    }

    /// Tells the control service how a claimed call ended.
    async fn report(&self, won: Option<&Won>, execution: Execution, sent: bool, status: Option<u16>) {
        if let Some(won) = won {
            self.worker.shared.reports.send(won.report(execution, sent, status, &self.id)).await;
        }
    }
}

/// The answer for a call that was let through.
fn forwarded(exchange: Exchange) -> Answer {
    let outcome = exchange.execution();
    match exchange {
        Exchange::Answered(answer) => Answer::Upstream(answer),
        Exchange::Withheld { reason, .. } => {
            let detail = format!("the upstream answered, and its answer is withheld: {reason}");
            Problem::with_detail(Code::RedactionFailed, detail).ended(outcome).into()
        }
        Exchange::Fault(Fault { error, sent, detail }) => {
            let code = match (sent, error) {
                (false, _) => Code::UpstreamUnreachable,
                (true, ErrorClass::Timeout) => Code::UpstreamTimeout,
                (true, _) => Code::UpstreamFailed,
            };
            Problem::with_detail(code, detail).ended(outcome).into()
        }
    }
}

/// The answer for a call that was let through and could not be sent.
pub(crate) fn unsent(tool: &Tool, error: ErrorClass, what: &str) -> Answer {
    forwarded(forward::unsent(tool, error, what))
}
