//! The client of the control service. Every request has a connection of its own: they are rare, no runtime then drives
//! a connection of another, and each handshake proves the client key anew with the authority as it is trusted now.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aegis_decision::control::{
    ApprovalAnswer, ClaimAnswer, ClaimRequest, ControlError, GRANT_TYPE, Head, OutcomeReport, ProbeSubmission,
    SUBJECT_TOKEN_TYPE, Submission, TokenAnswer, TokenForm,
};
use aegis_decision::digest::Digest;
use aegis_decision::jws::KeySet;
use aegis_decision::trial::TrialReport;
use aegis_runtime::tls::{ClientIdentity, TlsError, client_config, key_client, key_server};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::args::ControlSettings;
use crate::metrics::Metrics;
use crate::trust::{Trust, TrustError, Trusted};
use crate::ways::site::Site;

/// Time for one request, from dialling to the whole answer.
const REQUEST_TIME: Duration = Duration::from_secs(10);
/// Largest answer in bytes, the feed aside.
const MAX_ANSWER: usize = 256 * 1024;

/// Why a request had no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlFault {
    /// What is trusted cannot be read.
    #[error("trust")]
    Trust(#[from] TrustError),
    /// What is trusted does not fit.
    #[error("tls settings")]
    Tls(#[from] TlsError),
    /// No connection.
    #[error("cannot connect to the control service")]
    Connect(#[source] std::io::Error),
    /// The connection broke.
    #[error("connection to the control service broke")]
    Http(#[from] hyper::Error),
    /// No answer in time.
    #[error("the control service did not answer in time")]
    Timeout,
    /// It refused.
    #[error("the control service refused with {status}: {}", .error.error)]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it says.
        error: Box<ControlError>,
    },
    /// It answered something else than agreed.
    #[error("the control service's answer is not understood (status {0})")]
    Answer(StatusCode),
    /// The request has no form.
    #[error("the request cannot be written")]
    Request,
}

/// The control service as this sidecar reaches it.
#[derive(Debug)]
pub struct Control {
    settings: ControlSettings,
    trust: Trust,
    identity: ClientIdentity,
    reached: AtomicBool,
}

/// A connection with one answer on it.
struct Answered {
    response: http::Response<Incoming>,
    trusted: Arc<Trusted>,
    driver: AbortOnDropHandle<()>,
}

/// The feed: a body without end.
pub struct FeedStream {
    /// Lines come in here.
    pub body: Incoming,
    /// What its items are verified with.
    pub keys: Arc<KeySet>,
    _driver: AbortOnDropHandle<()>,
}

impl Control {
    /// Reaches the control service of the settings as this TLS client.
    pub fn new(settings: ControlSettings, identity: ClientIdentity, metrics: &Metrics) -> Self {
        let trust = Trust::new(settings.trust_dir.clone(), metrics.trust_failures.clone());
        Self { settings, trust, identity, reached: AtomicBool::new(false) }
    }

    /// Whether it ever answered, with whatever it said.
    pub fn was_reached(&self) -> bool {
        self.reached.load(Ordering::Relaxed)
    }

    /// What is trusted now.
    pub async fn trusted(&self) -> Result<Arc<Trusted>, TrustError> {
        self.trust.read().await
    }

    /// TLS of a server that shows this sidecar's key.
    pub fn serves_with_its_key(&self) -> Result<rustls::ServerConfig, TlsError> {
        key_server(&self.identity)
    }

    /// TLS of a client that shows this sidecar's key, to a server that must still say whose its key is.
    pub fn connects_with_its_key(&self) -> Result<rustls::ClientConfig, TlsError> {
        key_client(&self.identity)
    }

    /// The TLS client key.
    pub fn client_key(&self) -> &[u8; 32] {
        self.identity.public_key()
    }

    /// Exchanges the pod's token (RFC 8693). Gives the answer with the keys to verify it.
    pub async fn token(
        &self,
        subject_token: String,
        record_key: String,
        record_key_proof: String,
        probe: Option<String>,
    ) -> Result<(TokenAnswer, Arc<KeySet>), ControlFault> {
        let form = TokenForm {
            grant_type: GRANT_TYPE.to_owned(),
            subject_token,
            subject_token_type: SUBJECT_TOKEN_TYPE.to_owned(),
            agent: self.settings.agent.clone(),
            record_key,
            record_key_proof,
            probe,
        };
        let request = self.request(Method::POST, "/v1/token", None)?;
        self.ask(request, "application/x-www-form-urlencoded", form_encoded(&form).into()).await
    }

    /// Submits a held call.
    pub async fn submit(&self, bearer: &str, submission: &Submission) -> Result<ApprovalAnswer, ControlFault> {
        Ok(self.post(bearer, "/v1/approvals", submission).await?.0)
    }

    /// Asks for the one claim. Gives the receipt with the keys to verify it.
    pub async fn claim(
        &self,
        bearer: &str,
        uid: &str,
        claim: &ClaimRequest,
    ) -> Result<(ClaimAnswer, Arc<KeySet>), ControlFault> {
        self.post(bearer, &format!("/v1/approvals/{uid}/claim"), claim).await
    }

    /// Tells how a claimed call ended.
    pub async fn outcome(&self, bearer: &str, uid: &str, report: &OutcomeReport) -> Result<(), ControlFault> {
        self.tell(bearer, &format!("/v1/approvals/{uid}/outcome"), report).await
    }

    /// Tells the end of what is recorded.
    pub async fn head(&self, bearer: &str, head: &Head) -> Result<(), ControlFault> {
        self.tell(bearer, "/v1/heads", head).await
    }

    /// Tells how trials go.
    pub async fn trials(&self, bearer: &str, report: &TrialReport) -> Result<(), ControlFault> {
        self.tell(bearer, "/v1/trials", report).await
    }

    /// Tells what the pod's probe found.
    pub async fn probe(&self, bearer: &str, submission: &ProbeSubmission) -> Result<(), ControlFault> {
        self.tell(bearer, "/v1/probe", submission).await
    }

    /// Returns when the control service answered, as the one that is trusted.
    pub async fn reach(&self) -> Result<(), ControlFault> {
        let request = self.request(Method::GET, "/jwks.json", None)?;
        self.ask::<KeySet>(request, "application/json", Bytes::new()).await.map(|_| ())
    }

    /// `host:port` of the control service, by every address that its name has now.
    pub async fn addresses(&self) -> Vec<String> {
        let found = tokio::net::lookup_host((self.settings.host.as_str(), self.settings.port)).await;
        found.map(|all| all.map(|address| address.to_string()).collect()).unwrap_or_default()
    }

    /// Opens the feed; `bundle` is the digest of the one in use.
    pub async fn feed(&self, bearer: &str, bundle: Option<Digest>) -> Result<FeedStream, ControlFault> {
        let path = match bundle {
            Some(digest) => format!("/v1/feed?bundle={digest}"),
            None => "/v1/feed".to_owned(),
        };
        let request = self.request(Method::GET, &path, Some(bearer))?;
        let opening = self.send(request.body(Full::default()).map_err(|_| ControlFault::Request)?);
        let answered = timeout(REQUEST_TIME, opening).await.map_err(|_| ControlFault::Timeout)??;
        if answered.response.status() != StatusCode::OK {
            return Err(refused(answered.response).await);
        }
        Ok(FeedStream {
            body: answered.response.into_body(),
            keys: Arc::clone(&answered.trusted.keys),
            _driver: answered.driver,
        })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        bearer: &str,
        path: &str,
        body: &impl Serialize,
    ) -> Result<(T, Arc<KeySet>), ControlFault> {
        let body = serde_json::to_vec(body).map_err(|_| ControlFault::Request)?;
        self.ask(self.request(Method::POST, path, Some(bearer))?, "application/json", body.into()).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: http::request::Builder,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<(T, Arc<KeySet>), ControlFault> {
        let request = request.header(CONTENT_TYPE, content_type).body(Full::new(body));
        let request = request.map_err(|_| ControlFault::Request)?;
        let exchange = async {
            let Answered { response, trusted, driver: _driver } = self.send(request).await?;
            let status = response.status();
            if !status.is_success() {
                return Err(refused(response).await);
            }
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            let body = body.map_err(|_| ControlFault::Answer(status))?.to_bytes();
            let answer = serde_json::from_slice(&body).map_err(|_| ControlFault::Answer(status))?;
            Ok((answer, Arc::clone(&trusted.keys)))
        };
        timeout(REQUEST_TIME, exchange).await.map_err(|_| ControlFault::Timeout)?
    }

    async fn tell(&self, bearer: &str, path: &str, body: &impl Serialize) -> Result<(), ControlFault> {
        let body = serde_json::to_vec(body).map_err(|_| ControlFault::Request)?;
        let request = self.request(Method::POST, path, Some(bearer))?;
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body.into()));
        let sending = self.send(request.map_err(|_| ControlFault::Request)?);
        let answered = timeout(REQUEST_TIME, sending).await.map_err(|_| ControlFault::Timeout)??;
        if answered.response.status().is_success() { Ok(()) } else { Err(refused(answered.response).await) }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
    ) -> Result<http::request::Builder, ControlFault> {
        let site = Site { host: self.settings.host.clone(), port: self.settings.port };
        let mut request = Request::builder().method(method).uri(path).header(HOST, site.to_string());
        if let Some(bearer) = bearer {
            let value = HeaderValue::from_str(&format!("Bearer {bearer}"));
            let mut value = value.map_err(|_| ControlFault::Request)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        Ok(request)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answered, ControlFault> {
        let trusted = self.trust.read().await?;
        let mut tls = client_config(&trusted.authority_pem, &self.identity)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(self.settings.host.clone()).map_err(|_| ControlFault::Request)?;
        let address = (self.settings.host.as_str(), self.settings.port);
        let stream = TcpStream::connect(address).await.map_err(ControlFault::Connect)?;
        let _ = stream.set_nodelay(true);
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.map_err(ControlFault::Connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            // Its error also reaches the request.
            let _ = connection.await;
        }));
        let response = sender.send_request(request).await?;
        self.reached.store(true, Ordering::Relaxed);
        Ok(Answered { response, trusted, driver })
    }
}

async fn refused(response: http::Response<Incoming>) -> ControlFault {
    let status = response.status();
    match Limited::new(response.into_body(), MAX_ANSWER).collect().await {
        Ok(body) => match serde_json::from_slice(&body.to_bytes()) {
            Ok(error) => ControlFault::Refused { status, error: Box::new(error) },
            Err(_) => ControlFault::Answer(status),
        },
        Err(_) => ControlFault::Answer(status),
    }
}

/// `application/x-www-form-urlencoded` of a form.
fn form_encoded(form: &TokenForm) -> String {
    let TokenForm { grant_type, subject_token, subject_token_type, agent, record_key, record_key_proof, probe } = form;
    let fields = [
        ("grant_type", grant_type),
        ("subject_token", subject_token),
        ("subject_token_type", subject_token_type),
        ("agent", agent),
        ("record_key", record_key),
        ("record_key_proof", record_key_proof),
    ];
    let probe = probe.iter().map(|value| ("probe", value));
    let pairs: Vec<_> =
        fields.into_iter().chain(probe).map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
    pairs.join("&")
}

fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'*') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_survive_any_text() {
        let form = TokenForm {
            grant_type: GRANT_TYPE.to_owned(),
            subject_token: "a.b-c_d".to_owned(),
            subject_token_type: "x".to_owned(),
            agent: "shop/buyer&x=y +%\u{fc}".to_owned(),
            record_key: String::new(),
            record_key_proof: "~".to_owned(),
            probe: None,
        };
        let text = form_encoded(&form);
        assert!(text.contains("agent=shop%2Fbuyer%26x%3Dy%20%2B%25%C3%BC&"), "{text}");
        assert!(text.starts_with(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=a.b-c_d&"
        ));
    }
}
