//! What goes into a record: the decision with its circumstances, and the outcome.

use std::collections::BTreeMap;

use aegis_decision::approval::Release;
use aegis_decision::call::ToolCall;
use aegis_decision::codes::Code;
use aegis_decision::control::ApprovalAnswer;
use aegis_decision::decision::DecisionOutput;
use aegis_decision::digest::Digest;
use aegis_decision::json::Value;
use aegis_decision::record::{
    ApprovalRef, CONNECTION_END_RECORD_V1, CONNECTION_RECORD_V1, ClaimRef, ConnectionEndRecord, ConnectionEndTag,
    ConnectionRecord, ConnectionTag, ConnectionVerdict, DECISION_RECORD_V1, DecisionRecord, DecisionTag, Ended,
    ErrorClass, Mode, OUTCOME_RECORD_V1, OutcomeRecord, OutcomeTag, RecordedExecution, Way, clear_values,
};
use aegis_decision::tool::Tool;
use jiff::Timestamp;

use super::Recorder;
use crate::claim::Won;
use crate::forward::Exchange;
use crate::state::View;
use crate::ways::site::Site;

/// A new id: 128 random bits in hex.
pub fn new_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// By whose request a call may go once, or for which it waits.
#[derive(Debug, Clone, Default)]
pub struct Approval(Option<ApprovalRef>);

impl Approval {
    /// The call waits for this request.
    pub fn asked(answer: &ApprovalAnswer) -> Self {
        Self(Some(reference(&answer.name, &answer.uid)))
    }

    /// The call was released. Its claim, once it is won, is named by [`claim`].
    pub fn released(release: &Release) -> Self {
        Self(Some(reference(&release.request_name, &release.request_uid)))
    }
}

/// The claim that was won for a call.
pub fn claim(won: &Won) -> ClaimRef {
    ClaimRef { nonce: won.receipt.nonce.clone(), at: won.receipt.at }
}

/// What the record keeps of the call itself, taken before the verdict consumes the call.
#[derive(Debug, Clone, Default)]
pub struct About {
    target: Option<String>,
    traceparent: Option<String>,
    run: Option<String>,
    plan: Option<String>,
    values: BTreeMap<String, Value>,
}

impl About {
    /// Of a named call. A call that could not be named has the default: nothing of it is known for sure.
    pub fn new(tool: &Tool, call: &ToolCall) -> Self {
        let site = Site { host: tool.endpoint.host.clone(), port: tool.endpoint.port };
        Self {
            target: Some(format!("{}://{site}", tool.endpoint.scheme.as_str())),
            traceparent: call.traceparent.clone(),
            run: call.run.clone(),
            plan: call.plan.clone(),
            values: tool.operation(&call.operation).map(|it| clear_values(it, call)).unwrap_or_default(),
        }
    }
}

fn reference(name: &str, uid: &str) -> ApprovalRef {
    ApprovalRef { name: name.to_owned(), uid: uid.to_owned(), approvers: Vec::new(), preview_digest: None }
}

/// The record of a decision.
pub fn decision(
    recorder: &Recorder,
    view: &View,
    id: &str,
    about: About,
    output: &DecisionOutput,
    approval: Approval,
    latency: std::time::Duration,
) -> DecisionRecord {
    let delegation = output.delegation.as_ref();
    DecisionRecord {
        kind: DecisionTag::Decision,
        v: DECISION_RECORD_V1.to_owned(),
        id: id.to_owned(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: recorder.monotonic_micros(),
        agent: view.policy.bundle.agent().into(),
        pod: recorder.pod().clone(),
        mode: Mode::from(view.policy.bundle.agent().mode),
        target: about.target,
        bundle_version: Some(view.policy.version),
        decision: output.clone(),
        approval: approval.0,
        claim: None,
        traceparent: about.traceparent,
        run: about.run,
        plan: about.plan,
        purpose: delegation
            .and_then(|reference| view.grants.delegations.iter().find(|delegation| delegation.name == reference.name))
            .map(|delegation| delegation.purpose.clone()),
        values: about.values,
        latency_micros: micros(latency),
        shortened: false,
    }
}

/// The record of how a call ended.
pub fn outcome(
    recorder: &Recorder,
    decision: &str,
    exchange: &Exchange,
    idempotency_key: Option<String>,
    latency: std::time::Duration,
) -> OutcomeRecord {
    let body = match exchange {
        Exchange::Answered(answer) => Some(&answer.body),
        Exchange::Withheld { .. } | Exchange::Fault(_) => None,
    };
    let sent = exchange.sent();
    OutcomeRecord {
        response_digest: body.map(|body| Digest::of_bytes(body)),
        response_bytes: body.and_then(|body| u64::try_from(body.len()).ok()),
        status: exchange.status(),
        error: exchange.error(),
        idempotency_key: idempotency_key.filter(|_| sent),
        latency_micros: if sent { micros(latency) } else { 0 },
        ..blank(recorder, decision, exchange.execution(), sent)
    }
}

/// The record of a call that was decided and then not sent: suspended, stale or draining since.
pub fn aborted(recorder: &Recorder, decision: &str) -> OutcomeRecord {
    OutcomeRecord { error: Some(ErrorClass::Aborted), ..blank(recorder, decision, RecordedExecution::NotSent, false) }
}

fn blank(recorder: &Recorder, decision: &str, execution: RecordedExecution, sent: bool) -> OutcomeRecord {
    OutcomeRecord {
        kind: OutcomeTag::Outcome,
        v: OUTCOME_RECORD_V1.to_owned(),
        id: new_id(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: recorder.monotonic_micros(),
        decision: decision.to_owned(),
        execution,
        sent,
        status: None,
        response_digest: None,
        response_bytes: None,
        error: None,
        idempotency_key: None,
        latency_micros: 0,
    }
}

/// What was decided about a connection.
#[derive(Debug)]
pub struct Connection {
    /// Id of the record.
    pub id: String,
    /// How it came in.
    pub way: Way,
    /// Host, where it named one.
    pub host: Option<String>,
    /// Port.
    pub port: u16,
    /// Whether it is opened.
    pub verdict: ConnectionVerdict,
    /// Why not.
    pub code: Option<Code>,
    /// The same in a sentence.
    pub detail: Option<String>,
    /// Why it may be.
    pub reason: Option<String>,
}

/// The record of a connection.
pub fn connection(recorder: &Recorder, view: &View, about: Connection) -> ConnectionRecord {
    let Connection { id, way, host, port, verdict, code, detail, reason } = about;
    ConnectionRecord {
        kind: ConnectionTag::Connection,
        v: CONNECTION_RECORD_V1.to_owned(),
        id,
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: recorder.monotonic_micros(),
        agent: view.policy.bundle.agent().into(),
        pod: recorder.pod().clone(),
        way,
        host,
        port,
        verdict,
        code,
        detail,
        reason,
        bundle: view.policy.bundle.digest(),
        bundle_version: view.policy.version,
        count: 1,
    }
}

/// How a connection ended.
#[derive(Debug)]
pub struct ConnectionEnd {
    /// Id of its record.
    pub connection: String,
    /// What ended it.
    pub ended: Ended,
    /// The rule that it no longer met.
    pub code: Option<Code>,
    /// Why it was never connected.
    pub error: Option<ErrorClass>,
    /// Bytes to the host.
    pub sent_bytes: u64,
    /// Bytes from the host.
    pub received_bytes: u64,
}

impl ConnectionEnd {
    /// An end without more to say.
    pub fn new(connection: &str, ended: Ended) -> Self {
        Self { connection: connection.to_owned(), ended, code: None, error: None, sent_bytes: 0, received_bytes: 0 }
    }
}

/// The record of a connection's end.
pub fn connection_end(recorder: &Recorder, end: ConnectionEnd, time: std::time::Duration) -> ConnectionEndRecord {
    let ConnectionEnd { connection, ended, code, error, sent_bytes, received_bytes } = end;
    ConnectionEndRecord {
        kind: ConnectionEndTag::ConnectionEnd,
        v: CONNECTION_END_RECORD_V1.to_owned(),
        id: new_id(),
        sequence: 0,
        epoch: String::new(),
        time: Timestamp::now(),
        monotonic_micros: recorder.monotonic_micros(),
        connection,
        ended,
        code,
        error,
        sent_bytes,
        received_bytes,
        duration_micros: micros(time),
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
