//! The relay's side: calls and tunnels go to the gateway, once it has proven itself on that connection. Nothing is judged
//! here, but what cannot be named is not sent.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_runtime::tls::peer_key;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{PROOF_PATH, Proof, TOKEN, Unproven};
use crate::answer::Answer;
use crate::control::Control;
use crate::forward::UpstreamAnswer;
use crate::identity::Attested;
use crate::ingress::Arrived;
use crate::state::State;
use crate::ways::site::Site;

/// Time to connect, to begin TLS and to see the proof.
const DIAL_TIME: Duration = Duration::from_secs(10);
/// Time for a call: longer than any hold and any tool's own limit, which the gateway watches.
const CALL_TIME: Duration = Duration::from_mins(15);
/// Connections that are kept for the next calls, per worker.
const KEPT: usize = 4;
/// Largest answer in bytes: the largest that a tool's limit can be, and its head.
const MAX_ANSWER: usize = 65 * 1024 * 1024;
/// Largest proof in bytes.
const MAX_PROOF: usize = 64 * 1024;

/// Why the gateway has not answered.
#[derive(Debug, thiserror::Error)]
pub enum RelayFault {
    /// No connection.
    #[error("the gateway cannot be reached")]
    Connect(#[source] io::Error),
    /// Not in time.
    #[error("the gateway did not answer in time")]
    Timeout,
    /// TLS or HTTP broke.
    #[error("the connection to the gateway broke")]
    Http(#[from] hyper::Error),
    /// It is not this agent's.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// It answered something else than agreed.
    #[error("the gateway's answer is not understood")]
    Answer,
    /// This sidecar has no token yet.
    #[error("no token")]
    NoToken,
}

impl RelayFault {
    /// Whether it is sure that no call was passed on.
    fn was_not_sent(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Unproven(_) | Self::NoToken => true,
            // A kept connection that was closed meanwhile: hyper says so before it writes.
            Self::Http(error) => error.is_canceled(),
            Self::Timeout | Self::Answer => false,
        }
    }
}

/// How this sidecar reaches the gateway.
pub struct Relay {
    address: String,
    control: Arc<Control>,
    state: Arc<State>,
    attested: watch::Receiver<Option<Attested>>,
    connector: TlsConnector,
    idle: Mutex<Vec<Line>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection on which the gateway proved itself.
struct Line {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: AbortOnDropHandle<()>,
}

/// What every worker makes its own relay from.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// `host:port` of the gateway.
    pub address: String,
    /// The control service; its TLS key is the relay's too.
    pub control: Arc<Control>,
    /// Holds the token.
    pub state: Arc<State>,
    /// Says which agent this is.
    pub attested: watch::Receiver<Option<Attested>>,
}

impl Relay {
    /// A relay without a connection yet.
    pub fn new(settings: RelaySettings) -> Result<Self, aegis_runtime::tls::TlsError> {
        let RelaySettings { address, control, state, attested } = settings;
        let connector = TlsConnector::from(Arc::new(control.connects_with_its_key()?));
        Ok(Self { address, control, state, attested, connector, idle: Mutex::new(Vec::new()) })
    }

    /// Sends a call and brings the gateway's answer back as it is.
    pub async fn send(&self, arrived: &Arrived) -> Answer {
        match timeout(CALL_TIME, self.exchange(arrived)).await.unwrap_or(Err(RelayFault::Timeout)) {
            Ok(answer) => Answer::Relayed(answer),
            Err(RelayFault::NoToken) => Code::TokenNotFresh.into(),
            Err(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "call not relayed");
                let code = if fault.was_not_sent() { Code::GatewayUnavailable } else { Code::UpstreamTimeout };
                code.into()
            }
        }
    }

    async fn exchange(&self, arrived: &Arrived) -> Result<UpstreamAnswer, RelayFault> {
        let request = self.request(arrived)?;
        let mut line = match self.kept() {
            Some(line) => line,
            None => self.dial().await?,
        };
        let response = line.sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|_| RelayFault::Answer)?.to_bytes();
        self.keep(line);
        Ok(UpstreamAnswer { status: parts.status, headers: end_to_end(parts.headers), body })
    }

    /// A tunnel to a host of `Agent.egress`, through the gateway, which judges it too.
    pub async fn tunnel(&self, site: &Site) -> Result<hyper::upgrade::Upgraded, RelayFault> {
        let opening = async {
            let mut line = self.dial().await?;
            let request = Request::connect(site.to_string())
                .header(HOST, site.to_string())
                .header(TOKEN, self.token()?)
                .body(Full::default())
                .map_err(|_| RelayFault::Answer)?;
            let response = line.sender.send_request(request).await?;
            if response.status() != StatusCode::OK {
                return Err(RelayFault::Answer);
            }
            let upgraded = hyper::upgrade::on(response).await?;
            // The connection now belongs to the tunnel; its task ends with the bytes.
            line.detach();
            Ok(upgraded)
        };
        timeout(DIAL_TIME, opening).await.map_err(|_| RelayFault::Timeout)?
    }

    fn request(&self, arrived: &Arrived) -> Result<Request<Full<Bytes>>, RelayFault> {
        let http = arrived.http();
        let target = match http.query {
            Some(query) => format!("/{}{}?{query}", arrived.tool(), http.path),
            None => format!("/{}{}", arrived.tool(), http.path),
        };
        let method = Method::from_bytes(http.method.as_bytes()).map_err(|_| RelayFault::Answer)?;
        let mut request = Request::builder().method(method).uri(target).header(HOST, &self.address);
        for (name, value) in http.headers {
            // An agent cannot name a token of its own.
            if name.as_str() != TOKEN.as_str() {
                request = request.header(name, value);
            }
        }
        request = request.header(TOKEN, self.token()?);
        request.body(Full::new(Bytes::copy_from_slice(http.body))).map_err(|_| RelayFault::Answer)
    }

    fn token(&self) -> Result<HeaderValue, RelayFault> {
        let token = self.state.token().ok_or(RelayFault::NoToken)?;
        let mut value = HeaderValue::from_str(&token.bearer).map_err(|_| RelayFault::NoToken)?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn kept(&self) -> Option<Line> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|line| line.sender.is_ready() && !line.sender.is_closed());
        idle.pop()
    }

    fn keep(&self, line: Line) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < KEPT {
            idle.push(line);
        }
    }

    /// Connects, and lets nothing through before the gateway has proven itself.
    async fn dial(&self) -> Result<Line, RelayFault> {
        let dialling = async {
            let stream = TcpStream::connect(&self.address).await.map_err(RelayFault::Connect)?;
            let _ = stream.set_nodelay(true);
            let name = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
            let name = ServerName::try_from(name.to_owned()).map_err(|_| RelayFault::Answer)?;
            let stream = self.connector.connect(name, stream).await.map_err(RelayFault::Connect)?;
            let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
            let key = certificates.first().and_then(peer_key).ok_or(Unproven::OtherKey)?;
            let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let driver = AbortOnDropHandle::new(tokio::spawn(async move {
                let _ = connection.with_upgrades().await;
            }));
            let mut line = Line { sender, driver };
            self.check(&mut line, &key).await?;
            Ok(line)
        };
        timeout(DIAL_TIME, dialling).await.map_err(|_| RelayFault::Connect(io::ErrorKind::TimedOut.into()))?
    }

    async fn check(&self, line: &mut Line, key: &[u8; 32]) -> Result<(), RelayFault> {
        let agent = self.attested.borrow().as_ref().map(|attested| attested.attestation.agent.uid.clone());
        let agent = agent.ok_or(RelayFault::NoToken)?;
        let request = Request::get(PROOF_PATH).header(HOST, &self.address).body(Full::default());
        let response = line.sender.send_request(request.map_err(|_| Unproven::Attestation)?).await?;
        let proof: Proof = read(response).await.ok_or(Unproven::Attestation)?;
        let trusted = self.control.trusted().await.map_err(|_| Unproven::Attestation)?;
        proof.check(&trusted.keys, &agent, key, Timestamp::now())?;
        Ok(line.sender.ready().await?)
    }
}

impl Line {
    /// Lets the connection live on without this handle.
    fn detach(self) {
        drop(self.driver.detach());
    }
}

async fn read(response: http::Response<Incoming>) -> Option<Proof> {
    if response.status() != StatusCode::OK {
        return None;
    }
    let body = Limited::new(response.into_body(), MAX_PROOF).collect().await.ok()?.to_bytes();
    serde_json::from_slice(&body).ok()
}

/// Headers that are for the agent, not for the connection to the gateway.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    const HOP: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    for name in HOP {
        headers.remove(name);
    }
    headers
}
