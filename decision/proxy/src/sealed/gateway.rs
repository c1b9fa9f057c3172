//! The gateway's side: TLS with the relay's key proven, and a token that names this key and this agent in every request.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::jws::{SigningKey, thumbprint};
use aegis_decision::token::{AgentClaims, TokenError, prove_record_key};
use aegis_runtime::tls::{TlsError, peer_key};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use jiff::Timestamp;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{PROOF_PATH, Proof, TOKEN};
use crate::answer::Answer;
use crate::control::Control;
use crate::identity::Attested;
use crate::record::compose;
use crate::state::State;

/// `aud` of agent tokens: the gateway stands for the control service where the agent's calls are concerned.
const AUDIENCE: &str = "aegis-control";
/// Time for the TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// What a gateway needs to know a relay, and to be known by it.
pub struct Gateway {
    acceptor: TlsAcceptor,
    control: Arc<Control>,
    state: Arc<State>,
    record_key: SigningKey,
    attested: watch::Receiver<Option<Attested>>,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").finish_non_exhaustive()
    }
}

/// A relay that proved to hold a TLS key.
#[derive(Debug, Clone, Copy)]
pub struct Relay([u8; 32]);

/// What a request is.
pub enum Admitted {
    /// A call, its token taken off.
    Call(Box<Request<Incoming>>),
    /// This gateway's own proof was asked for.
    Proof(Response<Full<Bytes>>),
    /// It is not of this agent's relay.
    Stranger,
}

/// Why a request is a stranger's.
#[derive(Debug, thiserror::Error)]
enum Strange {
    /// Not exactly one token, as text.
    #[error("no token, or several")]
    NoToken,
    /// This gateway does not know yet whose it is, or whom it may trust.
    #[error("this gateway is not ready")]
    NotReady,
    /// The token is not good for this connection.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token is good, and another agent's.
    #[error("it is agent {0}")]
    OtherAgent(String),
}

impl Gateway {
    /// Serves with the TLS key that this pod has towards the control service.
    pub fn new(
        control: Arc<Control>,
        state: Arc<State>,
        record_key: SigningKey,
        attested: watch::Receiver<Option<Attested>>,
    ) -> Result<Self, TlsError> {
        let tls = control.serves_with_its_key()?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(tls)), control, state, record_key, attested })
    }

    /// Begins TLS; none when the other side does not, or proves no key.
    pub async fn accept(&self, stream: TcpStream) -> Option<(TlsStream<TcpStream>, Relay)> {
        let stream = match timeout(HANDSHAKE_TIME, self.acceptor.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake failed");
                return None;
            }
            Err(_) => return None,
        };
        let key = peer_key(stream.get_ref().1.peer_certificates()?.first()?)?;
        Some((stream, Relay(key)))
    }

    /// Lets a request of this agent's relay through, and no other.
    pub async fn admit(&self, relay: Relay, mut request: Request<Incoming>) -> Admitted {
        if request.uri().path() == PROOF_PATH {
            return Admitted::Proof(self.prove(request.method()));
        }
        if let Err(strange) = self.is_of_this_agent(relay, request.headers()).await {
            if matches!(strange, Strange::OtherAgent(_)) {
                // Somebody who can be named, and has no business here.
                tracing::warn!(error = %strange, "request of a stranger");
            } else {
                tracing::debug!(error = %strange, "request of a stranger");
            }
            return Admitted::Stranger;
        }
        request.headers_mut().remove(TOKEN);
        Admitted::Call(Box::new(request))
    }

    async fn is_of_this_agent(&self, Relay(key): Relay, headers: &HeaderMap) -> Result<(), Strange> {
        let mut tokens = headers.get_all(TOKEN).iter();
        let (Some(token), None) = (tokens.next(), tokens.next()) else { return Err(Strange::NoToken) };
        let token = token.to_str().map_err(|_| Strange::NoToken)?;
        let view = self.state.view().ok_or(Strange::NotReady)?;
        let trusted = self.control.trusted().await.map_err(|_| Strange::NotReady)?;
        let claims = AgentClaims::verify(token, &trusted.keys, AUDIENCE, &thumbprint(&key), Timestamp::now())?;
        if claims.agent.uid == view.policy.bundle.agent().uid {
            return Ok(());
        }
        Err(Strange::OtherAgent(format!("{}/{}", claims.agent.namespace, claims.agent.name)))
    }

    fn prove(&self, method: &Method) -> Response<Full<Bytes>> {
        let attested = self.attested.borrow().clone();
        let (Some(attested), true) = (attested, method == Method::GET) else {
            return Answer::from(Code::NotReady).into_response(&compose::new_id());
        };
        let proof = Proof {
            attestation: attested.jws,
            proof: prove_record_key(&self.record_key, &thumbprint(self.control.client_key())),
        };
        let mut response = Response::new(Full::from(serde_json::to_vec(&proof).unwrap_or_default()));
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
