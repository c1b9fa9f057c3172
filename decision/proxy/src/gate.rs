//! The flow of one call: listen, ingress, facts, decide, record, forward, outcome, answer.

use std::sync::Arc;

use aegis_decision::call::ToolCall;
use aegis_decision::codes::Code;
use aegis_decision::decide::{self, Evidence};
use aegis_decision::decision::{Decision, DecisionOutput, Outcome, Verdict, Would};
use aegis_decision::facts::FactSet;
use aegis_decision::naming::Malformed;
use aegis_decision::permit::OncePermit;
use aegis_decision::record::ErrorClass;
use aegis_decision::rego::OutOfTime;
use aegis_decision::run::RunView;
use aegis_decision::tool::{Class, Tool};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::{self, Answer, Problem};
use crate::claim::{Claimed, claim};
use crate::facts;
use crate::hold::{Asking, Held, Hold};
use crate::ingress::{self, Arrived};
use crate::patience;
use crate::plan;
use crate::record::compose::{self, About, Approval};
use crate::record::{Intent, NotWritable, Recorder};
use crate::runs::Underway;
use crate::send::unsent;
use crate::state::View;
use crate::ways::Door;
use crate::worker::Worker;

/// One call under way.
pub(crate) struct Call {
    pub(crate) worker: Arc<Worker>,
    pub(crate) recorder: Recorder,
    pub(crate) id: String,
    /// When its last byte was there.
    pub(crate) arrived: Instant,
    /// Cancelled when the agent no longer waits.
    pub(crate) gone: CancellationToken,
    /// From the verdict on that lets it go.
    pub(crate) underway: Option<Underway>,
    verdict: Option<Verdict>,
    /// What would become of it, where something is tried out.
    would: Option<Would>,
    tool: Option<String>,
}

/// A verdict with what it rests on.
struct Found {
    facts: FactSet,
    run_view: Option<RunView>,
    decision: Decision,
    at: Timestamp,
}

/// What one round comes to.
enum Round {
    Answer(Answer),
    /// Decide again from scratch: something changed.
    Again,
}

/// Takes one call from its first byte to its answer. `gone` is cancelled when the agent no longer waits.
pub async fn gate(
    worker: Arc<Worker>,
    door: Door,
    request: Request<Incoming>,
    gone: CancellationToken,
) -> Response<Full<Bytes>> {
    let began = Instant::now();
    let shared = Arc::clone(&worker.shared);
    shared.metrics.in_flight.inc();
    let (id, version) = (compose::new_id(), request.version());
    let ready = shared.recorder.get().cloned().zip(shared.state.view());
    let (answer, verdict, would, tool) = match ready {
        // Nothing can be judged, and nothing recorded.
        None => (Code::NotReady.into(), None, None, None),
        Some((recorder, view)) => {
            let id = id.clone();
            let (underway, verdict, would, tool) = (None, None, None, None);
            let mut call = Call { worker, recorder, id, arrived: began, gone, underway, verdict, would, tool };
            let answer = call.flow(view, door, request).await;
            (answer, call.verdict, call.would, call.tool)
        }
    };
    shared.metrics.answered(verdict, tool.as_deref(), answer.code(), began.elapsed());
    if let (Some(would), Some(verdict)) = (&would, verdict) {
        shared.metrics.tried_out(would.verdict, verdict, tool.as_deref());
        shared.trials.add(verdict, would);
    }
    shared.metrics.in_flight.dec();
    // A relay's connection carries the calls of many: the relay ends the agent's by itself.
    let closes = door != Door::Gateway && answer.code().is_some_and(ends_connection);
    let response = answer.into_response(&id);
    if closes { answer::last(response, version) } else { response }
}

/// Whether a connection is not listened to any longer after such a refusal: with a request that could be read in several
/// ways, it is in doubt what the bytes behind it are.
fn ends_connection(code: Code) -> bool {
    matches!(code, Code::MalformedRequest | Code::Misdirected | Code::UnsupportedMediaType | Code::BodyTooLarge)
}

impl Call {
    async fn flow(&mut self, view: View, door: Door, request: Request<Incoming>) -> Answer {
        let arrived = match self.ingress(&view, door, request).await {
            Ok(arrived) => arrived,
            Err((tool, malformed)) => {
                let output = decide::malformed(&view.policy.bundle, &tool, malformed);
                return Box::pin(self.refuse(&view, About::default(), &output)).await;
            }
        };
        self.arrived = Instant::now();
        let worker = Arc::clone(&self.worker);
        if let Some(relay) = &worker.relay {
            return Box::pin(self.pass_on(relay, &arrived)).await;
        }
        if arrived.tool() == plan::OWN {
            return Box::pin(self.own(&view, &arrived)).await;
        }
        let mut hold = Hold::default();
        loop {
            // A held call may have waited for minutes: each round judges with what is known then.
            let Some(view) = self.worker.shared.state.view() else { return Code::NotReady.into() };
            // A round is large, and what a task is made of is copied several times.
            match Box::pin(self.round(&view, &arrived, &mut hold)).await {
                Round::Answer(answer) => return answer,
                Round::Again => {}
            }
        }
    }

    /// Bytes become a request that can be named.
    async fn ingress(
        &mut self,
        view: &View,
        door: Door,
        request: Request<Incoming>,
    ) -> Result<Arrived, (String, Malformed)> {
        let (parts, body) = request.into_parts();
        let (budget, time) = (&self.worker.shared.budgets.requests, self.worker.shared.arrival_time);
        let tools = &view.policy.bundle.source().tools;
        let head = ingress::head(&parts, door, tools).map_err(|malformed| (String::new(), malformed))?;
        if head.tool == plan::OWN {
            return match ingress::body(body, plan::MAX_BYTES, budget, time).await {
                Ok(body) => Ok(Arrived::new(head, body)),
                Err(malformed) => Err((head.tool, malformed)),
            };
        }
        let Some(tool) = view.policy.bundle.tool(&head.tool) else {
            let malformed = Malformed::new(Code::UnknownTool, Code::UnknownTool.cause());
            return Err((head.tool, malformed));
        };
        self.tool = Some(tool.name.clone());
        match ingress::body(body, tool.limits.request_bytes, budget, time).await {
            Ok(body) => Ok(Arrived::new(head, body)),
            Err(malformed) => Err((head.tool, malformed)),
        }
    }

    /// Names and judges the call, and does what the verdict says.
    async fn round(&mut self, view: &View, arrived: &Arrived, hold: &mut Hold) -> Round {
        let worker = Arc::clone(&self.worker);
        let bundle = &view.policy.bundle;
        let call = match bundle.name_call(arrived.tool(), &arrived.http()) {
            Ok(call) => call,
            Err(malformed) => {
                let output = decide::malformed(bundle, arrived.tool(), malformed);
                return Round::Answer(self.refuse(view, About::default(), &output).await);
            }
        };
        let Some(tool) = bundle.tool(&call.tool) else { return Round::Answer(Code::UnknownTool.into()) };
        let (class, about) = (call.class, About::new(tool, &call));
        if !hold.next_round() {
            return Round::Answer(self.turn_away(view, about, &call, Code::ControlUnavailable).await);
        }
        if let Err(code) = view.is_open_for(class, Timestamp::now()) {
            return Round::Answer(self.turn_away(view, about, &call, code).await);
        }
        let Some(slot) = worker.shared.slots.take(tool) else {
            return Round::Answer(self.turn_away(view, about, &call, Code::TooManyCalls).await);
        };
        let Some(operation) = tool.operation(&call.operation) else {
            return Round::Answer(Code::UnknownOperation.into());
        };
        let turn = worker.shared.slots.turn(tool, operation).await;

        let traceparent = call.traceparent.clone();
        let releases = hold.usable(&view.grants.releases);
        // That of an earlier round did not leave.
        self.underway = None;
        let name = call.operation.clone();
        let Ok(found) = self.judge(view, tool, call, &releases).await else {
            let named = (tool.name.as_str(), name, class);
            return Round::Answer(self.not_judged(view, about, named, Code::PolicyTimeout).await);
        };
        let Found { facts, run_view, decision, at: now } = found;
        self.verdict = Some(decision.output.verdict);
        self.would.clone_from(&decision.output.would);
        let Decision { outcome, output } = decision;
        match outcome {
            Outcome::Deny(_) => Round::Answer(self.refuse(view, about, &output).await),
            // There is no permit for it.
            Outcome::Propose => {
                let answer = Problem::decided(Code::Proposed, &output);
                Round::Answer(self.keep_refusal(view, about, &output, Approval::default(), answer.into()).await)
            }
            // A call that came in here always has a request.
            Outcome::Allow(None) => Round::Answer(Code::MalformedRequest.into()),
            Outcome::Allow(Some(permit)) => {
                Round::Answer(match self.intent(view, about, &output, Approval::default(), class).await {
                    Ok(intent) => self.send(view, tool, *permit, &output, intent, None).await,
                    Err(NotWritable) => Code::RecordNotWritable.into(),
                })
            }
            Outcome::AllowOnce(once) => self.send_once(view, tool, *once, &output, about, hold).await,
            Outcome::Hold => {
                // A call that waits for a person keeps no other from the tool.
                drop((slot, turn));
                let asking =
                    Asking { http: arrived.input(), facts: &facts, run_view, at: now, traceparent, output: &output };
                self.ask(view, about, hold, asking).await
            }
        }
    }

    /// Claims the release that lets the call go, and sends it.
    async fn send_once(
        &mut self,
        view: &View,
        tool: &Tool,
        once: OncePermit,
        output: &DecisionOutput,
        about: About,
        hold: &mut Hold,
    ) -> Round {
        // What would fail after the claim would burn the approval: it is tried before.
        if self.worker.upstream.is_prepared_for(tool).is_err() {
            let (code, approval) = (Code::UpstreamUnreachable, Approval::released(once.release()));
            let answer = unsent(tool, ErrorClass::Credential, "the credential cannot be added");
            return self.not_released(view, about, output, code, approval, answer).await;
        }
        let approval = Approval::released(once.release());
        let intent = self.intent(view, about.clone(), output, approval.clone(), once.class()).await;
        let Some(intent) = intent.ok().filter(|_| self.recorder.is_writable()) else {
            let code = Code::RecordNotWritable;
            // Writing down the refusal finds out whether the next one can be written.
            return self.not_released(view, about, output, code, approval, code.into()).await;
        };
        match claim(&self.worker.shared, view, once, output, &self.id, intent).await {
            Claimed::Won(permit, won, intent) => {
                let intent = intent.claimed(compose::claim(&won));
                Round::Answer(self.send(view, tool, *permit, output, intent, Some(won)).await)
            }
            Claimed::Again(uid) => {
                hold.spend(uid);
                Round::Again
            }
            Claimed::Refused(code, release) => {
                self.underway = None;
                let approval = Approval::released(&release);
                let answer = Problem::new(code).about(release.request_name);
                self.not_released(view, about, output, code, approval, answer.into()).await
            }
        }
    }

    /// Asks people, and waits for them as long as the rules say.
    async fn ask(&self, view: &View, about: About, hold: &mut Hold, asking: Asking<'_>) -> Round {
        let output = asking.output;
        match hold.ask(&self.worker.shared, view, asking, &self.gone).await {
            Held::Released => Round::Again,
            Held::Waiting(answer) => {
                let problem = Problem::decided(Code::ApprovalRequired, output).about(answer.name.as_str());
                let approval = Approval::asked(&answer);
                Round::Answer(self.keep_refusal(view, about, output, approval, problem.into()).await)
            }
            Held::Refused(code, answer) => {
                let approval = answer.as_ref().map(Approval::asked).unwrap_or_default();
                let mut problem = Problem::new(code);
                if let Some(answer) = answer {
                    problem = problem.about(answer.name);
                }
                self.not_released(view, about, output, code, approval, problem.into()).await
            }
        }
    }

    /// Facts, then the verdict. An agent that may not call at all reads nothing.
    async fn judge(
        &mut self,
        view: &View,
        tool: &Tool,
        call: ToolCall,
        releases: &[aegis_decision::approval::Release],
    ) -> Result<Found, OutOfTime> {
        let bundle = &view.policy.bundle;
        let grants = &view.grants;
        let now = Timestamp::now();
        if let Some(decision) = decide::refused_without_facts(bundle, &call, &grants.standing, now) {
            return Ok(Found { facts: FactSet::default(), run_view: None, decision, at: now });
        }
        let facts = facts::read(&self.worker.upstream, view, &call, tool).await;
        let now = Timestamp::now();
        let (standing, delegations) = (&grants.standing, grants.delegations.as_slice());
        // Before other calls of the run may have to wait for this one.
        patience::prepare(bundle, &call.tool);
        let (run_view, decision, underway) = self.worker.shared.runs.judge(bundle, call, now, |call, run| {
            let evidence = Evidence { standing, delegations, facts: &facts, run, releases };
            patience::decide(bundle, call, &evidence, now, self.worker.shared.rego_time)
        })?;
        self.underway = underway;
        self.worker.shared.metrics.decided(self.arrived.elapsed());
        Ok(Found { facts, run_view, decision, at: now })
    }

    /// Records and answers a call that was named but cannot be judged now.
    pub(crate) async fn turn_away(&mut self, view: &View, about: About, call: &ToolCall, code: Code) -> Answer {
        self.not_judged(view, about, (&call.tool, call.operation.clone(), call.class), code).await
    }

    async fn not_judged(
        &mut self,
        view: &View,
        about: About,
        (tool, operation, class): (&str, String, Class),
        code: Code,
    ) -> Answer {
        let detail = code.cause().to_owned();
        let malformed = Malformed { code, detail, operation: Some(operation), class: Some(class) };
        let output = decide::malformed(&view.policy.bundle, tool, malformed);
        self.refuse(view, about, &output).await
    }

    /// Records a denial and answers it.
    pub(crate) async fn refuse(&mut self, view: &View, about: About, output: &DecisionOutput) -> Answer {
        self.verdict = Some(output.verdict);
        self.would.clone_from(&output.would);
        let answer = Problem::decided(output.code.unwrap_or(Code::NoRuleAllows), output);
        self.keep_refusal(view, about, output, Approval::default(), answer.into()).await
    }

    /// Records that a call that was held or released here is refused: for what is known about its approval, or for what
    /// would fail after its claim.
    async fn not_released(
        &self,
        view: &View,
        about: About,
        output: &DecisionOutput,
        code: Code,
        approval: Approval,
        answer: Answer,
    ) -> Round {
        let detail = Some(code.cause().to_owned());
        let output = DecisionOutput { verdict: Verdict::Deny, code: Some(code), detail, ..output.clone() };
        Round::Answer(self.keep_refusal(view, about, &output, approval, answer).await)
    }

    /// Takes room for the records of a call that may go: of this decision, and of how it ends.
    async fn intent(
        &self,
        view: &View,
        about: About,
        output: &DecisionOutput,
        approval: Approval,
        class: Class,
    ) -> Result<Intent, NotWritable> {
        let latency = self.arrived.elapsed();
        let record = compose::decision(&self.recorder, view, &self.id, about, output, approval, latency);
        self.recorder.prepare(record, class).await
    }

    /// Records a decision that sends nothing. What cannot be recorded is refused for that reason.
    async fn keep_refusal(
        &self,
        view: &View,
        about: About,
        output: &DecisionOutput,
        approval: Approval,
        answer: Answer,
    ) -> Answer {
        let latency = self.arrived.elapsed();
        let record = compose::decision(&self.recorder, view, &self.id, about, output, approval, latency);
        match self.recorder.refusal(record).await {
            Ok(()) => answer,
            Err(_) => Code::RecordNotWritable.into(),
        }
    }
}
