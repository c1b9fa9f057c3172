//! The HTTPS accept loop: one bounded task per connection, graceful at the end.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::Service;

use crate::shutdown::Drain;
use crate::tls::peer_key;

/// The raw Ed25519 key of the client at the other end: an extension of every request, where the server requires one. TLS
/// 1.3 proved its possession.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerKey(pub [u8; 32]);

/// Bounds of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; the next ones wait in the kernel's queue.
    pub connections: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the headers of an HTTP/1.1 request, and for a keep-alive connection to be idle.
    pub header_read: Duration,
    /// Streams at once on an HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            handshake: Duration::from_secs(10),
            header_read: Duration::from_secs(30),
            streams: 64,
        }
    }
}

/// Serves `router` until the drain begins, then finishes what is under way and returns. Long streams must end by
/// themselves when they see the drain: the process's bound on the drain holds for them.
pub async fn https(listener: TcpListener, tls: Arc<ServerConfig>, router: Router, limits: Limits, drain: Drain) {
    let acceptor = TlsAcceptor::from(tls);
    let slots = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let http = http(limits);
    loop {
        // A slot is taken before the connection: what cannot be served is not accepted.
        let (slot, stream) = tokio::select! {
            biased;
            () = drain.begun() => break,
            next = next(&listener, &slots) => next,
        };
        let connection = Connection {
            acceptor: acceptor.clone(),
            http: http.clone(),
            router: router.clone(),
            handshake: limits.handshake,
            watcher: graceful.watcher(),
        };
        tokio::spawn(connection.serve(stream, slot));
    }
    drop(listener);
    graceful.shutdown().await;
}

fn http(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_read);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(limits.streams);
    http
}

async fn next(listener: &TcpListener, slots: &Arc<Semaphore>) -> (OwnedSemaphorePermit, TcpStream) {
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(slots).acquire_owned().await else {
            return std::future::pending().await;
        };
        match listener.accept().await {
            Ok((stream, _)) => return (slot, stream),
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
    handshake: Duration,
    watcher: Watcher,
}

impl Connection {
    async fn serve(self, stream: TcpStream, _slot: OwnedSemaphorePermit) {
        let _ = stream.set_nodelay(true);
        let stream = match tokio::time::timeout(self.handshake, self.acceptor.accept(stream)).await {
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
        let router = self.router;
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            if let Some(key) = key.flatten() {
                request.extensions_mut().insert(key);
            }
            let mut router = router.clone();
            async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(%error, "connection failed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::{Authority, ClientIdentity, client_config, server_config};
    use axum::Extension;
    use axum::routing::get;
    use http_body_util::BodyExt;
    use rustls::pki_types::ServerName;
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
}
