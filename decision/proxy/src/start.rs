//! The process: everything is made here once, bound, and run to its end.
//!
//! ```text
//! drain begins -> workers finish their calls -> `quiet`: token, feed and reports end
//!              -> the writer seals the segment -> the last head and the last counts are told -> exit
//! ```

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_decision::control::Head;
use aegis_decision::jws::SigningKey;
use aegis_runtime::ready::{self, Readiness};
use aegis_runtime::shutdown::{self, Drain, Ended};
use aegis_runtime::tasks::{TaskResult, Tasks};
use aegis_runtime::tls::{ClientIdentity, TlsError};
use aegis_runtime::{admin, exit, telemetry};
use futures::FutureExt as _;
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::interval;

use crate::args::{ControlSettings, FileSettings, Settings, Source};
use crate::budget::Budgets;
use crate::control::Control;
use crate::feed::{Feed, Pending};
use crate::file::{self, FileError};
use crate::forward::Credentials;
use crate::heads;
use crate::identity::{Attested, Identity, record_key};
use crate::metrics::Metrics;
use crate::probe::{self, About, Probe, ProbeSettings};
use crate::record::{self, OpenError, WriterError};
use crate::report::{self, Reports};
use crate::runs::Runs;
use crate::sealed::gateway::Gateway;
use crate::sealed::relay::RelaySettings;
use crate::slots::Slots;
use crate::state::{Knowledge, State};
use crate::status::Sources;
use crate::trials::{self, Counts};
use crate::ways::dns;
use crate::ways::names::Names;
use crate::ways::refusals::{self, Refusals};
use crate::worker::{self, Listeners, Shared, WorkerDied};

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

/// The listener of the admin surface, and its address.
async fn admin(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Makes and starts everything.
async fn start(settings: Settings, drain: &Drain) -> Result<Tasks, StartError> {
    let system = |what| move |source| StartError::System { what, source };
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
            let control = follow_control(&mut tasks, control, key.clone(), &attested, probe, &parts)?;
            let sent = report::send_all(queue, Arc::clone(&control), Arc::clone(&state), quiet.clone());
            tasks.spawn("reports", sent.map(Ok));
            (Some(control), key)
        }
    };

    let (mut listeners, mut listen) = listeners(settings.listen, &settings.capture_listen, settings.workers)?;
    let gateway = match (settings.gateway_listen, &control) {
        (Some(address), Some(control)) => {
            let bound = worker::bind(address, settings.workers).map_err(system("cannot bind --gateway-listen"))?;
            listen = bound.first().and_then(|listener| listener.local_addr().ok());
            listeners.iter_mut().zip(bound).for_each(|(worker, listener)| worker.gateway = Some(listener));
            let (control, state) = (Arc::clone(control), Arc::clone(&state));
            Some(Arc::new(Gateway::new(control, state, key.clone(), attested.subscribe())?))
        }
        _ => None,
    };
    let relay = settings.gateway.zip(control.clone()).map(|(address, control)| {
        let (state, attested) = (Arc::clone(&state), attested.subscribe());
        RelaySettings { address, control, state, attested }
    });
    let stubs = each(&settings.dns_listen, dns::bind).map_err(system("cannot bind --dns-listen"))?;
    let (admin, admin_address) = admin(settings.admin_listen).await.map_err(system("cannot bind --admin-listen"))?;
    let shared = Arc::new(Shared {
        state: Arc::clone(&state),
        recorder: OnceLock::new(),
        slots: Slots::default(),
        budgets: Budgets::new(settings.body_memory),
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
        let (shared, quiet) = (Arc::clone(&shared), quiet.clone());
        let attested = attested.subscribe();
        async move { records(&folder, key, attested, shared, segment, quiet, head).await }
    });
    // Kept until the end: a watch without its sender would look as if nothing could be attested any more.
    tasks.spawn_background("gauges", gauges(state, metrics, attested));

    let credentials = Arc::new(Credentials::new(settings.credentials_dir));
    let mut threads = Vec::new();
    for listeners in listeners {
        let worker = worker::spawn(listeners, Arc::clone(&shared), Arc::clone(&credentials), settings.max_connections);
        threads.push(worker.map_err(system("cannot start a worker"))?);
    }
    if !stubs.is_empty() {
        threads.push(dns::spawn(stubs, Arc::clone(&shared)).map_err(system("cannot start the dns stub"))?);
    }
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

    if let Some(listen) = listen {
        write_address(settings.address_files.0.as_deref(), listen).map_err(system("cannot write --address-file"))?;
    }
    write_address(settings.address_files.1.as_deref(), admin_address)
        .map_err(system("cannot write --admin-address-file"))?;
    tracing::info!(?listen, level = settings.level.as_str(), admin = %admin_address, "listening");
    Ok(tasks)
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

/// Binds what every worker listens on, but for the gateway; also says where calls come in.
fn listeners(
    calls: Option<SocketAddr>,
    captured: &[SocketAddr],
    workers: usize,
) -> Result<(Vec<Listeners>, Option<SocketAddr>), StartError> {
    let system = |what| move |source| StartError::System { what, source };
    let mut listeners: Vec<Listeners> = std::iter::repeat_with(Listeners::default).take(workers).collect();
    let mut listen = None;
    if let Some(address) = calls {
        let bound = worker::bind(address, workers).map_err(system("cannot bind --listen"))?;
        listen = bound.first().and_then(|listener| listener.local_addr().ok());
        for (worker, listener) in listeners.iter_mut().zip(bound) {
            worker.calls = Some(listener);
        }
    }
    let captured = each(captured, |address| worker::bind(address, workers));
    for bound in captured.map_err(system("cannot bind --capture-listen"))? {
        for (worker, listener) in listeners.iter_mut().zip(bound) {
            worker.captured.push(listener);
        }
    }
    Ok((listeners, listen))
}

/// Binds each address. One that this machine does not have, such as `::1` without IPv6, is left out: nothing comes in there.
fn each<T>(addresses: &[SocketAddr], bind: impl Fn(SocketAddr) -> std::io::Result<T>) -> std::io::Result<Vec<T>> {
    let mut bound = Vec::new();
    let mut missing = None;
    for address in addresses {
        match bind(*address) {
            Ok(one) => bound.push(one),
            Err(error) if error.kind() == std::io::ErrorKind::AddrNotAvailable => {
                tracing::warn!(%address, "no such address here");
                missing = Some(error);
            }
            Err(error) => return Err(error),
        }
    }
    match missing {
        Some(error) if bound.is_empty() => Err(error),
        _ => Ok(bound),
    }
}

/// Writes the sums of refused connections.
async fn sums(shared: Arc<Shared>) -> TaskResult {
    let mut ticks = interval(refusals::INTERVAL);
    loop {
        ticks.tick().await;
        refusals::write(&shared);
    }
}

/// What the tasks around the control service need.
struct Parts<'a> {
    readiness: &'a Readiness,
    quiet: &'a Drain,
    state: &'a Arc<State>,
    metrics: &'a Metrics,
}

/// Keeps the token fresh and follows the feed.
fn follow_control(
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
    let system = |what| move |source| StartError::System { what, source };
    let Parts { readiness, quiet, state, metrics } = *parts;
    let ProbeSettings { socket, level, every } = settings;
    let sidecar_uid = probe::own_uid().map_err(system("cannot tell the own user"))?;
    let listener = probe::bind(&socket).map_err(system("cannot bind --probe-socket"))?;
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

/// Why records cannot be kept.
#[derive(Debug, thiserror::Error)]
enum RecordsError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Writer(#[from] WriterError),
    #[error("the record writer died")]
    Died,
}

/// Begins the segment with the first attestation, passes renewed ones on, and ends it when all is quiet.
async fn records(
    folder: &Path,
    key: SigningKey,
    mut attested: watch::Receiver<Option<Attested>>,
    shared: Arc<Shared>,
    ready: ready::Handle,
    quiet: Drain,
    newest: watch::Sender<Option<Head>>,
) -> TaskResult {
    let first = tokio::select! {
        first = attested.wait_for(Option::is_some) => first.ok().and_then(|first| first.clone()),
        () = quiet.begun() => None,
    };
    let Some(first) = first else { return Ok(()) };
    let begun = record::begin(folder, key, &first.jws, &first.keys, shared.metrics.clone());
    let record::Begun { recorder, head, mut ended } = begun.map_err(RecordsError::Open)?;
    if shared.recorder.set(recorder.clone()).is_ok() {
        ready.release();
    }
    let written = Drain::new();
    let trials = {
        let (shared, head, written) = (&shared, head.clone(), &written);
        async move {
            if let Some(control) = &shared.control {
                trials::send_all(&shared.trials, &head, control, &shared.state, written).await;
            }
            Ok(())
        }
    };
    let told = {
        let mut head = head.clone();
        async move {
            while head.changed().await.is_ok() {
                newest.send_replace(head.borrow_and_update().clone());
            }
            Ok(())
        }
    };
    let writing = async {
        loop {
            tokio::select! {
                result = &mut ended => {
                    result.map_err(|_| RecordsError::Died)??;
                    return Err(RecordsError::Died);
                }
                () = quiet.begun() => break,
                Ok(()) = attested.changed() => {
                    let newest = attested.borrow_and_update().clone();
                    if let Some(newest) = newest && recorder.attest(newest.jws, newest.keys).is_err() {
                        tracing::error!("renewed attestation not written: the queue is full");
                    }
                }
            }
        }
        recorder.close();
        ended.await.map_err(|_| RecordsError::Died)??;
        written.begin();
        Ok(())
    };
    let heads = async {
        if let Some(control) = &shared.control {
            heads::send_all(head, Arc::clone(control), Arc::clone(&shared.state), written.clone()).await;
        }
        Ok(())
    };
    futures::future::try_join4(writing, heads, told, trials).await?;
    Ok(())
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

/// Whole or not at all: a reader that polls never sees half an address.
fn write_address(file: Option<&Path>, address: SocketAddr) -> std::io::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let new = file.with_extension("new");
    std::fs::write(&new, address.to_string())?;
    std::fs::rename(new, file)
}
