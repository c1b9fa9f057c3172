//! The tasks around the control service: token, feed, and what the pod's probe finds.

use std::sync::Arc;

use aegis_decision::jws::SigningKey;
use aegis_runtime::ready::Readiness;
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::Tasks;
use aegis_runtime::tls::ClientIdentity;
use tokio::sync::watch;

use super::StartError;
use crate::args::ControlSettings;
use crate::control::Control;
use crate::feed::{Feed, Pending};
use crate::identity::{Attested, Identity};
use crate::metrics::Metrics;
use crate::probe::{self, About, Probe, ProbeSettings};
use crate::state::State;

/// What the tasks around the control service need.
pub(super) struct Parts<'a> {
    pub(super) readiness: &'a Readiness,
    pub(super) quiet: &'a Drain,
    pub(super) state: &'a Arc<State>,
    pub(super) metrics: &'a Metrics,
}

/// Keeps the token fresh and follows the feed.
pub(super) fn follow(
    tasks: &mut Tasks,
    settings: ControlSettings,
    record_key: SigningKey,
    attested: &watch::Sender<Option<Attested>>,
    probe: Option<ProbeSettings>,
    parts: &Parts<'_>,
) -> Result<Arc<Control>, StartError> {
    let Parts { readiness, quiet, state, metrics } = *parts;
    let token_file = settings.token_file.clone();
    let control = Arc::new(Control::new(settings, ClientIdentity::generate()?, metrics));
    let probe =
        probe.map(|settings| start_probe(tasks, settings, &control, &record_key, attested, parts)).transpose()?;
    let identity = Identity {
        control: Arc::clone(&control),
        token_file,
        record_key,
        probe,
        state: Arc::clone(state),
        attested: attested.clone(),
        metrics: metrics.clone(),
    };
    let (token, until) = (readiness.handle("token"), quiet.clone());
    tasks.spawn("token", async move {
        identity.keep_fresh(token, until).await;
        Ok(())
    });
    let feed = Feed {
        control: Arc::clone(&control),
        state: Arc::clone(state),
        attested: attested.subscribe(),
        metrics: metrics.clone(),
    };
    let pending = Pending { bundle: Some(readiness.handle("bundle")), grants: Some(readiness.handle("grants")) };
    let until = quiet.clone();
    tasks.spawn("feed", async move {
        feed.follow(pending, until).await;
        Ok(())
    });
    Ok(control)
}

/// Listens for the pod's probe, and reports what it finds.
fn start_probe(
    tasks: &mut Tasks,
    settings: ProbeSettings,
    control: &Arc<Control>,
    record_key: &SigningKey,
    attested: &watch::Sender<Option<Attested>>,
    parts: &Parts<'_>,
) -> Result<Arc<Probe>, StartError> {
    let Parts { readiness, quiet, state, metrics } = *parts;
    let ProbeSettings { socket, level, every } = settings;
    let sidecar_uid = probe::own_uid().map_err(StartError::system("cannot tell the own user"))?;
    let listener = probe::bind(&socket).map_err(StartError::system("cannot bind --probe-socket"))?;
    let probe = Arc::new(Probe::new(
        About { level, every, sidecar_uid },
        Arc::clone(control),
        record_key.clone(),
        Arc::clone(state),
        attested.subscribe(),
        metrics.clone(),
        readiness.clone(),
    ));
    let (served, until) = (Arc::clone(&probe), quiet.clone());
    tasks.spawn("probe", async move {
        probe::serve(listener, served, until).await;
        Ok(())
    });
    let reports = probe::send_all(
        Arc::clone(&probe),
        Arc::clone(control),
        Arc::clone(state),
        attested.subscribe(),
        quiet.clone(),
    );
    tasks.spawn("probe reports", async move {
        reports.await;
        Ok(())
    });
    Ok(probe)
}
