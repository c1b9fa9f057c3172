//! Wiring: from arguments to running tasks.

use std::sync::Arc;
use std::time::Duration;

use aegis_crds::mesh::Settings;
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::{TaskError, TaskResult, Tasks};
use aegis_runtime::tls::Clients;
use aegis_runtime::tls::rotation::{About, Keeper, Lifetimes};
use aegis_runtime::{admin, ready, serve, tls};
use jiff::{SignedDuration, Timestamp};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::approvals::{Released, steps};
use crate::args::Args;
use crate::control::{self, Compiled, Control, Feeds, Heads, Room, Turns};
use crate::guards::{Guards, ShippedError};
use crate::hub::Hub;
use crate::keys::{Keys, KeysError};
use crate::leader::{self, Leadership};
use crate::metrics::Metrics;
use crate::owned::{self, Fences};
use crate::reconcile;
use crate::report::Events;
use crate::stores::{self, Changes};
use crate::trials::{self, Trials};
use crate::trust::{self, Trust};

/// Why the operator cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No cluster.
    #[error("cannot find a cluster: set KUBECONFIG or run in a pod")]
    Config(#[from] kube::config::InferConfigError),
    /// The API server.
    #[error("cannot talk to the API server")]
    Client(#[from] kube::Error),
    /// Keys.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Public keys.
    #[error("cannot publish keys")]
    KeySet(#[from] aegis_decision::jws::KeySetError),
    /// A port.
    #[error("cannot listen on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// Guards.
    #[error(transparent)]
    Shipped(#[from] ShippedError),
    /// A task ended.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A point for a test.
    #[cfg(feature = "failpoints")]
    #[error("{0}")]
    KillAt(String),
}

/// Serves until the drain begins.
pub async fn serve(args: Args, mesh: Settings, lifetimes: Lifetimes, drain: Drain) -> Result<(), StartError> {
    #[cfg(feature = "failpoints")]
    crate::failpoint::arm(args.kill_at.clone()).map_err(StartError::KillAt)?;
    let guards = Guards::shipped()?;
    let config = kube::Config::infer().await?;
    let client = kube::Client::try_from(config)?;
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let readiness = ready::Readiness::new(drain.clone());
    let mut tasks = Tasks::new();

    let admin = listen(args.admin.admin_listen).await?;
    tracing::info!(address = %local(&admin), "admin listens");
    let routes = admin::router(readiness.clone(), Arc::new(registry));
    tasks.spawn_background("admin", async move { Ok(admin::serve(admin, routes).await?) });
    let awaited = Awaited {
        stores: readiness.handle("stores"),
        certificate: readiness.handle("certificate"),
        confirmed: readiness.handle("confirmed"),
    };

    let keys = Keys::load(client.clone(), &args.system_namespace).await?;
    let public = keys.public()?;
    let hub = Arc::new(Hub::default());
    let changes = Arc::new(Changes::default());
    let stores = stores::start(
        &client,
        &args.namespaces,
        Duration::from_secs(args.list_every.into()),
        &changes,
        &hub,
        &mut tasks,
        &drain,
    );
    let leadership = elect(&args, &client, &mut tasks, &drain);
    let namespace = &args.system_namespace;
    let shared = Trust::new(client.clone(), namespace, stores.agents.clone(), &public, Arc::clone(&changes.appeared));
    let about = About { common_name: trust::COMMON_NAME, names: args.control_names.clone(), lifetimes };
    let certificates = Keeper::new(shared, about, metrics.certificates.clone());
    let control = Arc::new(Control {
        client: client.clone(),
        keys: Arc::new(keys),
        public,
        feeds: Feeds::new(metrics.clone()),
        room: Room::new(metrics.clone()),
        hub,
        stores,
        changes,
        guards,
        released: Arc::new(Released::default()),
        heads: Heads::default(),
        trials: Trials::default(),
        leadership,
        fences: Fences::default(),
        mesh: Arc::new(mesh),
        events: Events::new(client),
        metrics,
        trust_domain: args.trust_domain.clone(),
        org: args.org.clone(),
        issuer: format!("https://aegis-operator.{}.svc", args.system_namespace),
        max_open_approvals: usize::from(args.max_open_approvals),
        opening: Turns::default(),
        judging: Turns::default(),
        compiled: Compiled::default(),
        drain: drain.clone(),
    });
    let listener = listen(args.control_listen).await?;
    tracing::info!(address = %local(&listener), "control service listens");
    let retain = SignedDuration::from_hours(24 * i64::from(args.retain_days));
    tasks.spawn("serve", run(control, retain, listener, certificates, awaited));
    Ok(tasks.run(drain).await?)
}

/// What the operator is not ready without.
struct Awaited {
    stores: ready::Handle,
    certificate: ready::Handle,
    confirmed: ready::Handle,
}

/// Waits for a view of the cluster, then plans and serves by it until the drain begins.
async fn run(
    control: Arc<Control>,
    retain: SignedDuration,
    listener: TcpListener,
    certificates: Keeper<Trust>,
    awaited: Awaited,
) -> TaskResult {
    let Awaited { stores, certificate, confirmed } = awaited;
    tokio::select! {
        () = control.drain.begun() => return Ok(()),
        ready = control.stores.ready() => ready?,
    }
    stores.release();
    let released = tokio::spawn(release_once_known(control.hub.as_of(), confirmed));
    for namespace in control.stores.namespaces() {
        control.changes.namespaces.mark(&namespace);
    }
    let all = async {
        tokio::try_join!(
            reconcile::run(Arc::clone(&control)),
            steps::run(Arc::clone(&control), retain),
            trials::run(Arc::clone(&control)),
            owned::run(Arc::clone(&control)),
            https(Arc::clone(&control), listener, certificates, certificate),
        )
    };
    let result = Box::pin(all).await.map(|_| ());
    released.abort();
    result
}

/// Serves the control service from when it has a certificate.
async fn https(
    control: Arc<Control>,
    listener: TcpListener,
    mut certificates: Keeper<Trust>,
    certified: ready::Handle,
) -> TaskResult {
    let drain = control.drain.clone();
    let served = tokio::select! {
        () = drain.begun() => return Ok(()),
        served = certificates.first() => served,
    };
    certified.release();
    let tls = Arc::new(tls::serving(&served, Clients::WithKey)?);
    tokio::select! {
        // Feeds and calls that are open go on, whatever is shown to new ones.
        () = serve::https(listener, tls, control::router(control), serve::Limits::default(), drain) => Ok(()),
        () = certificates.run() => Ok(()),
    }
}

/// Waits until it is known how old the operator's own view is.
async fn release_once_known(mut as_of: watch::Receiver<Option<Timestamp>>, confirmed: ready::Handle) {
    if as_of.wait_for(Option::is_some).await.is_ok() {
        confirmed.release();
    }
}

/// Takes part in the election, where there is one.
fn elect(args: &Args, client: &kube::Client, tasks: &mut Tasks, drain: &Drain) -> Leadership {
    if !args.leader_elect {
        return Leadership::always();
    }
    let me = args.identity.clone().unwrap_or_else(|| format!("aegis-operator-{:08x}", rand::random::<u32>()));
    let (leads, leadership) = Leadership::elected();
    tasks.spawn("leader", leader::run(client.clone(), args.system_namespace.clone(), me, leads, drain.clone()));
    leadership
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
}

fn local(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}
