//! How a gateway is reached. Nothing of a call is said here, so what fails may be tried again, for a few seconds: while
//! its Deployment rolls, a pod that ends is still called, and one that begins is not ready.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aegis_runtime::tls::{TlsError, peer_key};
use http::header::HOST;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::fault::RelayFault;
use super::line::Line;
use super::{PROOF_PATH, Proof, Unproven};
use crate::control::Control;
use crate::identity::{Attested, jittered};

/// Time to connect, to begin TLS and to see the proof, with all tries.
pub(super) const DIAL_TIME: Duration = Duration::from_secs(10);
/// Time within which a try that failed is followed by another.
const RETRY_TIME: Duration = Duration::from_secs(5);
/// Time for the TCP connection of one try: nobody may be left at an address, to refuse it.
const CONNECT_TIME: Duration = Duration::from_secs(2);
/// First pause between two tries, ±50 %.
const FIRST_PAUSE: Duration = Duration::from_millis(40);
/// Longest pause between two tries, ±50 %.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// Time without a sign of the gateway's kernel after which a connection is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// Largest proof in bytes.
const MAX_PROOF: usize = 64 * 1024;

/// Makes connections to the gateway.
pub(super) struct Dialler {
    /// `host:port`.
    pub address: String,
    control: Arc<Control>,
    attested: watch::Receiver<Option<Attested>>,
    connector: TlsConnector,
}

/// The tries of one call.
pub(super) struct Tries {
    began: Instant,
    pause: Duration,
}

impl Tries {
    /// From now on.
    pub fn begin() -> Self {
        Self { began: Instant::now(), pause: FIRST_PAUSE }
    }

    /// Pauses before the next try; false when there is no time for one.
    pub async fn again(&mut self) -> bool {
        let pause = jittered(self.pause, 0.5);
        if self.began.elapsed().saturating_add(pause) >= RETRY_TIME {
            return false;
        }
        sleep(pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

impl Dialler {
    /// To this `host:port`, as the control service's client.
    pub fn new(
        address: String,
        control: Arc<Control>,
        attested: watch::Receiver<Option<Attested>>,
    ) -> Result<Self, TlsError> {
        let connector = TlsConnector::from(Arc::new(control.connects_with_its_key()?));
        Ok(Self { address, control, attested, connector })
    }

    /// Connects, and lets nothing through before the gateway has proven itself.
    pub async fn dial(&self, tries: &mut Tries) -> Result<Line, RelayFault> {
        loop {
            let reached = timeout_at(tries.began + DIAL_TIME, self.once()).await;
            let fault = match reached.unwrap_or_else(|_| Err(RelayFault::Connect(io::ErrorKind::TimedOut.into()))) {
                Ok(line) => return Ok(line),
                Err(fault) => fault,
            };
            if !fault.may_pass() || !tries.again().await {
                return Err(fault);
            }
            tracing::debug!(error = &fault as &dyn std::error::Error, "gateway not reached, trying again");
        }
    }

    async fn once(&self) -> Result<Line, RelayFault> {
        let connecting = timeout(CONNECT_TIME, TcpStream::connect(&self.address)).await;
        let stream = connecting.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(RelayFault::Connect)?;
        let _ = stream.set_nodelay(true);
        notice_silence(&stream);
        let name = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let name = ServerName::try_from(name.to_owned()).map_err(|_| RelayFault::Answer)?;
        let stream = self.connector.connect(name, stream).await.map_err(RelayFault::Tls)?;
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let key = certificates.first().and_then(peer_key).ok_or(Unproven::OtherKey)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            let _ = connection.with_upgrades().await;
        }));
        let mut line = Line::new(sender, driver);
        self.check(&mut line, &key).await?;
        Ok(line)
    }

    async fn check(&self, line: &mut Line, key: &[u8; 32]) -> Result<(), RelayFault> {
        let agent = self.attested.borrow().as_ref().map(|attested| attested.attestation.agent.uid.clone());
        let agent = agent.ok_or(RelayFault::NoToken)?;
        let request = Request::get(PROOF_PATH).header(HOST, &self.address).body(Full::default());
        let response = line.sender.send_request(request.map_err(|_| Unproven::Attestation)?).await?;
        let proof = read(response).await?;
        let trusted = self.control.trusted().await.map_err(|_| Unproven::Attestation)?;
        proof.check(&trusted.keys, &agent, key, Timestamp::now())?;
        Ok(line.sender.ready().await?)
    }
}

async fn read(response: http::Response<Incoming>) -> Result<Proof, RelayFault> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::SERVICE_UNAVAILABLE => return Err(RelayFault::NotReady),
        _ => return Err(Unproven::Attestation.into()),
    }
    let body = Limited::new(response.into_body(), MAX_PROOF).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(broke) => RelayFault::Http(*broke),
        Err(_) => Unproven::Attestation.into(),
    })?;
    serde_json::from_slice(&body.to_bytes()).map_err(|_| Unproven::Attestation.into())
}

/// A call may be held for minutes: a gateway whose node died meanwhile says nothing, and the agent should not wait on.
fn notice_silence(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(SILENCE / 3).with_interval(SILENCE / 3).with_retries(2);
    let _ = socket.set_tcp_keepalive(&keepalive);
    #[cfg(target_os = "linux")]
    let _ = socket.set_tcp_user_timeout(Some(SILENCE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tries_come_apart_and_end() {
        let mut tries = Tries::begin();
        let mut count = 1;
        while tries.again().await {
            count += 1;
        }
        assert!(tries.began.elapsed() < RETRY_TIME);
        assert!((10..=40).contains(&count), "{count} tries");
    }
}
