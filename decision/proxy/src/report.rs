//! Tells the control service how claimed calls ended. In the background: the agent's answer does not wait for it, and if
//! it never arrives the operator turns the claim into Indeterminate by itself.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::control::OutcomeReport;
use aegis_runtime::shutdown::Drain;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::control::{Control, ControlFault};
use crate::failpoint;
use crate::identity::jittered;
use crate::state::State;

/// Reports that may wait.
const QUEUE: usize = 256;
/// Tries of one report.
const TRIES: u32 = 6;
/// Pause after the first failed try; doubled after each.
const PAUSE: Duration = Duration::from_millis(500);

/// A report about one request.
#[derive(Debug, Clone)]
pub struct Report {
    /// Uid of the request.
    pub uid: String,
    /// What became of it.
    pub outcome: OutcomeReport,
}

/// Takes reports.
#[derive(Debug, Clone)]
pub struct Reports(mpsc::Sender<Report>);

impl Reports {
    /// A queue for reports: the end that takes them, and the one for [`send_all`].
    pub fn queue() -> (Self, mpsc::Receiver<Report>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }

    /// Queues a report.
    pub async fn send(&self, report: Report) {
        if self.0.send(report).await.is_err() {
            tracing::error!("an outcome is not reported: the sidecar is ending");
        }
    }
}

/// Sends reports until `quiet`, then those that are queued.
pub async fn send_all(mut reports: mpsc::Receiver<Report>, control: Arc<Control>, state: Arc<State>, quiet: Drain) {
    let mut sending = JoinSet::new();
    loop {
        tokio::select! {
            report = reports.recv() => match report {
                Some(report) => {
                    sending.spawn(send(report, Arc::clone(&control), Arc::clone(&state)));
                }
                None => break,
            },
            Some(_) = sending.join_next() => {}
            // All workers have ended: what is queued is all there will be.
            () = quiet.begun() => reports.close(),
        }
    }
    while sending.join_next().await.is_some() {}
}

async fn send(report: Report, control: Arc<Control>, state: Arc<State>) {
    let mut pause = PAUSE;
    for _ in 0..TRIES {
        failpoint!("report.before");
        let bearer = state.bearer();
        match control.outcome(&bearer, &report.uid, &report.outcome).await {
            Ok(()) => {
                failpoint!("report.after");
                return;
            }
            // Not its claim, or not its agent: saying it again changes nothing.
            Err(ControlFault::Refused { status, error }) if matches!(status.as_u16(), 400 | 403 | 404 | 409) => {
                tracing::warn!(uid = report.uid, %status, reason = error.error, "outcome not taken");
                return;
            }
            Err(error) => {
                tracing::warn!(uid = report.uid, error = &error as &dyn std::error::Error, "outcome not reported");
            }
        }
        sleep(jittered(pause, 0.3)).await;
        pause *= 2;
    }
    tracing::error!(uid = report.uid, "outcome not reported: the operator will call it Indeterminate");
}
