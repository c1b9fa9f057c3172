//! The pod's probe, as its sidecar sees it: ordered, heard, and vouched for.
//!
//! ```text
//! schedule -> GET /next -> probe, as the agent's user -> POST /result -> statement, signed by the record key
//!                                                                          |-> the next token exchange
//!                                                                          `-> POST /v1/probe, at once
//! ```
//! A statement that names what got out closes Draft and Commit here, before anybody else reads it.

mod report;
mod schedule;
mod socket;

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_decision::digest::Digest;
use aegis_decision::egress::Level;
use aegis_decision::jws::{JwsError, SigningKey, base64url};
use aegis_decision::probe::{Outcome, ProbeOrder, ProbeReport, ProbeState, ProbeStatement, ReportError};
use aegis_decision::token::Attestation;
use aegis_runtime::ready::{Handle, Readiness};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::control::Control;
use crate::identity::Attested;
use crate::metrics::Metrics;
use crate::state::{Capture, State};
use schedule::Schedule;

pub use report::send_all;
pub use socket::{bind, serve};

/// Longest wait for a run to become due, before the probe is told to ask again.
const LONG_POLL: Duration = Duration::from_mins(1);

/// A statement about the newest run.
#[derive(Debug, Clone)]
pub struct Found {
    /// Compact JWS, `typ: aegis-probe+jwt`.
    pub jws: String,
    /// Nothing got out.
    pub holds: bool,
    /// The control service is to be told at once: no exchange waits for it.
    pub unreported: bool,
}

/// What a probe is about.
#[derive(Debug)]
pub struct About {
    /// Level that the sidecar is set up for.
    pub level: Level,
    /// Time between two runs.
    pub every: Duration,
    /// The sidecar's own user.
    pub sidecar_uid: u32,
}

/// How the probe is asked.
#[derive(Debug)]
pub struct ProbeSettings {
    /// The socket.
    pub socket: PathBuf,
    /// Level that the sidecar is set up for.
    pub level: Level,
    /// Time between two runs.
    pub every: Duration,
}

/// The user that this process runs as: owner of its own entry in proc(5).
pub fn own_uid() -> std::io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

/// Orders runs and vouches for what they found.
pub struct Probe {
    about: About,
    control: Arc<Control>,
    record_key: SigningKey,
    state: Arc<State>,
    attested: watch::Receiver<Option<Attested>>,
    metrics: Metrics,
    readiness: Readiness,
    inner: Mutex<Inner>,
    found: watch::Sender<Option<Found>>,
}

struct Inner {
    schedule: Schedule,
    ordered: Option<ProbeOrder>,
    /// What was stated last.
    stated: Option<ProbeStatement>,
    /// Held while the capture is not proven.
    unready: Option<Handle>,
}

/// Why a report is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportFault {
    /// It is of no run that was ordered, or says nothing.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// No statement can be signed.
    #[error("cannot sign")]
    Signing(#[from] JwsError),
}

impl Probe {
    /// A probe of which nothing is known. The process is not ready until one held.
    pub fn new(
        about: About,
        control: Arc<Control>,
        record_key: SigningKey,
        state: Arc<State>,
        attested: watch::Receiver<Option<Attested>>,
        metrics: Metrics,
        readiness: Readiness,
    ) -> Self {
        let unready = Some(readiness.handle("capture"));
        let inner = Mutex::new(Inner { schedule: Schedule::new(about.every), ordered: None, stated: None, unready });
        Self { about, control, record_key, state, attested, metrics, readiness, inner, found: watch::Sender::new(None) }
    }

    /// The newest statement, and its successors.
    pub fn found(&self) -> watch::Receiver<Option<Found>> {
        self.found.subscribe()
    }

    /// Waits until a run is due; none when that is not within a minute.
    pub async fn order(&self) -> Option<ProbeOrder> {
        let deadline = Instant::now() + LONG_POLL;
        let mut changes = self.state.changes();
        while let Some(due) = self.due() {
            let until = due.min(deadline);
            // A token that comes, or a person who asks, changes when the next run is due.
            let told = timeout_at(until, changes.changed()).await;
            if !matches!(told, Ok(Ok(()))) && until == deadline {
                return None;
            }
        }
        // What only the sidecar may reach. API server, node and the rest the probe knows by itself.
        let targets = self.control.addresses().await;
        let order =
            ProbeOrder { run: base64url(&rand::random::<[u8; 16]>()), sidecar_uid: self.about.sidecar_uid, targets };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.schedule.ordered();
        inner.ordered = Some(order.clone());
        Some(order)
    }

    /// When the next run is due; none: now.
    fn due(&self) -> Option<Instant> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(grants) = self.state.grants() {
            inner.schedule.hear(grants.probe_requested);
        }
        inner.schedule.due(self.state.token().is_some()).filter(|due| *due > Instant::now())
    }

    /// Takes what a run found. A run is heard once.
    pub fn hear(&self, report: &ProbeReport, now: Timestamp) -> Result<(), ReportFault> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        report.check(inner.ordered.as_ref().ok_or(ReportError::OtherRun)?)?;
        let attested = self.attested.borrow().as_ref().map(|attested| attested.attestation.clone());
        let got_out = report.got_out().into_iter().chain(report.unproven()).collect();
        let blocked = report.attempts.iter().filter(|attempt| attempt.outcome == Outcome::Blocked).count();
        let statement = ProbeStatement {
            agent: attested.as_ref().map(|attested| attested.agent.clone()),
            pod: attested.map(|attested| attested.pod),
            level: self.about.level,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            report: Digest::of(report),
            blocked: u32::try_from(blocked).unwrap_or(u32::MAX),
            // The sidecar's own clock, which the agent cannot set.
            at: now,
            got_out,
        };
        let jws = statement.sign(&self.record_key)?;
        inner.ordered = None;
        let holds = statement.got_out.is_empty() && statement.blocked > 0;
        inner.schedule.heard(holds);
        self.state.set_capture(Capture { holds, until: Instant::now() + self.about.every * 2 });
        self.metrics.probed(holds);
        if holds {
            if let Some(unready) = inner.unready.take() {
                unready.release();
            }
            tracing::info!(blocked, report = %statement.report, "probe: nothing got out");
        } else {
            if inner.unready.is_none() {
                inner.unready = Some(self.readiness.handle("capture"));
            }
            let report = serde_json::to_string(report).unwrap_or_default();
            tracing::error!(got_out = ?statement.got_out, digest = %statement.report, report, "probe: something got out, or cannot be told");
        }
        self.found.send_replace(Some(Found { jws, holds, unreported: statement.pod.is_some() }));
        inner.stated = Some(statement);
        Ok(())
    }

    /// States the first finding again, with the pod's name, once the first token has told it: what names its pod counts
    /// for two intervals, what does not for two minutes.
    pub fn name(&self, attestation: &Attestation) -> Result<(), JwsError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(statement) = inner.stated.as_mut().filter(|statement| statement.pod.is_none()) else { return Ok(()) };
        statement.pod = Some(attestation.pod.clone());
        statement.agent = Some(attestation.agent.clone());
        let (jws, holds) = (statement.sign(&self.record_key)?, statement.got_out.is_empty() && statement.blocked > 0);
        self.found.send_replace(Some(Found { jws, holds, unreported: false }));
        Ok(())
    }

    /// Where this sidecar stands.
    pub fn standing(&self) -> ProbeState {
        let verified = self.found.borrow().as_ref().is_some_and(|found| found.holds);
        ProbeState { verified, ready: self.readiness.pending().is_empty() }
    }
}
