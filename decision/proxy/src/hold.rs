//! A held call: submitted to the control service, then kept waiting a little for its release.
//!
//! ```text
//! decide -> Hold -> submit -> wait on the feed --release--> decide again from scratch
//!                     |             `--time over--> 428, and the agent repeats the identical call later
//!                     `--denied, in flight, done already--> answered at once
//! ```

use std::time::Duration;

use aegis_decision::approval::Release;
use aegis_decision::codes::Code;
use aegis_decision::contract::{DecisionInput, HttpInput};
use aegis_decision::control::{ApprovalAnswer, Submission};
use aegis_decision::decision::DecisionOutput;
use aegis_decision::digest::Digest;
use aegis_decision::facts::FactSet;
use aegis_decision::run::RunView;
use http::StatusCode;
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::control::ControlFault;
use crate::failpoint;
use crate::state::View;
use crate::worker::Shared;

/// Rounds of one call at most: an approval that goes stale while the call waits opens another request.
const MAX_ROUNDS: u32 = 4;

/// Time for the feed to bring what the control service knows already.
const CATCH_UP: Duration = Duration::from_secs(2);

/// What one call remembers from round to round.
#[derive(Debug, Default)]
pub struct Hold {
    until: Option<Instant>,
    rounds: u32,
    spent: Vec<String>,
}

/// What came of asking.
#[derive(Debug)]
pub enum Held {
    /// It is released, or something changed: decide again.
    Released,
    /// It waits for a person.
    Waiting(ApprovalAnswer),
    /// It cannot be had, for this reason.
    Refused(Code, Option<ApprovalAnswer>),
}

/// The call as the control service needs it to decide again.
#[derive(Debug)]
pub struct Asking<'a> {
    /// The request.
    pub http: Option<HttpInput>,
    /// Facts as read.
    pub facts: &'a FactSet,
    /// What was known of its run.
    pub run_view: Option<RunView>,
    /// When it was decided here.
    pub at: Timestamp,
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// What was found here.
    pub output: &'a DecisionOutput,
}

impl Hold {
    /// Releases that may still be used by this call: without those whose claim was refused.
    pub fn usable(&self, releases: &[Release]) -> Vec<Release> {
        releases.iter().filter(|release| !self.spent.contains(&release.request_uid)).cloned().collect()
    }

    /// A claim on this request was refused.
    pub fn spend(&mut self, uid: String) {
        self.spent.push(uid);
    }

    /// Whether another round is allowed.
    pub fn next_round(&mut self) -> bool {
        self.rounds = self.rounds.saturating_add(1);
        self.rounds <= MAX_ROUNDS
    }

    /// Submits the call and waits for its release: at most as long as the rules say, over all rounds, and no longer than
    /// the agent does or the process lives.
    pub async fn ask(&mut self, shared: &Shared, view: &View, asking: Asking<'_>, gone: &CancellationToken) -> Held {
        let output = asking.output;
        let seconds = output.requirements.iter().map(|requirement| requirement.hold_seconds).max().unwrap_or_default();
        let until = *self.until.get_or_insert_with(|| Instant::now() + Duration::from_secs(seconds.into()));
        let Some(effect) = output.effect_digest else { return Held::Refused(Code::ControlUnavailable, None) };
        let Some((control, submission)) = shared.control.as_ref().zip(submission(view, asking)) else {
            return Held::Refused(Code::ControlUnavailable, None);
        };
        // Subscribed before the request exists, so that no change can be missed.
        let mut changes = shared.state.changes();
        let bearer = view.bearer();
        failpoint!("submit.before");
        shared.metrics.holds.inc();
        let answer = match control.submit(bearer, &submission).await {
            Ok(answer) => answer,
            Err(ControlFault::Refused { error, .. }) if error.code.is_some() => {
                tracing::info!(reason = error.error, "held call refused");
                return Held::Refused(error.code.unwrap_or(Code::ControlUnavailable), None);
            }
            Err(ControlFault::Refused { status, error }) if status == StatusCode::CONFLICT => {
                // It judged with another bundle or other grants: these are on their way.
                tracing::info!(reason = error.error, "decided differently by the control service");
                let _ = timeout(CATCH_UP, changes.changed()).await;
                return Held::Released;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "held call not submitted");
                return Held::Refused(Code::ControlUnavailable, None);
            }
        };
        failpoint!("submit.after");
        if answer.code != Code::ApprovalRequired {
            return Held::Refused(answer.code, Some(answer));
        }
        tracing::info!(request = answer.name, "call waits for approval");
        let released = async {
            while !is_released(shared, &answer.uid, effect) {
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let waited = async {
            tokio::select! {
                () = released => true,
                () = gone.cancelled() => false,
                () = shared.drain.begun() => false,
            }
        };
        match timeout_at(until, waited).await {
            Ok(true) => {
                failpoint!("hold.released");
                Held::Released
            }
            Ok(false) | Err(_) => Held::Waiting(answer),
        }
    }
}

fn submission(view: &View, asking: Asking<'_>) -> Option<Submission> {
    let Asking { http, facts, run_view, at, traceparent, output } = asking;
    Some(Submission {
        input: DecisionInput {
            http: Some(http?),
            facts: facts.0.clone(),
            run_view,
            ..DecisionInput::new(view.policy.bundle.agent().full_name(), &output.tool, at)
        },
        bundle: view.policy.bundle.digest(),
        effect_digest: output.effect_digest?,
        context_digest: output.context_digest?,
        traceparent,
    })
}

fn is_released(shared: &Shared, uid: &str, effect: Digest) -> bool {
    shared.state.view().is_some_and(|view| {
        view.grants.releases.iter().any(|release| release.request_uid == uid && release.effect_digest == effect)
    })
}
