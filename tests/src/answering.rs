//! A server of this process, for what a test or a measurement answers itself.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Listens on a free port of loopback until the runtime ends, and gives every request to `answer`.
///
/// # Errors
/// When there is no free port.
pub async fn listen<F, A>(answer: F) -> Result<SocketAddr>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Without this, the kernel holds a small answer back: a measured time would be its timer.
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let answered = answer(request);
                async move { Ok::<_, Infallible>(answered.await) }
            });
            tokio::spawn(async move {
                let http = hyper::server::conn::http1::Builder::new();
                // A connection that the other side ends is the usual end.
                let _ = http.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

/// An answer of JSON.
pub fn json(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A tool that answers at once with a small object, so that what is measured is the way to it.
#[derive(Debug)]
pub struct AtOnce {
    /// Where it listens, until the runtime ends.
    pub address: SocketAddr,
    answered: Arc<AtomicU64>,
}

impl AtOnce {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// When there is none.
    pub async fn listen() -> Result<Self> {
        let answered = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&answered);
        let address = listen(move |request: Request<Incoming>| {
            let counted = Arc::clone(&counted);
            async move {
                let read = request.into_body().collect().await.map_or(0, |body| body.to_bytes().len());
                counted.fetch_add(1, Ordering::Relaxed);
                json(StatusCode::OK, format!(r#"{{"id":7,"read":{read}}}"#))
            }
        })
        .await?;
        Ok(Self { address, answered })
    }

    /// Requests that it has answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}
