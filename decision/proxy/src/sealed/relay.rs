//! The relay's side: calls and tunnels go to the gateway, once it has proven itself on that connection. Nothing is judged
//! here, but what cannot be named is not sent. A call that may have been heard is never said again.

use std::sync::Arc;
use std::time::Duration;

use aegis_runtime::tls::TlsError;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::TOKEN;
use super::dial::{DIAL_TIME, Dialler, Tries};
use super::fault::{RelayFault, Unanswered};
use super::line::{Call, Idle, Line};
use crate::budget::Budget;
use crate::control::Control;
use crate::forward::UpstreamAnswer;
use crate::identity::Attested;
use crate::ingress::Arrived;
use crate::state::State;
use crate::ways::site::Site;

/// Time for a call: longer than any hold and any tool's own limit, which the gateway watches.
const CALL_TIME: Duration = Duration::from_mins(15);
/// Largest answer in bytes: the largest that a tool's limit can be, and its head.
const MAX_ANSWER: usize = 65 * 1024 * 1024;

/// How this sidecar reaches the gateway.
pub struct Relay {
    dialler: Dialler,
    state: Arc<State>,
    answers: Budget,
    idle: Idle,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("address", &self.dialler.address).finish_non_exhaustive()
    }
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

/// A fault, and the call if surely nothing of it was written.
type Failed = (RelayFault, Option<Box<Call>>);

impl Relay {
    /// A relay without a connection yet, whose answers share this budget.
    pub fn new(settings: RelaySettings, answers: Budget) -> Result<Self, TlsError> {
        let RelaySettings { address, control, state, attested } = settings;
        Ok(Self { dialler: Dialler::new(address, control, attested)?, state, answers, idle: Idle::default() })
    }

    /// Sends a call and brings the gateway's answer back as it is, unless the agent goes away before.
    pub async fn send(&self, arrived: &Arrived, gone: &CancellationToken) -> Result<UpstreamAnswer, Unanswered> {
        let mut call = self.request(arrived).map_err(Unanswered::NotSent)?;
        // A kept line may break just now: what may have an effect is not left in doubt for that.
        let mut kept = if call.method().is_safe() { self.idle.take() } else { None };
        let mut tries = Tries::begin();
        loop {
            let line = if let Some(line) = kept.take() {
                line
            } else {
                tokio::select! {
                    line = self.dialler.dial(&mut tries) => line.map_err(Unanswered::NotSent)?,
                    () = gone.cancelled() => return Err(Unanswered::NotSent(RelayFault::Gone)),
                }
            };
            let (fault, unsent) = match self.ask(line, call, gone).await {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            let Some(unsent) = unsent else { return Err(Unanswered::Unknown(fault)) };
            if !tries.again().await {
                return Err(Unanswered::NotSent(fault));
            }
            call = *unsent;
        }
    }

    /// Asks on a line, until there is an answer, nobody waits for one, or it takes too long.
    async fn ask(&self, line: Line, call: Call, gone: &CancellationToken) -> Result<UpstreamAnswer, Failed> {
        tokio::select! {
            answered = timeout(CALL_TIME, self.exchange(line, call)) => {
                answered.unwrap_or(Err((RelayFault::Timeout, None)))
            }
            // The connection ends with it, so the gateway knows that nobody waits for an approval; a call that it has
            // begun to send it ends properly.
            () = gone.cancelled() => Err((RelayFault::Gone, None)),
        }
    }

    /// One request and its answer; the line is kept.
    async fn exchange(&self, mut line: Line, call: Call) -> Result<UpstreamAnswer, Failed> {
        let response = match line.sender.try_send_request(call).await {
            Ok(response) => response,
            Err(mut error) => {
                let unsent = error.take_message().map(Box::new);
                return Err((RelayFault::Http(error.into_error()), unsent));
            }
        };
        let (parts, body) = response.into_parts();
        let Ok(whole) = self.answers.read(body, MAX_ANSWER).await else { return Err((RelayFault::Answer, None)) };
        self.idle.keep(line);
        let (headers, body) = (end_to_end(parts.headers), whole.bytes.into());
        Ok(UpstreamAnswer { status: parts.status, headers, body, held: whole.held })
    }

    /// A tunnel to a host of `Agent.egress`, through the gateway, which judges it too.
    pub async fn tunnel(&self, site: &Site) -> Result<hyper::upgrade::Upgraded, RelayFault> {
        let opening = async {
            let mut line = self.dialler.dial(&mut Tries::begin()).await?;
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
        let mut request = Request::builder().method(method).uri(target).header(HOST, &self.dialler.address);
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
}

/// Headers that are for the agent, not for the connection to the gateway.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    const HOP: [HeaderName; 3] = [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    for name in HOP {
        headers.remove(name);
    }
    headers
}
