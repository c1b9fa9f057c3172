//! The only way out: [`Upstream::forward`] for a permitted and recorded call, [`Upstream::forward_fact`] for a fact.
//!
//! Both take their permit by value. What is sent is the tree that was judged; the agent's bytes never come here.
//! Redirects are not followed. A Read may use a kept connection and is tried once more when that connection turns out
//! dead; a Draft or Commit always gets a connection of its own and is never repeated.

mod answer;
mod credential;
mod dial;
mod echo;
mod redact;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aegis_decision::call::Emitted;
use aegis_decision::permit::{FactPermit, Permit};
use aegis_decision::record::ErrorClass;
use aegis_decision::sanitize::Redactor;
use aegis_decision::tool::{Class, Endpoint, Tls, Tool};
use bytes::Bytes;
use hickory_resolver::TokioResolver;
use http::header::{ACCEPT_ENCODING, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

pub use answer::{Exchange, Fault, UpstreamAnswer};
pub use credential::{CredentialError, Credentials, Injection};
use dial::Connection;
pub(crate) use dial::tls_config;
use redact::redacted;

use crate::budget::Budget;
use crate::record::AuditReceipt;

/// Kept connections per tool and worker.
const MAX_IDLE: usize = 32;

/// The upstreams as one worker sees them. Each worker has its own: nothing that counts is shared.
pub struct Upstream {
    credentials: Arc<Credentials>,
    resolver: Option<TokioResolver>,
    answers: Budget,
    lines: Mutex<HashMap<String, Line>>,
}

/// How to reach one tool, with its kept connections.
struct Line {
    endpoint: Endpoint,
    tls: Option<Tls>,
    allow_private: bool,
    config: Arc<ClientConfig>,
    idle: Vec<Connection>,
}

/// A request ready to be sent, with what its answer needs.
struct Outgoing<'a> {
    head: http::request::Parts,
    body: Bytes,
    injection: Option<Injection>,
    redactor: Option<&'a Redactor>,
    max_bytes: usize,
    deadline: Instant,
}

/// The `Idempotency-Key` of a call: the approval's uid, else for a Commit the agent's own or the decision's id.
pub fn idempotency_key(permit: &Permit, decision: &str) -> Option<String> {
    match permit.class() {
        Class::Read => None,
        Class::Draft => permit.idempotency_key().map(str::to_owned),
        Class::Commit => Some(permit.idempotency_key().unwrap_or(decision).to_owned()),
    }
}

/// One try on one connection.
enum Attempt {
    /// It came to an end.
    Ended(Exchange),
    /// The connection broke before the answer began.
    BrokeOff {
        /// Whether any byte of the request may have been written.
        sent: bool,
    },
}

impl Upstream {
    /// A worker's upstreams, whose answers share one budget with those of the others. Without a resolver only tools with
    /// literal addresses can be reached.
    pub fn new(credentials: Arc<Credentials>, resolver: Option<TokioResolver>, answers: Budget) -> Self {
        Self { credentials, resolver, answers, lines: Mutex::default() }
    }

    /// What names are resolved with.
    pub(crate) fn resolver(&self) -> Option<&TokioResolver> {
        self.resolver.as_ref()
    }

    /// Whether the tool's credential can be read: asked before an approval is spent on a call that could not be sent.
    pub fn is_prepared_for(&self, tool: &Tool) -> Result<(), CredentialError> {
        self.credentials.injection(tool).map(|_| ())
    }

    /// Sends a permitted call whose decision is recorded; `key` is from [`idempotency_key`]. What comes back is free of the
    /// credential and of what `redactor` takes out.
    pub async fn forward(
        &self,
        permit: Permit,
        receipt: AuditReceipt,
        tool: &Tool,
        time: Duration,
        key: Option<&str>,
        redactor: Option<&Redactor>,
    ) -> Exchange {
        receipt.spend();
        let class = permit.class();
        self.exchange(permit.into_emitted(), tool, class, time, key, redactor).await
    }

    /// Reads a fact that a tool declares.
    pub async fn forward_fact(&self, permit: FactPermit, tool: &Tool) -> (String, Exchange) {
        let time = Duration::from_secs(permit.timeout_seconds().into());
        let (name, emitted) = permit.into_parts();
        (name, self.exchange(emitted, tool, Class::Read, time, None, None).await)
    }

    async fn exchange(
        &self,
        emitted: Emitted,
        tool: &Tool,
        class: Class,
        time: Duration,
        key: Option<&str>,
        redactor: Option<&Redactor>,
    ) -> Exchange {
        let deadline = Instant::now() + time;
        let outgoing = match self.outgoing(&emitted, tool, key, deadline) {
            Ok(outgoing) => Outgoing { redactor, ..outgoing },
            Err((error, what)) => return unsent(tool, error, what),
        };
        if class == Class::Read
            && let Some(kept) = self.kept(tool)
            && let Attempt::Ended(exchange) = self.send(kept, &outgoing, tool, class).await
        {
            return exchange;
            // Otherwise it was closed while it was kept: a Read may be asked again.
        }
        match timeout_at(deadline, self.dial(tool)).await {
            Ok(Ok(connection)) => match self.send(connection, &outgoing, tool, class).await {
                Attempt::Ended(exchange) => exchange,
                Attempt::BrokeOff { sent } => {
                    let detail = format!("{}: the upstream broke off before it answered", tool.name);
                    let error = if sent { ErrorClass::Receive } else { ErrorClass::Send };
                    Exchange::Fault(Fault { error, sent, detail })
                }
            },
            Ok(Err(error)) => {
                tracing::warn!(tool = tool.name, error = &error as &dyn std::error::Error, "upstream unreachable");
                unsent(tool, error.class(), &error.to_string())
            }
            Err(_) => unsent(tool, ErrorClass::Connect, "no connection in time"),
        }
    }

    /// Builds the request from the emitted parts, the tool's endpoint and the credential.
    fn outgoing(
        &self,
        emitted: &Emitted,
        tool: &Tool,
        key: Option<&str>,
        deadline: Instant,
    ) -> Result<Outgoing<'static>, (ErrorClass, &'static str)> {
        let unfit = |_: http::Error| (ErrorClass::Send, "the request cannot be written");
        let injection = self.credentials.injection(tool).map_err(|error| {
            tracing::error!(tool = tool.name, %error, "no credential");
            (ErrorClass::Credential, "the credential cannot be added")
        })?;
        let url: Uri = emitted.url.parse().map_err(|error: http::uri::InvalidUri| unfit(error.into()))?;
        let expected = (tool.endpoint.scheme.as_str(), tool.endpoint.authority());
        if (url.scheme_str(), url.authority().map(http::uri::Authority::as_str))
            != (Some(expected.0), Some(expected.1.as_str()))
        {
            return Err((ErrorClass::Send, "the request is for another place than the tool's endpoint"));
        }
        let target = url.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let method: Method =
            emitted.method.parse().map_err(|error: http::method::InvalidMethod| unfit(error.into()))?;
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(&expected.1).map_err(|error| unfit(error.into()))?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for (name, value) in emitted.passed.iter().chain(&emitted.headers) {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| unfit(error.into()))?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|error| unfit(error.into()))?);
        }
        if let Some(key) = key {
            let value = HeaderValue::from_str(key).map_err(|error| unfit(error.into()))?;
            headers.insert(HeaderName::from_static("idempotency-key"), value);
        }
        if let Some(injection) = &injection {
            headers.insert(injection.name.clone(), injection.value.clone());
        }
        let request = Request::builder().method(method).uri(target).body(()).map_err(unfit)?;
        let (mut head, ()) = request.into_parts();
        head.headers = headers;
        let max_bytes = usize::try_from(tool.limits.response_bytes).unwrap_or(usize::MAX);
        Ok(Outgoing { head, body: emitted.body_bytes().into(), injection, redactor: None, max_bytes, deadline })
    }

    /// Sends on this connection, reads the answer whole, and keeps the connection for the next Read.
    async fn send(&self, mut connection: Connection, outgoing: &Outgoing<'_>, tool: &Tool, class: Class) -> Attempt {
        let before = connection.written();
        let request = Request::from_parts(outgoing.head.clone(), Full::new(outgoing.body.clone()));
        let answered = timeout_at(outgoing.deadline, async {
            match connection.sender().send_request(request).await {
                Ok(response) => {
                    let injection = outgoing.injection.as_ref();
                    Some(answer::read(response, outgoing.max_bytes, injection, &self.answers).await)
                }
                Err(error) => {
                    tracing::warn!(tool = tool.name, %error, "upstream failed");
                    None
                }
            }
        })
        .await;
        let (error, what) = match answered {
            Ok(Some(Ok(answer))) => {
                if class == Class::Read {
                    self.keep(tool, connection);
                }
                return Attempt::Ended(redacted(answer, outgoing.redactor, outgoing.injection.as_ref()));
            }
            Ok(None) => return Attempt::BrokeOff { sent: connection.end().await > before },
            Ok(Some(Err(fault))) => fault,
            Err(_) => (ErrorClass::Timeout, "the upstream did not answer in time"),
        };
        let sent = connection.end().await > before;
        Attempt::Ended(Exchange::Fault(Fault { error, sent, detail: format!("{}: {what}", tool.name) }))
    }

    async fn dial(&self, tool: &Tool) -> Result<Connection, dial::DialError> {
        let config = self.config(tool)?;
        Connection::dial(tool, &config, self.resolver.as_ref()).await
    }

    /// The TLS configuration of a tool, made once until its settings change; kept connections end with it.
    fn config(&self, tool: &Tool) -> Result<Arc<ClientConfig>, dial::DialError> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&tool.name)
            && line.leads_to(tool)
        {
            return Ok(Arc::clone(&line.config));
        }
        let config = Arc::new(tls_config(tool.tls.as_ref())?);
        let line = Line {
            endpoint: tool.endpoint.clone(),
            tls: tool.tls.clone(),
            allow_private: tool.allow_private_addresses,
            config: Arc::clone(&config),
            idle: Vec::new(),
        };
        lines.insert(tool.name.clone(), line);
        Ok(config)
    }

    fn kept(&self, tool: &Tool) -> Option<Connection> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.get_mut(&tool.name).filter(|line| line.leads_to(tool))?;
        while let Some(connection) = line.idle.pop() {
            if connection.is_usable() {
                return Some(connection);
            }
        }
        None
    }

    fn keep(&self, tool: &Tool, connection: Connection) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&tool.name)
            && line.leads_to(tool)
            && line.idle.len() < MAX_IDLE
        {
            line.idle.push(connection);
        }
    }
}

impl Line {
    /// Whether it still is the way to the tool. INV-41: a changed tool ends its kept connections.
    fn leads_to(&self, tool: &Tool) -> bool {
        self.endpoint == tool.endpoint && self.tls == tool.tls && self.allow_private == tool.allow_private_addresses
    }
}

/// The end of a call of which nothing was sent.
pub(crate) fn unsent(tool: &Tool, error: ErrorClass, what: &str) -> Exchange {
    let detail = format!("{}: {what}; nothing was sent", tool.name);
    Exchange::Fault(Fault { error, sent: false, detail })
}
