//! One HTTP/1.1 connection to where a URL says: direct, through a forward proxy, or through a tunnel of one.
use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{Empty, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::call::Args;

/// Why there is no connection or no answer. The names are what tests look at.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The URL, a header or a file is wrong.
    #[error("usage: {0}")]
    Usage(String),
    /// The name has no address.
    #[error("resolve {0}: {1}")]
    Resolve(String, std::io::Error),
    /// No TCP connection.
    #[error("connect {0}: {1}")]
    Connect(String, std::io::Error),
    /// The proxy refused the tunnel.
    #[error("tunnel: the proxy answered {0}")]
    Tunnel(StatusCode),
    /// No TLS session.
    #[error("tls: {0}")]
    Tls(std::io::Error),
    /// The exchange broke off.
    #[error("http: {0}")]
    Http(#[from] hyper::Error),
    /// Took longer than allowed.
    #[error("timeout")]
    Timeout,
}

impl CallError {
    /// One word for it.
    pub const fn stage(&self) -> &'static str {
        match self {
            Self::Usage(_) => "usage",
            Self::Resolve(..) => "resolve",
            Self::Connect(..) => "connect",
            Self::Tunnel(_) => "tunnel",
            Self::Tls(_) => "tls",
            Self::Http(_) => "http",
            Self::Timeout => "timeout",
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that takes requests for one origin.
pub struct Line {
    /// Takes one request after the other.
    pub sender: SendRequest<Full<Bytes>>,
    /// Whether requests carry the whole URL (RFC 9112, section 3.2.2) because a proxy reads them.
    pub absolute: bool,
}

/// Connects as the arguments say.
pub async fn dial(args: &Args, url: &Uri) -> Result<Line, CallError> {
    let authority = url.authority().ok_or_else(|| CallError::Usage(format!("{url} names no host")))?;
    let secure = url.scheme() == Some(&Scheme::HTTPS);
    let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let proxy = args.proxy_for(url)?;

    let stream: Box<dyn Stream> = match &proxy {
        None => Box::new(tcp(host(authority), port, args.connect).await?),
        Some(proxy) => {
            let stream = tcp(host(proxy), proxy.port_u16().unwrap_or(80), None).await?;
            if secure {
                tunnel(stream, host(authority), port, args.proxy_authorization.as_deref()).await?
            } else {
                Box::new(stream)
            }
        }
    };
    let stream: Box<dyn Stream> = if secure {
        let name = args.sni.clone().unwrap_or_else(|| bare(host(authority)).to_owned());
        let name = ServerName::try_from(name).map_err(|error| CallError::Usage(error.to_string()))?;
        let connector = args.trust.connector().map_err(|error| CallError::Usage(format!("{error:#}")))?;
        Box::new(connector.connect(name, stream).await.map_err(CallError::Tls)?)
    } else {
        stream
    };
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(Line { sender, absolute: proxy.is_some() && !secure })
}

/// Asks a proxy for a tunnel (RFC 9110, section 9.3.6).
async fn tunnel(
    stream: TcpStream,
    host: &str,
    port: u16,
    authorization: Option<&str>,
) -> Result<Box<dyn Stream>, CallError> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let target = format!("{host}:{port}");
    let mut request = Request::builder().method(Method::CONNECT).uri(&target).header(header::HOST, &target);
    if let Some(value) = authorization {
        request = request.header(header::PROXY_AUTHORIZATION, value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| CallError::Usage(error.to_string()))?;
    let response = sender.send_request(request).await?;
    if !response.status().is_success() {
        return Err(CallError::Tunnel(response.status()));
    }
    Ok(Box::new(TokioIo::new(hyper::upgrade::on(response).await?)))
}

/// Tries the addresses of a name in order, or only the one that is asked for.
async fn tcp(host: &str, port: u16, only: Option<SocketAddr>) -> Result<TcpStream, CallError> {
    if let Some(address) = only {
        return TcpStream::connect(address).await.map_err(|error| CallError::Connect(address.to_string(), error));
    }
    let addresses = resolve(host, port).await?;
    let mut last = CallError::Resolve(host.to_owned(), std::io::Error::from(std::io::ErrorKind::NotFound));
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = CallError::Connect(address.to_string(), error),
        }
    }
    Err(last)
}

/// The addresses of a name by the system's resolver.
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, CallError> {
    match tokio::net::lookup_host((bare(host), port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => Err(CallError::Resolve(host.to_owned(), error)),
    }
}

fn host(authority: &Authority) -> &str {
    authority.host()
}

/// An IPv6 address without the brackets that it has in URLs.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host)
}
