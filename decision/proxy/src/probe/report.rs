//! Tells the control service what each run after the first exchange found, at once. The first statement goes with the
//! exchange itself.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::control::ProbeSubmission;
use aegis_runtime::shutdown::Drain;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Probe;
use crate::control::Control;
use crate::identity::{Attested, jittered};
use crate::state::State;

/// Pause after a report that did not arrive. A newer one replaces it.
const AGAIN: Duration = Duration::from_secs(5);

/// Sends every statement that is unreported, until `quiet`.
pub async fn send_all(
    probe: Arc<Probe>,
    control: Arc<Control>,
    state: Arc<State>,
    attested: watch::Receiver<Option<Attested>>,
    quiet: Drain,
) {
    let mut found = probe.found();
    loop {
        tokio::select! {
            () = quiet.begun() => return,
            changed = found.changed() => if changed.is_err() { return },
        }
        loop {
            let newest = found.borrow_and_update().clone().filter(|found| found.unreported);
            let attestation = attested.borrow().as_ref().map(|attested| attested.jws.clone());
            let bearer = state.token().map(|token| token.bearer.clone());
            let (Some(newest), Some(attestation), Some(bearer)) = (newest, attestation, bearer) else { break };
            let submission = ProbeSubmission { statement: newest.jws, attestation };
            match control.probe(&bearer, &submission).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "probe not reported");
                }
            }
            tokio::select! {
                () = quiet.begun() => return,
                () = sleep(jittered(AGAIN, 0.5)) => {}
            }
        }
    }
}
