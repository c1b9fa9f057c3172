//! One connection to an upstream: resolved, classified, dialled, and counted.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use aegis_decision::record::ErrorClass;
use aegis_decision::tool::{Scheme, Tls, Tool};
use bytes::Bytes;
use hickory_resolver::TokioResolver;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_rustls::ConfigBuilderExt;
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::resolve::{ResolveError, resolve};

/// Headers of one answer at most.
const MAX_HEADERS: usize = 128;
/// Bytes of an answer's head at most.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The address may not be dialled, or there is none.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The tool's certificates or server name are not usable.
    #[error("the tool's tls settings are not usable")]
    Settings,
    /// No address takes a connection.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// The other side is not who it should be.
    #[error("cannot begin tls")]
    Handshake(#[source] io::Error),
    /// TLS or HTTP did not begin.
    #[error("cannot begin http")]
    Http(#[source] hyper::Error),
}

impl DialError {
    /// Its name in records.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Resolve(_) => ErrorClass::Resolve,
            Self::Settings | Self::Handshake(_) => ErrorClass::Tls,
            Self::Connect(_) | Self::Http(_) => ErrorClass::Connect,
        }
    }
}

/// A connection that can send one request after another.
pub struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    written: Arc<AtomicU64>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Dials a tool's endpoint, with TLS where it asks for it.
    pub async fn dial(
        tool: &Tool,
        tls: &Arc<ClientConfig>,
        resolver: Option<&TokioResolver>,
    ) -> Result<Self, DialError> {
        let endpoint = &tool.endpoint;
        let addresses = resolve(resolver, &endpoint.host, endpoint.port, tool.allow_private_addresses).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(DialError::Connect)?;
        let _ = stream.set_nodelay(true);
        match endpoint.scheme {
            Scheme::Http => Self::begin(stream).await,
            Scheme::Https => {
                let asked = tool.tls.as_ref().and_then(|tls| tls.server_name.as_ref()).unwrap_or(&endpoint.host);
                let name = ServerName::try_from(asked.clone()).map_err(|_| DialError::Settings)?;
                let stream =
                    TlsConnector::from(Arc::clone(tls)).connect(name, stream).await.map_err(DialError::Handshake)?;
                Self::begin(stream).await
            }
        }
    }

    async fn begin<S>(stream: S) -> Result<Self, DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let written = Arc::new(AtomicU64::new(0));
        let counted = Counted { stream, written: Arc::clone(&written) };
        let (sender, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .handshake(TokioIo::new(counted))
            .await
            .map_err(DialError::Http)?;
        let driver = tokio::spawn(async move {
            // Its error also reaches the request that it broke.
            let _ = connection.await;
        });
        Ok(Self { sender, written, driver })
    }

    /// The side that takes requests.
    pub fn sender(&mut self) -> &mut http1::SendRequest<Full<Bytes>> {
        &mut self.sender
    }

    /// Whether it can take another request.
    pub fn is_usable(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// Bytes of requests that were handed to the socket (or to TLS in front of it).
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Ends the connection and tells how many bytes were written until then: none can follow.
    pub async fn end(mut self) -> u64 {
        self.driver.abort();
        let _ = (&mut self.driver).await;
        self.written()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The TLS configuration towards a tool: its own authorities, else the public roots. TLS 1.2 and 1.3, no resumption.
pub fn tls_config(tls: Option<&Tls>) -> Result<ClientConfig, DialError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| DialError::Settings)?;
    let builder = match tls.and_then(|tls| tls.ca_bundle.as_ref()) {
        None => builder.with_webpki_roots(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|_| DialError::Settings)?;
                roots.add(certificate).map_err(|_| DialError::Settings)?;
            }
            if roots.is_empty() {
                return Err(DialError::Settings);
            }
            builder.with_root_certificates(roots)
        }
    };
    let mut config = builder.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Counts what is written, so that "nothing was sent" is a fact and not a guess.
struct Counted<S> {
    stream: S,
    written: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &polled {
            self.written.fetch_add(u64::try_from(*count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
