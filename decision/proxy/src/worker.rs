//! Workers: one thread each, with a current-thread runtime, a listener and upstream connections of its own. A call stays
//! on the thread that accepted it; nothing is stolen, and what counts is shared only where it must be ([`Shared`]).

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aegis_runtime::shutdown::Drain;
use hickory_resolver::TokioResolver;
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::control::Control;
use crate::forward::{Credentials, Upstream};
use crate::gate::gate;
use crate::metrics::Metrics;
use crate::record::Recorder;
use crate::report::Reports;
use crate::slots::Slots;
use crate::state::State;

/// Headers of a call at most.
const MAX_HEADERS: usize = 64;
/// Bytes of a call's head at most.
const MAX_HEAD_BYTES: usize = 32 * 1024;
/// Time for a call's head, and for a connection to be idle.
const HEAD_TIME: Duration = Duration::from_secs(30);
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
    /// The control service; none when policy comes from files.
    pub control: Option<Arc<Control>>,
    /// Takes reports of claimed calls.
    pub reports: Reports,
    /// Metrics.
    pub metrics: Metrics,
    /// Told when to finish.
    pub drain: Drain,
}

/// One worker.
pub struct Worker {
    /// What all share.
    pub shared: Arc<Shared>,
    /// Its upstream connections.
    pub upstream: Upstream,
    /// Where calls come in.
    pub listen: SocketAddr,
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
    listener: StdListener,
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    max_connections: usize,
) -> std::io::Result<oneshot::Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (done, ended) = oneshot::channel();
    std::thread::Builder::new().name("aegis-worker".to_owned()).spawn(move || {
        let served = runtime.block_on(serve(listener, shared, credentials, max_connections));
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
    listener: StdListener,
    shared: Arc<Shared>,
    credentials: Arc<Credentials>,
    max_connections: usize,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let listen = listener.local_addr()?;
    let resolver = TokioResolver::builder_tokio().and_then(hickory_resolver::ResolverBuilder::build);
    let resolver = resolver
        .inspect_err(|error| tracing::warn!(%error, "no resolver: only tools with literal addresses can be reached"))
        .ok();
    let drain = shared.drain.clone();
    let worker = Arc::new(Worker { shared, upstream: Upstream::new(credentials, resolver), listen });
    let slots = Arc::new(Semaphore::new(max_connections));
    let graceful = GracefulShutdown::new();
    let calls = TaskTracker::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES)
        .half_close(false);
    loop {
        let (slot, stream) = tokio::select! {
            biased;
            () = drain.begun() => break,
            next = next(&listener, &slots) => next,
        };
        let _ = stream.set_nodelay(true);
        let (worker, calls) = (Arc::clone(&worker), calls.clone());
        let broken = worker.shared.metrics.broken_connections.clone();
        let service = service_fn(move |request| call(Arc::clone(&worker), calls.clone(), request));
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                broken.inc();
                tracing::debug!(%error, "connection broke");
            }
            drop(slot);
        });
    }
    drop(listener);
    graceful.shutdown().await;
    // A call whose agent went away is finished all the same: it may be between its claim and its outcome.
    calls.close();
    calls.wait().await;
    Ok(())
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
async fn call(
    worker: Arc<Worker>,
    calls: TaskTracker,
    request: Request<Incoming>,
) -> Result<http::Response<http_body_util::Full<bytes::Bytes>>, tokio::task::JoinError> {
    let gone = CancellationToken::new();
    let _told_when_dropped = gone.clone().drop_guard();
    calls.spawn(gate(worker, request, gone)).await
}
