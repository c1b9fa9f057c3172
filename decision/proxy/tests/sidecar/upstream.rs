//! A small HTTP server that remembers what it was asked and misbehaves on demand.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use aegis_runtime::tls::Leaf;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

/// The server; ends with the test's runtime.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// A body that sends one byte and then nothing for ever.
pub struct Drip(bool);

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Pending
        } else {
            Poll::Ready(Some(Ok(Frame::data("{".into()))))
        }
    }
}

impl Upstream {
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// The same behind TLS, without client certificates.
    pub async fn start_tls(leaf: &Leaf) -> Self {
        let chain = CertificateDer::pem_slice_iter(leaf.certificate_pem.as_bytes()).collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(leaf.key_pem.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::listen(Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Self { address: listener.local_addr().unwrap(), seen: Arc::default() };
        let accepting = upstream.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let upstream = accepting.clone();
                let service = service_fn(move |request| {
                    let upstream = upstream.clone();
                    async move { upstream.answer(request).await }
                });
                let http = hyper::server::conn::http1::Builder::new();
                let tls = tls.clone();
                tokio::spawn(async move {
                    // A broken connection is what some tests are about.
                    let _ = match tls {
                        None => http.serve_connection(TokioIo::new(stream), service).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => http.serve_connection(TokioIo::new(stream), service).await,
                            Err(_) => Ok(()),
                        },
                    };
                });
            }
        });
        upstream
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Drip>>, std::io::Error> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
        let target = parts.uri.to_string();
        self.seen.lock().unwrap().push(Seen {
            method: parts.method.to_string(),
            target: target.clone(),
            headers: parts.headers.clone(),
            body: String::from_utf8(body.to_vec()).unwrap(),
        });
        let secret = parts.headers.get("authorization").map_or("", |value| value.to_str().unwrap());
        let json = |status: u16, body: String| {
            Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .header("set-cookie", "session=1")
                .header("etag", "\"e1\"")
                .header("connection", "keep-alive")
                .body(Either::Left(Full::new(Bytes::from(body))))
                .unwrap()
        };
        Ok(match target.split('?').next().unwrap_or_default() {
            "/v1/notes/moved" => Response::builder()
                .status(302)
                .header("location", format!("http://{}/v1/notes/1", self.address))
                .body(Either::Left(Full::default()))
                .unwrap(),
            "/v1/notes/drip" => Response::new(Either::Right(Drip(false))),
            "/v1/notes/escaped" => json(200, format!(r#"{{"you sent":"{}"}}"#, secret.replace('-', r"\u002D"))),
            "/v1/notes/large" => json(200, "x".repeat(200_000)),
            "/v1/notes/gzip" => Response::builder()
                .header("content-encoding", "gzip")
                .body(Either::Left(Full::new(Bytes::from_static(b"\x1f\x8b"))))
                .unwrap(),
            "/v1/payments/slow" | "/v1/notes/slow" => std::future::pending().await,
            "/v1/payments/reset" => return Err(std::io::Error::other("reset on purpose")),
            "/v1/payments/refused" => json(409, r#"{"error":"no"}"#.to_owned()),
            "/v1/payments/failed" => json(500, r#"{"error":"oops"}"#.to_owned()),
            "/v1/orders/7" => json(200, r#"{"total":"60.00","party":{"id":"s1","note":"secret"}}"#.to_owned()),
            "/v1/orders/8" => json(200, r#"{"total":"600.00","party":{"id":"s1"}}"#.to_owned()),
            _ if parts.method == "POST" => json(201, r#"{"id":1}"#.to_owned()),
            _ => json(200, format!(r#"{{"you sent":"{secret}"}}"#)),
        })
    }
}
