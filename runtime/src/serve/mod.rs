//! The HTTPS accept loop: one bounded task per connection, graceful at the end.

mod busy;
mod strangers;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse as _;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::shutdown::Drain;
use crate::tls::peer_key;
use busy::UnderWay;
pub use strangers::Stranger;
pub(crate) use strangers::Strangers;

/// The raw Ed25519 key of the client at the other end: an extension of every request, where the server requires one. TLS
/// 1.3 proved its possession.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerKey(pub [u8; 32]);

/// Bounds of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; the next ones wait in the kernel's queue.
    pub connections: usize,
    /// Of these, connections of one address that have not proven who they are ([`Stranger`]); more are closed.
    pub strangers: usize,
    /// Time for the TLS handshake, and for an idle connection to end.
    pub handshake: Duration,
    /// Time for which a connection may have no request under way, from its beginning on.
    pub idle: Duration,
    /// Time from the headers of a request to those of its answer.
    pub answer: Duration,
    /// Streams at once on an HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            strangers: 64,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            answer: Duration::from_mins(2),
            streams: 64,
        }
    }
}

/// Time for clients of HTTP/1.1 to hear that they should connect elsewhere. A connection that is closed while it is idle
/// may just then carry a request, and many clients do not repeat one that changes something.
const PARTING: Duration = Duration::from_secs(3);

/// Serves `router` until the drain begins, then finishes what is under way and returns. Over HTTP/1.1 an answer in the
/// drain is its connection's last, and an idle connection stays a moment for it; HTTP/2 has a frame for that. Long streams
/// must end by themselves when they see the drain: the process's bound on the drain holds for them.
pub async fn https(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, limits: Limits, drain: Drain) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let strangers = Strangers::new(limits.strangers);
    let connections = TaskTracker::new();
    let http = http(limits);
    loop {
        // A slot is taken before the connection: what cannot be served is not accepted.
        let (slot, stream, from) = tokio::select! {
            biased;
            () = drain.begun() => break,
            next = next(&listener, &slots) => next,
        };
        let Some(stranger) = strangers.admit(from.ip()) else {
            tracing::debug!(%from, "too many connections of one address");
            continue;
        };
        let connection = Connection {
            acceptor: acceptor.clone(),
            http: http.clone(),
            router: router.clone(),
            limits,
            stranger,
            drain: drain.clone(),
        };
        connections.spawn(connection.serve(stream, slot));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

fn http(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(limits.streams);
    http
}

async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream, SocketAddr) {
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, from)) => return (slot, stream, from),
            Err(error) => {
                // Out of descriptors, or the peer is gone already: give others time to close.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

struct Connection {
    acceptor: TlsAcceptor,
    http: auto::Builder<TokioExecutor>,
    router: Router,
    limits: Limits,
    stranger: Stranger,
    drain: Drain,
}

impl Connection {
    async fn serve(self, stream: TcpStream, _slot: OwnedSemaphorePermit) {
        let _ = stream.set_nodelay(true);
        let stream = match timeout(self.limits.handshake, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%error, "handshake failed"),
            Err(_) => return tracing::debug!("handshake timed out"),
        };
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        // Where a key is required, the handshake has failed without one: see `tls::Clients`.
        let key = certificates.first().map(|certificate| peer_key(certificate).map(PeerKey));
        if key == Some(None) {
            return;
        }
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let under_way = UnderWay::default();
        let service = service_fn(|mut request: Request<Incoming>| {
            if let Some(key) = key.flatten() {
                request.extensions_mut().insert(key);
            }
            request.extensions_mut().insert(self.stranger.clone());
            let (router, busy, drain) = (self.router.clone(), under_way.begin(), self.drain.clone());
            async move {
                let mut answer = answer(router, request, self.limits.answer).await;
                if !is_http2 && drain.has_begun() {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                // The answer's body may be a long stream: it holds the connection until its end.
                Ok::<_, Infallible>(answer.map(|body| {
                    body.map_frame(move |frame| {
                        let _under_way = &busy;
                        frame
                    })
                }))
            }
        });
        let mut connection = std::pin::pin!(self.http.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.drain.begun() => {
                let parting = if is_http2 { Duration::ZERO } else { PARTING };
                if let Ok(ended) = timeout(parting, connection.as_mut()).await {
                    Some(ended)
                } else {
                    connection.as_mut().graceful_shutdown();
                    Some(connection.await)
                }
            }
            () = under_way.idle_for(self.limits.idle) => {
                connection.as_mut().graceful_shutdown();
                timeout(self.limits.handshake, connection).await.ok()
            }
        };
        if let Some(Err(error)) = ended {
            tracing::debug!(%error, "connection failed");
        }
    }
}

async fn answer(mut router: Router, request: Request<Incoming>, within: Duration) -> Response<Body> {
    match timeout(within, router.call(request)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(never)) => match never {},
        Err(_) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Authority, ClientIdentity, client_config, server_config};
    use axum::Extension;
    use axum::routing::get;
    use rustls::pki_types::ServerName;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsConnector;

    #[tokio::test]
    async fn a_request_carries_the_peers_key_and_the_drain_lets_it_finish() {
        let authority = Authority::generate("test", Duration::from_hours(1)).unwrap();
        let leaf = authority.leaf(&["127.0.0.1".to_owned()], Duration::from_hours(1)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let drain = Drain::new();
        let told = drain.clone();
        let router = Router::new().route(
            "/key",
            get(move |Extension(key): Extension<PeerKey>| async move {
                // The drain begins while this request is under way.
                told.begin();
                tokio::task::yield_now().await;
                key.0.to_vec()
            }),
        );
        let tls = Arc::new(server_config(&leaf).unwrap());
        let server = tokio::spawn(https(listener, tls, router, Limits::default(), drain));

        let identity = ClientIdentity::generate().unwrap();
        let connector = TlsConnector::from(Arc::new(client_config(authority.certificate_pem(), &identity).unwrap()));
        let stream = TcpStream::connect(address).await.unwrap();
        let stream = connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get("/key").header("host", "127.0.0.1").body(axum::body::Body::empty()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body.as_ref(), identity.public_key());
        tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
    }

    /// Somebody who sends a request over a kept connection just after the drain began gets an answer, and is told to go.
    #[tokio::test]
    async fn a_kept_connection_is_answered_once_more_in_the_drain() {
        let drain = Drain::new();
        let scene = Scene::drained_by(Limits::default(), drain.clone()).await;
        let mut kept = scene.ask("/").await.unwrap();
        let mut rest = vec![0; 1024];
        let read = kept.read(&mut rest).await.unwrap();
        assert!(!String::from_utf8_lossy(&rest[..read]).contains("connection: close"));
        drain.begin();
        // Nobody can connect any more: the server has seen the drain.
        while scene.connect().await.is_ok() {
            tokio::task::yield_now().await;
        }
        kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut last = String::new();
        timeout(Duration::from_secs(10), kept.read_to_string(&mut last)).await.unwrap().unwrap();
        assert!(last.starts_with("HTTP/1.1 200 OK") && last.contains("connection: close"), "{last}");
    }

    /// A server with these bounds, and a client's TLS connection to it whenever asked.
    struct Scene {
        address: SocketAddr,
        connector: TlsConnector,
    }

    impl Scene {
        async fn new(limits: Limits) -> Self {
            Self::drained_by(limits, Drain::new()).await
        }

        async fn drained_by(limits: Limits, drain: Drain) -> Self {
            let authority = Authority::generate("test", Duration::from_hours(1)).unwrap();
            let leaf = authority.leaf(&["127.0.0.1".to_owned()], Duration::from_hours(1)).unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let router = Router::new()
                .route("/", get(|| async { "here" }))
                .route("/prove", get(|Extension(stranger): Extension<Stranger>| async move { stranger.proven() }));
            let tls = Arc::new(server_config(&leaf).unwrap());
            tokio::spawn(https(listener, tls, router, limits, drain));
            let identity = ClientIdentity::generate().unwrap();
            let connector =
                TlsConnector::from(Arc::new(client_config(authority.certificate_pem(), &identity).unwrap()));
            Self { address, connector }
        }

        async fn connect(&self) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
            let stream = TcpStream::connect(self.address).await?;
            self.connector.connect(ServerName::try_from("127.0.0.1").unwrap(), stream).await
        }

        async fn ask(&self, path: &str) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
            let mut stream = self.connect().await?;
            stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await?;
            let mut status = [0; 15];
            stream.read_exact(&mut status).await?;
            assert_eq!(&status, b"HTTP/1.1 200 OK");
            Ok(stream)
        }
    }

    #[tokio::test]
    async fn who_says_nothing_does_not_keep_its_place() {
        let limits = Limits { connections: 2, idle: Duration::from_millis(200), ..Limits::default() };
        let scene = Scene::new(limits).await;
        let silent = scene.connect().await.unwrap();
        let mut begun = scene.connect().await.unwrap();
        // HTTP/2, and no request: pings are answered, so only the bound on idleness ends it.
        begun.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let asked = timeout(Duration::from_secs(20), scene.ask("/")).await;
        asked.expect("both places are taken by clients that ask nothing").unwrap();
        drop((silent, begun));
    }

    #[tokio::test]
    async fn an_address_has_few_places_until_it_proves_who_it_is() {
        let scene = Scene::new(Limits { strangers: 2, ..Limits::default() }).await;
        let first = scene.ask("/prove").await.unwrap();
        let second = scene.ask("/").await.unwrap();
        let third = scene.ask("/").await.unwrap();
        assert!(scene.ask("/").await.is_err(), "a third stranger of one address");
        drop(second);
        let again = async {
            while scene.ask("/").await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), again).await.expect("a place that was given up can be had");
        drop((first, third));
    }
}
