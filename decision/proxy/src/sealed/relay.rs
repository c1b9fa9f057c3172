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
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{PROOF_PATH, Proof, TOKEN, Unproven};
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
/// Connections that are kept for the next calls by a safe method (RFC 9110, 9.2.1), per worker.
const KEPT: usize = 4;
/// Time without a sign of the gateway's kernel after which a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);
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
    /// The agent waits no longer.
    #[error("the agent went away")]
    Gone,
}

/// A call without the gateway's answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// No byte of it was passed on.
    #[error("the call was not passed on")]
    NotSent(#[source] RelayFault),
    /// It may have been: nobody here knows how it ended.
    #[error("the call was passed on and not answered")]
    Unknown(#[source] RelayFault),
}

impl Unanswered {
    /// What the agent is told.
    pub fn code(&self) -> Code {
        match self {
            Self::NotSent(RelayFault::NoToken) => Code::TokenNotFresh,
            Self::NotSent(_) => Code::GatewayUnavailable,
            Self::Unknown(RelayFault::Timeout) => Code::UpstreamTimeout,
            Self::Unknown(_) => Code::UpstreamFailed,
        }
    }
}

/// A request to the gateway, with the call whole.
type Call = Request<Full<Bytes>>;

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

    /// Sends a call and brings the gateway's answer back as it is, unless the agent goes away before.
    pub async fn send(&self, arrived: &Arrived, gone: &CancellationToken) -> Result<UpstreamAnswer, Unanswered> {
        tokio::select! {
            answered = timeout(CALL_TIME, self.exchange(arrived)) => {
                answered.unwrap_or(Err(Unanswered::Unknown(RelayFault::Timeout)))
            }
            // The connection ends with it, so the gateway knows that nobody waits for an approval; a call that it has
            // begun to send it ends properly.
            () = gone.cancelled() => Err(Unanswered::Unknown(RelayFault::Gone)),
        }
    }

    async fn exchange(&self, arrived: &Arrived) -> Result<UpstreamAnswer, Unanswered> {
        let mut call = self.request(arrived).map_err(Unanswered::NotSent)?;
        // A kept line may be closed just now: what may have an effect is not left in doubt for that.
        let kept = if call.method().is_safe() { self.kept() } else { None };
        if let Some(line) = kept {
            match self.ask(line, call).await {
                Ok(answer) => return Ok(answer),
                Err((fault, None)) => return Err(Unanswered::Unknown(fault)),
                // It was closed before.
                Err((_, Some(unsent))) => call = *unsent,
            }
        }
        let line = self.dial().await.map_err(Unanswered::NotSent)?;
        self.ask(line, call).await.map_err(|(fault, unsent)| match unsent {
            Some(_) => Unanswered::NotSent(fault),
            None => Unanswered::Unknown(fault),
        })
    }

    /// Asks on a line and keeps it. A call of which surely nothing was written comes back with the fault.
    async fn ask(&self, mut line: Line, call: Call) -> Result<UpstreamAnswer, (RelayFault, Option<Box<Call>>)> {
        let response = match line.sender.try_send_request(call).await {
            Ok(response) => response,
            Err(mut error) => {
                let unsent = error.take_message().map(Box::new);
                return Err((RelayFault::Http(error.into_error()), unsent));
            }
        };
        let (parts, body) = response.into_parts();
        let Ok(body) = Limited::new(body, MAX_ANSWER).collect().await else { return Err((RelayFault::Answer, None)) };
        self.keep(line);
        Ok(UpstreamAnswer { status: parts.status, headers: end_to_end(parts.headers), body: body.to_bytes() })
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

    fn request(&self, arrived: &Arrived) -> Result<Call, RelayFault> {
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
            notice_silence(&stream);
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

/// A call may be held for minutes: a gateway whose node died meanwhile says nothing, and the agent should not wait on.
fn notice_silence(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENCE / 3).with_interval(SILENCE / 3).with_retries(2);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(SILENCE));
}

/// Headers that are for the agent, not for the connection to the gateway.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    const HOP: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    for name in HOP {
        headers.remove(name);
    }
    headers
}
