//! The process: everything is made here once, bound, and run to its end.
//!
//! ```text
//! drain begins -> workers finish their calls -> `quiet`: token, feed and reports end
//!              -> the writer seals the segment -> the last head and the last counts are told -> exit
//! ```

mod control;
mod listeners;
mod records;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_decision::jws::SigningKey;
use aegis_runtime::ready::Readiness;
use aegis_runtime::shutdown::{self, Drain, Ended};
use aegis_runtime::tasks::{TaskResult, Tasks};
use aegis_runtime::tls::TlsError;
use aegis_runtime::{admin, exit, telemetry};
use futures::FutureExt as _;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::interval;

use crate::args::{FileSettings, Settings, Source};
use crate::budget::Budgets;
use crate::file::{self, FileError};
use crate::forward::Credentials;
use crate::identity::{Attested, record_key};
use crate::metrics::Metrics;
use crate::probe::ProbeSettings;
use crate::report::{self, Reports};
use crate::runs::Runs;
use crate::sealed::gateway::Gateway;
use crate::sealed::relay::RelaySettings;
use crate::slots::Slots;
use crate::state::{Knowledge, State};
use crate::status::Sources;
use crate::trials::Counts;
use crate::ways::dns;
use crate::ways::names::Names;
use crate::ways::refusals::{self, Refusals};
use crate::worker::{self, Listeners, Shared, WorkerDied};

use control::Parts;

/// Why the sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the offline mode is of no use.
    #[error(transparent)]
    Files(#[from] FileError),
    /// A port cannot be bound, or a thread not started.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// No TLS key.
    #[error("no tls key can be made")]
    Tls(#[from] TlsError),
}

impl StartError {
    fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}

/// Runs the sidecar until it is told to end.
pub fn run(settings: Settings) -> ExitCode {
    if let Err(error) = telemetry::init(&settings.log) {
        return exit::bad_configuration(&error);
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit::failed(&error),
    };
    let ended = runtime.block_on(program(settings));
    // A blocking thread may still look up a name: nothing waits for it.
    runtime.shutdown_background();
    ended
}

async fn program(settings: Settings) -> ExitCode {
    let drain = Drain::new();
    let signals = match shutdown::signals() {
        Ok(signals) => signals,
        Err(error) => return exit::failed(&error),
    };
    let bound = settings.drain;
    let tasks = match start(settings, &drain).await {
        Ok(tasks) => tasks,
        Err(error @ StartError::Files(_)) => return exit::bad_configuration(&error),
        Err(error) => return exit::failed(&error),
    };
    match shutdown::run(tasks.run(drain.clone()), &drain, bound, signals).await {
        Ended::Finished(Ok(())) => ExitCode::SUCCESS,
        Ended::Finished(Err(error)) => exit::failed(&error),
        Ended::Aborted | Ended::TimedOut => ExitCode::from(exit::ABORTED),
    }
}

/// Makes and starts everything.
async fn start(settings: Settings, drain: &Drain) -> Result<Tasks, StartError> {
    let (quiet, readiness) = (Drain::new(), Readiness::new(drain.clone()));
    let mut registry = Registry::with_prefix("aegis");
    let metrics = Metrics::register(&mut registry);
    let state = Arc::new(State::default());
    let (attested, _) = watch::channel(None);
    let (reports, queue) = Reports::queue();
    let mut tasks = Tasks::new();

    let is_probed = settings.probe_socket.is_some();
    let segment = readiness.handle("segment");
    let (control, key) = match settings.source {
        Source::Files(files) => (None, from_files(&files, &state, &metrics, &attested).await?),
        Source::Control(control) => {
            let key = record_key();
            let parts = Parts { readiness: &readiness, quiet: &quiet, state: &state, metrics: &metrics };
            let every = Duration::from_mins(settings.probe_minutes.into());
            let probe = settings.probe_socket.map(|socket| ProbeSettings { socket, level: settings.level, every });
            let control = control::follow(&mut tasks, control, key.clone(), &attested, probe, &parts)?;
            let sent = report::send_all(queue, Arc::clone(&control), Arc::clone(&state), quiet.clone());
            tasks.spawn("reports", sent.map(Ok));
            (Some(control), key)
        }
    };

    // Only who has a control service can let relays in.
    let relayed = settings.gateway_listen.zip(control.clone());
    let gateway_listen = relayed.as_ref().map(|(address, _)| *address);
    let (listeners, listen) =
        listeners::workers(settings.listen, &settings.capture_listen, gateway_listen, settings.workers)?;
    let gateway =
        relayed.map(|(_, control)| Gateway::new(control, Arc::clone(&state), key.clone(), attested.subscribe()));
    let gateway = gateway.transpose()?.map(Arc::new);
    let relay = settings.gateway.zip(control.clone());
    let relay = relay.map(|(address, control)| RelaySettings {
        address,
        control,
        state: Arc::clone(&state),
        attested: attested.subscribe(),
    });
    let stubs =
        listeners::each(&settings.dns_listen, dns::bind).map_err(StartError::system("cannot bind --dns-listen"))?;
    let admin = listeners::admin(settings.admin_listen).await;
    let (admin, admin_address) = admin.map_err(StartError::system("cannot bind --admin-listen"))?;
    let shared = Arc::new(Shared {
        state: Arc::clone(&state),
        recorder: OnceLock::new(),
        slots: Slots::default(),
        budgets: Budgets::new(settings.body_memory),
        arrival_time: settings.arrival_time,
        rego_time: settings.rego_time,
        runs: Arc::new(Runs::default()),
        control: control.clone(),
        reports,
        trials: Counts::default(),
        metrics: metrics.clone(),
        drain: drain.clone(),
        refusals: Refusals::default(),
        names: Names::default(),
        relay,
        gateway,
    });
    let (head, heads) = watch::channel(None);
    let sources = Sources {
        state: Arc::clone(&state),
        control,
        level: settings.level,
        is_probed,
        readiness: readiness.clone(),
        head: heads,
    };

    let folder = settings.records_dir;
    tasks.spawn("records", {
        let (shared, quiet, attested) = (Arc::clone(&shared), quiet.clone(), attested.subscribe());
        async move { records::keep(&folder, key, attested, shared, segment, quiet, head).await }
    });
    // Kept until the end: a watch without its sender would look as if nothing could be attested any more.
    tasks.spawn_background("gauges", gauges(state, metrics, attested));

    let credentials = Arc::new(Credentials::new(settings.credentials_dir));
    let threads = threads(listeners, stubs, &shared, &credentials, settings.max_connections)?;
    tasks.spawn_background("refusals", sums(Arc::clone(&shared)));
    tasks.spawn("workers", async move {
        for ended in futures::future::join_all(threads).await {
            ended.map_err(|_| WorkerDied)?;
        }
        refusals::write(&shared);
        quiet.begin();
        Ok(())
    });
    tasks.spawn_background("admin", serve_admin(admin, readiness, registry, sources));

    let (of_calls, of_admin) = settings.address_files;
    if let Some(listen) = listen {
        listeners::write_address(of_calls.as_deref(), listen)
            .map_err(StartError::system("cannot write --address-file"))?;
    }
    let written = listeners::write_address(of_admin.as_deref(), admin_address);
    written.map_err(StartError::system("cannot write --admin-address-file"))?;
    tracing::info!(?listen, level = settings.level.as_str(), admin = %admin_address, "listening");
    Ok(tasks)
}

/// The threads of the workers, and that of the DNS stub where there is one. Of each, how its end is told.
fn threads(
    listeners: Vec<Listeners>,
    stubs: Vec<dns::Bound>,
    shared: &Arc<Shared>,
    credentials: &Arc<Credentials>,
    max_connections: usize,
) -> Result<Vec<oneshot::Receiver<()>>, StartError> {
    let mut threads = Vec::new();
    for listeners in listeners {
        let worker = worker::spawn(listeners, Arc::clone(shared), Arc::clone(credentials), max_connections);
        threads.push(worker.map_err(StartError::system("cannot start a worker"))?);
    }
    if !stubs.is_empty() {
        let stub = dns::spawn(stubs, Arc::clone(shared));
        threads.push(stub.map_err(StartError::system("cannot start the dns stub"))?);
    }
    Ok(threads)
}

/// Takes policy, attestation and record key from files.
async fn from_files(
    files: &FileSettings,
    state: &State,
    metrics: &Metrics,
    attested: &watch::Sender<Option<Attested>>,
) -> Result<SigningKey, FileError> {
    let (key, of_file) = file::load(files, state, metrics).await?;
    attested.send_replace(Some(of_file));
    Ok(key)
}

/// Answers on the admin port.
async fn serve_admin(listener: TcpListener, readiness: Readiness, registry: Registry, sources: Sources) -> TaskResult {
    let started = sources.clone();
    let routes = admin::with_startup(admin::router(readiness, Arc::new(registry)), move || started.pending());
    let routes = admin::with_status(routes, move || sources.status());
    Ok(admin::serve(listener, routes).await?)
}

/// Writes the sums of refused connections.
async fn sums(shared: Arc<Shared>) -> TaskResult {
    let mut ticks = interval(refusals::INTERVAL);
    loop {
        ticks.tick().await;
        refusals::write(&shared);
    }
}

/// Keeps the gauges that age by themselves.
async fn gauges(state: Arc<State>, metrics: Metrics, _attested: watch::Sender<Option<Attested>>) -> TaskResult {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        if let Some(Knowledge::AsOf(as_of)) = state.knowledge() {
            metrics.knowledge_age_seconds.set(Timestamp::now().duration_since(as_of).as_secs());
        }
        if let Some(token) = state.token() {
            metrics.token_left_seconds.set(i64::try_from(token.left().as_secs()).unwrap_or(i64::MAX));
        }
    }
}
