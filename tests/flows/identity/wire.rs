//! A client of the control service that can do what no sidecar would: any form, any token, on a TLS key of its own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_decision::control::{GRANT_TYPE, SUBJECT_TOKEN_TYPE};
use aegis_decision::jws::{Purpose, SigningKey, base64url, thumbprint};
use aegis_decision::probe::ProbeStatement;
use aegis_decision::token::prove_record_key;
use aegis_runtime::tls::{ClientIdentity, client_config};
use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest time for an answer.
const WITHIN: Duration = Duration::from_secs(30);

/// A TLS key and a record key, as a sidecar makes them.
pub struct Wire {
    address: String,
    authority: String,
    identity: ClientIdentity,
    record_key: SigningKey,
}

/// The form of an exchange, in which every field can be forged.
pub struct Form {
    pub subject_token: String,
    pub agent: String,
    pub record_key: String,
    pub record_key_proof: String,
    pub grant_type: &'static str,
    pub probe: Option<String>,
}

impl Wire {
    /// With new keys. `trust` is the folder that a kubelet would mount.
    pub fn new(control: &str, trust: &Path) -> Result<Self> {
        Ok(Self {
            address: control.to_owned(),
            authority: fs::read_to_string(trust.join("ca.crt"))?,
            identity: ClientIdentity::generate()?,
            record_key: SigningKey::from_seed(Purpose::Records, &rand::random()),
        })
    }

    /// The proof that the holder of this TLS key also holds the record key of `other`.
    pub fn proof_by(&self, other: &Self) -> String {
        prove_record_key(&other.record_key, &thumbprint(self.identity.public_key()))
    }

    /// The form as an honest sidecar fills it in.
    pub fn form(&self, agent: &str, subject_token: &str) -> Form {
        Form {
            subject_token: subject_token.to_owned(),
            agent: agent.to_owned(),
            record_key: base64url(self.record_key.public().as_bytes()),
            record_key_proof: self.proof_by(self),
            grant_type: GRANT_TYPE,
            probe: None,
        }
    }

    /// What a sidecar with this record key says about its pod's probe.
    pub fn state(&self, statement: &ProbeStatement) -> Result<String> {
        Ok(statement.sign(&self.record_key)?)
    }

    /// Asks for a token.
    pub async fn exchange(&self, form: &Form) -> Result<(StatusCode, Value)> {
        let fields = [
            ("grant_type", form.grant_type),
            ("subject_token", &form.subject_token),
            ("subject_token_type", SUBJECT_TOKEN_TYPE),
            ("agent", &form.agent),
            ("record_key", &form.record_key),
            ("record_key_proof", &form.record_key_proof),
        ];
        // No value here has a character that a form would need escaped, but `:` and `/`, which servers take as they are.
        let probe = form.probe.iter().map(|value| format!("probe={value}"));
        let body: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).chain(probe).collect();
        self.send(Method::POST, "/v1/token", None, Some(("application/x-www-form-urlencoded", body.join("&")))).await
    }

    /// Gets a token as an honest sidecar does.
    pub async fn token(&self, agent: &str, subject_token: &str) -> Result<String> {
        let (status, answer) = self.exchange(&self.form(agent, subject_token)).await?;
        ensure!(status == StatusCode::OK, "{status}: {answer}");
        Ok(answer.get("access_token").and_then(Value::as_str).context("no token in the answer")?.to_owned())
    }

    pub async fn post(&self, path: &str, bearer: &str, body: &Value) -> Result<(StatusCode, Value)> {
        self.send(Method::POST, path, Some(bearer), Some(("application/json", body.to_string()))).await
    }

    pub async fn get(&self, path: &str, bearer: Option<&str>) -> Result<(StatusCode, Value)> {
        self.send(Method::GET, path, bearer, None).await
    }

    /// The feed, on a connection of its own.
    pub async fn feed(&self, bearer: &str) -> Result<Incoming> {
        let response = self.open(Method::GET, "/v1/feed", Some(bearer), None).await?;
        ensure!(response.status() == StatusCode::OK, "{}", response.status());
        Ok(response.into_body())
    }

    /// The first line of the feed.
    pub async fn first_feed_line(&self, bearer: &str) -> Result<String> {
        let mut body = self.feed(bearer).await?;
        let mut text = Vec::new();
        tokio::time::timeout(WITHIN, async {
            loop {
                let frame = body.frame().await.context("the feed ended")??;
                text.extend_from_slice(frame.data_ref().context("no data")?);
                if let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    return Ok(String::from_utf8_lossy(text.get(..end).unwrap_or_default()).into_owned());
                }
            }
        })
        .await?
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Result<(StatusCode, Value)> {
        let response = self.open(method, path, bearer, body).await?;
        let status = response.status();
        let bytes = tokio::time::timeout(WITHIN, response.into_body().collect()).await??.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok((status, serde_json::from_str(&text).unwrap_or(Value::String(text))))
    }

    async fn open(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<(&str, String)>,
    ) -> Result<http::Response<Incoming>> {
        let tls = client_config(&self.authority, &self.identity)?;
        let stream = TcpStream::connect(&self.address).await?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(ServerName::try_from("localhost")?, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Its error also reaches the request.
        tokio::spawn(async move { connection.await.ok() });
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let text = match body {
            Some((content_type, text)) => {
                request = request.header("content-type", content_type);
                text
            }
            None => String::new(),
        };
        let request = request.body(Full::new(Bytes::from(text)))?;
        Ok(tokio::time::timeout(WITHIN, sender.send_request(request)).await??)
    }
}
