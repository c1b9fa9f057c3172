//! The socket that the probe asks: HTTP/1.1 on a unix socket, in a volume that only sidecar and probe mount. The wire is
//! described in [`aegis_decision::probe`].

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_decision::probe::{MAX_REPORT_BYTES, ProbeReport};
use aegis_runtime::shutdown::Drain;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Probe;

/// Connections at once: one probe that waits, one that reports, startup checks.
const MAX_CONNECTIONS: usize = 8;
/// Time for a request's head.
const HEAD: Duration = Duration::from_secs(5);
/// Anyone may connect: who can is decided by the volume. The probe runs under another user than the sidecar.
const MODE: u32 = 0o666;

/// Listens. A socket that an earlier process left is replaced.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
    Ok(listener)
}

/// Serves until `quiet`.
pub async fn serve(listener: UnixListener, probe: Arc<Probe>, quiet: Drain) {
    let turns = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            let turn = Arc::clone(&turns).acquire_owned().await;
            (listener.accept().await, turn)
        };
        let (accepted, turn) = tokio::select! {
            () = quiet.begun() => return,
            accepted = accepted => accepted,
            Some(_ended) = connections.join_next() => continue,
        };
        let (Ok((stream, _)), Ok(turn)) = (accepted, turn) else { continue };
        let probe = Arc::clone(&probe);
        connections.spawn(async move {
            let service = service_fn(|request| answer(&probe, request));
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD);
            if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "probe connection broke");
            }
            drop(turn);
        });
    }
}

async fn answer(probe: &Probe, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::GET, "/next") => match probe.order().await {
            Some(order) => json(&order),
            None => empty(StatusCode::NO_CONTENT),
        },
        (&Method::POST, "/result") => result(probe, request).await,
        (&Method::GET, "/state") => json(&probe.standing()),
        (_, "/next" | "/result" | "/state") => empty(StatusCode::METHOD_NOT_ALLOWED),
        _ => empty(StatusCode::NOT_FOUND),
    })
}

async fn result(probe: &Probe, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let body = Limited::new(request.into_body(), MAX_REPORT_BYTES).collect().await;
    let Ok(body) = body else { return empty(StatusCode::PAYLOAD_TOO_LARGE) };
    let Ok(report) = serde_json::from_slice::<ProbeReport>(&body.to_bytes()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    match probe.hear(&report, Timestamp::now()) {
        Ok(()) => empty(StatusCode::ACCEPTED),
        Err(error) => {
            tracing::warn!(%error, "probe's report not taken");
            empty(StatusCode::BAD_REQUEST)
        }
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn json(value: &impl Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec(value) {
        Ok(bytes) => Response::new(Full::new(bytes.into())),
        Err(_) => empty(StatusCode::INTERNAL_SERVER_ERROR),
    }
}
