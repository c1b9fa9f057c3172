//! The admin port: `/live`, `/ready`, `/metrics`, and what a program adds: `/startup`, `/status`. It changes nothing, so it needs no authentication (THR-7).

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::ready::{Readiness, State};
use crate::serve::Strangers;

/// Content type of the `OpenMetrics` text format 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The admin routes.
pub fn router(readiness: Readiness, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

/// Adds `/startup`: 200 once nothing is pending, else 503 and what is.
pub fn with_startup(router: Router, pending: impl Fn() -> Vec<&'static str> + Clone + Send + Sync + 'static) -> Router {
    let answer = move || async move {
        let names = pending();
        if names.is_empty() {
            (StatusCode::OK, "started\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, format!("pending: {}\n", names.join(", ")))
        }
    };
    router.route("/startup", get(answer))
}

/// Adds `/status`: a JSON document, made anew for every request.
pub fn with_status<T: Serialize>(router: Router, status: impl Fn() -> T + Clone + Send + Sync + 'static) -> Router {
    router.route("/status", get(move || async move { Json(status()) }))
}

/// Connections at once, and of these for one address. Every pod of the cluster may be able to reach the port: one of them
/// must neither fill it nor make it hold much. More are closed.
const CONNECTIONS: usize = 64;
const EACH_ADDRESS: usize = 8;
/// Longest head of a request in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// Time for the head of a request, and for a connection to be idle.
const HEAD: Duration = Duration::from_secs(5);
/// Longest life of a connection: who reads an answer slowly must end, too.
const LIFE: Duration = Duration::from_mins(5);

/// Serves the admin routes for ever: also while draining, so that the drain can be seen.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let strangers = Strangers::new(EACH_ADDRESS);
    let service = TowerToHyperService::new(router);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(MAX_HEAD);
    loop {
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (Some(stranger), Ok(slot)) = (strangers.admit(from.ip()), Arc::clone(&slots).try_acquire_owned()) else {
            continue;
        };
        let connection = http.serve_connection(TokioIo::new(stream), service.clone());
        tokio::spawn(async move {
            let _ = timeout(LIFE, connection).await;
            drop((stranger, slot));
        });
    }
}

async fn ready(Shared(readiness): Shared<Readiness>) -> impl IntoResponse {
    match readiness.state() {
        State::Ready => (StatusCode::OK, "ready\n".to_owned()),
        State::Pending(names) => (StatusCode::SERVICE_UNAVAILABLE, format!("pending: {}\n", names.join(", "))),
        State::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned()),
    }
}

async fn metrics(Shared(registry): Shared<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPEN_METRICS)], text),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
            "metrics cannot be written\n".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::Drain;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use prometheus_client::metrics::counter::Counter;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpSocket;
    use tower::ServiceExt;

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = to_bytes(answer.into_body(), 65536).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_names_what_is_pending() {
        let drain = Drain::new();
        let readiness = Readiness::new(drain.clone());
        let (bundle, token) = (readiness.handle("bundle"), readiness.handle("token"));
        let router = router(readiness, Arc::new(Registry::default()));
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(get(&router, "/live").await, (StatusCode::OK, "live\n".to_owned()));
        assert_eq!(get(&router, "/ready").await, (unavailable, "pending: bundle, token\n".to_owned()));
        bundle.release();
        token.release();
        assert_eq!(get(&router, "/ready").await, (StatusCode::OK, "ready\n".to_owned()));
        drain.begin();
        assert_eq!(get(&router, "/ready").await, (unavailable, "draining\n".to_owned()));
        assert_eq!(get(&router, "/live").await.0, StatusCode::OK, "a draining process is alive");
    }

    #[tokio::test]
    async fn startup_and_status_are_what_the_program_says() {
        let drain = Drain::new();
        let base = router(Readiness::new(drain.clone()), Arc::new(Registry::default()));
        let told = drain.clone();
        let router = with_startup(base, move || if told.has_begun() { Vec::new() } else { vec!["control", "token"] });
        let router = with_status(router, || std::collections::BTreeMap::from([("level", "Captured")]));
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(get(&router, "/startup").await, (unavailable, "pending: control, token\n".to_owned()));
        drain.begin();
        assert_eq!(get(&router, "/startup").await, (StatusCode::OK, "started\n".to_owned()));
        assert_eq!(get(&router, "/status").await, (StatusCode::OK, r#"{"level":"Captured"}"#.to_owned()));
    }

    #[tokio::test]
    async fn metrics_are_the_registry_and_nothing_can_be_changed() {
        let mut registry = Registry::with_prefix("aegis");
        let calls: Counter = Counter::default();
        registry.register("calls", "Calls", calls.clone());
        calls.inc();
        let router = router(Readiness::new(Drain::new()), Arc::new(registry));
        let (status, text) = get(&router, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("aegis_calls_total 1"), "{text}");
        let post = Request::post("/ready").body(Body::empty()).unwrap();
        assert_eq!(router.oneshot(post).await.unwrap().status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn nobody_fills_the_port_or_makes_it_hold_much() {
        let listener = TcpListener::bind("[::]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(serve(listener, router(Readiness::new(Drain::new()), Arc::new(Registry::default()))));
        let connect = async |from: &str| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
            socket.connect(format!("127.0.0.1:{port}").parse().unwrap()).await.unwrap()
        };
        let mut half = Vec::new();
        for _ in 0..100 {
            let mut stream = connect("127.0.0.2").await;
            // Refused ones are closed already.
            let _ = stream.write_all(b"GET /live HTTP/1.1\r\nhost: ").await;
            half.push(stream);
        }
        let mut told = String::new();
        let mut other = connect("127.0.0.1").await;
        other.write_all(b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.unwrap();
        other.read_to_string(&mut told).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 200 OK"), "{told}");

        let mut long = connect("127.0.0.3").await;
        let head = format!("GET /live HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
        let _ = long.write_all(head.as_bytes()).await;
        let mut told = Vec::new();
        let _ = long.read_to_end(&mut told).await;
        assert!(!told.starts_with(b"HTTP/1.1 200"), "a head of {} bytes was read", head.len());
    }
}
