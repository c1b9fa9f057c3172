//! The admin port: `/live`, `/ready`, `/metrics`, and what a program adds: `/startup`, `/status`. It changes nothing, so it needs no authentication (THR-7).

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use serde::Serialize;
use tokio::net::TcpListener;

use crate::ready::{Readiness, State};

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

/// Serves the admin routes for ever: also while draining, so that the drain can be seen.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    axum::serve(listener, router).await
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
}
