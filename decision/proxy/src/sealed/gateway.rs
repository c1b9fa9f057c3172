//! The gateway's side: TLS with the relay's key proven, and a token that names this key and this agent in every request.

use std::sync::Arc;
use std::time::Duration;

use aegis_decision::codes::Code;
use aegis_decision::jws::{SigningKey, thumbprint};
use aegis_decision::token::{AgentClaims, prove_record_key};
use aegis_runtime::tls::{TlsError, peer_key};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
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
    /// Answered here.
    Answer(Response<Full<Bytes>>),
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

    /// Lets a request of this agent's relay through, and answers all others.
    pub async fn admit(&self, relay: Relay, mut request: Request<Incoming>) -> Admitted {
        if request.uri().path() == PROOF_PATH {
            return Admitted::Answer(self.prove(request.method()));
        }
        let mut tokens = request.headers().get_all(TOKEN).iter();
        let only = match (tokens.next(), tokens.next()) {
            (Some(token), None) => token.to_str().ok().map(str::to_owned),
            _ => None,
        };
        let is_ours = match only {
            Some(token) => self.is_of_this_agent(&token, relay).await,
            None => false,
        };
        if !is_ours {
            return Admitted::Answer(Answer::from(Code::NotThisAgent).into_response(&compose::new_id()));
        }
        request.headers_mut().remove(TOKEN);
        Admitted::Call(Box::new(request))
    }

    async fn is_of_this_agent(&self, token: &str, Relay(key): Relay) -> bool {
        let Some(view) = self.state.view() else { return false };
        let Ok(trusted) = self.control.trusted().await else { return false };
        let claims = AgentClaims::verify(token, &trusted.keys, AUDIENCE, &thumbprint(&key), Timestamp::now());
        claims.is_ok_and(|claims| claims.agent.uid == view.policy.bundle.agent().uid)
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
