//! Workers: one thread each, with a current-thread runtime, a listener and upstream connections of its own. A call stays
//! on the thread that accepted it; nothing is stolen, and what counts is shared only where it must be ([`Shared`]).

use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_runtime::shutdown::Drain;
use hickory_resolver::TokioResolver;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::budget::Budgets;
use crate::control::Control;
use crate::forward::{Credentials, Upstream};
use crate::framing::Plain;
use crate::gate::gate;
use crate::metrics::Metrics;
use crate::record::Recorder;
use crate::report::Reports;
use crate::runs::Runs;
use crate::sealed::gateway::Gateway;
use crate::sealed::relay::{Relay, RelaySettings};
use crate::sealed::serve::serve_relay;
use crate::slots::Slots;
use crate::state::State;
use crate::trials::Counts;
use crate::ways::names::Names;
use crate::ways::refusals::Refusals;
use crate::ways::{Door, captured, connect};

/// Headers of a call at most.
const MAX_HEADERS: usize = 64;
/// Bytes of a call's head at most.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Connections that wait in the kernel.
const BACKLOG: i32 = 1024;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// What calls are judged with.
    pub state: Arc<State>,
    /// Takes records; set when the segment was begun.
    pub recorder: OnceLock<Recorder>,
    /// Calls under way by tool.
    pub slots: Slots,
    /// What bodies may take together.
    pub budgets: Budgets,
    /// Time for a call's head, for its body, and for a connection to be idle.
    pub arrival_time: Duration,
    /// Time that the Rego modules of one call have together.
    pub rego_time: Duration,
    /// What is remembered of the agent's runs.
    pub runs: Arc<Runs>,
    /// The control service; none when policy comes from files.
    pub control: Option<Arc<Control>>,
    /// Takes reports of claimed calls.
    pub reports: Reports,
    /// How trials go.
    pub trials: Counts,
    /// Metrics.
    pub metrics: Metrics,
    /// Told when to finish.
    pub drain: Drain,
    /// Captured connections that were refused, not recorded yet.
    pub refusals: Refusals,
    /// Names below wildcards that were asked for.
    pub names: Names,
    /// Where calls are sent to be judged, when not here.
    pub relay: Option<RelaySettings>,
    /// Lets relays in, in a gateway.
    pub gateway: Option<Arc<Gateway>>,
}

/// One worker.
pub struct Worker {
    /// What all share.
    pub shared: Arc<Shared>,
    /// Its upstream connections.
    pub upstream: Upstream,
    /// How many tunnels may be open.
    pub tunnels: Arc<Semaphore>,
    /// Sends calls to the gateway instead of judging them.
    pub relay: Option<Relay>,
}

/// The listeners of one worker.
#[derive(Debug, Default)]
pub struct Listeners {
    /// Where the agent is told to call.
    pub calls: Option<StdListener>,
    /// Where captured connections are redirected to.
    pub captured: Vec<StdListener>,
    /// Where relays connect to.
    pub gateway: Option<StdListener>,
}

/// What comes in at a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entrance {
    Calls,
    Captured,
    Gateway,
}

/// What serves the connections of one worker.
pub struct Server {
    /// The worker.
    pub worker: Arc<Worker>,
    /// Calls and tunnels under way.
    pub calls: TaskTracker,
    connections: TaskTracker,
    pub(crate) http: http1::Builder,
}

/// A worker's thread died before it had drained.
#[derive(Debug, thiserror::Error)]
#[error("a worker's thread died")]
pub struct WorkerDied;

/// Binds one listener per worker to the same address; the kernel spreads connections over them. Only processes of the
/// same user could join, so the agent, which has another, cannot listen in.
pub fn bind(address: SocketAddr, workers: usize) -> std::io::Result<Vec<StdListener>> {
    let mut address = address;
    let mut listeners = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if workers > 1 {
            socket.set_reuse_port(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = StdListener::from(socket);
        // Port 0 is settled by the first.
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Starts a worker's thread. The receiver is told when it has drained, and closed when it died.
pub fn spawn(
    listeners: Listeners,
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    max_connections: usize,
) -> std::io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new().name("aegis-worker".to_owned()).spawn(move || {
        let served = runtime.block_on(serve(listeners, shared, credentials, max_connections));
        match served {
            Ok(()) => {
                let _ = done.send(());
            }
            Err(error) => tracing::error!(%error, "worker cannot listen"),
        }
    })?;
    Ok(ended)
}

async fn serve(
    listeners: Listeners,
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    max_connections: usize,
) -> std::io::Result<()> {
    let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
    let resolver = resolver
        .inspect_err(|error| tracing::warn!(%error, "no resolver: only tools with literal addresses can be reached"))
        .ok();
    // Calls, captured connections and tunnels are bounded each for itself: a flood of one leaves the others their share.
    let half = (max_connections / 2).max(1);
    let tunnels = Arc::new(Semaphore::new(half));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(shared.arrival_time)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .half_close(false);
    let relay = shared
        .relay
        .clone()
        .map(|relay| Relay::new(relay, shared.budgets.answers.clone()))
        .transpose()
        .map_err(std::io::Error::other)?;
    let upstream = Upstream::new(credentials, resolver, shared.budgets.answers.clone());
    let server = Arc::new(Server {
        worker: Arc::new(Worker { shared, upstream, tunnels, relay }),
        calls: TaskTracker::new(),
        connections: TaskTracker::new(),
        http,
    });
    let captured = Arc::new(Semaphore::new(half));
    let mut accepting = Vec::new();
    if let Some(listener) = listeners.calls {
        let slots = Arc::new(Semaphore::new(max_connections));
        accepting.push(accept(Arc::clone(&server), listener, slots, Entrance::Calls));
    }
    for listener in listeners.captured {
        accepting.push(accept(Arc::clone(&server), listener, Arc::clone(&captured), Entrance::Captured));
    }
    if let Some(listener) = listeners.gateway {
        let slots = Arc::new(Semaphore::new(max_connections));
        accepting.push(accept(Arc::clone(&server), listener, slots, Entrance::Gateway));
    }
    futures::future::try_join_all(accepting).await?;
    server.connections.close();
    server.connections.wait().await;
    // A call whose agent went away is finished all the same: it may be between its claim and its outcome.
    server.calls.close();
    server.calls.wait().await;
    Ok(())
}

/// Accepts connections until the drain begins.
async fn accept(
    server: Arc<Server>,
    listener: StdListener,
    slots: Arc<Semaphore>,
    entrance: Entrance,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let listen = listener.local_addr()?;
    let drain = server.worker.shared.drain.clone();
    loop {
        let (slot, stream) = tokio::select! {
            biased;
            () = drain.begun() => return Ok(()),
            next = next(&listener, &slots) => next,
        };
        let serving = Arc::clone(&server);
        server.connections.spawn(async move {
            match entrance {
                Entrance::Captured => captured::take(serving, stream, listen).await,
                Entrance::Calls => {
                    let _ = stream.set_nodelay(true);
                    serve_http(serving, Door::Calls(listen), stream).await;
                }
                Entrance::Gateway => serve_relay(serving, stream).await,
            }
            drop(slot);
        });
    }
}

/// Serves the requests of one connection. When the drain begins, the one under way is the last.
pub async fn serve_http<S>(server: Arc<Server>, door: Door, stream: S)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = TokioIo::new(Plain::new(stream));
    let serving = Arc::clone(&server);
    let service = service_fn(move |request| {
        let (worker, calls) = (Arc::clone(&serving.worker), serving.calls.clone());
        call(worker, door, calls, request)
    });
    drive(&server, server.http.serve_connection(stream, service).with_upgrades(), Duration::ZERO).await;
}

/// Drives one connection to its end. When the drain has begun and `linger` has passed, the request under way is the last.
pub(crate) async fn drive<I, S>(server: &Server, connection: http1::UpgradeableConnection<I, S>, linger: Duration)
where
    I: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = http_body_util::Full<bytes::Bytes>>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let shared = &server.worker.shared;
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async {
            shared.drain.begun().await;
            tokio::time::sleep(linger).await;
        } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        shared.metrics.broken_connections.inc();
        tracing::debug!(%error, "connection broke");
    }
}

async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (tokio::sync::OwnedSemaphorePermit, TcpStream) {
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else { return std::future::pending().await };
        match listener.accept().await {
            Ok((stream, _)) => return (slot, stream),
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Runs a call in a task of its own, so that it ends properly even when the agent goes away.
pub(crate) async fn call(
    worker: Arc<Worker>,
    door: Door,
    calls: TaskTracker,
    request: Request<Incoming>,
) -> Result<http::Response<http_body_util::Full<bytes::Bytes>>, tokio::task::JoinError> {
    if request.method() == http::Method::CONNECT && matches!(door, Door::Calls(_) | Door::Gateway) {
        let tunnels = calls.clone();
        return calls.spawn(connect::connect(worker, tunnels, request)).await;
    }
    let gone = CancellationToken::new();
    let _told_when_dropped = gone.clone().drop_guard();
    calls.spawn(gate(worker, door, request, gone)).await
}
