//! HTTP/1.1 with keep-alive for the servers of this program, and the side door by which a test asks them what they saw.
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

/// What a server of this program answers.
pub type Reply = Response<Full<Bytes>>;

/// Something that counts, can tell and can start again.
pub trait Tally: Send + Sync + 'static {
    /// Everything counted since the start or the last reset.
    fn count(&self) -> Value;
    /// Forgets it.
    fn reset(&self);
}

/// An answer with a JSON body.
pub fn json(status: StatusCode, value: &Value) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(format!("{value}\n"))));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    reply
}

/// Serves one connection until it ends. A broken connection is the other side's business.
pub async fn connection<S, F, R>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    F: Fn(Request<Incoming>) -> R,
    R: Future<Output = Reply>,
{
    let service = service_fn(|request| {
        let reply = answer(request);
        async move { Ok::<_, Infallible>(reply.await) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Answers `GET /count` and `POST /reset` on an address of its own, in the background. Returns the address that was bound.
pub async fn open(address: SocketAddr, tally: Arc<dyn Tally>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("control address {address}"))?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let tally = Arc::clone(&tally);
            tokio::spawn(connection(stream, move |request| {
                let reply = asked(request.method(), request.uri().path(), tally.as_ref());
                async move { reply }
            }));
        }
    });
    Ok(bound)
}

fn asked(method: &Method, path: &str, tally: &dyn Tally) -> Reply {
    match (method, path) {
        (&Method::GET, "/count") => json(StatusCode::OK, &tally.count()),
        (&Method::POST, "/reset") => {
            let before = tally.count();
            tally.reset();
            json(StatusCode::OK, &before)
        }
        _ => json(StatusCode::NOT_FOUND, &serde_json::json!({"error": "GET /count or POST /reset"})),
    }
}
