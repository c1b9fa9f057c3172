//! Intake of held calls. The control service trusts nothing of what the sidecar found: it decides again with its own
//! clock, on the bundle that it signed, and stores what it came to itself.

use std::sync::Arc;

use aegis_crds::api::ApprovalRequest;
use aegis_crds::api::approval::{Execution, Phase};
use aegis_decision::approval::{Repeat, Step, answer_for_repeat};
use aegis_decision::call::ToolCall;
use aegis_decision::codes::Code;
use aegis_decision::contract::DecisionInput;
use aegis_decision::control::{ApprovalAnswer, Replaced, Submission};
use aegis_decision::decision::{Decision, Outcome};
use aegis_decision::naming::Malformed;
use aegis_decision::token::AgentClaims;
use axum::Json;
use axum::extract::State;
use jiff::{SignedDuration, Timestamp};
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt as _};

use super::auth::Caller;
use super::{Control, Refusal};
use crate::approvals::build::{self, Bound, Held};
use crate::approvals::{preview, view, write};
use crate::hub::{Published, View};
use crate::report::EventKind;

/// Rounds of settling earlier requests for the same effect before the sidecar is told to try again.
const ROUNDS: usize = 6;

/// How long after it was opened a request that became stale still takes up a place.
const STALE_COUNTS_FOR: SignedDuration = SignedDuration::from_mins(10);

/// `POST /v1/approvals`.
pub async fn submit(
    State(control): State<Arc<Control>>,
    Caller(claims): Caller,
    Json(submission): Json<Submission>,
) -> Result<Json<ApprovalAnswer>, Refusal> {
    let result = intake(&control, &claims, &submission).await;
    control.metrics.submitted(result.as_ref().map_or_else(Refusal::reason, |answer| answer.code.as_str()));
    result.map(Json)
}

async fn intake(control: &Control, claims: &AgentClaims, submission: &Submission) -> Result<ApprovalAnswer, Refusal> {
    let agent = control.hub.view(&claims.agent.uid).ok_or(Refusal::UnknownAgent)?;
    let published = agent.bundle.clone().ok_or(Refusal::BundleChanged)?;
    if submission.input.agent != agent.agent.full_name() {
        return Err(Refusal::UnknownAgent);
    }
    if submission.bundle != published.bundle.digest() {
        return Err(Refusal::BundleChanged);
    }
    let now = Timestamp::now();
    let (call, decision) = judge(control, &agent, &published, submission, now).await?;
    let bound = Bound::of(&decision.output).ok_or(Refusal::NotHeld("without digests"))?;
    if bound.effect != submission.effect_digest || bound.context != submission.context_digest {
        return Err(Refusal::NotHeld("another call than the sidecar found"));
    }
    let emitted = call.request.as_ref().ok_or(Refusal::NotHeld("nothing to send"))?;
    let operation = published.bundle.tool(&call.tool).and_then(|tool| tool.operation(&call.operation));
    let sensitive = operation.map(|operation| operation.sensitive.as_slice()).unwrap_or_default();
    // Declared facts only: what no rule saw is not shown to the approver as if it had been.
    let declared = |name: &str| operation.is_some_and(|it| it.facts.iter().any(|fact| fact.name == name));
    let facts = submission.input.facts.iter().map(|(name, value)| (name.as_str(), value));
    let facts = facts.filter(|(name, _)| declared(name));
    let held = Held {
        agent: &agent.agent,
        output: &decision.output,
        emitted,
        preview: preview::preview(
            &decision.output.unknown_origins,
            &call.arguments,
            facts,
            sensitive,
            &decision.output.sanitized,
        ),
        traceparent: submission.traceparent.clone().filter(|text| text.len() == 55),
    };
    if let Some(name) = &call.approval {
        names_this_effect(control, &agent, name, bound).await?;
    }
    file(control, &agent, &held, bound, now).await
}

/// An agent that names an approval says "this is that call again": it is refused when it is not, instead of opening
/// another request. The same words whether the request is another agent's, for another call, or not there.
async fn names_this_effect(control: &Control, agent: &View, name: &str, bound: Bound<'_>) -> Result<(), Refusal> {
    let api: Api<ApprovalRequest> = Api::namespaced(control.client.clone(), &agent.agent.namespace);
    let same = api.get_opt(name).await?.is_some_and(|request| {
        request.spec.agent.uid == agent.agent.uid && request.spec.action.effect_digest == bound.effect.to_string()
    });
    if same {
        return Ok(());
    }
    let text = "the named approval is not for this call; repeat that call unchanged, or leave Aegis-Approval out";
    Err(Refusal::Code(Code::ApprovalMismatch, text.to_owned()))
}

/// The control service's own decision, without releases: it must be a hold. The bundle may have to be compiled first, and
/// modules of Rego may work as long as their budget lasts, so an agent's calls are judged one after another, and beside the
/// requests of others.
async fn judge(
    control: &Control,
    agent: &View,
    published: &Arc<Published>,
    submission: &Submission,
    now: Timestamp,
) -> Result<(ToolCall, Decision), Refusal> {
    // Held until the work ends, also where nobody waits for it any more.
    let judging = control.judging.of(&agent.agent.uid).lock_owned().await;
    let (bundle, grants) = (control.compiled.of(published).await?, Arc::clone(&agent.grants));
    let input = DecisionInput { at: now, ..submission.input.clone() };
    let judged = tokio::task::spawn_blocking(move || {
        let _judging = judging;
        let call = bundle.call_of_input(&input)?;
        let decision = bundle.decide_input(&input, &grants.standing, &grants.delegations, &[]);
        Ok::<_, Malformed>((call, decision))
    });
    let judged = judged.await.map_err(|_| Refusal::NotHeld("not judged"))?;
    let (call, decision) = judged.map_err(|malformed| Refusal::Code(malformed.code, malformed.detail))?;
    match &decision.outcome {
        Outcome::Hold => Ok((call, decision)),
        Outcome::Deny(code) => {
            let detail = decision.output.detail.clone().unwrap_or_else(|| code.cause().to_owned());
            Err(Refusal::Code(*code, detail))
        }
        Outcome::Allow(_) | Outcome::AllowOnce(_) => Err(Refusal::NotHeld("allowed")),
        Outcome::Propose => Err(Refusal::NotHeld("only proposed")),
    }
}

/// Joins the newest request for this effect and delegation, or opens the next one.
async fn file(
    control: &Control,
    agent: &View,
    held: &Held<'_>,
    bound: Bound<'_>,
    now: Timestamp,
) -> Result<ApprovalAnswer, Refusal> {
    let api: Api<ApprovalRequest> = Api::namespaced(control.client.clone(), &agent.agent.namespace);
    let mut replaced = None;
    for _ in 0..ROUNDS {
        let (newest, number) = newest(&api, agent, bound).await?;
        let Some(earlier) = newest else {
            match open(control, &api, agent, held, bound, number, now).await? {
                Some(stored) => return Ok(answer(&stored, Code::ApprovalRequired, replaced)),
                None => continue,
            }
        };
        let seen = view::view(&earlier, Some(agent), now).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let same_context = earlier.spec.action.context_digest == bound.context.to_string();
        let step = match answer_for_repeat(&seen, same_context, now) {
            Repeat::Join => return Ok(answer(&earlier, Code::ApprovalRequired, replaced)),
            Repeat::Refuse(code) => return Ok(answer(&earlier, code, None)),
            Repeat::New => match open(control, &api, agent, held, bound, number, now).await? {
                Some(stored) => return Ok(answer(&stored, Code::ApprovalRequired, replaced)),
                None => continue,
            },
            Repeat::Replace => {
                let changed = seen.context.changed(bound.parts);
                replaced = Some(Replaced {
                    name: earlier.name_any(),
                    changed: changed.iter().map(|part| (*part).to_owned()).collect(),
                });
                Step::SetStale { changed }
            }
            Repeat::Settle(step) => step,
        };
        settle(control, &api, &earlier, &step, now).await?;
    }
    Err(Refusal::TooMany)
}

/// The newest request for this effect and delegation, and the number of the next one.
async fn newest(
    api: &Api<ApprovalRequest>,
    agent: &View,
    bound: Bound<'_>,
) -> Result<(Option<ApprovalRequest>, u32), Refusal> {
    let selected = ListParams::default().labels(&build::selector(&agent.agent.name, bound.effect));
    let same = api.list(&selected).await?.items.into_iter().filter(|request| {
        request.spec.agent.uid == agent.agent.uid
            && request.spec.action.effect_digest == bound.effect.to_string()
            && request.spec.delegation.uid == bound.delegation.uid
    });
    let newest = same.max_by_key(number_of);
    let next = newest.as_ref().map_or(1, |request| number_of(request).saturating_add(1));
    Ok((newest, next))
}

fn number_of(request: &ApprovalRequest) -> u32 {
    request.name_any().rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(0)
}

/// Whether a request takes up one of the places that its agent has. One that became stale does for a while: an agent that
/// names other runs in turn can be judged with other rules each time, and would else open requests without end.
fn counts_as_open(request: &ApprovalRequest, now: Timestamp) -> bool {
    let status = request.status.clone().unwrap_or_default();
    match status.phase.unwrap_or_default() {
        Phase::Pending => status.execution.unwrap_or_default() == Execution::NotStarted,
        Phase::Stale => {
            request.creation_timestamp().is_none_or(|created| now.duration_since(created.0) < STALE_COUNTS_FOR)
        }
        Phase::Approved | Phase::Denied | Phase::Expired | Phase::Void => false,
    }
}

/// Opens a request; none when another call opened that number first.
async fn open(
    control: &Control,
    api: &Api<ApprovalRequest>,
    agent: &View,
    held: &Held<'_>,
    bound: Bound<'_>,
    number: u32,
    now: Timestamp,
) -> Result<Option<ApprovalRequest>, Refusal> {
    // Counted and opened by one call of the agent at a time, and counted as stored now: calls that come at once do not
    // pass the bound, and an agent's flood delays no other agent.
    let opening = control.opening.of(&agent.agent.uid);
    let _opening = opening.lock().await;
    let of_agent = ListParams::default().labels(&format!("{}={}", build::AGENT_LABEL, agent.agent.name));
    let of_agent = api.list(&of_agent).await?.items;
    let of_agent = of_agent.iter().filter(|request| request.spec.agent.uid == agent.agent.uid);
    let open = of_agent.filter(|request| counts_as_open(request, now)).count();
    if open >= control.max_open_approvals {
        let text = format!(
            "{open} calls of this agent wait for a decision already, or became stale just now; wait until some are decided"
        );
        return Err(Refusal::Code(Code::TooManyApprovals, text));
    }
    crate::failpoint!("create.before");
    let request = build::build(held, bound, number, now);
    match api.create(&PostParams::default(), &request).await {
        Ok(stored) => {
            crate::failpoint!("create.after");
            let note = format!("{} {} waits for a decision", held.output.tool, request.spec.action.operation);
            control.events.publish_on_request(&stored, EventKind::Normal, "Requested", &note).await;
            Ok(Some(stored))
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Ends an earlier request, unless somebody else just did.
async fn settle(
    control: &Control,
    api: &Api<ApprovalRequest>,
    earlier: &ApprovalRequest,
    step: &Step,
    now: Timestamp,
) -> Result<(), Refusal> {
    let Some(next) = write::stepped(earlier, step, now) else { return Ok(()) };
    match write::replace(api, &next).await {
        Ok(stored) => {
            if control.released.remove(&stored.uid().unwrap_or_default()) {
                control.changes.namespaces.mark(&stored.namespace().unwrap_or_default());
            }
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn answer(request: &ApprovalRequest, code: Code, replaces: Option<Replaced>) -> ApprovalAnswer {
    ApprovalAnswer {
        name: request.name_any(),
        uid: request.uid().unwrap_or_default(),
        code,
        expires_at: request.spec.expires_at.0,
        replaces,
    }
}
