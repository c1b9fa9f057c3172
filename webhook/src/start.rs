//! Wiring: from arguments to running tasks.

use std::sync::Arc;
use std::time::Duration;

use aegis_crds::mesh::Settings;
use aegis_runtime::shutdown::Drain;
use aegis_runtime::tasks::{TaskError, Tasks};
use aegis_runtime::tls::rotation::{About, Keeper, Lifetimes};
use aegis_runtime::tls::{self, Clients};
use aegis_runtime::{admin, ready, serve};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::args::Args;
use crate::certificates::{COMMON_NAME, Certificates};
use crate::metrics::Metrics;
use crate::serve::{Hooks, router};
use crate::stores::Stores;

/// Connections at once. API servers keep few.
const CONNECTIONS: usize = 256;
/// Time that a connection may be idle. API servers end one after 90 s, and they must be first: what is closed here may
/// just then bring a question.
const IDLE: Duration = Duration::from_mins(2);

/// Why the webhook cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No cluster.
    #[error("cannot find a cluster: set KUBECONFIG or run in a pod")]
    Config(#[from] kube::config::InferConfigError),
    /// The API server.
    #[error("cannot talk to the API server")]
    Client(#[from] kube::Error),
    /// A port.
    #[error("cannot listen on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// A task ended.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Serves until the drain begins.
pub async fn serve(args: Args, settings: Settings, lifetimes: Lifetimes, drain: Drain) -> Result<(), StartError> {
    let client = kube::Client::try_from(kube::Config::infer().await?)?;
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let readiness = ready::Readiness::new(drain.clone());
    let stores_ready = readiness.handle("stores");
    let certificate_ready = readiness.handle("certificate");
    let mut tasks = Tasks::new();

    let admin = listen(args.admin.admin_listen).await?;
    tracing::info!(address = %local(&admin), "admin listens");
    let routes = admin::router(readiness, Arc::new(registry));
    tasks.spawn_background("admin", async move { Ok(admin::serve(admin, routes).await?) });
    let listener = listen(args.listen).await?;
    tracing::info!(address = %local(&listener), "webhook listens");

    let stores = Stores::start(&client, &mut tasks, &drain);
    let shared = Certificates::new(client.clone(), &settings.system_namespace, &args.configuration);
    let about = About { common_name: COMMON_NAME, names: args.names, lifetimes };
    let mut certificates = Keeper::new(shared, about, metrics.certificates.clone());
    let hooks = Arc::new(Hooks::new(stores.clone(), client, settings, metrics));
    let told = drain.clone();
    tasks.spawn("serve", async move {
        let served = tokio::select! {
            () = told.begun() => return Ok(()),
            ready = stores.ready() => {
                ready?;
                stores_ready.release();
                tokio::select! {
                    () = told.begun() => return Ok(()),
                    served = certificates.first() => served,
                }
            }
        };
        certificate_ready.release();
        let tls = Arc::new(tls::serving(&served, Clients::Anyone)?);
        let limits = serve::Limits { connections: CONNECTIONS, idle: IDLE, ..serve::Limits::default() };
        tokio::select! {
            // What is under way is answered with the certificate that it was asked under.
            () = serve::https(listener, tls, router(hooks), limits, told) => Ok(()),
            () = certificates.run() => Ok(()),
        }
    });
    Ok(tasks.run(drain).await?)
}

async fn listen(address: std::net::SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen(address, error))
}

fn local(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|error| error.to_string(), |address| address.to_string())
}
